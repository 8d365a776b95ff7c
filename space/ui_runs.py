"""What the model does for the page, step by step, so that the page can show each step as it comes.

Every function takes a checkpoint's name and gives plain values: on ZeroGPU they run in another process. It knows
nothing of pages.

Example:
    >>> for step in Runs(models).judge(None, image, ("coarse", "reasoning"), None):
    ...     print(step.text)
"""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import Image
from ui_gpu import GPU_SECONDS, gpu, on_zero_gpu
from ui_models import Models

from faceshield_hf.decision import compose
from faceshield_hf.savp_faceshield import HogRender
from faceshield_hf.tasks_faceshield import QUESTIONS, Task, Verdict
from faceshield_hf.visualize import sav_views


# An answer that is still going on after so many seconds is cut: a visitor must not hold up the queue.
ANSWER_SECONDS = 60
# The same on ZeroGPU: the decision before it and the map after it need their share of the time that was asked for.
GPU_ANSWER_SECONDS = GPU_SECONDS - 5
# Long answers, which are shown word by word.
STREAMED = (Task.REASONING.value, Task.COT.value)
# Words are sent so often a second at most: more would only be traffic.
_STEP_SECONDS = 0.05


@dataclass(frozen=True)
class Step:
    """How far a run has come.

    Attributes:
        verdict (`Verdict`): what is known by now, without `quality`.
        text (`str`): the long answer as far as it has come; empty when there is none.
        done (`bool`): whether the verdict is whole.
        cut (`bool`): whether the long answer was stopped for its length.
        importance (`dict[str, np.ndarray]`, *optional*): as `FaceShield.importance` gives it, in the last step.
        no_importance (`str`): why there is none.
    """

    verdict: Verdict
    text: str = ""
    done: bool = False
    cut: bool = False
    importance: dict[str, np.ndarray] | None = None
    no_importance: str = ""


class Runs:
    """The model's work over the checkpoints of a server.

    Args:
        models ([`Models`]): the checkpoints.
        seconds (`float`, *optional*): after which a long answer is cut; `ANSWER_SECONDS`, or `GPU_ANSWER_SECONDS` on
            ZeroGPU, when `None`.
    """

    def __init__(self, models: Models, seconds: float | None = None) -> None:
        self.models = models
        if seconds is None:
            seconds = GPU_ANSWER_SECONDS if on_zero_gpu() else ANSWER_SECONDS
        self.seconds = seconds
        # Generator functions and functions of plain values: what ZeroGPU can run elsewhere.
        self.judge: Callable[..., Iterator[Step]] = gpu(self._judge)
        self.detect: Callable[..., Verdict] = gpu(self._detect)
        self.detect_many: Callable[..., list[Verdict]] = gpu(self._detect_many)
        self.answer: Callable[..., Iterator[tuple[str, bool]]] = gpu(self._answer)
        self.importance: Callable[..., dict[str, np.ndarray]] = gpu(self._importance)

    def views(self, name: str | None, image: Image.Image) -> dict[str, Image.Image]:
        """Compute the spoof-aware view in the model's own pixels."""
        reader = self.models.get(name).processor.image_processor
        hog: HogRender = reader.hog_render
        return sav_views(image, (reader.size["width"], reader.size["height"]), hog)

    def _judge(
        self, name: str | None, image: Image.Image, tasks: Sequence[str], threshold: float | None
    ) -> Iterator[Step]:
        """Judge an image: first the decision, then the long answer word by word, at last the importance map."""
        shield = self.models.get(name)
        long = next((task for task in STREAMED if task in tasks), None)
        short = [task for task in tasks if task != long]
        verdict = shield.detect(image, tasks=short, threshold=threshold, quality=False)
        text, cut = "", False
        if long is not None:
            yield Step(verdict)
            for text, cut in self._answer(name, image, [{"role": "user", "content": QUESTIONS[Task(long)][0]}]):
                yield Step(verdict, text, cut=cut)
            answers = verdict.answers | {long: text.strip()}
            answers = {task: answers[task] for task in tasks}
            assert verdict.score is not None and verdict.threshold is not None
            margin = shield.model.config.score_margin
            whole = compose(verdict.score, answers, verdict.threshold, margin)
            verdict = replace(whole, quality=verdict.quality, model=verdict.model)
        yield Step(verdict, text, True, cut)
        try:
            importance = shield.importance(image, QUESTIONS[Task(tasks[0])][0])
        except ValueError as error:  # of a connector whose tokens have no place in the image
            yield Step(verdict, text, True, cut, no_importance=str(error))
        else:
            yield Step(verdict, text, True, cut, importance)

    def _detect(self, name: str | None, image: Image.Image, tasks: Sequence[str], threshold: float | None) -> Verdict:
        return self.models.get(name).detect(image, tasks=tasks, threshold=threshold)

    def _detect_many(
        self, name: str | None, images: Sequence[Image.Image], tasks: Sequence[str], threshold: float | None
    ) -> list[Any]:
        shield = self.models.get(name)
        return shield.detect_batch(list(images), tasks=tasks, threshold=threshold, batch_size=len(images))

    def _answer(
        self, name: str | None, image: Image.Image, messages: list[dict[str, str]]
    ) -> Iterator[tuple[str, bool]]:
        """Answer the last of the messages; yields the text so far, and at last whether it was cut for its length."""
        yield from _grow(self._pieces(name, image, messages), self.seconds)

    def _pieces(
        self, name: str | None, image: Image.Image, messages: list[dict[str, str]]
    ) -> Generator[str, None, None]:
        yield from self.models.get(name).stream(image, messages)

    def _importance(self, name: str | None, image: Image.Image, question: str) -> dict[str, np.ndarray]:
        return self.models.get(name).importance(image, question)


def _grow(pieces: Generator[str, None, None], seconds: float) -> Iterator[tuple[str, bool]]:
    """Join pieces as they come, yielding the text a few times a second until a time is over."""
    text, last = "", 0.0
    end = time.monotonic() + seconds
    with closing(pieces):  # whoever stops listening, or the time, stops the model
        for piece in pieces:
            text += piece
            now = time.monotonic()
            if now > end:
                yield text, True
                return
            if now - last >= _STEP_SECONDS:
                last = now
                yield text, False
    yield text, False
