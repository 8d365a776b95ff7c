"""What the page shows of a verdict in words: the band, the explanation, the code, a conversation's messages.

Pure functions from values to HTML and text; they know neither the detector nor the events of the page.

Example:
    >>> read_history([{"role": "user", "content": [{"type": "text", "text": "Why?"}]}])
    [{'role': 'user', 'content': 'Why?'}]
"""

import json
import re
from collections.abc import Iterable, Sequence
from html import escape, unescape
from typing import Any

from ui_html import safe
from ui_words import Words

from faceshield_hf.tasks_faceshield import Verdict


_CHAIN_TAG = re.compile(r"</?([a-z_]+)>")
_ESCAPED_CHAIN_TAG = re.compile(r"&lt;(/?)([a-z_]+)&gt;")
_TAG = re.compile(r"<[^>]*>")


def verdict_band(verdict: Verdict | None, words: Words, margin: float = 0.0) -> str:
    """Write the verdict band: advice on the photo, the decision in words and colour, the score on a scale.

    Args:
        verdict (`Verdict`, *optional*): `None` before the first run.
        words (`Words`): the page's language.
        margin (`float`, *optional*, defaults to 0.0): how close to the threshold a score counts as unsure.

    Returns:
        `str`: HTML; everything that a model or a file said in it is escaped.
    """
    if verdict is None:
        return _band("none", f'<div class="fs-hint">{safe(words.waiting)}</div>')
    kind = verdict.attack_type
    named = "" if kind is None or kind.is_live else f'<span class="fs-type">{safe(words.type_name(kind))}</span>'
    mark = '<span class="fs-mark" aria-hidden="true"></span>'
    label = f'<div class="fs-label">{mark}{safe(words.labels[verdict.label])}{named}</div>'
    scale = ""
    if verdict.score is not None and verdict.threshold is not None:
        scale = _scale(verdict.score, verdict.threshold, margin, words)
    return _band(verdict.label or "none", _advice(verdict.quality, words) + label + scale)


def judging_band(quality: Sequence[str], words: Words, doing: str | None = None) -> str:
    """Write the band while the model works: what is wrong with the photo is said before the verdict."""
    return _band("busy", f'{_advice(quality, words)}<div class="fs-hint">{safe(doing or words.judging)}</div>')


def explanation_html(verdict: Verdict, words: Words) -> str:
    """Write out why, and below it every answer as the model gave it, contradictions included.

    Args:
        verdict (`Verdict`): with `answers`.
        words (`Words`): the page's language.

    Returns:
        `str`: HTML.
    """
    chain = verdict.answers.get("cot", "")
    if chain:
        shown = prose(chain, words)
    elif verdict.explanation.strip():
        shown = prose(verdict.explanation, words)
    else:
        shown = f'<p class="fs-note">{safe(words.no_words)}</p>'
    answers = "".join(
        f"<dt>{safe(words.tasks[task].name)}</dt><dd>{safe(text)}</dd>" for task, text in verdict.answers.items()
    )
    note = f'<p class="fs-note">{safe(words.model_language)}</p>' if words.model_language else ""
    details = f"<details><summary>{safe(words.all_answers)}</summary><dl>{answers}</dl></details>" if answers else ""
    return f"{shown}{note}{details}"


def prose(text: str, words: Words) -> str:
    """Set a model's text as paragraphs, whole or as far as it has come; a chain of thought under headings."""
    parts, last, heading = [], 0, ""
    for tag in _CHAIN_TAG.finditer(text):
        if tag[1] in words.chain:
            parts.append((heading, text[last : tag.start()]))
            last, heading = tag.end(), "" if tag[0].startswith("</") else words.chain[tag[1]]
    parts.append((heading, text[last:]))
    lines = []
    for heading, body in parts:
        if body.strip():
            lines += [f"<h3>{safe(heading)}</h3>"] if heading else []
            lines += [f"<p>{safe(line)}</p>" for line in body.strip().splitlines() if line.strip()]
    return f'<div class="fs-prose" lang="en">{"".join(lines)}</div>'


def reproduction_code(
    tasks: Iterable[str], checkpoint: str | None, threshold: float | None, margin: float, own_margin: float
) -> str:
    """Write the Python lines that give the same verdict for a photo on the reader's disk.

    Args:
        tasks (`Iterable[str]`): what was asked.
        checkpoint (`str`, *optional*): Hub id or folder; `None` is the embedded one.
        threshold (`float`, *optional*): the one that decided.
        margin (`float`): the one that decided.
        own_margin (`float`): the checkpoint's own.

    Returns:
        `str`: source that runs where the package is installed.
    """
    source = "" if checkpoint is None else json.dumps(checkpoint)
    unsure = "" if margin == own_margin else f"detector.model.config.score_margin = {margin!r}\n"
    return (
        "from faceshield_hf import FaceShield\n\n"
        f"detector = FaceShield.from_pretrained({source})\n{unsure}"
        f'verdict = detector.detect("photo.jpg", tasks={json.dumps(list(tasks))}, threshold={threshold!r})\n'
        "print(verdict.to_dict())\n"
    )


def chat_text(text: str) -> dict[str, str]:
    """Write a text for a chat's message so that it is shown as it stands: Gradio takes a message for HTML."""
    return {"type": "text", "text": escape(text, quote=False)}


def chat_answer(text: str, words: Words) -> dict[str, str]:
    """Write an answer of the model's as `chat_text` does; of a chain of thought the tags are shown as headings."""

    def heading(tag: re.Match[str]) -> str:
        if tag[2] not in words.chain:
            return tag[0]
        title = "" if tag[1] else f' class="fs-chain" title="{safe(words.chain[tag[2]])}"'
        return f"<span{title}><span hidden>{tag[0]}</span></span>"

    shown = _ESCAPED_CHAIN_TAG.sub(heading, escape(text, quote=False))
    return {"type": "text", "text": shown}


def read_history(history: Iterable[dict[str, Any]]) -> list[dict[str, str]]:
    """Read a chat's messages as the page sends them back, as role and plain text.

    What `chat_text` and `chat_answer` wrote comes out as it went in: every tag in it is theirs, none the text's.

    A message's content is a list of blocks `{"type": "text", "text": ...}` or a string. Files, figures and empty
    messages are left out.

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
            messages.append({"role": message["role"], "content": unescape(_TAG.sub("", text))})
    return messages


def _band(kind: str, content: str) -> str:
    return f'<div class="fs-band fs-{kind}">{content}</div>'


def _advice(codes: Sequence[str], words: Words) -> str:
    if not codes:
        return ""
    lines = "".join(f"<li>{safe(words.advice[code])}</li>" for code in codes)
    return f'<div class="fs-advice"><strong>{safe(words.advice_title)}</strong><ul>{lines}</ul></div>'


def _scale(score: float, threshold: float, margin: float, words: Words) -> str:
    """Draw p(spoof) as a bar with the threshold as a notch; the numbers stand beside it for every reader."""
    low, high = max(0.0, threshold - margin), min(1.0, threshold + margin)
    said = words.scale.format(score=words.percent(score), threshold=words.percent(threshold))
    zone = ""
    if margin > 0:
        said += words.unsure_zone.format(low=words.percent(low), high=words.percent(high))
        zone = f'<div class="fs-zone" style="left:{low:.2%};width:{high - low:.2%}"></div>'
    return (
        f'<div class="fs-score"><span>{safe(words.score)} <strong>{words.percent(score)}</strong></span>'
        f"<span>{safe(words.threshold)} {words.percent(threshold)}</span></div>"
        f'<div class="fs-scale" role="img" aria-label="{safe(said)}">'
        f'<div class="fs-fill" style="width:{score:.2%}"></div>{zone}'
        f'<div class="fs-notch" style="left:{threshold:.2%}"></div></div>'
    )
