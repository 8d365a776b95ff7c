"""What people wear and hold, and shadows: patterned clothes, badges, jewellery, hats, scarves, a phone in the hand.

Drawn on live people and on people under attack with the same chances, from a generator that the attack does not touch.
A phone or a sheet held beside the face, ink-like patterns on a shirt or a badge are bona fide: only what covers or
replaces the face is an attack. Knows nothing of attacks.

Ranges: patterned cloth 30 %, badges and text 35 % (1..4), jewellery 30 %, an object in the hand 22 %, hat 13 %, scarf
8 %, a cast shadow 18 % of the frames; a third of that in plain photographs, which bring their own.

Example:
    >>> import numpy as np
    >>> from faceshield_hf.data.simulate.anatomy import FaceShape
    >>> from faceshield_hf.data.simulate.domains import DOMAINS
    >>> from faceshield_hf.data.simulate.scene import Frame
    >>> from faceshield_hf.data.simulate.wear import dress
    >>> shape = FaceShape.from_landmarks(np.array([[24, 16], [40, 16], [32, 26], [26, 34], [38, 34]]))
    >>> frame = Frame(np.full((64, 64, 3), 0.5, np.float32), shape, np.ones((64, 64), np.float32), np.full(3, 0.5))
    >>> dress(frame, np.random.default_rng(0), DOMAINS["A"]).image.shape
    (64, 64, 3)
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from .anatomy import CHIN
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
    smooth_curve,
    smooth_noise,
    stroke_mask,
    uniform,
)
from .objects import holding_fingers, panel, stamped, tone
from .scene import Frame


_NATURAL = 0.33  # plain photographs get this share of everything


@dataclass(frozen=True)
class Layer:
    """Something that lies over the face, attack or not.

    Attributes:
        image (`np.ndarray` of shape `(height, width, 3)`): its colours.
        mask (`np.ndarray` of shape `(height, width)`): where it is.
        unit (`float`): pixels a face unit, for its shadow.
    """

    image: np.ndarray
    mask: np.ndarray
    unit: float

    def over(self, scene: np.ndarray) -> np.ndarray:
        """The scene with this on top and its shadow below."""
        lift = 0.12 * self.unit
        return mix(drop_shadow(scene, self.mask, (0, lift), lift, 0.4), self.image, self.mask)


def dress(frame: Frame, rng: np.random.Generator, domain: Domain) -> Frame:
    """Clothes, badges, jewellery and something in the hand; never on the face."""
    share = _NATURAL if frame.natural else 1.0
    cloth, badges, jewels, held = rng.random(4) < np.array([0.3, 0.35, 0.3, 0.22]) * share
    own = rng.spawn(4)
    image = frame.image
    if cloth or badges:
        body = _body(frame)
        if cloth:
            image = _patterned(image, frame, body, own[0])
        if badges:
            image = _badges(image, frame, body, own[1], domain)
    if jewels:
        image = _jewellery(image, frame, own[2])
    if held:
        image = _in_the_hand(image, frame, own[3], domain)
    return replace(frame, image=np.clip(image, 0, 1).astype(np.float32))


def headwear(frame: Frame, rng: np.random.Generator, domain: Domain) -> Layer | None:
    """A cap, beanie or hood, or a scarf up to the chin; `None` in most frames."""
    share = _NATURAL if frame.natural else 1.0
    draw = float(rng.random())
    (own,) = rng.spawn(1)
    if draw < 0.13 * share:
        return _hat(frame, own, domain)
    if draw < 0.21 * share:
        return _scarf(frame, own)
    return None


def cast_shadow(frame: Frame, rng: np.random.Generator) -> np.ndarray | None:
    """Brightness under the shadow of a window frame, blinds, a roof's edge or leaves; `None` in most frames."""
    share = _NATURAL if frame.natural else 1.0
    if not chance(rng, 0.18 * share):
        return None
    h, w = frame.size
    x, y = grid(frame.size)
    turn, kind = uniform(rng, (0, 2 * np.pi)), pick(rng, ("edge", "edge", "blinds", "leaves", "leaves"))
    along = ((x - 0.5 * w) * np.cos(turn) + (y - 0.5 * h) * np.sin(turn)) / max(h, w)
    soft = uniform(rng, (0.01, 0.04))
    if kind == "edge":
        dark = np.clip((along - uniform(rng, (-0.3, 0.3))) / soft, 0, 1)
    elif kind == "blinds":
        dark = np.clip(0.5 + np.sin(along * 2 * np.pi / uniform(rng, (0.06, 0.2))) / (20 * soft), 0, 1)
    else:
        leaves = fractal_noise(frame.size, uniform(rng, (0.08, 0.25)) * max(h, w), rng, 3) - 0.5
        dark = np.clip(leaves / (0.06 + 6 * soft) + 0.5, 0, 1)
    return (1 - uniform(rng, (0.15, 0.45)) * dark).astype(np.float32)


def _body(frame: Frame) -> np.ndarray:
    """Mask of the clothes: the person below the chin, where it has not the skin's colour."""
    u, v = frame.shape.coordinates(frame.size)
    low = np.clip((v - CHIN - 0.7 - 0.06 * u * u) * 2, 0, 1)
    red, green, blue = (np.abs(frame.image[..., k] - frame.skin[k]) for k in range(3))
    other = np.clip((np.maximum(np.maximum(red, green), blue) - 0.1) * 8, 0, 1)
    return (frame.person * low * blur(other, 0.06 * frame.shape.unit)).astype(np.float32)


def _patterned(image: np.ndarray, frame: Frame, body: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Stripes, checks, dots or a print on the cloth; the folds' shading stays."""
    u, v = frame.shape.coordinates(frame.size)
    u = u + 0.25 * smooth_noise(frame.size, 1.5 * frame.shape.unit, rng)
    period = uniform(rng, (0.3, 1.1))
    a, b = np.sin(2 * np.pi * u / period), np.sin(2 * np.pi * v / period)
    kind = pick(rng, ("stripes", "bars", "checks", "dots", "flowers"))
    field = {"stripes": a, "bars": b, "checks": 0.7 * (a + b), "dots": a * b - 0.4}.get(kind)
    if field is None:
        field = fractal_noise(frame.size, 0.6 * frame.shape.unit, rng, 2) * 6 - 3
    mask = np.clip(4 * field + 0.5, 0, 1) * body * uniform(rng, (0.5, 1.0))
    light = luma(image)
    level = float(light[body > 0.5].mean()) if (body > 0.5).any() else 0.5
    colour = np.clip(rng.random(3), 0.05, 0.95)
    return mix(image, np.clip(colour * (light / max(level, 0.1))[..., None], 0, 1), mask)


def _badges(image: np.ndarray, frame: Frame, body: np.ndarray, rng: np.random.Generator, domain: Domain) -> np.ndarray:
    """One to four logos, badges or words on the chest and sleeves."""
    for _ in range(int(rng.integers(1, 5))):
        at = frame.shape.points([(uniform(rng, (-3.8, 3.8)), uniform(rng, (5.0, 8.5)))])[0]
        side = uniform(rng, (0.7, 2.4)) * frame.shape.unit
        image = stamped(image, at, side, uniform(rng, (-0.4, 0.4)), rng, domain.tattoos, body)
    return image


def _jewellery(image: np.ndarray, frame: Frame, rng: np.random.Generator) -> np.ndarray:
    """Ear rings, and a necklace or a lanyard in half of the cases."""
    shape, size = frame.shape, frame.size
    metal = np.array([[0.9, 0.78, 0.4], [0.85, 0.85, 0.88], rng.random(3)][int(rng.integers(3))])
    metal = metal * np.clip(1.5 * frame.brightness + 0.2, 0.4, 1.0)
    long = uniform(rng, (0.0, 0.7))
    drops = np.zeros(size, np.float32)
    for side in (-1, 1):
        top = shape.points([(side * 2.1, 1.2), (side * 2.12, 1.25 + long)])
        drops = np.maximum(drops, stroke_mask(size, [top], max(1.0, uniform(rng, (0.07, 0.2)) * shape.unit)))
    image = mix(image, metal, drops * np.clip(blur(frame.person, 0.15 * shape.unit) * 4, 0, 1))
    if chance(rng, 0.5):
        deep = uniform(rng, (5.0, 7.5))
        chain = smooth_curve(
            np.array([(-1.7, 4.0), (-1.2, 0.5 * (4.2 + deep)), (0, deep), (1.2, 0.5 * (4.2 + deep)), (1.7, 4.0)]),
            False,
        )
        mask = (
            stroke_mask(size, [shape.points(chain)], max(1.0, uniform(rng, (0.05, 0.2)) * shape.unit)) * frame.person
        )
        image = mix(image, metal, mask)
    return image


def _in_the_hand(image: np.ndarray, frame: Frame, rng: np.random.Generator, domain: Domain) -> np.ndarray:
    """A phone, a sheet, a card or a cup beside or below the face, held by fingers, never over it."""
    shape, size = frame.shape, frame.size
    half = np.array([uniform(rng, (0.8, 1.7)), uniform(rng, (1.1, 2.2))])
    if chance(rng, 0.65):
        side = 1 if chance(rng, 0.5) else -1
        centre = np.array([side * (2.6 + half[0] + uniform(rng, (0.0, 0.8))), uniform(rng, (-1.0, 4.5))])
    else:
        centre = np.array([uniform(rng, (-2.5, 2.5)), CHIN + 0.6 + half[1] + uniform(rng, (0.0, 1.0))])
    angle = uniform(rng, (-0.25, 0.25))
    c, s = np.cos(angle), np.sin(angle)
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * 0.9 * half @ np.array([[c, s], [-s, c]]) + centre
    pixels = shape.points(corners)
    middle = pixels.mean(0)
    kind = pick(rng, ("phone", "phone back", "sheet", "picture"))
    if kind in ("phone", "phone back"):
        outer = polygon_mask(size, pixels)
        image = drop_shadow(image, outer, (0.1 * shape.unit, 0.15 * shape.unit), 0.15 * shape.unit, 0.35)
        image = mix(image, np.full(3, uniform(rng, (0.03, 0.15))) if chance(rng, 0.7) else rng.random(3), outer)
        if kind == "phone":
            lit = np.clip(fractal_noise(size, 0.9 * shape.unit, rng)[..., None] * rng.random(3) * 2, 0, 1)
            image = mix(image, lit.astype(np.float32), polygon_mask(size, (pixels - middle) * 0.88 + middle))
        else:
            eye = polygon_mask(size, (pixels - middle) * 0.2 + 0.6 * pixels[0] + 0.4 * middle)
            image = mix(image, np.full(3, 0.02), eye)
    elif kind == "sheet":
        outer = polygon_mask(size, pixels)
        image = drop_shadow(image, outer, (0.1 * shape.unit, 0.15 * shape.unit), 0.15 * shape.unit, 0.35)
        image = mix(image, np.full(3, uniform(rng, (0.75, 0.97))), outer)
        image = stamped(image, middle, 1.5 * float(half[0]) * shape.unit, angle, rng, domain.tattoos, outer)
    else:
        image = panel(image, middle.astype(np.float64), 2 * float(half.mean()) * shape.unit, rng)
    low, inward = 0.5 * (pixels[2] + pixels[3]), middle - 0.5 * (pixels[2] + pixels[3])
    grip = [(low.astype(np.float64), inward / (np.linalg.norm(inward) + 1e-6))]
    return holding_fingers(image, grip, uniform(rng, (0.42, 0.6)) * shape.unit, tone(frame.skin, rng), rng)


def _hat(frame: Frame, rng: np.random.Generator, domain: Domain) -> Layer:
    """A beanie, a cap with a peak, or a brimmed hat, down to the forehead."""
    shape, size = frame.shape, frame.size
    u, v = shape.coordinates(size)
    kind = pick(rng, ("beanie", "cap", "brim"))
    low, high = uniform(rng, (-1.9, -1.35)), uniform(rng, (-5.2, -4.3))
    wide = uniform(rng, (2.35, 2.75))
    dome = smooth_curve(np.array([(-wide, low), (-wide, low - 1.2), (-1.7, high + 0.3), (0, high), (1.7, high + 0.3),
                                  (wide, low - 1.2), (wide, low), (0, low - 0.12)]), rounds=3)  # fmt: skip
    mask = shape.mask(dome, size)
    colour = np.clip(rng.random(3) * 0.8 + 0.05, 0, 1) * float(np.clip(1.5 * frame.brightness + 0.2, 0.4, 1.0))
    round_off = np.sqrt(np.clip(1 - (u / 3.1) ** 2, 0.05, 1)) * (1 + 0.06 * (v - low))
    knit = np.sin(u * 22) * np.sin(v * 14) if kind == "beanie" else np.sin(u * 1.3 * np.pi)
    shade = round_off * (1 + 0.08 * knit + 0.2 * (fractal_noise(size, 0.5 * shape.unit, rng, 2) - 0.5))
    image = np.clip(colour.astype(np.float32) * shade[..., None], 0, 1)
    if chance(rng, 0.5):
        image = stamped(image, shape.points([(0, low - 1.2)])[0], 1.3 * shape.unit, 0.0, rng, domain.tattoos, mask)
    if kind != "beanie":
        reach, thick = (wide + 0.1, 0.55) if kind == "cap" else (wide + uniform(rng, (0.8, 1.6)), 0.4)
        front = low + thick - 0.3
        peak = np.array([(-reach, low - 0.1), (-0.6 * reach, low - 0.45), (0.6 * reach, low - 0.45),
                         (reach, low - 0.1), (0.6 * reach, front), (-0.6 * reach, front)])  # fmt: skip
        brim = shape.mask(smooth_curve(peak), size)
        image = mix(image, np.clip(colour * 0.75, 0, 1), brim)
        mask = np.maximum(mask, brim)
    else:
        image = multiply(image, mask * np.clip((v - low + 0.75) / 0.1, 0, 1), 0.85)
    return Layer(image, mask, shape.unit)


def _scarf(frame: Frame, rng: np.random.Generator) -> Layer:
    """Cloth around the neck, up to the chin."""
    shape, size = frame.shape, frame.size
    u, v = shape.coordinates(size)
    top = uniform(rng, (CHIN - 0.15, CHIN + 0.35))
    outline = smooth_curve(np.array([(-2.5, top - 0.7), (-1.2, top + 0.1), (0, top + 0.25), (1.2, top + 0.1),
                                     (2.5, top - 0.7), (3.0, top + 1.2), (1.8, top + 2.4), (-1.8, top + 2.4),
                                     (-3.0, top + 1.2)]))  # fmt: skip
    mask = shape.mask(outline, size)
    folds = np.sin((v - 0.16 * u * u) * uniform(rng, (4, 8)) + 2 * smooth_noise(size, 1.2 * shape.unit, rng))
    colour = np.clip(rng.random(3) * 0.85 + 0.05, 0, 1) * float(np.clip(1.5 * frame.brightness + 0.2, 0.4, 1.0))
    image = np.clip(colour.astype(np.float32) * (0.85 + 0.18 * folds)[..., None], 0, 1)
    if chance(rng, 0.5):
        stripes = np.clip(4 * np.sin(u * uniform(rng, (3, 9))), 0, 1) * mask
        image = mix(image, np.clip(rng.random(3), 0.05, 0.95), 0.7 * stripes)
    return Layer(cv2.GaussianBlur(image, (3, 3), 0), mask, shape.unit)
