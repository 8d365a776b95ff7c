"""How well a system does: metrics, protocols, scorers for any system, and the report with the papers' tables.

Example:
    >>> from faceshield_hf.evaluation import main
    >>> main(["--data", "no/such/folder", "--out", "report"])
    2
"""

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run `faceshield evaluate`; `command.py` says what it takes.

    Args:
        argv (`Sequence[str]`, *optional*): its arguments; those of the process if missing.

    Returns:
        `int`: 0, or 2 after bad input.
    """
    from faceshield_hf.evaluation.command import main as run_command

    return run_command(argv)
