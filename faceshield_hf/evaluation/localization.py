"""How well boxes are found: accuracy at an IoU, average precision, mean IoU, false boxes, and the constant baseline.

Boxes are fractions of the image. Answers in words carry no confidence of a box; average precision, which ranks them,
therefore needs a score a box that the caller chooses, and accuracy at an IoU leads. With aligned faces one constant
box a class scores high: `class_median_boxes` is that baseline, and no result is shown without it.

Example:
    >>> from faceshield_hf.evaluation.localization import box_metrics
    >>> from faceshield_hf.tasks_faceshield import Box
    >>> box_metrics([([Box(0, 0, 1, 0.75)], [Box(0, 0, 1, 1)])])["mean_iou"]
    0.75
"""

from collections.abc import Mapping, Sequence
from itertools import chain

import numpy as np

from faceshield_hf.tasks_faceshield import Box


Pair = tuple[Sequence[Box], Sequence[Box]]
"""The boxes found in an image and its true ones."""

# COCO's recall levels: 0, 0.01, ... 1.
_RECALLS = np.linspace(0, 1, 101)


def matched_ious(found: Sequence[Box], true: Sequence[Box]) -> list[float]:
    """IoU of every true box with the box it is matched to, one to one, best sum first; 0 where none is left."""
    from scipy.optimize import linear_sum_assignment

    ious = np.array([[f.iou(t) for f in found] for t in true]).reshape(len(true), len(found))
    matched = np.zeros(len(true))
    rows, columns = linear_sum_assignment(-ious)
    matched[rows] = ious[rows, columns]
    return matched.tolist()


def box_metrics(pairs: Sequence[Pair]) -> dict[str, float]:
    """What is said of the boxes of attack images.

    Args:
        pairs (`Sequence[tuple]`): found and true boxes of each attack image; each has true ones.

    Returns:
        `dict`: `acc_iou40` and `acc_iou50`, the share of true boxes matched one to one with at least that IoU;
            `mean_iou` over the true boxes (0 for one that was not found); and `precision`, the share of found boxes
            with an IoU of at least 0.5 to a true one of their own.
    """
    ious = [matched_ious(found, true) for found, true in pairs]
    flat = np.array([iou for image in ious for iou in image])
    count = sum(len(found) for found, _ in pairs)
    right = int((flat >= 0.5).sum())
    return {
        "acc_iou50": float((flat >= 0.5).mean()),
        "acc_iou40": float((flat >= 0.4).mean()),
        "mean_iou": float(flat.mean()),
        "precision": right / count if count else 0.0,
    }


def average_precision(pairs: Sequence[Pair], threshold: float = 0.5, scores: Sequence[float] | None = None) -> float:
    """Average precision of all boxes as one class, interpolated at 101 recalls as COCO does.

    Found boxes are taken by falling score; each takes the free true box of its image that it overlaps most, if by at
    least the threshold, and is wrong otherwise. Images without true boxes count: what is found there is wrong.

    Args:
        pairs (`Sequence[tuple]`): found and true boxes of each image, bona fide ones too.
        threshold (`float`, *optional*, defaults to 0.5): IoU, 0..1.
        scores (`Sequence[float]`, *optional*): of each image's boxes; equal ones keep the images' order, as in COCO.
            If missing, all boxes are one step of the curve and no order counts.

    Returns:
        `float`: 0..1; NaN without any true box.
    """
    total = sum(len(true) for _, true in pairs)
    hits = [greedy_hits(found, true, threshold) for found, true in pairs]
    flat = list(chain(*hits))
    if scores is None:
        reached = float((sum(flat) / total >= _RECALLS).mean()) if total else float("nan")
        return reached * float(np.mean(flat)) if flat else 0.0 * reached
    weights = [[score] * len(found) for (found, _), score in zip(pairs, scores, strict=True)]
    return ranked_precision(flat, list(chain(*weights)), total)


def ranked_precision(hits: Sequence[bool] | np.ndarray, scores: Sequence[float] | np.ndarray, total: int) -> float:
    """Average precision of found boxes that are known to be right or wrong; equal scores keep their order.

    Args:
        hits (`Sequence[bool]`): of each found box whether it is right.
        scores (`Sequence[float]`): of each found box.
        total (`int`): how many true boxes there are.
    """
    if total == 0:
        return float("nan")
    if not len(hits):
        return 0.0
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    right = np.cumsum(np.asarray(hits, bool)[order])
    precision = right / np.arange(1, len(right) + 1)
    envelope = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
    return float(envelope[np.searchsorted(right / total, _RECALLS, side="left")].mean())


def greedy_hits(found: Sequence[Box], true: Sequence[Box], threshold: float) -> list[bool]:
    """Which found boxes are right: each takes the free true box that it overlaps most, if by enough."""
    free = list(range(len(true)))
    hits = []
    for box in found:
        # Of equal overlaps the later one, as pycocotools does.
        best = max(free, key=lambda i: (box.iou(true[i]), i), default=None)
        hit = best is not None and box.iou(true[best]) >= threshold
        hits.append(hit)
        if hit and best is not None:
            free.remove(best)
    return hits


def class_median_boxes(boxes_by_class: Mapping[str, Sequence[Sequence[Box]]]) -> dict[str, list[Box]]:
    """The constant answer of each class: per class the coordinate-wise median of its images' largest box.

    It is the baseline that localization must beat: with aligned faces it looks clever. Given the true class and fitted
    on the very boxes that it is judged on, it is the strongest constant of its kind.
    """
    medians = {}
    for name, images in boxes_by_class.items():
        largest = [max(boxes, key=lambda box: box.area) for boxes in images if boxes]
        if largest:
            corners = np.median([(b.x1, b.y1, b.x2, b.y2) for b in largest], axis=0).tolist()
            medians[name] = [Box(*corners)]
    return medians
