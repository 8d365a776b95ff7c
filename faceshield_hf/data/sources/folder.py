"""A plain folder of images with `metadata.jsonl`: the simulator's, an extracted data set's, or one's own.

A row is what `faceshield_hf.data.samples` reads. Instead of `attack_type` it may give `dataset` and `native_label`,
which are then looked up as for the data set itself, and a row without `split` gets one from its subject. Unlike
`read_samples` it streams, decodes every image once, and gives bad rows as `Skipped`.

Example:
    >>> import json, pathlib, tempfile
    >>> from PIL import Image
    >>> from faceshield_hf.data.sources.folder import samples
    >>> root = pathlib.Path(tempfile.mkdtemp())
    >>> Image.new("RGB", (8, 8)).save(root / "a.png")
    >>> row = {"file_name": "a.png", "dataset": "siw-mv2", "native_label": "Mask_HalfMask", "subject_id": "s1"}
    >>> _ = (root / "metadata.jsonl").write_text(json.dumps(row))
    >>> [sample.attack_type.value for sample in samples(root)]
    ['Rigid mask']
"""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from faceshield_hf.data.samples import Sample, read_object, read_row, table_of
from faceshield_hf.data.schema import SPLITS

from .common import Skipped, Splits, open_image
from .labels import native_type_of


SOURCE = "folder"


def samples(root: str | Path, splits: Splits | None = None) -> Iterator[Sample | Skipped]:
    """Read a folder.

    Args:
        root (`str` or `Path`): a folder holding `metadata.jsonl` and the images that it names.
        splits (`Splits`, *optional*): for rows that name no split.

    Yields:
        `Sample` or `Skipped`: in the order of the rows.

    Raises:
        ValueError: when the folder has no `metadata.jsonl`.
    """
    root, splits = Path(root), splits or Splits()
    table = table_of(root)
    with table.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            where = f"{table.name}, row {number}"
            try:
                row = _with_type(read_object(line, where), where)
                sample = read_row(json.dumps(row), root, where)
                open_image(sample.path)
                if sample.split and sample.split not in SPLITS:
                    raise ValueError(
                        f"{where}, field split: got {sample.split!r}, expected one of {', '.join(SPLITS)}"
                    )
            except ValueError as error:
                yield Skipped(SOURCE, where, str(error))
                continue
            yield dataclasses.replace(
                sample, split=sample.split or splits.of(sample.subject_id), source=str(row.get("dataset") or SOURCE)
            )


def _with_type(row: dict[str, Any], where: str) -> dict[str, Any]:
    """The row with `attack_type` filled in from the native label, where it is missing."""
    if row.get("attack_type") or not row.get("native_label"):
        return row
    try:
        kind = native_type_of(str(row.get("dataset")), str(row["native_label"]))
    except ValueError as error:
        raise ValueError(f"{where}, field native_label: {error}") from error
    return row | {"attack_type": kind.value}
