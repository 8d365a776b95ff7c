"""The one record of instruction data, whatever its source, as `datasets.Features`.

One row is one question about one image with its answer, and says where both came from. It knows the columns and what
may stand in them; it neither reads sources nor writes answers.

Example:
    >>> from faceshield_hf.data.schema import features
    >>> sorted(features())[:3]
    ['answer', 'attack_type', 'boxes']
"""

from typing import Any

from faceshield_hf.tasks_faceshield import AttackType, Task


SPLITS = ("train", "validation", "test")

# column -> type, apart from the image and the nested columns
_SCALARS = {
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


def features() -> Any:
    """The columns of a record.

    Returns:
        `datasets.Features`: image, size, source, subject, split, labels, boxes (0..1 of the image, with region names),
            task, question, answer and provenance.
    """
    from datasets import Features, Image, List, Value

    box = {name: Value("float32") for name in ("x1", "y1", "x2", "y2")} | {"region": Value("string")}
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

    def fail(field: str, accepted: str) -> None:
        raise ValueError(f"{where}, field {field}: got {record.get(field)!r}, expected {accepted}")

    for field, accepted in (
        ("split", SPLITS),
        ("label", ("real", "spoof")),
        ("attack_type", tuple(kind.value for kind in AttackType)),
        ("task", tuple(task.value for task in Task)),
    ):
        if record.get(field) not in accepted:
            fail(field, "one of " + ", ".join(accepted))
    for field in ("source", "subject_id", "question", "answer"):
        if not isinstance(record.get(field), str) or not record[field].strip():
            fail(field, "a non-empty string")
    if (record["label"] == "real") != AttackType(record["attack_type"]).is_live:
        fail("label", f"the label that goes with attack_type {record['attack_type']!r}")
    for box in record.get("boxes") or ():
        if not (0 <= box["x1"] < box["x2"] <= 1 and 0 <= box["y1"] < box["y2"] <= 1):
            fail("boxes", "x1 < x2 and y1 < y2 in 0..1 of the image")
