"""What each event of the page does; the components are in `ui_page.py`.

It knows a detector only by what it calls on it, so a test can put in any other. Between two events the server keeps
nothing: the verdict lies in the page's own JSON box and comes back with the next event.

Example:
    >>> Handlers(FaceShield.from_pretrained()).analyze("photo.jpg", "coarse", 0.5)["label"]
    'real'
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import gradio as gr
import spaces
import ui_text as text
from PIL import Image
from ui_parts import Annotated, annotated, explanation_text, read_history, reproduction_code, verdict_band

from faceshield_hf.image_processing_faceshield import to_rgb_image
from faceshield_hf.tasks_faceshield import Verdict
from faceshield_hf.visualize import sav_views


if TYPE_CHECKING:
    from faceshield_hf.detector import FaceShield

# Seconds of a shared GPU that a visitor must have left to start: small, since short quotas refuse long requests.
GPU_SECONDS = 15

History = list[dict[str, Any]]


class Result(NamedTuple):
    """What one run shows, in the order of the page's output components."""

    band: str
    boxes: Annotated | None = None
    explanation: str = ""
    json: dict[str, Any] | None = None
    code: str = ""
    slider: tuple[Image.Image, Image.Image] | None = None
    lbp: Image.Image | None = None
    gray: Image.Image | None = None
    hog: Image.Image | None = None


class Handlers:
    """The page's events over one detector.

    Args:
        detector (`FaceShield`): loaded and ready; shared by all visitors, one run at a time.
        checkpoint (`str`, *optional*): what it was loaded from, for the code that the page shows.
    """

    def __init__(self, detector: "FaceShield", checkpoint: str | None = None) -> None:
        self.detector = detector
        self.checkpoint = checkpoint
        # Outside of ZeroGPU this changes nothing.
        self._detect: Callable[..., Verdict] = spaces.GPU(duration=GPU_SECONDS)(detector.detect)
        self._answer: Callable[..., Iterator[str]] = spaces.GPU(duration=GPU_SECONDS)(self._stream)

    def run(self, photo: str | None, task: str, threshold: float) -> Result:
        """Judge a photo and draw everything that the page shows of it."""
        with shown_errors(photo):
            image = read_photo(photo)
            verdict = self._judge(image, task, threshold)
            views = sav_views(image)
        return Result(
            band=verdict_band(verdict),
            boxes=annotated(image, verdict),
            explanation=explanation_text(verdict),
            json=verdict.to_dict(),
            code=reproduction_code(text.TASKS[task].tasks, self.checkpoint),
            slider=(image.resize(views["sav"].size), views["sav"]),
            lbp=views["lbp"],
            gray=views["gray"],
            hog=views["hog"],
        )

    def decide_again(self, photo: str | None, shown: dict[str, Any] | None, threshold: float) -> tuple[Any, ...]:
        """Apply another threshold to the verdict on the page, without the model: the first four of `Result`."""
        if not shown:
            return tuple(gr.skip() for _ in range(4))
        with shown_errors(photo):
            verdict = Verdict.from_dict(shown)
            again = self.detector.reconsider(verdict, threshold)
            # The picture is drawn only when its boxes change, so that the slider moves smoothly.
            boxes = gr.skip() if again.boxes == verdict.boxes else annotated(read_photo(photo), again)
        return verdict_band(again), boxes, explanation_text(again), again.to_dict()

    def clear(self) -> Result:
        """Show nothing: the photo has changed."""
        return Result(band=verdict_band(None))

    def chat(self, photo: str | None, question: str, history: History) -> Iterator[tuple[str, History]]:
        """Answer a question about the photo word by word; yields the empty question box and the messages."""
        with shown_errors(photo):
            image = read_photo(photo)
            if not question.strip():
                raise ValueError(text.NO_QUESTION)
            asked = [*history, {"role": "user", "content": question.strip()}]
            yield "", asked
            answer = ""
            for piece in self._answer(image, read_history(asked)):
                answer += piece
                yield "", [*asked, {"role": "assistant", "content": answer}]

    def analyze(self, photo: str, task: str, threshold: float) -> dict[str, Any]:
        """Judge a photo: live or presentation attack, how sure, which attack, where, and why.

        Args:
            photo: the image of one face.
            task: "all", "coarse", "fine", "reasoning", "localization" or "cot".
            threshold: p(spoof), 0..1, from which on a face is called a spoof.

        Returns:
            The verdict: label, score, threshold, attack_type, boxes (fractions of the image), explanation, answers,
            quality and model.
        """
        with shown_errors(photo):
            return self._judge(read_photo(photo), task, threshold).to_dict()

    def _judge(self, image: Image.Image, task: str, threshold: float) -> Verdict:
        return self._detect(image, tasks=text.TASKS[task].tasks, threshold=threshold)

    def _stream(self, image: Image.Image, messages: list[dict[str, str]]) -> Iterator[str]:
        yield from self.detector.stream(image, messages)  # a generator function: only such are streamed on ZeroGPU


def read_photo(photo: str | None) -> Image.Image:
    """Read what was uploaded.

    Raises:
        ValueError: when there is nothing, or it is no image.
    """
    if photo is None:
        raise ValueError(text.NO_IMAGE)
    return to_rgb_image(Path(photo))


@contextmanager
def shown_errors(photo: str | None = None) -> Iterator[None]:
    """Show what a visitor can mend (`ValueError`) as a message on the page; bugs keep their traceback in the log."""
    try:
        yield
    except ValueError as error:
        message = str(error)
        if photo is not None:  # the visitor knows the file by its name, not by where the server keeps it
            message = message.replace(photo, Path(photo).name)
        # The page renders a message as HTML.
        raise gr.Error(escape(message, quote=False), print_exception=False) from error
