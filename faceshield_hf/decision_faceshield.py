"""From a score and a model's answers to one verdict.

The score decides, the answers explain. A small model may contradict itself, so that these rules hold:

| field | rule |
|---|---|
| `label` | from score, threshold and margin alone, never from words |
| `attack_type` | Bonafide for a real face; else the first attack that fine, reasoning, cot name; else None |
| `boxes` | none for a real face; else those of the localization answer, labelled with the type |
| `explanation` | of reasoning, cot, fine, localization the first that has words and does not contradict the label |
| `answers` | every answer as the model gave it, contradictions included |

Nothing here runs a model, so that a threshold can be moved after the fact.

Example:
    >>> answers = {"fine": "The face in the image is a Print attack. Halftone dots cover the skin."}
    >>> verdict = compose(0.8, answers, threshold=0.5)
    >>> verdict.label, verdict.attack_type.value, verdict.explanation
    ('spoof', 'Print', 'Halftone dots cover the skin.')
    >>> compose(0.8, answers, threshold=0.9).label
    'real'
"""

from collections.abc import Sequence
from dataclasses import replace

from .tasks_faceshield import AttackType, Box, Task, Verdict, parse_answer


TASKS = (Task.COARSE, Task.FINE, Task.REASONING, Task.LOCALIZATION)
"""What is asked about an image unless told otherwise: the paper's four tasks."""
MAX_NEW_TOKENS = {
    Task.DESCRIBE: 160,
    Task.COARSE: 24,
    Task.FINE: 128,
    Task.REASONING: 256,
    Task.LOCALIZATION: 160,
    Task.COT: 768,
}
"""Tokens that an answer may take: several times what the grammar needs, so that only a model that rambles is cut."""


def checked_tasks(tasks: Sequence[Task | str] | str) -> tuple[Task, ...]:
    """Read what a caller wants to ask.

    Args:
        tasks (`Sequence[Task | str]` or `str`): tasks or their names, or a single one.

    Returns:
        `tuple[Task, ...]`: each once, in the order given.

    Raises:
        ValueError: when one is unknown.
    """
    known = [task.value for task in Task]
    named = (tasks,) if isinstance(tasks, str) else tuple(tasks)
    for task in named:
        if task not in known:
            raise ValueError(f"unknown task {task!r}: expected of {', '.join(known)}")
    return tuple(dict.fromkeys(Task(task) for task in named))


def checked_threshold(threshold: float) -> float:
    """Refuse a threshold that is none, and give back any other.

    Args:
        threshold (`float`): 0..1.

    Raises:
        ValueError: when it is outside, or no number.
    """
    if not 0 <= threshold <= 1:  # NaN fails too
        raise ValueError(f"got threshold {threshold}: expected a number from 0 to 1")
    return threshold


def decide(score: float, threshold: float, margin: float = 0.0) -> str:
    """Turn a score into a label.

    Args:
        score (`float`): p(spoof), 0..1.
        threshold (`float`): 0..1; a score from it on is a spoof.
        margin (`float`, *optional*, defaults to 0.0): a score closer to the threshold than this is "unsure".

    Returns:
        `str`: `"real"`, `"spoof"` or `"unsure"`.

    Raises:
        ValueError: when a number is outside 0..1, so that a broken score is never taken for "real".
    """
    for name, value in (("score", score), ("threshold", threshold), ("margin", margin)):
        if not 0 <= value <= 1:  # NaN fails too
            raise ValueError(f"got {name} {value}: expected a number from 0 to 1")
    if abs(score - threshold) < margin:
        return "unsure"
    return "spoof" if score >= threshold else "real"


def compose(score: float, answers: dict[str, str], threshold: float, margin: float = 0.0) -> Verdict:
    """Put a score and the answers to the tasks together; the rules stand above.

    Args:
        score (`float`): p(spoof), 0..1.
        answers (`dict[str, str]`): task to the model's own text, any tasks.
        threshold (`float`): 0..1.
        margin (`float`, *optional*, defaults to 0.0): as in `decide`.

    Returns:
        `Verdict`: without `quality` and `model`.
    """
    label = decide(score, threshold, margin)
    said = {Task(task): parse_answer(text, task) for task, text in answers.items()}
    attack_type = AttackType.BONAFIDE if label == "real" else _named_attack(said)
    boxes: tuple[Box, ...] = ()
    if label != "real" and Task.LOCALIZATION in said:
        name = None if attack_type is None else attack_type.value
        boxes = tuple(replace(box, label=name) for box in said[Task.LOCALIZATION].boxes)
    return Verdict(
        label=label,
        score=score,
        threshold=threshold,
        attack_type=attack_type,
        boxes=boxes,
        explanation=_agreeing_words(said, label),
        answers=dict(answers),
    )


def _named_attack(said: dict[Task, Verdict]) -> AttackType | None:
    types = [said[task].attack_type for task in (Task.FINE, Task.REASONING, Task.COT) if task in said]
    return next((kind for kind in types if kind is not None and not kind.is_live), None)


def _agreeing_words(said: dict[Task, Verdict], label: str) -> str:
    """Find an explanation that does not argue against the label; "unsure" is contradicted by nothing."""
    for task in (Task.REASONING, Task.COT, Task.FINE, Task.LOCALIZATION):
        answer = said.get(task)
        if answer is not None and answer.explanation and (label == "unsure" or answer.label in (label, None)):
            return answer.explanation
    return ""
