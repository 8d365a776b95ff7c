"""How fast the simulator is, class by class, and whether its memory grows. Run by hand:

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_simulate.py --repeats 6

Times are processor time of one process on one thread, so that what else the machine does shows little; the photo is
prepared once, as for all images of a face. A person reads the numbers; nothing is asserted.
"""

# ruff: noqa: T201

import argparse
import resource
import time

import cv2
import numpy as np
from PIL import Image
from skimage.data import astronaut

from faceshield_hf.data.simulate.core import render
from faceshield_hf.data.simulate.domains import DOMAINS
from faceshield_hf.data.simulate.source import prepare
from faceshield_hf.memory import keep_freed_memory
from faceshield_hf.tasks_faceshield import AttackType


def megabytes() -> float:
    """Memory this process holds now."""
    with open("/proc/self/statm", encoding="ascii") as status:
        return int(status.read().split()[1]) * resource.getpagesize() / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=6, help="images a class")
    parser.add_argument("--size", type=int, default=512, help="pixels a side")
    parser.add_argument("--best-of", type=int, default=1, help="runs of each image, the fastest counts")
    parser.add_argument("--memory", type=int, default=0, help="images to make while watching memory; 0 leaves it out")
    given = parser.parse_args()
    cv2.setNumThreads(1)
    keep_freed_memory()
    photo = Image.fromarray(astronaut())
    start = time.process_time()
    source = prepare(photo)
    print(f"preparing a photo (face search, cut-out): {(time.process_time() - start) * 1e3:.0f} ms, once a photo")
    size = (given.size, given.size)
    render(source, AttackType.BONAFIDE, np.random.default_rng(0), DOMAINS["A"], size)  # fills caches
    means = []
    for kind in AttackType:
        spent = []
        for k in range(given.repeats):
            runs = []
            for _ in range(given.best_of):
                start = time.process_time()
                render(source, kind, np.random.default_rng([k, 7]), DOMAINS["ABC"[k % 3]], size)
                runs.append(time.process_time() - start)
            spent.append(min(runs))
        means.append(float(np.mean(spent)))
        print(f"{kind.value:14} {means[-1] * 1e3:6.0f} ms  {1 / means[-1]:5.1f} images/s")
    mean = float(np.mean(means))
    print(
        f"{'all classes':14} {mean * 1e3:6.0f} ms  {1 / mean:5.1f} images a second a core at {given.size}x{given.size}"
    )
    if given.memory:
        kinds = list(AttackType)
        for k in range(given.memory):
            render(source, kinds[k % len(kinds)], np.random.default_rng(k), DOMAINS["ABC"[k % 3]], size)
            if k in (given.memory // 10, given.memory - 1):
                print(f"memory after {k + 1} images: {megabytes():.0f} MB")


if __name__ == "__main__":
    main()
