"""How the benchmarks measure: two sides by turns in one process, and the ratio between them.

Ratios hold from machine to machine where times do not. Both sides of a ratio run one after the other in every round,
and the median of the rounds' ratios counts, so that a busy moment hits both. The clock is processor time by default:
what else the machine does shows least in it. It knows nothing of what is measured.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        what (`str`): what was measured.
        against (`str`): what it is compared with; empty for a plain number.
        value (`float`): the ratio, or the number.
        reach (`float`, *optional*): the value to reach.
        unit (`str`): `"x"` for a ratio, else the number's unit.
        at_least (`bool`): whether `reach` is a least value; else it is a greatest one.
        detail (`str`): the two sides in milliseconds, and what else a reader wants to know.
    """

    what: str
    against: str
    value: float
    reach: float | None = None
    unit: str = "x"
    at_least: bool = False
    detail: str = ""

    @property
    def is_reached(self) -> bool | None:
        """Whether the value is where it should be; `None` if nothing was asked."""
        if self.reach is None:
            return None
        return self.value >= self.reach if self.at_least else self.value <= self.reach

    def to_markdown(self) -> str:
        """The line as markdown."""
        unit = self.unit if self.unit == "x" else f" {self.unit}"
        sign = "at least" if self.at_least else "at most"
        reach = "" if self.reach is None else f"{sign} {self.reach:g}{unit}"
        verdict = {True: "yes", False: "**no**", None: ""}[self.is_reached]
        return f"| {self.what} | {self.against} | {self.value:.2f}{unit} | {reach} | {verdict} | {self.detail} |"


HEADER = "| what | against | measured | to reach | reached | detail |\n|---|---|---|---|---|---|"


def by_turns(
    repeats: int, *functions: Callable[[], object], clock: Callable[[], float] = time.process_time
) -> list[list[float]]:
    """Time functions by turns.

    Args:
        repeats (`int`): rounds that count; one before them only fills caches.
        *functions (`Callable`): what to time.
        clock (`Callable`, *optional*, defaults to `time.process_time`): gives seconds.

    Returns:
        `list[list[float]]`: each function's milliseconds, one a round.
    """
    times: list[list[float]] = [[] for _ in functions]
    for turn in range(repeats + 1):
        for function, seen in zip(functions, times, strict=True):
            start = clock()
            function()
            if turn:
                seen.append((clock() - start) * 1e3)
    return times


def ratio(ours: list[float], theirs: list[float]) -> float:
    """The median of the rounds' ratios.

    Args:
        ours (`list[float]`): one side's times.
        theirs (`list[float]`): the other side's, round by round.

    Returns:
        `float`: below 1 where ours is faster.
    """
    return statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True))


def in_ms(ours: list[float], theirs: list[float]) -> str:
    """Both sides' medians in words."""
    return f"{statistics.median(ours):.1f} ms against {statistics.median(theirs):.1f} ms"
