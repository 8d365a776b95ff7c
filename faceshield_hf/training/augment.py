"""Label-preserving augmentation of labelled face images: flip, crop, resolution, tone, blur, noise, compression.

Nuisances of capture only, the same for bona fide and attack, so that no class can be told by them. Boxes follow the
geometry. The spoof-aware view is computed after augmentation, never before (local binary patterns don't survive it).

Example:
    >>> import numpy as np
    >>> from PIL import Image
    >>> from faceshield_hf.training.augment import augment
    >>> image, boxes = augment(Image.new("RGB", (64, 64)), (), np.random.default_rng(0))
    >>> boxes
    ()
"""

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image

from faceshield_hf.tasks_faceshield import Box


_LEAST_LONGER_SIDE = 200  # pixels; shrunk further, small attacks can no longer be seen
_FILTERS = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC)


def augment(image: Image.Image, boxes: Sequence[Box], rng: np.random.Generator) -> tuple[Image.Image, tuple[Box, ...]]:
    """Draw one random variant of an image.

    Args:
        image (`PIL.Image`): RGB.
        boxes (`Sequence[Box]`): regions, 0..1 of the image.
        rng (`np.random.Generator`): every choice comes from it.

    Returns:
        `tuple[PIL.Image, tuple[Box, ...]]`: the variant and its boxes; a crop keeps at least nine tenths of every box.
    """
    pixels = np.asarray(image)
    boxes = tuple(boxes)
    if rng.random() < 0.5:
        pixels = pixels[:, ::-1]
        boxes = tuple(Box(1 - box.x2, box.y1, 1 - box.x1, box.y2, box.label) for box in boxes)
    if rng.random() < 0.7:
        pixels, boxes = _crop(pixels, boxes, rng)
    if rng.random() < 0.5:
        pixels = _shrink(np.ascontiguousarray(pixels), rng)
    pixels = _tone(np.ascontiguousarray(pixels, np.float32), rng)
    if rng.random() < 0.25:
        pixels = _blur(pixels, rng)
    if rng.random() < 0.3:
        pixels += rng.uniform(1, 8) * rng.standard_normal(pixels.shape, np.float32)
    out = np.clip(pixels + 0.5, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        out = _jpeg(out, int(rng.integers(30, 95)))
    return Image.fromarray(out), boxes


def _crop(pixels: np.ndarray, boxes: tuple[Box, ...], rng: np.random.Generator) -> tuple[np.ndarray, tuple[Box, ...]]:
    side = rng.uniform(0.75, 1.0, 2)
    x, y = rng.uniform(0, 1 - side)
    moved = []
    for box in boxes:
        x1, x2 = np.clip((np.array([box.x1, box.x2]) - x) / side[0], 0, 1).tolist()
        y1, y2 = np.clip((np.array([box.y1, box.y2]) - y) / side[1], 0, 1).tolist()
        kept = (x2 - x1) * side[0] * (y2 - y1) * side[1]
        if kept < 0.9 * (box.x2 - box.x1) * (box.y2 - box.y1):
            return pixels, boxes
        moved.append(Box(x1, y1, x2, y2, box.label))
    height, width = pixels.shape[:2]
    top, left = round(y * height), round(x * width)
    return pixels[top : top + round(side[1] * height), left : left + round(side[0] * width)], tuple(moved)


def _shrink(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Fewer pixels, by a filter that a camera or a web site might use; never more than there are."""
    height, width = pixels.shape[:2]
    longer = max(height, width)
    if longer <= _LEAST_LONGER_SIDE:
        return pixels
    scale = np.exp(rng.uniform(np.log(_LEAST_LONGER_SIDE), np.log(longer))) / longer
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(pixels, size, interpolation=int(rng.choice(_FILTERS)))


def _tone(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Exposure, contrast, gamma, white balance and saturation, each in a mild range; now and then no colour at all."""
    gain = rng.uniform(0.75, 1.25) * rng.uniform(0.9, 1.1, 3)
    contrast, saturation = rng.uniform(0.8, 1.2), rng.uniform(0.7, 1.3)
    if rng.random() < 0.04:
        gain, saturation = np.full(3, gain.mean()), 0.0
    pixels = (pixels - 128) * contrast + 128
    gray = pixels.mean(2, keepdims=True)
    pixels = (gray + (pixels - gray) * saturation) * gain.astype(np.float32)
    if rng.random() < 0.3:
        gamma = np.exp(rng.uniform(-0.4, 0.4))
        pixels = 255 * (np.clip(pixels, 0, 255) / 255) ** gamma
    return pixels.astype(np.float32)


def _blur(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Out of focus, or for one in three moved along a line."""
    if rng.random() < 2 / 3:
        return cv2.GaussianBlur(pixels, (0, 0), float(rng.uniform(0.4, 1.4)))
    length = int(rng.integers(3, 8))
    line = np.zeros((length, length), np.float32)
    line[length // 2] = 1 / length
    turn = cv2.getRotationMatrix2D(((length - 1) / 2, (length - 1) / 2), float(rng.uniform(0, 180)), 1.0)
    kernel = cv2.warpAffine(line, turn, (length, length))
    return cv2.filter2D(pixels, -1, kernel / kernel.sum())


def _jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_UNCHANGED))
