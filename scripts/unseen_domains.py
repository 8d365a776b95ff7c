"""Print what checkpoints do in the simulator's domain that they never saw, one column a domain and split.

    python scripts/unseen_domains.py outputs/tiny-A/checkpoint outputs/tiny-B/checkpoint

Reads the `report.json` that `recipes/make_tiny.py --unseen_domain` leaves beside each checkpoint. The tables are
Markdown, for docs/results/unseen-domains.md.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from faceshield_hf.hub import results_table


def main() -> None:
    """Read and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", type=Path, nargs="+", help="folders with a report.json, another domain in each")
    options = parser.parse_args()
    print(domains_tables(options.checkpoints))


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


def domains_tables(folders: Sequence[Path]) -> str:
    """The checkpoints' numbers in the domains never seen and, below, in those trained on.

    Args:
        folders (`Sequence[Path]`): the checkpoints'.

    Returns:
        `str`: two tables with a column a domain and split; 95 % intervals in square brackets.

    Raises:
        SystemExit: when a checkpoint has no reports, or two have left out the same domain.
    """
    unseen: dict[str, dict[str, Any]] = {}
    seen: dict[str, dict[str, Any]] = {}
    for folder in folders:
        for name, report in read_reports(folder).items():
            columns = unseen if len(name.partition("-")[2]) == 1 else seen
            if name in columns:
                raise SystemExit(f"{folder} is a second checkpoint with the report {name}: give one a domain left out")
            columns[name] = report
    return "\n\n".join(results_table(columns, intervals=True) for columns in (unseen, seen))


if __name__ == "__main__":
    main()
