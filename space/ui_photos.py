"""Reading what was uploaded, and telling a visitor or a program what is wrong with it.

Example:
    >>> with shown_errors():
    ...     read_photo("/tmp/cache/1f/notes.txt", ENGLISH)
    Traceback (most recent call last):
    gradio.exceptions.Error: 'notes.txt is not an image ...'
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import TypeVar

import gradio as gr
from PIL import Image
from ui_words import Words

from faceshield_hf.image_input_faceshield import image_size, to_rgb_image


Result = TypeVar("Result")


def read_photo(photo: str | None, words: Words) -> Image.Image:
    """Read what was uploaded.

    Args:
        photo (`str`, *optional*): where it lies.
        words (`Words`): the language of the messages.

    Returns:
        `PIL.Image.Image`: upright RGB.

    Raises:
        ValueError: when there is nothing, it is deleted already, or it is no image.
    """
    return _read(to_rgb_image, photo, words)


def check_photo(photo: str | None, words: Words) -> None:
    """Look at what was uploaded without unpacking it: any number of callers may do so at once.

    Args:
        photo (`str`, *optional*): where it lies.
        words (`Words`): the language of the messages.

    Raises:
        ValueError: when there is nothing, it is deleted already, it is of no format that is read, or too large. Damage
            behind the header shows only to `read_photo`.
    """
    _read(image_size, photo, words)


def _read(reader: Callable[[Path], Result], photo: str | None, words: Words) -> Result:
    if photo is None:
        raise ValueError(words.no_image)
    if not Path(photo).is_file():
        raise ValueError(words.image_gone)
    try:
        return reader(Path(photo))
    except ValueError as error:
        raise ValueError(words.bad_image.format(reason=without_folder(str(error), photo))) from error


def without_folder(message: str, photo: str) -> str:
    """Name a file in a message as the visitor does, not by where the server keeps it."""
    return message.replace(photo, Path(photo).name)


def complaint(error: ValueError) -> gr.Error:
    """Turn a mistake that a visitor can mend into a message on the page, which is rendered as HTML."""
    return gr.Error(escape(str(error), quote=False), print_exception=False)


@contextmanager
def shown_errors() -> Iterator[None]:
    """Show what a visitor can mend (`ValueError`) as a message; bugs keep their traceback in the log."""
    try:
        yield
    except ValueError as error:
        raise complaint(error) from error
