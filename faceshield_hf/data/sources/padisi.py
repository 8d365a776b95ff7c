"""PADISI-Face (Rostami et al. 2021, ICCV): one joblib file, converted once to parquet, and tables of the participants.

The colour data come as `padisi_USC_FACE_preprocessed.bz2`, a pickle. `convert` reads it with an unpickler that admits
builtins and arrays only (`safe_pickle.py`) and writes a parquet file of PNG images; nothing else touches a pickle.
Expected in the data set's folder are that parquet file and `padisi_USC_FACE_ground_truth.csv` from the authors'
repository (`data/face_partitions`), which alone tells who is in which image.

The native label is the code, such as "m50602". Faces are cropped already (320 x 256). That someone wears glasses of
their own (`..._WITH_GLASS`) is no attack. `Splits.lists` is one of the authors' partition files
(`..._partition_3folds_part0.csv` to `part2.csv`).

Example:
    >>> from faceshield_hf.data.sources.padisi import identifier
    >>> identifier({"transaction_id": "a4ac", "trial_id": "08b8", "trial_name": "FACE_SMILE_WITHOUT_GLASS"})
    'ID_a4ac_08b8_FACE_SMILE_WITHOUT_GLASS'
"""

import csv
import io
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from faceshield_hf.whole_files import whole_file

from .common import (
    Reader,
    Recording,
    Skipped,
    Splits,
    existing_folder,
    native_type,
    official_split,
    open_image,
    optional_module,
)
from .safe_pickle import load


SOURCE = "padisi"
_LAYOUT = "a .parquet file written by `convert-padisi` and padisi_USC_FACE_ground_truth.csv"
_LIVE_CODE = "m00000"
_GROUP = 16  # rows read together


def identifier(row: Mapping[str, str]) -> str:
    """How the joblib file calls the sample of a row of the authors' tables."""
    return f"ID_{row['transaction_id']}_{row['trial_id']}_{row['trial_name']}"


def convert(source: str | Path, out: str | Path) -> Path:
    """Convert the joblib file to parquet, once.

    The compressed file is unpacked beside `out` first (several GB for the whole set) and mapped, not loaded. Stopped
    after that, a second call need not unpack again; the unpacked copy goes when the parquet file stands.

    Args:
        source (`str` or `Path`): `padisi_USC_FACE_preprocessed.bz2`.
        out (`str` or `Path`): the parquet file to write: identifier, pai_code, label, image (`bytes`, `path`).

    Returns:
        `Path`: `out`.

    Raises:
        ValueError: when the file asks for anything but builtins and arrays, is damaged, or holds other data.
    """
    parquet, arrow = optional_module("pyarrow.parquet", "PADISI"), optional_module("pyarrow", "PADISI")
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    scratch = out.with_name(out.name + ".unpacked")
    data = _checked(load(source, scratch), Path(source))
    schema = arrow.schema(
        [
            ("identifier", arrow.string()),
            ("pai_code", arrow.string()),
            ("label", arrow.bool_()),
            ("image", arrow.struct([("bytes", arrow.binary()), ("path", arrow.string())])),
        ]
    )
    total = len(data["identifiers"])
    with (
        whole_file(out) as part,
        parquet.ParquetWriter(part, schema) as writer,
        tqdm(total=total, desc="converting PADISI", unit="image") as bar,
    ):
        for start in range(0, total, _GROUP):
            rows = [_row(data, index) for index in range(start, min(start + _GROUP, total))]
            writer.write_table(arrow.Table.from_pylist(rows, schema))
            bar.update(len(rows))
    scratch.unlink(missing_ok=True)
    return out


def recordings(root: Path, splits: Splits) -> Iterator[Recording | Skipped]:
    """List the samples; no image is read."""
    parquet = optional_module("pyarrow.parquet", "reading PADISI")
    root = existing_folder(root, SOURCE, _LAYOUT)
    file, people = _only(root, "*.parquet"), _participants(_only(root, "*ground_truth.csv"))
    listed = None if splits.lists is None else _partition(splits.lists)
    table = parquet.ParquetFile(file)
    for group in range(table.num_row_groups):
        rows = table.read_row_group(group, columns=["identifier", "pai_code", "label"]).to_pylist()
        for place, row in enumerate(rows):
            yield _recording(file, row, f"{group}/{place}", people, splits, listed)


def frames(recording: Recording, count: int) -> Iterator[tuple[int, Image.Image]]:
    """Read the one image; `count` is of no matter."""
    group, place = (int(number) for number in recording.attributes["row"].split("/"))
    yield 0, open_image(_images(str(recording.path), group)[place])


READER = Reader(SOURCE, recordings, frames, default_frames=1)


def _recording(
    file: Path,
    row: dict[str, Any],
    place: str,
    people: dict[str, tuple[str, str]],
    splits: Splits,
    listed: dict[str, str] | None,
) -> Recording | Skipped:
    name, code = row["identifier"], row["pai_code"]
    if name not in people:
        return Skipped(SOURCE, name, "the ground truth table does not name it, so its participant is unknown")
    participant, stated = people[name]
    if stated != code:
        return Skipped(SOURCE, name, f"the data say {code}, the ground truth table {stated}")
    if row["label"] == (code == _LIVE_CODE):
        return Skipped(SOURCE, name, f"the code is {code}, but the label says {'attack' if row['label'] else 'live'}")
    kind = native_type(SOURCE, code, name)
    if isinstance(kind, Skipped):
        return kind
    if listed is not None and name not in listed:
        return Skipped(SOURCE, name, "not in the given partition")
    subject = f"{SOURCE}/{participant}"
    split = splits.of(subject) if listed is None else listed[name]
    return Recording(SOURCE, name, file, subject, code, kind, split, attributes={"row": place})


@lru_cache(maxsize=2)
def _images(file: str, group: int) -> list[bytes]:
    """The encoded images of some rows that lie together."""
    parquet = optional_module("pyarrow.parquet", "reading PADISI")
    column = parquet.ParquetFile(file).read_row_group(group, columns=["image"]).column("image")
    return [image["bytes"] for image in column.to_pylist()]


def _checked(data: Any, file: Path) -> dict[str, Any]:
    keys = ("data", "identifiers", "labels", "pai_codes")
    if not isinstance(data, dict) or not set(keys) <= set(data):
        found = sorted(map(str, data)) if isinstance(data, dict) else type(data).__name__
        raise ValueError(
            f"{file} holds {found}; expected a dictionary with {', '.join(keys)}: is it the COLOR version?"
        )
    images = data["data"]
    if not isinstance(images, np.ndarray) or images.ndim != 4 or images.shape[1] != 3 or images.dtype.kind != "f":
        shape = f"{images.dtype} of shape {images.shape}" if isinstance(images, np.ndarray) else type(images).__name__
        raise ValueError(f"{file}: data is {shape}; expected floats of shape (samples, 3, height, width)")
    lengths = {key: len(data[key]) for key in keys}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"{file}: the parts differ in length ({lengths})")
    return data


def _row(data: dict[str, Any], index: int) -> dict[str, Any]:
    planes = np.asarray(data["data"][index], np.float32)
    if not np.isfinite(planes).all() or planes.min() < 0 or planes.max() > 1:
        raise ValueError(f"sample {index} holds values from {planes.min()} to {planes.max()}; expected 0 to 1")
    rgb = np.rint(planes[::-1].transpose(1, 2, 0) * 255).astype(np.uint8)  # the file's order is blue, green, red
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(rgb)).save(buffer, "PNG", compress_level=3)
    name = str(data["identifiers"][index])
    return {
        "identifier": name,
        "pai_code": str(data["pai_codes"][index]),
        "label": bool(data["labels"][index]),
        "image": {"bytes": buffer.getvalue(), "path": f"{name}.png"},
    }


def _only(root: Path, pattern: str) -> Path:
    found = sorted(root.rglob(pattern))
    if len(found) != 1:
        raise ValueError(
            f"{SOURCE}: {root} holds {len(found)} files {pattern}, expected one; it should have {_LAYOUT}"
        )
    return found[0]


def _rows(file: Path, columns: set[str]) -> Iterator[dict[str, str]]:
    if not file.is_file():
        raise ValueError(f"{SOURCE}: there is no {file}")
    with file.open(encoding="utf-8", newline="") as lines:
        table = csv.DictReader(lines)
        if not columns <= set(table.fieldnames or ()):
            raise ValueError(f"{file} has the columns {table.fieldnames}; expected {', '.join(sorted(columns))}")
        yield from table


def _participants(file: Path) -> dict[str, tuple[str, str]]:
    """Sample -> participant and code."""
    columns = {"transaction_id", "trial_id", "trial_name", "participant_id", "ground_truth"}
    return {identifier(row): (row["participant_id"], row["ground_truth"]) for row in _rows(file, columns)}


def _partition(file: Path) -> dict[str, str]:
    """Sample -> split."""
    listed = {}
    columns = {"transaction_id", "trial_id", "trial_name", "partition_name"}
    for number, row in enumerate(_rows(file, columns), 2):
        split = official_split(row["partition_name"])
        if split is None:
            raise ValueError(f"{file}, row {number}, field partition_name: got {row['partition_name']!r}")
        listed[identifier(row)] = split
    return listed
