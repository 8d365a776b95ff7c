"""What is said about a face: the tasks, a box, and the verdict that every part of the package gives and takes.

It knows no model and no words: how a verdict is written and read as an answer is in `tasks_faceshield.py`.

Example:
    >>> verdict = Verdict(label="spoof", score=0.97, boxes=(Box.from_grid(120, 80, 860, 990),))
    >>> Verdict.from_dict(verdict.to_dict()) == verdict
    True
"""

import math
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from .attack_types_faceshield import AttackType


GRID = 999
"""The largest coordinate in an answer: boxes are written as integers 0..999 of the image's width and height."""

LABELS = ("real", "spoof", "unsure")


class Task(str, Enum):
    """What can be asked about a face; the value names the task in records, YAML and JSON."""

    DESCRIBE = "describe"
    COARSE = "coarse"
    FINE = "fine"
    REASONING = "reasoning"
    LOCALIZATION = "localization"
    COT = "cot"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Box:
    """A region of an image, as fractions of the original image's width and height.

    Attributes:
        x1 (`float`): left edge, 0..1, smaller than `x2`.
        y1 (`float`): top edge, 0..1, smaller than `y2`.
        x2 (`float`): right edge, 0..1.
        y2 (`float`): bottom edge, 0..1.
        label (`str`, *optional*): what is inside.
    """

    x1: float
    y1: float
    x2: float
    y2: float
    label: str | None = None

    def __post_init__(self) -> None:
        if not (0 <= self.x1 < self.x2 <= 1 and 0 <= self.y1 < self.y2 <= 1):
            raise ValueError(
                f"got the box ({self.x1}, {self.y1}, {self.x2}, {self.y2}); expected 0 <= x1 < x2 <= 1 and "
                "0 <= y1 < y2 <= 1, as fractions of the image. Use Box.from_pixels or Box.from_grid for other units."
            )

    def to_grid(self) -> tuple[int, int, int, int]:
        """x1, y1, x2, y2 as integers 0..999; a box thinner than the grid still gets one step of it."""
        x1, x2 = _grid_pair(self.x1, self.x2)
        y1, y2 = _grid_pair(self.y1, self.y2)
        return x1, y1, x2, y2

    @classmethod
    def from_grid(cls, x1: int, y1: int, x2: int, y2: int, label: str | None = None) -> "Box":
        """The box of four integers 0..999; `Box.from_grid(*box.to_grid())` is exact for boxes on the grid."""
        return cls(x1 / GRID, y1 / GRID, x2 / GRID, y2 / GRID, label)

    def to_pixels(self, width: int, height: int) -> tuple[int, int, int, int]:
        """x1, y1, x2, y2 in pixels of a `width` x `height` image, edges rounded to whole pixels."""
        return round(self.x1 * width), round(self.y1 * height), round(self.x2 * width), round(self.y2 * height)

    @classmethod
    def from_pixels(
        cls, x1: float, y1: float, x2: float, y2: float, width: int, height: int, label: str | None = None
    ) -> "Box":
        """The box of pixel edges in a `width` x `height` image; what sticks out of the image is cut off.

        Raises:
            ValueError: if the image has no area or no part of the box lies in it.
        """
        if width <= 0 or height <= 0:
            raise ValueError(f"got an image of {width} x {height} pixels; width and height must be positive.")
        x1, x2 = max(0.0, x1 / width), min(1.0, x2 / width)
        y1, y2 = max(0.0, y1 / height), min(1.0, y2 / height)
        return cls(x1, y1, x2, y2, label)

    @property
    def area(self) -> float:
        """Share of the image that the box covers, 0..1."""
        return (self.x2 - self.x1) * (self.y2 - self.y1)

    def iou(self, other: "Box") -> float:
        """Intersection over union with another box of the same image, 0..1.

        Boxes are compared as fractions of the image: the ratio is the same in pixels.
        """
        width = min(self.x2, other.x2) - max(self.x1, other.x1)
        height = min(self.y2, other.y2) - max(self.y1, other.y1)
        if width <= 0 or height <= 0:
            return 0.0
        shared = width * height
        return shared / (self.area + other.area - shared)


@dataclass
class Verdict:
    """Everything known about one face image after one or more tasks.

    Attributes:
        label (`str`, *optional*): "real", "spoof", "unsure" (score too close to the threshold), or `None` when no
            answer could be read.
        score (`float`, *optional*): p(spoof), 0..1.
        threshold (`float`, *optional*): the score from which on a face is called a spoof, 0..1.
        attack_type (`AttackType`, *optional*): which kind.
        boxes (`tuple[Box, ...]`): where the attack is.
        explanation (`str`): why, in words.
        answers (`dict[str, str]`): task -> the model's own text.
        quality (`tuple[str, ...]`): warnings about the image, such as "no_face" or "blurred".
        model (`str`, *optional*): the checkpoint that answered.
    """

    label: str | None = None
    score: float | None = None
    threshold: float | None = None
    attack_type: AttackType | None = None
    boxes: tuple[Box, ...] = ()
    explanation: str = ""
    answers: dict[str, str] = field(default_factory=dict)
    quality: tuple[str, ...] = ()
    model: str | None = None

    def only(self, task: Task | str) -> "Verdict":
        """What an answer to `task` can say of this verdict; the rest is left out.

        Writing and reading that answer gives exactly this back. Normalised are: surrounding whitespace of the
        explanation; boxes, which move to the grid and lose their labels; and the type of a real face, which is
        Bonafide in the tasks that name the type.

        Args:
            task (`Task` or `str`): the task.

        Returns:
            `Verdict`: a new one.
        """
        task = Task(task)
        explanation = "" if task is Task.COARSE else self.explanation.strip()
        if task is Task.DESCRIBE:
            return Verdict(explanation=explanation)
        kept = Verdict(label=self.label, explanation=explanation)
        if task is Task.LOCALIZATION:
            return replace(kept, boxes=tuple(Box.from_grid(*box.to_grid()) for box in self.boxes))
        if task is not Task.COARSE:
            return replace(kept, attack_type=AttackType.BONAFIDE if self.label == "real" else self.attack_type)
        return kept

    def to_dict(self) -> dict[str, Any]:
        """The verdict as plain JSON values; boxes 0..1."""
        return {
            "label": self.label,
            "score": self.score,
            "threshold": self.threshold,
            "attack_type": None if self.attack_type is None else self.attack_type.value,
            "boxes": [{"x1": b.x1, "y1": b.y1, "x2": b.x2, "y2": b.y2, "label": b.label} for b in self.boxes],
            "explanation": self.explanation,
            "answers": {str(task): text for task, text in self.answers.items()},
            "quality": list(self.quality),
            "model": self.model,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Verdict":
        """The inverse of `to_dict`; missing keys take their defaults.

        Raises:
            ValueError: on an unknown key, label or attack type, or a box out of range.
        """
        unknown = sorted(set(values) - set(cls.__dataclass_fields__))
        if unknown:
            raise ValueError(f"unknown keys in a verdict: {unknown}; expected {list(cls.__dataclass_fields__)}.")
        if values.get("label") not in (None, *LABELS):
            raise ValueError(f"got the label {values['label']!r}; expected one of {LABELS} or None.")
        attack_type = values.get("attack_type")
        return cls(
            label=values.get("label"),
            score=values.get("score"),
            threshold=values.get("threshold"),
            attack_type=None if attack_type is None else AttackType.from_name(attack_type),
            boxes=tuple(Box(**box) for box in values.get("boxes", ())),
            explanation=values.get("explanation", ""),
            answers=dict(values.get("answers", {})),
            quality=tuple(values.get("quality", ())),
            model=values.get("model"),
        )


def _grid_pair(low: float, high: float) -> tuple[int, int]:
    first, last = math.floor(low * GRID + 0.5), math.floor(high * GRID + 0.5)
    if first == last:
        return (first, last + 1) if last < GRID else (first - 1, last)
    return first, last
