"""The page: which components there are, where they stand, and which event calls which handler.

What the events do is in `ui_handlers.py`, what is drawn in `ui_parts.py`, the words in `ui_text.py`.

Example:
    >>> build_demo(FaceShield.from_pretrained(), make_examples(folder)).launch()
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr
import ui_text as text
from PIL import Image, UnidentifiedImageError
from ui_examples import Example
from ui_handlers import Handlers
from ui_parts import UNNAMED_BOX, verdict_band

from faceshield_hf.visualize import ATTACK_COLORS, UNKNOWN_COLOR


if TYPE_CHECKING:
    from faceshield_hf.detector import FaceShield

# Visitors who wait beyond these are told at once that the queue is full.
MAX_WAITING = 32
# Every so many seconds, what is older than as many is deleted of what visitors uploaded: all of it within the hour.
KEEP_SECONDS = 1800
# One run of the model at a time: two would share the same cores or GPU and both be slower.
MODEL_EVENT: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": 1}
# The page's own events are no API: programs have /analyze.
PAGE_EVENT: dict[str, Any] = {"api_visibility": "private"}
INSTANT_EVENT: dict[str, Any] = {"queue": False, "show_progress": "hidden", **PAGE_EVENT}
# On a phone the verdict is below the photo: bring it into view. Where it is in view already nothing moves.
SHOW_VERDICT = "() => document.getElementById('fs-verdict').scrollIntoView({block: 'nearest', behavior: 'smooth'})"


@dataclass(frozen=True)
class Inputs:
    """The left column's components."""

    photo: gr.Image
    task: gr.Radio
    run: gr.Button
    examples: list[gr.Button]


@dataclass(frozen=True)
class Outputs:
    """The right column's components; `results` is in the order of `ui_handlers.Result`."""

    threshold: gr.Slider
    results: list[gr.components.Component]
    json: gr.JSON
    chatbot: gr.Chatbot
    question: gr.Textbox
    send: gr.Button
    stop: gr.Button


def build_demo(detector: "FaceShield", examples: Sequence[Example] = (), checkpoint: str | None = None) -> gr.Blocks:
    """Build the page around a detector.

    Args:
        detector (`FaceShield`): loaded and ready.
        examples (`Sequence[Example]`, *optional*): photos to try.
        checkpoint (`str`, *optional*): what the detector was loaded from, for the code that the page shows.

    Returns:
        `gr.Blocks`: not launched yet; `app.launch` gives it its looks and its privacy settings.
    """
    handlers = Handlers(detector, checkpoint)
    with gr.Blocks(title=text.TITLE, analytics_enabled=False, delete_cache=(KEEP_SECONDS, KEEP_SECONDS)) as demo:
        gr.HTML(_header(detector.name or checkpoint or "unnamed"), elem_id="fs-header")
        with gr.Row(equal_height=False):
            with gr.Column(scale=4, min_width=300):
                inputs = _input_column(examples)
            with gr.Column(scale=6, min_width=300):
                outputs = _output_column(handlers)
        gr.HTML(f'<p class="fs-privacy">{escape(text.PRIVACY)}</p>')
        _wire_analysis(handlers, inputs, outputs)
        _wire_examples(handlers, inputs, outputs, examples)
        _wire_chat(handlers, inputs, outputs)
        _add_api(handlers, inputs, outputs)
    return demo.queue(max_size=MAX_WAITING)


def _header(model: str) -> str:
    return (
        f'<header class="fs-header"><div><h1>{text.TITLE}</h1><p>{escape(text.SUBTITLE)}</p></div>'
        f'<div class="fs-badges"><span class="fs-notice" role="note">{escape(text.NOTICE)}</span>'
        f'<span class="fs-model">Model: {escape(model)}</span></div></header>'
    )


def _input_column(examples: Sequence[Example]) -> Inputs:
    photo = gr.Image(
        label="Photo",
        sources=["upload", "webcam", "clipboard"],
        type="filepath",
        image_mode=None,  # the file as it came: the detector reads it as any other, with its own messages
        webcam_options=gr.WebcamOptions(mirror=False),  # a mirrored face would have mirrored boxes
        height=320,
        buttons=["fullscreen"],
        elem_id="fs-photo",
        alt_text="The photo to analyze",
    )
    photo.preprocess = _leave_to_handler(photo.preprocess)  # type: ignore[method-assign]
    task = gr.Radio(
        [(choice.name, key) for key, choice in text.TASKS.items()],
        value="all",
        label="Question",
        info=text.TASKS["all"].help,
        elem_id="fs-task",
    )
    run = gr.Button("Analyze", variant="primary", elem_id="fs-run")
    buttons = []
    if examples:
        gr.Markdown(text.EXAMPLES, elem_id="fs-examples-title")
        with gr.Row(elem_id="fs-examples"):
            buttons = [gr.Button(example.name, icon=example.path, size="sm", min_width=60) for example in examples]
    return Inputs(photo, task, run, buttons)


def _output_column(handlers: Handlers) -> Outputs:
    band = gr.HTML(verdict_band(None), elem_id="fs-verdict")
    threshold = gr.Slider(
        0,
        1,
        value=handlers.detector.model.config.score_threshold,
        step=0.01,
        label="Threshold",
        info=text.THRESHOLD_HELP,
        elem_id="fs-threshold",
    )
    with gr.Tabs(elem_id="fs-tabs"):
        with gr.Tab("Where"):
            boxes = gr.AnnotatedImage(
                label="The attacked areas",
                color_map={**ATTACK_COLORS, UNNAMED_BOX: UNKNOWN_COLOR},
                show_legend=True,
                height=400,
                elem_id="fs-boxes",
            )
        with gr.Tab("Why"):
            explanation = gr.Textbox(
                label="In the model's words",
                lines=6,
                max_lines=20,
                interactive=False,
                buttons=["copy"],
                elem_id="fs-why",
            )
        with gr.Tab("Chat"):
            chatbot = gr.Chatbot(
                label="About this face",
                height=320,
                render_markdown=False,  # an answer is text: a <tag> or a [1, 2] in it is meant as it stands
                feedback_options=None,
                buttons=["copy", "copy_all"],
                examples=[{"text": question} for question in text.CHAT_EXAMPLES],
                elem_id="fs-chat",
            )
            with gr.Row(equal_height=True):
                question = gr.Textbox(
                    placeholder="Ask about this face",
                    label="Question",
                    show_label=False,
                    scale=6,
                    min_width=160,
                    elem_id="fs-question",
                )
                send = gr.Button("Send", variant="primary", scale=1, min_width=64, elem_id="fs-send")
                stop = gr.Button("Stop", variant="stop", scale=1, min_width=64, elem_id="fs-stop")
        with gr.Tab("Views"):
            slider = gr.ImageSlider(label="Photo | SAV view", interactive=False, height=400, elem_id="fs-views")
            with gr.Row():
                channels = [
                    gr.Image(
                        label=name,
                        interactive=False,
                        buttons=[],
                        min_width=80,
                        alt_text=f"{name} of the photo",
                    )
                    for name in text.CHANNELS
                ]
        with gr.Tab("JSON"):
            json = gr.JSON(label="The verdict", elem_id="fs-json")
            code = gr.Code(label="The same in Python", language="python", interactive=False, elem_id="fs-code")
    results = [band, boxes, explanation, json, code, slider, *channels]
    return Outputs(threshold, results, json, chatbot, question, send, stop)


def _wire_analysis(handlers: Handlers, inputs: Inputs, outputs: Outputs) -> None:
    inputs.run.click(**_analysis(handlers, inputs, outputs))
    inputs.run.click(None, js=SHOW_VERDICT, **PAGE_EVENT)
    inputs.photo.input(handlers.clear, outputs=outputs.results, **INSTANT_EVENT)
    # A chat is about one face: another photo starts another.
    inputs.photo.change(lambda: [], outputs=[outputs.chatbot], **INSTANT_EVENT)
    inputs.task.input(
        lambda task: gr.Radio(info=text.TASKS[task].help), inputs=[inputs.task], outputs=[inputs.task], **INSTANT_EVENT
    )
    outputs.threshold.input(
        handlers.decide_again,
        inputs=[inputs.photo, outputs.json, outputs.threshold],
        outputs=outputs.results[:4],
        trigger_mode="always_last",
        **INSTANT_EVENT,
    )


def _wire_examples(handlers: Handlers, inputs: Inputs, outputs: Outputs, examples: Sequence[Example]) -> None:
    """One click on an example shows it and judges it."""
    for button, example in zip(inputs.examples, examples, strict=True):
        shown = button.click(partial(str, example.path), outputs=[inputs.photo], **INSTANT_EVENT)
        shown.then(None, js=SHOW_VERDICT, **PAGE_EVENT)
        shown.then(**_analysis(handlers, inputs, outputs))


def _analysis(handlers: Handlers, inputs: Inputs, outputs: Outputs) -> dict[str, Any]:
    asked = [inputs.photo, inputs.task, outputs.threshold]
    return {"fn": handlers.run, "inputs": asked, "outputs": outputs.results, **MODEL_EVENT, **PAGE_EVENT}


def _wire_chat(handlers: Handlers, inputs: Inputs, outputs: Outputs) -> None:
    chat: dict[str, Any] = {
        "fn": handlers.chat,
        "inputs": [inputs.photo, outputs.question, outputs.chatbot],
        "outputs": [outputs.question, outputs.chatbot],
    }
    chat |= MODEL_EVENT | PAGE_EVENT
    answers: list[dict[str, Any]] = [outputs.question.submit(**chat), outputs.send.click(**chat)]
    chosen = outputs.chatbot.example_select(_chosen_example, outputs=[outputs.question], **INSTANT_EVENT)
    answers.append(chosen.then(**chat))
    outputs.stop.click(None, cancels=answers, **PAGE_EVENT)


def _chosen_example(event: gr.SelectData) -> str:
    return event.value["text"]


def _add_api(handlers: Handlers, inputs: Inputs, outputs: Outputs) -> None:
    """Give programs `/analyze`: through components, so that Gradio itself checks where an image comes from."""
    gr.Button(visible=False).click(
        handlers.analyze,
        inputs=[inputs.photo, inputs.task, outputs.threshold],
        outputs=[gr.JSON(visible=False)],
        api_name="analyze",
        **MODEL_EVENT,
    )


def _leave_to_handler(preprocess: Callable[..., Any]) -> Callable[..., Any]:
    """Pass a file that Gradio cannot open on to the handler, which says what is wrong; Gradio only says "Error"."""

    def passed_on(payload: Any) -> Any:
        try:
            return preprocess(payload)
        except (UnidentifiedImageError, Image.DecompressionBombError, OSError):
            return payload.path

    return passed_on
