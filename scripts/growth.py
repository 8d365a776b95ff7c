"""Growth curves: how time and memory grow with images, visual tokens, batches, dataset rows and simulated images.

    OMP_NUM_THREADS=1 python scripts/growth.py [--only detect batch tokens build simulate] [--quick]

Each curve runs in a process of its own, whose peak memory (PSS, with its children) is watched from outside. Times are
processor time, which other programs on the machine change least. Draws `docs/images/growth.png`, writes
`outputs/growth.json` and prints tables in Markdown for docs/benchmarks.md. `--quick` takes a few small sizes, to see
that everything runs; the whole takes about half an hour. Linux only: memory is read from /proc.

The photos are cut from NASA's portrait of Eileen Collins (public domain, from scikit-image). The rows of the dataset
build are simulated images of it; each row has a file of its own, made different by bytes that no decoder reads. The
simulator's images are 64 pixels wide, which changes nothing in what is kept from one to the next: 100,000 of 512 would
take three hours.
"""

import argparse
import itertools
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from process_memory import Peak, tree_megabytes

from faceshield_hf.whole_files import whole_file, write_whole


ROOT = Path(__file__).resolve().parents[1]
SIZES: dict[str, list[int]] = {
    "detect": [1, 2, 4, 8, 16, 32, 64],  # images, one by one
    "batch": [1, 2, 4, 8, 16, 32],  # images a batch
    "tokens": [49, 100, 196, 256, 400, 576, 784],  # visual tokens that the language model reads
    "build": [1_000, 3_000, 10_000, 30_000, 100_000],  # records
    "simulate": [1_000, 3_000, 10_000, 30_000, 100_000],  # images of one run
}
QUICK = {"detect": [1, 2, 4], "batch": [1, 2, 4], "tokens": [49, 100], "build": [300, 900], "simulate": [10, 20]}
# What a row is made of, for the two curves that are promised to be straight: from, to, time at most, memory at most.
ROWS_AT_MOST = (10_000, 100_000, 11.0, 1.1)
RECORDS_AN_IMAGE = 9.47
IMAGES_A_FACE = 200
PATCH = 14


def main() -> None:
    """Measure, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=sorted(SIZES), default=list(SIZES), help="these curves alone")
    parser.add_argument("--quick", action="store_true", help="few small sizes")
    parser.add_argument("--out", type=Path, default=ROOT / "outputs" / "growth.json", help="the numbers")
    parser.add_argument("--plot", type=Path, default=ROOT / "docs" / "images" / "growth.png", help="the picture")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)  # in the child: a curve and its sizes
    options = parser.parse_args()
    if options.measure:
        measure_here(options.measure[0], [int(size) for size in options.measure[1].split(",")])
        return
    found: dict[str, list[dict[str, Any]]] = {}
    if options.out.is_file():  # curves that are not measured now stay
        found = json.loads(options.out.read_text(encoding="utf-8"))
    for name in options.only:
        found[name] = list(curve(name, (QUICK if options.quick else SIZES)[name]))
        write_whole(options.out, json.dumps(found, indent=1))
    print(to_markdown(found))
    draw(options.plot, found)


def curve(name: str, sizes: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Measure a curve: sizes whose memory counts each in a new process, the others together in one."""
    for group in [[size] for size in sizes] if name == "build" else [list(sizes)]:
        command = [sys.executable, __file__, "--measure", name, ",".join(map(str, group))]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process, Peak(process.pid) as peak:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith("{"):
                    point = json.loads(line)
                    if len(group) > 1:
                        yield point
            process.wait()
        if process.returncode:
            sys.exit(f"{' '.join(command)} ended with {process.returncode}")
        if len(group) == 1:
            yield point | {"megabytes": round(peak.megabytes)}
        print(f"{name}: {group} done", file=sys.stderr, flush=True)


def measure_here(name: str, sizes: Sequence[int]) -> None:
    """Measure in this process; prints a line of JSON for each size."""
    measures = {
        "detect": detect_images,
        "batch": detect_batches,
        "tokens": first_token,
        "build": build_rows,
        "simulate": simulate_images,
    }
    for point in measures[name](sizes):
        print(json.dumps(point), flush=True)


# ---- the curves ----


def detect_images(sizes: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Seconds of `detect` with all tasks, over so many images one by one."""
    detector, images = warm_detector(max(sizes))
    for size in sizes:
        begun = time.process_time()
        for image in images[:size]:
            detector.detect(image)
        yield {"size": size, "seconds": time.process_time() - begun, "megabytes": round(tree_megabytes(os.getpid()))}


def detect_batches(sizes: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Seconds an image of `detect_batch` with all tasks, at so many images a batch."""
    detector, images = warm_detector(max(sizes))
    for size in sizes:
        begun = time.process_time()
        detector.detect_batch(images, batch_size=size)
        taken = (time.process_time() - begun) / len(images)
        yield {"size": size, "seconds": taken, "megabytes": round(tree_megabytes(os.getpid()))}


def warm_detector(count: int) -> tuple[Any, list[Any]]:
    """The embedded checkpoint, which has answered a dozen other photos, and so many photos."""
    from faceshield_hf import FaceShield

    detector = FaceShield.from_pretrained(device="cpu")
    for image in portraits(12, seed=1):
        detector.detect(image)
    return detector, list(portraits(count, seed=2))


def portraits(count: int, seed: int) -> Iterator[Any]:
    """Different photos of 512x512 pixels."""
    import numpy as np
    from PIL import Image, ImageEnhance
    from skimage.data import astronaut

    rng = np.random.default_rng(seed)
    for _ in range(count):
        left, top, side = *rng.integers(0, 100, 2), rng.integers(380, 412)
        picture = Image.fromarray(astronaut()).crop((left, top, left + side, top + side)).resize((512, 512))
        yield ImageEnhance.Brightness(picture).enhance(rng.uniform(0.6, 1.4))


def first_token(sizes: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Seconds to the first token by visual tokens: larger pictures, both views, and the same with a budget of 25 %."""
    sys.path.insert(0, str(ROOT / "tests" / "benchmarks"))
    import torch
    from bench_prefill import IMAGE, TURN_END, backbones, generate, prompt

    from faceshield_hf import FaceShieldConfig, FaceShieldForConditionalGeneration

    torch.set_num_threads(1)
    for size in sizes:
        side = round(size**0.5) * PATCH
        point: dict[str, Any] = {"size": 2 * size}
        for name, budget in (("seconds", None), ("seconds with a budget of 25 %", size // 2)):
            torch.manual_seed(0)
            vision, text = backbones()
            vision.image_size = side
            config = FaceShieldConfig(
                vision_config=vision,
                text_config=text,
                image_token_id=IMAGE,
                turn_end_token_id=TURN_END,
                vision_token_budget=budget,
            )
            model = FaceShieldForConditionalGeneration(config).eval()
            picture = torch.randn(1, 3, side, side)
            ids = prompt(budget or 2 * size)
            taken = []
            for _ in range(6):
                begun = time.process_time()
                generate(model, ids, 1, pixel_values=picture, sav_values=picture)
                taken.append(time.process_time() - begun)
            point[name] = statistics.median(taken[1:])
        yield point


def build_rows(sizes: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Seconds of a whole build of so many records, with the recipe's own settings."""
    from faceshield_hf.data.build import read_arguments
    from faceshield_hf.data.build.config import read_config
    from faceshield_hf.data.build.run import build_dataset

    for size in sizes:
        with tempfile.TemporaryDirectory() as scratch:
            folder = labelled_images(Path(scratch), round(size / RECORDS_AN_IMAGE))
            arguments = ["--config", str(ROOT / "recipes" / "build-dataset" / "sft45k.yaml")]
            arguments += ["--inputs", str(folder), "--out", str(Path(scratch) / "built")]
            begun = time.process_time()
            counts = build_dataset(read_config(read_arguments(arguments)), progress=False)
            yield {"size": size, "records": counts["records"], "seconds": time.process_time() - begun}


def labelled_images(scratch: Path, count: int) -> Path:
    """A folder of so many labelled images: a few that the simulator made, each file again and again with new bytes."""
    made = simulated(scratch / "simulated", faces=4, per_face=12)
    rows = [json.loads(line) for line in (made / "metadata.jsonl").read_text(encoding="utf-8").splitlines()]
    folder = scratch / "labelled"
    (folder / "images").mkdir(parents=True)
    with (folder / "metadata.jsonl").open("w", encoding="utf-8") as table:
        for number in range(count):
            row = rows[number % len(rows)]
            name = f"images/{number:06d}.jpg"
            # What stands behind the end of a JPEG is not read, but makes it another file, which is stored apart.
            (folder / name).write_bytes((made / row["file_name"]).read_bytes() + number.to_bytes(8, "big"))
            table.write(json.dumps(row | {"file_name": name, "subject_id": f"s{number // 12}"}) + "\n")
    return folder


def simulate_images(sizes: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Seconds and memory of one run of the simulator over a folder, each time that so many images were written."""
    from faceshield_hf.data.simulate import folder
    from faceshield_hf.memory import keep_freed_memory

    points: list[dict[str, Any]] = []
    made = itertools.count()
    begun = time.process_time()

    def render_small(*arguments: Any) -> Any:
        if (count := next(made)) in sizes:
            spent = time.process_time() - begun
            points.append({"size": count, "seconds": spent, "megabytes": round(tree_megabytes(os.getpid()))})
        return render(*arguments, size=(64, 64))

    render, folder.render = folder.render, render_small
    keep_freed_memory()  # as in every worker
    per_face = min(IMAGES_A_FACE, max(sizes))
    with tempfile.TemporaryDirectory() as scratch:
        # A few faces more: photos in which no face is found are skipped.
        simulated(Path(scratch) / "out", faces=math.ceil(1.05 * max(sizes) / per_face) + 1, per_face=per_face)
    if len(points) < len(sizes):
        sys.exit(f"only {next(made):,} of {max(sizes):,} images were made: too many photos were skipped")
    yield from points


def simulated(out: Path, faces: int, per_face: int) -> Path:
    """Let the simulator write images of a few variants of a portrait."""
    from faceshield_hf.data.simulate.folder import simulate_folder

    out.mkdir(parents=True)
    photos = out.with_name(out.name + "-faces")
    photos.mkdir()
    for number, picture in enumerate(portraits(faces, seed=3)):
        picture.save(photos / f"{number:04d}.png")
    simulate_folder(photos, out, per_face=per_face, seed=0, workers=1)
    return out


# ---- what is shown ----


def to_markdown(found: dict[str, list[dict[str, Any]]]) -> str:
    """A table for each curve, and what was promised of the build."""
    parts = []
    for name, points in found.items():
        keys = list(dict.fromkeys(key for point in points for key in point))
        lines = [f"| {name}: " + " | ".join(keys) + " |", "|---" * len(keys) + "|"]
        lines += ["| " + " | ".join(number(point.get(key)) for key in keys) + " |" for point in points]
        parts.append("\n".join(lines))
    if promised := ratios(found.get("build", [])):
        parts.append(
            f"Build of {ROWS_AT_MOST[1]:,} rows against {ROWS_AT_MOST[0]:,}: {promised[0]:.2f} times the time "
            f"(at most {ROWS_AT_MOST[2]:g}), {promised[1]:.2f} times the peak memory (at most {ROWS_AT_MOST[3]:g})."
        )
    return "\n\n".join(parts)


def ratios(points: Sequence[dict[str, Any]]) -> tuple[float, float] | None:
    """Time and peak memory of the large build over those of the small one; `None` without both."""
    by_size = {point["size"]: point for point in points}
    small, large = by_size.get(ROWS_AT_MOST[0]), by_size.get(ROWS_AT_MOST[1])
    if small is None or large is None:
        return None
    return large["seconds"] / small["seconds"], large["megabytes"] / small["megabytes"]


def number(value: float | int | None) -> str:
    """A number as a reader wants it."""
    return "" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.3g}"


def draw(path: Path, found: dict[str, list[dict[str, Any]]]) -> None:
    """All curves in one picture."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plots = [
        ("detect", "seconds", "images, one by one", "detect, all tasks: s in all"),
        ("batch", "seconds", "images a batch", "detect_batch: s an image"),
        ("tokens", "seconds", "visual tokens of both views", "time to first token, s"),
        ("build", "seconds", "rows", "dataset build: s"),
        ("build", "megabytes", "rows", "dataset build: peak MB"),
        ("simulate", "megabytes", "images", "simulator: MB"),
    ]
    figure, grid = plt.subplots(2, 3, figsize=(12, 7), layout="constrained")
    for axes, (name, key, across, title) in zip(grid.flat, plots, strict=True):
        points = found.get(name, [])
        sizes = [point["size"] for point in points]
        axes.plot(sizes, [point[key] for point in points], marker="o", label="all tokens")
        if name == "tokens":
            axes.plot(sizes, [p["seconds with a budget of 25 %"] for p in points], marker="o", label="budget 25 %")
            axes.legend()
        if name in ("build", "simulate") and points:  # a logarithmic axis needs values
            axes.set_xscale("log")
            axes.set_yscale("log" if key == "seconds" else "linear")
        if key == "megabytes" or name != "build":
            axes.set_ylim(0, 1.1 * max((value for line in axes.lines for value in line.get_ydata()), default=1))
        axes.set_xlabel(across)
        axes.set_title(title)
        axes.grid(alpha=0.3)
    with whole_file(path) as part:
        figure.savefig(part, format="png", dpi=110)


if __name__ == "__main__":
    main()
