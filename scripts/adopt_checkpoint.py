"""Take a finished `recipes/make_tiny.py` run into the project: the checkpoint, its reports, the README's table.

    python scripts/adopt_checkpoint.py outputs/tiny

Writes `faceshield_hf/assets/faceshield-tiny` (weights, settings, card, numbers; its code stays the project's), the
reports in `docs/results`, and the table in `README.md`. Pictures that show faces are left out: they are not the
project's to give away. The training curves are `scripts/draw_training.py`'s.
"""

import argparse
import re
from pathlib import Path

from unseen_domains import read_reports

from faceshield_hf.hub import results_table
from faceshield_hf.whole_files import write_whole


ROOT = Path(__file__).resolve().parents[1]
_OF_FACES = ("boxes", "importance")  # plots of the evaluation
_SECTION = "## Results of the embedded checkpoint\n"


def main() -> None:
    """Copy what the run left."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="the run's working folder")
    parser.add_argument("--root", type=Path, default=ROOT, help="the project (default: this one)")
    options = parser.parse_args()
    adopt(options.run, options.root)


def adopt(run: Path, root: Path) -> None:
    """Copy a run's checkpoint and reports into the project.

    Args:
        run (`Path`): the working folder, with `checkpoint` and `report`.
        root (`Path`): the project's folder.

    Raises:
        SystemExit: when the run is not finished.
    """
    checkpoint, assets = run / "checkpoint", root / "faceshield_hf" / "assets" / "faceshield-tiny"
    reports = read_reports(checkpoint)
    readme = with_table((root / "README.md").read_text(encoding="utf-8"), results_table(reports))
    for file in sorted(checkpoint.iterdir()):
        if not file.name.endswith("_faceshield.py"):
            write_whole(assets / file.name, file.read_bytes())
    for name in reports:
        source, target = run / "report" / name, root / "docs" / "results" / name
        write_whole(target / "report.md", without_faces((source / "report.md").read_text(encoding="utf-8")))
        for plot in sorted((source / "plots").glob("*.png")):
            if plot.stem not in _OF_FACES:
                write_whole(target / "plots" / plot.name, plot.read_bytes())
    write_whole(root / "README.md", readme)


def with_table(readme: str, table: str) -> str:
    """The README with another table of results.

    Args:
        readme (`str`): its text.
        table (`str`): Markdown.

    Returns:
        `str`: the text with the first table of its section on results replaced.

    Raises:
        SystemExit: when the section or its table is not there.
    """
    before, found, after = readme.partition(_SECTION)
    rest, tables = re.subn(r"(?:^\|.*\n)+", lambda _: f"{table}\n", after, count=1, flags=re.MULTILINE)
    if not (found and tables):
        raise SystemExit(f"README.md has no table under {_SECTION.strip()!r}")
    return before + found + rest


def without_faces(report: str) -> str:
    """A report without the pictures that show faces, and a word of where they are.

    Args:
        report (`str`): `report.md`.

    Returns:
        `str`: the text.
    """
    kept, left_out = re.subn(rf"!\[(?:{'|'.join(_OF_FACES)})\]\([^)]*\)\n+", "", report)
    if not left_out:
        return report
    return kept.rstrip() + "\n\nThe pictures of boxes and of importance show faces; they stay in the run's folder.\n"


if __name__ == "__main__":
    main()
