"""What programs call: `/analyze`, `/batch` and `/simulate`, typed, over HTTP, `gradio_client` and MCP.

Each has a validator that looks at the values before the call joins the queue, so that a wrong call costs nothing and
is told what is wrong (HTTP 422). Validators run for many callers at once: of a photo they read the header alone, and
what is damaged behind it is told by the call itself. Components stand behind the parameters: through them Gradio
checks that a file is the caller's upload and no other file of the server.

Example:
    >>> client.predict(image=handle_file("photo.jpg"), task="coarse", api_name="/analyze")["label"]
    'real'
"""

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr
from ui_controls import MODEL_EVENT, leave_to_handler
from ui_handlers import BATCH_SIZE, MAX_SEED, Handlers, simulation_dict
from ui_photos import check_photo, read_photo, shown_errors
from ui_words import TASK_LISTS

from faceshield_hf.data.simulate import DOMAINS
from faceshield_hf.tasks_faceshield import AttackType


KINDS = [kind.value for kind in AttackType]


class Api:
    """The endpoints.

    Args:
        handlers (`Handlers`): the page's, in the language of the messages.
    """

    def __init__(self, handlers: Handlers) -> None:
        self.handlers = handlers
        self.words = handlers.words

    def analyze(self, image: str, task: str, threshold: float | None) -> dict[str, Any]:
        """Judge the photo of a face: live or presentation attack, how sure, which attack, where, and why.

        Args:
            image: the photo of one face.
            task: "all", "coarse", "fine", "reasoning", "localization" or "cot".
            threshold: p(spoof), 0 to 1, from which on a face is called a spoof; the checkpoint's own by default.

        Returns:
            The verdict: label, score, threshold, attack_type, boxes (fractions of the image), explanation, answers
            and quality, and the model's name.
        """
        with shown_errors():
            picture = read_photo(image, self.words)
            return self.handlers.runs.detect(None, picture, TASK_LISTS[task], threshold).to_dict()

    def batch(self, images: list[str], task: str, threshold: float | None) -> list[dict[str, Any]]:
        """Judge the photos of many faces.

        Args:
            images: up to 64 photos of one face each.
            task: "all", "coarse", "fine", "reasoning", "localization" or "cot".
            threshold: p(spoof), 0 to 1, from which on a face is called a spoof; the checkpoint's own by default.

        Returns:
            One object a photo, in their order: its file's name and the verdict's keys, or `error`.
        """
        with shown_errors():
            files = self.handlers.checked_files(images)
            rows = []
            for start in range(0, len(files), BATCH_SIZE):
                few = files[start : start + BATCH_SIZE]
                rows += self.handlers.judge_rows(few, task, threshold, None, thumbs=False)
            return [row.to_dict() for row in rows]

    def simulate(self, image: str, attack_type: str, domain: str, seed: float) -> dict[str, Any]:
        """Simulate a presentation attack of the person in a photo, and judge the photo before and after.

        Args:
            image: the photo of one face, from the front.
            attack_type: one of the twelve types, such as "Print"; "Bonafide" takes the photo again by a camera.
            domain: "A", "B" or "C": cameras, light and materials.
            seed: a whole number; the same gives the same picture.

        Returns:
            attack_type, boxes of the attack (fractions of the image), cues in words, image (the simulated photo as a
            data: address), and the verdicts before and after.
        """
        with shown_errors():
            picture = read_photo(image, self.words)
            made = self.handlers.make_attack(picture, attack_type, domain, seed)
            detect = self.handlers.runs.detect
            before, after = (detect(None, each, TASK_LISTS["all"], None) for each in (picture, made.image))
            return simulation_dict(made, before, after)

    def check_analyze(self, image: str | None, task: Any, threshold: Any) -> list[dict[str, Any]]:
        """Look at `/analyze`'s values before the call is queued."""
        return [_checked(self._image, image), _checked(self._task, task), _checked(self._threshold, threshold)]

    def check_batch(self, images: Sequence[str] | None, task: Any, threshold: Any) -> list[dict[str, Any]]:
        """Look at `/batch`'s values before the call is queued; single photos may be unreadable."""
        return [
            _checked(self.handlers.checked_files, images),
            _checked(self._task, task),
            _checked(self._threshold, threshold),
        ]

    def check_simulate(self, image: str | None, attack_type: Any, domain: Any, seed: Any) -> list[dict[str, Any]]:
        """Look at `/simulate`'s values before the call is queued."""
        return [
            _checked(self._image, image),
            _checked(self._kind, attack_type),
            _checked(self._domain, domain),
            _checked(self._seed, seed),
        ]

    def _image(self, image: str | None) -> None:
        check_photo(image, self.words)

    def _task(self, task: Any) -> None:
        if not isinstance(task, str) or task not in TASK_LISTS:
            raise ValueError(self.words.unknown_task.format(got=task, known=", ".join(TASK_LISTS)))

    def _kind(self, kind: Any) -> None:
        if not isinstance(kind, str) or kind not in KINDS:
            raise ValueError(self.words.unknown_type.format(got=kind, known=", ".join(KINDS)))

    def _domain(self, domain: Any) -> None:
        if not isinstance(domain, str) or domain not in DOMAINS:
            raise ValueError(self.words.unknown_domain.format(got=domain, known=", ".join(DOMAINS)))

    def _threshold(self, threshold: Any) -> None:
        number = isinstance(threshold, int | float) and not isinstance(threshold, bool)
        if threshold is not None and not (number and 0 <= threshold <= 1):
            raise ValueError(self.words.bad_threshold.format(got=threshold))

    def _seed(self, seed: Any) -> None:
        whole = isinstance(seed, int | float) and not isinstance(seed, bool) and seed == seed // 1
        if not (whole and 0 <= seed <= MAX_SEED):
            raise ValueError(self.words.bad_seed.format(got=seed))


def add_api(handlers: Handlers) -> None:
    """Add the endpoints to the page that is being built; nothing of them is seen on it."""
    api = Api(handlers)
    with gr.Row(visible=False):
        image = gr.Image(type="filepath", image_mode=None, label="image")
        image.preprocess = leave_to_handler(image.preprocess)  # type: ignore[method-assign]
        images = gr.File(file_count="multiple", type="filepath", label="images")
        task = gr.Radio(list(TASK_LISTS), value="all", label="task")
        threshold = gr.Number(handlers.models.get(None).model.config.score_threshold, label="threshold")
        kind = gr.Radio(KINDS, value=AttackType.PRINT.value, label="attack_type")
        domain = gr.Radio(list(DOMAINS), value="A", label="domain")
        seed = gr.Number(0, label="seed")
        for choice in (task, kind, domain):
            choice.preprocess = _as_it_is  # type: ignore[method-assign]
        answer = gr.JSON(label="result")
        for function, validator, inputs, name in (
            (api.analyze, api.check_analyze, [image, task, threshold], "analyze"),
            (api.batch, api.check_batch, [images, task, threshold], "batch"),
            (api.simulate, api.check_simulate, [image, kind, domain, seed], "simulate"),
        ):
            gr.Button().click(
                function, inputs=inputs, outputs=[answer], validator=validator, api_name=name, **MODEL_EVENT
            )


def _as_it_is(payload: Any) -> Any:
    """Leave what is none of the choices to the validator: Gradio's own refusal does not reach a client's user."""
    return payload


def _checked(check: Callable[[Any], Any], value: Any) -> dict[str, Any]:
    """Run a check, and say what came of it in Gradio's form."""
    try:
        check(value)
    except ValueError as error:
        return gr.validate(False, str(error))
    return gr.validate(True, "")
