"""The tab for one photo: what stands in it, and which event calls which handler.

Example:
    >>> with gr.Blocks(), gr.Tab("One photo"):
    ...     tab = PhotoTab(handlers, examples, uploads, header)
"""

import json
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from functools import partial
from typing import Any, TypeVar

import gradio as gr
from ui_controls import (
    INSTANT_EVENT,
    MODEL_EVENT,
    PAGE_EVENT,
    checkpoint_input,
    explain_task,
    photo_input,
    task_input,
)
from ui_examples import Example
from ui_handlers import Handlers, History, Result
from ui_parts import verdict_band
from ui_scripts import SHOW_VERDICT
from ui_uploads import Uploads
from ui_words import Words

from faceshield_hf.tasks_faceshield import QUESTIONS, Task


Step = TypeVar("Step")


class PhotoTab:
    """The left column asks, the right column shows.

    Args:
        handlers (`Handlers`): what the events do.
        examples (`Sequence[Example]`): photos to try.
        uploads (`Uploads`): tells when a photo is replaced while it is being judged.
        model_name (`gr.HTML`): the header's line on the checkpoint.
    """

    def __init__(self, handlers: Handlers, examples: Sequence[Example], uploads: Uploads, model_name: gr.HTML) -> None:
        self.handlers = handlers
        self.uploads = uploads
        self.words = handlers.words
        with gr.Row(equal_height=False):
            with gr.Column(scale=4, min_width=300):
                self._ask(examples)
            with gr.Column(scale=6, min_width=300):
                self._show()
        # In the order of `ui_handlers.Result`.
        self.results = [
            self.band,
            self.where,
            self.why,
            self.json,
            self.code,
            self.views,
            self.heat,
            self.heat_question,
        ]
        self._wire_analysis(examples)
        self._wire_chat()
        self.chosen = self.model.change(
            handlers.choose_model,
            inputs=[self.model],
            outputs=[self.threshold, self.margin, model_name],
            **MODEL_EVENT,
            **PAGE_EVENT,
        )

    def _ask(self, examples: Sequence[Example]) -> None:
        words = self.words
        self.photo = photo_input(words, "fs-photo")
        self.examples: list[gr.Button] = []
        if examples:
            gr.Markdown(words.examples, elem_id="fs-examples-title")
            with gr.Row(elem_id="fs-examples"):
                for example in examples:
                    name = words.types.get(example.name, words.example_photo)
                    self.examples.append(gr.Button(name, icon=example.path, size="sm", min_width=60))
        self.task = task_input(words, "fs-task")
        self.run = gr.Button(words.analyze, variant="primary", elem_id="fs-run")
        with gr.Accordion(words.checkpoint, open=False, elem_id="fs-checkpoint"):
            self.model = checkpoint_input(self.handlers.models, words, "fs-model")

    def _show(self) -> None:
        words = self.words
        config = self.handlers.models.get(None).model.config
        self.band = gr.HTML(verdict_band(None, words), elem_id="fs-verdict")
        with gr.Row(elem_id="fs-decision"):
            self.threshold = gr.Slider(
                0,
                1,
                value=round(config.score_threshold, 3),
                step=0.001,
                label=words.threshold,
                info=words.threshold_help,
                elem_id="fs-threshold",
                min_width=140,
                scale=3,
            )
            self.margin = gr.Slider(
                0,
                0.5,
                value=round(config.score_margin, 3),
                step=0.001,
                label=words.margin,
                info=words.margin_help,
                elem_id="fs-margin",
                min_width=140,
                scale=2,
            )
        later = f'<p class="fs-note fs-later">{words.after_run}</p>'
        with gr.Tabs(elem_id="fs-tabs"):
            with gr.Tab(words.where):
                self.where = gr.HTML(later, elem_id="fs-boxes")
            with gr.Tab(words.why):
                self.why = gr.HTML(later, elem_id="fs-why")
            with gr.Tab(words.views_tab):
                self.views = gr.HTML(later, elem_id="fs-views")
                gr.Markdown(f"### {words.heat}\n{words.heat_help}", elem_id="fs-heat-title")
                self.heat = gr.HTML(later, elem_id="fs-heat")
                self.heat_question = gr.Dropdown(
                    [questions[0] for task, questions in QUESTIONS.items() if task is not Task.DESCRIBE],
                    label=words.heat_question,
                    allow_custom_value=True,
                    elem_id="fs-heat-question",
                )
            with gr.Tab(words.chat):
                self._show_chat(words)
            with gr.Tab(words.json):
                self.json = gr.JSON(label=words.json_label, elem_id="fs-json")
                self.code = gr.Code(
                    label=words.code_label,
                    language="python",
                    interactive=False,
                    wrap_lines=True,
                    show_line_numbers=False,
                    elem_id="fs-code",
                )

    def _show_chat(self, words: Words) -> None:
        self.chatbot = gr.Chatbot(
            label=words.chat_label,
            show_label=False,  # messages would scroll below it
            height=380,
            # A message is text: a <tag>, a [1, 2] or a $ in it is meant as it stands (see `chat_text` too).
            render_markdown=False,
            latex_delimiters=[],
            feedback_options=None,
            buttons=["copy", "copy_all"],
            placeholder=words.chat_empty,
            examples=[{"text": question} for question in words.chat_examples],
            elem_id="fs-chat",
        )
        with gr.Row(equal_height=True, elem_id="fs-ask"):
            self.question = gr.Textbox(
                placeholder=words.chat_placeholder,
                label=words.question,
                show_label=False,
                max_length=2000,
                scale=6,
                min_width=160,
                elem_id="fs-question",
            )
            self.send = gr.Button(words.send, variant="primary", scale=1, min_width=64, elem_id="fs-send")
            self.stop = gr.Button(
                words.stop, variant="stop", scale=1, min_width=64, elem_id="fs-stop", elem_classes=["fs-stop"]
            )

    def _wire_analysis(self, examples: Sequence[Example]) -> None:
        analysis: dict[str, Any] = {
            "fn": self._run,
            "inputs": [self.photo, self.task, self.threshold, self.margin, self.model],
            "outputs": self.results,
            "show_progress": "hidden",  # the band says what is going on
            **MODEL_EVENT,
            **PAGE_EVENT,
        }
        # A slider that moved while the model worked counts too.
        decision = self._wire_decision()
        self.run.click(**analysis).then(**decision)
        self.run.click(None, js=SHOW_VERDICT, **PAGE_EVENT)
        for button, example in zip(self.examples, examples, strict=True):  # one click shows it and judges it
            shown = button.click(partial(str, example.path), outputs=[self.photo], **INSTANT_EVENT)
            shown.then(None, js=SHOW_VERDICT, **PAGE_EVENT)
            shown.then(**analysis).then(**decision)
        # In the browser, at once: by way of the server it could come late and wipe away what was asked since.
        nothing = f"() => {json.dumps(self.handlers.clear())}"
        self.photo.input(None, outputs=self.results, js=nothing, **PAGE_EVENT)
        self.photo.change(None, outputs=[self.chatbot], js="() => [[]]", **PAGE_EVENT)
        explain_task(self.task, self.words)
        self.heat_question.input(
            self.handlers.heat,
            inputs=[self.photo, self.heat_question, self.model],
            outputs=[self.heat],
            **MODEL_EVENT,
            **PAGE_EVENT,
        )

    def _wire_decision(self) -> dict[str, Any]:
        """Let the sliders decide again; gives that event for others to follow with."""
        decision: dict[str, Any] = {
            "fn": self.handlers.decide_again,
            "inputs": [self.photo, self.json, self.threshold, self.margin, self.model],
            "outputs": self.results,
            **INSTANT_EVENT,
        }
        for slider in (self.threshold, self.margin):
            slider.input(**decision, trigger_mode="always_last")
        return decision

    def _wire_chat(self) -> None:
        chat: dict[str, Any] = {
            "fn": self._chat,
            "inputs": [self.photo, self.question, self.chatbot, self.model],
            "outputs": [self.question, self.chatbot],
            **MODEL_EVENT,
            **PAGE_EVENT,
        }
        answers: list[Any] = [self.question.submit(**chat), self.send.click(**chat)]
        chosen = self.chatbot.example_select(_chosen_example, outputs=[self.question], **INSTANT_EVENT)
        answers.append(chosen.then(**chat))
        self.stop.click(None, cancels=answers, **PAGE_EVENT)

    # Another photo stops what is still said of the last one. Gradio's `cancels` would come too late: after a visitor
    # on a slow line has asked about the new one.

    def _run(
        self, photo: str | None, task: str, threshold: float, margin: float, model: str | None, request: gr.Request
    ) -> Iterator[Result]:
        steps = self.handlers.run(photo, task, threshold, margin, model)
        yield from self._while_shown(photo, request, steps, self.handlers.clear())

    def _chat(
        self, photo: str | None, question: str, history: History, model: str | None, request: gr.Request
    ) -> Iterator[tuple[str, History]]:
        yield from self._while_shown(photo, request, self.handlers.chat(photo, question, history, model), ("", []))

    def _while_shown(
        self, photo: str | None, request: gr.Request, steps: Generator[Step, None, None], nothing: Step
    ) -> Iterator[Step]:
        replaced = self.uploads.watch(request.session_hash or "", self.photo.elem_id or "", photo)
        with closing(steps):
            for step in steps:
                if replaced():
                    yield nothing
                    return
                yield step


def _chosen_example(event: gr.SelectData) -> str:
    return event.value["text"]
