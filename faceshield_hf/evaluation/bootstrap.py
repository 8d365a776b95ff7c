"""95 % intervals by drawing subjects, not images, with replacement.

Images of one person resemble each other: drawing single images would make intervals too narrow. It knows arrays and a
function of them; nothing of what is measured.

Example:
    >>> import numpy as np
    >>> from faceshield_hf.evaluation.bootstrap import subject_intervals
    >>> values = np.array([0.0, 0.0, 1.0, 1.0])
    >>> subject_intervals(["a", "a", "b", "b"], lambda rows: {"mean": float(values[rows].mean())}, resamples=200)
    {'mean': [0.0, 1.0]}
"""

from collections.abc import Callable, Hashable, Sequence

import numpy as np


def subject_intervals(
    subjects: Sequence[Hashable],
    statistics: Callable[[np.ndarray], dict[str, float]],
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, list[float]]:
    """Percentile intervals of statistics under resampling of subjects (Efron's bootstrap, clustered).

    Args:
        subjects (`Sequence[Hashable]`): of each image.
        statistics (`Callable`): takes the indices of the drawn images, repeated as often as their subject was drawn,
            and gives named numbers; it may raise `ValueError` where a draw lacks a class. NaN is left out.
        resamples (`int`, *optional*, defaults to 1000): draws.
        seed (`int`, *optional*, defaults to 0): of the draws.
        level (`float`, *optional*, defaults to 0.95): 0..1.

    Returns:
        `dict[str, list[float]]`: name -> low and high end; empty with fewer than two subjects. Draws without bona
            fide or without attacks are left out; a name is left out if nine draws in ten gave it no number.
    """
    rows_of: dict[Hashable, list[int]] = {}
    for row, subject in enumerate(subjects):
        rows_of.setdefault(subject, []).append(row)
    groups = [np.array(rows) for rows in rows_of.values()]
    if len(groups) < 2:
        return {}
    rng = np.random.default_rng(seed)
    drawn: dict[str, list[float]] = {}
    for _ in range(resamples):
        rows = np.concatenate([groups[i] for i in rng.integers(len(groups), size=len(groups))])
        try:
            values = statistics(rows)
        except ValueError:
            continue
        for name, value in values.items():
            if np.isfinite(value):
                drawn.setdefault(name, []).append(value)
    tail = 100 * (1 - level) / 2
    return {
        name: np.percentile(values, [tail, 100 - tail]).tolist()
        for name, values in drawn.items()
        if len(values) >= resamples / 10
    }
