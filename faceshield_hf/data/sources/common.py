"""What the readers of all data sets share: recordings, what was skipped and why, and splits by subject.

It knows nothing of any one data set.

Example:
    >>> from faceshield_hf.data.sources.common import Splits, evenly
    >>> evenly(100, 4)
    [0, 25, 50, 75]
    >>> Splits().of("wmca/005") == Splits().of("wmca/005")
    True
"""

import hashlib
import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from faceshield_hf.data.schema import SPLITS
from faceshield_hf.tasks_faceshield import AttackType

from .labels import native_type_of


@dataclass(frozen=True)
class Recording:
    """One file of a data set (or one row of a table), not opened yet.

    Attributes:
        source (`str`): the data set's name, such as "wmca".
        name (`str`): its path below the data set's folder, with forward slashes; unique within the data set.
        path (`Path`): the file.
        subject_id (`str`): whose face it is, with the data set's name in front.
        native_label (`str`): the label as the data set writes it.
        attack_type (`AttackType`): the type that the label stands for.
        split (`str`): "train", "validation" or "test".
        still (`bool`): whether `path` is itself an image file.
        face_box (`tuple`, *optional*): x1, y1, x2, y2 of the face in 0..1 of the image, where the data set gives it.
        attributes (`dict`): anything else that the data set tells; JSON values only.
    """

    source: str
    name: str
    path: Path
    subject_id: str
    native_label: str
    attack_type: AttackType
    split: str
    still: bool = False
    face_box: tuple[float, float, float, float] | None = None
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Skipped:
    """Something of a data set that gives no sample.

    Attributes:
        source (`str`): the data set's name.
        item (`str`): the recording's name, with `, frame N` where only one frame is meant.
        reason (`str`): why, for people.
    """

    source: str
    item: str
    reason: str


@dataclass(frozen=True)
class Splits:
    """How a data set is split: by its own lists where they are given, else by a hash of the subject.

    The hash makes a subject's split depend on nothing but the subject and the seed: not on which files are there, nor
    on their order. Shares are therefore met on average, not exactly.

    Attributes:
        lists (`Path`, *optional*): the data set's own lists, in the form that its reader names.
        fold (`int`, *optional*): which of the lists, where the data set numbers them (OULU-NPU, protocols 3 and 4).
        validation (`float`, *optional*, defaults to 0.1): share of the subjects for validation. A data set with
            training and test subjects of its own, but none for validation, gives up this share of its training
            subjects; 0 leaves it as it is.
        test (`float`, *optional*, defaults to 0.1): share of the subjects for testing, where there are no lists.
        seed (`int`, *optional*, defaults to 0): another seed, another split.
    """

    lists: Path | None = None
    fold: int | None = None
    validation: float = 0.1
    test: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        if not (0 <= self.validation < 1 and 0 <= self.test < 1 and self.validation + self.test < 1):
            raise ValueError(
                f"got shares of {self.validation} for validation and {self.test} for testing; expected 0 or more, "
                "with something left for training"
            )

    def of(self, subject_id: str) -> str:
        """The split of a subject in a data set without lists."""
        place = self._place(subject_id)
        if place < self.test:
            return "test"
        return "validation" if place < self.test + self.validation else "train"

    def hold_out(self, subject_id: str) -> str:
        """Of a training subject: "train", or "validation" for the share held out."""
        return "validation" if self._place(subject_id) < self.validation else "train"

    def _place(self, subject_id: str) -> float:
        digest = hashlib.sha256(f"{self.seed}:{subject_id}".encode()).digest()
        return int.from_bytes(digest[:8], "big") / 2**64


@dataclass(frozen=True)
class Reader:
    """How one data set is read.

    Attributes:
        source (`str`): the data set's name.
        recordings (`Callable`): root and `Splits` -> an iterator over `Recording` and `Skipped`; it raises a
            `ValueError` when the folder does not look like the data set.
        frames (`Callable`): a `Recording` and how many frames at most -> an iterator over (index, RGB image); it
            raises a `ValueError` when the file is damaged.
        default_frames (`int`): how many frames of a recording the papers use.
        takes_lists (`bool`, *optional*, defaults to `True`): whether `Splits.lists` may name lists of its authors.
        takes_fold (`bool`, *optional*, defaults to `False`): whether those are numbered, for `Splits.fold`.
    """

    source: str
    recordings: Callable[[Path, Splits], Iterator[Recording | Skipped]]
    frames: Callable[[Recording, int], Iterator[tuple[int, Image.Image]]]
    default_frames: int
    takes_lists: bool = True
    takes_fold: bool = False

    def check(self, splits: Splits) -> None:
        """Refuse lists and folds that this data set would not look at.

        Raises:
            ValueError: naming the data set and what it takes.
        """
        if splits.lists is not None and not self.takes_lists:
            raise ValueError(
                f"got lists {splits.lists}, but {self.source} has its splits in its own folder: leave lists out"
            )
        if splits.fold is not None and not self.takes_fold:
            raise ValueError(f"got fold {splits.fold}, but {self.source} has no numbered lists: leave fold out")
        if splits.fold is not None and splits.lists is None:
            raise ValueError(
                f"got fold {splits.fold} without lists: {self.source} has folds in its protocols 3 and 4 alone; name "
                "one of them as lists, such as Protocols/Protocol_3, or leave fold out"
            )


def evenly(total: int, count: int, offset: int = 0) -> list[int]:
    """Which of `total` frames to take.

    Args:
        total (`int`): frames in the recording.
        count (`int`): how many are wanted; fewer come if there are fewer.
        offset (`int`, *optional*, defaults to 0): the first one. With 6, two frames are 6 and 6 + total // 2, as in
            FLIP's protocol (arXiv 2309.16649).

    Returns:
        `list[int]`: rising, without repeats.
    """
    count = min(count, total)
    return sorted({min(offset + i * total // count, total - 1) for i in range(count)})


def native_type(source: str, label: str, name: str) -> AttackType | Skipped:
    """The type behind a native label, or what to report when it is none of the twelve."""
    try:
        return native_type_of(source, label)
    except ValueError as error:
        return Skipped(source, name, str(error))


def open_image(image: Path | bytes) -> Image.Image:
    """The picture of a file or of its bytes: upright, RGB, transparent parts in white.

    Raises:
        ValueError: when it is no image, or damaged.
    """
    # Imported here because it brings torch along, which processes that only read videos or HDF5 need not wait for.
    from faceshield_hf.image_input_faceshield import to_rgb_image

    return to_rgb_image(image)


def existing_folder(root: Path, source: str, layout: str) -> Path:
    """The folder, if it is one.

    Raises:
        ValueError: saying what layout is expected.
    """
    if not Path(root).is_dir():
        raise ValueError(f"{source}: {root} is not a folder; expected {layout}")
    return Path(root)


def official_split(word: str) -> str | None:
    """Our name of a split that data sets call train, dev, devel, valid, eval or test; None for other words."""
    names = {"train": 0, "dev": 1, "devel": 1, "valid": 1, "validation": 1, "val": 1, "eval": 2, "test": 2}
    found = names.get(word.lower())
    return None if found is None else SPLITS[found]


def optional_module(name: str, use: str) -> Any:
    """Import a library that only some readers need.

    Raises:
        ImportError: naming the extra to install.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f"{use} needs {name.split('.')[0]}: pip install 'faceshield-hf[sources]'") from error
