"""What the page shows of a verdict: pure functions from values to HTML, boxes, messages and code.

They know neither the detector nor the events of the page.

Example:
    >>> read_history([{"role": "user", "content": [{"type": "text", "text": "Why?"}]}])
    [{'role': 'user', 'content': 'Why?'}]
"""

import json
from collections.abc import Iterable
from html import escape
from typing import Any

import numpy as np
from PIL import Image
from ui_text import LABEL_NAMES, NO_WORDS, WAITING

from faceshield_hf.quality import advice
from faceshield_hf.tasks_faceshield import Verdict
from faceshield_hf.visualize import pixel_boxes


# The picture on the page; more pixels would only take longer to send.
DISPLAY_SIDE = 768
# How a box is drawn: an opaque border of so many pixels, and a breath of its colour inside, where the face must show.
BORDER = 4
TINT = 0.12
UNNAMED_BOX = "Spoof area"

Annotated = tuple[Image.Image, list[tuple[np.ndarray, str]]]


def verdict_band(verdict: Verdict | None) -> str:
    """Write the verdict band: the decision in words and colour, the score on a scale, advice on the photo.

    Args:
        verdict (`Verdict`, *optional*): `None` before the first run.

    Returns:
        `str`: HTML; everything that a model or a file said in it is escaped.
    """
    if verdict is None:
        return f'<div class="fs-band fs-none" role="status"><div class="fs-hint">{escape(WAITING)}</div></div>'
    kind = verdict.attack_type
    named = "" if kind is None or kind.is_live else f'<span class="fs-type">{escape(kind.value)}</span>'
    mark = '<span class="fs-mark" aria-hidden="true"></span>'
    parts = [f'<div class="fs-label">{mark}{LABEL_NAMES[verdict.label]}{named}</div>']
    if verdict.score is not None and verdict.threshold is not None:
        parts.append(_scale(verdict.score, verdict.threshold))
    parts += [f'<div class="fs-remark">{escape(line)}</div>' for line in advice(verdict.quality)]
    return f'<div class="fs-band fs-{verdict.label or "none"}" role="status">{"".join(parts)}</div>'


def annotated(image: Image.Image, verdict: Verdict) -> Annotated:
    """Lay the boxes over the photo, in the form that `gradio.AnnotatedImage` takes.

    Args:
        image (`PIL.Image.Image`): the photo that the boxes are fractions of.
        verdict (`Verdict`): a box with an attack type's name as its label gets the type's colour.

    Returns:
        `tuple`: the photo, at most 768 pixels a side, and a mask `(height, width)` of 0..1 and a label for each box.
    """
    shown = image.convert("RGB")
    shown.thumbnail((DISPLAY_SIDE, DISPLAY_SIDE))
    boxes = []
    for (x1, y1, x2, y2), label in pixel_boxes(verdict.boxes, shown.size):
        mask = np.zeros((shown.height, shown.width))
        mask[y1:y2, x1:x2] = 1
        if x2 - x1 > 2 * BORDER and y2 - y1 > 2 * BORDER:
            mask[y1 + BORDER : y2 - BORDER, x1 + BORDER : x2 - BORDER] = TINT
        boxes.append((mask, label or UNNAMED_BOX))
    return shown, boxes


def explanation_text(verdict: Verdict) -> str:
    """Write out why: the explanation, or the answers where the task has none.

    Returns:
        `str`: plain text, paragraphs apart.
    """
    text = verdict.explanation.strip() or "\n\n".join(answer.strip() for answer in verdict.answers.values())
    return text or NO_WORDS


def reproduction_code(tasks: Iterable[str], checkpoint: str | None) -> str:
    """Write the Python lines that give the same verdict for a photo on the reader's disk.

    Args:
        tasks (`Iterable[str]`): what was asked.
        checkpoint (`str`, *optional*): Hub id or folder; `None` is the embedded one.

    Returns:
        `str`: source that runs where the package is installed.
    """
    source = "" if checkpoint is None else json.dumps(checkpoint)
    return (
        "from faceshield_hf import FaceShield\n\n"
        f"detector = FaceShield.from_pretrained({source})\n"
        f'verdict = detector.detect("photo.jpg", tasks={json.dumps(list(tasks))})\n'
        "print(verdict.to_dict())\n"
    )


def read_history(history: Iterable[dict[str, Any]]) -> list[dict[str, str]]:
    """Read a chat's messages, whichever of Gradio's forms they come in, as role and plain text.

    The page sends a message's content as a list of blocks `{"type": "text", "text": ...}`; callers of the API send a
    plain string. Files and empty messages are left out.

    Returns:
        `list[dict[str, str]]`: `{"role", "content"}`, the roles "user" and "assistant" only.
    """
    messages = []
    for message in history:
        content = message["content"]
        blocks = content if isinstance(content, list) else [content]
        texts = [block if isinstance(block, str) else block.get("text", "") for block in blocks]
        text = "\n".join(text for text in texts if text)
        if text and message["role"] in ("user", "assistant"):
            messages.append({"role": message["role"], "content": text})
    return messages


def _scale(score: float, threshold: float) -> str:
    """Draw p(spoof) as a bar with the threshold as a notch; the numbers stand beside it for every reader."""
    words = f"p(spoof) {score:.1%}, threshold {threshold:.0%}"
    return (
        f'<div class="fs-score"><span>p(spoof) <strong>{score:.1%}</strong></span>'
        f"<span>threshold {threshold:.0%}</span></div>"
        f'<div class="fs-scale" role="img" aria-label="{words}">'
        f'<div class="fs-fill" style="width:{100 * score:.2f}%"></div>'
        f'<div class="fs-notch" style="left:{100 * threshold:.2f}%"></div></div>'
    )
