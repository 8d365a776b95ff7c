"""Cells and grids of Markdown tables, out of reports.

Example:
    >>> from faceshield_hf.evaluation.cells import cell
    >>> cell({"coarse": {"acc": 0.5}, "intervals": {"coarse.acc": [0.4, 0.6]}}, "coarse", "acc")
    '50.00 % [40.0, 60.0]'
"""

from collections.abc import Mapping, Sequence
from typing import Any


Report = Mapping[str, Any]
OURS = "ours"


def name_of(run: Report) -> str:
    """The row of a run in tables."""
    return str(run.get("name") or run.get("model") or OURS)


def protocol_of(run: Report) -> str:
    """The protocol's name; empty if there is none."""
    return str(run.get("protocol") or "")


def cell(run: Report, section: str, key: str) -> str:
    """A share of a report as text, with its interval; a dash where it is missing."""
    value = (run.get(section, {}) if section else run).get(key)
    interval = run.get("intervals", {}).get(f"{section}.{key}")
    text = percent(value)
    return text if interval is None or value is None else f"{text} [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]"


def percent(share: float | None) -> str:
    """A share as text; a dash where it is missing."""
    return "-" if share is None else f"{100 * share:.2f} %"


def grid(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first row is the head."""
    clean = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    lines = ["| " + " | ".join(row) + " |" for row in clean]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])
