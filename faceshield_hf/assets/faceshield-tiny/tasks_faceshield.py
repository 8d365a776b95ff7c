"""The six tasks: their questions, and the one grammar in which answers are written and read.

`format_answer` writes the answer that a model is taught, `parse_answer` reads what a model says. They are inverse:
`parse_answer(format_answer(verdict, task), task) == verdict.only(task)`, whatever words the explanation holds. Reading
never raises and takes time linear in the text; what can't be read, or contradicts itself, is `Verdict(label=None)`.
Nothing here knows of images, tensors or tokenizers.

How an answer is read:

- The sentence that the grammar puts in a fixed place decides: the first of a fine or localization answer, the last
  conclusion of a reasoning answer, the `<conclusion>` of a chain of thought. Case, spacing and a missing full stop
  don't matter. A coarse answer is nothing but its sentence.
- Where that sentence is missing, the whole text is searched for claims (`claims_faceshield.py`), and only if they
  agree is there a label. A bare "Yes" or "No" is never read: published data sets disagree on what it means.
- Boxes are read in order. Coordinates outside 0..999 are moved to the edge, reversed corners are swapped, numbers with
  a decimal point are fractions of the image if none exceeds 1 and are rounded otherwise; a box without area is
  dropped.

Example:
    >>> verdict = Verdict(label="spoof", attack_type=AttackType.PRINT, explanation="Halftone dots cover the skin.")
    >>> format_answer(verdict, Task.FINE)
    'The face in the image is a Print attack. Halftone dots cover the skin.'
    >>> parse_answer("the face in the image is a print attack", Task.FINE).attack_type
    <AttackType.PRINT: 'Print'>
"""

import re
from dataclasses import dataclass, fields

from .attack_types_faceshield import AttackType
from .claims_faceshield import ATTACK_NAMES, claimed_labels, named_types
from .verdict_faceshield import GRID, Box, Task, Verdict


__all__ = [
    "GRID",
    "QUESTIONS",
    "REAL_ANSWER",
    "SPOOF_ANSWER",
    "AttackType",
    "Box",
    "ChainOfThought",
    "Task",
    "Verdict",
    "format_answer",
    "parse_answer",
]

REAL_ANSWER = "The face in the image is real."
SPOOF_ANSWER = "The face in the image is a spoof."

_CONCLUSION = "Analyzing these attributes, we can conclude that "
_NO_AREA = "There is no spoof area: the face in the image is real."
_UNKNOWN_AREA = "The spoof area is unclear"

QUESTIONS: dict[Task, tuple[str, ...]] = {
    Task.DESCRIBE: (
        "Describe the face in the image.",
        "Describe this face.",
        "What does the face in the image look like?",
        "Give a description of the face in the picture.",
        "What can be seen in this image?",
        "Tell me about the face in this photo.",
        "Write a short caption for this face image.",
        "Please describe what the image shows.",
    ),
    Task.COARSE: (
        "Is the face in the image real or spoof?",
        "Is this face real or spoof?",
        "Is this face real or fake?",
        "Does the image show a real face or a presentation attack?",
        "Is the person in front of the camera really there?",
        "Judge whether this face is live or spoofed.",
        "Can this face be trusted, or is it an attack?",
        "Tell me if the face in this photo is bona fide or an attack.",
    ),
    Task.FINE: (
        "What is the attack type of the face in the image?",
        "Which type of presentation attack is this, if any?",
        "What kind of spoof does the image show?",
        "Name the attack type of this face.",
        "If this face is fake, how was it faked?",
        "Which spoof medium is used in this image, if any?",
        "Classify the attack on this face.",
        "Is this a real face, a print, a replay, a mask or another attack?",
    ),
    Task.REASONING: (
        "Why is the face in the image real or spoof?",
        "Why is this face real or fake?",
        "Explain whether the face in the image is real or spoof.",
        "What shows that this face is real or spoofed?",
        "Judge whether this face is real and explain why.",
        "Give your reasons for calling this face real or spoof.",
        "Which visual evidence tells whether this face is live?",
        "Analyze the lighting, shape, depth, texture and edges of this face: is it real?",
    ),
    Task.LOCALIZATION: (
        "Where is the spoof area of the face in the image?",
        "Where is the attacked area of this face?",
        "Locate the spoof area in the image.",
        "Give the bounding box of the spoof area, if there is one.",
        "Which part of the image is fake?",
        "Mark the region of the presentation attack.",
        "If this is an attack, where is the attacked region?",
        "Point out the area that gives the spoof away.",
    ),
    Task.COT: (
        "Analyze the face in the image step by step.",
        "Think step by step: is the face in the image real or spoof?",
        "Examine this face in detail, step by step, and conclude.",
        "Caption, describe and reason about this face, then conclude whether it is a spoof.",
        "Work through the evidence in this face image step by step.",
        "Go from description to conclusion: is this face live?",
        "Give a full step-by-step analysis of this face.",
        "Reason in steps about whether this face is a presentation attack.",
    ),
}
"""Wordings of each task's question; the first is the canonical one."""


def format_answer(verdict: Verdict, task: Task | str) -> str:
    """Write what a verdict says as the answer to a task.

    Args:
        verdict (`Verdict`): its label, type, boxes and explanation are used, as far as the task asks for them.
        task (`Task` or `str`): the task.

    Returns:
        `str`: the answer.

    Raises:
        ValueError: if the label is neither "real" nor "spoof" (except for `describe`), or if label, type and boxes
            contradict each other.
    """
    task = Task(task)
    said = verdict.only(task)
    if task is Task.DESCRIBE:
        return said.explanation
    _check_consistent(verdict, task)
    if task is Task.COARSE:
        return REAL_ANSWER if said.label == "real" else SPOOF_ANSWER
    if task is Task.FINE:
        return _join(_fine_sentence(said), said.explanation)
    if task is Task.LOCALIZATION:
        return _format_localization(said)
    if task is Task.REASONING:
        sentence = _concluding_sentence(said)
        return _join(said.explanation, _CONCLUSION + sentence[0].lower() + sentence[1:])
    return ChainOfThought(reasoning=said.explanation, conclusion=_concluding_sentence(said)).format()


def parse_answer(text: str, task: Task | str) -> Verdict:
    """Read a model's answer to a task; the module's docstring says how.

    Args:
        text (`str`): any text; special tokens such as the end of the turn must be gone.
        task (`Task` or `str`): the task that was asked.

    Returns:
        `Verdict`: label, attack_type, boxes and explanation as the answer gives them; `Verdict()` if unreadable.
    """
    task = Task(task)
    text = text.strip()
    if task is Task.DESCRIBE:
        return Verdict(explanation=text)
    if task is Task.COARSE:
        sentence = _read_sentence(text)
        return _verdict(*sentence[:2]).only(task) if sentence and not sentence[2] else _read_claims(text).only(task)
    if task is Task.FINE:
        return _parse_fine(text)
    if task is Task.REASONING:
        return _parse_reasoning(text)
    if task is Task.LOCALIZATION:
        return _parse_localization(text)
    return _parse_chain(text)


@dataclass(frozen=True)
class ChainOfThought:
    """The six parts of a step-by-step answer (FaceCoT, arXiv 2506.01783), in their order.

    Attributes:
        caption (`str`): the whole scene in a sentence.
        facial_description (`str`): the face in words.
        facial_attributes (`str`): lighting, shape, depth, texture, edges.
        reasoning (`str`): what follows from them.
        spoofing_description (`str`): the attack, if there is one.
        conclusion (`str`): "The face in the image is real." or "The face in the image is a spoof (Print).".
    """

    caption: str = ""
    facial_description: str = ""
    facial_attributes: str = ""
    reasoning: str = ""
    spoofing_description: str = ""
    conclusion: str = ""

    def format(self) -> str:
        """The six tagged parts, one a line, empty ones too.

        A tag of the format inside a part is written with `&lt;`, so that `parse` gives back the same parts, apart
        from the whitespace around each.
        """
        parts = ((part.name, _escape(getattr(self, part.name).strip())) for part in fields(self))
        return "\n".join(f"<{name}>{text}</{name}>" for name, text in parts)

    @classmethod
    def parse(cls, text: str) -> "ChainOfThought":
        """Read tagged parts from any text; never raises.

        A part ends at its closing tag, at the next opening one or at the end of the text. Missing parts are empty,
        of a part that is there twice the first counts.
        """
        parts: dict[str, str] = {}
        name, start = "", 0
        for match in _TAG.finditer(text):
            tag = re.sub(r"[\s_-]+", "_", match["name"].lower())
            if name and (not match["closing"] or tag == name):
                parts.setdefault(name, _unescape(text[start : match.start()].strip()))
                name = ""
            if not match["closing"]:
                name, start = tag, match.end()
        if name:
            parts.setdefault(name, _unescape(text[start:].strip()))
        return cls(**parts)


# ---- writing ----


def _check_consistent(verdict: Verdict, task: Task) -> None:
    if verdict.label not in ("real", "spoof"):
        raise ValueError(
            f"got a verdict with the label {verdict.label!r}; an answer to '{task}' needs 'real' or 'spoof'. "
            "Leave out what has no label, or decide it first."
        )
    names_type = task in (Task.FINE, Task.REASONING, Task.COT)
    if names_type and verdict.attack_type is not None and verdict.attack_type.is_live != (verdict.label == "real"):
        raise ValueError(
            f"got the label {verdict.label!r} with the attack type {verdict.attack_type.value!r}; 'real' goes with "
            "Bonafide or None and 'spoof' with an attack or None."
        )
    if task is Task.LOCALIZATION and verdict.label == "real" and verdict.boxes:
        raise ValueError(f"got {len(verdict.boxes)} boxes for a real face; a real face has no spoof area.")


def _join(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def _fine_sentence(verdict: Verdict) -> str:
    if verdict.label == "real":
        return REAL_ANSWER
    return f"The face in the image is a {verdict.attack_type} attack." if verdict.attack_type else SPOOF_ANSWER


def _concluding_sentence(verdict: Verdict) -> str:
    if verdict.label == "real":
        return REAL_ANSWER
    return f"The face in the image is a spoof ({verdict.attack_type})." if verdict.attack_type else SPOOF_ANSWER


def _format_localization(verdict: Verdict) -> str:
    if verdict.label == "real":
        return _join(_NO_AREA, verdict.explanation)
    area = _UNKNOWN_AREA
    if verdict.boxes:
        area = "The spoof area is " + ", ".join(str(list(box.to_grid())) for box in verdict.boxes)
    if not verdict.explanation:
        return area + "."
    # Words that would read as one more box are set off by a colon, which no list of boxes goes on after.
    comma = f", {verdict.explanation}"
    return f"{area}: {verdict.explanation}" if _NEXT_BOX.match(comma) else area + comma


# ---- reading ----

# No pattern that is searched for begins with a repetition: that is what keeps reading linear.
_FACE_IS = r"(?:the|this)\s+face(?:\s+in\s+(?:the|this)\s+(?:image|picture|photo))?\s+is\s+"
_SENTENCE = re.compile(
    rf"{_FACE_IS}(?:(?P<real>real)|an?\s+(?:(?P<attack>{ATTACK_NAMES})\s+attack"
    rf"|spoof(?:\s*\(\s*(?P<kind>{ATTACK_NAMES})\s*\))?))\s*(?:(?P<stop>[.!])|(?=[,;:\n])|\Z)",
    re.IGNORECASE,
)
_CONCLUDES = re.compile(
    r"(?:(?:by\s+)?analy[sz]ing\s+these\s+attributes,?\s+)?(?:we|i)\s+(?:can\s+)?conclude\s+that\s+", re.IGNORECASE
)
_NO_AREA_HEAD = re.compile(
    r"there\s+is\s+no\s+spoof\s+area\s*(?::\s*the\s+face\s+in\s+the\s+image\s+is\s+real\s*)?(?:[.!]|\Z)", re.IGNORECASE
)
_AREA_HEAD = re.compile(r"the\s+spoof\s+areas?\s+(?:is|are)\s*:?\s*", re.IGNORECASE)
_UNKNOWN_HEAD = re.compile(r"the\s+spoof\s+area\s+is\s+unclear\s*(?=[.,:;]|\Z)", re.IGNORECASE)
_NUMBER = r"\s*(-?[0-9]{1,9}(?:\.[0-9]{1,9})?)\s*"
_BOX = re.compile(r"\[" + ",".join([_NUMBER] * 4) + r"\]")
_NEXT_BOX = re.compile(r"(?:\s*,\s*and\b|\s*,|\s*;|\s+and\b)?\s*" + _BOX.pattern, re.IGNORECASE)
_PART_NAMES = "|".join(part.name.replace("_", r"[\s_-]+") for part in fields(ChainOfThought))
_TAG = re.compile(rf"<\s*(?P<closing>/?)\s*(?P<name>{_PART_NAMES})\s*>", re.IGNORECASE)
_ESCAPED_TAG = re.compile(rf"&(?P<amps>(?:amp;)*)lt;(?P<tail>\s*/?\s*(?:{_PART_NAMES})\s*>)", re.IGNORECASE)


def _verdict(label: str, attack_type: AttackType | None, explanation: str = "") -> Verdict:
    """A verdict with the type that a real face always has."""
    return Verdict(
        label=label,
        attack_type=AttackType.BONAFIDE if label == "real" else attack_type,
        explanation=explanation,
    )


def _read_sentence(text: str) -> tuple[str, AttackType | None, str] | None:
    """Label, type and the words that follow, if the text begins with the grammar's sentence."""
    match = _SENTENCE.match(text)
    if match is None:
        return None
    name = match["attack"] or match["kind"]
    rest = text[match.end() :].strip() if match["stop"] else text[match.end() :].lstrip(" ,;:\n")
    return "real" if match["real"] else "spoof", AttackType.from_name(name) if name else None, rest


def _read_claims(text: str) -> Verdict:
    """Label and type that a free text agrees on, with the whole text as explanation."""
    types = named_types(text)
    labels = claimed_labels(text) | {"real" if kind.is_live else "spoof" for kind in types}
    if len(labels) != 1:
        return Verdict()
    (label,) = labels
    return _verdict(label, next(iter(types)) if len(types) == 1 else None, text)


def _parse_fine(text: str) -> Verdict:
    sentence = _read_sentence(text)
    return _verdict(*sentence) if sentence else _read_claims(text)


def _parse_reasoning(text: str) -> Verdict:
    conclusions = list(_CONCLUDES.finditer(text))
    if not conclusions:
        return _read_claims(text)
    last = conclusions[-1]
    conclusion = text[last.end() :].strip()
    sentence = _read_sentence(conclusion)
    found = _verdict(*sentence[:2]) if sentence else _read_claims(conclusion)
    return Verdict() if found.label is None else _verdict(found.label, found.attack_type, text[: last.start()].strip())


def _parse_chain(text: str) -> Verdict:
    parts = ChainOfThought.parse(text)
    if parts == ChainOfThought():
        return _read_claims(text)
    sentence = _read_sentence(parts.conclusion)
    found = _verdict(*sentence[:2]) if sentence else _read_claims(parts.conclusion)
    return Verdict() if found.label is None else _verdict(found.label, found.attack_type, parts.reasoning)


def _parse_localization(text: str) -> Verdict:
    if none := _NO_AREA_HEAD.match(text):
        return Verdict(label="real", explanation=text[none.end() :].strip())
    if unknown := _UNKNOWN_HEAD.match(text):
        return Verdict(label="spoof", explanation=_after_boxes(text[unknown.end() :]))
    if head := _AREA_HEAD.match(text):
        listed: list[tuple[str, ...]] = []
        end = head.end()
        while box := (_NEXT_BOX if listed else _BOX).match(text, end):
            listed.append(box.groups())
            end = box.end()
        if listed:
            return Verdict(label="spoof", boxes=_repaired(listed), explanation=_after_boxes(text[end:]))
    boxes = [box.groups() for box in _BOX.finditer(text)]
    claims = claimed_labels(text) | ({"spoof"} if boxes else frozenset())
    if len(claims) != 1:
        return Verdict()
    return Verdict(label=next(iter(claims)), boxes=_repaired(boxes), explanation=text)


def _after_boxes(rest: str) -> str:
    """The words after a list of boxes, without the one sign that sets them off."""
    rest = rest.strip()
    return rest[1:].strip() if rest[:1] in (",", ":", ";", ".") else rest


def _repaired(groups: list[tuple[str, ...]]) -> tuple[Box, ...]:
    """Boxes of four written numbers each, moved into the grid; those without area are left out."""
    boxes = []
    for group in groups:
        numbers = [float(number) for number in group]
        if any("." in number for number in group) and max(numbers) <= 1:
            numbers = [number * GRID for number in numbers]
        x1, y1, x2, y2 = (min(max(round(number), 0), GRID) for number in numbers)
        if x1 != x2 and y1 != y2:
            boxes.append(Box.from_grid(min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)))
    return tuple(boxes)


def _escape(text: str) -> str:
    text = _ESCAPED_TAG.sub(lambda match: f"&amp;{match['amps']}lt;{match['tail']}", text)
    return _TAG.sub(lambda match: "&lt;" + match[0][1:], text)


def _unescape(text: str) -> str:
    def once(match: re.Match[str]) -> str:
        return f"&{match['amps'].removeprefix('amp;')}lt;{match['tail']}" if match["amps"] else "<" + match["tail"]

    return _ESCAPED_TAG.sub(once, text)
