"""From what a system said of each image to the numbers of a report.

Every share is 0..1. A decision that could not be read, and an image that could not be judged, is wrong for either
class. The threshold comes from elsewhere (validation images or the checkpoint); the only numbers that use a threshold
fitted on the judged images are called `eer` and `hter_oracle`. Sections whose task was not asked are left out.

Example:
    >>> from pathlib import Path
    >>> from faceshield_hf.data.samples import Sample
    >>> from faceshield_hf.evaluation.judged import Judged
    >>> from faceshield_hf.evaluation.summary import summarize
    >>> from faceshield_hf.tasks_faceshield import AttackType
    >>> kinds = {"a": AttackType.PRINT, "b": AttackType.BONAFIDE}
    >>> run = [Judged(Sample(Path(name), kind, name), float(name == "a"), {}) for name, kind in kinds.items()]
    >>> summarize(run, threshold=0.5)["score"]["hter"]
    0.0
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from faceshield_hf.evaluation import localization, metrics
from faceshield_hf.evaluation.bootstrap import subject_intervals
from faceshield_hf.evaluation.calibration import calibration_summary, prior_ablation
from faceshield_hf.evaluation.judged import Judged
from faceshield_hf.evaluation.text import against_template
from faceshield_hf.tasks_faceshield import AttackType, Box, Task


PARTS = (Task.COARSE, Task.FINE, Task.REASONING, Task.LOCALIZATION)
"""The tasks whose labels are compared with each other."""


def summarize(
    judged: Sequence[Judged],
    threshold: float | None,
    *,
    dev: Sequence[Judged] | None = None,
    references: Mapping[str, str] | None = None,
    seen_types: Collection[AttackType] | None = None,
    margin: float = 0.0,
    blank_score: float | None = None,
    resamples: int = 0,
    seed: int = 0,
) -> dict[str, Any]:
    """Everything that is reported of a run, as nested numbers.

    Args:
        judged (`Sequence[Judged]`): the run.
        threshold (`float`, *optional*): p(spoof) from which on a score is an attack, fixed before on other images;
            without one the scores are reported without decisions.
        dev (`Sequence[Judged]`, *optional*): validation images, whose EER threshold gives `score.hter_dev`.
        references (`Mapping[str, str]`, *optional*): path -> reference of the reasoning answer.
        seen_types (`Collection[AttackType]`, *optional*): types of the training images; the others are reported apart.
        margin (`float`, *optional*, defaults to 0.0): of the unsure band.
        blank_score (`float`, *optional*): p(spoof) of a blank image, to take out the language prior.
        resamples (`int`, *optional*, defaults to 0): bootstrap draws; 0 for no intervals.
        seed (`int`, *optional*, defaults to 0): of the bootstrap and of the shuffled references.

    Returns:
        `dict`: JSON values.

    Raises:
        ValueError: unless both bona fide and attack presentations are there.
    """
    attack = np.array([not j.sample.is_live for j in judged])
    metrics.error_rates(attack, attack.tolist())  # both classes, before anything is computed
    report: dict[str, Any] = {
        "images": len(judged),
        "bona_fide": int((~attack).sum()),
        "attacks": int(attack.sum()),
        "subjects": len(set(_subjects(judged))),
        "simulated": sum(j.sample.is_simulated is True for j in judged),
        "errors": image_errors(judged),
    }
    if any(j.score is not None for j in judged):
        report |= _scored(judged, attack, threshold, dev, margin, blank_score)
    asked = {task for j in judged for task in j.read}
    if Task.COARSE in asked:
        report["coarse"] = metrics.error_rates(attack, called(judged, Task.COARSE))
    if Task.FINE in asked:
        report["fine"] = _fine(judged, seen_types)
    if Task.REASONING in asked:
        report["reasoning"] = metrics.error_rates(attack, called(judged, Task.REASONING))
        if references:
            report["text"] = _text(judged, references, seed)
    if Task.LOCALIZATION in asked:
        report["localization"] = _localization(judged)
    if len(asked & set(PARTS)) > 1:
        report |= _consistency(judged, asked)
    if resamples:
        report["intervals"] = _intervals(judged, threshold, asked, resamples, seed)
    return report


def called(judged: Sequence[Judged], task: Task) -> list[bool | None]:
    """Whether each answer to a task says attack; `None` where it says nothing that can be read."""
    labels = [j.read[task].label if task in j.read else None for j in judged]
    return [None if label is None else label == "spoof" for label in labels]


def with_scores(judged: Sequence[Judged]) -> tuple[np.ndarray, np.ndarray]:
    """Truth (attack or not) and scores of the images that have one."""
    kept = [j for j in judged if j.score is not None]
    return np.array([not j.sample.is_live for j in kept], bool), np.array([j.score for j in kept], np.float64)


def image_errors(judged: Sequence[Judged]) -> dict[str, Any]:
    """How many images could not be judged (`count`), and of the first 50 why (`images`, path -> reason)."""
    failed = [j for j in judged if j.error is not None]
    return {"count": len(failed), "images": {str(j.sample.path): j.error for j in failed[:50]}}


def _subjects(judged: Sequence[Judged]) -> list[tuple[str, str]]:
    """Whose face each image shows; numbers of two data sets are not the same people."""
    return [(j.sample.source, j.sample.subject_id) for j in judged]


def _every_score(judged: Sequence[Judged]) -> np.ndarray:
    """The scores of all images; NaN where there is none."""
    return np.array([np.nan if j.score is None else j.score for j in judged], np.float64)


def _decide(judged: Sequence[Judged], threshold: float) -> list[bool | None]:
    return [None if j.score is None else bool(j.score >= threshold) for j in judged]


def _scored(
    judged: Sequence[Judged],
    attack: np.ndarray,
    threshold: float | None,
    dev: Sequence[Judged] | None,
    margin: float,
    blank_score: float | None,
) -> dict[str, Any]:
    truth, scores = with_scores(judged)
    species = [j.sample.attack_type.value for j in judged]
    section: dict[str, Any] = {}
    if threshold is not None:
        section = metrics.iso_rates(species, attack, _decide(judged, threshold)) | {"threshold": threshold}
    if truth.any() and not truth.all():  # else every image of a class failed: no pair left to compare
        section |= metrics.score_metrics(truth, scores)
    on_dev = None if dev is None else with_scores(dev)
    if on_dev is not None:
        at, _ = metrics.eer_threshold(*on_dev)
        section |= {"dev_threshold": at, "hter_dev": metrics.error_rates(attack, _decide(judged, at))["hter"]}
    calibration = calibration_summary(truth, scores, threshold, margin)
    section["ece"] = calibration["ece"]
    report = {"score": section, "calibration": calibration}
    if blank_score is not None:
        report["debias"] = prior_ablation(attack, _every_score(judged), blank_score, on_dev)
    return report


def _fine(judged: Sequence[Judged], seen_types: Collection[AttackType] | None) -> dict[str, Any]:
    found = [j.read.get(Task.FINE) for j in judged]
    said = [None if verdict is None else verdict.attack_type for verdict in found]
    right = np.array([kind is j.sample.attack_type for kind, j in zip(said, judged, strict=True)])
    types = [j.sample.attack_type for j in judged]
    per_class = {
        name: float(np.mean([r for r, kind in zip(right, types, strict=True) if kind.value == name]))
        for name in sorted({kind.value for kind in types})
    }
    names = [kind.value for kind in AttackType if kind in types or kind in said]
    section: dict[str, Any] = {
        "acc": float(right.mean()),
        "acc_balanced": float(np.mean(list(per_class.values()))),
        "parse_rate": float(np.mean([kind is not None for kind in said])),
        "per_class": per_class,
        "confusion": {
            "names": names,
            "rows": metrics.confusion(
                [kind.value for kind in types], [None if kind is None else kind.value for kind in said], names
            ),
        },
    }
    if seen_types is not None:
        seen = np.array([kind.is_live or kind in seen_types for kind in types])
        section["seen_types"] = [kind.value for kind in AttackType if kind in seen_types]
        section["acc_seen"] = float(right[seen].mean())
        if not seen.all():
            spoof = [verdict is not None and verdict.label == "spoof" for verdict in found]
            section["unseen_types"] = sorted({kind.value for kind, old in zip(types, seen, strict=True) if not old})
            section["unseen_called_spoof"] = float(np.mean(np.array(spoof)[~seen]))
    return section


def _text(judged: Sequence[Judged], references: Mapping[str, str], seed: int) -> dict[str, Any]:
    """All judged images with a reference; one without an answer said nothing."""
    kept = [j for j in judged if str(j.sample.path) in references]
    if not kept:
        raise ValueError(
            f"none of the {len(judged)} images has a reference text; the first is {judged[0].sample.path}: do the "
            "references name the same files?"
        )
    texts = [j.answers.get(Task.REASONING, "") for j in kept]
    told = [references[str(j.sample.path)] for j in kept]
    return against_template(texts, told, [j.sample.attack_type.value for j in kept], seed)


def _boxes_of(judged: Judged) -> tuple[Box, ...]:
    return judged.read[Task.LOCALIZATION].boxes if Task.LOCALIZATION in judged.read else ()


def annotated(judged: Sequence[Judged]) -> list[Judged]:
    """The images that localization is judged on: bona fide ones, and attacks whose boxes are known."""
    return [j for j in judged if j.sample.is_live or j.sample.boxes]


def _localization(judged: Sequence[Judged]) -> dict[str, Any]:
    known = annotated(judged)
    attacks = [j for j in known if not j.sample.is_live]
    live = [bool(_boxes_of(j)) for j in judged if j.sample.is_live]
    section: dict[str, Any] = {
        "annotated_attacks": len(attacks),
        "attacks_without_true_box": sum(not j.sample.is_live for j in judged) - len(attacks),
        "false_boxes_on_bona_fide": float(np.mean(live)),
    }
    if not attacks:
        return section
    names = sorted({j.sample.attack_type.value for j in attacks})
    medians = localization.class_median_boxes(
        {name: [j.sample.boxes for j in attacks if j.sample.attack_type.value == name] for name in names}
    )
    pairs = [(_boxes_of(j), j.sample.boxes) for j in attacks]
    constant = [(medians[j.sample.attack_type.value], j.sample.boxes) for j in attacks]
    section |= localization.box_metrics(pairs)
    section |= {f"median_box_{name}": value for name, value in localization.box_metrics(constant).items()}
    every = [(_boxes_of(j), j.sample.boxes) for j in known]
    ranks = [0.0 if j.score is None else j.score for j in known]
    for level in (40, 50):
        section[f"ap{level}"] = localization.average_precision(every, level / 100, ranks)
        section[f"ap{level}_unranked"] = localization.average_precision(every, level / 100)
        section[f"median_box_ap{level}"] = localization.average_precision(constant, level / 100)
    section["per_class"], section["classes"] = {}, {}
    for name in names:
        mine = [i for i, j in enumerate(attacks) if j.sample.attack_type.value == name]
        own = localization.box_metrics([pairs[i] for i in mine])
        base = localization.box_metrics([constant[i] for i in mine])
        section["per_class"][name] = own["acc_iou50"]
        section["classes"][name] = own | {f"median_box_{key}": value for key, value in base.items()}
        section["classes"][name]["images"] = len(mine)
    # Images of some types have several boxes and weigh more above.
    for key in ("acc_iou50", "median_box_acc_iou50"):
        section[f"class_mean_{key}"] = float(np.mean([values[key] for values in section["classes"].values()]))
    return section


def _consistency(judged: Sequence[Judged], asked: Collection[Task]) -> dict[str, Any]:
    """Whether all answers, and each two of them, give the same label; an unreadable one agrees with none."""
    tasks = [task for task in PARTS if task in asked]
    labels = {task: called(judged, task) for task in tasks}
    share = lambda flags: float(np.mean(list(flags)))  # noqa: E731
    agreement = {
        f"{first} = {second}": share(
            a is not None and a == b for a, b in zip(labels[first], labels[second], strict=True)
        )
        for i, first in enumerate(tasks)
        for second in tasks[i + 1 :]
    }
    if Task.FINE in tasks and Task.REASONING in tasks:
        agreement["type of fine = type of reasoning"] = share(
            Task.FINE in j.read
            and Task.REASONING in j.read
            and j.read[Task.FINE].attack_type is not None
            and j.read[Task.FINE].attack_type is j.read[Task.REASONING].attack_type
            for j in judged
        )
    alike = [len(set(row)) == 1 and row[0] is not None for row in zip(*labels.values(), strict=True)]
    return {"consistency": share(alike), "agreement": agreement}


def _intervals(
    judged: Sequence[Judged], threshold: float | None, asked: Collection[Task], resamples: int, seed: int
) -> dict[str, list[float]]:
    """Subject-bootstrap 95 % intervals of the main numbers, by their names in the report."""
    attack = np.array([not j.sample.is_live for j in judged])
    scores = _every_score(judged)
    decisions = {str(task): called(judged, task) for task in (Task.COARSE, Task.REASONING) if task in asked}
    if threshold is not None and np.isfinite(scores).any():
        decisions["score"] = _decide(judged, threshold)
    right = {
        name: np.array([said is not None and said == true for said, true in zip(values, attack, strict=True)])
        for name, values in decisions.items()
    }
    fine = _fine_right(judged) if Task.FINE in asked else None
    boxes = _BoxCounts(judged, scores) if Task.LOCALIZATION in asked and any(j.sample.boxes for j in judged) else None

    def statistics(rows: np.ndarray) -> dict[str, float]:
        truth = attack[rows]
        if truth.all() or not truth.any():
            raise ValueError("a draw without both classes")
        values: dict[str, float] = {}
        for name, flags in right.items():
            drawn = flags[rows]
            values[f"{name}.acc"] = float(drawn.mean())
            values[f"{name}.hter"] = float(2 - drawn[truth].mean() - drawn[~truth].mean()) / 2
        known = rows[np.isfinite(scores[rows])]
        if len(known):
            values["score.auc"] = metrics.auc(attack[known], scores[known])
        if fine is not None:
            values["fine.acc"] = float(fine[rows].mean())
        return values | (boxes.statistics(rows) if boxes is not None else {})

    return subject_intervals(_subjects(judged), statistics, resamples, seed)


def _fine_right(judged: Sequence[Judged]) -> np.ndarray:
    return np.array([Task.FINE in j.read and j.read[Task.FINE].attack_type is j.sample.attack_type for j in judged])


class _BoxCounts:
    """What each image adds to the localization numbers, matched once for all bootstrap draws."""

    def __init__(self, judged: Sequence[Judged], scores: np.ndarray) -> None:
        known = {id(j) for j in annotated(judged)}
        used = [id(j) in known for j in judged]
        true = [j.sample.boxes if use else () for j, use in zip(judged, used, strict=True)]
        found = [_boxes_of(j) if use else () for j, use in zip(judged, used, strict=True)]
        self.ious = [np.array(localization.matched_ious(f, t)) for f, t in zip(found, true, strict=True)]
        self.hits = [np.array(localization.greedy_hits(f, t, 0.5), bool) for f, t in zip(found, true, strict=True)]
        ranks = np.nan_to_num(scores)
        self.ranks = [np.full(len(hits), rank) for hits, rank in zip(self.hits, ranks, strict=True)]

    def statistics(self, rows: np.ndarray) -> dict[str, float]:
        ious = np.concatenate([self.ious[i] for i in rows])
        if not len(ious):
            return {}
        hits = np.concatenate([self.hits[i] for i in rows])
        ranks = np.concatenate([self.ranks[i] for i in rows])
        return {
            "localization.acc_iou50": float((ious >= 0.5).mean()),
            "localization.mean_iou": float(ious.mean()),
            "localization.ap50": localization.ranked_precision(hits, ranks, len(ious)),
        }
