"""Tattoo attack: ink patterns on the skin, drawn or stuck on, that follow the face.

Ranges and reasons:

- pattern: the domain's kinds; ink 0.9..2.2 face units wide (15..36 % of the face's height), and at least 10 % of the
  frame's width where the face allows it (smaller ones vanish at a model's resolution).
- count: 1..4, on forehead, cheeks, temples, jaw, chin, nose bridge (PADISI's tattoo attacks; FaceCoT's marks).
- ink: black, blue-black, green, red; light ink on dark skin; 70..97 % opaque (ink lies under the skin: shading and
  shine stay).
- edge: softened by 0.01..0.04 face units (ink bleeds).
- shape: bent over a cylinder of the head's width, turned with the head.

Example:
    >>> import numpy as np
    >>> from faceshield_hf.data.simulate.tattoo import tattoo
    >>> from faceshield_hf.data.simulate.anatomy import FaceShape
    >>> from faceshield_hf.data.simulate.domains import DOMAINS
    >>> from faceshield_hf.data.simulate.scene import Frame
    >>> shape = FaceShape.from_landmarks(np.array([[24, 26], [40, 26], [32, 36], [26, 44], [38, 44]]))
    >>> frame = Frame(np.full((64, 64, 3), 0.5, np.float32), shape, np.ones((64, 64), np.float32), np.full(3, 0.5))
    >>> tattoo(frame, np.random.default_rng(0), DOMAINS["A"]).boxes()[0].label
    'tattoo'
"""

import math

import cv2
import numpy as np

from .domains import Domain
from .imaging import blur, chance, extent, luma, median_colour, mix, pick, uniform
from .patterns import SIDE, draw_pattern
from .scene import Frame
from .traces import Traces, mask_box


_SPAN = (0.9, 2.2)  # width of the ink in face units
_LEGIBLE = 0.098  # of the frame's width, 25 px of 256: below it nothing would be left at a model's resolution
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
    face = shape.mask(shape.outline(0.99), size, 1) * (1 - frame.covered)
    opacity = uniform(rng, (0.7, 0.97))
    names = [list(_SITES)[k] for k in rng.permutation(len(_SITES))]
    wanted = int(rng.integers(1, 5))
    placed = []
    for site, least in [(name, 0.88) for name in names] + [(name, 0.4) for name in names]:
        if len(traces.regions) == wanted or (least < 0.5 and traces.regions):
            break
        kind = pick(rng, domain.tattoos)
        wide = max(uniform(rng, _SPAN), _LEGIBLE * frame.full_size[1] / shape.unit)
        mask = _on_skin(draw_pattern(kind, rng), frame, _SITES[site], min(2.6, wide), uniform(rng, (-0.5, 0.5)), rng)
        mask = mask * face
        box = mask_box(mask)
        if box is None or (box[2] - box[0]) * size[1] < least * _LEGIBLE * frame.full_size[1]:
            continue  # turned away, under a hat or out of the frame
        ink_name, ink = _ink(frame, mask, rng)
        traces.image = _inked(traces.image, mask, ink, opacity)
        traces.mark("tattoo", mask)
        placed.append((kind, site, ink_name))
    traces.image = np.clip(traces.image, 0, 1)
    few = len(placed) < 3
    for kind, site, ink_name in placed:
        same = [ink for _, _, ink in placed].count(ink_name)
        many = f"{ink_name} tattoos on the face" if same > 1 else f"a {ink_name} tattoo on the face"
        traces.cue(f"a {kind} tattoo on the {site}" if few else many)
    kinds = [kind for kind, _, _ in placed]
    traces.note(count=len(kinds), kinds=", ".join(sorted(set(kinds))), opacity=opacity)
    traces.cue("ink patterns drawn on the skin")
    return traces


def _on_skin(
    pattern: np.ndarray,
    frame: Frame,
    centre: tuple[float, float],
    side: float,
    angle: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """The pattern bent around the head, its ink `side` wide: what is farther to the side is seen narrower."""
    ink = np.flatnonzero((pattern > 0.5).any(0))
    side *= SIDE / max(40, int(ink[-1] - ink[0]) if len(ink) else SIDE)
    u, v = frame.shape.coordinates(frame.size)
    radius = 2.6
    around = radius * np.arcsin(np.clip(u / radius, -0.98, 0.98))
    middle = radius * math.asin(centre[0] / radius)
    du, dv = around - middle, v - centre[1]
    c, s = math.cos(angle), math.sin(angle)
    scale = SIDE / side
    x = (c * du + s * dv) * scale + SIDE / 2
    y = (-s * du + c * dv) * scale + SIDE / 2
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
    part = extent(mask, 20)
    if part is None:
        return image
    out = np.array(image, np.float32)
    light = luma(out[part])
    shade = light / (blur(light, 6) + 0.05)
    layer = np.clip(ink.astype(np.float32) * (0.5 + 0.5 * shade)[..., None] + 0.06 * light[..., None], 0, 1)
    out[part] = mix(out[part], layer, opacity * mask[part])
    return out
