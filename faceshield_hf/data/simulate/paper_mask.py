"""Paper mask attack: a printed face, cut out and worn, with holes for the eyes and perhaps the mouth.

Ranges and reasons:

- cut: 0.94..1.08 of the face, 11..26 straight scissor cuts, pale edge 0.5..2 px (paper is cut by hand).
- print: the domain's inks; offset to 0.15, size 0.95..1.07 of the face below (a print of another photo never fits
  exactly).
- holes: eyes always, mouth in half of them; the wearer's own skin shows, with a shadow of the edge (as WMCA's and
  SiW-M's worn paper masks).
- bend: up to three creases, a shading of a bent sheet in place of the head's (paper bends in one direction only).
- worn: shadow at the edge, elastic bands to the ears.

Example:
    >>> from faceshield_hf.data.simulate.paper_mask import eye_holes
    >>> len(eye_holes(0.4, 0.2))
    2
"""

import cv2
import numpy as np

from .anatomy import MOUTH
from .domains import Domain
from .imaging import blur, chance, drop_shadow, mix, multiply, polygon_mask, stroke_mask, uniform
from .imaging import ellipse_points as ellipse
from .printed import draw_ink, ink_cues, paper_colour, print_part
from .scene import Frame
from .traces import Traces


def paper_mask(frame: Frame, rng: np.random.Generator, domain: Domain) -> Traces:
    """Put a cut-out printed face over the real one."""
    shape, size = frame.shape, frame.size
    ink = draw_ink(rng, domain, max(frame.full_size))
    grow = uniform(rng, (0.94, 1.08))
    outline = scissors(shape.points(shape.outline(grow, top=uniform(rng, (-2.6, -1.9)))), rng)
    sheet = polygon_mask(size, outline, 0.5)
    holes = np.zeros(size, np.float32)
    openings = eye_holes(uniform(rng, (0.38, 0.6)), uniform(rng, (0.18, 0.32)))
    mouth_open = chance(rng, 0.5)
    if mouth_open:
        openings.append(ellipse((0, MOUTH), (uniform(rng, (0.55, 0.95)), uniform(rng, (0.12, 0.3)))))
    for hole in openings:
        holes = np.maximum(holes, polygon_mask(size, scissors(shape.points(hole), rng, 0.03), 0.5))
    paper = sheet * (1 - holes)
    printed = misfit_copy(frame, rng)
    printed = print_part(printed, sheet, ink, rng)
    shading, creases = _bent(frame, rng)
    printed = printed * shading[..., None]
    edge_width = uniform(rng, (0.5, 2.0)) * max(1.0, shape.unit / 40)
    edge = paper - np.clip(blur(paper, edge_width) * 2 - 1, 0, 1)
    printed = mix(printed, paper_colour(frame.brightness, ink), np.clip(edge, 0, 1) * 0.85)
    image, bands = _bands(frame.image, frame, rng)
    depth = uniform(rng, (0.3, 0.6))
    image = drop_shadow(image, paper, (0.05 * shape.unit, 0.12 * shape.unit), 0.09 * shape.unit, depth)
    traces = Traces(np.clip(mix(image, printed, paper), 0, 1))
    traces.mark("paper mask", sheet)
    traces.note(cut=grow, mouth_hole=mouth_open, creases=creases, bands=bands)
    traces.cue("cut-out paper edges along the face")
    traces.cue("holes cut for the eyes", holes.max() > 0.5 and shape.unit > 9)
    traces.cue("a hole cut for the mouth", mouth_open and shape.unit > 9)
    traces.cue("creases in the paper", creases > 0 and shape.unit > 9)
    traces.cue("elastic bands towards the ears", bands and shape.unit > 14)
    ink_cues(traces, ink, frame.finest)
    return traces


def eye_holes(half_width: float, half_height: float) -> list[np.ndarray]:
    """Two almond openings in face coordinates."""
    return [ellipse((side, 0.02), (half_width, half_height)) for side in (-1.0, 1.0)]


def scissors(points: np.ndarray, rng: np.random.Generator, jitter: float = 0.012) -> np.ndarray:
    """Replace a smooth outline by a few straight cuts with small errors."""
    count = min(len(points), int(rng.integers(11, 27)))
    cut = points[np.linspace(0, len(points), count, endpoint=False).astype(int)]
    span = float(np.ptp(points, 0).max())
    return cut + jitter * span * rng.standard_normal(cut.shape).clip(-2, 2)


def misfit_copy(frame: Frame, rng: np.random.Generator, offset: float = 0.15) -> np.ndarray:
    """The frame's own picture, shifted and scaled about the face as a print of another photo would be."""
    shape = frame.shape
    scale, angle = uniform(rng, (0.95, 1.07)), np.degrees(uniform(rng, (-0.05, 0.05)))
    centre = tuple(float(c) for c in shape.points([(0, 0.8)])[0])
    matrix = cv2.getRotationMatrix2D(centre, angle, scale)
    matrix = matrix + np.array([[0, 0, 1], [0, 0, 1]]) * (rng.uniform(-offset, offset, (2, 1)) * shape.unit)
    return cv2.warpAffine(frame.image, matrix, (frame.size[1], frame.size[0]), flags=cv2.INTER_LINEAR,
                          borderMode=cv2.BORDER_REFLECT_101)  # fmt: skip


def _bent(frame: Frame, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """Brightness of a sheet bent around a vertical axis, with sharp folds."""
    u, v = frame.shape.coordinates(frame.size)
    lit = uniform(rng, (-0.16, 0.16))
    shade = 1 + lit * np.clip(u / 2, -1.2, 1.2) - uniform(rng, (0.0, 0.15)) * np.clip(np.abs(u) / 2.2, 0, 1) ** 2
    creases = int(rng.integers(0, 4))
    for k in range(creases):
        across = u if k == 0 else u * float(np.cos(k)) + v * float(np.sin(k))
        at, depth = uniform(rng, (-1.2, 1.2)) * (k > 0), uniform(rng, (0.04, 0.16))
        d = (across - at) / 0.11
        shade = shade + depth * np.exp(-(d**2)) * np.where(d > 0, 0.7, -1.0)
        shade = shade + 0.35 * depth * np.sign(d) * np.exp(-np.abs(d) / 6)
    return np.clip(shade, 0.5, 1.4).astype(np.float32), creases


def _bands(image: np.ndarray, frame: Frame, rng: np.random.Generator) -> tuple[np.ndarray, bool]:
    """Elastic bands from the temples backwards, on top of hair and ears."""
    if not chance(rng, 0.5):
        return image, False
    shape = frame.shape
    paths = [shape.points([(side * 1.85, 0.1), (side * 2.3, -0.12), (side * 2.9, -0.35)]) for side in (-1, 1)]
    width = uniform(rng, (0.04, 0.12)) * shape.unit
    mask = stroke_mask(frame.size, paths, width) * frame.person
    image = multiply(image, blur(mask, 0.06 * shape.unit), 0.7)
    return mix(image, np.full(3, uniform(rng, (0.05, 0.9))), mask), True
