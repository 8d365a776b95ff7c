"""Pictures of a verdict: boxes by attack type, what the model saw (the SAV views), and where it looked.

Everything is PIL in and PIL out, drawn with Pillow and numpy alone. The module knows neither the model nor the
processor: it draws the boxes and the scores that it is given.

Example:
    >>> from PIL import Image
    >>> from faceshield_hf.tasks_faceshield import Box
    >>> from faceshield_hf.visualize import draw_boxes
    >>> draw_boxes(Image.new("RGB", (640, 480)), [Box(0.25, 0.25, 0.75, 0.75, "Print")]).size
    (640, 480)
"""

from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont

from faceshield_hf.savp_faceshield import HogRender, sav_image
from faceshield_hf.tasks_faceshield import AttackType, Box


# One hue a super-class: blue 2D, red to brown 3D, violet partial, pink make-up; dark enough for a white caption.
ATTACK_COLORS = {
    AttackType.BONAFIDE.value: "#2e7d32",
    AttackType.PRINT.value: "#1565c0",
    AttackType.REPLAY.value: "#00707c",
    AttackType.PAPER_MASK.value: "#b84a00",
    AttackType.FLEXIBLE_MASK.value: "#c62828",
    AttackType.RIGID_MASK.value: "#8e2a1a",
    AttackType.FAKEHEAD.value: "#6d4c41",
    AttackType.GLASSES.value: "#4527a0",
    AttackType.PARTIAL_EYE.value: "#7b1fa2",
    AttackType.PARTIAL_MOUTH.value: "#5e35b1",
    AttackType.MAKEUP.value: "#c2185b",
    AttackType.TATTOO.value: "#37474f",
}
UNKNOWN_COLOR = "#d50000"
MIN_BOX_PIXELS = 3
_MIN_FONT_SIZE = 9
# Nine points of matplotlib's "inferno" (CC0): brighter is more, in print and for colour-blind eyes too.
_HEAT = np.array(
    [
        [0, 0, 4],
        [31, 12, 72],
        [85, 15, 109],
        [136, 34, 106],
        [186, 54, 85],
        [227, 89, 51],
        [249, 140, 10],
        [249, 201, 50],
        [252, 255, 164],
    ],
    dtype=np.float32,
)


def draw_boxes(image: Image.Image, boxes: Iterable[Box]) -> Image.Image:
    """Draw boxes with their labels over a copy of an image.

    Args:
        image (`PIL.Image.Image`): the photo that the boxes are fractions of; converted to RGB.
        boxes (`Iterable[Box]`): corners 0..1 of the image; clipped to it, those under 3 pixels left out. The label is
            the caption and, when it is an attack type, gives the colour (`ATTACK_COLORS`).

    Returns:
        `PIL.Image.Image`: RGB, same size; lines and captions scale with the image, large boxes lie under small ones.
    """
    drawn = image.convert("RGB").copy()
    draw = ImageDraw.Draw(drawn)
    line = max(2, round(min(drawn.size) / 160))
    placed = pixel_boxes(boxes, drawn.size)
    for (x1, y1, x2, y2), label in placed:
        draw.rectangle((x1, y1, x2 - 1, y2 - 1), outline=attack_color(label), width=line)
        inner = (x1 + line, y1 + line, x2 - 1 - line, y2 - 1 - line)
        if inner[2] > inner[0] and inner[3] > inner[1]:  # a white hairline keeps dark lines visible on dark photos
            draw.rectangle(inner, outline="white", width=max(1, line // 3))
    taken: list[tuple[int, int, int, int]] = []
    for corners, label in placed:  # after all lines, so that none crosses a caption
        if label:
            _draw_caption(draw, corners, label, drawn.size, line, taken)
    return drawn


def pixel_boxes(boxes: Iterable[Box], size: tuple[int, int]) -> list[tuple[tuple[int, int, int, int], str | None]]:
    """Turn boxes into whole pixels, ready to draw (also the form that `gradio.AnnotatedImage` takes).

    Args:
        boxes (`Iterable[Box]`): corners 0..1 of the image.
        size (`tuple[int, int]`): width, height in pixels.

    Returns:
        `list[tuple[tuple[int, int, int, int], str | None]]`: `((x1, y1, x2, y2), label)`, rounded, ordered so that
        x1 < x2 and y1 < y2, clipped to the image, the largest first; boxes under 3 pixels wide or high are left out.
    """
    width, height = size
    placed = []
    for box in boxes:
        x1, x2 = sorted(int(np.clip(round(x * width), 0, width)) for x in (box.x1, box.x2))
        y1, y2 = sorted(int(np.clip(round(y * height), 0, height)) for y in (box.y1, box.y2))
        if x2 - x1 >= MIN_BOX_PIXELS and y2 - y1 >= MIN_BOX_PIXELS:
            placed.append(((x1, y1, x2, y2), box.label))
    return sorted(placed, key=lambda item: -(item[0][2] - item[0][0]) * (item[0][3] - item[0][1]))


def attack_color(label: str | None) -> str:
    """Give a box label's colour.

    Args:
        label (`str`, *optional*): an attack type's value, such as `"Print"`; anything else is "unknown".

    Returns:
        `str`: `"#rrggbb"`; white text on it has a contrast of at least 4.5 (WCAG AA).
    """
    return ATTACK_COLORS.get(label, UNKNOWN_COLOR) if label else UNKNOWN_COLOR


def sav_views(
    image: Image.Image, size: int | tuple[int, int] = 384, hog_render: HogRender = "blocknorm"
) -> dict[str, Image.Image]:
    """Show what the spoof-aware input holds: the composite and its three channels.

    Args:
        image (`PIL.Image.Image`): the photo; converted to RGB.
        size (`int` or `tuple[int, int]`, *optional*, defaults to 384): the model's input in pixels, a side or
            (width, height); at least 8.
        hog_render (`str`, *optional*, defaults to `"blocknorm"`): as in the image processor.

    Returns:
        `dict[str, PIL.Image.Image]`: `"sav"` (RGB, the other three as its channels), `"lbp"`, `"gray"` and `"hog"`
        (mode L), each of `size`. They are pictures of codes and lines: enlarge them without smoothing.
    """
    resized = image.convert("RGB").resize((size, size) if isinstance(size, int) else size, Image.Resampling.BICUBIC)
    sav = Image.fromarray(sav_image(np.asarray(resized), hog_render))
    lbp, gray, hog = sav.split()
    return {"sav": sav, "lbp": lbp, "gray": gray, "hog": hog}


def importance_map(
    image: Image.Image,
    scores: Sequence[float] | np.ndarray,
    grid: tuple[int, int],
    opacity: float = 0.6,
    value_range: tuple[float, float] | None = None,
) -> Image.Image:
    """Lay the importance of one view's visual tokens over the photo as a heat map (FaceShield, Fig. 9).

    Args:
        image (`PIL.Image.Image`): the photo; shown in grey under the colours.
        scores (`Sequence[float]` or `np.ndarray` of shape `(rows * columns,)` or `(rows, columns)`): one a token, row
            by row. RGB and SAV tokens are two views: split them and draw two maps.
        grid (`tuple[int, int]`): rows, columns.
        opacity (`float`, *optional*, defaults to 0.6): 0..1, of the colours over the photo.
        value_range (`tuple[float, float]`, *optional*): the scores of the darkest and the brightest colour; the lowest
            and highest score when `None`. Give the same range to two maps that are to be compared.

    Returns:
        `PIL.Image.Image`: RGB, of the photo's size.

    Raises:
        ValueError: when the number of scores does not fit the grid, a score is not finite, or `opacity` or
            `value_range` is out of order.
    """
    rows, columns = grid
    values = np.asarray(scores, dtype=np.float32)
    if values.size != rows * columns:
        raise ValueError(
            f"got {values.size} scores for a grid of {rows} x {columns} = {rows * columns} tokens: pass one view's "
            "scores, row by row (the RGB tokens come first, then as many SAV tokens)"
        )
    if not np.isfinite(values).all():
        raise ValueError("got scores that are NaN or infinite: expected finite numbers, one a token")
    if not 0 <= opacity <= 1:
        raise ValueError(f"got opacity {opacity}: expected 0 (the photo alone) to 1 (the colours alone)")
    low, high = value_range if value_range is not None else (float(values.min()), float(values.max()))
    if low > high:
        raise ValueError(f"got value_range ({low}, {high}): expected the lower score first")
    spread = high - low if high > low else 1.0
    level = np.clip((values.reshape(rows, columns) - low) / spread, 0, 1)
    smooth = np.asarray(Image.fromarray(level).resize(image.size, Image.Resampling.BILINEAR))
    heat = Image.fromarray(_heat_colors(smooth))
    return Image.blend(image.convert("L").convert("RGB"), heat, opacity)


def _heat_colors(level: np.ndarray) -> np.ndarray:
    """Map `(height, width)` of 0..1 to `(height, width, 3)` uint8 along the heat colours."""
    stops = np.linspace(0, 1, len(_HEAT))
    channels = [np.interp(level, stops, _HEAT[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def _draw_caption(
    draw: ImageDraw.ImageDraw,
    corners: tuple[int, int, int, int],
    text: str,
    size: tuple[int, int],
    line: int,
    taken: list[tuple[int, int, int, int]],
) -> None:
    """Write a box's label on a filled tag: above the box, else inside it, else below, where no other tag lies.

    A text wider than the image is set smaller, down to 9 pixels; one that still does not fit is left out.
    """
    font_size = max(_MIN_FONT_SIZE, round(min(size) / 32))
    pad = max(2, font_size // 4)
    while True:
        font = ImageFont.load_default(font_size)
        width = round(draw.textlength(text, font=font)) + 2 * pad
        height = round(font.getbbox("Ég")[3]) + pad  # not the text's own: tags are even, with or without a "g"
        if width <= size[0] and height <= size[1]:
            break
        if font_size <= _MIN_FONT_SIZE:
            return
        font_size -= 1
    x = min(corners[0], size[0] - width)
    tops = [corners[1] - height, corners[1] + line, corners[3] - line - height, corners[3]]
    tags = [(x, y, x + width, y + height) for y in tops if 0 <= y <= size[1] - height]
    tags = tags or [(x, 0, x + width, height)]
    tag = next((tag for tag in tags if not any(_overlap(tag, other) for other in taken)), tags[0])
    taken.append(tag)
    draw.rectangle((tag[0], tag[1], tag[2] - 1, tag[3] - 1), fill=ImageColor.getrgb(attack_color(text)))
    draw.text((tag[0] + pad, tag[1] + pad // 2), text, font=font, fill="white")


def _overlap(first: tuple[int, int, int, int], second: tuple[int, int, int, int]) -> bool:
    return first[0] < second[2] and second[0] < first[2] and first[1] < second[3] and second[1] < first[3]
