"""Labelled face images in a folder: `metadata.jsonl` beside the images, one JSON object a line.

This is what the attack simulator writes and what the instruction builder and the evaluation read. It knows the label,
the type, the boxes and the visible cues of an image; it knows nothing of questions or answers.

Example:
    >>> import json, pathlib, tempfile
    >>> from PIL import Image
    >>> from faceshield_hf.data.samples import read_samples
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> Image.new("RGB", (8, 8)).save(folder / "a.png")
    >>> row = {"file_name": "a.png", "attack_type": "Bonafide", "boxes": [], "subject_id": "s1"}
    >>> _ = (folder / "metadata.jsonl").write_text(json.dumps(row))
    >>> read_samples(folder)[0].attack_type.value
    'Bonafide'
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faceshield_hf.tasks_faceshield import AttackType, Box


@dataclass(frozen=True)
class Sample:
    """One labelled face image.

    Attributes:
        path (`Path`): the image file.
        attack_type (`AttackType`): what the image shows.
        subject_id (`str`): whose face it is; splits never part a subject.
        boxes (`tuple[Box, ...]`): attack regions, 0..1 of the image; empty for bona fide.
        cues (`tuple[str, ...]`): noun phrases naming the traces that can be seen.
        domain (`str`): capture conditions (simulated: A, B or C).
        attributes (`dict`): anything else the source tells, such as `face_box`.
    """

    path: Path
    attack_type: AttackType
    subject_id: str
    boxes: tuple[Box, ...] = ()
    cues: tuple[str, ...] = ()
    domain: str = ""
    attributes: dict[str, Any] = field(default_factory=dict)

    @property
    def is_live(self) -> bool:
        """Whether the image is bona fide."""
        return self.attack_type.is_live


def read_samples(folder: str | Path) -> list[Sample]:
    """Read the samples of a folder, in the order of its `metadata.jsonl`.

    Args:
        folder (`str` or `Path`): a folder holding `metadata.jsonl` and the images that it names.

    Returns:
        `list[Sample]`: at least one.

    Raises:
        ValueError: when there is no `metadata.jsonl`, it is empty, or a row is wrong; the message names the file, the
            row (from 1) and the field.
    """
    table = Path(folder) / "metadata.jsonl"
    if not table.is_file():
        raise ValueError(
            f"{folder} has no metadata.jsonl: expected a folder written by `faceshield simulate`, or images with a "
            "metadata.jsonl of one JSON object a line (file_name, attack_type, boxes, subject_id)"
        )
    with table.open(encoding="utf-8") as lines:
        samples = [
            _read_row(line, Path(folder), f"{table}, row {n}") for n, line in enumerate(lines, 1) if line.strip()
        ]
    if not samples:
        raise ValueError(f"{table} is empty: it needs one JSON object a line")
    return samples


def _read_row(line: str, folder: Path, where: str) -> Sample:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where}: not JSON ({error})") from error
    for name in ("file_name", "attack_type", "subject_id"):
        if not isinstance(row.get(name), str) or not row[name]:
            raise ValueError(f"{where}, field {name}: got {row.get(name)!r}, expected a non-empty string")
    path = folder / row["file_name"]
    if not path.is_file():
        raise ValueError(f"{where}, field file_name: there is no file {path}")
    try:
        attack_type = AttackType(row["attack_type"])
    except ValueError as error:
        names = ", ".join(kind.value for kind in AttackType)
        raise ValueError(f"{where}, field attack_type: got {row['attack_type']!r}, expected one of {names}") from error
    attributes = row.get("attributes") or {}
    if isinstance(attributes, str):  # the simulator keeps one column type over all rows: a JSON string
        attributes = json.loads(attributes)
    return Sample(
        path=path,
        attack_type=attack_type,
        subject_id=row["subject_id"],
        boxes=_read_boxes(row, where),
        cues=tuple(row.get("cues") or ()),
        domain=str(row.get("domain") or ""),
        attributes=attributes,
    )


def _read_boxes(row: dict[str, Any], where: str) -> tuple[Box, ...]:
    boxes = row.get("boxes") or []
    labels = row.get("box_labels")
    labels = [None] * len(boxes) if labels is None else labels
    if len(labels) != len(boxes):
        raise ValueError(f"{where}, field box_labels: got {len(labels)} for {len(boxes)} boxes")
    try:
        return tuple(_read_box(box, label) for box, label in zip(boxes, labels, strict=True))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{where}, field boxes: {error}; expected lists of x1, y1, x2, y2 in 0..1 with x1 < x2 and y1 < y2"
        ) from error


def _read_box(corners: list[float], label: str | None) -> Box:
    x1, y1, x2, y2 = (float(corner) for corner in corners)
    return Box(x1, y1, x2, y2, label)
