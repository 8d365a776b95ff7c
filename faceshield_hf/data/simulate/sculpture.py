"""Shading of a solid face: a height field with nose, brow, lips and chin, lit by one lamp.

Used for masks and mannequin heads, whose material is uniform so that only shape shows. Diffuse light is Lambert's,
gloss Blinn's half-vector term. Knows nothing of colours or materials.

Example:
    >>> import numpy as np
    >>> from faceshield_hf.data.simulate.anatomy import FaceShape
    >>> from faceshield_hf.data.simulate.sculpture import light_face
    >>> shape = FaceShape.from_landmarks(np.array([[24, 26], [40, 26], [32, 36], [26, 44], [38, 44]]))
    >>> light_face(shape, (64, 64), np.random.default_rng(0), gloss=20).diffuse.shape
    (64, 64)
"""

from dataclasses import dataclass

import numpy as np

from .anatomy import MOUTH, FaceShape
from .imaging import Size, blur, luma, uniform


@dataclass(frozen=True)
class Shading:
    """Light on a solid face, each of shape `(height, width)`.

    Attributes:
        diffuse (`np.ndarray`): brightness factor, about 0.4..1.2.
        specular (`np.ndarray`): highlight, 0..1.
    """

    diffuse: np.ndarray
    specular: np.ndarray


def light_face(
    shape: FaceShape,
    size: Size,
    rng: np.random.Generator,
    gloss: float,
    bumps: np.ndarray | None = None,
) -> Shading:
    """Light the face from a random front direction.

    Args:
        shape (`FaceShape`): where the face is.
        size (`tuple[int, int]`): height and width of the image.
        rng (`np.random.Generator`): draws the lamp.
        gloss (`float`): Blinn exponent; about 8 is satin, 60 polished.
        bumps (`np.ndarray` of shape `(height, width)`, *optional*): extra height in face units.
    """
    height = face_height(shape, size)
    if bumps is not None:
        height = height + bumps
    slope_y, slope_x = np.gradient(height * shape.unit)
    norm = 1 / np.sqrt(1 + slope_x**2 + slope_y**2)
    azimuth, tilt = uniform(rng, (0, 2 * np.pi)), uniform(rng, (0.25, 0.85))
    light = np.array([np.sin(tilt) * np.cos(azimuth), -abs(np.sin(tilt) * np.sin(azimuth)) - 0.1, np.cos(tilt)])
    light /= np.linalg.norm(light)
    half = light + np.array([0, 0, 1])
    half /= np.linalg.norm(half)
    lx, ly, lz, hx, hy, hz = (float(c) for c in (*light, *half))
    lambert = (lz - slope_x * lx - slope_y * ly) * norm
    ambient = uniform(rng, (0.3, 0.55))
    shine = (hz - slope_x * hx - slope_y * hy) * norm
    diffuse = ambient + (1.15 - ambient) * np.clip(lambert, 0, 1)
    specular = np.power(np.clip(shine, 0, 1), gloss)
    return Shading(diffuse.astype(np.float32), specular.astype(np.float32))


def face_height(shape: FaceShape, size: Size) -> np.ndarray:
    """Height of a generic face towards the camera, in face units, shape `(height, width)`."""
    u, v = shape.coordinates(size)
    egg = np.sqrt(np.clip(1 - (u / 2.9) ** 2 - ((v - 0.5) / 4.6) ** 2, 0.0004, 1)) * 2.5
    a = np.abs(u)
    nose_u = u - 0.35 * shape.turn
    bridge = 0.55 * np.exp(-((nose_u / 0.3) ** 2)) * np.clip((v + 0.3) / 1.5, 0, 1) * np.clip((1.55 - v) / 0.3, 0, 1)
    sockets = -0.22 * np.exp(-(((a - 1.0) / 0.5) ** 2) - ((v - 0.02) / 0.34) ** 2)
    lids = 0.1 * np.exp(-(((a - 1.0) / 0.34) ** 2) - ((v - 0.05) / 0.2) ** 2)
    brow = 0.08 * np.exp(-(((v + 0.6) / 0.34) ** 2) - (u / 1.6) ** 2)
    lip = 0.14 * np.exp(-(((v - MOUTH) / 0.28) ** 2) - (u / 0.8) ** 2)
    slit = -0.09 * np.exp(-(((v - MOUTH) / 0.07) ** 2) - (u / 0.8) ** 2)
    chin = 0.16 * np.exp(-(((v - 3.25) / 0.36) ** 2) - (u / 0.7) ** 2)
    return egg + bridge + sockets + lids + brow + lip + slit + chin


def own_relief(image: np.ndarray, shape: FaceShape, fine: float = 0.07) -> np.ndarray:
    """The face's own light and dark as a factor around 1: what a cast of this face would keep.

    Args:
        image (`np.ndarray` of shape `(height, width, 3)`): the face.
        shape (`FaceShape`): where it is.
        fine (`float`, *optional*, defaults to 0.07): smallest kept detail in face units.
    """
    light = luma(image)
    base = blur(light, 1.1 * shape.unit)
    return np.clip(blur(light, fine * shape.unit) / (base + 0.05), 0.4, 1.5)
