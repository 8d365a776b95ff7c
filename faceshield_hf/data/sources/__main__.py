"""`python -m faceshield_hf.data.sources`: extract a data set, convert PADISI's joblib file, print a label map.

Example:
    python -m faceshield_hf.data.sources extract siw-mv2 --root SiW-Mv2 --out siw-frames --frames 10 --crop
"""

from pathlib import Path
from typing import Annotated

import typer

from .common import Splits
from .crop import Crop
from .extract import SKIPPED, Extracted
from .extract import extract as extract_frames
from .labels import label_table
from .padisi import convert
from .read import READERS


app = typer.Typer(help="Read the public data sets of face anti-spoofing.", no_args_is_help=True)


@app.command()
def extract(
    source: Annotated[str, typer.Argument(help="One of " + ", ".join(READERS) + ".")],
    root: Annotated[Path, typer.Option(help="The data set's folder, as it was delivered.")],
    out: Annotated[Path, typer.Option(help="The folder to write; a stopped run goes on.")],
    lists: Annotated[Path | None, typer.Option(help="The data set's own lists (see docs/sources.md).")] = None,
    fold: Annotated[int | None, typer.Option(help="Which of the lists, where they are numbered.")] = None,
    validation: Annotated[float, typer.Option(help="Share of the subjects for validation.")] = 0.1,
    test: Annotated[float, typer.Option(help="Share of the subjects for testing, without lists.")] = 0.1,
    seed: Annotated[int, typer.Option(help="Another seed, another split.")] = 0,
    frames: Annotated[int | None, typer.Option(help="At most so many of each recording.")] = None,
    crop: Annotated[bool, typer.Option("--crop", help="Cut out the face.")] = False,
    margin: Annotated[
        float | None,
        typer.Option(help=f"With --crop: its side in multiples of the face's; {Crop.margin} if not given."),
    ] = None,
    size: Annotated[
        int | None, typer.Option(help=f"With --crop: its side in pixels, 0 as it is; {Crop.size} if not given.")
    ] = None,
    keep_faceless: Annotated[
        bool, typer.Option("--keep-faceless", help="With --crop: keep images without a face whole.")
    ] = False,
    encoding: Annotated[str, typer.Option(help="png or jpg.")] = "png",
    workers: Annotated[int | None, typer.Option(help="Processes; all cores if not given.")] = None,
) -> None:
    """Write a data set's frames and metadata.jsonl into a folder."""
    try:
        cut = _crop(crop, margin, size, keep_faceless)
        splits = Splits(lists, fold, validation, test, seed)
        result = extract_frames(source, root, out, splits, frames, cut, encoding, workers)
    except (ValueError, ImportError) as error:
        raise _failure(error) from error
    _report(result, out)


@app.command("convert-padisi")
def convert_padisi(
    file: Annotated[Path, typer.Argument(help="padisi_USC_FACE_preprocessed.bz2")],
    out: Annotated[Path, typer.Option(help="The parquet file to write.")],
) -> None:
    """Convert PADISI's joblib file to parquet, admitting builtins and arrays only."""
    try:
        typer.echo(f"wrote {convert(file, out)}")
    except (ValueError, ImportError) as error:
        raise _failure(error) from error


@app.command()
def labels(source: Annotated[str, typer.Argument(help="One of " + ", ".join(READERS) + ".")]) -> None:
    """Print how a data set's labels map to the twelve types."""
    if source not in READERS:
        raise _failure(ValueError(f"unknown source {source!r}; choose from {', '.join(READERS)}"))
    typer.echo(label_table(source))


def _crop(crop: bool, margin: float | None, size: int | None, keep_faceless: bool) -> Crop | None:
    given = [
        name
        for name, is_given in (
            ("--margin", margin is not None),
            ("--size", size is not None),
            ("--keep-faceless", keep_faceless),
        )
        if is_given
    ]
    if not crop:
        if given:
            raise ValueError(f"got {' and '.join(given)} without --crop: add it, or leave them out")
        return None
    return Crop(Crop.margin if margin is None else margin, Crop.size if size is None else size, keep_faceless)


def _failure(error: Exception) -> typer.Exit:
    typer.echo(f"error: {error}", err=True)
    return typer.Exit(1)


def _report(result: Extracted, out: Path) -> None:
    for (split, kind), count in sorted(result.images.items()):
        typer.echo(f"{split:<12}{kind:<16}{count:>8}")
    typer.echo(f"{sum(result.images.values())} images in {result.table}")
    for reason, count in result.skipped.most_common(10):
        typer.echo(f"skipped {count}: {reason}")
    if result.skipped:
        typer.echo(f"skipped {sum(result.skipped.values())} in all, listed in {out / SKIPPED}")
    if result.shared:
        typer.echo(f"warning: {len(result.shared)} subjects are in more than one split, such as {result.shared[0]}")


if __name__ == "__main__":
    app(prog_name="python -m faceshield_hf.data.sources")
