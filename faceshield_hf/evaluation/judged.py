"""One image, what is true of it and what a system said: what all of the evaluation works on.

Example:
    >>> from pathlib import Path
    >>> from faceshield_hf.data.samples import Sample
    >>> from faceshield_hf.evaluation.judged import judged_from
    >>> from faceshield_hf.evaluation.results import Said
    >>> from faceshield_hf.tasks_faceshield import AttackType, Task
    >>> sample = Sample(Path("a.jpg"), AttackType.PRINT, "s1")
    >>> judged_from(sample, Said("a.jpg", 0.9, {"coarse": "The face in the image is real."})).read[Task.COARSE].label
    'real'
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from faceshield_hf.data.instruct.template import TemplateAssistant
from faceshield_hf.data.samples import Sample
from faceshield_hf.evaluation.results import Said
from faceshield_hf.tasks_faceshield import Task, Verdict, parse_answer


@dataclass(frozen=True)
class Judged:
    """One image, what is true of it and what a system said.

    Attributes:
        sample (`Sample`): the image and the truth.
        score (`float`, *optional*): p(spoof); `None` if the system gives none, or failed on this image.
        read (`dict[Task, Verdict]`): each answer, read by itself.
        answers (`dict[Task, str]`): the same in the system's own words.
        error (`str`, *optional*): why the system said nothing.
    """

    sample: Sample
    score: float | None
    read: dict[Task, Verdict]
    answers: dict[Task, str] = field(default_factory=dict)
    error: str | None = None


def judged_from(sample: Sample, said: Said) -> Judged:
    """Read a system's answers."""
    answers = {Task(task): text for task, text in said.answers.items()}
    read = {task: parse_answer(text, task) for task, text in answers.items()}
    return Judged(sample, said.score, read, answers, said.error)


def template_references(samples: Sequence[Sample], task: Task = Task.REASONING) -> dict[str, str]:
    """Reference texts by the offline assistant, the same for the same image every time.

    They are made from the sample's type and cues by the wordings that the training answers were made of: what is
    measured against them is agreement with these templates.

    Args:
        samples (`Sequence[Sample]`): labelled images.
        task (`Task`, *optional*, defaults to reasoning): which answer.

    Returns:
        `dict[str, str]`: path -> text.
    """
    assistant = TemplateAssistant()
    references = {}
    for sample in samples:
        seed = zlib.crc32(f"{sample.subject_id}/{sample.path.name}".encode())
        references[str(sample.path)] = assistant.answer(sample, task, np.random.default_rng(seed))
    return references


def check_attribute(samples: Sequence[Sample], attribute: str) -> None:
    """Refuse to average over an attribute that an image lacks.

    Raises:
        ValueError: naming the image and the attributes that it has.
    """
    for sample in samples:
        if attribute not in sample.attributes:
            told = ", ".join(sorted(sample.attributes)) or "none"
            raise ValueError(f"{sample.path} has no attribute {attribute!r} to average over; it has {told}")


def mean_over(judged: Sequence[Judged], attribute: str) -> list[Judged]:
    """One item for all images that are alike in source, subject, type and an attribute, with the mean of their scores.

    Frames of one video are no independent tries; published protocols average over them. Frames that could not be
    judged are left out of the mean; only a video without any other has an `error`. Answers in words can't be averaged
    and are those of the first image that was judged.

    Args:
        judged (`Sequence[Judged]`): a run over single images.
        attribute (`str`): such as "recording".

    Returns:
        `list[Judged]`: in the order of each group's first image.

    Raises:
        ValueError: when an image lacks the attribute.
    """
    check_attribute([j.sample for j in judged], attribute)
    groups: dict[tuple, list[Judged]] = {}
    for j in judged:
        sample = j.sample
        key = (sample.source, sample.subject_id, sample.attack_type, str(sample.attributes[attribute]))
        groups.setdefault(key, []).append(j)
    merged = []
    for members in groups.values():
        first = next((j for j in members if j.error is None), members[0])
        scores = [j.score for j in members if j.score is not None]
        merged.append(replace(first, score=float(np.mean(scores)) if scores else None))
    return merged
