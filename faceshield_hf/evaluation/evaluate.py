"""Run a detector over a folder of labelled images and say how well it did.

Every image is asked all tasks; nothing is fitted here, the checkpoint's own threshold decides. It knows the folder
format of `data/samples.py` and the detector; the arithmetic is in `metrics.py`.

Example:
    >>> from faceshield_hf.evaluation.evaluate import markdown_table
    >>> print(markdown_table({"coarse": {"acc": 0.5}}).splitlines()[-1])
    | coarse acc | 50.0 % |
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from faceshield_hf.data.samples import Sample
from faceshield_hf.decision import TASKS
from faceshield_hf.detector import FaceShield
from faceshield_hf.evaluation import metrics
from faceshield_hf.tasks_faceshield import Task, Verdict, parse_answer


@dataclass(frozen=True)
class Judged:
    """One image, what is true of it and what the detector said."""

    sample: Sample
    score: float
    read: dict[Task, Verdict]


def judge(detector: FaceShield, samples: Sequence[Sample], batch_size: int = 8) -> list[Judged]:
    """Ask the detector all tasks about every sample.

    Args:
        detector (`FaceShield`): the detector.
        samples (`Sequence[Sample]`): labelled images.
        batch_size (`int`, *optional*, defaults to 8): images at once.

    Returns:
        `list[Judged]`: in the samples' order; each task's answer is read by itself, before the detector combines them.
    """
    judged = []
    for start in tqdm(range(0, len(samples), batch_size), desc="evaluating", unit="batch"):
        batch = samples[start : start + batch_size]
        verdicts = detector.detect_batch([s.path for s in batch], TASKS, quality=False, batch_size=batch_size)
        for sample, verdict in zip(batch, verdicts, strict=True):
            if isinstance(verdict, ValueError) or verdict.score is None:
                raise ValueError(f"{sample.path}: no verdict ({verdict})")
            read = {task: parse_answer(verdict.answers[task.value], task) for task in TASKS}
            judged.append(Judged(sample, verdict.score, read))
    return judged


def summarize(judged: Sequence[Judged], threshold: float) -> dict[str, Any]:
    """Everything that is reported of a run, as nested numbers.

    Args:
        judged (`Sequence[Judged]`): the run.
        threshold (`float`): p(spoof) from which on a score is an attack, fixed before on other images.

    Returns:
        `dict`: counts, and the metrics of the score and of the four tasks; shares 0..1.
    """
    attack = np.array([not j.sample.is_live for j in judged])
    scores = np.array([j.score for j in judged])
    species = [j.sample.attack_type.value for j in judged]
    by_score = [bool(score >= threshold) for score in scores]
    attacks = [j for j in judged if not j.sample.is_live]
    pairs = [(j.read[Task.LOCALIZATION].boxes, j.sample.boxes) for j in attacks]
    true_boxes: dict[str, list] = {}
    for j in attacks:
        true_boxes.setdefault(j.sample.attack_type.value, []).append(j.sample.boxes)
    constant = metrics.class_median_boxes(true_boxes)
    apcer = metrics.apcer_per_species(species, attack, by_score)
    return {
        "images": len(judged),
        "bona_fide": int((~attack).sum()),
        "attacks": int(attack.sum()),
        "subjects": len({j.sample.subject_id for j in judged}),
        "score": metrics.error_rates(attack, by_score)
        | {
            "auc": metrics.auc(attack, scores),
            "threshold": threshold,
            "apcer_max": max(apcer.values()),
            "apcer": apcer,
        },
        "coarse": metrics.error_rates(attack, _called(judged, Task.COARSE)),
        "fine": _fine(judged),
        "reasoning": metrics.error_rates(attack, _called(judged, Task.REASONING)),
        "localization": {
            "acc_iou50": metrics.box_accuracy(pairs),
            "acc_iou40": metrics.box_accuracy(pairs, 0.4),
            "median_box_acc_iou50": metrics.box_accuracy(
                [(constant[j.sample.attack_type.value], j.sample.boxes) for j in attacks]
            ),
            "false_boxes_on_bona_fide": float(
                np.mean([bool(j.read[Task.LOCALIZATION].boxes) for j in judged if j.sample.is_live])
            ),
            "per_class": {
                name: metrics.box_accuracy(
                    [p for p, j in zip(pairs, attacks, strict=True) if j.sample.attack_type.value == name]
                )
                for name in sorted(true_boxes)
            },
        },
        "consistency": float(np.mean([_agrees(j) for j in judged])),
    }


def markdown_table(report: dict[str, Any]) -> str:
    """The report's numbers as a table of two columns, nested names joined by spaces."""
    rows = ["| metric | value |", "|---|---|"]
    for name, value in _flat(report):
        rows.append(f"| {name} | {value} |" if isinstance(value, int) else f"| {name} | {100 * value:.1f} % |")
    return "\n".join(rows)


def write_report(report: dict[str, Any], folder: str | Path) -> None:
    """Write `report.json` and `report.md` into a folder."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    (folder / "report.md").write_text(markdown_table(report) + "\n", encoding="utf-8")


def _called(judged: Sequence[Judged], task: Task) -> list[bool | None]:
    labels = [j.read[task].label for j in judged]
    return [None if label is None else label == "spoof" for label in labels]


def _fine(judged: Sequence[Judged]) -> dict[str, Any]:
    right: dict[str, list[bool]] = {}
    for j in judged:
        right.setdefault(j.sample.attack_type.value, []).append(j.read[Task.FINE].attack_type is j.sample.attack_type)
    return {
        "acc": float(np.mean([value for values in right.values() for value in values])),
        "acc_balanced": float(np.mean([np.mean(values) for values in right.values()])),
        "per_class": {name: float(np.mean(values)) for name, values in sorted(right.items())},
    }


def _agrees(judged: Judged) -> bool:
    """Whether all four answers give the same label."""
    return len({verdict.label for verdict in judged.read.values()}) == 1


def _flat(report: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for name, value in report.items():
        if isinstance(value, dict):
            rows += _flat(value, f"{prefix}{name} ")
        elif isinstance(value, int | float):
            rows.append((prefix + name, value))
    return rows
