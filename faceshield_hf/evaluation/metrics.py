"""Metrics of presentation attack detection (ISO/IEC 30107-3 terms) on plain arrays.

Errors are shares 0..1. An attack is the positive class: scores are p(spoof), and a presentation is called an attack
from the threshold on. A decision that could not be read is wrong for either class. Nothing here knows models, images
or words; boxes are judged in `localization.py`.

| name | meaning |
|---|---|
| APCER | attacks called bona fide, a share of the attacks: of one species, of the worst one (max), of all (pooled) |
| BPCER | bona fide presentations called attack, as a share of them |
| HTER | mean of the pooled APCER (the field's FAR) and BPCER (its FRR) |
| ACER | mean of an APCER and BPCER; ISO no longer defines it, papers report it; with the worst species or pooled |
| EER | where pooled APCER and BPCER meet |
| TPR@FPR=1 % | bona fide accepted while at most 1 % of the attacks are: bona fide is the positive class, as in FLIP |
| BPCER@APCER=x % | lowest BPCER with a pooled APCER of at most x % |

Example:
    >>> import numpy as np
    >>> from faceshield_hf.evaluation.metrics import auc
    >>> auc(np.array([False, True]), np.array([0.2, 0.9]))
    1.0
"""

from collections.abc import Sequence

import numpy as np


APCER_LEVELS = (0.01, 0.05, 0.10)
"""The operating points of BPCER@APCER."""


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


def iso_rates(
    species: Sequence[str], is_attack: np.ndarray, called_attack: Sequence[bool | None]
) -> dict[str, float | dict[str, float]]:
    """The error rates with what needs the species of each attack.

    Args:
        species (`Sequence[str]`): of each presentation.
        is_attack (`np.ndarray` of shape `(n,)`): the truth.
        called_attack (`Sequence[bool | None]`): the decisions; `None` where none could be read.

    Returns:
        `dict`: what `error_rates` gives; `apcer`, a dict of species; `apcer_max`, the worst of them; `acer_max` and
            `acer_pooled`, the means of BPCER with the worst and with the pooled APCER.
    """
    rates = error_rates(is_attack, called_attack)
    per_species = apcer_per_species(species, is_attack, called_attack)
    worst = max(per_species.values())
    found: dict[str, float | dict[str, float]] = {**rates}
    return found | {
        "apcer": per_species,
        "apcer_max": worst,
        "acer_max": (worst + rates["bpcer"]) / 2,
        "acer_pooled": rates["hter"],
    }


def auc(is_attack: np.ndarray, scores: np.ndarray) -> float:
    """Area under the ROC curve: the share of attack and bona fide pairs in the right order, ties counting half."""
    truth = _both_classes(is_attack)
    scores = _finite(scores)
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    attacks, lives = int(truth.sum()), int((~truth).sum())
    return float((ranks[truth].sum() - attacks * (attacks + 1) / 2) / (attacks * lives))


def error_curve(is_attack: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Both error rates at every threshold that matters.

    Args:
        is_attack (`np.ndarray` of shape `(n,)`): the truth.
        scores (`np.ndarray` of shape `(n,)`): p(spoof).

    Returns:
        `tuple` of three `np.ndarray` of shape `(m,)`: thresholds, rising: the lowest score, the middles between
            neighbouring scores, and one above all; the pooled APCER, rising from 0 to 1; the BPCER, falling from
            1 to 0.
    """
    truth = _both_classes(is_attack)
    scores = _finite(scores)
    levels = np.unique(scores)
    thresholds = np.concatenate([levels[:1], (levels[1:] + levels[:-1]) / 2, [np.nextafter(levels[-1], np.inf)]])
    apcer = np.searchsorted(np.sort(scores[truth]), thresholds, side="left") / truth.sum()
    bpcer = 1 - np.searchsorted(np.sort(scores[~truth]), thresholds, side="left") / (~truth).sum()
    return thresholds, apcer, bpcer


def eer_threshold(is_attack: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    """The threshold at which both error rates are closest to each other, and the equal error rate there.

    Args:
        is_attack (`np.ndarray` of shape `(n,)`): the truth.
        scores (`np.ndarray` of shape `(n,)`): p(spoof).

    Returns:
        `tuple[float, float]`: threshold (half way between two neighbouring scores) and the mean of both errors.
    """
    thresholds, apcer, bpcer = error_curve(is_attack, scores)
    best = int(np.argmin(np.abs(apcer - bpcer)))
    return float(thresholds[best]), float((apcer[best] + bpcer[best]) / 2)


def bpcer_at_apcer(is_attack: np.ndarray, scores: np.ndarray, level: float) -> float:
    """The lowest BPCER that can be had with a pooled APCER of at most `level`.

    Args:
        is_attack (`np.ndarray` of shape `(n,)`): the truth.
        scores (`np.ndarray` of shape `(n,)`): p(spoof).
        level (`float`): APCER, 0..1.

    Returns:
        `float`: with fewer than `1 / level` attacks no attack may be missed at all.
    """
    _, apcer, bpcer = error_curve(is_attack, scores)
    return float(bpcer[apcer <= level].min())


def tpr_at_fpr(is_attack: np.ndarray, scores: np.ndarray, level: float = 0.01) -> float:
    """Share of bona fide accepted while at most `level` of the attacks are (FLIP's convention: real is positive)."""
    return 1 - bpcer_at_apcer(is_attack, scores, level)


def score_metrics(is_attack: np.ndarray, scores: np.ndarray) -> dict[str, float | dict[str, float]]:
    """What scores say without a threshold fixed beforehand.

    `eer` and `hter_oracle` use a threshold that was fitted on these very labels and are no results; nor are they a
    bound, since the EER threshold is not the one of the least HTER. `hter_oracle` is the HTER at the test set's own
    EER threshold, which FLIP and its successors print as HTER.

    Args:
        is_attack (`np.ndarray` of shape `(n,)`): the truth.
        scores (`np.ndarray` of shape `(n,)`): p(spoof).

    Returns:
        `dict`: `auc`, `eer`, `hter_oracle`, `tpr_at_fpr1`, and `bpcer_at_apcer`, a dict of "1", "5" and "10" (%).
    """
    _, eer = eer_threshold(is_attack, scores)
    return {
        "auc": auc(is_attack, scores),
        "eer": eer,
        "hter_oracle": eer,
        "tpr_at_fpr1": tpr_at_fpr(is_attack, scores),
        "bpcer_at_apcer": {f"{level:.0%}"[:-1]: bpcer_at_apcer(is_attack, scores, level) for level in APCER_LEVELS},
    }


def confusion(truth: Sequence[str], called: Sequence[str | None], names: Sequence[str]) -> list[list[int]]:
    """Count what each class was called.

    Args:
        truth (`Sequence[str]`): classes.
        called (`Sequence[str | None]`): what they were called; `None` where no class could be read.
        names (`Sequence[str]`): the classes, in the order of rows and columns.

    Returns:
        `list[list[int]]`: a row a true class; one column a class and a last one for what could not be read.
    """
    place = {name: i for i, name in enumerate(names)}
    table = np.zeros((len(names), len(names) + 1), int)
    for true, said in zip(truth, called, strict=True):
        table[place[true], len(names) if said is None else place[said]] += 1
    return table.tolist()


def _both_classes(is_attack: np.ndarray) -> np.ndarray:
    truth = np.asarray(is_attack, bool)
    if truth.all() or not truth.any():
        raise ValueError(
            f"got {int(truth.sum())} attacks and {int((~truth).sum())} bona fide presentations; error rates need both"
        )
    return truth


def _finite(scores: np.ndarray) -> np.ndarray:
    scores = np.asarray(scores, np.float64)
    if not np.isfinite(scores).all():
        raise ValueError(f"got {int((~np.isfinite(scores)).sum())} scores that are NaN or infinite; expected numbers")
    return scores
