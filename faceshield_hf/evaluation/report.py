"""`report.json` and `report.md`: the numbers of a run, laid out as FaceShield's tables with the paper's beside ours.

The tables are in `tables.py`, the rest of the sections in `details.py`. Other runs' reports become further rows. It
knows reports and computes nothing.

Example:
    >>> from faceshield_hf.evaluation.report import markdown_report
    >>> print(markdown_report({"images": 2, "coarse": {"acc": 1.0, "hter": 0.0}}).splitlines()[0])
    # Evaluation
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from faceshield_hf.evaluation.cells import Report
from faceshield_hf.evaluation.details import sections
from faceshield_hf.evaluation.tables import paper_tables
from faceshield_hf.whole_files import write_json, write_whole


# These are no shares.
_PLAIN = ("threshold", "margin", "nll", "brier", "blank_score")


def write_report(
    report: Report, folder: str | Path, beside: Sequence[Report] = (), pictures: Sequence[Path] = ()
) -> None:
    """Write `report.json` and `report.md` into a folder, each as a whole or not at all.

    Args:
        report (`Mapping`): what `summarize` gave, and whatever says how it was made.
        folder (`str` or `Path`): made if missing.
        beside (`Sequence[Mapping]`, *optional*): other runs' reports, as further rows of the tables.
        pictures (`Sequence[Path]`, *optional*): this run's plots, in the folder.
    """
    folder = Path(folder)
    write_json(folder / "report.json", dict(report))
    plots = sorted(path.relative_to(folder).as_posix() for path in pictures)
    write_whole(folder / "report.md", markdown_report(report, beside, plots))


def markdown_report(report: Report, beside: Sequence[Report] = (), plots: Sequence[str] = ()) -> str:
    """The whole report as Markdown.

    Args:
        report (`Mapping`): the run.
        beside (`Sequence[Mapping]`, *optional*): other runs, as further rows.
        plots (`Sequence[str]`, *optional*): paths of pictures to show, relative to the report.
    """
    runs = [report, *beside]
    parts = [_head(report), paper_tables(runs), *sections(report), _pictures(plots)]
    return "\n\n".join(part for part in parts if part) + "\n"


def markdown_table(report: Report) -> str:
    """The report's numbers as a table of two columns, nested names joined by spaces."""
    rows = ["| metric | value |", "|---|---|"]
    for name, value in _flat(report):
        plain = isinstance(value, int) or name.split(" ")[-1].endswith(_PLAIN)
        rows.append(f"| {name} | {_number(value) if plain else f'{100 * value:.1f} %'} |")
    return "\n".join(rows)


def _head(report: Report) -> str:
    lines = ["# Evaluation"]
    facts = [
        f"{key}: {report[key]}"
        for key in ("name", "model", "data", "protocol", "protocol_about", "threshold_from")
        if report.get(key)
    ]
    counts = [
        f"{report[key]} {key.replace('_', ' ')}"
        for key in ("images", "bona_fide", "attacks", "subjects")
        if key in report
    ]
    if report.get("left_out"):
        counts.append(f"{report['left_out']} more that no split of the protocol takes")
    lines += ["", *(f"- {fact}" for fact in facts), f"- {', '.join(counts)}"]
    if report.get("simulated"):
        lines += [
            "",
            f"**{report['simulated']} of the images are simulated: the numbers say nothing of real attacks.**",
        ]
    if report.get("command"):
        lines += ["", "Made by:", "", "```bash", str(report["command"]), "```"]
    if report.get("intervals"):
        lines += ["", "Square brackets: 95 % intervals, drawing subjects with replacement."]
    lines += [
        "",
        "**The paper's numbers are not comparable with ours.** The paper tested real attacks (WMCA, SiW-Mv2, PADISI), "
        "with lists, questions and references that are not public; ours are from the images named above, with "
        "references and splits of our own. They stand side by side to show the shape of the tables, not a ranking.",
    ]
    return "\n".join(lines)


def _pictures(plots: Sequence[str]) -> str:
    if not plots:
        return ""
    return "## Pictures\n\n" + "\n\n".join(f"![{Path(path).stem.replace('-', ' ')}]({path})" for path in plots)


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.4f}"


def _flat(report: Report, prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for name, value in report.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{name} ")
        elif isinstance(value, int | float):
            rows.append((prefix + name, value))
    return rows
