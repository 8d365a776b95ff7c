"""What real people look like: own glasses, freckles, moles, beards, daily make-up, a shiny forehead.

Drawn on live faces and on the faces under or in an attack alike, because none of it is an attack. Amounts follow
everyday life: each is absent more often than present, and always weaker than the attack that it might be taken for.

Example:
    >>> import numpy as np
    >>> from faceshield_hf.data.simulate.anatomy import FaceShape
    >>> from faceshield_hf.data.simulate.bonafide import everyday
    >>> from faceshield_hf.data.simulate.scene import Frame
    >>> shape = FaceShape.from_landmarks(np.array([[24, 26], [40, 26], [32, 36], [26, 44], [38, 44]]))
    >>> frame = Frame(np.full((64, 64, 3), 0.5, np.float32), shape, np.ones((64, 64), np.float32), np.full(3, 0.5))
    >>> everyday(frame, np.random.default_rng(0)).image.shape
    (64, 64, 3)
"""

from dataclasses import replace

import cv2
import numpy as np

from .anatomy import MOUTH, FaceShape
from .imaging import (
    Size,
    blur,
    chance,
    ellipse_points,
    fractal_noise,
    mix,
    multiply,
    smooth_curve,
    stroke_mask,
    uniform,
)
from .scene import Frame


def everyday(frame: Frame, rng: np.random.Generator, glasses: bool = True) -> Frame:
    """Give the face some of what faces have in daily life; plain photographs get a third of it.

    Args:
        frame (`Frame`): the scene.
        rng (`np.random.Generator`): source of randomness.
        glasses (`bool`, *optional*, defaults to `True`): whether the person may wear glasses; attacks that cover the
            eyes take them off.
    """
    bare, spectacles = unglazed(frame, rng)
    if spectacles is not None and glasses:
        bare = replace(bare, image=clear_glasses(bare.image, frame.shape, spectacles))
    return replace(bare, image=np.clip(bare.image, 0, 1))


def unglazed(frame: Frame, rng: np.random.Generator) -> tuple[Frame, np.random.Generator | None]:
    """`everyday` without the spectacles, for what lies on the skin below them.

    Args:
        frame (`Frame`): the scene.
        rng (`np.random.Generator`): source of randomness; the same state gives the same face as `everyday`.

    Returns:
        the frame, its image not yet clipped to 0..1, and the generator that `clear_glasses` draws the person's
        spectacles from; `None` if none are worn.
    """
    image = frame.image
    share = 0.33 if frame.natural else 1.0
    spots, paint, shine, spectacles, beard = rng.random(5) < np.array([0.3, 0.25, 0.3, 0.25, 0.12]) * share
    own = rng.spawn(5)
    if beard:
        image = _beard(image, frame, own[4])
    if spots:
        image = _spots(image, frame.shape, own[0])
    if paint:
        image = _daily_makeup(image, frame, own[1])
    if shine:
        image = _shine(image, frame.shape, own[2])
    return replace(frame, image=image), own[3] if spectacles else None


def clear_glasses(image: np.ndarray, shape: FaceShape, rng: np.random.Generator) -> np.ndarray:
    """Plain spectacles: thin rims, clear lenses with a faint reflection, arms towards the ears."""
    size = image.shape[:2]
    half = (uniform(rng, (0.62, 0.82)), uniform(rng, (0.42, 0.72)))
    width = max(0.8, uniform(rng, (0.05, 0.16)) * shape.unit)
    power = uniform(rng, (2.0, 4.0))
    paths, lenses = [], np.zeros(size, np.float32)
    for side in (-1, 1):
        rim = superellipse((side * 1.02, 0.12), half, power)
        pixel_rim = shape.points(rim)
        paths.append(np.concatenate([pixel_rim, pixel_rim[:1]]))
        lenses = np.maximum(lenses, shape.mask(rim, size))
        paths.append(shape.points([(side * (1.02 + half[0]), 0.0), (side * 2.15, -0.15)]))
    paths.append(shape.points([(-1.02 + half[0], 0.0), (0, -0.12), (1.02 - half[0], 0.0)]))
    rims = stroke_mask(size, paths, width)
    colour = np.clip(np.array([0.12, 0.1, 0.09]) + uniform(rng, (0, 0.5)) * rng.random(3), 0, 1)
    image = multiply(image, blur(np.roll(rims, max(1, round(0.1 * shape.unit)), 0), 0.08 * shape.unit), 0.8)
    u, v = shape.coordinates(size)
    glint = np.exp(-(((u * 0.8 + v - uniform(rng, (-0.6, 0.6))) / 0.25) ** 2)) * lenses
    image = image + (uniform(rng, (0.0, 0.3)) * glint)[..., None]
    image = mix(image, colour, 0.92 * rims)
    return image + 0.12 * (rims * np.clip(blur(rims, 1) - 0.4, 0, 1))[..., None]


def superellipse(centre: tuple[float, float], axes: tuple[float, float], power: float, n: int = 40) -> np.ndarray:
    """An ellipse (power 2) to rounded rectangle (power 4 and more), shape `(n, 2)`."""
    circle = ellipse_points((0, 0), (1, 1), 0, n)
    radius = (np.abs(circle[:, 0]) ** power + np.abs(circle[:, 1]) ** power) ** (-1 / power)
    return circle * radius[:, None] * np.asarray(axes) + np.asarray(centre)


def lips(shape: FaceShape, size: Size, grow: float = 1.0) -> np.ndarray:
    """Soft mask of the lips."""
    outline = [(-0.88, 0.0), (-0.4, -0.2), (-0.13, -0.27), (0, -0.21), (0.13, -0.27), (0.4, -0.2), (0.88, 0.0),
               (0.45, 0.3), (0, 0.38), (-0.45, 0.3)]  # fmt: skip
    points = np.array(outline) * grow + (0, MOUTH)
    return shape.mask(points, size, 0.07 * shape.unit)


def _spots(image: np.ndarray, shape: FaceShape, rng: np.random.Generator) -> np.ndarray:
    """Freckles and moles: many faint and small ones, or a few dark ones; never larger than 2 % of the face."""
    size = image.shape[:2]
    freckles = chance(rng, 0.4)
    layer = np.zeros(size, np.uint8)
    for _ in range(int(rng.integers(25, 90)) if freckles else int(rng.integers(1, 6))):
        at = shape.points([(uniform(rng, (-1.5, 1.5)), uniform(rng, (-1.2, 3.2)))])[0]
        radius = shape.unit * uniform(rng, (0.015, 0.045) if freckles else (0.03, 0.07))
        fixed = tuple(int(c * 16) for c in at)
        cv2.circle(layer, fixed, max(8, int(16 * radius)), int(uniform(rng, (100, 255))), -1, cv2.LINE_AA, 4)
    mask = blur(layer.astype(np.float32) / 255, 0.02 * shape.unit) * shape.mask(shape.outline(0.95), size, 2)
    return image * (1 - (0.25 if freckles else 0.65) * mask[..., None] * np.array([0.7, 1.0, 1.0], np.float32))


def _beard(image: np.ndarray, frame: Frame, rng: np.random.Generator) -> np.ndarray:
    """Stubble to a short beard, with a moustache in most: strands in the shade of dark skin."""
    shape, size = frame.shape, frame.size
    outline = [(-2.0, 1.6), (-1.35, 2.05), (-0.95, 1.75), (0.95, 1.75), (1.35, 2.05), (2.0, 1.6), (1.75, 2.9),
               (1.0, 3.75), (0, 4.0), (-1.0, 3.75), (-1.75, 2.9)]  # fmt: skip
    area = shape.mask(smooth_curve(np.array(outline)), size, 0.22 * shape.unit)
    if chance(rng, 0.25):  # chin only
        area = area * shape.mask([(-1.1, 2.7), (1.1, 2.7), (0.9, 4.2), (-0.9, 4.2)], size, 0.15 * shape.unit)
    strands = fractal_noise(size, max(1.2, 0.09 * shape.unit), rng, 2)
    thin = np.clip(area * (1 - lips(shape, size, 1.1)), 0, 1) * np.clip(0.5 + 0.9 * strands, 0, 1)
    colour = frame.skin * np.array([0.32, 0.3, 0.3]) * uniform(rng, (0.5, 1.3))
    return mix(image, np.clip(colour, 0.02, 0.9), uniform(rng, (0.2, 0.75)) * thin)


def _daily_makeup(image: np.ndarray, frame: Frame, rng: np.random.Generator) -> np.ndarray:
    """Lipstick near the lips' own colour, light blush, some eye liner."""
    size, shape = frame.size, frame.shape
    lip = np.clip(frame.skin * [1.05, 0.62, 0.66] + 0.1 * (rng.random(3) - 0.5), 0, 1)
    image = mix(image, 0.5 * image + 0.5 * lip, uniform(rng, (0.1, 0.55)) * lips(shape, size))
    u, v = shape.coordinates(size)
    cheeks = np.exp(-(((np.abs(u) - 1.35) / 0.5) ** 2) - ((v - 1.15) / 0.45) ** 2)
    image = mix(image, frame.skin * np.array([1.12, 0.78, 0.8]), uniform(rng, (0, 0.2)) * cheeks)
    lids = np.exp(-(((np.abs(u) - 1.0) / 0.42) ** 2) - ((v + 0.2) / 0.13) ** 2)
    return multiply(image, lids, 1 - uniform(rng, (0, 0.25)))


def _shine(image: np.ndarray, shape: FaceShape, rng: np.random.Generator) -> np.ndarray:
    """Oily skin: soft light spots on the forehead, nose and cheeks."""
    u, v = shape.coordinates(image.shape[:2])
    spots = [(0.0, -1.2, 0.8, 0.4), (0.0, 0.9, 0.18, 0.4), (1.3, 0.9, 0.35, 0.25), (-1.3, 0.9, 0.35, 0.25)]
    total = np.zeros(image.shape[:2], np.float32)
    for cu, cv, su, sv in spots:
        total += uniform(rng, (0, 0.16)) * np.exp(-(((u - cu) / su) ** 2) - ((v - cv) / sv) ** 2)
    return image + (total * shape.mask(shape.outline(0.97), image.shape[:2], 2))[..., None]
