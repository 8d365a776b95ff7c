"""The components that several tabs have: the photo, the task, the checkpoint. Only looks; no events.

Example:
    >>> with gr.Blocks():
    ...     photo = photo_input(ENGLISH, "fs-photo")
"""

import json
from collections.abc import Callable
from typing import Any

import gradio as gr
from gradio.exceptions import InvalidPathError
from PIL import Image, UnidentifiedImageError
from ui_models import Models
from ui_words import TASK_LISTS, Words


# One run of the model at a time: two would share the same cores or GPU and both be slower.
MODEL_EVENT: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": 1}
# The page's own events are no API: programs have endpoints of their own.
PAGE_EVENT: dict[str, Any] = {"api_visibility": "private"}
INSTANT_EVENT: dict[str, Any] = {"queue": False, "show_progress": "hidden", **PAGE_EVENT}


def photo_input(words: Words, elem_id: str, **options: Any) -> gr.Image:
    """A photo by upload, camera or clipboard; its value is the file as it came."""
    photo = gr.Image(
        label=words.photo,
        sources=["upload", "webcam", "clipboard"],
        type="filepath",
        image_mode=None,  # the detector reads it as any other file, with its own messages
        webcam_options=gr.WebcamOptions(mirror=False),  # a mirrored face would have mirrored boxes
        placeholder=words.photo_hint,
        elem_id=elem_id,
        alt_text=words.photo_alt,
        **{"height": 320, "buttons": ["fullscreen"], **options},
    )
    photo.preprocess = leave_to_handler(photo.preprocess)  # type: ignore[method-assign]
    return photo


def task_input(words: Words, elem_id: str, value: str = "all") -> gr.Radio:
    """The task selector, with a line on the chosen task."""
    return gr.Radio(
        [(words.tasks[key].name, key) for key in TASK_LISTS],
        value=value,
        label=words.question,
        info=words.tasks[value].help,
        elem_id=elem_id,
    )


def explain_task(task: gr.Radio, words: Words) -> None:
    """Let the line under the selector follow the choice."""
    helps = json.dumps({key: choice.help for key, choice in words.tasks.items()})
    follow = f"(key) => ({{__type__: 'update', info: {helps}[key]}})"  # in the browser: the server has no part in it
    task.input(None, inputs=[task], outputs=[task], js=follow, **PAGE_EVENT)


def checkpoint_input(models: Models, words: Words, elem_id: str) -> gr.Dropdown:
    """The checkpoint picker: what the server offers, or any where that is allowed."""
    return gr.Dropdown(
        models.names,
        value=models.default,
        label=words.checkpoint,
        info=words.checkpoint_help if models.any_checkpoint else words.checkpoint_fixed,
        allow_custom_value=models.any_checkpoint,
        elem_id=elem_id,
    )


def leave_to_handler(preprocess: Callable[..., Any]) -> Callable[..., Any]:
    """Pass a file that Gradio cannot open on to the handler, which says what is wrong; Gradio only says "Error"."""

    def passed_on(payload: Any) -> Any:
        try:
            return preprocess(payload)
        except InvalidPathError:  # a file of the server's: never
            raise
        # Whatever Pillow's readers raise over a damaged file.
        except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError):
            return payload.path

    return passed_on
