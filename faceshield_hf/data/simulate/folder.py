"""A data set of simulated images from a folder of faces: many processes, resumable, the same bytes for a seed.

Written are `images/*.jpg` (the camera's own files), `metadata.jsonl` (one row an image, readable by
`datasets.load_dataset("imagefolder", data_dir=out)`), `skipped.jsonl` (every file that gave nothing and every attack
that could not be shown on a face, with the reason) and a hidden `.simulate/` with the settings and finished faces,
from which a killed run goes on. Worker processes are spawned: a script that calls `simulate_folder` with more than one
needs the usual `if __name__ == "__main__":`.

Example:
    >>> from pathlib import Path
    >>> from faceshield_hf.data.simulate.folder import plan_types
    >>> [len(types) for types in plan_types(faces=3, per_face=4, seed=0)]
    [4, 4, 4]
"""

import csv
import hashlib
import json
import multiprocessing
import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError
from tqdm.auto import tqdm

from faceshield_hf.memory import keep_freed_memory
from faceshield_hf.tasks_faceshield import AttackType
from faceshield_hf.whole_files import whole_file, write_json, write_whole

from .core import Simulated, render
from .domains import DOMAINS
from .source import prepare


IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
_FORMAT = 5  # raised when the same settings would give other images: old unfinished runs are then refused


@dataclass(frozen=True)
class _Job:
    """All images of one face: everything a worker needs."""

    index: int
    path: str
    source: str
    types: tuple[str, ...]
    out: str
    seed: int
    domain: str
    subject: str


def list_faces(folder: Path | str) -> list[Path]:
    """All image files below a folder, sorted.

    Raises:
        ValueError: the folder does not exist or has no image.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder: give one with photos of faces")
    found = sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix.lower() in IMAGE_SUFFIXES)
    if not found:
        raise ValueError(f"{folder} has no image: accepted are files ending in {', '.join(IMAGE_SUFFIXES)}")
    return found


def simulate_folder(
    faces: Path | str | Sequence[Path | str],
    out: Path | str,
    per_face: int,
    seed: int,
    domain: str = "A",
    workers: int | None = None,
    *,
    attack_types: Sequence[AttackType | str] | None = None,
    live_share: float = 0.3,
    root: Path | str | None = None,
    subjects: Mapping[str, str] | None = None,
) -> Path:
    """Simulate `per_face` images of every face.

    Args:
        faces (`Path` or `Sequence[Path]`): a folder, searched with its subfolders, or a list of files.
        out (`Path`): the data set's folder; a run that was stopped goes on where it was.
        per_face (`int`): images of each face, at least 1.
        seed (`int`): 0 or more; the same seed gives the same bytes, whatever the number of workers.
        domain (`str`, *optional*, defaults to `"A"`): "A", "B" or "C".
        workers (`int`, *optional*): processes; all cores if not given.
        attack_types (`Sequence[AttackType]`, *optional*): attacks to draw from, all 11 if not given.
        live_share (`float`, *optional*, defaults to 0.3): share of bona fide images.
        root (`Path`, *optional*): folder that sources and subjects are named relative to; the common parent of
            `faces` if not given.
        subjects (`Mapping[str, str]`, *optional*): source -> whose face it is, where a person has several photos; a
            file not named there is a person of its own.

    Returns:
        `Path`: the written `metadata.jsonl`.

    Raises:
        ValueError: a parameter out of range, no face file, or `out` holds a run with other settings.
    """
    files, others, base = _inputs(faces, root)
    kinds = _checked_types(attack_types)
    _check(per_face, seed, domain, workers, live_share)
    out = Path(out)
    sources = [os.path.relpath(f, base).replace(os.sep, "/") for f in files]
    plan = plan_types(len(files), per_face, seed, live_share, kinds)
    people = {s: (subjects or {}).get(s, _subject(s)) for s in sources}
    settings = {"format": _FORMAT, "per_face": per_face, "seed": seed, "domain": domain, "live_share": live_share}
    settings["attack_types"] = [k.value for k in kinds]
    settings["sources"] = _digest(*sources, *people.values())
    _claim(out, settings)
    jobs = [
        _Job(i, str(f), s, tuple(t.value for t in types), str(out), seed, domain, people[s])
        for i, (f, s, types) in enumerate(zip(files, sources, plan, strict=True))
    ]
    open_jobs = [job for job in jobs if not _record_file(job).exists()]
    with tqdm(total=len(jobs), initial=len(jobs) - len(open_jobs), desc="simulating faces", unit="face") as bar:
        for _ in _run(open_jobs, workers or os.cpu_count() or 1):
            bar.update()
    skipped = [
        {"source": os.path.relpath(p, base).replace(os.sep, "/"), "reason": "not an image file"} for p in others
    ]
    return _collect(jobs, skipped, out)


def read_subjects(table: Path | str, faces: Path | str) -> dict[str, str]:
    """Whose face each photo shows, from a CSV with the columns `file` and `subject`; others are ignored.

    Args:
        table (`Path`): the CSV, UTF-8. A photo that it does not name is a person of its own.
        faces (`Path`): the folder that `file` is relative to.

    Returns:
        `dict[str, str]`: file -> subject, as `simulate_folder` takes it.

    Raises:
        ValueError: no such table, a column is missing, a row lacks a value, names a file that is not there or one
            that an earlier row gave to somebody else; the message names the line.
    """
    table, faces = Path(table), Path(faces)
    if not table.is_file():
        raise ValueError(f"there is no table {table}: give a CSV with the columns file and subject")
    try:
        rows = _table_rows(table)
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{table} can't be read as CSV in UTF-8 ({error})") from error
    subjects: dict[str, str] = {}
    for number, file, subject in rows:
        if not file or not subject:
            raise ValueError(f"{table}, line {number}: got file {file!r} and subject {subject!r}, expected both")
        name = os.path.normpath(file).replace(os.sep, "/")
        if not (faces / name).is_file():
            raise ValueError(f"{table}, line {number}: there is no file {file!r} in {faces}: give paths from there")
        if subjects.setdefault(name, subject) != subject:
            raise ValueError(f"{table}, line {number}: {file!r} shows {subject!r}, but {subjects[name]!r} before")
    return subjects


def _table_rows(table: Path) -> list[tuple[int, str, str]]:
    """Line, file and subject of each row."""
    with table.open(newline="", encoding="utf-8-sig") as lines:
        reader = csv.DictReader(lines)
        missing = {"file", "subject"} - set(reader.fieldnames or ())
        if missing:
            raise ValueError(f"{table} has no column {' and no column '.join(sorted(missing))}: it needs both")
        return [(reader.line_num, row["file"] or "", row["subject"] or "") for row in reader]


def plan_types(
    faces: int,
    per_face: int,
    seed: int,
    live_share: float = 0.3,
    attack_types: Sequence[AttackType] | None = None,
) -> list[tuple[AttackType, ...]]:
    """Which types each face gets: bona fide by its share, attacks in shuffled rounds so that all are equally often.

    Returns:
        `list[tuple[AttackType, ...]]`: one tuple of `per_face` types a face.
    """
    kinds = [t for t in (attack_types or AttackType) if not AttackType(t).is_live]
    rng = np.random.default_rng(np.random.SeedSequence([seed, 0x5EED]))
    total = faces * per_face
    live = np.floor(np.arange(1, total + 1) * live_share + 0.5) > np.floor(np.arange(total) * live_share + 0.5)
    for face in range(faces):  # within a face the bona fide images come anywhere
        rng.shuffle(live[face * per_face : (face + 1) * per_face])
    round_: list[AttackType] = []
    flat = []
    for is_live in live:
        if is_live:
            flat.append(AttackType.BONAFIDE)
            continue
        if not round_:
            round_ = [kinds[k] for k in rng.permutation(len(kinds))]
        flat.append(round_.pop())
    return [tuple(flat[f * per_face : (f + 1) * per_face]) for f in range(faces)]


def _run(jobs: list[_Job], workers: int) -> Iterator[None]:
    """Do the jobs; a few futures are kept in flight so that memory stays flat however many there are."""
    workers = min(workers, len(jobs))
    if workers <= 1:
        for job in jobs:
            _simulate_face(job)
            yield
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker) as pool:
        flying: deque[Future] = deque()
        for job in jobs:
            flying.append(pool.submit(_simulate_face, job))
            if len(flying) >= 4 * workers:
                yield flying.popleft().result()
        while flying:
            yield flying.popleft().result()


def _start_worker() -> None:
    _one_thread()
    keep_freed_memory()


def _one_thread() -> None:
    cv2.setNumThreads(1)  # processes share the cores already


def _simulate_face(job: _Job) -> None:
    """Write all images of one face, then its record: a face without a record is done again."""
    threads = cv2.getNumThreads()
    _one_thread()
    try:
        rows = _rows(job)
    finally:
        cv2.setNumThreads(threads)
    write_whole(_record_file(job), "".join(json.dumps(row) + "\n" for row in rows), several_writers=True)


def _rows(job: _Job) -> list[dict]:
    try:
        with Image.open(job.path) as photo:
            source = prepare(photo)
    except UnidentifiedImageError:
        return [{"source": job.source, "reason": "not a readable image"}]
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        return [{"source": job.source, "reason": str(error) or type(error).__name__}]
    rows = []
    for k, name in enumerate(job.types):
        kind = AttackType(name)
        words = [int(w, 16) for w in _chunks(_digest(job.source, name, job.domain))]
        rng = np.random.default_rng(np.random.SeedSequence([job.seed, k, *words]))
        try:
            made = render(source, kind, rng, DOMAINS[job.domain])
        except ValueError as error:  # the other images of this face may well succeed
            rows.append({"source": job.source, "attack_type": name, "reason": str(error)})
            continue
        file_name = f"images/{job.index:06d}_{k:03d}_{name.lower().replace(' ', '-')}.jpg"
        write_whole(Path(job.out) / file_name, made.jpeg, several_writers=True)
        rows.append(_row(made, file_name, job))
    return rows


def _row(made: Simulated, file_name: str, job: _Job) -> dict:
    return {
        "file_name": file_name,
        "label": "real" if made.attack_type.is_live else "spoof",
        "attack_type": made.attack_type.value,
        "boxes": [[round(float(v), 5) for v in (b.x1, b.y1, b.x2, b.y2)] for b in made.boxes],
        "box_labels": [b.label or "" for b in made.boxes],
        "cues": list(made.cues),
        # One JSON string: its keys differ between attacks, and columns need one type.
        "attributes": json.dumps(made.attributes | {"simulated": True}, sort_keys=True),
        "domain": job.domain,
        "subject_id": job.subject,
        "source": job.source,
        "seed": job.seed,
        "width": made.image.width,
        "height": made.image.height,
    }


def _collect(jobs: list[_Job], skipped: list[dict], out: Path) -> Path:
    """Join the faces' records in order, line by line."""
    target = out / "metadata.jsonl"
    with whole_file(target) as part, part.open("w", encoding="utf-8") as file:
        for job in jobs:
            for line in _record_file(job).read_text(encoding="utf-8").splitlines():
                if '"file_name"' in line:
                    file.write(line + "\n")
                else:
                    skipped.append(json.loads(line))
    write_whole(out / "skipped.jsonl", "".join(json.dumps(row) + "\n" for row in skipped))
    return target


def _inputs(faces: Path | str | Sequence[Path | str], root: Path | str | None) -> tuple[list[Path], list[Path], Path]:
    """Image files, other files, and the folder that names are relative to."""
    if isinstance(faces, (str, Path)):
        files = list_faces(faces)
        others = sorted(p for p in Path(faces).rglob("*") if p.is_file() and p.suffix.lower() not in IMAGE_SUFFIXES)
        return files, others, Path(root or faces)
    given = [Path(f) for f in faces]
    if not given:
        raise ValueError("got an empty list of faces: give at least one image file")
    base = Path(root) if root else Path(os.path.commonpath([f.absolute().parent for f in given]))
    files = [f.absolute() if root is None else f for f in given if f.suffix.lower() in IMAGE_SUFFIXES]
    return files, [f for f in given if f.suffix.lower() not in IMAGE_SUFFIXES], base


def _checked_types(attack_types: Sequence[AttackType | str] | None) -> list[AttackType]:
    try:
        kinds = [AttackType(t) for t in (attack_types or AttackType)]
    except ValueError as error:
        raise ValueError(f"{error}; known are {', '.join(t.value for t in AttackType)}") from None
    kinds = [k for k in kinds if not k.is_live]
    if not kinds:
        raise ValueError("attack_types names no attack: leave it out for all, and use live_share for bona fide")
    return kinds


def _check(per_face: int, seed: int, domain: str, workers: int | None, live_share: float) -> None:
    if per_face < 1:
        raise ValueError(f"got per_face={per_face}, at least 1 image a face is needed")
    if seed < 0:
        raise ValueError(f"got seed={seed}, seeds are 0 or more")
    if domain not in DOMAINS:
        raise ValueError(f"got domain {domain!r}, known are {', '.join(DOMAINS)}")
    if workers is not None and workers < 1:
        raise ValueError(f"got workers={workers}, at least 1 process is needed")
    if not 0 <= live_share <= 1:
        raise ValueError(f"got live_share={live_share}, expected 0..1")


def _claim(out: Path, settings: dict) -> None:
    """Make the folder, or check that it holds a run with these very settings."""
    file = out / ".simulate" / "settings.json"
    if file.exists():
        found = json.loads(file.read_text(encoding="utf-8"))
        differ = sorted(k for k in settings if found.get(k) != settings[k])
        if differ:
            raise ValueError(f"{out} holds a run with other {', '.join(differ)}: give another folder, or delete it")
        return
    if (out / "metadata.jsonl").exists():
        raise ValueError(f"{out} holds a data set of another origin: give another folder")
    for folder in ("images", ".simulate/faces"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    write_json(file, settings, several_writers=True)


def _subject(source: str) -> str:
    return str(Path(source).with_suffix("")).replace(os.sep, "/")


def _record_file(job: _Job) -> Path:
    return Path(job.out) / ".simulate" / "faces" / f"{job.index:06d}.jsonl"


def _digest(*words: str) -> str:
    return hashlib.blake2b("\n".join(words).encode(), digest_size=16).hexdigest()


def _chunks(text: str) -> list[str]:
    return [text[i : i + 8] for i in range(0, len(text), 8)]
