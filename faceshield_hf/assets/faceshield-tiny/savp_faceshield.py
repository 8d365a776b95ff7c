"""Spoof-aware vision perception (SAVP): the second picture of a face that the model looks at.

A presentation attack often betrays itself by texture: the dots of a print, the grid of a screen, the smooth skin of a
mask. The spoof-aware (SAV) image puts three classic texture descriptors into the three channels of one picture, so
that the vision tower that reads the RGB image can read this one too (FaceShield, arXiv 2505.09415, equations 3 to 5):

| channel | content |
|---|---|
| 0 | local binary pattern codes of the 3x3 ring, 0..255 |
| 1 | gray image, 0..255 |
| 2 | histograms of oriented gradients, drawn as one star of lines a cell, 0..255 |

This module knows numpy arrays only: nothing of files, resizing, normalisation or batches. Compute the SAV image at the
size that the model sees and never resize it afterwards: the codes of channel 0 have no order that could be averaged.

Example:
    >>> import numpy as np
    >>> face = np.random.default_rng(0).integers(0, 256, (384, 384, 3), dtype=np.uint8)
    >>> sav_image(face).shape
    (384, 384, 3)
"""

from functools import lru_cache
from typing import Literal, get_args

import numpy as np


HogRender = Literal["blocknorm", "skimage"]

ORIENTATIONS = 9
"""Bins of unsigned gradient direction, 20 degrees each."""
CELL = 8
"""Width and height of a HOG cell in pixels; no image may be smaller."""
HOG_FULL_SCALE: dict[str, float] = {"blocknorm": 0.8, "skimage": 57.9}
"""The value of the HOG picture that becomes 255 in the SAV image: fixed, so that images can be compared.

Few pixels of a face are above it, where the lines of a star cross, and become 255 too.
"""

# The ring of equation 3, (row, column) steps in the order of the code's bits 0 to 7: E, NE, N, NW, W, SW, S, SE.
_RING = ((0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1))
# L2-Hys: divide by the block's length, cut at 0.2, divide by the length again.
_HYS_CUT = 0.2
_HYS_EPSILON = 1e-5


def sav_image(rgb: np.ndarray, hog_render: HogRender = "blocknorm") -> np.ndarray:
    """Compute the spoof-aware image [LBP, gray, HOG] of an RGB image (FaceShield, equation 5).

    Args:
        rgb (`np.ndarray` of shape `(height, width, 3)`, uint8):
            Red, green and blue, in this order, 0..255. At least 8x8 pixels.
        hog_render (`str`, *optional*, defaults to `"blocknorm"`):
            What the third channel draws, see [`hog_map`].

    Returns:
        `np.ndarray` of shape `(height, width, 3)`, uint8: Local binary pattern codes, gray and HOG picture, 0..255.

    Raises:
        ValueError: If `rgb` has another type or shape, is smaller than one HOG cell, or `hog_render` is unknown.
    """
    luma = gray(rgb)
    cells = _draw(_histograms(luma, hog_render))
    # Scaled, clipped and rounded while it is still one row a cell: bytes are cheaper to rearrange than floats.
    cells *= 255.0 / HOG_FULL_SCALE[hog_render]
    cells += 0.5
    np.minimum(cells, 255.0, out=cells)
    # Laid out in memory as the RGB image is, so that one whose channels are planes gives planes.
    sav = np.empty_like(rgb)
    sav[..., 0] = local_binary_pattern(luma)
    sav[..., 1] = luma
    sav[..., 2] = _lay_out(cells.astype(np.uint8), luma.shape)
    return sav


def gray(rgb: np.ndarray) -> np.ndarray:
    """Weigh the colours to gray: 0.299 red + 0.587 green + 0.114 blue, rounded half up, exactly.

    Args:
        rgb (`np.ndarray` of shape `(height, width, 3)`, uint8):
            Red, green and blue, in this order, 0..255.

    Returns:
        `np.ndarray` of shape `(height, width)`, uint8: The gray image, 0..255.

    Raises:
        ValueError: If `rgb` has another type or shape.
    """
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
        raise ValueError(
            f"got an array of type {rgb.dtype} and shape {rgb.shape}, expected an RGB image of type uint8 and shape "
            "(height, width, 3): convert it with `to_rgb_image` first"
        )
    # In thousandths, as whole numbers: floats would round a few of the 16.7 million colours the other way.
    luma = np.multiply(rgb[..., 0], 299, dtype=np.uint32)
    luma += np.multiply(rgb[..., 1], 587, dtype=np.uint32)
    luma += np.multiply(rgb[..., 2], 114, dtype=np.uint32)
    luma += 500
    luma //= 1000
    return luma.astype(np.uint8)


def local_binary_pattern(image: np.ndarray) -> np.ndarray:
    """Compute the local binary pattern of every pixel (FaceShield, equation 3).

    Bit i of a pixel's code is 1 where neighbour i of its 3x3 ring is at least as bright as the pixel itself. The bits
    start at the right-hand neighbour and go round counter-clockwise. Beyond the border the edge pixels are repeated.

    Args:
        image (`np.ndarray` of shape `(height, width)`, uint8):
            The gray image, 0..255, of any size from one pixel on.

    Returns:
        `np.ndarray` of shape `(height, width)`, uint8: The codes, 0..255. A flat area gives 255.

    Raises:
        ValueError: If `image` has another type or shape, or no pixel.
    """
    _check_gray(image, smallest=1)
    height, width = image.shape
    padded = np.pad(image, 1, mode="edge")
    codes = np.zeros_like(image, order="C")
    # A comparison's bytes are 0 or 1, so they can be added as numbers. From bit 7 down to bit 0, each doubling moves
    # the bits so far one place up: numpy adds bytes many times faster than it shifts them.
    at_least_as_bright = np.empty(image.shape, np.bool_)
    for row, column in reversed(_RING):
        neighbour = padded[1 + row : 1 + row + height, 1 + column : 1 + column + width]
        np.greater_equal(neighbour, image, out=at_least_as_bright)
        codes += codes
        codes += at_least_as_bright.view(np.uint8)
    return codes


def hog_map(image: np.ndarray, render: HogRender = "blocknorm") -> np.ndarray:
    """Draw the histograms of oriented gradients of a gray image: in each 8x8 cell a star of nine lines.

    The line of a bin runs along the edges that it counts and is as bright as the bin's value; lines that cross add up.
    Rows and columns beyond the last whole cell stay 0, but their pixels still serve the gradients beside them.

    Args:
        image (`np.ndarray` of shape `(height, width)`, uint8):
            The gray image, 0..255. At least 8x8 pixels.
        render (`str`, *optional*, defaults to `"blocknorm"`):
            Which values are drawn. `"skimage"`: the cells' raw histograms (mean gradient length a bin), the picture of
            `skimage.feature.hog(image, 9, (8, 8), (2, 2), visualize=True)`, which ignores block normalisation and so
            grows with contrast. `"blocknorm"`: the mean of the cell's copies in its up to four 2x2 blocks after L2-Hys
            normalisation, which does not. Where the image is one cell high or wide, blocks are so too.

    Returns:
        `np.ndarray` of shape `(height, width)`, float32: The picture, from 0 to about 90 (`"skimage"`) or 1.8
        (`"blocknorm"`). [`sav_image`] maps it to bytes by `HOG_FULL_SCALE`.

    Raises:
        ValueError: If `image` has another type or shape, is smaller than one cell, or `render` is unknown.
    """
    return _lay_out(_draw(_histograms(image, render)), image.shape)


def _check_gray(image: np.ndarray, smallest: int) -> None:
    if image.dtype != np.uint8 or image.ndim != 2:
        raise ValueError(
            f"got an array of type {image.dtype} and shape {image.shape}, expected a gray image of type uint8 and "
            "shape (height, width): `gray` makes one"
        )
    if min(image.shape) < smallest:
        raise ValueError(
            f"got an image of {image.shape[1]}x{image.shape[0]} pixels, expected at least {smallest}x{smallest}: "
            "resize it first"
        )


def _histograms(image: np.ndarray, render: str) -> np.ndarray:
    """Give each cell's nine values `(rows, columns, 9)`, block-normalised or not."""
    if render not in get_args(HogRender):
        raise ValueError(f"got hog_render {render!r}, expected one of {', '.join(map(repr, get_args(HogRender)))}")
    _check_gray(image, smallest=CELL)
    histograms = _cell_histograms(image)
    return _block_normalised(histograms) if render == "blocknorm" else histograms


def _cell_histograms(image: np.ndarray) -> np.ndarray:
    """Sum each cell's gradient lengths by direction, divided by its 64 pixels: `(rows, columns, 9)`, float32."""
    rows, columns = image.shape[0] // CELL, image.shape[1] // CELL
    covered = slice(rows * CELL), slice(columns * CELL)
    # Central differences, 0 on the image's border.
    signed = image.astype(np.int16)
    vertical, horizontal = np.zeros_like(signed), np.zeros_like(signed)
    np.subtract(signed[2:], signed[:-2], out=vertical[1:-1])
    np.subtract(signed[:, 2:], signed[:, :-2], out=horizontal[:, 1:-1])
    vertical, horizontal = vertical[covered], horizontal[covered]
    lengths = np.square(vertical, dtype=np.float32)
    lengths += np.square(horizontal, dtype=np.float32)
    np.sqrt(lengths, out=lengths)
    # A gradient's place in the table of directions, then its histogram's and bin's place among all bins.
    slots = np.multiply(vertical, 511, dtype=np.intp)
    slots += horizontal
    slots += 255 * 511 + 255
    # Every place is in the table; "clip" only spares numpy a look at that.
    slots[...] = _direction_bins().take(slots, mode="clip")
    slots += (np.arange(rows * CELL) // CELL * (columns * ORIENTATIONS))[:, None]
    slots += np.arange(columns * CELL) // CELL * ORIENTATIONS
    sums = np.bincount(slots.ravel(), lengths.ravel(), minlength=rows * columns * ORIENTATIONS)
    return (sums / CELL**2).astype(np.float32).reshape(rows, columns, ORIENTATIONS)


def _block_normalised(histograms: np.ndarray) -> np.ndarray:
    """Replace each cell by the mean of its L2-Hys normalised copies in the 2x2 blocks that hold it."""
    rows, columns = histograms.shape[:2]
    high, wide = min(2, rows), min(2, columns)
    # One window a place in the block: window k holds every block's k-th cell.
    windows = [
        (slice(row, row + rows - high + 1), slice(column, column + columns - wide + 1))
        for row in range(high)
        for column in range(wide)
    ]
    members = np.stack([histograms[window] for window in windows])
    members /= np.sqrt(np.einsum("krco,krco->rc", members, members) + _HYS_EPSILON**2)[..., None]
    np.minimum(members, _HYS_CUT, out=members)
    members /= np.sqrt(np.einsum("krco,krco->rc", members, members) + _HYS_EPSILON**2)[..., None]
    total, copies = np.zeros_like(histograms), np.zeros((rows, columns, 1), histograms.dtype)
    for window, member in zip(windows, members, strict=True):
        total[window] += member
        copies[window] += 1
    return total / copies


def _draw(histograms: np.ndarray) -> np.ndarray:
    """Draw each cell's star `(rows, columns, 64)`, float32."""
    return histograms @ _line_templates()


def _lay_out(cells: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Put cells of 64 pixels `(rows, columns, 64)` to their places in a picture of this shape."""
    rows, columns = cells.shape[:2]
    tiles = cells.reshape(rows, columns, CELL, CELL).transpose(0, 2, 1, 3)
    picture = np.zeros(shape, cells.dtype)
    picture[: rows * CELL, : columns * CELL] = tiles.reshape(rows * CELL, columns * CELL)
    return picture


@lru_cache(maxsize=1)
def _direction_bins() -> np.ndarray:
    """Tabulate the direction bin of all 511 x 511 gradients of a uint8 image, by vertical, then horizontal part.

    Directions are taken modulo 180 degrees; bin i holds [20 i, 20 (i + 1)).
    """
    vertical, horizontal = np.mgrid[-255:256, -255:256].astype(np.float64)
    degrees = np.rad2deg(np.arctan2(vertical, horizontal)) % 180.0
    # Bytes keep the table small enough to stay in a core's own cache.
    return (degrees // (180.0 / ORIENTATIONS)).astype(np.uint8).ravel()


@lru_cache(maxsize=1)
def _line_templates() -> np.ndarray:
    """Draw the line of each bin into an 8x8 cell: `(9, 64)` of 0 and 1, float32."""
    templates = np.zeros((ORIENTATIONS, CELL, CELL), np.float32)
    centre, radius = CELL // 2, CELL // 2 - 1
    for template, angle in zip(templates, np.pi * (np.arange(ORIENTATIONS) + 0.5) / ORIENTATIONS, strict=True):
        # An edge is at right angles to its gradient, and rows count downwards: hence sine and cosine change places.
        down, across = radius * np.cos(angle), radius * np.sin(angle)
        template[_line((int(centre - down), int(centre + across)), (int(centre + down), int(centre - across)))] = 1.0
    return templates.reshape(ORIENTATIONS, CELL * CELL)


def _line(start: tuple[int, int], end: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """List the rows and columns of a one pixel wide line, both ends included (Bresenham, halves away from start)."""
    row, column = end[0] - start[0], end[1] - start[1]
    steps = max(abs(row), abs(column))
    ramp = np.arange(steps + 1)
    rows = start[0] + np.sign(row) * ((2 * abs(row) * ramp + steps) // (2 * steps))
    columns = start[1] + np.sign(column) * ((2 * abs(column) * ramp + steps) // (2 * steps))
    return rows, columns
