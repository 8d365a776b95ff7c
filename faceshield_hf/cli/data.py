"""`faceshield simulate`, `build-dataset` and `review`: the data, from photos of faces to instruction data.

Example:
    $ faceshield simulate --faces photos/ --out outputs/simulated --per-face 4
    $ faceshield build-dataset --config recipes/build-dataset/sft45k.yaml --inputs outputs/simulated --out built
"""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from faceshield_hf.cli.common import one_line_errors, require


class Domain(str, Enum):
    """The simulator's domains."""

    A = "A"
    B = "B"
    C = "C"


def simulate(
    faces: Annotated[Path, typer.Option(metavar="DIR", help="Folder of face photos, searched through.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where images/ and metadata.jsonl go.")],
    per_face: Annotated[int, typer.Option(min=1, help="Images made from each face, live ones included.")] = 12,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same bytes.")] = 0,
    domain: Annotated[Domain, typer.Option(help="Cameras, places and attack variants to draw from.")] = Domain.A,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; one a core by default.")] = None,
    subjects: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Columns file (from --faces) and subject; else each photo is a person."),
    ] = None,
) -> None:
    """Make a labelled data set of simulated attacks, with exact boxes, from photos of faces.

    A run that was stopped goes on where it was when it is started again. Read the result with
    datasets.load_dataset("imagefolder", data_dir=DIR).
    """
    with one_line_errors():
        from faceshield_hf.data.simulate.folder import read_subjects, simulate_folder

        people = None if subjects is None else read_subjects(subjects, faces)
        table = simulate_folder(faces, out, per_face, seed, domain.value, workers, subjects=people)
        images = _count_lines(table)
        typer.echo(f"{images} images in {out}")
        if skipped := _count_lines(out / "skipped.jsonl"):
            typer.echo(f"faceshield: {skipped} files or attacks gave no image: see {out / 'skipped.jsonl'}", err=True)
        if not images:
            raise ValueError(f"{faces} has no readable photo of a face")


def build_dataset(context: typer.Context) -> None:
    """Make instruction data from folders of images: `faceshield build-dataset --help` lists its options."""
    with one_line_errors():
        require("datasets", "train", "building a data set")
        from faceshield_hf.data.build import main

        raise typer.Exit(main(context.args))


def review(context: typer.Context) -> None:
    """Look through a built data set in a browser: `faceshield review --help` lists its options."""
    with one_line_errors():
        require("datasets", "train", "reviewing a data set")
        from faceshield_hf.data.review import main

        raise typer.Exit(main(context.args))


def _count_lines(file: Path) -> int:
    with file.open(encoding="utf-8") as lines:
        return sum(1 for _ in lines)
