"""Records in the making: which questions an image gets, and what has become of each answer.

A draft is one question about one image on its way through assistant, filters and paraphrase; it ends as a record or as
a skipped item with its reason. It knows no assistant and no file format.

Example:
    >>> from pathlib import Path
    >>> from faceshield_hf.data.instruct.drafts import Picture, plan_questions
    >>> from faceshield_hf.data.samples import Sample
    >>> from faceshield_hf.tasks_faceshield import AttackType, Task
    >>> picture = Picture(Sample(Path("a.png"), AttackType.PRINT, "s1"), "set/a.png", "demo", "train", b"", 8, 8)
    >>> [draft.task.value for draft in plan_questions(picture, {Task.COARSE: 2, Task.FINE: 1}, seed=0)]
    ['coarse', 'coarse', 'fine']
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from faceshield_hf.data.samples import Sample
from faceshield_hf.data.schema import record_id
from faceshield_hf.tasks_faceshield import QUESTIONS, Task


CANONICAL_SHARE = 0.5
"""How often the canonical wording is asked: it is what scoring and the detector ask, and must be known best."""


@dataclass(frozen=True)
class Picture:
    """A labelled image that could be read.

    Attributes:
        sample (`Sample`): what is known of it.
        name (`str`): what it is called in its source, with forward slashes.
        source (`str`): the data set's name.
        split (`str`): "train", "validation" or "test".
        content (`bytes`): the encoded image.
        width (`int`): in pixels, upright.
        height (`int`): in pixels, upright.
    """

    sample: Sample
    name: str
    source: str
    split: str
    content: bytes = field(repr=False)
    width: int
    height: int


@dataclass
class Draft:
    """One question about one picture.

    Attributes:
        picture (`Picture`): the image.
        task (`Task`): what is asked.
        wording (`int`): which of the task's questions.
        index (`int`): the how-manieth question of this task about this image, paraphrases counted on.
        answer (`str`): the answer so far.
        generator (`str`): what wrote it.
        fault (`str`): the step and the reason why it is skipped; empty while it is good.
        passing (`bool`): the fault is a server's and may be gone the next time.
        filters (`dict[str, Any]`): filter -> whether it passed, or a number.
        clip_score (`float`, *optional*): cosine of image and text.
        review (`str`): "unreviewed", "accepted", "fixed", "rejected", or "stale" where another answer was accepted.
        paraphrase_of (`str`): the id of the record whose answer this one says in other words.
    """

    picture: Picture
    task: Task
    wording: int
    index: int
    answer: str = ""
    generator: str = ""
    fault: str = ""
    passing: bool = False
    filters: dict[str, Any] = field(default_factory=dict)
    clip_score: float | None = None
    review: str = "unreviewed"
    paraphrase_of: str = ""

    @property
    def id(self) -> str:
        """The record's id, the same in every build."""
        return record_id(self.picture.source, self.picture.name, self.task.value, self.index)

    @property
    def question(self) -> str:
        """The question's wording."""
        return QUESTIONS[self.task][self.wording]

    def rng(self, seed: int, purpose: int = 0) -> np.random.Generator:
        """A stream of its own, whatever was built before."""
        return np.random.default_rng([seed, purpose, int(self.id, 16)])

    def reject(self, step: str, reason: str, *, passing: bool = False) -> None:
        """Mark as skipped."""
        self.fault, self.passing = f"{step}: {reason}", passing

    def paraphrased(self, answer: str, generator: str, index: int) -> "Draft":
        """A new draft with the same question and another wording of the answer."""
        return replace(
            self, answer=answer, generator=generator, index=index, paraphrase_of=self.id, filters=dict(self.filters)
        )

    def record(self, prompt_version: str) -> dict[str, Any]:
        """The draft as a record of `data/schema.py`, its image with its bytes."""
        return {
            "image": {"bytes": self.picture.content, "path": self.picture.name.rsplit("/", 1)[-1]},
            "id": self.id,
            "width": self.picture.width,
            "height": self.picture.height,
            "source": self.picture.source,
            "split": self.picture.split,
            **truth_of(self.picture.sample),
            "task": self.task.value,
            "question": self.question,
            "answer": self.answer,
            "provenance": {
                "generator": self.generator,
                "prompt_id": f"{self.task.value}/{self.wording}/{prompt_version}",
                "clip_score": self.clip_score,
                "filters": json.dumps(self.filters, sort_keys=True),
                "review": self.review,
                "paraphrase_of": self.paraphrase_of,
            },
        }


def truth_of(sample: Sample) -> dict[str, Any]:
    """The columns of a record that do not depend on the question: whose face it is, the labels and the boxes."""
    return {
        "subject_id": sample.subject_id,
        "label": "real" if sample.is_live else "spoof",
        "attack_type": sample.attack_type.value,
        "native_label": sample.native_label or sample.attack_type.value,
        "boxes": [{"x1": b.x1, "y1": b.y1, "x2": b.x2, "y2": b.y2, "region": b.label} for b in sample.boxes],
    }


def unanswerable(sample: Sample, task: Task) -> str:
    """Why a task can't be asked about an image; empty when it can.

    An attack whose place nobody marked has a spoof area all the same: its only answer would teach a model to say that
    the area is unclear.
    """
    unmarked = task is Task.LOCALIZATION and not sample.is_live and not sample.boxes
    return "no box is known" if unmarked else ""


def plan_questions(picture: Picture, tasks: Mapping[Task, float], seed: int) -> list[Draft]:
    """Draw the questions of one image.

    Args:
        picture (`Picture`): the image.
        tasks (`Mapping[Task, float]`): questions of each task an image, on average: 2.5 is two or three.
        seed (`int`): decides, together with the image's name.

    Returns:
        `list[Draft]`: no wording of a task twice; the canonical one first, in about half of the cases. Of tasks that
            are `unanswerable` there is none.
    """
    drafts = []
    for task, mean in tasks.items():
        if unanswerable(picture.sample, task):
            continue
        rng = np.random.default_rng([seed, int(record_id(picture.source, picture.name, task.value), 16)])
        count = int(mean) + int(rng.random() < mean - int(mean))
        order = list(range(1, len(QUESTIONS[task])))
        rng.shuffle(order)
        order.insert(0 if rng.random() < CANONICAL_SHARE else int(rng.integers(len(order) + 1)), 0)
        drafts += [Draft(picture, task, wording, index) for index, wording in enumerate(order[:count])]
    return drafts
