"""The callers of `soak.py`: each asks, checks the answer, asks again; and the tally of what they met.

A caller comes back when told that the server is full, and repeats what a `kill -9` cut off. It knows neither how the
server is asked (`soak_targets.py`) nor who means harm (`soak_hostile.py`).

Example:
    >>> right = {"label": "real", "score": 0.1, "attack_type": None, "boxes": [], "explanation": "", "answers": {}}
    >>> is_same(right | {"score": 0.10004}, right), is_same(right | {"label": "spoof"}, right)
    (True, False)
"""

import asyncio
import math
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
from soak_targets import Question, RefusedError, Target


SCORE_TOLERANCE = 1e-4
_EXACT = ("label", "attack_type", "boxes", "explanation", "answers")
PATIENCE = 300.0


@dataclass(frozen=True)
class Call:
    """A call that came to its end.

    Attributes:
        begun (`float`): seconds since the start.
        took (`float`): seconds from the first attempt to the answer, with all waiting.
        outcome (`str`): "right", "mixed up" (another question's answer), "wrong" or "lost".
        detail (`str`): why it is lost or wrong.
    """

    begun: float
    took: float
    outcome: str
    detail: str = ""


@dataclass
class Tally:
    """All that happened.

    Attributes:
        calls (`list[Call]`): that came to their end.
        refused (`Counter`): status and message -> times that a caller was told to come back.
        interrupted (`int`): attempts cut off by a kill, and repeated.
        outages (`list`): from when to when the server was down, by our own doing.
        hostile (`Counter`): what hostile clients did, and what they were told -> times.
        broken (`list[str]`): hostile requests that were not refused as they should be.
    """

    calls: list[Call] = field(default_factory=list)
    refused: Counter = field(default_factory=Counter)
    interrupted: int = 0
    outages: list[list[float]] = field(default_factory=list)
    hostile: Counter = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    zero: float = field(default_factory=time.monotonic)

    def now(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.zero

    def was_down(self, since: float) -> bool:
        """Whether the server was down at some moment since a time."""
        return any(end >= since for _, end in self.outages)


def is_same(given: Any, right: Any) -> bool:
    """Whether an answer is the right one: equal words, label, type, boxes; the score within `SCORE_TOLERANCE`."""
    if isinstance(right, str) or not isinstance(given, dict):
        return bool(given == right)
    if any(given.get(key) != right[key] for key in _EXACT):
        return False
    return isinstance(given.get("score"), float) and abs(given["score"] - right["score"]) <= SCORE_TOLERANCE


def outcome_of(given: Any, question: Question, questions: Sequence[Question]) -> str:
    """Judge an answer: "right", "mixed up" when it is right for another question, else "wrong"."""
    if is_same(given, question.right):
        return "right"
    others = (other for other in questions if other.kind == question.kind)
    return "mixed up" if any(is_same(given, other.right) for other in others) else "wrong"


async def keep_asking(number: int, target: Target, questions: Sequence[Question], tally: Tally, until: float) -> None:
    """One caller: asks, waits for the answer, checks it, asks again.

    Args:
        number (`int`): seeds what it asks.
        target (`Target`): whom.
        questions (`Sequence[Question]`): to choose from.
        tally (`Tally`): takes note.
        until (`float`): seconds since the start after which no new question is asked.
    """
    rng = random.Random(number)
    # A connection of its own for every request: one that the server just closes for its age would look like a loss.
    limits = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(timeout=PATIENCE, limits=limits) as client:
        while tally.now() < until:
            question = rng.choice(questions)
            begun = tally.now()
            outcome, detail = await _answered(client, target, question, questions, tally)
            tally.calls.append(Call(begun, tally.now() - begun, outcome, detail))


async def _answered(
    client: httpx.AsyncClient, target: Target, question: Question, questions: Sequence[Question], tally: Tally
) -> tuple[str, str]:
    while True:
        begun = tally.now()
        try:
            given = await target.ask(client, question)
        except RefusedError as refused:
            tally.refused[f"{refused.status}: {refused.message}"] += 1
            await asyncio.sleep(refused.seconds)
        except (httpx.HTTPError, ValueError) as error:
            if not tally.was_down(begun):
                return "lost", f"{type(error).__name__}: {error}"
            tally.interrupted += 1
            await asyncio.sleep(1)
        else:
            outcome = outcome_of(given, question, questions)
            return outcome, "" if outcome == "right" else f"{given!r:.600}, right would be {question.right!r:.600}"


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least a share of the values do not exceed; NaN without values."""
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
