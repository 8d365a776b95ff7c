"""Things that stand around: hands, fingers, framed pictures, screens, papers and whole backgrounds.

Both classes get them. A finger here is the same finger that holds a printed photo, so that a hand or a rectangle says
nothing about the class by itself. Knows nothing of attacks.

Example:
    >>> import numpy as np
    >>> from faceshield_hf.data.simulate.objects import plate
    >>> plate("wall", (48, 64), np.random.default_rng(0)).shape
    (48, 64, 3)
"""

from collections.abc import Sequence

import cv2
import numpy as np

from .imaging import (
    Size,
    blur,
    chance,
    drop_shadow,
    ellipse_points,
    fractal_noise,
    grid,
    luma,
    mix,
    multiply,
    pick,
    polygon_mask,
    smooth_noise,
    uniform,
)
from .patterns import draw_pattern


def plate(kind: str, shape: Size, rng: np.random.Generator, prints: Sequence[str] = ("star",)) -> np.ndarray:
    """A background of a named kind, sharp; the lens's defocus is the caller's.

    Args:
        kind (`str`): one of a domain's `plates`.
        shape (`tuple[int, int]`): height and width.
        rng (`np.random.Generator`): source of randomness.
        prints (`Sequence[str]`, *optional*): patterns on posters, boards and banners.

    Returns:
        `np.ndarray` of shape `(height, width, 3)`, 0..1.
    """
    h, w = shape
    base = _room_colour(rng)
    image = np.ones((h, w, 3), np.float32) * base
    image *= (0.75 + 0.5 * fractal_noise(shape, 0.6 * max(h, w), rng, 2))[..., None]
    if kind in ("wall", "room"):
        image *= (0.96 + 0.08 * fractal_noise(shape, 5, rng, 2))[..., None]
    if kind in ("curtain", "blinds"):
        x, y = grid(shape)
        along = x if kind == "curtain" else y
        period = uniform(rng, (0.03, 0.12)) * max(h, w)
        wobble = 0.3 * period * smooth_noise(shape, 0.4 * max(h, w), rng)
        image *= (0.85 + 0.25 * np.sin(2 * np.pi * (along + wobble) / period))[..., None]
    if kind in ("shelf", "office", "room", "street"):
        image = _rectangles(image, rng, count=int(rng.integers(6, 26)), upright=kind == "shelf")
    if kind == "tiles":
        x, y = grid(shape)
        side = uniform(rng, (0.06, 0.2)) * max(h, w)
        joint = np.maximum(np.abs(np.mod(x / side, 1) - 0.5), np.abs(np.mod(y / side * 1.7, 1) - 0.5))
        image *= (1 - 0.35 * (joint > 0.46))[..., None]
    if kind == "foliage":
        green = np.array([0.25, 0.42, 0.16], np.float32) * uniform(rng, (0.6, 1.5))
        leaves = np.stack([fractal_noise(shape, 0.05 * max(h, w), rng, 3) for _ in range(2)], 2)
        image = green * (0.25 + 1.5 * leaves[..., :1]) + 0.15 * leaves[..., 1:]
    if kind in ("flag", "banner"):
        image *= _flag(shape, rng)
    if kind == "lattice":
        x, y = grid(shape)
        side = uniform(rng, (0.02, 0.08)) * max(h, w)
        image *= (1 - 0.4 * ((np.mod(x / side, 1) < 0.15) | (np.mod(y / side, 1) < 0.15)))[..., None]
    if kind == "sky":
        height = np.linspace(0, 1, h, dtype=np.float32)[:, None, None]
        image = np.array([0.45, 0.62, 0.85], np.float32) * (1 - height) + np.float32(0.85) * height
        image = image + (0.25 * np.clip(fractal_noise(shape, 0.3 * max(h, w), rng) - 0.45, 0, 1))[..., None]
    if kind in ("posters", "board", "banner"):
        for _ in range(int(rng.integers(2, 6))):
            at, side = rng.random(2) * [w, h], uniform(rng, (0.15, 0.5)) * max(h, w)
            image = stamped(image, at, side, uniform(rng, (-0.2, 0.2)), rng, prints)
    if kind in ("night", "foliage", "street"):
        image *= 0.35 if kind == "night" else 1.0
        image = _lights(image, rng, int(rng.integers(3, 18)))
    return np.clip(image, 0, 1).astype(np.float32)


def clutter(
    image: np.ndarray, rng: np.random.Generator, skin: np.ndarray, prints: Sequence[str] = ("star",)
) -> np.ndarray:
    """Hang one to three pictures, screens, papers, signs or a hand somewhere on a background."""
    h, w = image.shape[:2]
    for _ in range(int(rng.integers(1, 4))):
        centre = np.array([uniform(rng, (0, 1)) * w, uniform(rng, (0, 1)) * h])
        side = uniform(rng, (0.15, 0.5)) * max(h, w)
        if chance(rng, 0.2):
            image = hand(image, centre, 0.45 * side, uniform(rng, (-0.7, 0.7)), tone(skin, rng), rng)
        elif chance(rng, 0.3):
            image = stamped(image, centre, side, uniform(rng, (-0.3, 0.3)), rng, prints)
        else:
            image = panel(image, centre, side, rng)
    return image


def stamped(
    image: np.ndarray,
    centre: np.ndarray,
    side: float,
    angle: float,
    rng: np.random.Generator,
    prints: Sequence[str],
    within: np.ndarray | None = None,
) -> np.ndarray:
    """Put a sign on a surface: a bare pattern, a badge with a rim, or a line of text.

    Args:
        image (`np.ndarray` of shape `(height, width, 3)`): the surface.
        centre (`np.ndarray` of shape `(2,)`): x, y in pixels.
        side (`float`): pixels.
        angle (`float`): radians.
        rng (`np.random.Generator`): source of randomness.
        prints (`Sequence[str]`): patterns to choose from.
        within (`np.ndarray` of shape `(height, width)`, *optional*): where the sign may be.
    """
    kind, colours = pick(rng, ("bare", "badge", "badge", "text")), rng.random((3, 3)).astype(np.float32) * 0.9 + 0.05
    square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * 0.5 * side
    c, s = np.cos(angle), np.sin(angle)
    turn = np.array([[c, s], [-s, c]])
    round_ = kind == "badge" and chance(rng, 0.5)
    outline = ellipse_points((0, 0), (0.62 * side, uniform(rng, (0.45, 0.62)) * side)) if round_ else square * 1.2
    ink = _letters(rng) if kind == "text" else draw_pattern(pick(rng, prints), rng)
    low = np.maximum(np.floor(centre - side), 0).astype(int)
    end = np.minimum(np.ceil(centre + side) + 1, image.shape[1::-1]).astype(int)
    if (end - low).min() < 2:
        return image
    part = (slice(low[1], end[1]), slice(low[0], end[0]))
    out, centre = np.array(image, np.float32), centre - low
    near, inside = out[part], None if within is None else within[part]
    h, w = near.shape[:2]
    dim = blur(luma(near[::2, ::2]), 0.1 * side)  # how light it is there; no detail is wanted
    light = cv2.resize(np.clip(dim * 1.2 + 0.15, 0.15, 1.0), (w, h), interpolation=cv2.INTER_LINEAR)[..., None]
    if kind == "badge":
        for grow, colour in ((1.12, colours[1]), (1.0, colours[2])):
            area = polygon_mask((h, w), grow * outline @ turn + centre)
            near = mix(near, colour * light, area if inside is None else area * inside)
    corners = (square * ([1.5, 0.5] if kind == "text" else [0.9, 0.9])) @ turn + centre
    box = np.array([[0, 0], [ink.shape[1], 0], [ink.shape[1], ink.shape[0]], [0, ink.shape[0]]], np.float32)
    matrix = cv2.getPerspectiveTransform(box, corners.astype(np.float32))
    shrink = ink.shape[1] / max(4.0, side)
    mask = cv2.warpPerspective(blur(ink, 0.4 * shrink), matrix, (w, h), flags=cv2.INTER_LINEAR)
    out[part] = mix(near, colours[0] * light, mask if inside is None else mask * inside)
    return out


def tone(skin: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A hand's colour: near the face's skin, a little brighter or darker."""
    colour = skin * uniform(rng, (0.8, 1.15)) * (1 + 0.03 * rng.standard_normal(3))
    return np.clip(0.8 * colour + 0.2 * colour.mean(), 0.05, 0.95)


def finger(
    image: np.ndarray,
    tip: np.ndarray,
    root: np.ndarray,
    width: float,
    colour: np.ndarray,
    nail: bool = False,
    joints: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw one finger as a shaded capsule from `tip` to `root` (pixels).

    Returns:
        `tuple[np.ndarray, np.ndarray]`: the image and the finger's mask.
    """
    mask = np.zeros(image.shape[:2], np.float32)
    ends = np.stack([tip, root])
    low = np.maximum(np.floor(ends.min(0) - 1.2 * width).astype(int), 0)
    high = np.minimum(np.ceil(ends.max(0) + 1.2 * width).astype(int), [image.shape[1], image.shape[0]])
    if (high - low).min() < 2:
        return image, mask
    part = (slice(low[1], high[1]), slice(low[0], high[0]))
    out = np.array(image, np.float32)
    out[part], mask[part] = _capsule(image[part], tip - low, root - low, float(width), colour, nail, joints)
    return out, mask


def _capsule(
    image: np.ndarray, tip: np.ndarray, root: np.ndarray, width: float, colour: np.ndarray, nail: bool, joints: bool
) -> tuple[np.ndarray, np.ndarray]:
    """`finger` on the part of the image that it touches."""
    h, w = image.shape[:2]
    x, y = grid((h, w))
    tx, ty, ax, ay = (float(c) for c in (*tip, *(root - tip)))
    length = float(np.hypot(ax, ay)) + 1e-6
    t = np.clip(((x - tx) * ax + (y - ty) * ay) / length**2, 0, 1)
    distance = np.hypot(x - tx - t * ax, y - ty - t * ay)
    radius = 0.5 * width * (0.86 + 0.14 * np.minimum(1, t * (length / width)) + 0.08 * np.cos(9 * t))
    mask = np.clip(radius - distance + 0.5, 0, 1)
    image = drop_shadow(image, mask, (0.12 * width, 0.16 * width), min(0.16 * width, 12.0), 0.35)
    side = ((y - ty) * ax - (x - tx) * ay) / length / np.maximum(radius, 1)
    round_off = np.sqrt(np.clip(1 - (distance / np.maximum(radius, 1)) ** 2, 0, 1))
    shade = 0.62 + 0.38 * round_off + 0.1 * np.clip(side, -1, 1)
    for joint in (0.45, 0.8) if joints else ():  # creases over the joints
        shade -= 0.07 * np.exp(-(((t - joint) * length / (0.1 * width)) ** 2))
    # The skin of a hand is mottled: fixed waves stand for it, drawn the same at any resolution.
    mottle = np.sin(x * (5.1 / width) + 2 * np.sin(y * (3.3 / width))) * np.sin(y * (6.7 / width) + x * (1.9 / width))
    shade = shade * (1 + 0.035 * mottle)
    tint = np.asarray(colour * np.array([1.02, 0.99, 0.97]), np.float32)
    image = mix(image, np.clip(tint * shade[..., None], 0, 1), mask)
    if nail:
        centre = (tx + 0.25 * width * ax / length, ty + 0.25 * width * ay / length)
        nail_mask = np.zeros((h, w), np.uint8)
        angle = float(np.degrees(np.arctan2(ay, ax)))
        cv2.ellipse(nail_mask, (centre, (0.75 * width, 0.55 * width), angle), 255, -1, cv2.LINE_AA)
        image = mix(image, np.clip(colour * 1.12 + 0.06, 0, 1), 0.75 * mask * nail_mask.astype(np.float32) / 255)
    return image, mask


def hand(
    image: np.ndarray, centre: np.ndarray, size: float, angle: float, colour: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Draw an open hand, fingers up before rotation by `angle` radians, `size` = half its length in pixels."""
    c, s = np.cos(angle), np.sin(angle)

    def at(x: float, y: float) -> np.ndarray:
        return np.asarray(centre) + size * np.array([c * x - s * y, s * x + c * y])

    image, _ = finger(image, at(0, 0.45), at(0.05, 2.5), 0.62 * size, colour * 0.94, joints=False)
    image, _ = finger(image, at(-0.05, 0.3), at(0.05, 0.55), 0.86 * size, colour, joints=False)
    side = 1 if chance(rng, 0.5) else -1
    image, _ = finger(image, at(side * 0.8, -0.05), at(side * 0.25, 0.6), 0.24 * size, colour)
    for k in range(4):
        x = -0.31 + 0.2 * k
        reach = (-0.85, -1.0, -0.95, -0.7)[k if side > 0 else 3 - k] * uniform(rng, (0.9, 1.05))
        image, _ = finger(image, at(1.25 * x, reach), at(x, 0.25), 0.2 * size, colour)
    return image


def holding_fingers(
    image: np.ndarray,
    edge_points: Sequence[tuple[np.ndarray, np.ndarray]],
    width: float,
    colour: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Fingers that grip an edge: each from a tip on the medium outwards.

    Args:
        image (`np.ndarray`): the scene.
        edge_points (`Sequence`): pairs of a point on the edge and the unit direction pointing inwards.
        width (`float`): finger width in pixels.
        colour (`np.ndarray`): skin.
        rng (`np.random.Generator`): source of randomness.
    """
    for point, inward in edge_points:
        spread = np.array([-inward[1], inward[0]])
        count = int(rng.integers(1, 4))
        # The hand itself, beside the sheet, that the fingers come from.
        knuckles = point - 2.6 * width * inward + 0.5 * (count - 1) * width * spread
        wrist = knuckles - 9 * width * inward + uniform(rng, (-3, 3)) * width * spread
        image, _ = finger(image, knuckles, wrist, 3.3 * width, 0.95 * colour, joints=False)
        for k in range(count):
            reach = uniform(rng, (0.5, 1.5)) * width
            start = point + spread * (k * 1.02 * width + uniform(rng, (-0.05, 0.05)) * width)
            tip = start + inward * reach
            root = start - inward * 2.6 * width + spread * uniform(rng, (-0.3, 0.3)) * width
            image, _ = finger(image, tip, root, width * uniform(rng, (0.88, 1.05)), colour, nail=chance(rng, 0.7))
    return image


def _room_colour(rng: np.random.Generator) -> np.ndarray:
    value = uniform(rng, (0.25, 0.85))
    return np.clip(value * (1 + 0.12 * rng.standard_normal(3)), 0.05, 0.95).astype(np.float32)


def _letters(rng: np.random.Generator) -> np.ndarray:
    """One or two lines of capital letters and digits, 0..1."""
    canvas = np.zeros((96, 288), np.uint8)
    lines = int(rng.integers(1, 3))
    font = (cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_TRIPLEX, cv2.FONT_HERSHEY_SIMPLEX)[int(rng.integers(3))]
    for line in range(lines):
        word = "".join("ABCDEFGHIKLMNOPRSTUVXYZ0123456789"[k] for k in rng.integers(0, 33, int(rng.integers(3, 8))))
        (width, height), _ = cv2.getTextSize(word, font, 1.0, 2)
        scale = min(270 / width, (70 if lines == 1 else 36) / height)
        base = 84 if lines == 1 else 42 + 46 * line
        cv2.putText(canvas, word, (8, base), font, scale, 255, int(rng.integers(2, 6)), cv2.LINE_AA)
    return canvas.astype(np.float32) / 255


def _flag(shape: Size, rng: np.random.Generator) -> np.ndarray:
    """Hanging cloth with bars, a canton or a disc, in folds."""
    h, w = shape
    x, y = grid(shape)
    colours = np.clip(rng.random((4, 3)) ** 0.7, 0.05, 1).astype(np.float32) * 1.4
    colours[1] = 1.4
    across = (x / w if chance(rng, 0.5) else y / h) + 0.03 * np.sin(x / w * 9 + y / h * 4)
    bars = int(rng.integers(2, 12))
    flag = colours[(np.clip(across, 0, 0.999) * bars).astype(int) % (2 if bars > 4 else 3)]
    emblem = pick(rng, ("none", "canton", "disc"))
    if emblem == "canton":
        flag = mix(flag, colours[3], ((x < 0.45 * w) & (y < 0.5 * h)).astype(np.float32))
        dots = (np.mod(x / w * 16, 1) - 0.5) ** 2 + (np.mod(y / h * 12, 1) - 0.5) ** 2
        flag = mix(flag, np.full(3, 1.4), ((dots < 0.05) & (x < 0.44 * w) & (y < 0.49 * h)).astype(np.float32))
    elif emblem == "disc":
        flag = mix(flag, colours[3], (np.hypot(x - 0.5 * w, y - 0.5 * h) < 0.25 * min(h, w)).astype(np.float32))
    folds = np.sin(x / w * uniform(rng, (8, 30)) + 3 * smooth_noise(shape, 0.4 * max(h, w), rng))
    return flag * (0.85 + 0.15 * folds)[..., None]


def _rectangles(image: np.ndarray, rng: np.random.Generator, count: int, upright: bool) -> np.ndarray:
    """Furniture-like boxes; `upright` ones are narrow as books on shelves."""
    h, w = image.shape[:2]
    out = np.ascontiguousarray(image)
    for _ in range(count):
        x, y = uniform(rng, (-0.1, 1)) * w, uniform(rng, (-0.1, 1)) * h
        bw = uniform(rng, (0.02, 0.07) if upright else (0.06, 0.4)) * w
        bh = uniform(rng, (0.15, 0.35) if upright else (0.06, 0.45)) * h
        colour = tuple(float(v) for v in _room_colour(rng))
        cv2.rectangle(out, (int(x), int(y)), (int(x + bw), int(y + bh)), colour, -1)
        if chance(rng, 0.5):
            dark = tuple(0.6 * v for v in colour)
            cv2.rectangle(out, (int(x), int(y)), (int(x + bw), int(y + bh)), dark, max(1, int(0.006 * w)))
    return out


def _lights(image: np.ndarray, rng: np.random.Generator, count: int) -> np.ndarray:
    """Out-of-focus lamps or sun through leaves."""
    h, w = image.shape[:2]
    out = np.ascontiguousarray(image)
    for _ in range(count):
        centre = (int(uniform(rng, (0, 1)) * w), int(uniform(rng, (0, 1)) * h))
        colour = np.clip(np.array([0.9, 0.8, 0.6]) * (1 + 0.3 * rng.standard_normal(3)), 0.2, 1)
        layer = np.zeros((h, w), np.float32)
        cv2.circle(layer, centre, max(2, int(uniform(rng, (0.01, 0.05)) * max(h, w))), 1.0, -1, cv2.LINE_AA)
        out = mix(out, colour, uniform(rng, (0.15, 0.8)) * layer)
    return out


def panel(image: np.ndarray, centre: np.ndarray, side: float, rng: np.random.Generator) -> np.ndarray:
    """A framed picture, a poster, a sheet of text, or a lit screen on the wall."""
    h, w = image.shape[:2]
    kind = pick(rng, ("picture", "paper", "screen", "poster"))
    ratio = uniform(rng, (0.6, 1.7))
    half = 0.5 * side * np.array([np.sqrt(ratio), 1 / np.sqrt(ratio)])
    angle = uniform(rng, (-0.2, 0.2))
    c, s = np.cos(angle), np.sin(angle)
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half
    corners = corners @ np.array([[c, s], [-s, c]]) * (1 + 0.06 * rng.standard_normal((4, 1))) + centre
    outer = polygon_mask((h, w), corners)
    image = drop_shadow(image, outer, (0.02 * side, 0.03 * side), 0.03 * side, 0.4)
    if kind == "paper":
        text = np.mod(grid((h, w))[1] / (0.06 * side), 1) > 0.6
        page = np.full((h, w, 3), uniform(rng, (0.7, 0.95)), np.float32) - 0.35 * text[..., None]
        return mix(image, page, outer)
    inner = polygon_mask((h, w), (corners - centre) * uniform(rng, (0.82, 0.95)) + centre)
    rim = np.full(3, 0.06) if kind == "screen" else _room_colour(rng)
    # Two colours and their mixtures look like a picture; three free channels would look like a rainbow.
    blend = np.clip(3 * fractal_noise((h, w), 0.3 * side, rng, 3) - 1, 0, 1)[..., None]
    picture = np.clip(_room_colour(rng) * (1.3 * blend) + _room_colour(rng) * (1 - blend), 0, 1)
    image = mix(image, rim, outer)
    image = mix(image, picture * (1.15 if kind == "screen" else 0.9), inner)
    return multiply(image, outer * smooth_noise((h, w), side, rng), 1.15)


def defocus(image: np.ndarray, sigma: float) -> np.ndarray:
    """Blur of things behind the focal plane."""
    return blur(image, sigma)
