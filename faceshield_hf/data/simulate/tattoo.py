"""Tattoo attack: ink patterns on the skin, drawn or stuck on, that follow the face.

Ranges and reasons:

- pattern: the domain's kinds; 12..40 % of the face's height, at least 8 % (smaller ones vanish at a model's
  resolution).
- count: 1..4, on forehead, cheeks, temples, jaw, chin, nose bridge (PADISI's tattoo attacks; FaceCoT's marks).
- ink: black, blue-black, green, red; light ink on dark skin; 70..97 % opaque (ink lies under the skin: shading and
  shine stay).
- edge: softened by 0.01..0.04 face units (ink bleeds).
- shape: bent over a cylinder of the head's width, turned with the head.

Example:
    >>> import numpy as np
    >>> from faceshield_hf.data.simulate.tattoo import draw_pattern
    >>> draw_pattern("star", np.random.default_rng(0)).shape
    (192, 192)
"""

import math
from collections.abc import Callable
from itertools import pairwise

import cv2
import numpy as np

from .domains import Domain
from .imaging import blur, chance, luma, median_colour, mix, pick, polygon_mask, smooth_curve, stroke_mask, uniform
from .scene import Frame
from .traces import Traces, mask_box


_SIDE = 192  # pixels of a pattern before it is put on the skin
_LEGIBLE = 28  # pixels: on small faces tattoos are drawn larger, or nothing would be seen
_SITES = {
    "forehead": (0.0, -1.45),
    "left cheek": (-1.3, 1.35),
    "right cheek": (1.3, 1.35),
    "left temple": (-1.55, -0.55),
    "right temple": (1.55, -0.55),
    "left jaw": (-1.25, 2.55),
    "right jaw": (1.25, 2.55),
    "chin": (0.0, 3.15),
}
_INKS = {
    "black": (0.05, 0.05, 0.06),
    "blue": (0.08, 0.12, 0.32),
    "green": (0.06, 0.24, 0.16),
    "red": (0.5, 0.06, 0.08),
}
_LIGHT_INKS = {"white": (0.92, 0.92, 0.88), "yellow": (0.95, 0.85, 0.35), "light blue": (0.55, 0.8, 0.95)}


def tattoo(frame: Frame, rng: np.random.Generator, domain: Domain) -> Traces:
    """Put one to four tattoos on the face."""
    shape, size = frame.shape, frame.size
    traces = Traces(frame.image)
    face = shape.mask(shape.outline(0.99), size, 1)
    opacity = uniform(rng, (0.7, 0.97))
    names = [list(_SITES)[k] for k in rng.permutation(len(_SITES))]
    wanted = int(rng.integers(1, 5))
    kinds = []
    for site in names:
        if len(traces.regions) == wanted:
            break
        kind = pick(rng, domain.tattoos)
        side = uniform(rng, (1.2, 2.1)) * (1.2 if site == "forehead" else 1.0)
        side = min(2.4, max(side, _LEGIBLE / shape.unit))
        mask = _on_skin(draw_pattern(kind, rng), frame, _SITES[site], side, uniform(rng, (-0.7, 0.7)), rng) * face
        box = mask_box(mask)
        if box is None or min((box[3] - box[1]) * size[0], (box[2] - box[0]) * size[1]) < 0.08 * shape.height:
            continue  # turned away or out of the frame
        ink_name, ink = _ink(frame, mask, rng)
        traces.image = _inked(traces.image, mask, ink, opacity)
        traces.mark("tattoo", mask)
        kinds.append(kind)
        traces.cue(f"a {kind} tattoo on the {site}" if wanted < 3 else f"{ink_name} tattoos on the face")
    traces.image = np.clip(traces.image, 0, 1)
    traces.note(count=len(kinds), kinds=", ".join(sorted(set(kinds))), opacity=opacity)
    traces.cue("ink patterns drawn on the skin")
    return traces


def draw_pattern(kind: str, rng: np.random.Generator) -> np.ndarray:
    """One pattern as a mask of shape `(192, 192)`, 0..1, its ink near the middle.

    Args:
        kind (`str`): one of a domain's `tattoos`.
        rng (`np.random.Generator`): source of randomness.
    """
    return np.clip(_PATTERNS[kind](rng), 0, 1)


def _on_skin(
    pattern: np.ndarray,
    frame: Frame,
    centre: tuple[float, float],
    side: float,
    angle: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """The pattern bent around the head: what is farther to the side is seen narrower."""
    u, v = frame.shape.coordinates(frame.size)
    radius = 2.6
    around = radius * np.arcsin(np.clip(u / radius, -0.98, 0.98))
    middle = radius * math.asin(centre[0] / radius)
    du, dv = around - middle, v - centre[1]
    c, s = math.cos(angle), math.sin(angle)
    scale = _SIDE / side
    x = (c * du + s * dv) * scale + _SIDE / 2
    y = (-s * du + c * dv) * scale + _SIDE / 2
    shrink = scale / frame.shape.unit  # pattern pixels per frame pixel: smooth before sampling
    soft = blur(pattern, 0.45 * shrink + uniform(rng, (0.01, 0.04)) * scale * 0.5)
    return cv2.remap(soft, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR, borderValue=0)


def _ink(frame: Frame, mask: np.ndarray, rng: np.random.Generator) -> tuple[str, np.ndarray]:
    """An ink that shows on this skin."""
    skin = float(median_colour(frame.image, mask) @ np.array([0.299, 0.587, 0.114]))
    inks = _LIGHT_INKS if skin < 0.3 or (skin < 0.38 and chance(rng, 0.5)) else _INKS
    names = [n for n, c in inks.items() if abs(float(np.dot(c, [0.299, 0.587, 0.114])) - skin) > 0.14] or list(inks)
    name = "black" if inks is _INKS and chance(rng, 0.5) else pick(rng, names)
    return name, np.array(inks[name], np.float32)


def _inked(image: np.ndarray, mask: np.ndarray, ink: np.ndarray, opacity: float) -> np.ndarray:
    """Ink under the skin: the skin's shading stays, its colour goes."""
    light = luma(image)
    shade = light / (blur(light, 6) + 0.05)
    layer = np.clip(ink.astype(np.float32) * (0.5 + 0.5 * shade)[..., None] + 0.06 * light[..., None], 0, 1)
    return mix(image, layer, opacity * mask)


def _tribal(rng: np.random.Generator) -> np.ndarray:
    mask = np.zeros((_SIDE, _SIDE), np.float32)
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
            mask, polygon_mask((_SIDE, _SIDE), np.concatenate([p + normal * thick, (p - normal * thick)[::-1]]))
        )
    return mask


def _star(rng: np.random.Generator) -> np.ndarray:
    mask = np.zeros((_SIDE, _SIDE), np.float32)
    count = int(rng.integers(1, 4))
    for k in range(count):
        centre = np.array([96, 96]) + (0 if count == 1 else 48) * np.array([np.cos(2.1 * k), np.sin(2.1 * k)])
        radius = 86 if count == 1 else uniform(rng, (34, 46))
        points = int(rng.integers(4, 8)) * 2
        t = np.arange(points) / points * 2 * np.pi + uniform(rng, (0, 1))
        r = np.where(np.arange(points) % 2 == 0, radius, radius * uniform(rng, (0.35, 0.5)))
        outline = centre + np.stack([np.cos(t), np.sin(t)], 1) * r[:, None]
        star = polygon_mask((_SIDE, _SIDE), outline)
        if chance(rng, 0.4):
            star = star - polygon_mask((_SIDE, _SIDE), (outline - centre) * 0.5 + centre)
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
    return stroke_mask((_SIDE, _SIDE), paths, uniform(rng, (6, 10)))


def _band(rng: np.random.Generator) -> np.ndarray:
    mask = np.zeros((_SIDE, _SIDE), np.float32)
    teeth = int(rng.integers(5, 10))
    for row in range(int(rng.integers(1, 4))):
        y0 = 56 + 40 * row
        x = np.linspace(8, 184, 2 * teeth + 1)
        zigzag = np.stack([x, y0 + np.where(np.arange(len(x)) % 2 == 0, 16, -16)], 1)
        mask = np.maximum(mask, stroke_mask((_SIDE, _SIDE), [zigzag], uniform(rng, (6, 11))))
        rails = [np.array([[8, y0 + s * 24], [184, y0 + s * 24]]) for s in (-1, 1)]
        mask = np.maximum(mask, stroke_mask((_SIDE, _SIDE), rails, 6))
    return mask


def _ring(rng: np.random.Generator) -> np.ndarray:
    t = np.linspace(0, 2 * np.pi, 60)
    circle = np.stack([np.cos(t), np.sin(t)], 1)
    radii = np.sort(rng.uniform(22, 86, int(rng.integers(2, 5))))
    mask = stroke_mask((_SIDE, _SIDE), [96 + r * circle for r in radii], uniform(rng, (6, 11)))
    spokes = int(rng.integers(0, 12))
    rays = [
        96 + np.outer([radii[0], radii[-1]], [np.cos(a), np.sin(a)]) for a in np.arange(spokes) * 6.28 / max(spokes, 1)
    ]
    return np.maximum(mask, stroke_mask((_SIDE, _SIDE), rays, 6)) if rays else mask


def _web(rng: np.random.Generator) -> np.ndarray:
    count = int(rng.integers(6, 10))
    turns = np.arange(count + 1) * 2 * np.pi / count
    spokes = np.stack([np.cos(turns), np.sin(turns)], 1)
    paths = [96 + np.outer([0, 90], s) for s in spokes[:-1]]
    for radius in (28, 54, 80):
        for a, b in pairwise(spokes):
            paths.append(96 + radius * np.stack([a, 0.82 * (a + b) / 2, b]))
    return stroke_mask((_SIDE, _SIDE), paths, uniform(rng, (5, 8)))


def _flame(rng: np.random.Generator) -> np.ndarray:
    mask = np.zeros((_SIDE, _SIDE), np.float32)
    for x in np.linspace(34, 158, int(rng.integers(3, 6))):
        tip = np.array([x + uniform(rng, (-18, 18)), uniform(rng, (12, 60))])
        tongue = np.array([(x - 20, 176), (x - 24, 130), (x - 8, 90), tip, (x + 6, 96), (x + 22, 128), (x + 18, 176)])
        mask = np.maximum(mask, polygon_mask((_SIDE, _SIDE), smooth_curve(tongue, rounds=2)))
        inner = (tongue - [x, 160]) * [0.45, 0.6] + [x, 166]
        mask = mask - 0.9 * polygon_mask((_SIDE, _SIDE), smooth_curve(inner, rounds=2))
    return mask


def _barcode(rng: np.random.Generator) -> np.ndarray:
    mask = np.zeros((_SIDE, _SIDE), np.float32)
    x = 12
    while x < 176:
        width = int(rng.integers(5, 15))
        mask[46:146, x : x + width] = 1
        x += width + int(rng.integers(6, 13))
    return mask


def _dots(rng: np.random.Generator) -> np.ndarray:
    mask = np.zeros((_SIDE, _SIDE), np.uint8)
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
    return stroke_mask((_SIDE, _SIDE), paths, uniform(rng, (9, 13)))


_PATTERNS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "tribal": _tribal,
    "star": _star,
    "script": _script,
    "band": _band,
    "ring": _ring,
    "web": _web,
    "flame": _flame,
    "barcode": _barcode,
    "dot work": _dots,
    "maze": _maze,
}
