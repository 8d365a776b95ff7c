"""How much faster the SAV image is than scikit-image, and what it adds to preprocessing. Run by hand:

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_savp.py

Both sides of each ratio run by turns in this one process, in processor time, and the best of many runs counts: what
else the machine does shows least that way. The numbers are read by a person; nothing is asserted.
"""

# ruff: noqa: T201

import argparse
import time
from collections.abc import Callable

import numpy as np
from PIL import Image
from skimage.data import astronaut
from skimage.feature import hog, local_binary_pattern
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from faceshield_hf.image_processing_faceshield import FaceShieldImageProcessor
from faceshield_hf.savp_faceshield import HOG_FULL_SCALE, gray, sav_image


def best_of(repeats: int, *functions: Callable[[], object]) -> list[float]:
    """Time functions by turns; give each one's best run in milliseconds."""
    best = [float("inf")] * len(functions)
    for _ in range(repeats + 1):  # the first round only fills caches
        for index, function in enumerate(functions):
            start = time.process_time()
            function()
            best[index] = min(best[index], (time.process_time() - start) * 1e3)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=20)
    repeats = parser.parse_args().repeats

    rgb = np.asarray(Image.fromarray(astronaut()).resize((384, 384), Image.Resampling.BICUBIC))
    luma = gray(rgb)

    def by_skimage() -> None:
        local_binary_pattern(luma, 8, 1)
        hog(luma, 9, (8, 8), (2, 2), visualize=True)

    for render in sorted(HOG_FULL_SCALE):
        theirs, ours = best_of(repeats, by_skimage, lambda render=render: sav_image(rgb, render))
        print(
            f"SAV image 384x384, {render:9}: scikit-image {theirs:6.1f} ms, ours {ours:5.2f} ms: {theirs / ours:.0f}x"
        )

    siglip, faceshield = SiglipImageProcessorPil(size={"height": 384, "width": 384}), FaceShieldImageProcessor()
    for size in ((384, 384), (640, 480), (1024, 1024), (1920, 1080)):
        image = Image.fromarray(astronaut()).resize(size, Image.Resampling.BICUBIC)
        theirs, ours = best_of(
            repeats,
            lambda image=image: siglip(image, return_tensors="pt"),
            lambda image=image: faceshield(image, return_tensors="pt"),
        )
        print(
            f"preprocess {size[0]}x{size[1]}: SigLIP {theirs:5.1f} ms, ours with SAV {ours:5.1f} ms: "
            f"{ours / theirs:.2f}x"
        )


if __name__ == "__main__":
    main()
