"""What a system said of each image, on disk: one JSON object a line, appended as it comes.

A run that was killed goes on from here, also with another number of processes: each writes its own file,
`results-00000.jsonl`, and all are read. A line torn by a kill is cut off. `run.json` beside them says what made them,
so that the answers of two systems never mix. It knows files; neither models nor metrics.

Example:
    >>> import tempfile
    >>> from faceshield_hf.evaluation.results import Said, append_results, read_results
    >>> folder = tempfile.mkdtemp()
    >>> append_results(folder, [Said("a.jpg", score=0.5)])
    >>> read_results(folder)["a.jpg"].score
    0.5
"""

import json
import os
import zlib
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from faceshield_hf.whole_files import write_json, write_whole


@dataclass(frozen=True)
class Said:
    """What a system said of one image.

    Attributes:
        image (`str`): path of the image file.
        score (`float`, *optional*): p(spoof), 0..1.
        answers (`dict[str, str]`): task -> the system's own words.
        error (`str`, *optional*): why there is neither.
        content (`str`, *optional*): `content_mark` of the encoded image that was judged.
    """

    image: str
    score: float | None = None
    answers: dict[str, str] = field(default_factory=dict)
    error: str | None = None
    content: str | None = None


def content_mark(content: bytes) -> str:
    """Tell an encoded image from another under the same name: its length and CRC-32, in hexadecimal digits."""
    return f"{len(content):x}-{zlib.crc32(content):08x}"


def read_results(folder: str | Path) -> dict[str, Said]:
    """Read all that was said, by image; of an image that is there twice the last line counts.

    Raises:
        ValueError: for a line that is no result and not the torn last one of its file.
    """
    found = {}
    for path in sorted(Path(folder).glob("results-*.jsonl")):
        lines = path.read_bytes().split(b"\n")
        for number, line in enumerate(lines[:-1], 1):  # what follows the last line break was torn
            try:
                said = Said(**json.loads(line))
            except (ValueError, TypeError) as error:
                raise ValueError(
                    f"{path}, line {number}: no result ({error}); delete the file to judge anew"
                ) from error
            found[said.image] = said
    return found


def append_results(folder: str | Path, results: Sequence[Said], process: int = 0) -> None:
    """Add results to a process's file; a torn line at its end is cut off first."""
    path = Path(folder) / f"results-{process:05d}.jsonl"
    with path.open("ab+") as file:
        _cut_torn_line(file)
        file.write("".join(json.dumps(asdict(said)) + "\n" for said in results).encode())


def forget_results(folder: str | Path, images: Collection[str]) -> None:
    """Take out what was said of some images; each file is replaced as a whole.

    Args:
        folder (`str` or `Path`): where nobody writes meanwhile.
        images (`Collection[str]`): their paths.
    """
    if not images:
        return
    for path in sorted(Path(folder).glob("results-*.jsonl")):
        lines = path.read_bytes().split(b"\n")[:-1]
        kept = [line + b"\n" for line in lines if json.loads(line)["image"] not in images]
        write_whole(path, b"".join(kept))


def claim_folder(folder: str | Path, made_by: dict[str, Any]) -> None:
    """Write what makes the results of a folder, or check that it is what made those that are there.

    Args:
        folder (`str` or `Path`): made if missing.
        made_by (`dict`): JSON values that tell systems apart.

    Raises:
        ValueError: when another system, or another state of it, made what is there.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "run.json"
    wanted = json.loads(json.dumps(made_by))
    if path.exists():
        there = json.loads(path.read_text(encoding="utf-8"))
        different = sorted(key for key in {*there, *wanted} if there.get(key) != wanted.get(key))
        if different:
            raise ValueError(
                f"{folder} belongs to another run ({', '.join(different)} differ): choose another folder, or delete "
                "this one to begin anew"
            )
        return
    write_json(path, wanted)


def _cut_torn_line(file: Any) -> None:
    size = file.seek(0, os.SEEK_END)
    if not size:
        return
    step = min(size, 1 << 20)
    file.seek(size - step)
    tail = file.read(step)
    file.truncate(size - step + tail.rfind(b"\n") + 1)
