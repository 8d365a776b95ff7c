"""A data set as a folder that everything else reads: images and `metadata.jsonl`; resumable, by several processes.

Written are `images/<recording>-<frame>.png`, `metadata.jsonl` (one row an image, readable by `read_samples` and by
`datasets.load_dataset("imagefolder", data_dir=out)`), `skipped.jsonl` (everything that gave nothing, with the reason)
and a hidden `.extract/` with the settings and a journal of finished recordings, from which a stopped run goes on. A
run that was killed and resumed writes the same bytes as one that was not. The images stay under the data set's
licence: the folder is for those who signed it.

Example:
    >>> from faceshield_hf.data.sources.extract import image_name
    >>> image_name("Spoof/Mask_HalfMask/Mask_Half_12.mov", 30, "png")
    'images/Spoof/Mask_HalfMask/Mask_Half_12.mov-00030.png'
"""

import json
import multiprocessing
import os
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

import cv2
from filelock import FileLock, Timeout
from tqdm.auto import tqdm

from faceshield_hf.data.samples import TABLE, Sample
from faceshield_hf.whole_files import whole_file, write_json, write_whole

from .common import Recording, Skipped, Splits
from .crop import Crop
from .read import encode, reader_of, samples_of


SKIPPED = "skipped.jsonl"
_FORMAT = 1  # raised when the same settings would give other images: old unfinished runs are then refused


@dataclass
class Extracted:
    """What an extraction gave.

    Attributes:
        table (`Path`): the written `metadata.jsonl`.
        images (`Counter`): (split, type) -> how many images.
        skipped (`Counter`): data set's reason, shortened -> how often.
        shared (`list[str]`): subjects that the data set's own lists put into more than one split.
    """

    table: Path
    images: Counter = field(default_factory=Counter)
    skipped: Counter = field(default_factory=Counter)
    shared: list[str] = field(default_factory=list)


def extract(
    source: str,
    root: str | Path,
    out: str | Path,
    splits: Splits | None = None,
    frames: int | None = None,
    crop: Crop | None = None,
    encoding: str = "png",
    workers: int | None = None,
) -> Extracted:
    """Write the frames of a data set.

    Args:
        source (`str`): the data set, one of `faceshield_hf.data.sources.read.READERS`.
        root (`str` or `Path`): its folder.
        out (`str` or `Path`): the folder to write; a run that was stopped goes on where it was.
        splits (`Splits`, *optional*): the data set's lists, or the shares of a split by subject.
        frames (`int`, *optional*): at most so many of each recording; what the papers use if not given.
        crop (`Crop`, *optional*): cut out the face.
        encoding (`str`, *optional*, defaults to `"png"`): "png" or "jpg".
        workers (`int`, *optional*): processes; all cores if not given. They are spawned: a script that calls this with
            more than one needs the usual `if __name__ == "__main__":`.

    Returns:
        `Extracted`: counts, and where the table is.

    Raises:
        ValueError: a parameter out of range or of no use to the data set, a folder that is not the data set, `out`
            holding a run with other settings, or another process writing into it.
    """
    reader, splits, out = reader_of(source), splits or Splits(), Path(out)
    reader.check(splits)
    if encoding not in ("png", "jpg"):
        raise ValueError(f"got encoding {encoding!r}, expected png or jpg")
    if frames is not None and frames < 1:
        raise ValueError(f"got frames={frames}, at least 1 of each recording is needed")
    if workers is not None and workers < 1:
        raise ValueError(f"got workers={workers}, at least 1 process is needed")
    home = out / ".extract"
    home.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(home / "lock", timeout=0):
            _claim(out, home, _settings(source, root, splits, frames or reader.default_frames, crop, encoding))
            journal = home / "journal.jsonl"
            done = _mend(journal)
            plan = (
                _Job(item, str(out), frames, crop, encoding)
                for item in tqdm(reader.recordings(Path(root), splits), desc=f"extracting {source}", unit="recording")
                if _name(item) not in done
            )
            with journal.open("ab") as log:
                for entry in _run(plan, workers or os.cpu_count() or 1):
                    log.write(json.dumps(entry).encode() + b"\n")
                    log.flush()
            return _collect(journal, out)
    except Timeout as error:
        raise ValueError(f"another process is extracting into {out}: wait for it, or give another folder") from error


def image_name(recording: str, frame: int, encoding: str) -> str:
    """What the image of a frame is called, below the output folder."""
    return f"images/{recording}-{frame:05d}.{encoding}"


@dataclass(frozen=True)
class _Job:
    item: Recording | Skipped
    out: str
    frames: int | None
    crop: Crop | None
    encoding: str


def _name(item: Recording | Skipped) -> str:
    return item.name if isinstance(item, Recording) else item.item


def _run(plan: Iterator[_Job], workers: int) -> Iterator[dict[str, Any]]:
    """Do the jobs, in order; a few are kept in flight so that memory stays flat however many there are."""
    if workers == 1:
        yield from map(_extract_one, plan)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        flying: deque[Future] = deque()
        for job in plan:
            flying.append(pool.submit(_extract_one, job))
            if len(flying) >= 4 * workers:
                yield flying.popleft().result()
        while flying:
            yield flying.popleft().result()


def _extract_one(job: _Job) -> dict[str, Any]:
    """Write the images of one recording; only then is it entered into the journal."""
    if isinstance(job.item, Skipped):
        return {"name": job.item.item, "rows": [], "skipped": [asdict(job.item)]}
    rows: list[dict[str, Any]] = []
    skipped: list[dict[str, str]] = []
    for sample in samples_of(job.item, job.frames, job.crop, job.encoding):
        if isinstance(sample, Skipped):
            skipped.append(asdict(sample))
            continue
        file_name = image_name(job.item.name, sample.attributes["frame"], job.encoding)
        content = sample.content if sample.content is not None else encode(sample.open(), job.encoding)
        write_whole(Path(job.out) / file_name, content)
        rows.append(_row(sample, file_name))
    return {"name": job.item.name, "rows": rows, "skipped": skipped}


def _row(sample: Sample, file_name: str) -> dict[str, Any]:
    facts = dict(sample.attributes)
    return {
        "file_name": file_name,
        "label": "real" if sample.is_live else "spoof",
        "attack_type": sample.attack_type.value,
        "boxes": [],  # no data set tells regions: its attacks are not asked where they are
        "box_labels": [],
        "cues": [],
        "width": facts.pop("width"),
        "height": facts.pop("height"),
        # One JSON string: its keys differ between data sets, and columns need one type.
        "attributes": json.dumps(facts, sort_keys=True),
        "domain": sample.domain,
        "subject_id": sample.subject_id,
        "dataset": sample.source,
        "native_label": sample.native_label,
        "split": sample.split,
    }


def _settings(
    source: str, root: str | Path, splits: Splits, frames: int, crop: Crop | None, encoding: str
) -> dict[str, Any]:
    shares = asdict(splits) | {"lists": None if splits.lists is None else str(splits.lists)}
    return {
        "format": _FORMAT,
        "source": source,
        "root": str(Path(root).resolve()),
        "splits": shares,
        "frames": frames,
        "crop": None if crop is None else asdict(crop),
        "encoding": encoding,
    }


def _claim(out: Path, home: Path, settings: dict[str, Any]) -> None:
    """Make the folder ours, or check that it holds a run with these very settings."""
    file = home / "settings.json"
    if file.exists():
        found = json.loads(file.read_text(encoding="utf-8"))
        differ = sorted(key for key in settings if found.get(key) != settings[key])
        if differ:
            raise ValueError(f"{out} holds a run with another {', '.join(differ)}: give another folder, or delete it")
    elif (out / TABLE).exists():
        raise ValueError(f"{out} holds a {TABLE} that was not extracted: give another folder")
    else:
        write_json(file, settings)


def _mend(journal: Path) -> set[str]:
    """The recordings in the journal; a last line that was not finished is cut off."""
    done: set[str] = set()
    if not journal.exists():
        return done
    whole = 0
    with journal.open("rb") as lines:
        for line in lines:
            if not line.endswith(b"\n"):
                break
            done.add(json.loads(line)["name"])
            whole += len(line)
    os.truncate(journal, whole)
    return done


def _collect(journal: Path, out: Path) -> Extracted:
    """Turn the journal into the tables, line by line."""
    result = Extracted(out / TABLE)
    subjects: dict[str, str] = {}
    with (
        journal.open(encoding="utf-8") as lines,
        whole_file(out / TABLE) as table_part,
        whole_file(out / SKIPPED) as skipped_part,
        table_part.open("w", encoding="utf-8") as table,
        skipped_part.open("w", encoding="utf-8") as skipped,
    ):
        for line in lines:
            entry = json.loads(line)
            for row in entry["rows"]:
                _line(table, row)
                result.images[row["split"], row["attack_type"]] += 1
                if subjects.setdefault(row["subject_id"], row["split"]) not in (row["split"], ""):
                    result.shared.append(row["subject_id"])
                    subjects[row["subject_id"]] = ""
            for item in entry["skipped"]:
                _line(skipped, item)
                result.skipped[item["reason"][:80]] += 1
    return result


def _line(file: IO[str], value: dict[str, Any]) -> None:
    file.write(json.dumps(value) + "\n")
