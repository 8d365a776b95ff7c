"""Line and area patterns as masks: tattoos on the skin, logos on clothes, posters on walls.

The same shapes serve both classes, so that a star or a line of script says nothing by itself: only its place does.
Knows nothing of faces.

Example:
    >>> import numpy as np
    >>> from faceshield_hf.data.simulate.patterns import draw_pattern
    >>> draw_pattern("star", np.random.default_rng(0)).shape
    (192, 192)
"""

from collections.abc import Callable
from itertools import pairwise

import cv2
import numpy as np

from .imaging import chance, polygon_mask, smooth_curve, stroke_mask, uniform


SIDE = 192  # pixels of a pattern before it is put anywhere


def draw_pattern(kind: str, rng: np.random.Generator) -> np.ndarray:
    """One pattern as a mask of shape `(192, 192)`, 0..1, its ink near the middle.

    Args:
        kind (`str`): one of the domains' `tattoos`.
        rng (`np.random.Generator`): source of randomness.
    """
    return np.clip(_PATTERNS[kind](rng), 0, 1)


def _tribal(rng: np.random.Generator) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), np.float32)
    for _ in range(int(rng.integers(3, 6))):
        start = rng.uniform(30, 160, 2)
        turn, bend = uniform(rng, (0, 6.28)), uniform(rng, (-0.09, 0.09))
        spine, heading = [start], turn
        for _ in range(14):
            heading += bend + 0.05 * rng.standard_normal()
            spine.append(spine[-1] + 9 * np.array([np.cos(heading), np.sin(heading)]))
        p = np.array(spine)
        normal = np.gradient(p, axis=0)[:, ::-1] * [-1, 1]
        normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-6
        thick = uniform(rng, (8, 14)) * np.sin(np.linspace(0.1, np.pi, len(p)))[:, None]
        mask = np.maximum(
            mask, polygon_mask((SIDE, SIDE), np.concatenate([p + normal * thick, (p - normal * thick)[::-1]]))
        )
    return mask


def _star(rng: np.random.Generator) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), np.float32)
    count = int(rng.integers(1, 4))
    for k in range(count):
        centre = np.array([96, 96]) + (0 if count == 1 else 48) * np.array([np.cos(2.1 * k), np.sin(2.1 * k)])
        radius = 86 if count == 1 else uniform(rng, (34, 46))
        points = int(rng.integers(4, 8)) * 2
        t = np.arange(points) / points * 2 * np.pi + uniform(rng, (0, 1))
        r = np.where(np.arange(points) % 2 == 0, radius, radius * uniform(rng, (0.35, 0.5)))
        outline = centre + np.stack([np.cos(t), np.sin(t)], 1) * r[:, None]
        star = polygon_mask((SIDE, SIDE), outline)
        if chance(rng, 0.4):
            star = star - polygon_mask((SIDE, SIDE), (outline - centre) * 0.5 + centre)
        mask = np.maximum(mask, star)
    return mask


def _script(rng: np.random.Generator) -> np.ndarray:
    paths = []
    for row in range(int(rng.integers(1, 4))):
        x, y0 = 14.0, 60 + 38 * row
        while x < 170:
            span = uniform(rng, (14, 26))
            t = np.linspace(0, 2 * np.pi, 16)
            tall = uniform(rng, (8, 24))
            paths.append(
                np.stack([x + span * t / 6.28 + 5 * np.sin(2 * t), y0 - tall * np.sin(t) * np.cos(0.5 * t)], 1)
            )
            x += span * uniform(rng, (0.8, 1.3))
    return stroke_mask((SIDE, SIDE), paths, uniform(rng, (6, 10)))


def _band(rng: np.random.Generator) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), np.float32)
    teeth = int(rng.integers(5, 10))
    for row in range(int(rng.integers(1, 4))):
        y0 = 56 + 40 * row
        x = np.linspace(8, 184, 2 * teeth + 1)
        zigzag = np.stack([x, y0 + np.where(np.arange(len(x)) % 2 == 0, 16, -16)], 1)
        mask = np.maximum(mask, stroke_mask((SIDE, SIDE), [zigzag], uniform(rng, (6, 11))))
        rails = [np.array([[8, y0 + s * 24], [184, y0 + s * 24]]) for s in (-1, 1)]
        mask = np.maximum(mask, stroke_mask((SIDE, SIDE), rails, 6))
    return mask


def _ring(rng: np.random.Generator) -> np.ndarray:
    t = np.linspace(0, 2 * np.pi, 60)
    circle = np.stack([np.cos(t), np.sin(t)], 1)
    radii = np.sort(rng.uniform(22, 86, int(rng.integers(2, 5))))
    mask = stroke_mask((SIDE, SIDE), [96 + r * circle for r in radii], uniform(rng, (6, 11)))
    spokes = int(rng.integers(0, 12))
    rays = [
        96 + np.outer([radii[0], radii[-1]], [np.cos(a), np.sin(a)]) for a in np.arange(spokes) * 6.28 / max(spokes, 1)
    ]
    return np.maximum(mask, stroke_mask((SIDE, SIDE), rays, 6)) if rays else mask


def _web(rng: np.random.Generator) -> np.ndarray:
    count = int(rng.integers(6, 10))
    turns = np.arange(count + 1) * 2 * np.pi / count
    spokes = np.stack([np.cos(turns), np.sin(turns)], 1)
    paths = [96 + np.outer([0, 90], s) for s in spokes[:-1]]
    for radius in (28, 54, 80):
        for a, b in pairwise(spokes):
            paths.append(96 + radius * np.stack([a, 0.82 * (a + b) / 2, b]))
    return stroke_mask((SIDE, SIDE), paths, uniform(rng, (5, 8)))


def _flame(rng: np.random.Generator) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), np.float32)
    for x in np.linspace(34, 158, int(rng.integers(3, 6))):
        tip = np.array([x + uniform(rng, (-18, 18)), uniform(rng, (12, 60))])
        tongue = np.array([(x - 20, 176), (x - 24, 130), (x - 8, 90), tip, (x + 6, 96), (x + 22, 128), (x + 18, 176)])
        mask = np.maximum(mask, polygon_mask((SIDE, SIDE), smooth_curve(tongue, rounds=2)))
        inner = (tongue - [x, 160]) * [0.45, 0.6] + [x, 166]
        mask = mask - 0.9 * polygon_mask((SIDE, SIDE), smooth_curve(inner, rounds=2))
    return mask


def _barcode(rng: np.random.Generator) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), np.float32)
    x = 12
    while x < 176:
        width = int(rng.integers(5, 15))
        mask[46:146, x : x + width] = 1
        x += width + int(rng.integers(6, 13))
    return mask


def _dots(rng: np.random.Generator) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    for ring in range(4):
        count = 1 if ring == 0 else 6 * ring
        for k in range(count):
            a = 2 * np.pi * k / count + 0.3 * ring
            at = (int(96 + 26 * ring * np.cos(a)), int(96 + 26 * ring * np.sin(a)))
            cv2.circle(mask, at, int(uniform(rng, (6, 11))), 255, -1, cv2.LINE_AA)
    return mask.astype(np.float32) / 255


def _maze(rng: np.random.Generator) -> np.ndarray:
    paths = []
    for _ in range(int(rng.integers(5, 9))):
        p = rng.integers(1, 7, 2) * 27.0
        walk = [p]
        for _ in range(int(rng.integers(4, 9))):
            step = np.array([27.0, 0.0])[:: int(rng.integers(2)) * 2 - 1] * (int(rng.integers(2)) * 2 - 1)
            p = np.clip(p + step, 14, 178)
            walk.append(p)
        paths.append(np.array(walk))
    return stroke_mask((SIDE, SIDE), paths, uniform(rng, (9, 13)))


def _heart(rng: np.random.Generator) -> np.ndarray:
    t = np.linspace(0, 2 * np.pi, 60)
    outline = np.stack([16 * np.sin(t) ** 3, -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t))], 1)
    outline = outline * uniform(rng, (4.4, 5.2)) + 96
    heart = polygon_mask((SIDE, SIDE), outline)
    if chance(rng, 0.6):
        heart = heart - polygon_mask((SIDE, SIDE), (outline - 96) * uniform(rng, (0.6, 0.8)) + 96)
    arrow = [np.array([(14.0, 150.0), (178.0, 52.0)]), np.array([(158.0, 42.0), (178.0, 52.0), (170.0, 74.0)])]
    return np.maximum(heart, stroke_mask((SIDE, SIDE), arrow, uniform(rng, (6, 10))))


def _leaf(rng: np.random.Generator) -> np.ndarray:
    spine = np.stack([96 + 14 * np.sin(np.linspace(0, 3, 12)), np.linspace(16, 178, 12)], 1)
    mask = stroke_mask((SIDE, SIDE), [spine], uniform(rng, (5, 8)))
    for k in range(1, 10):
        for side in (-1, 1):
            reach = uniform(rng, (40, 62)) * np.sin(np.pi * k / 10)
            t = np.linspace(0, 1, 12)
            middle = spine[k] + np.outer(t, [side * reach, -0.6 * reach])
            width = 9 * np.sin(np.pi * t)[:, None] * np.array([0.5, 1.0])
            mask = np.maximum(
                mask, polygon_mask((SIDE, SIDE), np.concatenate([middle + width, (middle - width)[::-1]]))
            )
    return mask


_PATTERNS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "tribal": _tribal,
    "star": _star,
    "script": _script,
    "band": _band,
    "heart": _heart,
    "leaf": _leaf,
    "ring": _ring,
    "web": _web,
    "flame": _flame,
    "barcode": _barcode,
    "dot work": _dots,
    "maze": _maze,
}
