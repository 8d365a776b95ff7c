"""Rewards for reinforcement learning: format, verdict, attack type, boxes, and whether words and verdict agree.

Each has the signature that TRL's `GRPOTrainer` calls: completions and the records' columns in, one number from 0 to 1
a completion out, `None` where the task gives nothing to judge. FaceCoT (arXiv 2506.01783) rewards format and verdict;
the others are this project's. They know the answer grammar and no model.

Example:
    >>> from faceshield_hf.training.rewards import verdict_reward
    >>> said = [[{"role": "assistant", "content": "The face in the image is a spoof."}]]
    >>> verdict_reward(completions=said, task=["coarse"], label=["spoof"])
    [1.0]
"""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from faceshield_hf.claims_faceshield import claimed_labels
from faceshield_hf.evaluation.localization import matched_ious
from faceshield_hf.tasks_faceshield import AttackType, Box, ChainOfThought, Task, Verdict, parse_answer
from faceshield_hf.training.losses import judgement_span


Completions = Sequence[Sequence[dict[str, str]]]

_NAMES_TYPE = (Task.FINE, Task.REASONING, Task.COT)
_EXPLAINS = (Task.FINE, Task.REASONING, Task.COT)
# A type of the right family is half right: a paper mask called a rigid mask is nearer than one called a replay.
SAME_FAMILY = 0.5


def format_reward(completions: Completions, task: Sequence[str], **columns: Any) -> list[float]:
    """1 for an answer in its task's form: the verdict can be read, and a chain of thought has its six parts in order.

    Args:
        completions (`Sequence`): answers, as conversations of one turn.
        task (`Sequence[str]`): what was asked.
        columns (`Any`): the records' other columns.

    Returns:
        `list[float]`: 0 or 1 each.
    """
    return [float(_has_form(_text(said), Task(asked))) for said, asked in zip(completions, task, strict=True)]


def verdict_reward(completions: Completions, task: Sequence[str], label: Sequence[str], **columns: Any) -> list[float]:
    """1 for the right verdict, live or attack; an answer that can't be read gets 0.

    Args:
        completions (`Sequence`): answers.
        task (`Sequence[str]`): what was asked.
        label (`Sequence[str]`): "real" or "spoof".
        columns (`Any`): the records' other columns.

    Returns:
        `list[float]`: 0 or 1 each.
    """
    read = _read(completions, task)
    return [float(verdict.label == truth) for verdict, truth in zip(read, label, strict=True)]


def type_reward(
    completions: Completions, task: Sequence[str], attack_type: Sequence[str], **columns: Any
) -> list[float | None]:
    """1 for the right attack type, `SAME_FAMILY` for another of its family, 0 otherwise; of tasks that name a type.

    Args:
        completions (`Sequence`): answers.
        task (`Sequence[str]`): what was asked.
        attack_type (`Sequence[str]`): such as "Paper mask" or "Bonafide".
        columns (`Any`): the records' other columns.

    Returns:
        `list[float | None]`: one each; `None` for tasks without a type.
    """
    return [
        _type_score(verdict, AttackType(truth)) if Task(asked) in _NAMES_TYPE else None
        for verdict, asked, truth in zip(_read(completions, task), task, attack_type, strict=True)
    ]


def box_reward(
    completions: Completions,
    task: Sequence[str],
    label: Sequence[str],
    boxes: Sequence[Sequence[dict[str, Any]]],
    **columns: Any,
) -> list[float | None]:
    """Sum of the IoUs of boxes matched one to one, over the greater number of boxes; 1 for no box on a live face.

    Args:
        completions (`Sequence`): answers.
        task (`Sequence[str]`): what was asked.
        label (`Sequence[str]`): "real" or "spoof".
        boxes (`Sequence`): the true boxes as records hold them, 0..1 of the image.
        columns (`Any`): the records' other columns.

    Returns:
        `list[float | None]`: 0 to 1 each; `None` for tasks without boxes and for attacks whose place is not recorded.
    """
    return [
        _box_score(verdict, truth, [Box(b["x1"], b["y1"], b["x2"], b["y2"]) for b in true])
        if Task(asked) is Task.LOCALIZATION
        else None
        for verdict, asked, truth, true in zip(_read(completions, task), task, label, boxes, strict=True)
    ]


def agreement_reward(completions: Completions, task: Sequence[str], **columns: Any) -> list[float | None]:
    """1 where the words before or after a verdict claim nothing else than it; of tasks that explain.

    Args:
        completions (`Sequence`): answers.
        task (`Sequence[str]`): what was asked.
        columns (`Any`): the records' other columns.

    Returns:
        `list[float | None]`: 0 or 1 each; 0 without a verdict or an explanation, `None` for tasks without one.
    """
    return [
        float(_agrees(verdict)) if Task(asked) in _EXPLAINS else None
        for verdict, asked in zip(_read(completions, task), task, strict=True)
    ]


REWARDS = {
    "format": format_reward,
    "verdict": verdict_reward,
    "type": type_reward,
    "box": box_reward,
    "agreement": agreement_reward,
}


def _text(said: Sequence[dict[str, str]]) -> str:
    return said[-1]["content"]


def _read(completions: Completions, task: Sequence[str]) -> list[Verdict]:
    return [parse_answer(_text(said), asked) for said, asked in zip(completions, task, strict=True)]


def _has_form(text: str, task: Task) -> bool:
    if task is Task.DESCRIBE:
        return bool(text.strip())
    if task is Task.COT:
        places = [text.find(f"<{part.name}>") for part in fields(ChainOfThought)]
        if min(places) < 0 or places != sorted(places) or not ChainOfThought.parse(text).reasoning:
            return False
    return parse_answer(text, task).label is not None


def _type_score(verdict: Verdict, truth: AttackType) -> float:
    named = verdict.attack_type
    if verdict.label == "real" and (named is None or named.is_live):
        named = AttackType.BONAFIDE
    if named is None:
        return 0.0
    if named is truth:
        return 1.0
    return SAME_FAMILY if named.super_class == truth.super_class else 0.0


def _box_score(verdict: Verdict, label: str, true: Sequence[Box]) -> float | None:
    if not true:
        # An attack without a recorded box says nothing of where: paying for none would pay for calling it real.
        return float(verdict.label == "real" and not verdict.boxes) if label == "real" else None
    return sum(matched_ious(verdict.boxes, true)) / max(len(true), len(verdict.boxes))


def _agrees(verdict: Verdict) -> bool:
    words = verdict.explanation.strip()
    start, end = judgement_span(words)
    if verdict.label is None or end - start == len(words):  # nothing is said, or nothing but the verdict again
        return False
    return claimed_labels(verdict.explanation) <= {verdict.label}
