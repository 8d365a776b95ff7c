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

from PIL import Image

from faceshield_hf.tasks_faceshield import AttackType, Box


TABLE = "metadata.jsonl"


@dataclass(frozen=True)
class Sample:
    """One labelled face image.

    Attributes:
        path (`Path`): the image file; for images inside a container, a name that tells it from the others.
        attack_type (`AttackType`): what the image shows.
        subject_id (`str`): whose face it is; splits never part a subject.
        boxes (`tuple[Box, ...]`): attack regions, 0..1 of the image; empty for bona fide.
        cues (`tuple[str, ...]`): noun phrases naming the traces that can be seen.
        domain (`str`): capture conditions (simulated: A, B or C).
        attributes (`dict`): anything else the source tells, such as `face_box`, or whether the image was `simulated`.
        content (`bytes`, *optional*): the encoded image, where it is not a file of its own.
        source (`str`): the data set it comes from; empty where the caller knows.
        native_label (`str`): the data set's own label.
        split (`str`): "train", "validation" or "test" where the source says so.
    """

    path: Path
    attack_type: AttackType
    subject_id: str
    boxes: tuple[Box, ...] = ()
    cues: tuple[str, ...] = ()
    domain: str = ""
    attributes: dict[str, Any] = field(default_factory=dict)
    content: bytes | None = field(default=None, repr=False)
    source: str = ""
    native_label: str = ""
    split: str = ""

    @property
    def is_live(self) -> bool:
        """Whether the image is bona fide."""
        return self.attack_type.is_live

    @property
    def is_simulated(self) -> bool | None:
        """Whether the attack simulator made the image, bona fide ones too; `None` where the source does not say."""
        return self.attributes.get("simulated")

    def read(self) -> bytes:
        """The encoded image as it is stored."""
        return self.path.read_bytes() if self.content is None else self.content

    def open(self) -> Image.Image:
        """The image upright (EXIF orientation applied) in RGB, transparent parts in white.

        Raises:
            ValueError: when it is no image, or damaged.
        """
        # Imported here because it brings torch along, which reading tables and videos need not wait for.
        from faceshield_hf.image_input_faceshield import to_rgb_image

        return to_rgb_image(self.read())


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
    table = table_of(folder)
    with table.open("rb") as lines:  # as bytes, so that a damaged row is named too
        samples = [
            read_row(line, Path(folder), f"{table}, row {n}") for n, line in enumerate(lines, 1) if line.strip()
        ]
    if not samples:
        raise ValueError(f"{table} is empty: it needs one JSON object a line")
    return samples


def table_of(folder: str | Path) -> Path:
    """The table of a folder of samples.

    Raises:
        ValueError: when the folder has none.
    """
    table = Path(folder) / TABLE
    if not table.is_file():
        raise ValueError(
            f"{folder} has no {TABLE}: expected a folder written by `faceshield simulate`, or images with a "
            f"{TABLE} of one JSON object a line (file_name, attack_type, boxes, subject_id)"
        )
    return table


def read_row(line: str | bytes, folder: Path, where: str) -> Sample:
    """Read one line of a table.

    Args:
        line (`str` or `bytes`): a JSON object.
        folder (`Path`): what `file_name` is relative to.
        where (`str`): the file and the row, for the message.

    Raises:
        ValueError: naming `where`, the field, what came and what is accepted.
    """
    row = read_object(line, where)
    for name in ("file_name", "attack_type", "subject_id"):
        if not isinstance(row.get(name), str) or not row[name]:
            raise ValueError(f"{where}, field {name}: got {row.get(name)!r:.200}, expected a non-empty string")
    path = _image_path(row["file_name"], folder, where)
    try:
        attack_type = AttackType(row["attack_type"])
    except ValueError as error:
        names = ", ".join(kind.value for kind in AttackType)
        raise ValueError(f"{where}, field attack_type: got {row['attack_type']!r}, expected one of {names}") from error
    return Sample(
        path=path,
        attack_type=attack_type,
        subject_id=row["subject_id"],
        boxes=_read_boxes(row, where),
        cues=_read_cues(row, where),
        domain=str(row.get("domain") or ""),
        attributes=_read_attributes(row, where),
        source=str(row.get("dataset") or ""),
        native_label=str(row.get("native_label") or ""),
        split=str(row.get("split") or ""),
    )


def read_object(line: str | bytes, where: str) -> dict[str, Any]:
    """Read a line of a table as a JSON object, whatever its fields.

    Args:
        line (`str` or `bytes`): the line.
        where (`str`): the file and the row, for the message.

    Raises:
        ValueError: naming `where` and what came.
    """
    row = _read_json(line, where)
    if not isinstance(row, dict):
        raise ValueError(f"{where}: got {row!r:.200}, expected a JSON object")
    return row


def _read_json(text: str | bytes, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where}: not JSON ({error})") from error


def _image_path(name: str, folder: Path, where: str) -> Path:
    """The file that a row names, below its folder: a table from elsewhere must not take in other files of the disk."""
    inside = Path(name)
    if inside.is_absolute() or ".." in inside.parts:
        raise ValueError(f"{where}, field file_name: got {name!r:.200}, expected a path below the table's folder")
    try:
        found = (folder / inside).is_file()
    except OSError as error:  # such as a name that is too long
        raise ValueError(f"{where}, field file_name: {name!r:.200} can't be a file ({error.strerror})") from error
    if not found:
        raise ValueError(f"{where}, field file_name: there is no file {folder / inside}")
    return folder / inside


def _read_cues(row: dict[str, Any], where: str) -> tuple[str, ...]:
    cues = row.get("cues") or []
    if not isinstance(cues, list) or not all(isinstance(cue, str) for cue in cues):
        raise ValueError(f"{where}, field cues: got {cues!r:.200}, expected a list of strings")
    return tuple(cues)


def _read_attributes(row: dict[str, Any], where: str) -> dict[str, Any]:
    attributes = row.get("attributes") or {}
    if isinstance(attributes, str):  # the simulator keeps one column type over all rows: a JSON string
        attributes = _read_json(attributes, f"{where}, field attributes")
    if not isinstance(attributes, dict):
        raise ValueError(f"{where}, field attributes: got {attributes!r:.200}, expected an object")
    if not isinstance(attributes.get("simulated"), bool | None):
        raise ValueError(
            f"{where}, field attributes: simulated is {attributes['simulated']!r}, expected true or false"
        )
    return attributes


def _read_boxes(row: dict[str, Any], where: str) -> tuple[Box, ...]:
    boxes, labels = row.get("boxes") or [], row.get("box_labels")
    if not isinstance(boxes, list):
        raise ValueError(f"{where}, field boxes: got {boxes!r:.200}, expected a list")
    labels = [None] * len(boxes) if labels is None else labels
    if not isinstance(labels, list) or not all(label is None or isinstance(label, str) for label in labels):
        raise ValueError(f"{where}, field box_labels: got {labels!r:.200}, expected a list of strings")
    if len(labels) != len(boxes):
        raise ValueError(f"{where}, field box_labels: got {len(labels)} for {len(boxes)} boxes")
    try:
        return tuple(_read_box(box, label) for box, label in zip(boxes, labels, strict=True))
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            f"{where}, field boxes: {error}; expected lists of x1, y1, x2, y2 in 0..1 with x1 < x2 and y1 < y2"
        ) from error


def _read_box(corners: list[float], label: str | None) -> Box:
    x1, y1, x2, y2 = (float(corner) for corner in corners)
    return Box(x1, y1, x2, y2, label)
