"""What turns a score into a decision that can be trusted: temperature, threshold, the unsure band, the prior.

Everything is fitted on validation subjects and stored in the checkpoint (`score_temperature`, `score_threshold`,
`score_margin`); nothing is ever fitted on test images. It knows scores and labels, no models.

Example:
    >>> import numpy as np
    >>> from faceshield_hf.evaluation.calibration import fit_temperature
    >>> round(fit_temperature(np.array([True, True, False, False]), np.array([0.9, 0.9, 0.9, 0.1])), 2) > 1
    True
"""

import warnings
from collections.abc import Sequence

import numpy as np

from faceshield_hf.evaluation.metrics import eer_threshold, error_rates


BINS = 15
# float32 scores saturate at 0 and 1
_LOGIT_LIMIT = 30.0
_TEMPERATURES = (0.05, 20.0)


def log_odds(scores: np.ndarray | Sequence[float]) -> np.ndarray:
    """`log(p / (1 - p))`, at most 30 either way."""
    values = np.asarray(scores, np.float64)
    with np.errstate(divide="ignore"):
        return np.clip(np.log(values) - np.log1p(-values), -_LOGIT_LIMIT, _LOGIT_LIMIT)


def from_log_odds(values: np.ndarray | Sequence[float] | float) -> np.ndarray:
    """The inverse of `log_odds`."""
    return 1 / (1 + np.exp(-np.asarray(values, np.float64)))


def fit_temperature(is_attack: np.ndarray, scores: np.ndarray) -> float:
    """The factor by which log-odds must be divided for the labels to be most likely (Guo et al., arXiv 1706.04599).

    Args:
        is_attack (`np.ndarray` of shape `(n,)`): the truth, both classes.
        scores (`np.ndarray` of shape `(n,)`): p(spoof), 0..1.

    Returns:
        `float`: 0.05..20; at an end of it, with a warning, where the scores part the classes without an error (the
            likelihood then has no maximum), or tell nothing.

    Raises:
        ValueError: unless both classes are there.
    """
    from scipy.optimize import minimize_scalar

    truth = np.asarray(is_attack, bool)
    if truth.all() or not truth.any():
        raise ValueError(
            f"got {int(truth.sum())} attacks and {int((~truth).sum())} bona fide images; a temperature needs both"
        )
    signed = np.where(truth, 1, -1) * log_odds(scores)
    loss = lambda log_t: float(np.logaddexp(0, -signed / np.exp(log_t)).mean())  # noqa: E731
    low, high = np.log(_TEMPERATURES)
    log_t = float(minimize_scalar(loss, bounds=(low, high), method="bounded").x)
    if min(log_t - low, high - log_t) < 1e-3:
        warnings.warn(
            f"the temperature stopped at {np.exp(log_t):.3g}, an end of {_TEMPERATURES}: the {truth.size} scores part "
            "the classes without an error, or tell nothing; fit it on more images",
            stacklevel=2,
        )
    return float(np.exp(log_t))


def fit_margin(
    is_attack: np.ndarray,
    scores: np.ndarray,
    threshold: float,
    target_error: float = 0.01,
    max_unsure: float = 0.1,
) -> float:
    """The width of the unsure band: the smallest margin that leaves few errors among the decided.

    A score closer to the threshold than the margin is "unsure". The margin grows until at most `target_error` of what
    stays decided is wrong, but never so far that more than `max_unsure` of all is unsure.

    Args:
        is_attack (`np.ndarray` of shape `(n,)`): the truth.
        scores (`np.ndarray` of shape `(n,)`): p(spoof), 0..1.
        threshold (`float`): 0..1.
        target_error (`float`, *optional*, defaults to 0.01): share of the decided, 0..1.
        max_unsure (`float`, *optional*, defaults to 0.1): share of all, 0..1.

    Returns:
        `float`: 0 if the target is met without a band.
    """
    scores = np.asarray(scores, np.float64)
    distance = np.abs(scores - threshold)
    order = np.argsort(distance, kind="stable")
    wrong = ((scores >= threshold) != np.asarray(is_attack, bool))[order]
    near = distance[order]
    margin = 0.0
    for unsure in range(len(near) + 1):
        tied = 0 < unsure < len(near) and near[unsure] == near[unsure - 1]
        if tied:  # no margin parts equal distances
            continue
        if unsure > max_unsure * len(near):
            break
        margin = 0.0 if unsure == 0 else float(np.nextafter(near[unsure - 1], np.inf))
        if unsure == len(near) or wrong[unsure:].mean() <= target_error:
            break
    return margin


def unsure_band(is_attack: np.ndarray, scores: np.ndarray, threshold: float, margin: float) -> dict[str, float]:
    """How large the unsure band is and what it buys.

    Returns:
        `dict`: `margin`; `unsure`, the share of images inside; `error`, the share of errors among all;
            `error_decided`, among the images outside the band (0 if there are none).
    """
    scores = np.asarray(scores, np.float64)
    wrong = (scores >= threshold) != np.asarray(is_attack, bool)
    decided = np.abs(scores - threshold) >= margin
    return {
        "margin": margin,
        "unsure": float(1 - decided.mean()),
        "error": float(wrong.mean()),
        "error_decided": float(wrong[decided].mean()) if decided.any() else 0.0,
    }


def reliability(is_attack: np.ndarray, scores: np.ndarray, bins: int = BINS) -> list[dict[str, float]]:
    """Mean score and share of attacks in bins of equal width; what a reliability plot draws.

    Returns:
        `list[dict]`: of each bin that is not empty `low`, `high`, `count`, `score` and `attacks` (a share).
    """
    truth = np.asarray(is_attack, bool)
    scores = np.asarray(scores, np.float64)
    place = np.minimum((scores * bins).astype(int), bins - 1)
    return [
        {
            "low": i / bins,
            "high": (i + 1) / bins,
            "count": int((place == i).sum()),
            "score": float(scores[place == i].mean()),
            "attacks": float(truth[place == i].mean()),
        }
        for i in range(bins)
        if (place == i).any()
    ]


def expected_calibration_error(is_attack: np.ndarray, scores: np.ndarray, bins: int = BINS) -> float:
    """ECE: the mean distance of mean score and share of attacks over the bins, weighted by their counts."""
    rows = reliability(is_attack, scores, bins)
    total = sum(row["count"] for row in rows)
    return float(sum(row["count"] / total * abs(row["score"] - row["attacks"]) for row in rows))


def calibration_summary(
    is_attack: np.ndarray, scores: np.ndarray, threshold: float | None, margin: float
) -> dict[str, object]:
    """ECE, Brier score, negative log-likelihood, the bins, and the unsure band if there is a threshold."""
    truth = np.asarray(is_attack, bool)
    signed = np.where(truth, 1, -1) * log_odds(scores)
    summary: dict[str, object] = {
        "ece": expected_calibration_error(truth, scores),
        "brier": float(np.mean((np.asarray(scores, np.float64) - truth) ** 2)),
        "nll": float(np.logaddexp(0, -signed).mean()),
        "bins": reliability(truth, scores),
    }
    if threshold is not None:
        summary["unsure_band"] = unsure_band(truth, scores, threshold, margin)
    return summary


def remove_prior(scores: np.ndarray, blank_score: float) -> np.ndarray:
    """Take out what the language model says without seeing anything (arXiv 2403.05262).

    Each answer's probability is divided by the one that it has for a blank image, and the two are normalised again:
    the log-odds of the blank are subtracted. For two answers that shifts every score alike on the log-odds axis, so
    that rank metrics (AUC, EER) cannot change; only decisions at a threshold fixed beforehand can.

    Args:
        scores (`np.ndarray` of shape `(n,)`): p(spoof), 0..1.
        blank_score (`float`): p(spoof) of a blank image.
    """
    return from_log_odds(log_odds(scores) - log_odds([blank_score])[0])


def prior_ablation(
    is_attack: np.ndarray,
    scores: np.ndarray,
    blank_score: float,
    dev: tuple[np.ndarray, np.ndarray] | None = None,
) -> dict[str, object]:
    """The same images with and without the blank image's prior.

    Args:
        is_attack (`np.ndarray` of shape `(n,)`): the truth.
        scores (`np.ndarray` of shape `(n,)`): p(spoof), 0..1; NaN for an image that failed, which is wrong in either.
        blank_score (`float`): p(spoof) of a blank image.
        dev (`tuple`, *optional*): truth and scores of validation images, for the threshold.

    Returns:
        `dict`: `blank_score`, and under `plain` and `corrected`: `hter_at_half` (threshold 0.5), `ece`, and with `dev`
            `hter_dev` (threshold of the validation images' EER).
    """
    truth = np.asarray(is_attack, bool)
    variants = {"plain": lambda values: np.asarray(values, np.float64)}
    variants["corrected"] = lambda values: remove_prior(values, blank_score)
    known = np.isfinite(scores)
    result: dict[str, object] = {"blank_score": blank_score}
    for name, change in variants.items():
        changed = change(scores)
        ece = expected_calibration_error(truth[known], changed[known])
        row = {"hter_at_half": _hter(truth, changed, 0.5), "ece": ece}
        if dev is not None:
            threshold, _ = eer_threshold(dev[0], change(dev[1]))
            row["hter_dev"] = _hter(truth, changed, threshold)
        result[name] = row
    return result


def _hter(truth: np.ndarray, scores: np.ndarray, threshold: float) -> float:
    """HTER at a threshold; a score that is NaN decides nothing."""
    called = [bool(score >= threshold) if np.isfinite(score) else None for score in scores]
    return error_rates(truth, called)["hter"]
