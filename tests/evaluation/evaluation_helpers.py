"""Labelled images and systems that are cheap: for the tests of the evaluation."""

import hashlib
import json
from pathlib import Path

import numpy as np
from PIL import Image

from faceshield_hf.data.samples import read_samples
from faceshield_hf.evaluation.judged import judged_from
from faceshield_hf.evaluation.results import Said
from faceshield_hf.tasks_faceshield import AttackType, Task, Verdict, format_answer


TYPES = (AttackType.BONAFIDE, AttackType.PRINT, AttackType.BONAFIDE, AttackType.REPLAY)
REGION = (0.25, 0.25, 0.75, 0.75)


def write_images(folder: Path, count: int = 8, subjects: int = 4, side: int = 40, **row) -> Path:
    """A folder of noise with `metadata.jsonl`: bona fide, Print, bona fide, Replay in turn."""
    folder.mkdir(parents=True)
    rows = []
    for i in range(count):
        kind = TYPES[i % len(TYPES)]
        noise = np.random.default_rng(i).integers(0, 256, (side, side, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{i}.png")
        boxes = [] if kind.is_live else [list(REGION)]
        told = {"file_name": f"{i}.png", "attack_type": kind.value, "boxes": boxes, "subject_id": f"s{i % subjects}"}
        rows.append(told | {"domain": "A"} | row)
    (folder / "metadata.jsonl").write_text("".join(json.dumps(told) + "\n" for told in rows))
    return folder


def perfect_answers(sample) -> dict[str, str]:
    """What a system says that is always right."""
    verdict = Verdict(
        label="real" if sample.is_live else "spoof",
        attack_type=sample.attack_type,
        boxes=sample.boxes,
        explanation="x",
    )
    tasks = (Task.COARSE, Task.FINE, Task.REASONING, Task.LOCALIZATION)
    return {task.value: format_answer(verdict, task) for task in tasks}


def perfect(samples) -> list:
    """A run that is always right."""
    return [
        judged_from(sample, Said(str(sample.path), float(not sample.is_live), perfect_answers(sample)))
        for sample in samples
    ]


class PixelScorer:
    """A system whose score comes from the picture's bytes; `asked` keeps what it was asked."""

    name = "pixels"
    reads_images = True
    threshold = 0.5
    margin = 0.0

    def __init__(self, refuse: str = "") -> None:
        self.asked: list[str] = []
        self.refuse = refuse

    def say(self, paths, images):
        self.asked += paths
        if any(self.refuse and path.endswith(self.refuse) for path in paths):
            raise ValueError("no face in it")
        marks = [hashlib.sha256(image.tobytes()).digest()[0] / 255 for image in images]
        return [Said(path, mark) for path, mark in zip(paths, marks, strict=True)]

    def made_by(self):
        return {"scorer": "pixels"}


def read(folder: Path):
    return read_samples(folder)
