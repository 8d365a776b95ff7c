"""What each event of the page does; the components are in `ui_page.py` and the tabs' own files.

It knows a detector only by what it calls on it, so a test can put in any other. Between two events the server keeps
nothing: the verdict lies in the page's own JSON box and comes back with the next event.

Example:
    >>> handlers = Handlers(Runs(Models(FaceShield.from_pretrained())), ENGLISH)
    >>> [result.json["label"] for result in handlers.run("photo.jpg", "all", 0.5, 0.0, None)][-1]
    'real'
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
import numpy as np
from PIL import Image
from ui_html import data_uri, file_uri, safe
from ui_parts import (
    chat_answer,
    chat_text,
    explanation_html,
    judging_band,
    prose,
    read_history,
    reproduction_code,
    verdict_band,
)
from ui_photos import read_photo, shown_errors
from ui_pictures import boxes_figure, heat_figure, views_figure
from ui_runs import Runs, Step
from ui_table import Row, batch_html
from ui_words import TASK_LISTS, Words

from faceshield_hf.data.simulate import Simulated, simulate
from faceshield_hf.decision import compose
from faceshield_hf.quality import check_quality
from faceshield_hf.tasks_faceshield import QUESTIONS, AttackType, Task, Verdict, parse_answer


History = list[dict[str, Any]]
MAX_BATCH = 64
# Photos that go through the model together: few, so that the bar moves and Stop is heard.
BATCH_SIZE = 4
THUMB_SIDE = 96
MAX_SEED = 2**32 - 1


class Result(NamedTuple):
    """What one run shows, in the order of the page's output components; what is left out stays as it is."""

    band: Any = gr.skip()
    where: Any = gr.skip()
    why: Any = gr.skip()
    json: Any = gr.skip()
    code: Any = gr.skip()
    views: Any = gr.skip()
    heat: Any = gr.skip()
    question: Any = gr.skip()


class Handlers:
    """The page's events, in one language.

    Args:
        runs ([`Runs`]): the model's work.
        words (`Words`): the language.
    """

    def __init__(self, runs: Runs, words: Words) -> None:
        self.runs = runs
        self.models = runs.models
        self.words = words

    # ---- one photo ----

    def run(
        self, photo: str | None, task: str, threshold: float, margin: float, model: str | None
    ) -> Generator[Result, None, None]:
        """Judge a photo: advice, then the decision and the boxes, then the words as they come, then the views."""
        with self._told():
            image = read_photo(photo, self.words)
            tasks = TASK_LISTS[task]
            yield Result(band=judging_band((), self.words))
            quality = check_quality(image)
            question = QUESTIONS[Task(tasks[0])][0]
            yield Result(band=judging_band(quality, self.words), question=question)
            decided = False
            for step in self.runs.judge(model, image, tasks, threshold):
                if step.importance is not None:
                    yield Result(heat=heat_figure(image, step.importance, question, self.words))
                elif step.no_importance:
                    yield Result(heat=self._no_heat(step.no_importance))
                elif decided and not step.done:
                    yield Result(why=prose(step.text, self.words))
                else:
                    verdict = self._decide(replace(step.verdict, quality=quality), threshold, margin)
                    yield self._verdict_shown(image, verdict, step, tasks, margin, model)
                    decided = True

    def decide_again(
        self, photo: str | None, shown: dict[str, Any] | None, threshold: float, margin: float, model: str | None
    ) -> Result:
        """Apply another threshold or margin to the verdict on the page, without the model."""
        if not shown:
            return Result()
        with self._told():
            verdict = Verdict.from_dict(shown)
            again = self._decide(verdict, threshold, margin)
            # The picture is drawn only when its boxes change, so that the slider moves smoothly.
            same = again.boxes == verdict.boxes
            return Result(
                band=verdict_band(again, self.words, margin),
                where=gr.skip() if same else self._where(read_photo(photo, self.words), again),
                why=explanation_html(again, self.words),
                json=again.to_dict(),
                code=self._code(again, margin, model),
            )

    def clear(self) -> Result:
        """Show nothing: the photo has changed."""
        empty = self._later()
        return Result(verdict_band(None, self.words), empty, empty, None, "", empty, empty)

    def heat(self, photo: str | None, question: str | None, model: str | None) -> str:
        """Draw where the model looks for a question."""
        with self._told():
            image = read_photo(photo, self.words)
            if not question or not question.strip():
                raise ValueError(self.words.no_question)
            try:
                importance = self.runs.importance(model, image, question.strip())
            except ValueError as error:
                return self._no_heat(str(error))
            return heat_figure(image, importance, question.strip(), self.words)

    def chat(
        self, photo: str | None, question: str, history: History, model: str | None
    ) -> Generator[tuple[str, History], None, None]:
        """Answer a question about the photo word by word; yields the empty question box and the messages."""
        with self._told():
            image = read_photo(photo, self.words)
            if not question.strip():
                raise ValueError(self.words.no_question)
            asked = [*history, {"role": "user", "content": [chat_text(question.strip())]}]
            yield "", asked
            answer, parts = "", list[Any]()
            for answer, cut in self.runs.answer(model, image, read_history(asked)):
                parts = [chat_answer(answer, self.words)]
                if cut:  # a remark of the page's, no words of the model's
                    parts.append(gr.HTML(self._cut_note(), container=False))
                yield "", [*asked, {"role": "assistant", "content": parts}]
            boxes = parse_answer(answer, Task.LOCALIZATION).boxes
            if boxes:
                figure = gr.HTML(boxes_figure(image, boxes, self.words, self.words.chat_area), container=False)
                yield "", [*asked, {"role": "assistant", "content": [*parts, figure]}]

    def choose_model(self, model: str | None) -> tuple[Any, Any, Any]:
        """Load another checkpoint; gives its threshold, its margin, and its name for the header."""
        with self._told():
            shield = self.models.get(model)
            config = shield.model.config
            name = f"{shield.name or model or self.models.default}"
            return round(config.score_threshold, 3), round(config.score_margin, 3), model_line(name, self.words)

    # ---- many photos ----

    def batch(
        self, files: Sequence[str] | None, task: str, threshold: float, model: str | None
    ) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """Judge many photos; yields the table as it grows, and its rows for programs."""
        with self._told():
            files = self.checked_files(files)
            rows: list[Row] = []
            yield batch_html(rows, len(files), True, self.words), []
            for start in range(0, len(files), BATCH_SIZE):
                rows += self.judge_rows(files[start : start + BATCH_SIZE], task, threshold, model)
                running = len(rows) < len(files)
                yield batch_html(rows, len(files), running, self.words), [row.to_dict() for row in rows]

    def checked_files(self, files: Sequence[str] | None) -> list[str]:
        """Refuse no photos and too many."""
        if not files:
            raise ValueError(self.words.no_files)
        if len(files) > MAX_BATCH:
            raise ValueError(self.words.too_many_files.format(count=len(files), limit=MAX_BATCH))
        return list(files)

    def judge_rows(
        self, files: Sequence[str], task: str, threshold: float | None, model: str | None, thumbs: bool = True
    ) -> list[Row]:
        """Judge a few photos together; one that can't be read is a row that says why."""
        opened: list[Image.Image | ValueError] = []
        for file in files:
            try:
                opened.append(read_photo(file, self.words))
            except ValueError as error:
                opened.append(error)
        images = [image for image in opened if isinstance(image, Image.Image)]
        verdicts = iter(self.runs.detect_many(model, images, TASK_LISTS[task], threshold) if images else ())
        rows = []
        for file, image in zip(files, opened, strict=True):
            name = Path(file).name
            if isinstance(image, ValueError):
                rows.append(Row(name, error=str(image)))
            else:
                rows.append(Row(name, next(verdicts), thumb=data_uri(image, THUMB_SIDE) if thumbs else ""))
        return rows

    # ---- a simulated attack ----

    def simulate(
        self, photo: str | None, kind: str, domain: str, seed: float, model: str | None
    ) -> Iterator[tuple[str, dict[str, Any] | None]]:
        """Make an attack of a photo, and judge both; yields the figures and the result for programs."""
        with self._told():
            image = read_photo(photo, self.words)
            yield self._waiting(self.words.simulate_working), None
            made = self.make_attack(image, kind, domain, seed)
            tasks = TASK_LISTS["all"]
            yield self._waiting(self.words.judging), None
            before, after = (self.runs.detect(model, picture, tasks, None) for picture in (image, made.image))
            yield self._simulation(image, made, before, after, model), simulation_dict(made, before, after)

    def make_attack(self, image: Image.Image, kind: str, domain: str, seed: float) -> Simulated:
        """Simulate an attack; the same seed gives the same picture."""
        if not (seed == int(seed) and 0 <= seed <= MAX_SEED):
            raise ValueError(self.words.bad_seed.format(got=seed))
        try:
            return simulate(image, AttackType(kind), rng=np.random.default_rng(int(seed)), domain=domain)
        except ValueError as error:  # no face
            raise ValueError(self.words.no_face.format(reason=error)) from error

    # ---- inside ----

    def _decide(self, verdict: Verdict, threshold: float, margin: float) -> Verdict:
        assert verdict.score is not None
        decided = compose(verdict.score, verdict.answers, threshold, margin)
        return replace(decided, quality=verdict.quality, model=verdict.model)

    def _verdict_shown(
        self, image: Image.Image, verdict: Verdict, step: Step, tasks: Sequence[str], margin: float, model: str | None
    ) -> Result:
        why = explanation_html(verdict, self.words) if step.done else prose(step.text, self.words)
        if step.cut:
            why += self._cut_note()
        band = verdict_band(verdict, self.words, margin)
        where = self._where(image, verdict, asked=Task.LOCALIZATION.value in tasks)
        if not step.done:
            return Result(band=band, where=where, why=why)
        views = views_figure(image, self.runs.views(model, image), self.words)
        return Result(band, where, why, verdict.to_dict(), self._code(verdict, margin, model), views)

    def _where(self, image: Image.Image, verdict: Verdict, asked: bool = True) -> str:
        note = self.words.no_areas if asked else self.words.areas_not_asked
        return boxes_figure(image, verdict.boxes, self.words, note=note)

    def _code(self, verdict: Verdict, margin: float, model: str | None) -> str:
        own = self.models.get(model).model.config.score_margin
        path = self.models.path(model or self.models.default)
        return reproduction_code(verdict.answers, path, verdict.threshold, margin, own)

    def _simulation(
        self, image: Image.Image, made: Simulated, before: Verdict, after: Verdict, model: str | None
    ) -> str:
        words = self.words
        kind = words.type_name(made.attack_type)
        assert before.score is not None and after.score is not None
        change = words.simulate_change.format(before=words.percent(before.score), after=words.percent(after.score))
        truth = [replace(box, label=made.attack_type.value) for box in made.boxes]
        cues = "".join(f"<li>{safe(cue)}</li>" for cue in made.cues)
        told = f'<h3>{safe(words.simulate_cues)}</h3><ul lang="en">{cues}</ul>' if cues else ""
        alt = words.simulate_alt.format(kind=kind)
        margin = self.models.get(model).model.config.score_margin
        return (
            f'<p class="fs-summary">{safe(change)}</p><div class="fs-duo">'
            f"<section><h3>{safe(words.simulate_before)}</h3>{verdict_band(before, words, margin)}"
            f"{boxes_figure(image, (), words, words.photo_alt)}</section>"
            f"<section><h3>{safe(words.simulate_after.format(kind=kind))}</h3>{verdict_band(after, words, margin)}"
            f"{boxes_figure(made.image, truth, words, alt, dashed=after.boxes)}</section></div>"
            f'<p class="fs-note">{safe(words.simulate_seen_from)}</p>{told}'
        )

    def _later(self) -> str:
        return f'<p class="fs-note fs-later">{safe(self.words.after_run)}</p>'

    def _waiting(self, said: str) -> str:
        return f'<p class="fs-note fs-later">{safe(said)}</p>'

    def _cut_note(self) -> str:
        return f'<p class="fs-note">{safe(self.words.cut_short.format(seconds=round(self.runs.seconds)))}</p>'

    def _no_heat(self, reason: str) -> str:
        return f'<p class="fs-note">{safe(self.words.heat_none.format(reason=reason))}</p>'

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Show what a visitor can mend as a message, an unknown checkpoint included."""
        with shown_errors():
            try:
                yield
            except LookupError as error:
                if type(error) is not LookupError:  # KeyError, IndexError: bugs
                    raise
                known = ", ".join(self.models.names)
                raise ValueError(self.words.unknown_checkpoint.format(got=str(error), known=known)) from error


def model_line(name: str, words: Words) -> str:
    """Say which checkpoint answers."""
    return f'<span class="fs-model">{safe(words.checkpoint_named.format(name=name))}</span>'


def simulation_dict(made: Simulated, before: Verdict, after: Verdict) -> dict[str, Any]:
    """Write a simulation and its two verdicts as plain JSON values; the picture as a `data:` address."""
    return {
        "attack_type": made.attack_type.value,
        "boxes": [{"x1": b.x1, "y1": b.y1, "x2": b.x2, "y2": b.y2, "label": b.label} for b in made.boxes],
        "cues": list(made.cues),
        "image": file_uri(made.jpeg, "image/jpeg"),
        "before": before.to_dict(),
        "after": after.to_dict(),
    }
