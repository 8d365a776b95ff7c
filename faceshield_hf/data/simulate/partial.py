"""Partial attacks: a paper patch over the eyes or over the mouth only.

Ranges and reasons:

- patch: strip, held photo, taped paper, oval cut-out or torn paper; width 3.3..4.5 and height 1.0..1.7 face units for
  the eyes, 2.2..3.5 and 1.0..1.9 for the mouth (SiW-Mv2's Partial Eye and Partial Mouth; FaceCoT's region attacks).
- content: the region printed (offset to 0.3, size 0.9..1.3), or plain paper, with holes in some.
- ink: the domain's printers.
- edge: pale cut or torn edge, shadow below, tape pieces or fingers (a patch has a thickness and is held).

Example:
    >>> from faceshield_hf.data.simulate.partial import REGIONS
    >>> REGIONS["mouth"].label
    'mouth region'
"""

from dataclasses import dataclass

import cv2
import numpy as np

from .anatomy import MOUTH
from .bonafide import superellipse
from .domains import Domain
from .imaging import (
    blur,
    chance,
    drop_shadow,
    ellipse_points,
    fractal_noise,
    mix,
    pick,
    polygon_mask,
    uniform,
)
from .objects import finger, tone
from .printed import Ink, draw_ink, ink_cues, paper_colour, print_part
from .scene import Frame
from .traces import Traces


@dataclass(frozen=True)
class Region:
    """A part of the face that a patch covers, in face units.

    Attributes:
        name (`str`): for the traces' words.
        label (`str`): the box's label.
        centre (`tuple[float, float]`): its middle.
        half_width, half_height (`tuple[float, float]`): ranges of the patch's half sides.
    """

    name: str
    label: str
    centre: tuple[float, float]
    half_width: tuple[float, float]
    half_height: tuple[float, float]


REGIONS = {
    "eye": Region("eyes", "eye region", (0.0, -0.05), (1.65, 2.25), (0.5, 0.85)),
    "mouth": Region("mouth", "mouth region", (0.0, MOUTH + 0.1), (1.1, 1.75), (0.5, 0.95)),
}


def partial_eye(frame: Frame, rng: np.random.Generator, domain: Domain) -> Traces:
    """Cover the eyes with a paper patch."""
    return _patch(frame, rng, domain, REGIONS["eye"])


def partial_mouth(frame: Frame, rng: np.random.Generator, domain: Domain) -> Traces:
    """Cover the mouth with a paper patch."""
    return _patch(frame, rng, domain, REGIONS["mouth"])


def _patch(frame: Frame, rng: np.random.Generator, domain: Domain, region: Region) -> Traces:
    shape, size = frame.shape, frame.size
    kind = pick(rng, domain.patches)
    half = np.array([uniform(rng, region.half_width), uniform(rng, region.half_height)])
    centre = np.array(region.centre) + rng.uniform(-0.12, 0.12, 2)
    corners = _outline(kind, centre, half, uniform(rng, (-0.14, 0.14)), rng)
    patch = shape.mask(corners, size, 0.5)
    ink = draw_ink(rng, domain, max(frame.full_size))
    printed = chance(rng, 0.75)
    surface, moved = _content(frame, region, patch, ink, printed, rng)
    u, v = shape.coordinates(size)
    bend = uniform(rng, (-0.22, 0.22))
    surface = (
        surface
        * np.clip(1 + bend * u / 2 + uniform(rng, (-0.08, 0.08)) * (v - float(centre[1])), 0.6, 1.35)[..., None]
    )
    holes = np.zeros(size, np.float32)
    if not printed and chance(rng, 0.6):
        spots = [(-1.0, 0.0), (1.0, 0.0)] if region.name == "eyes" else [(0.0, MOUTH)]
        for spot in spots:
            holes = np.maximum(holes, shape.mask(ellipse_points(spot, (0.4, 0.2)), size, 0.5))
    paper = patch * (1 - holes)
    edge_width = max(0.6, uniform(rng, (0.02, 0.07)) * shape.unit) * (2 if kind == "torn paper" else 1)
    rim = np.clip(paper - np.clip(blur(paper, edge_width) * 2 - 1, 0, 1), 0, 1)
    surface = mix(surface, paper_colour(frame.brightness, ink), 0.85 * rim)
    lift = uniform(rng, (0.06, 0.18)) * shape.unit
    image = drop_shadow(frame.image, paper, (0.4 * lift, lift), 0.8 * lift, uniform(rng, (0.3, 0.6)))
    image = mix(image, surface, paper)
    traces = Traces(image)
    held = _fasten(traces, frame, kind, corners, rng)
    traces.image = np.clip(traces.image, 0, 1)
    traces.mark(region.label, patch)
    traces.note(kind=kind, printed=printed, held=held, offset=moved, holes=bool(holes.max() > 0.5))
    _words(traces, frame, region, kind, printed, moved, ink)
    return traces


def _words(traces: Traces, frame: Frame, region: Region, kind: str, printed: bool, moved: float, ink: Ink) -> None:
    name = region.name
    traces.cue(f"a paper patch over the {name}")
    traces.cue(f"patch edges and a shadow around the {name}", frame.shape.unit > 9)
    traces.cue(f"printed {name} that do not line up with the face", printed and moved > 0.2 and name == "eyes")
    traces.cue(f"a printed {name} that does not line up with the face", printed and moved > 0.2 and name == "mouth")
    traces.cue(f"blank paper over the {name}", not printed)
    traces.cue("a torn paper edge", kind == "torn paper" and frame.shape.unit > 12)
    if printed:
        ink_cues(traces, ink, frame.finest, "eyes" if name == "eyes" else f"a {name}")
    else:
        traces.note(**ink.describe())


def _outline(kind: str, centre: np.ndarray, half: np.ndarray, angle: float, rng: np.random.Generator) -> np.ndarray:
    """The patch's outline in face units."""
    if kind == "oval cut-out":
        points = superellipse((0.0, 0.0), (float(half[0]), float(half[1])), uniform(rng, (2.0, 3.0)))
    elif kind == "torn paper":
        points = superellipse((0.0, 0.0), (float(half[0]), float(half[1])), 6.0, 64)
        points = points * (1 + 0.05 * np.convolve(rng.standard_normal(66), np.ones(3) / 3, "valid")[:, None])
    else:
        points = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half
        points = points * (1 + 0.08 * rng.uniform(-1, 1, (4, 2)))
        if kind == "held photo":
            points[:2, 1] -= 0.25 * half[1]
    c, s = np.cos(angle), np.sin(angle)
    return points @ np.array([[c, s], [-s, c]]) + centre


def _content(
    frame: Frame, region: Region, patch: np.ndarray, ink: Ink, printed: bool, rng: np.random.Generator
) -> tuple[np.ndarray, float]:
    """What the paper shows, and how far it is off in face units."""
    shape, size = frame.shape, frame.size
    shift = rng.uniform(-0.3, 0.3, 2)
    scale = uniform(rng, (0.9, 1.3))
    flip = chance(rng, 0.3)
    if not printed:
        paper = paper_colour(frame.brightness, ink)
        if chance(rng, 0.4):
            paper = np.clip(paper * (0.4 + 0.7 * rng.random(3)), 0, 1)
        return paper * (0.95 + 0.08 * fractal_noise(size, 4, rng))[..., None], 0.0
    centre = shape.points([region.centre])[0]
    matrix = cv2.getRotationMatrix2D(tuple(float(c) for c in centre), uniform(rng, (-6, 6)), scale)
    if flip:
        mirror = np.array([[-1, 0, 2 * centre[0]], [0, 1, 0], [0, 0, 1]])
        matrix = matrix @ mirror
    matrix = matrix + np.array([[0, 0, 1], [0, 0, 1]]) * (shift[:, None] * shape.unit)
    copy = cv2.warpAffine(frame.image, matrix, (size[1], size[0]), flags=cv2.INTER_LINEAR,
                          borderMode=cv2.BORDER_REFLECT_101)  # fmt: skip
    return print_part(copy, patch, ink, rng) * uniform(rng, (0.85, 1.15)), float(np.hypot(*shift))


def _fasten(traces: Traces, frame: Frame, kind: str, corners: np.ndarray, rng: np.random.Generator) -> bool:
    """Tape at the ends or fingers from the side; says whether fingers hold it."""
    shape, size = frame.shape, frame.size
    pixels = shape.points(corners)
    left, right = pixels[pixels[:, 0].argmin()], pixels[pixels[:, 0].argmax()]
    if kind == "taped paper" or (kind == "torn paper" and chance(rng, 0.5)):
        for end in (left, right):
            half = np.array([0.42, 0.16]) * shape.unit * uniform(rng, (0.8, 1.3))
            angle = uniform(rng, (-0.6, 0.6))
            c, s = np.cos(angle), np.sin(angle)
            tape = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half @ np.array([[c, s], [-s, c]]) + end
            mask = polygon_mask(size, tape, 0.5)
            strip = 0.55 * traces.image + 0.45 * np.array([0.85, 0.8, 0.66], np.float32)
            traces.image = mix(traces.image, strip, mask)
        traces.cue("pieces of tape at the patch", shape.unit > 12)
        return False
    if kind in ("held photo", "printed strip", "oval cut-out") and chance(rng, 0.85 if kind == "held photo" else 0.4):
        end, outward = (left, -1.0) if chance(rng, 0.5) else (right, 1.0)
        width = 0.62 * shape.unit * uniform(rng, (0.85, 1.1))
        skin = tone(frame.skin, rng)
        for k in range(int(rng.integers(1, 3))):
            tip = end + np.array([-outward * uniform(rng, (0.3, 0.7)) * width, (k - 0.3) * 1.05 * width])
            root = tip + np.array([outward * 4 * width, (1.0 + 0.1 * k) * width])
            if k == 0:
                wrist = root + np.array([outward * 7 * width, uniform(rng, (1, 6)) * width])
                traces.image, _ = finger(traces.image, root, wrist, 2.6 * width, 0.95 * skin, joints=False)
            traces.image, _ = finger(traces.image, tip, root, width, skin, nail=True)
        traces.cue("fingers holding a patch to the face")
        return True
    return False
