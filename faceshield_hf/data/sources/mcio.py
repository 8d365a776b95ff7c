"""The four video sets of the cross-domain protocol MCIO, each in its own layout.

- **MSU-MFSD** (Wen et al. 2015): `scene01/{real,attack}/<kind>_client<n>_<camera>_<quality>[_<attack>]_scene01.mp4`,
  subjects in `train_sub_list.txt` and `test_sub_list.txt`.
- **CASIA-FASD** (Zhang et al. 2012): `{train,test}_release/<subject>/<take>.avi`, where 1, 2, HR_1 are live, 3, 4,
  HR_2 warped prints, 5, 6, HR_3 prints with eyes cut out, and 7, 8, HR_4 replays. Subject 1 of the training set and
  subject 1 of the test set are two people.
- **Replay-Attack** (Chingovska et al. 2012): `{train,devel,test}/{real,attack/fixed,attack/hand}/*.mov`; the
  enrolment videos are not part of the protocol.
- **OULU-NPU** (Boulkenafet et al. 2017): `{Train,Dev,Test}_files/<phone>_<session>_<user>_<access>.avi`.
  `Splits.lists` may be a folder of `Protocols`, such as `Protocols/Protocol_1`, with `Splits.fold` for protocols 3
  and 4.

The two without validation subjects hold out `Splits.validation` of their training subjects. Two frames a video are
taken, the 7th and the one half the video later, as in FLIP (arXiv 2309.16649). None tells the attacked region.

Example:
    >>> from faceshield_hf.data.sources.mcio import READERS
    >>> [reader.source for reader in READERS]
    ['msu-mfsd', 'casia-fasd', 'replay-attack', 'oulu-npu']
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from PIL import Image

from .common import Reader, Recording, Skipped, Splits, existing_folder, native_type, official_split
from .video import list_videos, video_frames


_FLIP_OFFSET = 6
# What a reader finds in a path: subject, native label, official split, and what else it tells.
_Parsed = tuple[str, str, str, dict[str, str]]


def _msu_mfsd(root: Path, splits: Splits) -> Iterator[Recording | Skipped]:
    subjects: dict[int, str] = {}
    for split in ("train", "test"):
        found = sorted(root.rglob(f"{split}_sub_list.txt"))
        if not found:
            raise ValueError(f"msu-mfsd: {root} holds no {split}_sub_list.txt, which lists the {split} subjects")
        for number in found[0].read_text(encoding="utf-8").split():
            if subjects.setdefault(int(number), split) != split:
                raise ValueError(f"{found[0]}: subject {number} is listed for training and for testing")

    def parse(name: str) -> _Parsed | str:
        match = re.fullmatch(
            r"(real|attack)_client(\d+)_(android|laptop)_(SD|HD)(?:_(\w+?))?_scene01", Path(name).stem, re.ASCII
        )
        if match is None or (match[1] == "real") != (match[5] is None):
            return "the name is not <kind>_client<n>_<camera>_<quality>[_<attack>]_scene01"
        if int(match[2]) not in subjects:
            return f"subject {match[2]} is in neither subject list"
        return match[2], match[5] or "real", subjects[int(match[2])], {"camera": match[3], "quality": match[4]}

    return _list("msu-mfsd", root, splits, parse)


_CASIA_TAKES = {
    take: label
    for label, takes in {
        "real": ("1", "2", "HR_1"),
        "warped photo": ("3", "4", "HR_2"),
        "cut photo": ("5", "6", "HR_3"),
        "video": ("7", "8", "HR_4"),
    }.items()
    for take in takes
}


def _casia_fasd(root: Path, splits: Splits) -> Iterator[Recording | Skipped]:
    def parse(name: str) -> _Parsed | str:
        match = re.fullmatch(r"(?:.*/)?(train|test)_release/(\d+)/(\w+)\.\w+", name, re.ASCII)
        if match is None or match[3] not in _CASIA_TAKES:
            return "the path is not train_release or test_release/<subject>/<1 to 8 or HR_1 to HR_4>"
        return f"{match[1]}-{match[2]}", _CASIA_TAKES[match[3]], match[1], {"take": match[3]}

    return _list("casia-fasd", root, splits, parse)


def _replay_attack(root: Path, splits: Splits) -> Iterator[Recording | Skipped]:
    def parse(name: str) -> _Parsed | str:
        if "enroll" in Path(name).parts:
            return "an enrolment video: not part of the protocol"
        match = re.fullmatch(
            r"(?:.*/)?(train|devel|test)/(?:real|attack/(fixed|hand))/"
            r"(?:attack_(print|mobile|highdef)_)?client(\d+)_session\d+_(\w+)\.\w+",
            name,
            re.ASCII,
        )
        if match is None or (match[2] is None) != (match[3] is None):
            return "the path is not <split>/real/... or <split>/attack/<fixed or hand>/attack_<device>_client<n>_..."
        if match[3] is None:
            return match[4], "real", match[1], {}
        medium = "video" if "_video_" in f"_{match[5]}_" else "photo"
        return match[4], f"{match[3]}_{medium}", match[1], {"support": match[2]}

    return _list("replay-attack", root, splits, parse)


def _oulu_npu(root: Path, splits: Splits) -> Iterator[Recording | Skipped]:
    listed = None if splits.lists is None else _oulu_lists(splits.lists, splits.fold)

    def parse(name: str) -> _Parsed | str:
        match = re.fullmatch(r"(?:.*/)?(Train|Dev|Test)_files/((\d+)_(\d+)_(\d+)_(\d+))\.\w+", name, re.ASCII)
        if match is None:
            return "the path is not Train_files, Dev_files or Test_files/<phone>_<session>_<user>_<access>"
        if listed is not None and match[2] not in listed:
            return f"in none of the lists of {splits.lists}"
        split = match[1] if listed is None else listed[match[2]]
        return match[5], match[6], split, {"phone": match[3], "session": match[4]}

    return _list("oulu-npu", root, splits, parse)


def _oulu_lists(folder: Path, fold: int | None) -> dict[str, str]:
    """Video -> Train, Dev or Test."""
    listed: dict[str, str] = {}
    for split in ("Train", "Dev", "Test"):
        file = folder / (f"{split}.txt" if fold is None else f"{split}_{fold}.txt")
        if not file.is_file():
            hint = "" if fold is not None else "; protocols 3 and 4 need a fold, 1 to 6"
            raise ValueError(f"oulu-npu: there is no {file}{hint}")
        for line in file.read_text(encoding="utf-8").split():
            video = line.rpartition(",")[2].strip()
            if listed.setdefault(video, split) != split:
                raise ValueError(f"{file}: {video} is listed for {listed[video]} too")
    return listed


def _list(
    source: str, root: Path, splits: Splits, parse: Callable[[str], _Parsed | str]
) -> Iterator[Recording | Skipped]:
    videos = list_videos(existing_folder(root, source, _layout(source)))
    if not videos:
        raise ValueError(f"{source}: {root} holds no video; expected {_layout(source)}")
    for path in videos:
        name = path.relative_to(root).as_posix()
        parsed = parse(name)
        if isinstance(parsed, str):
            yield Skipped(source, name, parsed)
            continue
        number, label, word, attributes = parsed
        kind = native_type(source, label, name)
        if isinstance(kind, Skipped):
            yield kind
            continue
        subject, split = f"{source}/{number}", official_split(word)
        if split == "train" and source in ("msu-mfsd", "casia-fasd"):
            split = splits.hold_out(subject)
        yield Recording(source, name, path, subject, label, kind, str(split), attributes=dict(attributes))


def _layout(source: str) -> str:
    return f"the delivered tree of {source} (see the docstring of faceshield_hf.data.sources.mcio)"


def _frames(recording: Recording, count: int) -> Iterator[tuple[int, Image.Image]]:
    return video_frames(recording.path, count, offset=_FLIP_OFFSET)


READERS = tuple(
    Reader(source, lister, _frames, default_frames=2, takes_lists=takes, takes_fold=takes)
    for source, lister, takes in (
        ("msu-mfsd", _msu_mfsd, False),
        ("casia-fasd", _casia_fasd, False),
        ("replay-attack", _replay_attack, False),
        ("oulu-npu", _oulu_npu, True),
    )
)
