"""Contact sheets: many small images on one page with labels and boxes, for looking at simulated data.

Example:
    >>> from PIL import Image
    >>> from faceshield_hf.data.simulate.sheet import contact_sheet
    >>> contact_sheet([Image.new("RGB", (64, 48))], ["live"], [()], columns=1, cell=100).size
    (100, 114)
"""

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from faceshield_hf.tasks_faceshield import Box


_CAPTION = 14


def contact_sheet(
    images: Sequence[Image.Image],
    labels: Sequence[str],
    boxes: Sequence[Sequence[Box]],
    columns: int = 6,
    cell: int = 240,
) -> Image.Image:
    """Draw images in a grid, each with its caption and its boxes.

    Args:
        images (`Sequence[PIL.Image.Image]`): any sizes.
        labels (`Sequence[str]`): one caption an image.
        boxes (`Sequence[Sequence[Box]]`): boxes of each image, possibly none.
        columns (`int`, *optional*, defaults to 6): images a row.
        cell (`int`, *optional*, defaults to 240): side of one image in pixels.

    Returns:
        `PIL.Image.Image`

    Raises:
        ValueError: the three sequences differ in length, or are empty.
    """
    if not images or not len(images) == len(labels) == len(boxes):
        raise ValueError(
            f"got {len(images)} images, {len(labels)} labels and {len(boxes)} lists of boxes: give as many of each"
        )
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    page = Image.new("RGB", (columns * cell, rows * (cell + _CAPTION)), (24, 24, 24))
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default()
    for k, (image, label, found) in enumerate(zip(images, labels, boxes, strict=True)):
        scale = cell / max(image.size)
        small = image.convert("RGB").resize(
            (max(1, round(image.width * scale)), max(1, round(image.height * scale))), Image.Resampling.LANCZOS
        )
        left = (k % columns) * cell + (cell - small.width) // 2
        top = (k // columns) * (cell + _CAPTION) + _CAPTION
        page.paste(small, (left, top))
        for box in found:
            x1, y1, x2, y2 = box.to_pixels(small.width, small.height)
            draw.rectangle((left + x1, top + y1, left + x2 - 1, top + y2 - 1), outline=(0, 255, 90))
        draw.text(((k % columns) * cell + 2, top - _CAPTION + 1), label[: cell // 6], fill=(255, 255, 255), font=font)
    return page
