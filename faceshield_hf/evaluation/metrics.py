"""Metrics of presentation attack detection (ISO/IEC 30107-3 terms) and of localization, on plain arrays.

Errors are shares 0..1. An attack is the positive class: scores are p(spoof), and a presentation is called an attack
from the threshold on. A verdict that could not be read is wrong for either class. Nothing here knows models or images.

Example:
    >>> import numpy as np
    >>> from faceshield_hf.evaluation.metrics import auc
    >>> auc(np.array([False, True]), np.array([0.2, 0.9]))
    1.0
"""

from collections.abc import Mapping, Sequence

import numpy as np

from faceshield_hf.tasks_faceshield import Box


def error_rates(is_attack: np.ndarray, called_attack: Sequence[bool | None]) -> dict[str, float]:
    """Accuracy and the two error rates of decisions.

    Args:
        is_attack (`np.ndarray` of shape `(n,)`): the truth.
        called_attack (`Sequence[bool | None]`): the decisions; `None` where none could be read.

    Returns:
        `dict`: `acc`; `apcer_pooled`, the share of all attacks called bona fide; `bpcer`, the share of bona fide
            presentations called attack; `hter`, their mean; `parse_rate`, the share of decisions that could be read.

    Raises:
        ValueError: unless both bona fide and attack presentations are there.
    """
    truth = _both_classes(is_attack)
    right = np.array(
        [called is not None and bool(called) == attack for called, attack in zip(called_attack, truth, strict=True)]
    )
    apcer = float(1 - right[truth].mean())
    bpcer = float(1 - right[~truth].mean())
    return {
        "acc": float(right.mean()),
        "apcer_pooled": apcer,
        "bpcer": bpcer,
        "hter": (apcer + bpcer) / 2,
        "parse_rate": float(np.mean([called is not None for called in called_attack])),
    }


def apcer_per_species(
    species: Sequence[str], is_attack: np.ndarray, called_attack: Sequence[bool | None]
) -> dict[str, float]:
    """APCER of every presentation attack instrument species (ISO/IEC 30107-3, 13.2.2).

    Args:
        species (`Sequence[str]`): of each presentation.
        is_attack (`np.ndarray` of shape `(n,)`): the truth.
        called_attack (`Sequence[bool | None]`): the decisions.

    Returns:
        `dict[str, float]`: species -> share of its attacks not called attack.
    """
    missed: dict[str, list[bool]] = {}
    for name, attack, called in zip(species, is_attack, called_attack, strict=True):
        if attack:
            missed.setdefault(name, []).append(not called)
    return {name: float(np.mean(values)) for name, values in sorted(missed.items())}


def auc(is_attack: np.ndarray, scores: np.ndarray) -> float:
    """Area under the ROC curve: the share of attack and bona fide pairs in the right order, ties counting half."""
    truth = _both_classes(is_attack)
    scores = np.asarray(scores, np.float64)
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    attacks, lives = int(truth.sum()), int((~truth).sum())
    return float((ranks[truth].sum() - attacks * (attacks + 1) / 2) / (attacks * lives))


def eer_threshold(is_attack: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    """The threshold at which both error rates are closest to each other, and the equal error rate there.

    Args:
        is_attack (`np.ndarray` of shape `(n,)`): the truth.
        scores (`np.ndarray` of shape `(n,)`): p(spoof).

    Returns:
        `tuple[float, float]`: threshold (half way between two neighbouring scores) and the mean of both errors.
    """
    truth = _both_classes(is_attack)
    scores = np.asarray(scores, np.float64)
    levels = np.unique(scores)
    thresholds = np.concatenate([levels[:1], (levels[1:] + levels[:-1]) / 2, [np.nextafter(levels[-1], np.inf)]])
    missed = np.searchsorted(np.sort(scores[truth]), thresholds, side="left") / truth.sum()
    accused = 1 - np.searchsorted(np.sort(scores[~truth]), thresholds, side="left") / (~truth).sum()
    best = int(np.argmin(np.abs(missed - accused)))
    return float(thresholds[best]), float((missed[best] + accused[best]) / 2)


def matched_ious(found: Sequence[Box], true: Sequence[Box]) -> list[float]:
    """IoU of every true box with the box it is matched to, one to one, best sum first; 0 where none is left."""
    from scipy.optimize import linear_sum_assignment

    ious = np.array([[f.iou(t) for f in found] for t in true]).reshape(len(true), len(found))
    matched = np.zeros(len(true))
    rows, columns = linear_sum_assignment(-ious)
    matched[rows] = ious[rows, columns]
    return matched.tolist()


def box_accuracy(pairs: Sequence[tuple[Sequence[Box], Sequence[Box]]], threshold: float = 0.5) -> float:
    """Acc@IoU: the share of true boxes matched one to one with an IoU of at least the threshold.

    Args:
        pairs (`Sequence[tuple]`): found and true boxes of each attack image.
        threshold (`float`, *optional*, defaults to 0.5): IoU, 0..1.
    """
    ious = [iou for found, true in pairs for iou in matched_ious(found, true)]
    return float(np.mean([iou >= threshold for iou in ious])) if ious else float("nan")


def class_median_boxes(boxes_by_class: Mapping[str, Sequence[Sequence[Box]]]) -> dict[str, list[Box]]:
    """The constant answer of each class: per class the coordinate-wise median of its images' largest box.

    It is the baseline that localization must beat: with aligned faces it looks clever.
    """
    medians = {}
    for name, images in boxes_by_class.items():
        largest = [max(boxes, key=lambda box: box.area) for boxes in images if boxes]
        if largest:
            corners = np.median([(b.x1, b.y1, b.x2, b.y2) for b in largest], axis=0).tolist()
            medians[name] = [Box(*corners)]
    return medians


def _both_classes(is_attack: np.ndarray) -> np.ndarray:
    truth = np.asarray(is_attack, bool)
    if truth.all() or not truth.any():
        raise ValueError(
            f"got {int(truth.sum())} attacks and {int((~truth).sum())} bona fide presentations; error rates need both"
        )
    return truth
