"""The `faceshield` command: judge photos, make data, train, evaluate, push, serve, and say what is installed.

Every command is a thin shell over the Python interface; torch and transformers load inside the commands that need
them, so that `--help` answers at once. What can go wrong with a user's input becomes one line on standard error.

Exit codes, the same for every command:

| code | meaning |
|---|---|
| 0 | done, whatever the verdicts (a spoof is a result, not a failure) |
| 1 | only with `detect --exit-code`: at least one image was not judged real |
| 2 | bad usage or input: an unknown option, an unreadable image, a broken checkpoint; other images are still judged |
| 130 | stopped with Ctrl-C; what was finished is kept, and no file is left half-written |

`train` and `demo` end with the code of the program that they start.

Example:
    $ faceshield detect photo.jpg
    $ faceshield detect photos/ --task coarse --json | jq .score
"""

from typing import Annotated

import typer

from faceshield_hf.cli import about, data, detect, learn, push, serve
from faceshield_hf.memory import keep_freed_memory
from faceshield_hf.version import __version__


app = typer.Typer(
    no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None, help="Explainable face anti-spoofing."
)
# The words after these are the program's own: its options, its --help.
_HANDED_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False}

app.command(short_help="Judge face photos: live or attack, and why.")(detect.detect)
app.command(short_help="Make a data set of simulated attacks.")(data.simulate)
app.command(
    "build-dataset",
    short_help="Make instruction data: questions and answers about images.",
    context_settings=_HANDED_ON,
    add_help_option=False,
)(data.build_dataset)
app.command(
    short_help="Look through a built data set and decide what stays.",
    context_settings=_HANDED_ON,
    add_help_option=False,
)(data.review)
app.command(short_help="Measure a checkpoint by a protocol.", context_settings=_HANDED_ON, add_help_option=False)(
    learn.evaluate
)
app.command(short_help="Start a recipe with accelerate.", context_settings=_HANDED_ON)(learn.train)
app.add_typer(push.app, name="push", short_help="Put a model, a data set or the Space on the Hub.")
app.command(short_help="Answer programs: OpenAI-compatible chat and /v1/analyze.")(serve.serve)
app.command(short_help="Start the Space on this machine.")(about.demo)
app.command(short_help="Print versions, checkpoint and device.")(about.info)


def main() -> None:
    """Run the command line; the entry point of the `faceshield` script."""
    keep_freed_memory()
    app()


@app.callback(invoke_without_command=True)
def _top(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    if version:
        typer.echo(f"faceshield-hf {__version__}")
        raise typer.Exit
