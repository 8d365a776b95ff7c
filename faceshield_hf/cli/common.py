"""What the commands share: options, errors in one line, loading without noise, and other programs run to their end.

Example:
    >>> from faceshield_hf.cli.common import run_program
    >>> import sys
    >>> run_program([sys.executable, "-c", "raise SystemExit(3)"])
    3
"""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer


if TYPE_CHECKING:
    from faceshield_hf.detector import FaceShield


PACKAGE = Path(__file__).parents[1]
ModelOption = Annotated[
    str | None,
    typer.Option("--model", "-m", metavar="PATH", help="Checkpoint folder or Hub id; the embedded one by default."),
]


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn what a user can mend (`ValueError`, `OSError`) into one line and exit code 2; bugs keep their traceback."""
    try:
        yield
    except BrokenPipeError:
        raise
    except (ValueError, OSError) as error:
        typer.echo(f"faceshield: error: {' '.join(str(error).split())}", err=True)
        raise typer.Exit(2) from None


def load_detector(model: str | None, device: str | None) -> "FaceShield":
    """Load a checkpoint without transformers' own bars and load report on the terminal.

    Args:
        model (`str`, *optional*): folder or Hub id; the embedded checkpoint when `None`.
        device (`str`, *optional*): the fastest one there is when `None`.

    Returns:
        [`FaceShield`]: ready to use.
    """
    from transformers.utils import logging

    from faceshield_hf.detector import FaceShield

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    return FaceShield.from_pretrained(model, device=device)


def require(package: str, extra: str, what: str) -> None:
    """Make sure that an extra is installed.

    Args:
        package (`str`): one that the extra brings.
        extra (`str`): its name.
        what (`str`): what needs it, to begin a sentence.

    Raises:
        ValueError: says what to install.
    """
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        raise ValueError(f'{what} needs {package}: pip install "faceshield-hf[{extra}]"') from None


def find_folder(name: str, marker: str, what: str) -> Path:
    """Find a folder that stands beside the package in a checkout and inside it when installed from a wheel.

    Args:
        name (`str`): its name in the checkout.
        marker (`str`): a file that it holds.
        what (`str`): what it is, for the message.

    Returns:
        `Path`: the folder.

    Raises:
        ValueError: when it is in neither place.
    """
    places = (PACKAGE / f"_{name}", PACKAGE.parent / name)
    for place in places:
        if (place / marker).is_file():
            return place
    raise ValueError(
        f"{what} {'were' if what.endswith('s') else 'was'} not found: looked for {marker} in "
        f"{' and '.join(map(str, places))}. Install a wheel of this package, or work in a clone of its repository"
    )


def run_program(command: Sequence[str], environment: Mapping[str, str] | None = None) -> int:
    """Run a program until it ends by itself.

    Ctrl-C reaches it too (it stands in the same group of processes); it is given the time to put its files in order,
    where `subprocess.call` would kill it after a quarter of a second.

    Args:
        command (`Sequence[str]`): the program and its arguments.
        environment (`Mapping[str, str]`, *optional*): what is set besides this process's own environment.

    Returns:
        `int`: its exit code; 128 + n when signal n ended it, as shells say it.
    """
    process: subprocess.Popen[bytes] | None = None
    early: list[int] = []

    def hand_on(number: int, frame: Any) -> None:
        if process is None:
            early.append(number)
        # A terminal sends Ctrl-C to the whole group; what `kill` sends reaches this process alone.
        elif number == signal.SIGTERM:
            process.terminate()

    old: dict[signal.Signals, Any] = {}
    try:
        # Before the program starts, or a signal in between would end this process and leave the program alone. What is
        # ignored (as by `nohup`) stays so: the program inherits that, and would not inherit it past a handler.
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) != signal.SIG_IGN:
                old[number] = signal.signal(number, hand_on)
        process = subprocess.Popen(list(command), env={**os.environ, **(environment or {})})
        for signalled in early:
            process.send_signal(signalled)
        code = process.wait()
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
    return 128 - code if code < 0 else code
