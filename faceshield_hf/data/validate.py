"""Checking a whole data set of records: every row, duplicate ids, and subjects that are in two splits.

It streams JSON lines and parquet files; what it keeps is one digest a record and one split a subject. It changes
nothing: with `skip_bad` it lists the bad rows, which `datasets.Dataset.filter` may then leave out.

    python -m faceshield_hf.data.validate DIR [--skip-bad] [--images]

Example:
    >>> import json, pathlib, tempfile
    >>> from faceshield_hf.data.validate import validate_dataset
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> row = {"image": "a.png", "split": "train", "label": "spoof", "attack_type": "Print", "task": "coarse",
    ...        "source": "simulated", "subject_id": "s1", "question": "Is it real?", "answer": " "}
    >>> _ = (folder / "train.jsonl").write_text(json.dumps(row))
    >>> validate_dataset(folder, skip_bad=True).bad
    Counter({'answer': 1})
    >>> validate_dataset(folder)
    Traceback (most recent call last):
    ...
    ValueError: train.jsonl, row 1, field answer: got ' ', expected a non-empty string
"""

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
from tqdm.auto import tqdm

from faceshield_hf.data.build.inputs import image_size
from faceshield_hf.data.schema import SPLITS, record_faults
from faceshield_hf.whole_files import whole_file


_JSONL = re.compile(rf"({'|'.join(SPLITS)})([-_.].*)?\.jsonl")
_BATCH = 256


@dataclass(frozen=True)
class BadRecord:
    """A row that breaks the schema.

    Attributes:
        file (`str`): its file, relative to the data set.
        row (`int`): from 1.
        field (`str`): the column.
        reason (`str`): what came and what is accepted.
    """

    file: str
    row: int
    field: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file}, row {self.row}, field {self.field}: {self.reason}"


@dataclass
class Report:
    """What a check found.

    Attributes:
        records (`int`): rows read.
        bad_records (`int`): rows with at least one fault.
        bad (`Counter`): field -> faults.
        listing (`Path`, *optional*): the file that lists every fault.
    """

    records: int = 0
    bad_records: int = 0
    bad: Counter = field(default_factory=Counter)
    listing: Path | None = None


def validate_dataset(
    data: str | Path, *, skip_bad: bool = False, images: bool = False, listing: str | Path | None = None
) -> Report:
    """Check every record of a data set.

    Args:
        data (`str` or `Path`): a file, or a folder holding `<split>.jsonl` or parquet files (hidden folders apart).
        skip_bad (`bool`, *optional*, defaults to `False`): go on after a fault, and count.
        images (`bool`, *optional*, defaults to `False`): decode every image too.
        listing (`str` or `Path`, *optional*): where every fault is written to, one JSON object a line (file, row,
            field, reason).

    Returns:
        `Report`: the counts.

    Raises:
        ValueError: when there is nothing to check, a file is damaged, or a record is bad and `skip_bad` is not set.
    """
    report, seen = Report(listing=Path(listing) if listing else None), _Seen()
    files, base = _files(Path(data))
    listed = whole_file(report.listing) if report.listing else nullcontext(Path(os.devnull))
    with listed as part, part.open("w", encoding="utf-8") as out:
        for file in files:
            name = file.relative_to(base).as_posix()
            for row, record in tqdm(_records(file, images), desc=f"checking {name}", unit="record"):
                faults = list(_faults(record, file.parent, images))
                faults = faults or list(seen.faults(record, f"{name}, row {row}", file.parent))
                report.records += 1
                report.bad_records += bool(faults)
                for column, reason in faults:
                    bad = BadRecord(name, row, column, reason)
                    if not skip_bad:
                        raise ValueError(str(bad))
                    report.bad[column] += 1
                    out.write(json.dumps(asdict(bad)) + "\n")
    return report


class _Seen:
    """What earlier records said."""

    def __init__(self) -> None:
        self._ids: dict[bytes, str] = {}
        self._subjects: dict[tuple[str, str], str] = {}

    def faults(self, record: dict[str, Any], where: str, folder: Path) -> Iterator[tuple[str, str]]:
        """What contradicts them."""
        # Records without ids are told apart by what an id is made of.
        key = record.get("id") or json.dumps(
            [record["source"], _image_key(record.get("image"), folder), record["task"], record["question"]]
        )
        first = self._ids.setdefault(hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()[:16], where)
        if first != where:
            yield "id", f"got {record.get('id')!r}, which {first} has too"
        split = self._subjects.setdefault((record["source"], record["subject_id"]), record["split"])
        if split != record["split"]:
            yield "split", f"got {record['split']!r}, but subject {record['subject_id']!r} is in {split!r} before"


def _faults(record: Any, folder: Path, images: bool) -> Iterator[tuple[str, str]]:
    if isinstance(record, str):
        yield "-", record
        return
    yield from record_faults(record)
    if "image" not in record:  # of parquet files the images are read only where something needs them
        return
    content = _image_file(record["image"], folder)
    if content is None:
        yield "image", f"got {record['image']!r}, expected a path, or an encoded image"
        return
    if not images:
        return
    try:
        size = image_size(content.read_bytes() if isinstance(content, Path) else content)
    # Pillow's decoders raise what they like over damaged files.
    except Exception as error:
        yield "image", f"the image is missing or damaged ({type(error).__name__}: {error})"
        return
    for column, pixels in zip(("width", "height"), size, strict=True):
        if record.get(column) not in (None, pixels):
            yield column, f"got {record[column]}, but the image has {pixels}"


def _image_file(image: Any, folder: Path) -> Path | bytes | None:
    """What to open: a path, as JSON lines give it, or `datasets`' pair of bytes and path."""
    if isinstance(image, dict) and isinstance(image.get("bytes"), bytes) and image["bytes"]:
        return image["bytes"]
    path = image.get("path") if isinstance(image, dict) else image
    return folder / path if isinstance(path, str) and path.strip() else None


def _image_key(image: Any, folder: Path) -> str:
    """What tells an image from others: its bytes where the record holds them, since its path is then a mere name."""
    content = _image_file(image, folder)
    return hashlib.sha256(content).hexdigest() if isinstance(content, bytes) else str(content)


def _files(data: Path) -> tuple[list[Path], Path]:
    """The files of a data set, and the folder that they are named relative to."""
    if data.is_file():
        return [data], data.parent
    files = [
        path
        for path in sorted(data.rglob("*"))
        if (path.suffix == ".parquet" or _JSONL.fullmatch(path.name))
        and not any(part.startswith(".") for part in path.relative_to(data).parts)
    ]
    if not files:
        raise ValueError(f"{data} holds neither {', '.join(f'{s}.jsonl' for s in SPLITS)} nor parquet files")
    return files, data


def _records(file: Path, images: bool) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Row number and record, or what is wrong with the row."""
    if file.suffix != ".parquet":
        with file.open("rb") as lines:
            for row, line in enumerate(lines, 1):
                if line.strip():
                    yield row, _parsed(line)
        return
    import pyarrow
    from pyarrow import parquet

    try:
        table = parquet.ParquetFile(file)
        names = table.schema_arrow.names
        images = images or "id" not in names or table.read(columns=["id"])["id"].null_count > 0
        columns = [name for name in names if images or name != "image"]
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise ValueError(f"{file} can't be read as parquet ({error}): build it again") from error
    row = 0
    batches = table.iter_batches(_BATCH if not images else 16, columns=columns)
    while True:
        try:
            batch = next(batches, None)
            records = [] if batch is None else batch.to_pylist()
        except (pyarrow.ArrowException, OSError, ValueError) as error:
            raise ValueError(f"{file} is damaged after row {row} ({error}): build it again") from error
        if batch is None:
            return
        for record in records:
            row += 1
            yield row, record


def _parsed(line: bytes) -> dict[str, Any] | str:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"not JSON ({error})"
    return record if isinstance(record, dict) else f"got {type(record).__name__}, expected a JSON object"


def main(
    data: Annotated[Path, typer.Argument(help="A file or a folder of records.")],
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Count and list bad rows instead of stopping.")] = False,
    images: Annotated[bool, typer.Option("--images", help="Decode every image too.")] = False,
    listing: Annotated[Path, typer.Option(help="Where --skip-bad lists every fault.")] = Path("bad-records.jsonl"),
) -> None:
    """Check every record of a data set."""
    try:
        report = validate_dataset(data, skip_bad=skip_bad, images=images, listing=listing if skip_bad else None)
    except ValueError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    typer.echo(f"{report.records} records, {report.bad_records} bad")
    for column, count in report.bad.most_common():
        typer.echo(f"{column:<14}{count:>8}")
    if report.bad_records:
        typer.echo(f"listed in {listing}")


if __name__ == "__main__":
    typer.run(main)
