"""Small image operations that every simulated attack shares: noise fields, soft masks, blending, skin statistics.

Images are float32 arrays of shape `(height, width, 3)`, RGB, display-coded, 0..1; masks are float32 `(height, width)`,
0..1. This module knows nothing of faces or attacks.

Example:
    >>> import numpy as np
    >>> from faceshield_hf.data.simulate.imaging import smooth_noise
    >>> smooth_noise((8, 8), 4, np.random.default_rng(0)).shape
    (8, 8)
"""

from collections.abc import Sequence

import cv2
import numpy as np


Size = tuple[int, int]
_SHIFT = 4  # sub-pixel bits of cv2's drawing functions: coordinates are rounded to 1/16 px
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def uniform(rng: np.random.Generator, bounds: Sequence[float]) -> float:
    """One draw from `bounds = (low, high)` as a plain float."""
    return float(rng.uniform(bounds[0], bounds[1]))


def chance(rng: np.random.Generator, probability: float) -> bool:
    """True with the given probability; always takes exactly one draw."""
    return bool(rng.random() < probability)


def pick(rng: np.random.Generator, options: Sequence[str]) -> str:
    """One of several names."""
    return options[int(rng.integers(len(options)))]


def smooth_noise(shape: Size, cell: float, rng: np.random.Generator) -> np.ndarray:
    """Value noise in 0..1 whose features are about `cell` pixels wide.

    Args:
        shape (`tuple[int, int]`): height and width.
        cell (`float`): feature size in pixels.
        rng (`np.random.Generator`): source of randomness.

    Returns:
        `np.ndarray` of shape `(height, width)`, float32.
    """
    h, w = shape
    grid = rng.random((max(2, int(h / cell) + 2), max(2, int(w / cell) + 2)), dtype=np.float32)
    return np.clip(cv2.resize(grid, (w, h), interpolation=cv2.INTER_CUBIC), 0, 1)


def fractal_noise(shape: Size, cell: float, rng: np.random.Generator, octaves: int = 3) -> np.ndarray:
    """Sum of value noises, each half as wide and half as strong as the one before; 0..1, mean about 0.5."""
    total = np.zeros(shape, np.float32)
    weight, norm = 1.0, 0.0
    for _ in range(octaves):
        total += weight * smooth_noise(shape, max(cell, 1.0), rng)
        norm += weight
        weight, cell = weight / 2, cell / 2
    return total / norm


def blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur; wide ones are computed at reduced size, which no eye can tell from the full one."""
    if sigma < 0.25:
        return image
    if sigma > 8:
        h, w = image.shape[:2]
        step = min(sigma / 4, min(h, w) / 4)
        if step > 1.5:
            small = cv2.resize(image, (max(2, int(w / step)), max(2, int(h / step))), interpolation=cv2.INTER_AREA)
            small = cv2.GaussianBlur(small, (0, 0), sigma / step, borderType=cv2.BORDER_REFLECT_101)
            return cv2.resize(small, (w, h), interpolation=cv2.INTER_LINEAR)
    return cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)


def polygon_mask(shape: Size, points: np.ndarray, soft: float = 0.6) -> np.ndarray:
    """Anti-aliased filled polygon.

    Args:
        shape (`tuple[int, int]`): height and width of the mask.
        points (`np.ndarray` of shape `(n, 2)`): x, y in pixels; may lie outside.
        soft (`float`, *optional*, defaults to 0.6): blur of the edge in pixels (sigma).

    Returns:
        `np.ndarray` of shape `(height, width)`, float32, 0..1.
    """
    mask = np.zeros(shape, np.uint8)
    cv2.fillPoly(mask, [_fixed(points)], 255, cv2.LINE_AA, _SHIFT)
    return _softened(mask, 1 / 255, soft)


def stroke_mask(shape: Size, paths: Sequence[np.ndarray], width: float, soft: float = 0.5) -> np.ndarray:
    """Anti-aliased open lines of the given width in pixels; lines thinner than a pixel become fainter instead."""
    mask = np.zeros(shape, np.uint8)
    cv2.polylines(mask, [_fixed(p) for p in paths], False, 255, max(1, round(width)), cv2.LINE_AA, _SHIFT)
    return _softened(mask, min(1.0, width) / 255, soft)


def ellipse_points(centre: Sequence[float], axes: Sequence[float], angle: float = 0.0, n: int = 48) -> np.ndarray:
    """Points of an ellipse, `angle` in radians; shape `(n, 2)`."""
    t = np.linspace(0, 2 * np.pi, n, endpoint=False)
    x, y = axes[0] * np.cos(t), axes[1] * np.sin(t)
    c, s = np.cos(angle), np.sin(angle)
    return np.stack([centre[0] + c * x - s * y, centre[1] + s * x + c * y], 1).astype(np.float32)


def smooth_curve(points: np.ndarray, closed: bool = True, rounds: int = 3) -> np.ndarray:
    """Round a polygon's corners by Chaikin's corner cutting."""
    p = np.asarray(points, np.float32)
    for _ in range(rounds):
        q = np.roll(p, -1, 0) if closed else p[1:]
        a = p if closed else p[:-1]
        cut = np.stack([0.75 * a + 0.25 * q, 0.25 * a + 0.75 * q], 1).reshape(-1, 2)
        p = cut if closed else np.concatenate([p[:1], cut, p[-1:]])
    return p


def mix(image: np.ndarray, other: np.ndarray | Sequence[float], mask: np.ndarray) -> np.ndarray:
    """`image` where the mask is 0, `other` (an image or one colour) where it is 1."""
    out = np.array(image, np.float32)
    part = extent(mask)
    if part is not None:
        layer = np.asarray(other, np.float32)
        amount = mask[part].astype(np.float32, copy=False)
        if layer.ndim == 3:
            # OpenCV wants whole arrays; its weights are taken as they are, for they sum to one.
            under, over = np.ascontiguousarray(out[part]), np.ascontiguousarray(layer[part])
            out[part] = cv2.blendLinear(over, under, np.ascontiguousarray(amount), 1 - amount)
        else:
            out[part] += amount[..., None] * (layer - out[part])
    return out


def multiply(image: np.ndarray, mask: np.ndarray, gain: float) -> np.ndarray:
    """Scale brightness by `gain` where the mask is 1."""
    out = np.array(image, np.float32)
    part = extent(mask)
    if part is not None:
        out[part] *= 1 + (gain - 1) * mask[part].astype(np.float32, copy=False)[..., None]
    return out


def shifted(mask: np.ndarray, dx: float, dy: float) -> np.ndarray:
    """The mask moved by dx, dy pixels, zero coming in."""
    matrix = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
    return cv2.warpAffine(mask, matrix, (mask.shape[1], mask.shape[0]))


def drop_shadow(
    image: np.ndarray, mask: np.ndarray, offset: Sequence[float], sigma: float, depth: float
) -> np.ndarray:
    """Darken what lies beside the mask as a thing lifted off the surface would; the inside is left alone."""
    part = extent(mask, round(3 * sigma + max(abs(offset[0]), abs(offset[1]))) + 2)
    if part is None:
        return image
    near = mask[part]
    shadow = np.zeros_like(mask)
    shadow[part] = blur(shifted(near, offset[0], offset[1]), sigma) * (1 - near)
    return multiply(image, shadow, 1 - depth)


def luma(image: np.ndarray) -> np.ndarray:
    """Brightness, shape `(height, width)`."""
    return cv2.transform(np.ascontiguousarray(image, np.float32), _LUMA[None])


def saturate(image: np.ndarray, amount: float) -> np.ndarray:
    """Scale colourfulness: 0 is gray, 1 unchanged."""
    matrix = amount * np.eye(3, dtype=np.float32) + (1 - amount) * _LUMA[None]
    return cv2.transform(np.ascontiguousarray(image, np.float32), matrix.astype(np.float32))


def median_colour(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Median colour where the mask is above one half; mid gray if it is nowhere."""
    inside = image[mask > 0.5]
    return np.median(inside, 0).astype(np.float32) if len(inside) else np.full(3, 0.5, np.float32)


def grid(shape: Size) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates x and y of every pixel, float32, each of shape `(height, width)`."""
    x = np.arange(shape[1], dtype=np.float32)
    y = np.arange(shape[0], dtype=np.float32)
    return np.broadcast_to(x[None], shape).copy(), np.broadcast_to(y[:, None], shape).copy()


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    """A float image after one JPEG round trip."""
    ok, data = cv2.imencode(".jpg", to_bytes(image)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not ok:
        raise ValueError(f"OpenCV could not encode an image of shape {image.shape}: sides must be 1..65500 px")
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))[..., ::-1].astype(np.float32) / 255


def to_bytes(image: np.ndarray) -> np.ndarray:
    """0..1 float to uint8."""
    return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)


def extent(mask: np.ndarray, margin: int = 0) -> tuple[slice, slice] | None:
    """The rectangle outside which the mask is zero, grown by a margin: most masks are small, work is done there."""
    rows = np.flatnonzero(mask.any(1))
    if not len(rows):
        return None
    columns = np.flatnonzero(mask[rows[0] : rows[-1] + 1].any(0))
    return (
        slice(max(0, int(rows[0]) - margin), int(rows[-1]) + 1 + margin),
        slice(max(0, int(columns[0]) - margin), int(columns[-1]) + 1 + margin),
    )


def _softened(mask: np.ndarray, gain: float, soft: float) -> np.ndarray:
    """A drawn uint8 mask as float, blurred where it is not empty."""
    out = np.zeros(mask.shape, np.float32)
    part = extent(mask, round(4 * soft) + 2)
    if part is not None:
        out[part] = blur(mask[part].astype(np.float32) * gain, soft)
    return out


def _fixed(points: np.ndarray) -> np.ndarray:
    return np.round(np.clip(points, -1e4, 1e4) * (1 << _SHIFT)).astype(np.int32).reshape(-1, 1, 2)
