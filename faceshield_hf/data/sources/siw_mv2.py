"""SiW-Mv2 (Guo et al. 2022, arXiv 2208.11148): videos in `Live/` and in 14 folders below `Spoof/`.

The native label is the folder's name. A video's own name begins with a label too (`Paper_12.mov` is a print); one that
contradicts its folder is skipped. Regions of attacks are not part of the data set.

The release names videos, not people, so a video is its own subject, and a person filmed twice may come into two
splits. Whoever knows more puts a `subjects.csv` (columns `video`, `subject`) into the data set's folder.
`Splits.lists` is the folder `pro_3_text` of the authors' repository: `trainlist_live.txt`, `trainlist_all.txt`,
`testlist_live.txt` and `testlist_all.txt` (protocol I); videos in no list are skipped by name.

Example:
    >>> from faceshield_hf.data.sources.siw_mv2 import agrees
    >>> agrees("Print", "Paper_12"), agrees("Print", "Mask_Paper_12"), agrees("Print", "my_own_name")
    (True, False, True)
"""

import csv
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from faceshield_hf.tasks_faceshield import AttackType

from .common import Reader, Recording, Skipped, Splits, existing_folder, native_type
from .video import list_videos, video_frames


SOURCE = "siw-mv2"
_LAYOUT = "Live/*.mov and Spoof/<label>/*.mov"
_LISTS = {"trainlist_live": "train", "trainlist_all": "train", "testlist_live": "test", "testlist_all": "test"}


def agrees(folder: str, stem: str) -> bool:
    """Whether a video's name stands for the same type as its folder; names of no known type always do."""
    try:
        by_name = AttackType.from_native(SOURCE, stem)
    except ValueError:
        return True
    return by_name is AttackType.from_native(SOURCE, folder)


def recordings(root: Path, splits: Splits) -> Iterator[Recording | Skipped]:
    """List the videos; none is opened."""
    root = existing_folder(root, SOURCE, _LAYOUT)
    videos = list_videos(root)
    if not videos:
        raise ValueError(f"{SOURCE}: {root} holds no video; expected {_LAYOUT}")
    subjects = _read_subjects(root / "subjects.csv")
    listed = None if splits.lists is None else _read_lists(splits.lists)
    for path in videos:
        name, label = path.relative_to(root).as_posix(), path.parent.name
        kind = native_type(SOURCE, label, name)
        if isinstance(kind, Skipped):
            yield kind
        elif not agrees(label, path.stem):
            yield Skipped(SOURCE, name, f"the folder says {label}, the video's name says another type")
        elif listed is not None and path.stem not in listed:
            yield Skipped(SOURCE, name, f"in none of the lists of {splits.lists}")
        else:
            subject = f"{SOURCE}/{subjects.get(path.stem, path.stem)}"
            split = splits.of(subject) if listed is None else listed[path.stem]
            if listed is not None and split == "train":
                split = splits.hold_out(subject)
            yield Recording(SOURCE, name, path, subject, label, kind, split)


def frames(recording: Recording, count: int) -> Iterator[tuple[int, Image.Image]]:
    """Decode up to `count` frames, spread evenly."""
    return video_frames(recording.path, count)


READER = Reader(SOURCE, recordings, frames, default_frames=10)


def _read_lists(folder: Path) -> dict[str, str]:
    """Video -> split. The lists repeat names to balance classes."""
    listed: dict[str, str] = {}
    for stem, split in _LISTS.items():
        file = folder / f"{stem}.txt"
        if not file.is_file():
            raise ValueError(f"{SOURCE}: there is no {file}; expected {', '.join(f'{s}.txt' for s in _LISTS)}")
        for video in file.read_text(encoding="utf-8").split():
            if listed.setdefault(video, split) != split:
                raise ValueError(f"{file}: {video} is listed for training and for testing")
    return listed


def _read_subjects(file: Path) -> dict[str, str]:
    if not file.is_file():
        return {}
    with file.open(encoding="utf-8", newline="") as lines:
        rows = csv.DictReader(lines)
        if not {"video", "subject"} <= set(rows.fieldnames or ()):
            raise ValueError(f"{file} has the columns {rows.fieldnames}; expected video and subject")
        return {Path(row["video"]).stem: row["subject"] for row in rows}
