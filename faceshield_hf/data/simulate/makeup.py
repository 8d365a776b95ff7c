"""Make-up attacks: paint that changes who someone seems to be, or hides it.

Kinds:

- cosmetic: heavy foundation 45..85 %, saturated lips and eye shadow, liner, blush (YMU, MIFS, SiW-Mv2
  Makeup_Cosmetic).
- impersonation: contour on cheeks, nose and jaw, highlights, new brows, other lip shape (SiW-Mv2
  Makeup_Impersonation).
- aged: painted wrinkles, gray brows, sallow tone, eye bags (PADISI make-up).
- painted blocks, dazzle: opaque patches or stripes of strong colours, asymmetric (CV Dazzle; SiW-Mv2
  Makeup_Obfuscation).
- clown: white base, red nose and mouth, eye diamonds (obfuscation).

All strengths exceed `bonafide.everyday`, which goes to half-covered lips and 20 % blush.

Example:
    >>> from faceshield_hf.data.simulate.makeup import KINDS
    >>> "dazzle" in KINDS
    True
"""

from collections.abc import Callable

import numpy as np

from .anatomy import MOUTH, FaceShape
from .bonafide import lips
from .domains import Domain
from .imaging import (
    Size,
    blur,
    chance,
    ellipse_points,
    fractal_noise,
    luma,
    mix,
    multiply,
    pick,
    smooth_curve,
    stroke_mask,
    uniform,
)
from .masks import edge_keeping
from .scene import Frame
from .traces import Traces


def makeup(frame: Frame, rng: np.random.Generator, domain: Domain) -> Traces:
    """Paint the face in one of the domain's ways."""
    kind = pick(rng, domain.makeups)
    traces = KINDS[kind](frame, rng)
    traces.image = np.clip(traces.image, 0, 1)
    traces.note(kind=kind)
    return traces


def _cosmetic(frame: Frame, rng: np.random.Generator) -> Traces:
    shape, size = frame.shape, frame.size
    cover = uniform(rng, (0.45, 0.85))
    image, face = _foundation(frame, frame.skin * np.array([1.14, 1.06, 1.04]), cover, rng)
    shadow_colour = np.clip(rng.random(3) * [0.9, 0.55, 0.9], 0.02, 0.9) * _light(frame)
    strength = uniform(rng, (0.5, 0.9))
    image = mix(image, shadow_colour, strength * _eye_shadow(shape, size, uniform(rng, (0.28, 0.45))))
    image = _liner(image, frame, uniform(rng, (0.07, 0.13)))
    lip = _light(frame) * np.clip(np.array([0.72, 0.06, 0.14]) + rng.uniform(-0.06, 0.2, 3) * [0.2, 1, 1.5], 0, 0.9)
    image = mix(image, _gloss(lip, image), uniform(rng, (0.75, 0.95)) * lips(shape, size, uniform(rng, (1.02, 1.16))))
    u, v = shape.coordinates(size)
    cheeks = np.exp(-(((np.abs(u) - 1.35) / 0.55) ** 2) - ((v - 1.1) / 0.42) ** 2)
    blush = uniform(rng, (0.3, 0.6))
    image = mix(image, np.array([0.85, 0.3, 0.35]) * _light(frame), blush * cheeks * face)
    image = _brows(image, frame, uniform(rng, (0.1, 0.18)), uniform(rng, (0.4, 0.7)))
    traces = _marked(image, face)
    traces.note(foundation=cover, eye_shadow=strength, blush=blush)
    traces.cue("strong lipstick and eye shadow")
    traces.cue("a thick, even layer of foundation", cover > 0.6)
    traces.cue("drawn liner and brows", shape.unit > 12)
    traces.cue("strong blush on the cheeks", blush > 0.42)
    return traces


def _impersonation(frame: Frame, rng: np.random.Generator) -> Traces:
    shape, size = frame.shape, frame.size
    cover, depth = uniform(rng, (0.4, 0.75)), uniform(rng, (0.35, 0.65))
    image, face = _foundation(frame, frame.skin * (1 + 0.1 * rng.standard_normal(3).clip(-1.5, 1.5)), cover, rng)
    u, v = shape.coordinates(size)
    a = np.abs(u)
    hollow = np.exp(-(((a - 1.55 + 0.35 * (v - 1.4)) / 0.3) ** 2) - ((v - 1.7) / 0.75) ** 2)
    nose = np.exp(-(((a - 0.33) / 0.1) ** 2)) * np.exp(-(((v - 0.5) / 0.6) ** 2))
    temple = np.exp(-(((a - 1.85) / 0.3) ** 2) - ((v + 1.2) / 0.6) ** 2)
    jaw = np.exp(-(((v - 3.25 + 0.25 * a * a) / 0.22) ** 2)) * (a < 1.9)
    dark = np.clip(hollow + 0.8 * nose + 0.8 * temple + 0.6 * jaw, 0, 1) * face
    image = mix(image, frame.skin * np.array([0.45, 0.34, 0.28]), depth * dark)
    light = np.exp(-((u / 0.1) ** 2) - ((v - 0.6) / 0.6) ** 2) + np.exp(-((u / 0.5) ** 2) - ((v + 1.35) / 0.35) ** 2)
    light = light + np.exp(-(((a - 1.25) / 0.35) ** 2) - ((v - 0.72) / 0.16) ** 2)
    image = mix(image, np.clip(frame.skin * 1.5 + 0.1, 0, 0.98), uniform(rng, (0.3, 0.55)) * light.clip(0, 1) * face)
    image = _brows(image, frame, uniform(rng, (0.12, 0.26)), uniform(rng, (0.5, 0.8)), uniform(rng, (-0.2, 0.2)))
    lip = np.clip(frame.skin * [0.95, 0.5, 0.5] + 0.15 * (rng.random(3) - 0.5), 0, 1)
    image = mix(image, lip, 0.8 * lips(shape, size, uniform(rng, (0.8, 1.3))))
    image = _liner(image, frame, 0.06)
    traces = _marked(image, face)
    traces.note(foundation=cover, contour=depth)
    traces.cue("painted contours that reshape cheeks and nose")
    traces.cue("redrawn brows and lips", shape.unit > 9)
    traces.cue("a thick, even layer of foundation", cover > 0.6)
    return traces


def _aged(frame: Frame, rng: np.random.Generator) -> Traces:
    shape, size = frame.shape, frame.size
    sallow = frame.skin * np.array([1.0, 0.96, 0.82])
    image, face = _foundation(frame, sallow, uniform(rng, (0.2, 0.45)), rng)
    lines = []
    for k in range(int(rng.integers(3, 6))):  # forehead
        y = -1.0 - 0.24 * k
        lines.append(
            [(x, y + 0.05 * np.sin(3 * x + k) + 0.05 * rng.standard_normal()) for x in np.linspace(-1.3, 1.3, 9)]
        )
    for side in (-1, 1):
        lines.append([(side * 0.5, 1.25), (side * 0.85, 1.75), (side * 1.05, 2.35), (side * 1.0, 2.8)])
        lines.append([(side * 0.55, 0.42), (side * 1.0, 0.58), (side * 1.45, 0.4)])
        lines.extend([[(side * 1.5, 0.0 + 0.12 * k), (side * 1.95, -0.15 + 0.26 * k)] for k in range(3)])
        lines.append([(side * 0.3, -0.4), (side * 0.26, -0.8)])
    paths = [shape.points(smooth_curve(np.array(line), False)) for line in lines]
    depth = uniform(rng, (0.4, 0.7))
    width = uniform(rng, (0.06, 0.12)) * shape.unit
    groove = stroke_mask(size, paths, width, 0.35 * width)
    image = mix(image, frame.skin * np.array([0.4, 0.28, 0.22]), depth * groove * face)
    ridge = np.clip(np.roll(groove, round(1.2 * width), 0) - groove, 0, 1)
    image = mix(image, np.clip(frame.skin * 1.35 + 0.05, 0, 1), 0.4 * ridge * face)
    u, v = shape.coordinates(size)
    bags = np.exp(-(((np.abs(u) - 1.0) / 0.4) ** 2) - ((v - 0.42) / 0.17) ** 2)
    image = mix(image, frame.skin * np.array([0.6, 0.42, 0.45]), 0.5 * bags)
    gray = uniform(rng, (0.6, 0.85)) * _light(frame)
    image = mix(image, np.full(3, gray), 0.75 * _brow_mask(shape, size, 0.22, 0.0))
    traces = _marked(image, face)
    traces.note(wrinkles=depth)
    traces.cue("painted wrinkles", shape.unit > 9)
    traces.cue("grayed brows and painted eye bags", shape.unit > 9)
    traces.cue("a painted, sallow skin tone")
    return traces


def _blocks(frame: Frame, rng: np.random.Generator) -> Traces:
    shape, size = frame.shape, frame.size
    face = shape.mask(shape.outline(0.97), size)
    paint, image = np.zeros(size, np.float32), frame.image
    cover = uniform(rng, (0.8, 0.98))
    for _ in range(int(rng.integers(2, 5))):
        at = np.array([uniform(rng, (-1.5, 1.5)), uniform(rng, (-1.6, 3.0))])
        count = int(rng.integers(3, 7))
        turns = np.sort(rng.random(count)) * 2 * np.pi
        points = at + uniform(rng, (0.55, 1.2)) * np.stack([np.cos(turns), np.sin(turns)], 1) * [1.2, 0.9]
        image, paint = _painted(image, paint, shape.mask(points, size, 0.05 * shape.unit) * face, frame, rng, cover)
    traces = _marked(image, paint)
    traces.note(cover=cover)
    traces.cue("opaque blocks of face paint")
    traces.cue("colours no skin has")
    return traces


def _dazzle(frame: Frame, rng: np.random.Generator) -> Traces:
    shape, size = frame.shape, frame.size
    face = shape.mask(shape.outline(0.98), size)
    paint, image = np.zeros(size, np.float32), frame.image
    cover = uniform(rng, (0.75, 0.97))
    for _ in range(int(rng.integers(3, 6))):
        angle = uniform(rng, (0, np.pi))
        along, across = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
        at = np.array([uniform(rng, (-1.0, 1.0)), uniform(rng, (-1.3, 2.9))])
        half = uniform(rng, (0.14, 0.35))
        ends = [at - 3 * along - half * across, at + 3 * along - half * across * uniform(rng, (0.2, 1.5)),
                at + 3 * along + half * across, at - 3 * along + half * across * uniform(rng, (0.2, 1.5))]  # fmt: skip
        band = shape.mask(np.array(ends), size, 0.03 * shape.unit) * face
        image, paint = _painted(image, paint, band, frame, rng, cover, gray=chance(rng, 0.6))
    traces = _marked(image, paint)
    traces.note(cover=cover)
    traces.cue("angular camouflage stripes painted on the face")
    return traces


def _clown(frame: Frame, rng: np.random.Generator) -> Traces:
    shape, size = frame.shape, frame.size
    cover = uniform(rng, (0.7, 0.92))
    image, face = _foundation(frame, np.full(3, 0.93 * _light(frame)), cover, rng)
    red = np.array([0.8, 0.08, 0.1]) * _light(frame)
    big = shape.mask(ellipse_points((0, MOUTH + 0.05), (uniform(rng, (1.1, 1.5)), uniform(rng, (0.45, 0.65)))), size,
                     0.05 * shape.unit)  # fmt: skip
    image = mix(image, red, 0.9 * big)
    image = mix(image, red, 0.9 * shape.mask(ellipse_points((0, 1.15), (0.42, 0.4)), size, 0.06 * shape.unit))
    colour = np.clip(rng.random(3), 0.02, 0.9) * _light(frame)
    for side in (-1, 1):
        diamond = np.array([(side, -1.25), (side + 0.32, 0.0), (side, 1.1), (side - 0.32, 0.0)])
        eye = shape.mask(ellipse_points((side, 0.02), (0.4, 0.2)), size, 0.04 * shape.unit)
        image = mix(image, colour, 0.85 * shape.mask(diamond, size, 0.04 * shape.unit) * (1 - eye))
    traces = _marked(image, face)
    traces.note(cover=cover)
    traces.cue("a white painted face")
    traces.cue("a painted red nose and mouth")
    return traces


KINDS: dict[str, Callable[[Frame, np.random.Generator], Traces]] = {
    "cosmetic": _cosmetic,
    "impersonation": _impersonation,
    "aged": _aged,
    "painted blocks": _blocks,
    "dazzle": _dazzle,
    "clown": _clown,
}


def _foundation(
    frame: Frame, colour: np.ndarray, cover: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Cover the skin: less texture, one colour, eyes and mouth left out; returns the image and the face's mask."""
    shape, size = frame.shape, frame.size
    face = shape.mask(shape.outline(0.98), size, 0.12 * shape.unit)
    eyes = np.maximum(*(shape.mask(ellipse_points((s, 0.02), (0.42, 0.2)), size, 0.08 * shape.unit) for s in (-1, 1)))
    skin = face * (1 - eyes)
    smooth = edge_keeping(frame.image, max(1, round(0.2 * shape.unit)), 0.008)
    tone = np.clip(colour, 0.03, 0.97)
    layer = tone * (luma(smooth) / max(0.05, float(luma(frame.skin[None, None])[0, 0])))[..., None]
    layer = 0.75 * np.clip(layer, 0, 1) + 0.25 * tone
    streaks = 0.9 + 0.2 * fractal_noise(size, 0.4 * shape.unit, rng)
    return mix(frame.image, layer, np.clip(cover * skin * streaks, 0, 1)), face


def _eye_shadow(shape: FaceShape, size: Size, height: float) -> np.ndarray:
    u, v = shape.coordinates(size)
    a = np.abs(u) - 1.05
    above = np.exp(-((a / 0.52) ** 2) - ((v + 0.28) / height) ** 2) * np.clip((0.06 - v) / 0.12, 0, 1)
    return np.clip(1.3 * above, 0, 1).astype(np.float32)


def _liner(image: np.ndarray, frame: Frame, width: float) -> np.ndarray:
    shape = frame.shape
    upper = [shape.points(smooth_curve(np.array([(s * 0.58, 0.04), (s * 0.85, -0.14), (s * 1.1, -0.15), (s * 1.4, 0.0),
                                                 (s * 1.62, -0.14)]), False)) for s in (-1, 1)]  # fmt: skip
    mask = stroke_mask(frame.size, upper, width * shape.unit, 0.02 * shape.unit + 0.3)
    return multiply(image, mask, 0.15)


def _brow_mask(shape: FaceShape, size: Size, thick: float, lift: float) -> np.ndarray:
    arches = [[(s * 0.42, -0.52), (s * 1.0, -0.78 - lift), (s * 1.65, -0.55 - 0.5 * lift)] for s in (-1, 1)]
    paths = [shape.points(smooth_curve(np.array(arch), False)) for arch in arches]
    return stroke_mask(size, paths, thick * shape.unit, 0.05 * shape.unit)


def _brows(image: np.ndarray, frame: Frame, thick: float, strength: float, lift: float = 0.0) -> np.ndarray:
    return multiply(image, _brow_mask(frame.shape, frame.size, thick, lift), 1 - strength)


def _gloss(colour: np.ndarray, image: np.ndarray) -> np.ndarray:
    light = luma(image)
    return np.clip(colour * (0.6 + 0.8 * light / (float(np.median(light)) + 0.1))[..., None], 0, 1)


def _painted(
    image: np.ndarray,
    paint: np.ndarray,
    mask: np.ndarray,
    frame: Frame,
    rng: np.random.Generator,
    cover: float,
    gray: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """One opaque area of paint that keeps some of the skin's shading."""
    draws = np.clip(rng.random((5, 3)) ** 1.4, 0.02, 0.95)
    colour = draws[np.abs(draws - frame.skin).max(1).argmax()]  # keep clear of the skin's own tone
    if gray:
        colour = np.full(3, float(rng.integers(2)) * 0.85 + 0.05)
    smooth = blur(luma(image), 0.06 * frame.shape.unit)
    shade = 0.55 + 0.45 * smooth / max(0.05, float(luma(frame.skin[None, None])[0, 0]))
    streaks = 0.85 + 0.2 * fractal_noise(frame.size, 0.3 * frame.shape.unit, rng)
    layer = np.clip(colour * _light(frame) * shade[..., None], 0, 1)
    return mix(image, layer, np.clip(cover * mask * streaks, 0, 1)), np.maximum(paint, mask)


def _light(frame: Frame) -> float:
    return float(np.clip(1.5 * frame.brightness + 0.25, 0.45, 1.05))


def _marked(image: np.ndarray, mask: np.ndarray) -> Traces:
    traces = Traces(image)
    traces.mark("make-up", mask)
    return traces
