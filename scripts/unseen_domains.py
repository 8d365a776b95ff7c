"""Print what checkpoints do in the simulator's domain that they never saw, one column a domain.

    python scripts/unseen_domains.py outputs/tiny-A/checkpoint outputs/tiny-B/checkpoint

Reads the `report.json` that `recipes/make_tiny.py --unseen_domain` leaves beside each checkpoint. The table is
Markdown, for docs/results/unseen-domains.md.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


_SHARES = {
    "HTER, score at the fitted threshold": "score.hter",
    "HTER, text verdict": "coarse.hter",
    "coarse ACC, text verdict": "coarse.acc",
    "AUC, score": "score.auc",
    "APCER of the worst species": "score.apcer_max",
    "BPCER": "score.bpcer",
    "fine ACC, 12 types": "fine.acc",
    "Acc@IoU 0.5 of all boxes": "localization.acc_iou50",
    "that of the constant box": "localization.median_box_acc_iou50",
    "AP@50": "localization.ap50",
    "reasoning verdict ACC": "reasoning.acc",
    "ECE of the score": "score.ece",
}


def main() -> None:
    """Read and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", type=Path, nargs="+", help="folders with a report.json")
    options = parser.parse_args()
    print(domains_table([read_reports(folder) for folder in options.checkpoints]))


def read_reports(folder: Path) -> dict[str, dict[str, Any]]:
    """The reports of a checkpoint.

    Args:
        folder (`Path`): the checkpoint's.

    Returns:
        `dict`: split and domains, such as "test-C" -> report.

    Raises:
        SystemExit: when the checkpoint has no reports.
    """
    file = folder / "report.json"
    if not file.is_file():
        raise SystemExit(f"{file} is not there: only a finished run of recipes/make_tiny.py leaves it")
    reports: dict[str, dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
    return reports


def domains_table(checkpoints: Sequence[Mapping[str, dict[str, Any]]]) -> str:
    """Every checkpoint's numbers in conditions never seen and, below, in those it was trained on.

    Args:
        checkpoints (`Sequence[Mapping[str, dict]]`): of each its reports.

    Returns:
        `str`: a table with a column a checkpoint and split; 95 % intervals in square brackets.
    """
    columns = [(name, report) for reports in checkpoints for name, report in reports.items()]
    unseen = [(name, report) for name, report in columns if len(name.partition("-")[2]) == 1]
    seen = [column for column in columns if column not in unseen]
    return f"Never seen:\n\n{_table(unseen)}\n\nTrained on:\n\n{_table(seen)}"


def _table(columns: Sequence[tuple[str, dict[str, Any]]]) -> str:
    lines = [
        "| | " + " | ".join(name.replace("-", ", ") for name, _ in columns) + " |",
        "|---" * (len(columns) + 1) + "|",
    ]
    lines += [f"| {label} | " + " | ".join(_cell(r, key) for _, r in columns) + " |" for label, key in _SHARES.items()]
    return "\n".join(lines)


def _cell(report: dict[str, Any], key: str) -> str:
    part, metric = key.split(".")
    text = f"{100 * report[part][metric]:.1f} %"
    if interval := report["intervals"].get(key):
        low, high = (100 * bound for bound in interval)
        text += f" [{low:.1f}, {high:.1f}]"
    return text


if __name__ == "__main__":
    main()
