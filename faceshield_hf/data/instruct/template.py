"""The offline assistant: answers written from what is known of an image, without any language model.

It turns a labelled sample into the answer of each task. What it says of the attack comes from the sample's type,
boxes, visible cues and parameters: a trace that only some images of the type have is named where the sample tells of
it, and nowhere else. What it says of the picture (light, tint, sharpness, place of the face) is measured on the
pixels. It does not look at the image's content otherwise, and `describe` never tells the label.

Example:
    >>> import numpy as np
    >>> from pathlib import Path
    >>> from faceshield_hf.data.instruct.template import TemplateAssistant
    >>> from faceshield_hf.data.samples import Sample
    >>> from faceshield_hf.tasks_faceshield import AttackType, Task
    >>> sample = Sample(Path("a.png"), AttackType.BONAFIDE, "s1")
    >>> TemplateAssistant().answer(sample, Task.COARSE, np.random.default_rng(0))
    'The face in the image is real.'
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from faceshield_hf.data.instruct.phrases import ASPECTS, REGIONS, clauses_of
from faceshield_hf.data.samples import Sample
from faceshield_hf.tasks_faceshield import Box, ChainOfThought, Task, Verdict, format_answer


# Of the simulator's parameters, those that tell variants apart where the cues do not.
_TELLING = ("fills_frame", "foil", "holes", "kind", "printed")


@dataclass(frozen=True)
class PictureFacts:
    """What can be measured on the pixels of a picture, in words.

    Attributes:
        light (`str`): "dark", "dim", "medium" or "bright" by mean luminance.
        tint (`str`): "warm", "neutral" or "cool" by the red to blue ratio.
        focus (`str`): "sharp", "soft" or "blurred" by the variance of the Laplacian at a width of 256 pixels.
    """

    light: str
    tint: str
    focus: str

    @classmethod
    def of(cls, image: Image.Image) -> "PictureFacts":
        """Measure an RGB image."""
        small = image.convert("RGB").resize((256, max(2, round(256 * image.height / image.width))))
        rgb = np.asarray(small, np.float32)
        gray = rgb @ np.array([0.299, 0.587, 0.114], np.float32)
        laplacian = 4 * gray[1:-1, 1:-1] - gray[:-2, 1:-1] - gray[2:, 1:-1] - gray[1:-1, :-2] - gray[1:-1, 2:]
        red, _, blue = rgb.reshape(-1, 3).mean(0) + 1
        return cls(
            light=_word(float(gray.mean()), (50, 90, 150), ("dark", "dim", "medium", "bright")),
            tint=_word(float(red / blue), (0.95, 1.25), ("cool", "neutral", "warm")),
            focus=_word(float(laplacian.var()), (60, 300), ("blurred", "soft", "sharp")),
        )


class TemplateAssistant:
    """Writes the answer of any task for a labelled sample, by composing short clauses.

    The label, the type and the boxes are always the sample's own; wordings are drawn from the generator that is
    passed, so the same generator state gives the same text.
    """

    name = "template"

    def answer(self, sample: Sample, task: Task, rng: np.random.Generator) -> str:
        """Write the answer to one task.

        Args:
            sample (`Sample`): the labelled image; its file is opened for `describe` and `cot`, and to measure light
                and focus for the reasons of a bona fide one.
            task (`Task`): which task to answer.
            rng (`np.random.Generator`): picks wordings.

        Returns:
            `str`: an answer that `parse_answer` reads back to the sample's label, type and boxes.
        """
        if task is Task.DESCRIBE:
            return describe(sample, rng)
        label = "real" if sample.is_live else "spoof"
        verdict = Verdict(label=label)
        if task in (Task.FINE, Task.REASONING, Task.COT):
            verdict.attack_type = sample.attack_type
        if task is Task.FINE:
            verdict.explanation = evidence(sample, rng)
        elif task is Task.REASONING:
            verdict.explanation = reasoning(sample, rng)
        elif task is Task.LOCALIZATION:
            verdict.boxes = on_grid(sample.boxes)
            verdict.explanation = "" if sample.is_live else region(sample) + "."
        written = format_answer(verdict, task)
        if task is Task.COT:
            return chain_of_thought(sample, ChainOfThought.parse(written).conclusion, rng)
        return written


def describe(sample: Sample, rng: np.random.Generator) -> str:
    """Describe the picture without its label: where the face is, how large, and how the picture was taken."""
    facts = PictureFacts.of(sample.open())
    light = _pick(
        rng,
        (f"The light is {facts.light} and the tint {facts.tint}.", f"It is a {facts.light}, {facts.tint} picture."),
    )
    focus = _pick(rng, (f"The focus is {facts.focus}.", f"Detail is {facts.focus}."))
    return " ".join((face_place(sample), light, focus))


def face_place(sample: Sample) -> str:
    """Say where the face is and how much of the picture's height it fills."""
    if "face_box" not in sample.attributes:
        return "The picture shows a face."
    x1, y1, x2, y2 = sample.attributes["face_box"]
    across = _word((x1 + x2) / 2, (0.4, 0.6), ("left", "centre", "right"))
    size = _word(y2 - y1, (0.35, 0.55, 0.75), ("a small", "a medium", "a large", "a very large"))
    return f"The picture shows {size} face at the {across}."


def evidence(sample: Sample, rng: np.random.Generator) -> str:
    """Name signs: one to three cues that were seen, else what holds for all images of the type."""
    if sample.cues:
        return (
            _pick(rng, ("It shows ", "One can see ", "The signs are ", "What tells is ")) + _signs(sample, rng) + "."
        )
    facts = facts_of(sample)
    chosen = [_clause(sample, str(aspect), facts, rng) for aspect in rng.permutation(ASPECTS)[:2]]
    return _sentence(_join(chosen))


def reasoning(sample: Sample, rng: np.random.Generator) -> str:
    """Say what each of the five attributes shows, and one or two cues of an attack, or else its medium."""
    facts = facts_of(sample)
    parts = [f"{aspect}: {_clause(sample, aspect, facts, rng)}" for aspect in ASPECTS]
    text = _sentence("; ".join(parts))
    if not sample.is_live:
        lead = _pick(rng, (" What gives it away is ", " It is betrayed by ", " What tells is "))
        text += lead + (_signs(sample, rng, most=2) if sample.cues else REGIONS[sample.attack_type]) + "."
    return text


def region(sample: Sample) -> str:
    """Name what the boxes hold: the type's medium, and the region's own name where it tells more."""
    kind = REGIONS[sample.attack_type]
    named = sorted({box.label for box in sample.boxes if box.label and box.label not in kind})
    return f"{kind} ({_join(named)})" if named else kind


def chain_of_thought(sample: Sample, conclusion: str, rng: np.random.Generator) -> str:
    """The six tagged parts of FaceCoT's format (arXiv 2506.01783), ending in the conclusion that is passed."""
    facts = PictureFacts.of(sample.open())
    if sample.is_live:
        spoofing = "No trace of an attack can be seen."
    else:
        spoofing = _sentence(_signs(sample, rng) if sample.cues else REGIONS[sample.attack_type])
    told = facts_of(sample, facts)
    return ChainOfThought(
        caption=face_place(sample),
        facial_description=_sentence(_clause(sample, "shape", told, rng)),
        facial_attributes=f"The light is {facts.light}, the tint {facts.tint}, the focus {facts.focus}.",
        reasoning=_sentence(_join([_clause(sample, aspect, told, rng) for aspect in ("texture", "depth", "edges")])),
        spoofing_description=spoofing,
        conclusion=conclusion,
    ).format()


def facts_of(sample: Sample, picture: PictureFacts | None = None) -> str:
    """What is known of an image, as `clauses_of` reads it: cues, telling parameters, and a live picture's qualities.

    Args:
        sample (`Sample`): the labelled image; a bona fide one is opened if `picture` is not given.
        picture (`PictureFacts`, *optional*): what was measured on it already.

    Returns:
        `str`: such as "a screen bezel around the face; fills_frame: False".
    """
    facts = [*sample.cues, *(f"{name}: {sample.attributes[name]}" for name in _TELLING if name in sample.attributes)]
    if sample.is_live:
        picture = picture or PictureFacts.of(sample.open())
        facts += [f"light: {picture.light}", f"focus: {picture.focus}"]
    return "; ".join(facts)


def on_grid(boxes: Sequence[Box]) -> tuple[Box, ...]:
    """Boxes as the answer lists them: on the 0..999 grid, without region names, from left to right.

    A model writes them one after the other, x1 first: an order that can be seen in the picture settles which comes
    next, where the order in which they were drawn or marked would have to be guessed.
    """
    return tuple(Box.from_grid(*corners) for corners in sorted(box.to_grid() for box in boxes))


def _signs(sample: Sample, rng: np.random.Generator, most: int = 3) -> str:
    """Some of the sample's cues, drawn at random: none is known to be clearer than another."""
    count = 1 + int(rng.integers(min(most, len(sample.cues))))
    drawn = sorted(rng.permutation(len(sample.cues))[:count].tolist())
    return _join([sample.cues[i] for i in drawn])


def _clause(sample: Sample, aspect: str, facts: str, rng: np.random.Generator) -> str:
    return _pick(rng, clauses_of(sample.attack_type, aspect, facts))


def _word(value: float, limits: Sequence[float], words: Sequence[str]) -> str:
    return words[int(np.searchsorted(limits, value, side="right"))]


def _pick(rng: np.random.Generator, options: Sequence[str]) -> str:
    return options[int(rng.integers(len(options)))]


def _join(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."
