"""Print attack: a paper photo of the face before the camera. Also the ink that other paper attacks use.

Ranges and reasons:

- gamut: black 0.06..0.24, paper white 0.86..0.98, saturation 0.5..0.95 (CMYK inks reach neither screen black nor its
  colours (FAS-Aug, arXiv 2409.03501)).
- halftone: period 2..7 px of a 512 px frame, up to twice that in a third of the prints; screens 15..75 degrees apart;
  dot shapes of the domain (amplitude-modulated screening; moiré appears where the camera samples it) or stochastic
  dots half a period wide (frequency-modulated, as ink-jet drivers place them).
- banding: 0..7 %, period 3..30 px, plus missing nozzles (inkjet head passes).
- paper: grain 1..5 %, gloss streak, curl up to 9 % of a side, perspective to 25 degrees (bent and rotated prints
  help across data sets (arXiv 1901.00488)).
- sheet: white border 0..12 %, or cut close; fingers on the edges; shadow behind (how prints are presented in CASIA-
  FASD, WMCA and SiW-M).

Example:
    >>> import numpy as np
    >>> from faceshield_hf.data.simulate.printed import draw_ink
    >>> from faceshield_hf.data.simulate.domains import DOMAINS
    >>> draw_ink(np.random.default_rng(0), DOMAINS["A"]).process in DOMAINS["A"].prints
    True
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from .domains import Domain
from .imaging import (
    blur,
    chance,
    drop_shadow,
    extent,
    fractal_noise,
    grid,
    mix,
    pick,
    saturate,
    smooth_noise,
    uniform,
)
from .medium import Sheet, ambient, make_sheet
from .objects import holding_fingers, tone
from .scene import Frame, Placement
from .source import Source
from .traces import Traces


@dataclass(frozen=True)
class Ink:
    """How something was printed.

    Attributes:
        process (`str`): printing process, one of the domain's `prints`.
        spot (`str`): dot shape of the halftone.
        period (`float`): halftone period in pixels.
        angle (`float`): angle of the first screen, radians.
        strength (`float`): 0..1 visibility of the dots.
        black (`float`): display value of full ink.
        paper (`tuple[float, float, float]`): colour of the bare paper.
        saturation (`float`): colourfulness left.
        banding (`float`): depth of the bands, 0..1.
        band_period (`float`): pixels.
        gloss (`float`): strength of the paper's sheen.
    """

    process: str
    spot: str
    period: float
    angle: float
    strength: float
    black: float
    paper: tuple[float, float, float]
    saturation: float
    banding: float
    band_period: float
    gloss: float

    def describe(self) -> dict[str, str | float]:
        """Parameters for the record."""
        return {
            "process": self.process,
            "halftone": self.spot,
            "halftone_period": self.period,
            "halftone_strength": self.strength,
            "black_level": self.black,
            "ink_saturation": self.saturation,
            "banding": self.banding,
        }


_SATURATION = {"gray laser": (0.0, 0.04), "newspaper": (0.0, 0.5), "glossy poster": (0.8, 1.05), "photo": (0.7, 0.95)}
_DOTS = {"photo": (0.0, 0.3), "newspaper": (0.5, 1.0), "laser": (0.3, 0.85), "gray laser": (0.35, 0.9)}
_PERIOD = {"newspaper": (3.2, 7.0), "photo": (2.0, 3.0)}


def draw_ink(rng: np.random.Generator, domain: Domain, long_side: float = 512) -> Ink:
    """Draw a printer, its paper and its settings.

    Args:
        rng (`np.random.Generator`): source of randomness.
        domain (`Domain`): its processes and halftones.
        long_side (`float`, *optional*, defaults to 512): pixels of the frame, which rulings are relative to.
    """
    process, spot = pick(rng, domain.prints), pick(rng, domain.halftones)
    white = uniform(rng, (0.8, 0.9) if process == "newspaper" else (0.87, 0.98))
    tint = uniform(rng, (-0.05, 0.05))
    # Coarse rulings (a small print seen from near) outlive the shrinking to a model's resolution, fine ones beat.
    ruling = uniform(rng, (1.4, 2.0)) if chance(rng, 0.35) else 1.0
    return Ink(
        process=process,
        spot=spot,
        period=ruling * max(0.8, long_side / 512) * uniform(rng, _PERIOD.get(process, (2.4, 5.5))),
        angle=uniform(rng, (0, np.pi / 2)),
        strength=uniform(rng, _DOTS.get(process, (0.1, 0.7))),
        black=uniform(rng, (0.05, 0.12) if process in ("photo", "glossy poster") else (0.1, 0.24)),
        paper=(white * (1 + tint), white, white * (1 - tint)),
        saturation=uniform(rng, _SATURATION.get(process, (0.5, 0.9))),
        banding=uniform(rng, (0.0, 0.07)) if process != "glossy poster" else 0.0,
        band_period=uniform(rng, (3, 30)),
        gloss=uniform(rng, (0.1, 0.4) if process in ("photo", "glossy poster") else (0.0, 0.12)),
    )


def print_ink(picture: np.ndarray, x: np.ndarray, y: np.ndarray, ink: Ink, rng: np.random.Generator) -> np.ndarray:
    """The picture as it looks on paper.

    Args:
        picture (`np.ndarray` of shape `(height, width, 3)`): what is printed, 0..1.
        x (`np.ndarray` of shape `(height, width)`): position on the sheet in pixels, the halftone's phase.
        y (`np.ndarray` of shape `(height, width)`): the same downwards.
        ink (`Ink`): the printer.
        rng (`np.random.Generator`): grain and bands.
    """
    shape = picture.shape[:2]
    coverage = 1 - np.clip(saturate(picture, ink.saturation), 0, 1)
    tile = rng.random((96, 96), dtype=np.float32) if ink.spot == "stochastic" else None
    if ink.strength > 0.05:
        dots = np.empty_like(coverage)
        for channel, turn in enumerate((0.26, 1.31, 0.0)):  # cyan 15, magenta 75, yellow 0 degrees
            screen = _screen(x, y, ink.period, ink.angle + turn, ink.spot, tile)
            # A soft threshold: ink spreads, and no dot has a hard edge.
            over = 6 * (coverage[..., channel] - screen)
            dots[..., channel] = 0.5 + 0.5 * over / np.sqrt(1 + over * over)
        coverage = coverage + ink.strength * (dots - coverage)
    passes = rng.standard_normal(64, dtype=np.float32).clip(-2, 2)
    if ink.banding > 0.005:
        bands = passes[np.mod(y / ink.band_period, 64).astype(np.uint8) % 64]
        coverage = coverage * (1 + ink.banding * bands[..., None])
    paper = np.asarray(ink.paper, np.float32) * (0.97 + 0.05 * fractal_noise(shape, 4, rng, 2))[..., None]
    # Inks are not ideal filters: each takes some of its neighbours' light, which dulls colours.
    leak = np.array([[0.86, 0.09, 0.05], [0.1, 0.82, 0.08], [0.05, 0.13, 0.82]], np.float32)
    return np.clip(paper - np.clip(coverage, 0, 1) @ leak.T * (paper - ink.black), 0, 1).astype(np.float32)


def print_part(picture: np.ndarray, mask: np.ndarray, ink: Ink, rng: np.random.Generator) -> np.ndarray:
    """`print_ink` where a mask is not empty; elsewhere the picture is left as it is.

    Args:
        picture (`np.ndarray` of shape `(height, width, 3)`): what is printed, 0..1.
        mask (`np.ndarray` of shape `(height, width)`): where it will be seen.
        ink (`Ink`): the printer.
        rng (`np.random.Generator`): grain and bands.
    """
    out = picture.copy()
    part = extent(mask, 2)
    if part is not None:
        seen = picture[part]
        x, y = grid((seen.shape[0], seen.shape[1]))
        out[part] = print_ink(seen, x, y, ink, rng)
    return out


def ink_cues(traces: Traces, ink: Ink, finest: float, what: str = "a face") -> None:
    """Name the ink's traces that the camera can see.

    Args:
        traces (`Traces`): given the cues and the ink's parameters.
        ink (`Ink`): the printer.
        finest (`float`): the shortest period in pixels that the camera resolves.
        what (`str`, *optional*, defaults to `"a face"`): noun phrase for what was printed.
    """
    dots = ink.strength > 0.28 and ink.period > finest * (1.0 if ink.strength > 0.5 else 1.25)
    traces.cue("a halftone dot pattern on the skin", dots and ink.spot not in ("lines", "stochastic"))
    traces.cue("scattered ink dots on the skin", dots and ink.spot == "stochastic")
    traces.cue("a halftone line pattern on the skin", dots and ink.spot == "lines")
    traces.cue("horizontal printing bands", ink.banding > 0.035 and ink.band_period > 2 * finest)
    gray = ink.saturation < 0.06
    traces.cue("dull, washed-out printed colours", not gray and (0.1 < ink.saturation < 0.72 or ink.black > 0.17))
    traces.cue(f"{what} printed in black and white", gray)
    traces.note(**ink.describe())


def printed_photo(
    source: Source, place: Placement, rng: np.random.Generator, domain: Domain, finest: float, scene: Frame
) -> Traces:
    """A paper photo of the face, held or pinned before the camera."""
    ink = draw_ink(rng, domain, max(place.size))
    bend = uniform(rng, (0.0, 0.09)) if ink.process != "glossy poster" else uniform(rng, (0, 0.02))
    sheet = make_sheet(source, place, rng, domain, (0.707, 0.667, 0.8, 1.0, 1.414), bend, scene)
    printed = print_ink(sheet.picture, sheet.x, sheet.y, ink, rng)
    border = uniform(rng, (0.02, 0.12)) if chance(rng, 0.55) else 0.0
    pixels = border * min(sheet.size)
    whole, area = sheet.inside((pixels,) * 4), sheet.inside((0.0,) * 4)
    paper = np.asarray(ink.paper, np.float32) * (0.97 + 0.05 * smooth_noise(place.size, 3, rng))[..., None]
    surface = mix(paper, printed, area)
    light = ambient(scene) * (1 + 0.55 * sheet.slope)
    surface = surface * np.clip(light, 0.3, 1.35)[..., None]
    sheen = np.exp(-(((sheet.slope - uniform(rng, (-0.3, 0.3))) / 0.22) ** 2)) * ink.gloss
    surface = surface + (0.8 * sheen * blur(whole, 2))[..., None] * (1 - surface)
    lift = uniform(rng, (0.01, 0.06)) * place.face_height
    around = drop_shadow(sheet.scene.image, whole, (lift * uniform(rng, (-1, 1)), lift), 0.8 * lift + 0.5, 0.45)
    image = mix(around, np.clip(surface, 0, 1), whole)
    traces = Traces(image)
    fingers = sheet.held or chance(rng, 0.35)
    if fingers:
        traces.image, fingers = grip(image, sheet, pixels, tone(source.skin, rng), place, rng)
    seen = float(whole.mean())
    traces.mark("printed photo", whole)
    traces.note(border=border, bend=bend, fills_frame=seen > 0.985, fingers=fingers)
    ink_cues(traces, ink, finest)
    edge = seen < 0.97
    traces.cue("straight paper edges around the face", edge)
    traces.cue("a white paper border", edge and border > 0.03)
    traces.cue("fingers holding the sheet", fingers)
    traces.cue("the curl of a bent sheet", float(np.abs(sheet.slope * whole).max()) > 0.3)
    traces.cue("a glossy sheen on flat paper", ink.gloss > 0.22 and float((sheen * whole).max()) > 0.15)
    traces.cue("flat skin without depth", not traces.cues)
    return traces


def grip(
    image: np.ndarray, sheet: Sheet, border: float, skin: np.ndarray, place: Placement, rng: np.random.Generator
) -> tuple[np.ndarray, bool]:
    """Fingers at one or two points of the sheet's edge; says whether any is in the frame."""
    h, w = sheet.size
    width = place.face_height * uniform(rng, (0.09, 0.14))
    spots = []
    for side in rng.permutation(3)[: int(rng.integers(1, 3))]:
        along = uniform(rng, (0.45, 0.9))
        edge = [(-border, along * h), (w + border, along * h), (along * w, h + border)][side]
        middle = [(0.5 * w, along * h), (0.5 * w, along * h), (along * w, 0.5 * h)][side]
        outer, inner = (_project(sheet.to_frame, p) for p in (edge, middle))
        inward = (inner - outer) / (np.linalg.norm(inner - outer) + 1e-6)
        if 0.02 < outer[0] / image.shape[1] < 0.98 and 0.02 < outer[1] / image.shape[0] < 0.98:
            spots.append((outer, inward))
    return holding_fingers(image, spots, width, skin, rng), bool(spots)


def paper_colour(brightness: float, ink: Ink) -> np.ndarray:
    """Bare paper in a scene of this mean brightness."""
    return np.asarray(ink.paper, np.float32) * np.clip(1.7 * brightness, 0.5, 1.0)


def _project(matrix: np.ndarray, point: tuple[float, float]) -> np.ndarray:
    p = matrix @ np.array([point[0], point[1], 1.0])
    return p[:2] / p[2]


def _screen(
    x: np.ndarray, y: np.ndarray, period: float, angle: float, spot: str, tile: np.ndarray | None
) -> np.ndarray:
    """Threshold field of a halftone screen, 0.05..0.95: ink goes where coverage exceeds it.

    The screens are amplitude-modulated and periodic, but for "stochastic": a tile of noise whose dots are half a
    period wide, as ink-jet drivers place them.
    """
    c, s = 2 * math.pi * math.cos(angle) / period, 2 * math.pi * math.sin(angle) / period
    u, v = c * x + s * y, c * y - s * x
    if tile is not None:
        shift = 31 * angle  # each ink has its own dots
        row, column = np.mod(2 * y / period + shift, 96), np.mod(2 * x / period + shift, 96)
        return 0.05 + 0.9 * cv2.remap(tile, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    if spot == "lines":
        field = np.cos(u)
    elif spot == "squares":
        field = np.maximum(np.cos(u), np.cos(v)) * 1.2 - 0.3
    elif spot == "diamonds":
        field = np.cos(u + v) * 0.6 + np.cos(u - v) * 0.4
    elif spot == "rings":
        field = np.cos(2 * (np.cos(u) + np.cos(v)))
    else:
        field = 0.5 * (np.cos(u) + np.cos(v))
    return np.clip(0.5 + 0.45 * field, 0.05, 0.95)
