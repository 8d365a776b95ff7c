"""CelebA-Spoof (Zhang et al. 2020, arXiv 2007.12342): still images, JSON labels, face boxes in text files.

Expected is the delivered tree: `Data/{train,test}/<subject>/{live,spoof}/<n>.{jpg,png}`, beside each image
`<n>_BB.txt` (x, y, width, height on a grid of 224 x 224, and a confidence), and
`metas/intra_test/{train,test}_label.json`: path -> 44 numbers, of which number 40 is the type, 41 the illumination, 42
the environment and 43 whether it is an attack. The native label is the type, "0" to "10". Rows whose three statements
on live or spoof (type, flag, folder) disagree are skipped. The labels are parsed as a stream, so memory stays flat.

`Splits.lists` is another folder of `metas`, such as `metas/protocol1`. The data set has no validation subjects:
`Splits.validation` of the training subjects are held out.

Example:
    >>> import io
    >>> from faceshield_hf.data.sources.celeba_spoof import parse_labels
    >>> list(parse_labels(io.StringIO('{"Data/train/1/live/2.jpg": [0, 1]}'), "labels.json"))
    [('Data/train/1/live/2.jpg', [0, 1])]
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from PIL import Image

from .common import Reader, Recording, Skipped, Splits, existing_folder, native_type, open_image


SOURCE = "celeba-spoof"
_LAYOUT = "Data/ and metas/intra_test/train_label.json and test_label.json"
_LABELS = 44
_TYPE, _ILLUMINATION, _ENVIRONMENT, _IS_ATTACK = 40, 41, 42, 43
_GRID = 224  # the boxes are given as if every image had this width and height
_ENTRY = re.compile(r'\s*"((?:[^"\\]|\\.)*)"\s*:\s*\[([-\d\s,.]*)\]\s*,?\s*')
_CHUNK = 1 << 16


def recordings(root: Path, splits: Splits) -> Iterator[Recording | Skipped]:
    """List the images in the order of the label files; none is opened."""
    root = existing_folder(root, SOURCE, _LAYOUT)
    metas = splits.lists or root / "metas" / "intra_test"
    files = {name: metas / f"{name}_label.json" for name in ("train", "test")}
    if not any(file.is_file() for file in files.values()):
        raise ValueError(f"{SOURCE}: {metas} holds neither train_label.json nor test_label.json; expected {_LAYOUT}")
    for split, file in files.items():
        if file.is_file():
            with file.open(encoding="utf-8") as stream:
                for name, labels in parse_labels(stream, str(file)):
                    yield _recording(root, name, labels, split, splits)


def frames(recording: Recording, count: int) -> Iterator[tuple[int, Image.Image]]:
    """Open the image; `count` is of no matter."""
    yield 0, open_image(recording.path)


READER = Reader(SOURCE, recordings, frames, default_frames=1)


def parse_labels(stream: IO[str], where: str) -> Iterator[tuple[str, list[int]]]:
    """Parse an object of lists of numbers piece by piece.

    Raises:
        ValueError: when the file is anything else, or ends early.
    """
    text, place, ended = stream.read(_CHUNK).lstrip(), 0, False
    if not text.startswith("{"):
        raise ValueError(f"{where}: expected a JSON object of image -> list of numbers")
    place = 1
    while True:
        entry = _ENTRY.match(text, place)
        # An entry at the very end of the buffer may go on in the next chunk.
        if entry and (entry.end() < len(text) or ended):
            numbers = [int(float(word)) for word in entry[2].replace(",", " ").split()]
            yield json.loads(f'"{entry[1]}"'), numbers
            place = entry.end()
            continue
        chunk = stream.read(_CHUNK)
        if chunk:
            text, place = text[place:] + chunk, 0
        elif not ended:
            ended = True
        elif text[place:].strip() == "}":
            return
        else:
            raise ValueError(f"{where} is damaged or cut off at {text[place : place + 60]!r}: unpack it again")


def _recording(root: Path, name: str, labels: list[int], split: str, splits: Splits) -> Recording | Skipped:
    path, parts = root / name, PurePosixPath(name).parts
    if len(labels) != _LABELS:
        return Skipped(SOURCE, name, f"got {len(labels)} labels, expected {_LABELS}")
    if len(parts) < 3 or parts[-2] not in ("live", "spoof") or ".." in parts or name.startswith("/"):
        return Skipped(SOURCE, name, "the path is not Data/<split>/<subject>/live or spoof/<image>")
    statements = {labels[_TYPE] != 0, labels[_IS_ATTACK] != 0, parts[-2] == "spoof"}
    if len(statements) > 1:
        return Skipped(
            SOURCE,
            name,
            f"type {labels[_TYPE]}, flag {labels[_IS_ATTACK]} and folder {parts[-2]} disagree on live or spoof",
        )
    kind = native_type(SOURCE, str(labels[_TYPE]), name)
    if isinstance(kind, Skipped):
        return kind
    if not path.is_file():
        return Skipped(SOURCE, name, "the labels name it, but there is no such file")
    try:
        box = _face_box(path.with_name(f"{path.stem}_BB.txt"))
    except ValueError as error:
        return Skipped(SOURCE, name, str(error))
    subject = f"{SOURCE}/{parts[-3]}"
    return Recording(
        SOURCE,
        name,
        path,
        subject,
        str(labels[_TYPE]),
        kind,
        splits.hold_out(subject) if split == "train" else split,
        still=True,
        face_box=box,
        attributes={"illumination": labels[_ILLUMINATION], "environment": labels[_ENVIRONMENT]},
    )


def _face_box(file: Path) -> tuple[float, float, float, float] | None:
    """x1, y1, x2, y2 in 0..1 of the image; None if the image has no box file."""
    if not file.is_file():
        return None
    try:
        x, y, width, height = (float(word) for word in file.read_text(encoding="utf-8").split()[:4])
    except ValueError as error:
        raise ValueError(f"{file.name}: expected x, y, width, height and a confidence ({error})") from error
    box = tuple(min(1.0, max(0.0, edge / _GRID)) for edge in (x, y, x + width, y + height))
    if box[0] >= box[2] or box[1] >= box[3]:
        raise ValueError(f"{file.name}: the face box {x:g} {y:g} {width:g} {height:g} is empty or outside the image")
    return box[0], box[1], box[2], box[3]
