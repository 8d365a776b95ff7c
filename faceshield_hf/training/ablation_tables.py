"""Tables of ablations: means over seeds with intervals, differences paired by seed, and what they say in words.

They know numbers, not runs.

Example:
    >>> from faceshield_hf.training.ablation_tables import mean_interval
    >>> [round(value, 2) for value in mean_interval([0.8, 0.9, 1.0])]
    [0.9, 0.65, 1.15]
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


FEWEST_SEEDS = 3
# name in the tables -> where it stands in a report, and whether more is better
METRICS = {
    "coarse ACC": ("coarse", "acc", True),
    "HTER (text)": ("coarse", "hter", False),
    "HTER (dev threshold)": ("score", "hter_dev", False),
    "AUC": ("score", "auc", True),
    "fine ACC": ("fine", "acc", True),
    "reasoning ACC": ("reasoning", "acc", True),
    "Acc@IoU 0.5": ("localization", "acc_iou50", True),
}


def metrics_of(report: Mapping[str, Any]) -> dict[str, float]:
    """The tables' numbers of one run.

    Args:
        report (`Mapping`): the evaluation's report.

    Returns:
        `dict`: metric -> value; not-a-number for one that the report lacks or could not say.
    """
    found = {name: report.get(part, {}).get(key) for name, (part, key, _) in METRICS.items()}
    return {name: math.nan if value is None else value for name, value in found.items()}


def table_rows(values: Mapping[str, Mapping[int, Mapping[str, float]]]) -> list[dict[str, Any]]:
    """A table's numbers.

    Args:
        values (`Mapping`): variant -> seed -> metric -> value; the reference first.

    Returns:
        `list[dict]`: a row a variant: `variant`, `seeds` that are done, and for each metric `mean`, `low`, `high`
            (cut at 0 and 1: all metrics are shares), and of all but the first `difference` with its own interval.
    """
    names = list(values)
    rows = []
    for name in names:
        row: dict[str, Any] = {"variant": name, "seeds": sorted(values[name]), "metrics": {}}
        for metric in METRICS:
            found = [values[name][seed][metric] for seed in sorted(values[name])]
            mean, low, high = mean_interval(found)
            told: dict[str, Any] = {"mean": mean, "low": _share(low), "high": _share(high)}
            shared = sorted(values[name].keys() & values[names[0]].keys())
            if name != names[0] and shared:
                pairs = [values[name][seed][metric] - values[names[0]][seed][metric] for seed in shared]
                told["difference"] = dict(zip(("mean", "low", "high"), mean_interval(pairs), strict=True))
            row["metrics"][metric] = told
        rows.append(row)
    return rows


def _share(bound: float | None) -> float | None:
    return None if bound is None else min(1.0, max(0.0, bound))


def mean_interval(values: Sequence[float]) -> tuple[float | None, float | None, float | None]:
    """Mean and its 95 % interval by Student's t.

    Two runs that happen to agree would have an interval without width, so that two give none.

    Args:
        values (`Sequence[float]`): one a seed; not-a-number counts for none.

    Returns:
        `tuple`: mean, lower and upper end; `None` where there are too few values, fewer than three for an interval.
    """
    from scipy.stats import t

    known = np.array([value for value in values if not math.isnan(value)])
    if not len(known):
        return None, None, None
    mean = float(known.mean())
    if len(known) < FEWEST_SEEDS:
        return mean, None, None
    half = float(t.ppf(0.975, len(known) - 1) * known.std(ddof=1) / math.sqrt(len(known)))
    return mean, mean - half, mean + half


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """A table of `table_rows` as Markdown, in per cent.

    Args:
        rows (`Sequence[dict]`): what `table_rows` gave.

    Returns:
        `str`: the table and, below it, in words what helped and what did not.
    """
    lines = ["| variant | seeds | " + " | ".join(_heading(metric) for metric in METRICS) + " |"]
    lines.append("|---" * (len(METRICS) + 2) + "|")
    for row in rows:
        cells = [_cell(row["metrics"][metric]) for metric in METRICS]
        lines.append(f"| {row['variant']} | {len(row['seeds'])} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", *(_in_words(row, rows[0]["variant"]) for row in rows[1:])])


def _heading(metric: str) -> str:
    return f"{metric} {'↑' if METRICS[metric][2] else '↓'}"


def _cell(told: dict[str, Any]) -> str:
    text = _number(told)
    if "difference" in told:
        marked = _number(told["difference"], sign=True)
        text += f"<br>{f'**{marked}**' if _clear(told['difference']) else marked}"
    return text


def _number(told: dict[str, float | None], sign: bool = False) -> str:
    mean, low, high = told["mean"], told["low"], told["high"]
    if mean is None:
        return "-"
    text = f"{100 * mean:{'+' if sign else ''}.1f}"
    return text if low is None or high is None else f"{text} [{100 * low:.1f}, {100 * high:.1f}]"


def _clear(difference: dict[str, float | None]) -> bool:
    """Whether an interval leaves out zero; none does not."""
    low, high = difference["low"], difference["high"]
    return low is not None and high is not None and (low > 0 or high < 0)


def _in_words(row: dict[str, Any], reference: str) -> str:
    differences = {name: told["difference"] for name, told in row["metrics"].items() if "difference" in told}
    found: dict[str, list[str]] = {"better": [], "worse": []}
    for metric, difference in differences.items():
        if _clear(difference):
            found["better" if (difference["mean"] > 0) == METRICS[metric][2] else "worse"].append(metric)
    told = [f"{kind} in {', '.join(names)}" for kind, names in found.items() if names]
    if not differences:
        told = ["not compared, no seed is done for both"]
    elif all(difference["low"] is None for difference in differences.values()):
        told = [f"fewer than {FEWEST_SEEDS} seeds say nothing about chance: run more"]
    return f"- **{row['variant']}** against {reference}: {'; '.join(told) or 'no difference shown'}."
