"""What `/v1/analyze` takes and gives, typed: an image as a data URL, a verdict as JSON.

An image is only ever the bytes in the request. A URL or a path is refused: a server that fetches what callers name
reads other people's networks and disks for them.

Example:
    >>> AnalyzeRequest(image="data:image/png;base64,AAAA").tasks
    [<Task.COARSE: 'coarse'>, <Task.FINE: 'fine'>, <Task.REASONING: 'reasoning'>, <Task.LOCALIZATION: 'localization'>]
"""

import base64
import binascii
from typing import NamedTuple

import PIL.Image
from pydantic import BaseModel, ConfigDict, Field

from faceshield_hf.decision import TASKS
from faceshield_hf.image_input_faceshield import image_size, to_rgb_image
from faceshield_hf.tasks_faceshield import Task


class AnalyzeRequest(BaseModel):
    """One image to judge.

    Attributes:
        image (`str`): `data:image/...;base64,...`, or base64 alone.
        tasks (`list[Task]`): what to ask; `[]` is the fastest way to a label.
        threshold (`float`, *optional*): p(spoof) from which on it is a spoof; the checkpoint's own when left out.
        quality (`bool`): whether to look for a face and check the photo.
    """

    model_config = ConfigDict(extra="forbid")

    image: str = Field(min_length=1, description="data:image/...;base64,... or base64 alone; no URL, no path")
    tasks: list[Task] = Field(default=list(TASKS), max_length=len(Task))
    threshold: float | None = Field(default=None, ge=0, le=1)
    quality: bool = True


class BoxAnswer(BaseModel):
    """A region, as fractions 0..1 of the image's width and height."""

    x1: float
    y1: float
    x2: float
    y2: float
    label: str | None


class VerdictAnswer(BaseModel):
    """A verdict, as `Verdict.to_dict()` gives it."""

    label: str | None = Field(description="real, spoof or unsure")
    score: float | None = Field(description="p(spoof), 0..1")
    threshold: float | None
    attack_type: str | None
    boxes: list[BoxAnswer]
    explanation: str
    answers: dict[str, str]
    quality: list[str] = Field(description="no_face, many_faces, too_small, dark, blurred")
    model: str | None


class PackedImage(NamedTuple):
    """An image as it came: small, whatever it unpacks to.

    Attributes:
        content (`bytes`): the file.
        pixels (`int`): how many it says it has; 0 if it is none.
    """

    content: bytes
    pixels: int

    def unpack(self) -> PIL.Image.Image:
        """Give upright RGB.

        Raises:
            ValueError: when it is no image.
        """
        return to_rgb_image(self.content)


def read_image(text: str, max_pixels: int) -> PackedImage:
    """Let an image in from a request, without unpacking it.

    Args:
        text (`str`): a data URL or base64.
        max_pixels (`int`): a larger image is refused.

    Returns:
        [`PackedImage`]: the file and its number of pixels.

    Raises:
        ValueError: when it is too large, or a reference to an image.
    """
    head, comma, data = text.partition(",")
    if comma and not (head.startswith("data:image/") and head.endswith(";base64")):
        raise ValueError(f"got {head[:60]!r} as an image: expected data:image/...;base64,... with the image's bytes")
    try:
        content = base64.b64decode(data if comma else text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(
            f"got {text[:60]!r} as an image: expected data:image/...;base64,... (nothing is downloaded, and no file "
            "of the server is read)"
        ) from error
    try:
        width, height = image_size(content)
    except ValueError:  # unpacking says what is wrong with it
        width = height = 0
    if width * height > max_pixels:
        raise ValueError(f"got an image of {width}x{height} pixels: expected at most {max_pixels:,}; make it smaller")
    return PackedImage(content, width * height)
