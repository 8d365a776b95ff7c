"""Is the photo good enough to judge: one clear, lit, sharp face that is large enough.

Advice, not a verdict: the detector judges every image and reports these codes beside its answer, so that a bad photo
is not mistaken for a bad model. The module knows nothing of liveness, and an attack may well have no findable face (a
mask) or two (a photo held by a person). The limits below were set on 40 synthetic portraits, plain, darkened and
blurred: all plain ones pass, a quarter of the light is called dark in all 40 (half of it in none), and blur with a
deviation of 2 % of the face's height is caught in 39.

Example:
    >>> from PIL import Image
    >>> from faceshield_hf.quality import advice, check_quality
    >>> codes = check_quality(Image.new("RGB", (320, 240), "white"))
    >>> codes
    ('no_face',)
    >>> advice(codes)
    ['No face was found: the whole picture was judged. Use a photo that shows a face from the front.']
"""

from collections.abc import Iterable, Sequence

import cv2
import numpy as np
from PIL import Image

from faceshield_hf.faces import Face, find_faces


# A second face counts from this share of the largest one's height: smaller ones are passers-by.
SECOND_FACE_SHARE = 0.4
# Pixels of the photo: below, print dots and screen grids are not in the file any more.
MIN_FACE_HEIGHT = 64
# Share of the image's height: the model sees the whole frame at a few hundred pixels, so a face below gets too few.
MIN_FACE_SHARE = 0.15
# Of 255, for the face's brightest tenth. The mean would call dark skin a dark photo; highlights show the light itself.
DARK_LUMINANCE = 60
# Variance of the Laplacian over the variance of the luminance, on a face at most 128 pixels high: no unit.
BLURRED_SHARPNESS = 0.015
_SHARPNESS_HEIGHT = 128
# Pixels on the longer side at which faces are looked for: one at the least share of the height is still twice as high
# as the smallest that is found.
_SEARCH_SIDE = 320

ADVICE = {
    "no_face": "No face was found: the whole picture was judged. Use a photo that shows a face from the front.",
    "many_faces": "There are several faces: only one verdict is given. Crop the photo to one person.",
    "too_small": "The face is too small: come closer, or crop the photo to the head and shoulders.",
    "dark": "The face is too dark: turn to the light, or use a brighter photo.",
    "blurred": "The face is blurred: hold the camera still and clean its lens.",
}


def check_quality(image: Image.Image, faces: Sequence[Face] | None = None) -> tuple[str, ...]:
    """Name what is wrong with a photo of a face.

    Args:
        image (`PIL.Image.Image`): the photo, any mode; converted to RGB.
        faces (`Sequence[Face]`, *optional*): `find_faces(image)`, the largest first; searched for when `None`.

    Returns:
        `tuple[str, ...]`: of `"no_face"`, `"many_faces"`, `"too_small"`, `"dark"`, `"blurred"`, in this order; empty
        when there is nothing to say. `"no_face"` stands alone: without a face nothing else can be measured.
    """
    if faces is None:
        faces = find_faces(image, side=_SEARCH_SIDE)
    if not faces:
        return ("no_face",)
    face = faces[0]
    pixels = _face_luminance(image, face)
    found = {
        "many_faces": len(faces) > 1 and faces[1].height >= SECOND_FACE_SHARE * face.height,
        "too_small": face.height < MIN_FACE_HEIGHT or face.height < MIN_FACE_SHARE * image.height,
        "dark": float(np.percentile(pixels, 90)) < DARK_LUMINANCE,
        "blurred": sharpness(pixels) < BLURRED_SHARPNESS,
    }
    return tuple(code for code, wrong in found.items() if wrong)


def advice(codes: Iterable[str]) -> list[str]:
    """Say in a sentence each what to do about quality codes.

    Args:
        codes (`Iterable[str]`): as `check_quality` gives them.

    Returns:
        `list[str]`: one English sentence or two a code, in the same order.

    Raises:
        ValueError: for a code that `check_quality` never gives.
    """
    sentences = []
    for code in codes:
        if code not in ADVICE:
            raise ValueError(f"unknown quality code {code!r}: expected one of {', '.join(ADVICE)}")
        sentences.append(ADVICE[code])
    return sentences


def sharpness(luminance: np.ndarray) -> float:
    """Measure how sharp a face is, whatever its size, contrast and brightness.

    The variance of the Laplacian (Pech-Pacheco et al. 2000), divided by the luminance's own variance so that a dim or
    flat light does not read as blur, on a face shrunk to at most 128 pixels so that a large photo does not either.

    Args:
        luminance (`np.ndarray` of shape `(height, width)`): 0..255.

    Returns:
        `float`: 0 for a flat patch; about 0.1 to 1 for sharp portraits, below 0.015 for blurred ones.
    """
    pixels: np.ndarray = luminance.astype(np.float32)
    if pixels.shape[0] > _SHARPNESS_HEIGHT:
        width = max(1, round(pixels.shape[1] * _SHARPNESS_HEIGHT / pixels.shape[0]))
        pixels = cv2.resize(pixels, (width, _SHARPNESS_HEIGHT), interpolation=cv2.INTER_AREA)
    variance = float(pixels.var())
    if variance < 1:  # less than one grey level of contrast: rounding noise, not edges
        return 0.0
    return float(cv2.Laplacian(pixels, cv2.CV_32F).var()) / variance


def _face_luminance(image: Image.Image, face: Face) -> np.ndarray:
    """Cut the face out, clipped to the image, at least one pixel, as `(height, width)` of 0..255."""
    x1, y1, x2, y2 = face.box
    left, top = int(np.clip(x1, 0, image.width - 1)), int(np.clip(y1, 0, image.height - 1))
    right, bottom = int(np.clip(x2, left + 1, image.width)), int(np.clip(y2, top + 1, image.height))
    return np.asarray(image.convert("RGB").crop((left, top, right, bottom)).convert("L"))
