"""Reviewers' decisions: append-only files, one a reviewer, and what they come to together.

A decision is accept, fix (with the right answer) or reject, by record id. Nothing is ever changed or deleted: a
reviewer's later decision on the same record counts. An acceptance vouches for the very words that were seen: where a
record has others, it is stale and counts for nothing. Among several reviewers the majority decides, a tie rejects, and
Cohen's kappa tells how far they agree. It knows no user interface.

Example:
    >>> import tempfile
    >>> from faceshield_hf.data.review.decisions import Decision, Verdicts, append_decision
    >>> folder = tempfile.mkdtemp()
    >>> append_decision(folder, Decision("ab", "reject", "ann"))
    >>> Verdicts.read(folder).of("ab").action
    'reject'
"""

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from faceshield_hf.data.instruct.drafts import Draft
from faceshield_hf.tasks_faceshield import AttackType, Box, Task, parse_answer


ACTIONS = ("accept", "fix", "reject")
_SLACK = 1  # of the answers' grid: parquet keeps boxes in single precision, which rounding may show
_STATES = {"accept": "accepted", "fix": "fixed", "reject": "rejected"}


@dataclass(frozen=True)
class Decision:
    """What one reviewer decided about one record.

    Attributes:
        id (`str`): the record's id.
        action (`str`): "accept", "fix" or "reject".
        reviewer (`str`): who.
        answer (`str`): the right answer, with "fix".
        note (`str`): anything worth saying.
        seen (`str`): `answer_hash` of the answer that was decided on. Files of before it was kept have none: nobody
            can tell what was accepted there, so those acceptances are stale; fixes and rejections hold as ever.
    """

    id: str
    action: str
    reviewer: str
    answer: str = ""
    note: str = ""
    seen: str = ""

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            raise ValueError(f"got the action {self.action!r}; expected {', '.join(ACTIONS)}")
        if self.action == "fix" and not self.answer.strip():
            raise ValueError("a fix needs the right answer")
        if not re.fullmatch(r"[\w.-]{1,64}", self.reviewer):
            raise ValueError(
                f"got the reviewer {self.reviewer!r}; expected up to 64 letters, digits, dots, hyphens or underscores"
            )

    def is_stale(self, answer: str) -> bool:
        """Whether this is an acceptance of other words than `answer`."""
        return self.action == "accept" and self.seen != answer_hash(answer)


def answer_hash(answer: str) -> str:
    """What tells an answer from another: 16 hexadecimal digits of its SHA-256, spaces around it apart."""
    return hashlib.sha256(answer.strip().encode("utf-8", "surrogatepass")).hexdigest()[:16]


def fix_fault(answer: str, task: Task | str, attack_type: AttackType, boxes: Sequence[Box]) -> str:
    """What in a reviewer's answer contradicts the truth of the image.

    Args:
        answer (`str`): the fix.
        task (`Task` or `str`): what was asked.
        attack_type (`AttackType`): the truth.
        boxes (`Sequence[Box]`): the attacked regions, 0..1 of the image; a localization must name these, in any order.

    Returns:
        `str`: empty when nothing does; else what it says, and the truth.
    """
    task = Task(task)
    if task is Task.DESCRIBE:
        return ""
    said, label = parse_answer(answer, task), "real" if attack_type.is_live else "spoof"
    if said.label is None:
        return f"the answer can't be read; the label is {label}"
    if said.label != label:
        return f"the answer reads as {said.label}, but the label is {label}"
    if said.attack_type not in (None, attack_type):
        return f"the answer reads as {said.attack_type}, but the type is {attack_type}"
    named, known = ([list(box.to_grid()) for box in some] for some in (said.boxes, boxes))
    if task is Task.LOCALIZATION and not _same_boxes(named, known):
        return f"the answer's boxes are {named or 'none'}, but the label's are {known or 'none'}"
    return ""


def append_decision(folder: str | Path, decision: Decision) -> None:
    """Add a decision to its reviewer's file; it is on the disk when this returns.

    Raises:
        OSError: when it can't be written.
    """
    path = Path(folder) / f"{decision.reviewer}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(asdict(decision), ensure_ascii=False) + "\n"
    with path.open("ab+") as out:
        # A crash may have left half a line: it must not swallow the next one.
        if out.tell():
            out.seek(-1, os.SEEK_END)
            if out.read(1) != b"\n":
                line = "\n" + line
        out.write(line.encode())
        out.flush()
        os.fsync(out.fileno())


def read_decisions(folder: str | Path) -> dict[str, dict[str, Decision]]:
    """All decisions that count: reviewer -> record id -> the latest.

    Raises:
        ValueError: when the folder does not exist or a line in the middle of a file is no decision.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder: expected one written by `faceshield review`")
    found: dict[str, dict[str, Decision]] = {}
    for path in sorted(folder.glob("*.jsonl")):
        lines = path.read_text(encoding="utf-8").split("\n")
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                decision = Decision(**json.loads(line))
            except (ValueError, TypeError) as error:
                # What a killed page was just writing was never confirmed to its reviewer.
                if not line.endswith("}"):
                    continue
                raise ValueError(f"{path}, row {number}: {error}") from error
            found.setdefault(decision.reviewer, {})[decision.id] = decision
    return found


class Verdicts:
    """What the reviewers' decisions come to together.

    Args:
        decisions (`Mapping[str, Mapping[str, Decision]]`): reviewer -> record id -> decision.
    """

    def __init__(self, decisions: Mapping[str, Mapping[str, Decision]]):
        self.decisions = decisions

    @classmethod
    def read(cls, folder: str | Path) -> "Verdicts":
        """The verdicts of a folder of decisions."""
        return cls(read_decisions(folder))

    def of(self, record: str, answer: str | None = None) -> Decision | None:
        """The decision on a record; of a tie and of fixes that differ the safe one is a rejection.

        Args:
            record (`str`): its id.
            answer (`str`, *optional*): its answer now; acceptances of another one don't count.

        Returns:
            `Decision` or `None`: `None` where nobody decided.
        """
        given = [one[record] for one in self.decisions.values() if record in one]
        given = [decision for decision in given if answer is None or not decision.is_stale(answer)]
        if not given:
            return None
        votes = Counter(decision.action for decision in given).most_common()
        if len(votes) > 1 and votes[0][1] == votes[1][1]:
            return Decision(record, "reject", given[0].reviewer, note="the reviewers disagree")
        chosen = [decision for decision in given if decision.action == votes[0][0]]
        if len({decision.answer.strip() for decision in chosen}) > 1:
            return Decision(record, "reject", given[0].reviewer, note="the reviewers' fixes differ")
        return chosen[0]

    def agreement(self) -> list[dict[str, Any]]:
        """How far each pair of reviewers agrees.

        Returns:
            `list[dict]`: reviewers, records that both decided, share of equal actions, Cohen's kappa (`None` where it
                is undefined: no common record, or only one action used).
        """
        from sklearn.metrics import cohen_kappa_score

        rows: list[dict[str, Any]] = []
        for one, other in combinations(sorted(self.decisions), 2):
            common = sorted(set(self.decisions[one]) & set(self.decisions[other]))
            first = [self.decisions[one][record].action for record in common]
            second = [self.decisions[other][record].action for record in common]
            equal = sum(a == b for a, b in zip(first, second, strict=True))
            varied = len(set(first) | set(second)) > 1
            rows.append(
                {
                    "reviewers": [one, other],
                    "records": len(common),
                    "equal": equal / len(common) if common else None,
                    "kappa": float(cohen_kappa_score(first, second, labels=list(ACTIONS))) if varied else None,
                }
            )
        return rows


def apply_decision(draft: Draft, verdicts: Verdicts) -> None:
    """Apply the reviewers' decision to a draft: it outranks every filter, but not the truth of the label.

    Args:
        draft (`Draft`): changed in place; left as it is if nobody decided, and only marked as "stale" if all that
            there is are acceptances of another answer.
        verdicts (`Verdicts`): the decisions.
    """
    decision = verdicts.of(draft.id, draft.answer)
    if decision is None:
        draft.review = draft.review if verdicts.of(draft.id) is None else "stale"
        return
    draft.review = _STATES[decision.action]
    if decision.action == "reject":
        draft.reject("review", decision.note or "turned down by a reviewer")
        return
    if decision.action == "fix":
        sample = draft.picture.sample
        fault = fix_fault(decision.answer, draft.task, sample.attack_type, sample.boxes)
        if fault:
            draft.reject("review", fault)
            return
        draft.answer = decision.answer.strip()
    draft.fault, draft.passing = "", False


def _same_boxes(named: Sequence[Sequence[int]], known: Sequence[Sequence[int]]) -> bool:
    def among(box: Sequence[int], others: Sequence[Sequence[int]]) -> bool:
        return any(max(abs(a - b) for a, b in zip(box, other, strict=True)) <= _SLACK for other in others)

    return (
        len(named) == len(known)
        and all(among(box, known) for box in named)
        and all(among(box, named) for box in known)
    )
