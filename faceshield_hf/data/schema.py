"""The one record of instruction data, whatever its source, as `datasets.Features`.

One row is one question about one image with its answer, and says where both came from. It knows the columns and what
may stand in them; it neither reads sources nor writes answers. `validate.py` applies it to whole data sets.

Example:
    >>> from faceshield_hf.data.schema import features
    >>> sorted(features())[:3]
    ['answer', 'attack_type', 'boxes']
"""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from faceshield_hf.tasks_faceshield import AttackType, Task


SPLITS = ("train", "validation", "test")

# column -> type, apart from the image and the nested columns
_SCALARS = {
    "id": "string",
    "width": "int32",
    "height": "int32",
    "source": "string",
    "subject_id": "string",
    "split": "string",
    "label": "string",
    "attack_type": "string",
    "native_label": "string",
    "task": "string",
    "question": "string",
    "answer": "string",
}
_PROVENANCE = {
    "generator": "string",
    "prompt_id": "string",
    "clip_score": "float32",
    "filters": "string",
    "review": "string",
    "paraphrase_of": "string",
}


_EDGES = ("x1", "y1", "x2", "y2")
# column -> all that may stand in it
_CHOICES: dict[str, tuple[str, ...]] = {
    "split": SPLITS,
    "label": ("real", "spoof"),
    "attack_type": tuple(kind.value for kind in AttackType),
    "task": tuple(task.value for task in Task),
}


def record_id(source: str, image: str, task: str, index: int = 0) -> str:
    """The id of a record: the same wherever and whenever the record is built.

    Args:
        source (`str`): the data set's name.
        image (`str`): what the image is called in its source: its path below the data set's folder, with forward
            slashes. An absolute path would give another id on another machine.
        task (`str`): the task's value, such as "coarse".
        index (`int`, *optional*, defaults to 0): which question of this task about this image.

    Returns:
        `str`: 32 hexadecimal digits, the first half of a SHA-256.
    """
    key = json.dumps([source, image, str(task), index], ensure_ascii=False)
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def features() -> Any:
    """The columns of a record.

    Returns:
        `datasets.Features`: image, size, source, subject, split, labels, boxes (0..1 of the image, with region names),
            task, question, answer and provenance.
    """
    from datasets import Features, Image, List, Value

    box = {name: Value("float32") for name in _EDGES} | {"region": Value("string")}
    return Features(
        {"image": Image()}
        | {name: Value(dtype) for name, dtype in _SCALARS.items()}
        | {"boxes": List(box), "provenance": {name: Value(dtype) for name, dtype in _PROVENANCE.items()}}
    )


def validate_record(record: dict[str, Any], where: str) -> None:
    """Check one record against the schema.

    Args:
        record (`dict`): column -> value.
        where (`str`): the file and the row, for the message.

    Raises:
        ValueError: naming `where`, the field, what came and what is accepted.
    """
    for field, fault in record_faults(record):
        raise ValueError(f"{where}, field {field}: {fault}")


def record_faults(record: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Everything about one record that breaks the schema.

    Args:
        record (`dict`): column -> value. `id`, `width`, `height` and `provenance` may be missing or None.

    Yields:
        `tuple[str, str]`: the field, and what came and what is accepted.
    """

    def fault(field: str, accepted: str) -> tuple[str, str]:
        return field, f"got {record.get(field)!r}, expected {accepted}"

    wrong = [field for field, accepted in _CHOICES.items() if record.get(field) not in accepted]
    for field in wrong:
        yield fault(field, "one of " + ", ".join(_CHOICES[field]))
    for field in ("source", "subject_id", "question", "answer"):
        if not isinstance(record.get(field), str) or not record[field].strip():
            yield fault(field, "a non-empty string")
    if record.get("id") is not None and (not isinstance(record["id"], str) or not record["id"].strip()):
        yield fault("id", "a non-empty string, such as `record_id` gives")
    for field in ("width", "height"):
        size = record.get(field)
        if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 1):
            yield fault(field, "the image's size in pixels, 1 or more")
    if not {"label", "attack_type"} & set(wrong):
        is_live = AttackType(record["attack_type"]).is_live
        if (record["label"] == "real") != is_live:
            yield fault("label", f"the label that goes with attack_type {record['attack_type']!r}")
        if is_live and record.get("boxes"):
            yield fault("boxes", "none: a bona fide face has no attacked region")
    if not _are_boxes(record.get("boxes") or []):
        yield fault("boxes", "a list of x1 < x2 and y1 < y2 in 0..1 of the image")


def _are_boxes(boxes: Any) -> bool:
    if not isinstance(boxes, list | tuple):
        return False
    return all(isinstance(box, dict) and _is_box(*(box.get(edge) for edge in _EDGES)) for box in boxes)


def _is_box(x1: Any, y1: Any, x2: Any, y2: Any) -> bool:
    if not all(isinstance(edge, int | float) and not isinstance(edge, bool) for edge in (x1, y1, x2, y2)):
        return False
    return bool(0 <= x1 < x2 <= 1 and 0 <= y1 < y2 <= 1)  # false for NaN too
