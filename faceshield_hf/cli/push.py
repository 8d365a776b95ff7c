"""`faceshield push model | dataset | space`: to the Hub, in one commit.

Example:
    $ faceshield push model user/my-model --from outputs/my-model/sft --dry-run
    $ faceshield push dataset user/my-data --from outputs/built --gated manual
    $ faceshield push space user/my-space --model user/my-model
"""

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from faceshield_hf.cli.common import one_line_errors, require


if TYPE_CHECKING:
    from faceshield_hf.hub import Plan, Pushed
    from faceshield_hf.hub.commit import Gated


app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Put a model, a data set or the Space on the Hub, in one commit: whole or not at all.",
)


class Gate(str, Enum):
    """Who may have the files of a gated repository."""

    auto = "auto"
    manual = "manual"


Repo = Annotated[str, typer.Argument(metavar="USER/NAME", help="The repository; made if it isn't there.")]
Private = Annotated[bool, typer.Option("--private/--public", help="Whether only you may see it.")]
GatedOption = Annotated[Gate | None, typer.Option(help="Visitors must ask first: auto (all get it) or manual.")]
License = Annotated[str, typer.Option("--license", help="The Hub's name of the licence, unless the card says one.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="List what would go, send nothing; needs no token.")]
Update = Annotated[
    bool, typer.Option("--update", help="Change a repository that holds files: it then holds these and no other.")
]
Message = Annotated[str | None, typer.Option("--message", "-m", help="The commit's title.")]


@app.command(short_help="A checkpoint with its code and card.")
def model(
    repo: Repo,
    folder: Annotated[
        Path | None, typer.Option("--from", metavar="DIR", help="The checkpoint; the embedded one by default.")
    ] = None,
    private: Private = False,
    gated: GatedOption = None,
    license_: License = "apache-2.0",
    dry_run: DryRun = False,
    update: Update = False,
    message: Message = None,
) -> None:
    """Push a checkpoint: weights, processor, the code that loads them anywhere, and its card.

    It is loaded once before anything is sent. The token is that of `hf auth login` or HF_TOKEN.
    """
    with one_line_errors():
        from faceshield_hf.hub import plan_checkpoint, push_checkpoint

        gate = _gate(gated)
        if dry_run:
            _show(plan_checkpoint(folder, repo, private, gate, license_), update)
            return
        done = push_checkpoint(folder, repo, private, gate, license_, update, message)
        _report(done)
        typer.echo(f'FaceShield.from_pretrained("{repo}", revision="{done.revision}")')


@app.command(short_help="A data set as Parquet with its card.")
def dataset(
    repo: Repo,
    folder: Annotated[
        Path,
        typer.Option("--from", metavar="DIR", help="What build-dataset or simulate wrote."),
    ],
    private: Private = True,
    gated: GatedOption = None,
    license_: License = "other",
    dry_run: DryRun = False,
    update: Update = False,
    message: Message = None,
) -> None:
    """Push a data set: Parquet with the images inside, and its card. Private unless --public is said: it holds faces.

    The token is that of `hf auth login` or HF_TOKEN.
    """
    with one_line_errors():
        require("datasets", "train", "pushing a data set")
        from faceshield_hf.hub import plan_dataset, push_dataset

        gate = _gate(gated)
        if dry_run:
            with plan_dataset(folder, repo, private, gate, license_) as plan:
                _show(plan, update)
            return
        done = push_dataset(folder, repo, private, gate, license_, update, message)
        _report(done)
        typer.echo(f'datasets.load_dataset("{repo}", revision="{done.revision}")')


@app.command(short_help="The Space, with the package inside.")
def space(
    repo: Repo,
    model: Annotated[
        str | None, typer.Option("--model", metavar="USER/NAME", help="The checkpoint it shows; the embedded one.")
    ] = None,
    private: Private = False,
    dry_run: DryRun = False,
    update: Update = False,
    message: Message = None,
) -> None:
    """Push the Space: the page, the package beside it, and requirements; it needs nothing else to run.

    The token is that of `hf auth login` or HF_TOKEN.
    """
    with one_line_errors():
        from faceshield_hf.hub import plan_space, push_space

        if dry_run:
            _show(plan_space(repo, model, private), update)
            return
        _report(push_space(repo, model, private, update, message))


def _gate(gated: Gate | None) -> "Gated":
    if gated is None:
        return None
    return "auto" if gated is Gate.auto else "manual"


def _show(plan: "Plan", update: bool) -> None:
    typer.echo(plan.describe())
    if update:
        typer.echo("With --update, files of the repository that are not in this list are deleted.")
    typer.echo("Nothing was sent.")


def _report(done: "Pushed") -> None:
    typer.echo(f"{done.url}\ncommit {done.revision}")
