"""WMCA (George et al. 2019, arXiv 1909.08881): HDF5 files of 50 face crops each, as Idiap delivers them.

Expected are the preprocessed colour files, `<date>/<client>_<session>_<presenter>_<type>_<instrument>.hdf5`, each with
`Frame_<i>/array` of shape (3, 128, 128), uint8, RGB. The native label is `<type>_<instrument>`, such as "3_01". The
faces are cropped and aligned already. The four-channel files (gray, depth, infrared, thermal) hold no colour and are
refused. Regions of attacks are not part of the data set.

The subject is the client: the identity that is shown to the camera. `Splits.lists` is the folder of a protocol, with
files below `train`, `dev` and `eval` (`for_real.lst`, `for_attack.lst`: a recording and its client a line) or with
those words in their names; recordings in no list are skipped by name, which is how the leave-one-out protocols leave
their attack out.

Example:
    >>> from faceshield_hf.data.sources.wmca import parse_name
    >>> parse_name("100_03_015_2_10")
    ('100', '2_10', {'session': '03', 'presenter': '015'})
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .common import (
    Reader,
    Recording,
    Skipped,
    Splits,
    evenly,
    existing_folder,
    native_type,
    official_split,
    optional_module,
)


SOURCE = "wmca"
_LAYOUT = "folders of dates holding <client>_<session>_<presenter>_<type>_<instrument>.hdf5"
_NAME = re.compile(r"(\d+)_(\d+)_(\d+)_(\d)_(\d{1,2})", re.ASCII)


def parse_name(stem: str) -> tuple[str, str, dict[str, str]] | None:
    """Client, native label and the rest of a file's name; None if it isn't named by the convention."""
    match = _NAME.fullmatch(stem)
    if match is None:
        return None
    client, session, presenter, kind, instrument = match.groups()
    return client, f"{kind}_{instrument}", {"session": session, "presenter": presenter}


def recordings(root: Path, splits: Splits) -> Iterator[Recording | Skipped]:
    """List the recordings; no file is opened."""
    files = sorted(existing_folder(root, SOURCE, _LAYOUT).rglob("*.hdf5"))
    if not files:
        raise ValueError(f"{SOURCE}: {root} holds no .hdf5 file; expected {_LAYOUT}")
    listed = None if splits.lists is None else _read_lists(splits.lists)
    for path in files:
        name = path.relative_to(root).as_posix()
        parsed = parse_name(path.stem)
        if parsed is None:
            yield Skipped(SOURCE, name, f"the name is not {_LAYOUT.rpartition(' ')[2]}")
            continue
        client, native_label, attributes = parsed
        kind = native_type(SOURCE, native_label, name)
        if isinstance(kind, Skipped):
            yield kind
            continue
        subject = f"{SOURCE}/{client}"
        split = splits.of(subject) if listed is None else listed.get(_key(name))
        if split is None:
            yield Skipped(SOURCE, name, f"in none of the lists of {splits.lists}")
            continue
        yield Recording(SOURCE, name, path, subject, native_label, kind, split, attributes=attributes)


def frames(recording: Recording, count: int) -> Iterator[tuple[int, Image.Image]]:
    """Read up to `count` frames of a recording, spread evenly."""
    h5py = optional_module("h5py", "reading WMCA")
    try:
        with h5py.File(recording.path, "r") as file:
            names = sorted((n for n in file if re.fullmatch(r"Frame_\d+", n)), key=lambda n: int(n[6:]))
            if not names:
                raise ValueError(f"{recording.path} has no group Frame_<i>; it has {list(file)[:5]}")
            for index in evenly(len(names), count):
                yield index, _picture(np.asarray(file[names[index]]["array"]), f"{recording.path}, {names[index]}")
    # h5py raises OSError over damaged files and chunks, KeyError over missing data sets, RuntimeError over others.
    except (OSError, KeyError, RuntimeError, TypeError) as error:
        raise ValueError(f"{recording.path} can't be read as HDF5 ({error}): copy it again") from error


READER = Reader(SOURCE, recordings, frames, default_frames=50)


def _picture(array: Any, where: str) -> Image.Image:
    if array.ndim == 3 and array.shape[0] == 4:
        raise ValueError(
            f"{where} has 4 channels (gray, depth, infrared, thermal) and no colour: use the preprocessed RGB files"
        )
    if array.ndim != 3 or array.shape[0] != 3 or array.dtype != np.uint8 or not array.size:
        raise ValueError(
            f"{where}: got {array.dtype} of shape {array.shape}, expected uint8 of shape (3, height, width)"
        )
    return Image.fromarray(np.ascontiguousarray(array.transpose(1, 2, 0)))


def _key(name: str) -> str:
    """What a recording is called in lists: date and stem; lists differ in what they put before and after."""
    return "/".join(name.removesuffix(".hdf5").split("/")[-2:])


def _read_lists(folder: Path) -> dict[str, str]:
    """Recording -> split, of all lists below a protocol's folder."""
    files = sorted(p for p in existing_folder(folder, SOURCE, "a protocol's folder").rglob("*") if p.is_file())
    listed: dict[str, str] = {}
    for file in files:
        words = re.findall(r"[a-z]+", file.relative_to(folder).as_posix().lower())
        split = next((found for found in map(official_split, words) if found), None)
        if split is None or file.suffix.lower() not in (".lst", ".csv", ".txt"):
            continue
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            name = re.split(r"[\s,;]", line.strip())[0]
            if not name or parse_name(_key(name).rpartition("/")[2]) is None:  # an empty line or a heading
                continue
            if listed.setdefault(_key(name), split) != split:
                raise ValueError(f"{file}, row {number}: {name} is {split} here, but {listed[_key(name)]} before")
    if not listed:
        raise ValueError(
            f"{folder} holds no list of recordings; expected train, dev and eval with for_real.lst and for_attack.lst"
        )
    return listed
