"""The figures of a verdict as HTML: boxes over the photo, the photo against the SAV view, heat maps.

Pure functions from pictures and boxes to text; sizes are shares of the picture, so that a figure fits any screen. What
moves in them (checkboxes, the slider) is a few lines in `ui_scripts.py`.

Example:
    >>> "fs-box" in boxes_figure(Image.new("RGB", (64, 64)), [Box(0.1, 0.1, 0.9, 0.9, "Print")], ENGLISH)
    True
"""

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image
from ui_html import data_uri, safe
from ui_words import Words

from faceshield_hf.tasks_faceshield import Box
from faceshield_hf.visualize import attack_color, importance_map, pixel_boxes


# The pictures on the page; more pixels would only take longer to send.
DISPLAY_SIDE = 768
MAP_SIDE = 320


def boxes_figure(
    image: Image.Image,
    boxes: Sequence[Box],
    words: Words,
    alt: str | None = None,
    note: str | None = None,
    dashed: Sequence[Box] = (),
) -> str:
    """Lay boxes over a photo, coloured by type, each type with a checkbox, and say in words where they are.

    Args:
        image (`PIL.Image.Image`): the photo that the boxes are fractions of.
        boxes (`Sequence[Box]`): those too thin to see are left out; a type's name as the label gives the colour.
        words (`Words`): the page's language.
        alt (`str`, *optional*): what the photo is, for those who can't see it.
        note (`str`, *optional*): said under the photo when there is no box.
        dashed (`Sequence[Box]`, *optional*): what the model named where `boxes` are the truth, drawn with dashes and
            without checkboxes.

    Returns:
        `str`: an HTML figure.
    """
    shown = [(corners, label, "") for corners, label in pixel_boxes(boxes, image.size)]
    others = [(corners, label, " fs-dashed") for corners, label in pixel_boxes(dashed, image.size)]
    drawn, lines = [], []
    for (x1, y1, x2, y2), label, style in shown + others:
        left, top, right, bottom = x1 / image.width, y1 / image.height, x2 / image.width, y2 / image.height
        kind = label if label in words.types else ""
        style += " fs-end" if left + right > 1 else ""
        name = safe(words.types.get(label or "", label or words.unnamed_area))
        place = f"left:{left:.2%};top:{top:.2%};width:{right - left:.2%};height:{bottom - top:.2%}"
        drawn.append(
            f'<div class="fs-box{style}" data-kind="{kind}" style="{place};--fs-box:{attack_color(label)}" '
            f'aria-hidden="true"><span class="fs-tag">{name}</span></div>'
        )
        origin = (words.simulate_said if "fs-dashed" in style else words.simulate_truth) if dashed else ""
        shares = {key: words.percent(value) for key, value in zip(("x1", "x2"), (left, right), strict=True)}
        shares |= {key: words.percent(value) for key, value in zip(("y1", "y2"), (top, bottom), strict=True)}
        named = f"{safe(origin)} ({name})" if origin else name
        lines.append(f"<li>{words.area.format(name=named, **shares)}</li>")
    places = f"<ul>{''.join(lines)}</ul>" if lines else safe(note or "")
    return (
        f'<figure class="fs-figure">{_canvas(image, alt or words.where_alt, "".join(drawn))}'
        f"{_toggles([label for _, label, _ in shown], words)}"
        f'<figcaption class="fs-caption">{places}</figcaption></figure>'
    )


def views_figure(image: Image.Image, views: Mapping[str, Image.Image], words: Words) -> str:
    """Set the photo against its spoof-aware view with a slider between them, and show the view's three channels.

    Args:
        image (`PIL.Image.Image`): the photo.
        views (`Mapping[str, PIL.Image.Image]`): as `sav_views` gives them, in the model's own pixels; shown in the
            photo's proportions.
        words (`Words`): the page's language.

    Returns:
        `str`: an HTML figure and three small ones.
    """
    over = (
        f'<img class="fs-over" src="{data_uri(views["sav"])}" alt="{safe(words.view_sav)}">'
        f'<span class="fs-side fs-left" aria-hidden="true">{safe(words.view_rgb)}</span>'
        f'<span class="fs-side fs-right" aria-hidden="true">{safe(words.view_sav)}</span>'
    )
    slider = (
        f'<input class="fs-cut" type="range" min="0" max="100" value="50" aria-label="{safe(words.views_slider)}">'
    )
    channels = "".join(
        _small(data_uri(views[name]), title, image.size)
        for name, title in (("lbp", words.view_lbp), ("gray", words.view_gray), ("hog", words.view_hog))
    )
    return (
        f'<h3>{safe(words.views)}</h3><p class="fs-note">{safe(words.views_help)}</p>'
        f'<figure class="fs-figure fs-compare">{_canvas(image, words.view_rgb, over)}{slider}</figure>'
        f'<div class="fs-trio">{channels}</div>'
    )


def heat_figure(image: Image.Image, importance: Mapping[str, np.ndarray], question: str, words: Words) -> str:
    """Show which parts of each view matter to a question (FaceShield, Fig. 9), on one common scale.

    Args:
        image (`PIL.Image.Image`): the photo.
        importance (`Mapping[str, np.ndarray]`): `"rgb"` and perhaps `"sav"`, each `(rows, columns)`.
        question (`str`): what was asked.
        words (`Words`): the page's language.

    Returns:
        `str`: HTML.
    """
    photo = image.convert("RGB")
    photo.thumbnail((MAP_SIDE, MAP_SIDE))
    scores = np.concatenate([view.ravel() for view in importance.values()])
    scale = float(scores.min()), float(scores.max())
    titles = {"rgb": words.heat_rgb, "sav": words.heat_sav}
    maps = "".join(
        _small(data_uri(importance_map(photo, view, view.shape, value_range=scale)), titles[name], image.size)
        for name, view in importance.items()
    )
    legend = (
        f'<div class="fs-legend"><span>{safe(words.heat_low)}</span><span class="fs-ramp" aria-hidden="true"></span>'
        f"<span>{safe(words.heat_high)}</span></div>"
    )
    return f'<p class="fs-asked"><q lang="en">{safe(question)}</q></p><div class="fs-duo">{maps}</div>{legend}'


def _canvas(image: Image.Image, alt: str, over: str) -> str:
    """A photo with something over it; as wide as there is room, and never higher than the screen."""
    ratio = f"--fs-ratio:{image.width / image.height:.4f}"
    return (
        f'<div class="fs-canvas" style="{ratio}"><img src="{data_uri(image, DISPLAY_SIDE)}" alt="{safe(alt)}">'
        f"{over}</div>"
    )


def _small(source: str, title: str, size: tuple[int, int]) -> str:
    ratio = f"aspect-ratio:{size[0]}/{size[1]}"
    return (
        f'<figure class="fs-small"><img src="{source}" alt="{safe(title)}" style="{ratio}">'
        f"<figcaption>{safe(title)}</figcaption></figure>"
    )


def _toggles(labels: Sequence[str | None], words: Words) -> str:
    """One checkbox a type of box, in the type's colour."""
    if not labels:
        return ""
    counts = {label: labels.count(label) for label in dict.fromkeys(labels)}
    choices = "".join(
        f'<label style="--fs-box:{attack_color(label)}"><input type="checkbox" class="fs-toggle" checked '
        f'value="{label if label in words.types else ""}"><span class="fs-swatch" aria-hidden="true"></span>'
        f"{safe(words.types.get(label or '', label or words.unnamed_area))} ({count})</label>"
        for label, count in counts.items()
    )
    return f'<fieldset class="fs-toggles"><legend>{safe(words.areas)}</legend>{choices}</fieldset>'
