"""The labelled images of a build, read in slices: memory does not grow with their number.

One pass over the tables finds where each row stands, which file names occur twice and which subjects would be in two
splits; the rows themselves are parsed when their slice is read. What can't be used comes out as a `Skip` with its
reason, in its place.

Example:
    >>> from faceshield_hf.data.build.inputs import split_of_subject
    >>> split_of_subject("s1", {"train": 1.0})
    'train'
"""

import hashlib
import io
import json
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from faceshield_hf.data.build.config import Config, InputConfig
from faceshield_hf.data.instruct.drafts import Picture
from faceshield_hf.data.samples import Sample, read_row, table_of
from faceshield_hf.data.schema import SPLITS


_ORIENTATION = 274  # the EXIF tag; from 5 on width and height change places


@dataclass(frozen=True)
class Skip:
    """What is not in the result, and why.

    Attributes:
        image (`str`): what it is called in its source.
        step (`str`): where it was left out: "read", "ask", "assistant" or a filter.
        reason (`str`): why.
        task (`str`): the task, where the image itself is not left out.
        id (`str`): the record's id, where one answer is left out.
        answer (`str`): that answer.
    """

    image: str
    step: str
    reason: str
    task: str = ""
    id: str = ""
    answer: str = ""

    def line(self) -> str:
        """The row of `skipped.jsonl`."""
        return json.dumps({key: value for key, value in asdict(self).items() if value}, ensure_ascii=False) + "\n"


class Inputs:
    """All images of a build, in order.

    Args:
        config (`Config`): names the folders.

    Raises:
        ValueError: when a folder has no table, there is no row at all, or a subject would be in two splits.
    """

    def __init__(self, config: Config):
        self.config = config
        self._tables = [_Table(one, config.shares) for one in config.inputs]
        ends = np.cumsum([len(table.offsets) for table in self._tables])
        self._starts = [0, *ends.tolist()]
        self._length = int(ends[-1]) if config.limit is None else min(int(ends[-1]), config.limit)
        if not self._length:
            raise ValueError("the inputs have no row: metadata.jsonl needs one JSON object a line")
        _check_subjects(self._tables)
        told = [config.deciding(), [table.digest for table in self._tables], _review_digest(config.review)]
        self.digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()

    def __len__(self) -> int:
        return self._length

    def read(self, start: int, stop: int) -> Iterator[Picture | Skip]:
        """Read the images from `start` up to, but not with, `stop`.

        Raises:
            ValueError: at the first bad one, if the configuration says `skip_bad: false`.
        """
        for table, first in zip(self._tables, self._starts, strict=False):
            low, high = max(start, first) - first, min(stop, self._length, first + len(table.offsets)) - first
            if low < high:
                yield from table.read(low, high, self.config)


class _Table:
    """One folder's `metadata.jsonl`: where its rows begin, and which split each falls into."""

    def __init__(self, config: InputConfig, shares: Mapping[str, float]):
        self.config, self.folder = config, Path(config.folder)
        self.path = table_of(config.folder)
        # Typed arrays, not lists: a table may have millions of rows.
        offsets, numbers, names, subjects, splits = (array(kind) for kind in "qiQQb")
        sha, position = hashlib.sha256(), 0
        with self.path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                sha.update(line)
                if line.strip():
                    name, subject, split = _keys(line)
                    split = _split_of(subject, split or config.split, shares)
                    offsets.append(position)
                    numbers.append(number)
                    names.append(_hash(name or f"row {number}"))
                    subjects.append(_hash(subject))
                    # A row without a subject, or with another word for its split, is left out when it is read.
                    splits.append(SPLITS.index(split) if subject and split in SPLITS else -1)
                position += len(line)
        self.digest = sha.hexdigest()
        self.offsets = np.array(offsets, np.int64)
        self.numbers = np.array(numbers, np.int32)
        self.subjects = np.array(subjects, np.uint64)
        self.splits = np.array(splits, np.int8)
        first = np.zeros(len(names), bool)
        first[np.unique(np.array(names, np.uint64), return_index=True)[1]] = True
        self.repeated = ~first

    def read(self, low: int, high: int, config: Config) -> Iterator[Picture | Skip]:
        with self.path.open("rb") as lines:
            for i in range(low, high):
                lines.seek(int(self.offsets[i]))
                result = self._row(lines.readline(), i, config)
                if isinstance(result, Skip) and not config.skip_bad:
                    raise ValueError(f"{result.image}: {result.reason} (skip_bad: true lists such rows and goes on)")
                yield result

    def _row(self, line: bytes, i: int, config: Config) -> Picture | Skip:
        where = f"{self.folder.name}/{self.path.name}, row {self.numbers[i]}"
        file, _, _ = _keys(line)
        name = f"{self.folder.name}/{file}" if file else where
        if self.repeated[i]:
            return Skip(name, "read", f"{where}, field file_name: this file has a row already")
        try:
            sample = read_row(line, self.folder, where)
            return self._picture(sample, name, config)
        except (ValueError, OSError) as error:
            return Skip(name, "read", str(error).replace(f"{self.folder}/", ""))

    def _picture(self, sample: Sample, name: str, config: Config) -> Picture:
        split = _split_of(sample.subject_id, sample.split or self.config.split, config.shares)
        content = sample.read()
        width, height = image_size(content)
        source = sample.source or self.config.source
        return Picture(sample, name.replace("\\", "/"), source, split, content, width, height)


def image_size(content: bytes) -> tuple[int, int]:
    """Width and height of an encoded image, upright, in pixels; all of it is decoded.

    Raises:
        ValueError: when it is empty, damaged or no image.
    """
    if not content:
        raise ValueError("the image file is empty")
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.load()
            turned = image.getexif().get(_ORIENTATION, 1) >= 5
            return (image.height, image.width) if turned else image.size
    except (OSError, ValueError, SyntaxError, TypeError, Image.DecompressionBombError) as error:
        raise ValueError(f"the image can't be read ({' '.join(str(error).split())[:120]})") from error


def split_of_subject(subject: str, shares: Mapping[str, float]) -> str:
    """The split that a subject falls into, by its name alone: the same in every build."""
    place = int.from_bytes(hashlib.sha256(subject.encode("utf-8", "surrogatepass")).digest()[:8], "big") / 2**64
    for split in SPLITS:
        place -= shares.get(split, 0.0)
        if place < 0:
            return split
    return max(SPLITS, key=lambda split: shares.get(split, 0.0))


def _split_of(subject: str, named: str, shares: Mapping[str, float]) -> str:
    return split_of_subject(subject, shares) if named == "by_subject" else named


def _keys(line: bytes) -> tuple[str, str, str]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        row = None
    row = row if isinstance(row, dict) else {}
    keys = ("file_name", "subject_id", "split")
    file_name, subject_id, split = (row[key] if isinstance(row.get(key), str) else "" for key in keys)
    return file_name, subject_id, split


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def _check_subjects(tables: list[_Table]) -> None:
    """Refuse inputs whose splits share a subject."""
    present = [np.unique(np.concatenate([t.subjects[t.splits == k] for t in tables])) for k in range(len(SPLITS))]
    for k, one in enumerate(SPLITS):
        for other, found in zip(SPLITS[k + 1 :], present[k + 1 :], strict=True):
            both = np.intersect1d(present[k], found)
            if len(both):
                raise ValueError(
                    f"{len(both)} subjects are in both {one} and {other}: a split must not share a face with another. "
                    "Give all inputs that show them the same split, or all of them split: by_subject; rows that name "
                    "a split of their own keep it, so take such names out of metadata.jsonl where they differ"
                )


def _review_digest(folder: str | None) -> str:
    if folder is None:
        return ""
    sha = hashlib.sha256()
    for path in sorted(Path(folder).glob("*.jsonl")):
        sha.update(path.read_bytes())
    return sha.hexdigest()
