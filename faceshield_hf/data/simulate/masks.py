"""Mask attacks: flexible (silicone, latex) and rigid (plastic, resin, transparent) masks worn on the face.

Ranges:

- skin detail: flexible removed below 0.05..0.16 of the eye distance; colour drawn 35..75 % to one tone; rigid
  replaced by one material; relief of the face kept 15..60 %.
- gloss (Blinn exponent, strength): flexible 6..25, 0.05..0.35; rigid 25..90, 0.35..0.95.
- edge: flexible seam rings at eyes and mouth, a dark gap 0.5 face units below the chin; rigid
  hard rim with shadow, eye holes.
- shape: flexible features displaced up to 5 % of the face, jaw thicker to 8 %; rigid generic or cast face.

Silicone masks keep a plausible face but lose pores, blood and micro-contrast, and end in visible openings (WMCA;
Custom Silicone Mask Attack data set, BTAS 2018); hard masks show strong speculars and rigid edges (3DMAD, HKBU-MARs).

Example:
    >>> from faceshield_hf.data.simulate.masks import MATERIALS
    >>> "transparent" in MATERIALS
    True
"""

import cv2
import numpy as np

from .anatomy import CHIN, MOUTH
from .domains import Domain
from .imaging import (
    blur,
    chance,
    drop_shadow,
    fractal_noise,
    grid,
    luma,
    mix,
    multiply,
    pick,
    polygon_mask,
    smooth_noise,
    stroke_mask,
    uniform,
)
from .imaging import ellipse_points as ellipse
from .paper_mask import eye_holes
from .scene import Frame
from .sculpture import light_face, own_relief
from .traces import Traces


# Base colour of each rigid material and how it varies; None: the wearer's skin.
MATERIALS: dict[str, tuple[float, float, float] | None] = {
    "skin plastic": None,
    "white plastic": (0.88, 0.87, 0.85),
    "gray resin": (0.55, 0.56, 0.58),
    "metallic plastic": (0.62, 0.55, 0.38),
    "half mask": (0.8, 0.78, 0.74),
    "transparent": (0.9, 0.95, 0.97),
    "transparent half mask": (0.9, 0.95, 0.97),
}


def flexible_mask(frame: Frame, rng: np.random.Generator, domain: Domain) -> Traces:
    """A soft mask over the whole face, sometimes the whole head."""
    kind = pick(rng, domain.silicones)
    shape, size = frame.shape, frame.size
    image = _displaced(frame, rng)
    whole_head = kind == "whole-head latex"
    area = shape.mask(shape.outline(uniform(rng, (1.02, 1.1)), top=-2.7), size, 0.05 * shape.unit)
    area = _to_the_neck(area, frame, whole_head)
    wax, smoothness, tint = _waxy(image, frame, kind, rng)
    if whole_head:  # rubber over the hair too
        wax = mix(wax, frame.skin * uniform(rng, (0.7, 1.1)), 0.65 * np.clip(area - _face(frame), 0, 1))
    bumps = None
    if kind == "wrinkled silicone":
        folds = np.abs(fractal_noise(size, 0.8 * shape.unit, rng, 2) - 0.5)
        bumps = 0.1 * np.exp(-((folds / 0.03) ** 2))
    gloss = uniform(rng, (6, 10) if kind == "matte silicone" else (10, 25))
    strength = uniform(rng, (0.05, 0.14) if kind == "matte silicone" else (0.16, 0.38))
    shading = light_face(shape, size, rng, gloss, bumps)
    relight = uniform(rng, (0.15, 0.4))
    wax = wax * (1 + relight * (shading.diffuse / 0.9 - 1))[..., None]
    wax = wax + (strength * shading.specular)[..., None] * (1 - wax)
    traces = Traces(frame.image)
    image = drop_shadow(frame.image, area, (0, 0.1 * shape.unit), 0.15 * shape.unit, 0.35)
    image = mix(image, wax, area)
    image, seams = _openings(image, frame, rng)
    image, neck_edge = _neck_edge(image, frame, seams, whole_head)
    traces.image = np.clip(image, 0, 1)
    traces.mark("flexible mask", area)
    traces.note(material=kind, smoothness=smoothness, tint=tint, gloss=gloss, gloss_strength=strength, seams=seams)
    traces.cue("waxy skin without pores")
    traces.cue("one even, rubber-like skin tone", tint > 0.5)
    traces.cue("seams around the eyes and the mouth", seams > 0.35 and shape.unit > 10)
    traces.cue("a rubbery sheen", strength > 0.2)
    traces.cue("a mask edge at the neck", neck_edge > 0.3 and 0.25 * shape.unit > frame.finest)
    traces.cue("rubber folds in the skin", kind == "wrinkled silicone" and shape.unit > 12)
    return traces


def rigid_mask(frame: Frame, rng: np.random.Generator, domain: Domain) -> Traces:
    """A hard mask with eye holes; transparent and half ones too."""
    kind = pick(rng, domain.mask_materials)
    shape, size = frame.shape, frame.size
    outline = shape.outline(uniform(rng, (0.98, 1.1)), top=uniform(rng, (-2.8, -2.1)))
    area = polygon_mask(size, shape.points(outline), 0.5)
    clear = kind.startswith("transparent")
    if kind.endswith("half mask"):
        area = area * _half(frame, rng)
    eyes = eye_holes(uniform(rng, (0.36, 0.55)), uniform(rng, (0.16, 0.28)))
    eye_openings = np.maximum(*(shape.mask(hole, size, 0.5) for hole in eyes))
    holes = eye_openings
    slit = chance(rng, 0.35)
    if slit:
        holes = np.maximum(holes, shape.mask(ellipse((0, MOUTH), (0.55, 0.1)), size, 0.5))
    if clear and chance(rng, 0.5):
        holes = np.zeros(size, np.float32)
    shell = area * (1 - holes)
    gloss, strength = uniform(rng, (25, 90)), uniform(rng, (0.35, 0.95))
    shading = light_face(shape, size, rng, gloss)
    body, base = _shell(frame, kind, rng, shading.diffuse)
    extra = light_face(shape, size, rng, gloss * 1.5).specular  # a second lamp
    body = body + (strength * np.maximum(shading.specular, 0.7 * extra))[..., None] * (1.0 - body)
    # The rim catches light on one side and is dark on the other: the shell has a thickness.
    gradient = cv2.Sobel(blur(shell, 0.05 * shape.unit), cv2.CV_32F, 0, 1, ksize=3)
    rim = np.clip(gradient / (np.abs(gradient).max() + 1e-6), -1, 1)
    body = body * (1 + 0.5 * rim)[..., None]
    depth = uniform(rng, (0.35, 0.65))
    image = drop_shadow(frame.image, shell, (0.05 * shape.unit, 0.12 * shape.unit), 0.12 * shape.unit, depth)
    traces = Traces(np.clip(mix(image, body, shell), 0, 1))
    traces.mark("transparent mask" if clear else "rigid mask", area)
    traces.note(material=kind, gloss=gloss, gloss_strength=strength, base=base, mouth_slit=slit)
    traces.cue("a transparent shell before the face", clear)
    traces.cue("hard plastic highlights", strength > 0.45)
    traces.cue("one uniform hard material instead of skin", not clear)
    traces.cue("a hard mask edge with a shadow", True)
    # A half mask of mouth and chin has no eye holes.
    traces.cue("holes for the eyes", (eye_openings * area).max() > 0.5 and not clear and shape.unit > 9)
    return traces


def _displaced(frame: Frame, rng: np.random.Generator) -> np.ndarray:
    """Features moved a little and the jaw widened: a mask never sits exactly."""
    shape, size = frame.shape, frame.size
    reach = uniform(rng, (0.1, 0.3)) * shape.unit
    x, y = grid(size)
    dx = (smooth_noise(size, 2.2 * shape.unit, rng) - 0.5) * 2 * reach
    dy = (smooth_noise(size, 2.2 * shape.unit, rng) - 0.5) * 2 * reach
    u, v = shape.coordinates(size)
    jaw = uniform(rng, (0.0, 0.08)) * np.exp(-(((v - 2.4) / 1.2) ** 2) - (u / 2.2) ** 2)
    centre = shape.centre
    return cv2.remap(frame.image, x + dx - jaw * (x - centre[0]), y + dy, cv2.INTER_LINEAR,
                     borderMode=cv2.BORDER_REFLECT_101)  # fmt: skip


def _waxy(image: np.ndarray, frame: Frame, kind: str, rng: np.random.Generator) -> tuple[np.ndarray, float, float]:
    """Skin without its fine texture and with one colour."""
    fine = uniform(rng, (0.05, 0.16))
    soft = edge_keeping(image, max(1, round(2.2 * fine * frame.shape.unit)), 0.006)
    soft = blur(soft, 0.25 * fine * frame.shape.unit)
    tint = uniform(rng, (0.35, 0.75))
    tone = frame.skin * uniform(rng, (0.85, 1.15)) * (1 + 0.08 * rng.standard_normal(3).clip(-2, 2))
    if kind in ("latex", "whole-head latex"):
        tone = 0.6 * tone + 0.4 * np.array([0.78, 0.6, 0.48])
    even = np.clip(tone, 0.05, 0.95) * (luma(soft) / max(0.05, float(tone @ [0.299, 0.587, 0.114])))[..., None]
    return np.clip(mix(soft, even, np.full(soft.shape[:2], tint, np.float32)), 0, 1), fine, tint


def edge_keeping(image: np.ndarray, radius: int, eps: float) -> np.ndarray:
    """Self-guided filter (He et al., 2010) on each colour: flattens texture, keeps strong edges."""
    box = (2 * radius + 1, 2 * radius + 1)
    mean = cv2.blur(image, box)
    variance = cv2.blur(image * image, box) - mean * mean
    slope = variance / (variance + eps)
    return cv2.blur(slope, box) * image + cv2.blur(mean * (1 - slope), box)


def _neck_line(u: np.ndarray, whole_head: bool) -> np.ndarray:
    """How far down the neck a flexible mask ends, in face units, for positions across the face."""
    return CHIN + (0.75 if whole_head else 0.5) - 0.16 * u * u


def _to_the_neck(area: np.ndarray, frame: Frame, whole_head: bool) -> np.ndarray:
    """The face's mask drawn out over the throat, or over the whole head, and cut at the neck line."""
    u, v = frame.shape.coordinates(frame.size)
    if whole_head:
        below = frame.head(CHIN + 0.85)
    else:
        throat = [(-1.7, 2.2), (1.7, 2.2), (1.3, 3.3), (1.2, 4.6), (-1.2, 4.6), (-1.3, 3.3)]
        below = frame.shape.mask(throat, frame.size, 0.05 * frame.shape.unit) * frame.person
    return np.maximum(area, below) * np.clip((_neck_line(u, whole_head) - v) / 0.06 + 0.5, 0, 1)


def _neck_edge(image: np.ndarray, frame: Frame, strength: float, whole_head: bool) -> tuple[np.ndarray, float]:
    """The dark gap where the mask ends on the neck; returns the image and the share of the gap that can be seen."""
    shape = frame.shape
    across = np.linspace(-1.1, 1.1, 15)
    line = shape.points(np.stack([across, _neck_line(across, whole_head)], 1))
    width = 0.1 * shape.unit
    gap = stroke_mask(frame.size, [line], width, 0.35 * width + 0.3) * frame.person
    drawn = multiply(image, gap, 0.65 - 0.5 * strength)
    # Below the frame, under a scarf or on a dark beard there is nothing to see.
    seen = (luma(image) - luma(drawn)) * (1 - frame.covered) > 0.1
    return drawn, min(1.0, float(seen.sum() / (2.2 * shape.unit * width)))


def _openings(image: np.ndarray, frame: Frame, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """The mask's own rims: dark gaps with a light lip around eyes and mouth."""
    shape, size = frame.shape, frame.size
    strength = uniform(rng, (0.15, 0.7))
    width = uniform(rng, (0.06, 0.12)) * shape.unit
    eyes = eye_holes(uniform(rng, (0.5, 0.62)), uniform(rng, (0.26, 0.36)))
    mouth = ellipse((0, MOUTH), (uniform(rng, (0.8, 1.0)), uniform(rng, (0.2, 0.34))))
    opening = np.zeros(size, np.float32)
    rings = []
    for hole in [*eyes, mouth]:
        points = shape.points(hole)
        opening = np.maximum(opening, polygon_mask(size, points, 0.6))
        rings.append(np.concatenate([points, points[:1]]))
    image = mix(image, frame.image, opening)
    gap = stroke_mask(size, rings, width, 0.35 * width + 0.3)
    image = multiply(image, gap, 1 - strength)
    lip = np.clip(blur(gap, width) - gap, 0, 1) * (1 - opening)
    return image * (1 + 0.5 * strength * lip)[..., None], strength


def _face(frame: Frame) -> np.ndarray:
    return frame.shape.mask(frame.shape.outline(1.0), frame.size, 0.15 * frame.shape.unit)


def _half(frame: Frame, rng: np.random.Generator) -> np.ndarray:
    """Upper or lower half of the face, cut along a curve."""
    u, v = frame.shape.coordinates(frame.size)
    if chance(rng, 0.5):
        edge = 1.35 - 0.25 * np.cos(1.4 * u)
        return np.clip((edge - v) * frame.shape.unit + 0.5, 0, 1).astype(np.float32)
    edge = 0.75 - 0.4 * np.exp(-((u / 0.5) ** 2))
    return np.clip((v - edge) * frame.shape.unit + 0.5, 0, 1).astype(np.float32)


def _shell(frame: Frame, kind: str, rng: np.random.Generator, diffuse: np.ndarray) -> tuple[np.ndarray, str]:
    """The shell's body colour under diffuse light, and a name for its base."""
    if kind.startswith("transparent"):
        haze = uniform(rng, (0.12, 0.28))
        dx, dy = rng.uniform(-0.06, 0.06, 2) * frame.shape.unit
        matrix = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
        seen = cv2.warpAffine(frame.image, matrix, (frame.size[1], frame.size[0]), borderMode=cv2.BORDER_REPLICATE)
        return seen * (1 - haze) * 0.94 + haze * 0.85 * diffuse[..., None], "clear"
    base = MATERIALS[kind]
    jitter = 1 + 0.06 * rng.standard_normal(3).clip(-2, 2)
    colour = np.clip((frame.skin * uniform(rng, (0.85, 1.25)) if base is None else np.array(base)) * jitter, 0.1, 0.95)
    keep = uniform(rng, (0.15, 0.6))
    scene_light = float(np.clip(1.6 * frame.brightness + 0.2, 0.5, 1.05))
    relief = 1 + keep * (own_relief(frame.image, frame.shape) - 1)
    body = colour * (scene_light * diffuse * relief)[..., None]
    if kind in ("skin plastic", "half mask") and chance(rng, 0.5):  # painted lips and brows
        paint = np.clip(1 - own_relief(frame.image, frame.shape, 0.1), 0, 0.5)
        body = body * (1 - paint[..., None] * np.array([0.6, 1.1, 1.1]))
    return np.clip(body, 0, 1), "skin" if base is None else "material"
