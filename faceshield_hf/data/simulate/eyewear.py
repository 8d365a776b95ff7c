"""Glasses attack: glasses that fake or hide the eyes, not ones to see with.

Kinds:

- funny-eye glasses: thick coloured rims, opaque white lenses with a cartoon iris, red veins in some.
- printed-eye glasses: rims filled with a print of enlarged eyes.
- paper glasses: a frame cut of coloured or plain paper, flat, with the wearer's eyes or tinted foil in its windows.
- mask glasses: a party half mask with a patterned front and eye openings.
- eye-picture lenses: rimless round photos of eyes of another colour.

Kinds follow the WMCA (funny eyes, paper glasses), PADISI and SiW-Mv2 presentation attack lists. Sizes: lens half
width 0.6..0.92 of the half eye distance. A live person's spectacles (`bonafide.clear_glasses`) have thin rims and
clear lenses.

Example:
    >>> from faceshield_hf.data.simulate.eyewear import KINDS
    >>> len(KINDS)
    5
"""

from collections.abc import Callable

import cv2
import numpy as np

from .bonafide import superellipse
from .domains import Domain
from .imaging import (
    blur,
    chance,
    drop_shadow,
    fractal_noise,
    mix,
    pick,
    smooth_curve,
    stroke_mask,
    uniform,
)
from .printed import draw_ink, paper_colour, print_part
from .scene import Frame
from .traces import Traces


def glasses(frame: Frame, rng: np.random.Generator, domain: Domain) -> Traces:
    """Put one of the domain's fake glasses on the face."""
    kind = pick(rng, domain.glasses)
    traces = KINDS[kind](frame, rng, domain)
    traces.image = np.clip(traces.image, 0, 1)
    traces.note(kind=kind)
    return traces


def _funny_eyes(frame: Frame, rng: np.random.Generator, domain: Domain) -> Traces:
    shape, size = frame.shape, frame.size
    half = uniform(rng, (0.68, 0.92))
    lens, rim, arms = _rims(frame, rng, half, half * uniform(rng, (0.75, 1.0)), uniform(rng, (0.14, 0.3)), 2.2)
    whole = np.maximum(lens, rim)
    image = _lifted(frame.image, np.maximum(whole, arms), frame, rng)
    light = _scene_light(frame)
    image = mix(image, np.full(3, 0.95 * light), lens)
    u, v = shape.coordinates(size)
    iris = np.clip(rng.random(3) * [0.5, 0.7, 0.9] + 0.05, 0, 1)
    radius, veins = uniform(rng, (0.24, 0.42)), chance(rng, 0.4)
    for side in (-1, 1):
        at = (np.array([side * 1.02, 0.08]) + rng.uniform(-0.2, 0.2, 2)).tolist()
        if veins:
            rays = [np.array([np.cos(a), np.sin(a)]) for a in rng.random(9) * 6.28]
            ends = [shape.points(np.array([at, at]) + np.outer([0.9 * half, 0], ray)) for ray in rays]
            image = mix(image, np.array([0.8, 0.15, 0.12]), 0.6 * lens * stroke_mask(size, ends, 0.03 * shape.unit))
        away = np.hypot(u - at[0], v - at[1])
        for share, paint in ((1.0, iris), (0.5, np.full(3, 0.03))):
            image = mix(image, paint * light, np.clip((share * radius - away) * shape.unit + 0.5, 0, 1) * lens)
        glint = np.hypot(u - at[0] + 0.35 * radius, v - at[1] + 0.35 * radius)
        image = mix(image, np.ones(3), np.clip((0.2 * radius - glint) * shape.unit + 0.5, 0, 1) * lens)
    image = _frame_colour(image, np.maximum(rim, arms), rng, light)
    traces = _marked(image, whole)
    traces.note(lens=half, veins=veins)
    traces.cue("cartoon eyes on the lenses")
    traces.cue("opaque lenses that hide the eyes")
    return traces


def _printed_eyes(frame: Frame, rng: np.random.Generator, domain: Domain) -> Traces:
    half = uniform(rng, (0.66, 0.88))
    lens, rim, arms = _rims(frame, rng, half, half * uniform(rng, (0.6, 0.85)), uniform(rng, (0.08, 0.2)), 3.0)
    whole = np.maximum(lens, rim)
    image = _lifted(frame.image, np.maximum(whole, arms), frame, rng)
    ink = draw_ink(rng, domain, max(frame.full_size))
    big = uniform(rng, (1.12, 1.45))
    eyes = print_part(eye_picture(frame, rng, big), lens, ink, rng)
    image = mix(image, eyes * uniform(rng, (0.9, 1.1)) + 0.03, lens)
    image = _frame_colour(image, np.maximum(rim, arms), rng, _scene_light(frame))
    traces = _marked(image, whole)
    traces.note(lens=half, enlargement=big, **ink.describe())
    traces.cue("printed eyes in the lenses")
    traces.cue("eyes too large for the face", big > 1.25)
    return traces


def _paper_glasses(frame: Frame, rng: np.random.Generator, domain: Domain) -> Traces:
    shape, size = frame.shape, frame.size
    half, high, edge = uniform(rng, (0.6, 0.8)), uniform(rng, (0.3, 0.5)), uniform(rng, (0.2, 0.38))
    outer = smooth_curve(np.array([(-2.15, -high - edge), (2.15, -high - edge), (2.15, 0.1), (1.7, high + edge),
                                   (0.4, high + edge), (0.0, 0.25), (-0.4, high + edge), (-1.7, high + edge),
                                   (-2.15, 0.1)]), rounds=1)  # fmt: skip
    front = shape.mask(outer, size)
    windows = np.maximum(*(shape.mask(superellipse((s * 1.02, 0.02), (half, high), 4.0), size) for s in (-1, 1)))
    paper = front * (1 - windows)
    image = _lifted(frame.image, paper, frame, rng)
    light = _scene_light(frame)
    colour = np.clip(rng.random(3) * 0.9 + 0.05, 0, 1) if chance(rng, 0.6) else np.full(3, 0.93)
    foil = chance(rng, 0.5)
    if foil:
        u, _ = shape.coordinates(size)
        tints = (np.array([1.0, 0.25, 0.2]), np.array([0.2, 0.75, 1.0]))
        tinted = frame.image * np.where((u < 0)[..., None], tints[0], tints[1]) + 0.04
        image = mix(image, tinted, windows)
    surface = colour * (light * (0.94 + 0.1 * fractal_noise(size, 4, rng)))[..., None]
    u, v = shape.coordinates(size)
    surface = surface * (1 + 0.12 * np.tanh(u * 6) * np.exp(-np.abs(u)) + 0.05 * v)[..., None]
    rim = np.clip(paper - np.clip(blur(paper, 0.035 * shape.unit) * 2 - 1, 0, 1), 0, 1)
    image = mix(image, surface, paper)
    image = mix(image, np.full(3, 0.97 * light), 0.8 * rim)
    traces = _marked(image, front)
    traces.note(foil=foil, window=half)
    traces.cue("a flat paper frame around the eyes")
    traces.cue("red and cyan foil before the eyes", foil)
    traces.cue("cut paper edges at the glasses", shape.unit > 12)
    return traces


def _mask_glasses(frame: Frame, rng: np.random.Generator, domain: Domain) -> Traces:
    shape, size = frame.shape, frame.size
    wing = uniform(rng, (0.0, 0.7))
    outer = smooth_curve(np.array([(0, -0.75), (1.2, -0.95), (2.2, -1.0 - wing), (2.1, 0.2), (1.5, 0.95), (0.6, 0.85),
                                   (0.0, 0.55), (-0.6, 0.85), (-1.5, 0.95), (-2.1, 0.2), (-2.2, -1.0 - wing),
                                   (-1.2, -0.95)]), rounds=2)  # fmt: skip
    front = shape.mask(outer, size)
    eyes = np.maximum(*(shape.mask(superellipse((s, 0.02), (0.5, 0.26), 2.0), size) for s in (-1, 1)))
    solid = front * (1 - eyes)
    image = _lifted(frame.image, solid, frame, rng)
    u, v = shape.coordinates(size)
    wave = np.sin(uniform(rng, (4, 9)) * np.hypot(np.abs(u) - 1, v)) * np.sin(uniform(rng, (3, 8)) * np.abs(u))
    one, two = rng.random(3) * 0.8, rng.random(3) * 0.9 + 0.1
    cloth = mix(np.broadcast_to(one.astype(np.float32), frame.image.shape), two, np.clip(wave * 3, 0, 1))
    shine = np.exp(-(((v + 0.5 + 0.3 * u) / 0.25) ** 2)) * 0.3
    image = mix(image, np.clip(cloth * _scene_light(frame) + shine[..., None], 0, 1), solid)
    traces = _marked(image, front)
    traces.note(wing=wing)
    traces.cue("a patterned eye mask worn as glasses")
    traces.cue("eye openings in a stiff front", shape.unit > 10)
    return traces


def _eye_pictures(frame: Frame, rng: np.random.Generator, domain: Domain) -> Traces:
    shape, size = frame.shape, frame.size
    half, big = uniform(rng, (0.6, 0.85)), uniform(rng, (1.0, 1.3))
    discs = [shape.mask(superellipse((s * 1.02, 0.03), (half, half * 0.75), 2.0), size) for s in (-1, 1)]
    whole = np.maximum(*discs)
    image = _lifted(frame.image, whole, frame, rng)
    ink = draw_ink(rng, domain, max(frame.full_size))
    shift = 1 + 0.35 * rng.standard_normal(3).clip(-1, 1)
    eyes = print_part(np.clip(eye_picture(frame, rng, big) * shift, 0, 1), whole, ink, rng)
    edge = np.clip(whole - np.clip(blur(whole, 0.04 * shape.unit) * 2 - 1, 0, 1), 0, 1)
    image = mix(image, eyes, whole)
    image = mix(image, paper_colour(frame.brightness, ink), 0.7 * edge)
    traces = _marked(image, whole)
    traces.note(lens=half, enlargement=big, **ink.describe())
    traces.cue("round pictures of eyes before the eyes")
    traces.cue("a tone that does not match the skin around")
    return traces


KINDS: dict[str, Callable[[Frame, np.random.Generator, Domain], Traces]] = {
    "funny-eye glasses": _funny_eyes,
    "printed-eye glasses": _printed_eyes,
    "paper glasses": _paper_glasses,
    "mask glasses": _mask_glasses,
    "eye-picture lenses": _eye_pictures,
}


def eye_picture(frame: Frame, rng: np.random.Generator, scale: float) -> np.ndarray:
    """The face's own eyes enlarged in place, brightened a little as prints of eyes are."""
    shape = frame.shape
    left, right = (tuple(float(c) for c in shape.points([(s * 1.02, 0.0)])[0]) for s in (-1, 1))
    u, _ = shape.coordinates(frame.size)
    pictures = []
    for centre in (left, right):
        matrix = cv2.getRotationMatrix2D(centre, uniform(rng, (-5, 5)), scale)
        matrix = matrix + np.array([[0, 0, 1], [0, 0, 1]]) * (rng.uniform(-0.1, 0.1, (2, 1)) * shape.unit)
        pictures.append(cv2.warpAffine(frame.image, matrix, (frame.size[1], frame.size[0]), flags=cv2.INTER_LINEAR,
                                       borderMode=cv2.BORDER_REFLECT_101))  # fmt: skip
    return np.clip(np.where((u < 0)[..., None], pictures[0], pictures[1]) * 1.08, 0, 1)


def _rims(
    frame: Frame, rng: np.random.Generator, half: float, high: float, thick: float, power: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Masks of lenses, of rims with the bridge, and of the arms."""
    shape, size = frame.shape, frame.size
    lens, rim = np.zeros(size, np.float32), np.zeros(size, np.float32)
    drop = uniform(rng, (-0.05, 0.15))
    for side in (-1, 1):
        centre = (side * 1.05, drop)
        inner = shape.mask(superellipse(centre, (half, high), power), size)
        outer = shape.mask(superellipse(centre, (half + thick, high + thick), power), size)
        lens, rim = np.maximum(lens, inner), np.maximum(rim, outer)
    bridge = shape.points([(-0.4, drop - 0.1), (0.4, drop - 0.1)])
    rim = np.maximum(rim, stroke_mask(size, [bridge], max(1.0, 0.8 * thick * shape.unit)))
    arms = [shape.points([(s * (1.05 + half), drop - 0.1), (s * 2.25, drop - 0.25)]) for s in (-1, 1)]
    return lens, np.clip(rim - lens, 0, 1), stroke_mask(size, arms, max(1.0, 0.6 * thick * shape.unit))


def _lifted(image: np.ndarray, mask: np.ndarray, frame: Frame, rng: np.random.Generator) -> np.ndarray:
    unit = frame.shape.unit
    offset = (uniform(rng, (-0.1, 0.1)) * unit, uniform(rng, (0.08, 0.2)) * unit)
    return drop_shadow(image, mask, offset, 0.12 * unit, uniform(rng, (0.25, 0.5)))


def _frame_colour(image: np.ndarray, rims: np.ndarray, rng: np.random.Generator, light: float) -> np.ndarray:
    colour = np.clip(rng.random(3) ** 1.5, 0.03, 0.9) * light
    image = mix(image, colour, rims)
    raised = cv2.Sobel(blur(rims, 0.8), cv2.CV_32F, 0, 1, ksize=3)
    return image + (0.06 * np.clip(raised, -1, 2) * rims)[..., None]


def _scene_light(frame: Frame) -> float:
    return float(np.clip(1.6 * frame.brightness + 0.2, 0.45, 1.05))


def _marked(image: np.ndarray, mask: np.ndarray) -> Traces:
    traces = Traces(image)
    traces.mark("glasses", mask)
    return traces
