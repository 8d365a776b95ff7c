"""The border: whatever a caller calls an image becomes one upright 8-bit RGB picture, or a `ValueError` that helps.

Everything that takes images from outside calls [`to_rgb_image`] once and works on plain RGB from there on: the image
processor, the detector, the command line, the Space. It undoes what files carry: EXIF rotation, transparency (put on
white), palettes, CMYK, 16 bits, float ranges, channel order. It knows nothing of faces, sizes or models.

Example:
    >>> import numpy as np
    >>> from PIL import Image
    >>> to_rgb_image(Image.new("RGBA", (4, 2), (255, 0, 0, 0))).getpixel((0, 0))  # transparent red
    (255, 255, 255)
    >>> to_rgb_image(np.full((2, 4), 0.5)).getpixel((0, 0))  # gray floats, 0..1
    (128, 128, 128)
"""

import base64
import importlib.util
import io
import os
from typing import Any

import numpy as np
import PIL.Image
import torch
from PIL.ExifTags import Base as ExifTag
from transformers.image_utils import ChannelDimension


MAX_PIXELS = 89_478_485
"""The largest image accepted, in pixels: where Pillow starts to warn of decompression bombs."""
IMAGE_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM") + (
    ("AVIF",) if importlib.util.find_spec("PIL.AvifImagePlugin") else ()  # there from Pillow 11.3 on
)
"""The formats of files that are read, by Pillow's names; JPEG counts in MPO, which phones write.

Pillow's other readers stay shut to what comes from outside: some start other programs (EPS runs Ghostscript), some
unpack the whole picture before its size can be looked at (ICO, ICNS).
"""

# How far floats may overshoot 0..1 (times 255: 0..255) through rounding.
_FLOAT_SLACK = 1e-3
# Numbers of channels an array may have; where two of its axes could be the channels, colour is likelier than gray.
_CHANNEL_RANK = {3: 2, 4: 2, 1: 1}
# What undoes each EXIF orientation, e.g. 6: the camera was turned, so turn the picture 90 degrees clockwise.
_UPRIGHT = {
    2: PIL.Image.Transpose.FLIP_LEFT_RIGHT,
    3: PIL.Image.Transpose.ROTATE_180,
    4: PIL.Image.Transpose.FLIP_TOP_BOTTOM,
    5: PIL.Image.Transpose.TRANSPOSE,
    6: PIL.Image.Transpose.ROTATE_270,
    7: PIL.Image.Transpose.TRANSVERSE,
    8: PIL.Image.Transpose.ROTATE_90,
}


def to_rgb_image(image: Any, input_data_format: str | ChannelDimension | None = None) -> PIL.Image.Image:
    """Turn any image into an upright RGB picture of 8 bits a channel.

    Args:
        image (`str`, `os.PathLike`, `bytes`, `PIL.Image.Image`, `np.ndarray` or `torch.Tensor`):
            - A string is a path, an `http(s)` URL, or a base64 string with or without `data:image/...;base64,`.
            - Bytes are an image file's, in one of `IMAGE_FORMATS`. Of an animated file the first frame counts; of an
              opened animated picture the frame where it stands.
            - Arrays and tensors are `(height, width)`, `(height, width, channels)` or `(channels, height, width)`
              with 1 (gray), 3 (red, green, blue) or 4 (and alpha) channels. Whole numbers run 0..255, uint16 0..65535,
              floats 0..1 or 0..255 (0..1 where no value is above 1), booleans are black and white.
        input_data_format (`str` or `ChannelDimension`, *optional*):
            `"channels_first"` or `"channels_last"`, for arrays whose shape could be either.

    Returns:
        `PIL.Image.Image`: A picture in mode RGB. A picture that is upright RGB already is returned as it is, not
        copied; the caller's own picture is never changed. Transparent parts are blended into white.

    Raises:
        ValueError: If it is not an image, is damaged, empty, larger than `MAX_PIXELS`, or holds values or a number of
            channels that aren't an image's. The message says what came, what is accepted, and what to do.
    """
    if isinstance(image, PIL.Image.Image):
        return _from_picture(image)
    if isinstance(image, np.ndarray | torch.Tensor):
        return _from_array(as_array(image), input_data_format)
    if isinstance(image, str | os.PathLike | bytes):
        with _open(image) as picture:
            upright = _from_picture(picture)
        upright.info = {}  # what the file says of itself ends at the border, whether it was turned or not
        return upright
    raise ValueError(
        f"got {type(image).__name__} as an image, expected a path, URL, base64 string, bytes, PIL image, numpy array "
        "or torch tensor"
    )


def to_local_rgb_image(image: Any) -> PIL.Image.Image:
    """Do what `to_rgb_image` does, but for URLs: what comes from outside never makes this process fetch one.

    Args:
        image: as `to_rgb_image` takes it.

    Returns:
        `PIL.Image.Image`: Upright RGB.

    Raises:
        ValueError: As `to_rgb_image` does, and for a URL.
    """
    if isinstance(image, str) and image.lower().startswith(("http://", "https://")):
        raise ValueError(f"got the URL {image[:100]!r}: nothing is downloaded here; download it and pass its bytes")
    return to_rgb_image(image)


def image_size(file: str | os.PathLike | bytes) -> tuple[int, int]:
    """Read the size of an image file from its header; nothing is unpacked.

    Args:
        file (`str`, `os.PathLike` or `bytes`): as `to_rgb_image` takes it.

    Returns:
        `tuple[int, int]`: Width and height in pixels, as the file stores them (not turned by EXIF).

    Raises:
        ValueError: If it is no image of `IMAGE_FORMATS`, its header is damaged, or it is empty or larger than
            `MAX_PIXELS`.
    """
    with _open(file) as picture:
        _check_size(*picture.size)
        return picture.size


def holds_unit_floats(image: Any) -> bool:
    """Tell whether an image's values are floats in 0..1: an array, a tensor, or a PIL image of mode `F`."""
    if isinstance(image, PIL.Image.Image):
        return image.mode == "F" and holds_unit_floats(np.asarray(image))
    if not isinstance(image, np.ndarray | torch.Tensor):
        return False
    array = as_array(image)
    return array.dtype.kind == "f" and array.size > 0 and bool(array.max() <= 1 + _FLOAT_SLACK)


def as_array(image: np.ndarray | torch.Tensor) -> np.ndarray:
    """Give the numbers of an array or of a tensor, wherever it lives and whatever its type."""
    if isinstance(image, np.ndarray):
        return image
    image = image.detach().cpu()
    # The one common type of tensors that numpy doesn't have.
    return (image.float() if image.dtype == torch.bfloat16 else image).numpy()


def _open(source: str | os.PathLike | bytes) -> PIL.Image.Image:
    name, file = _locate(source)
    try:
        return PIL.Image.open(file, formats=IMAGE_FORMATS)
    except (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning) as error:
        raise ValueError(f"{name} has more than {MAX_PIXELS:,} pixels: make it smaller first ({error})") from error
    except FileNotFoundError as error:
        raise ValueError(f"{name}: no such file") from error
    except PIL.UnidentifiedImageError as error:
        raise ValueError(
            f"{name} is not an image that can be read here: pass one of these formats: {', '.join(IMAGE_FORMATS)}"
        ) from error
    # The reader of each file format raises what it likes over a damaged header: OSError, SyntaxError, struct.error...
    except Exception as error:
        raise ValueError(f"{name} can't be opened as an image ({type(error).__name__}: {error})") from error


def _locate(source: str | os.PathLike | bytes) -> tuple[str, str | os.PathLike | io.BytesIO]:
    """Name a source for messages, and find the file that Pillow shall open."""
    if isinstance(source, bytes):
        return f"a file of {len(source)} bytes", io.BytesIO(source)
    if isinstance(source, os.PathLike):
        return repr(os.fspath(source)), source
    name = repr(source if len(source) <= 100 else source[:97] + "...")
    if source.startswith(("http://", "https://")):
        from huggingface_hub.utils import httpx  # most images come from files, and the import takes a while

        try:
            return name, io.BytesIO(httpx.get(source, follow_redirects=True).raise_for_status().content)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ValueError(f"{name} can't be downloaded ({error}): pass the path of a file instead") from error
    if os.path.isfile(source):
        return name, source
    try:
        encoded = source.partition(",")[2] if source.startswith("data:image/") else source
        # Base64 is often wrapped into lines; anything else that isn't base64 means that it was meant as a path.
        decoded = base64.b64decode("".join(encoded.split()), validate=True)
    except ValueError as error:
        raise ValueError(f"{name}: no such file, and neither a URL nor a base64 image") from error
    return f"{name} (no such file, so read as base64)", io.BytesIO(decoded)


def _from_picture(picture: PIL.Image.Image) -> PIL.Image.Image:
    _check_size(*picture.size)
    try:
        # Pillow opens lazily: only here a truncated or damaged file shows.
        picture.load()
        orientation = picture.getexif().get(ExifTag.Orientation)
    # Some thirty decoders, each with errors of its own, as in `_open`.
    except Exception as error:
        raise ValueError(
            f"the image data is truncated or damaged ({type(error).__name__}: {error}): save or download it again"
        ) from error
    if orientation in _UPRIGHT:
        picture = picture.transpose(_UPRIGHT[orientation])
        # The mark must go with the turn: whoever passes the result in again would have it turned twice.
        picture.info = {key: value for key, value in picture.info.items() if key == "transparency"}
    return _flatten(picture)


def _flatten(picture: PIL.Image.Image) -> PIL.Image.Image:
    """Turn any of Pillow's modes into RGB, transparent parts into white."""
    # Pillow itself would clip what is above 255 here, which makes a 16-bit picture white.
    if picture.mode.startswith("I") or picture.mode == "F":
        numbers = np.asarray(picture)
        # Pillow also opens 16-bit files as 32-bit integers.
        if picture.mode == "I" and 255 < numbers.max() <= 65535 and numbers.min() >= 0:
            numbers = numbers.astype(np.uint16)
        return PIL.Image.fromarray(_to_bytes(numbers)).convert("RGB")
    if picture.has_transparency_data:
        rgba = picture.convert("LA" if picture.mode == "La" else "RGBA").convert("RGBA")
        return PIL.Image.alpha_composite(PIL.Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _from_array(array: np.ndarray, input_data_format: str | ChannelDimension | None) -> PIL.Image.Image:
    if array.ndim not in (2, 3):
        raise ValueError(
            f"got an array of shape {array.shape} as an image, expected (height, width), (height, width, channels) or "
            "(channels, height, width): pass the images of a batch as a list"
        )
    if array.ndim == 3:
        array = _channels_last(array, input_data_format)
    _check_size(array.shape[1], array.shape[0])
    numbers = _to_bytes(array)
    if numbers.ndim == 3 and numbers.shape[2] == 1:
        numbers = numbers[..., 0]
    return _flatten(PIL.Image.fromarray(np.ascontiguousarray(numbers)))


def _channels_last(array: np.ndarray, input_data_format: str | ChannelDimension | None) -> np.ndarray:
    """Move the channels of a three-dimensional array to the end, from wherever they are."""
    if input_data_format is None:
        first, last = _CHANNEL_RANK.get(array.shape[0], 0), _CHANNEL_RANK.get(array.shape[2], 0)
        if first == last > 0 and array.size > 1:
            raise ValueError(
                f"got an array of shape {array.shape}, whose channels may be first or last: say which by "
                "`input_data_format`"
            )
        channels_first = first > last
    else:
        channels_first = ChannelDimension(input_data_format) == ChannelDimension.FIRST
    moved = np.moveaxis(array, 0, -1) if channels_first else array
    if moved.shape[2] not in _CHANNEL_RANK:
        raise ValueError(
            f"got an array of shape {array.shape} with {moved.shape[2]} channels "
            f"{'first' if channels_first else 'last'}, expected 1 (gray), 3 (RGB) or 4 (RGBA)"
        )
    return moved


def _to_bytes(array: np.ndarray) -> np.ndarray:
    """Bring the numbers of an image to uint8, 0..255."""
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind == "b":
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype.kind == "f":
        return _floats_to_bytes(array)
    if array.dtype.kind not in "iu":
        raise ValueError(f"got an image of {array.dtype} values, expected whole numbers or floats")
    # Two bytes may be in either order: compare the kind of number, not the exact type.
    if array.dtype.type is np.uint16:
        return ((array.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    if array.min() < 0 or array.max() > 255:
        raise ValueError(
            f"got {array.dtype} values from {array.min()} to {array.max()}, expected 0..255: scale them, or pass "
            "16-bit images as uint16"
        )
    return array.astype(np.uint8)


def _floats_to_bytes(array: np.ndarray) -> np.ndarray:
    low, high = float(array.min()), float(array.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError(
            "got an image with NaN or infinite values, expected floats in 0..1 or 0..255: replace them, e.g. by "
            "`numpy.nan_to_num`"
        )
    unit = 1.0 if high <= 1 + _FLOAT_SLACK else 255.0
    # Values just above 1 are 0..1 that overshot (resizing does that): read as 0..255 the picture would turn black.
    overshot = 1 + _FLOAT_SLACK < high < 2
    if overshot or low < -_FLOAT_SLACK * unit or high > (1 + _FLOAT_SLACK) * unit:
        raise ValueError(
            f"got floats from {low:.4g} to {high:.4g}, expected 0..1 or 0..255: clip them, or pass the image before "
            "it was normalised"
        )
    return np.rint(np.clip(array.astype(np.float32), 0.0, unit) * (255.0 / unit)).astype(np.uint8)


def _check_size(width: int, height: int) -> None:
    if width == 0 or height == 0:
        raise ValueError(f"got an image of {width}x{height} pixels, expected at least one pixel")
    if width * height > MAX_PIXELS:
        raise ValueError(
            f"got an image of {width}x{height} pixels, expected at most {MAX_PIXELS:,} in all: make it smaller first"
        )
