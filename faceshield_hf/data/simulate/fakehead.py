"""Fake head attack: a mannequin, doll or carved head in place of the person.

Ranges and reasons:

- material: one colour, Blinn exponent 12..70, strength 0.1..0.6; own relief 10..45 % (painted plaster, plastic and
  wood have no sub-surface scattering and no pores).
- hair: painted or moulded: one colour with broad streaks, or none (WMCA's and PADISI's mannequins); half wear a wig.
- eyes: glass or paint: round iris, one sharp glint, dark lid line, straight stare.
- neck: ends in a cut above the clothes or a stand.

Example:
    >>> from faceshield_hf.data.simulate.fakehead import COLOURS
    >>> sorted(COLOURS)
    ['doll', 'gray foam', 'skin paint', 'white shell', 'wood']
"""

import numpy as np

from .anatomy import CHIN, MOUTH
from .bonafide import lips
from .domains import Domain
from .imaging import (
    blur,
    chance,
    fractal_noise,
    mix,
    multiply,
    pick,
    polygon_mask,
    smooth_curve,
    stroke_mask,
    uniform,
)
from .scene import Frame
from .sculpture import light_face, own_relief
from .traces import Traces


COLOURS: dict[str, tuple[float, float, float]] = {
    "skin paint": (0.86, 0.66, 0.55),
    "white shell": (0.9, 0.89, 0.87),
    "gray foam": (0.6, 0.6, 0.62),
    "doll": (0.95, 0.74, 0.66),
    "wood": (0.66, 0.46, 0.28),
}


def fakehead(frame: Frame, rng: np.random.Generator, domain: Domain) -> Traces:
    """Turn the person's head into a made one."""
    kind = pick(rng, domain.mannequins)
    shape, size = frame.shape, frame.size
    _, v = shape.coordinates(size)
    neck = uniform(rng, (CHIN + 0.6, CHIN + 1.5))
    face = shape.mask(shape.outline(1.0, top=-2.2), size, 0.05 * shape.unit)
    skull = polygon_mask(size, shape.ellipse((0, 0.2), (2.45, 3.9)), 0.6)  # the cut-out may miss short hair
    head = np.maximum(np.maximum(frame.head(neck), face), skull)
    colour = np.array(COLOURS[kind]) * (1 + 0.05 * rng.standard_normal(3).clip(-2, 2))
    if kind == "skin paint":
        colour = 0.5 * colour + 0.5 * frame.skin
    gloss = uniform(rng, (12, 70))
    strength = uniform(rng, (0.1, 0.25) if kind in ("gray foam", "wood") else (0.2, 0.6))
    bumps = 0.02 * fractal_noise(size, 0.15 * shape.unit, rng) if kind == "gray foam" else None
    shading = light_face(shape, size, rng, gloss, bumps)
    scene_light = float(np.clip(1.5 * frame.brightness + 0.25, 0.5, 1.05))
    keep = uniform(rng, (0.1, 0.45))
    relief = 1 + keep * (own_relief(frame.image, shape, 0.09) - 1)
    body = np.clip(colour, 0.05, 0.97) * (scene_light * shading.diffuse * relief)[..., None]
    if kind == "wood":
        rings = np.sin(9 * v + 5 * fractal_noise(size, 2.5 * shape.unit, rng))
        body = body * (1 + 0.12 * rings)[..., None]
    traces = Traces(frame.image)
    painted = kind in ("skin paint", "doll") or chance(rng, 0.3)
    hair = np.clip(head - face, 0, 1) * np.clip((1.6 - v) / 1.0, 0, 1)
    with_hair = chance(rng, 0.7) and float(hair.mean()) > 0.01
    if with_hair:
        body = mix(body, _painted_hair(frame, rng, shading.diffuse * scene_light), hair)
    if painted:
        body = _painted_features(body, frame, rng, scene_light)
    body = _lids(body, frame)
    body = body + (strength * shading.specular)[..., None] * (1 - body)
    image = frame.image
    wig = chance(rng, 0.5)
    if frame.behind is not None and not wig:  # hair that a bald or painted head does not have
        u, _ = shape.coordinates(size)
        loose = frame.person * np.clip((neck + 0.4 - v) / 0.3, 0, 1) * np.clip((np.abs(u) - 1.2) / 0.2, 0, 1)
        image = mix(image, frame.behind, np.maximum(loose, frame.person * np.clip((-2.5 - v) / 0.3, 0, 1)))
    image = mix(image, np.clip(body, 0, 1), head)
    cut = shape.points([(x, neck + 0.05 * x * x) for x in np.linspace(-1.6, 1.6, 9)])
    seam = stroke_mask(size, [cut], 0.12 * shape.unit, 0.08 * shape.unit) * frame.person
    traces.image = np.clip(multiply(image, seam, 0.5), 0, 1)
    traces.mark("mannequin head", head)
    traces.note(material=kind, gloss=gloss, gloss_strength=strength, painted=painted, hair=with_hair, wig=wig)
    traces.cue("one uniform material without skin texture")
    traces.cue("painted, staring eyes", painted and shape.unit > 9)
    open_ = 1 - frame.covered  # a hat hides the hair, a scarf the neck
    traces.cue("moulded or painted hair", with_hair and float((hair * open_).mean()) > 0.01)
    traces.cue("plastic highlights on the head", strength > 0.3)
    traces.cue("the neck of a mannequin", float((seam * open_).max()) > 0.4)
    traces.cue("a carved wood grain", kind == "wood" and shape.unit > 14)
    return traces


def _painted_hair(frame: Frame, rng: np.random.Generator, light: np.ndarray) -> np.ndarray:
    """One colour with broad moulded strands."""
    u, v = frame.shape.coordinates(frame.size)
    colour = np.clip(
        uniform(rng, (0.06, 0.6)) * np.array([1.1, 0.85, 0.62]) * (1 + 0.2 * rng.standard_normal(3)), 0.03, 0.9
    )
    wave = fractal_noise(frame.size, 1.2 * frame.shape.unit, rng, 2)
    strands = np.sin((u * np.cos(2 * wave) + 0.35 * v) * uniform(rng, (6, 14)))
    return np.clip(colour * (light * (0.9 + 0.16 * strands))[..., None], 0, 1)


def _painted_features(body: np.ndarray, frame: Frame, rng: np.random.Generator, light: float) -> np.ndarray:
    """Eyes with a round iris, drawn brows, coloured lips."""
    shape, size = frame.shape, frame.size
    u, v = shape.coordinates(size)
    iris_colour = np.clip(rng.random(3) * [0.4, 0.5, 0.7] + 0.08, 0, 1)
    stare = rng.uniform(-0.06, 0.06, 2).tolist()
    for side in (-1, 1):
        white = shape.mask(_almond(side), size)
        body = mix(body, np.full(3, 0.93 * light), white)
        body = multiply(body, white * np.clip(-(v - 0.02) / 0.2, 0, 1).astype(np.float32), 0.7)
        away = np.hypot(u - side - stare[0], v - stare[1])
        for radius, paint in ((0.24, 0.5 * iris_colour), (0.21, iris_colour), (0.1, np.full(3, 0.03))):
            disc = np.clip((radius - away) * shape.unit + 0.5, 0, 1) * white
            body = mix(body, paint * light, disc)
        glint = np.clip((0.05 - np.hypot(u - side - stare[0] + 0.07, v - stare[1] + 0.08)) * shape.unit + 0.5, 0, 1)
        body = mix(body, np.ones(3), glint)
        brow = shape.points(
            smooth_curve(np.array([(side * 0.5, -0.58), (side * 1.0, -0.82), (side * 1.55, -0.6)]), False)
        )
        body = multiply(body, stroke_mask(size, [brow], 0.13 * shape.unit), 0.35)
    lip = np.array([0.72, 0.3, 0.3]) * light * uniform(rng, (0.7, 1.15))
    return mix(body, lip, 0.85 * lips(shape, size))


def _almond(side: int) -> np.ndarray:
    return np.array([(side - 0.42, 0.05), (side - 0.2, -0.13), (side, -0.17), (side + 0.2, -0.13), (side + 0.42, 0.05),
                     (side + 0.18, 0.15), (side - 0.18, 0.15)])  # fmt: skip


def _lids(body: np.ndarray, frame: Frame) -> np.ndarray:
    """Moulded lid lines and a mouth line, which every made head has."""
    shape = frame.shape
    paths = [shape.points(_almond(side)[:5]) for side in (-1, 1)]
    paths.append(shape.points([(-0.75, MOUTH), (-0.3, MOUTH - 0.04), (0, MOUTH), (0.3, MOUTH - 0.04), (0.75, MOUTH)]))
    return multiply(body, blur(stroke_mask(frame.size, paths, 0.06 * shape.unit), 0.02 * shape.unit), 0.35)
