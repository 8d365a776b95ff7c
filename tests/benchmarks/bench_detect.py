"""What the detector costs, with the embedded checkpoint: the score, all tasks, batches, and the wall clock.

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_detect.py [--photos 16] [--images DIR]

Freed memory is kept, as in `faceshield` and the Space. The detector writes faster once it has answered a few images,
so that a first pass over other images comes before anything counts. Without `--images` the photos are skimage's
astronaut, cut, mirrored and lit in many ways.
"""

# ruff: noqa: T201

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from measure import HEADER, Row, by_turns, in_ms, ratio
from PIL import Image, ImageEnhance, ImageOps
from skimage.data import astronaut

from faceshield_hf import FaceShield
from faceshield_hf.memory import keep_freed_memory
from faceshield_hf.tasks_faceshield import QUESTIONS, Task


def photos(count: int, folder: Path | None, seed: int) -> list[Image.Image]:
    """So many different photos, each of about 512x512 pixels."""
    rng = np.random.default_rng(seed)
    if folder is not None:
        files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
        return [Image.open(files[i]).convert("RGB") for i in rng.permutation(len(files))[:count]]
    made = []
    for _ in range(count):
        left, top, side = *rng.integers(0, 100, 2), rng.integers(380, 412)
        picture = Image.fromarray(astronaut()).crop((left, top, left + side, top + side)).resize((512, 512))
        picture = ImageEnhance.Brightness(picture).enhance(rng.uniform(0.6, 1.4))
        made.append(ImageOps.mirror(picture) if rng.random() < 0.5 else picture)
    return made


def measure(count: int = 16, folder: Path | None = None) -> list[Row]:
    """Measure the embedded checkpoint's detector."""
    keep_freed_memory()
    detector = FaceShield.from_pretrained(device="cpu")
    before, seen = photos(count, folder, seed=1), photos(count, folder, seed=2)
    for photo in before:
        detector.detect(photo)
    one, everything, plain = by_turns_over(
        seen,
        lambda photo: detector.detect(photo, tasks=[Task.COARSE], quality=False),
        lambda photo: detector.detect(photo, quality=False),
        lambda photo: detector.score(photo),
    )
    batch = by_turns(3, lambda: detector.detect_batch(seen, quality=False, batch_size=16))[0]
    walls = by_turns_over(seen, detector.detect, lambda p: detector.detect(p, quality=False), clock=time.perf_counter)
    walls = [sorted(times) for times in walls]
    score, answer = score_and_answer(detector, seen)
    encoded_score, encoded_answer = score_and_answer(detector, seen, encoded=True)
    return [
        Row("`model.score(inputs)`", "`model.generate(inputs)`, the coarse answer", ratio(score, answer), 0.6,
            detail=in_ms(score, answer)),
        Row("the same, the image encoded before", "`model.generate(inputs)`, the coarse answer",
            ratio(encoded_score, encoded_answer), 0.6, detail=in_ms(encoded_score, encoded_answer)),
        Row("all four tasks and the score of a photo", "one task (coarse) and the score", ratio(everything, one), 2.0,
            detail=in_ms(everything, one)),
        Row("the score alone", "one task (coarse) and the score", ratio(plain, one), detail=in_ms(plain, one)),
        Row("detect in batches of 16, a photo", "detect one by one",
            statistics.median(batch) / len(seen) / statistics.median(everything), 0.6,
            detail=f"{statistics.median(batch) / len(seen):.0f} ms against {statistics.median(everything):.0f} ms"),
        Row("detect, all tasks, warm, half of the photos", "", walls[0][len(seen) // 2] / 1e3, 0.35, unit="s",
            detail=f"wall clock, {torch.get_num_threads()} thread(s); slowest {walls[0][-1] / 1e3:.2f} s; without the "
            f"face check {walls[1][len(seen) // 2] / 1e3:.2f} s"),
    ]  # fmt: skip


def by_turns_over(images: list[Image.Image], *functions, clock=time.process_time) -> list[list[float]]:
    """Each function's milliseconds, one a photo."""
    times: list[list[float]] = [[] for _ in functions]
    for image in images:
        for function, seen in zip(functions, times, strict=True):
            start = clock()
            function(image)
            seen.append((clock() - start) * 1e3)
    return times


@torch.inference_mode()
def score_and_answer(
    detector: FaceShield, images: list[Image.Image], encoded: bool = False
) -> tuple[list[float], list[float]]:
    """The model's own `score` and `generate` on what the processor gave: pictures, or what the tower made of them."""
    model, processor = detector.model, detector.processor
    question = {"type": "text", "text": QUESTIONS[Task.COARSE][0]}
    batches = [
        processor.apply_chat_template(
            [{"role": "user", "content": [{"type": "image", "image": image}, question]}],
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            add_generation_prompt=True,
        )
        for image in images
    ]
    if encoded:
        batches = [
            {
                "input_ids": batch["input_ids"],
                "attention_mask": batch["attention_mask"],
                "mm_encoder_outputs": {"image": model.model.encode_images(batch["pixel_values"], batch["sav_values"])},
            }
            for batch in batches
        ]
    score, answer = by_turns_over(
        batches, model.score, lambda batch: model.generate(**batch, do_sample=False, max_new_tokens=24)
    )
    return score, answer


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=16)
    parser.add_argument("--images", type=Path)
    options = parser.parse_args()
    print(HEADER, *(row.to_markdown() for row in measure(options.photos, options.images)), sep="\n")
