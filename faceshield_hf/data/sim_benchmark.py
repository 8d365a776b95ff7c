"""SimPAD, the benchmark of simulated attacks: a fixed recipe from a folder of faces to splits, domains and questions.

People are parted into train, validation and test once, before anything is drawn, so that no face is on two sides. Each
split is simulated in the domains A, B and C; C holds attack variants that A and B never draw. Every image gets its
questions and answers. The same faces and settings give the same bytes, however many processes work and however often
the run was stopped.

Written below `out`:

- `images/<split>-<domain>/`: a folder of `simulate_folder` each (images, `metadata.jsonl`, `skipped.jsonl`).
- `metadata.jsonl`: all images in one table, with their split; what `evaluate --data simpad=<out>` reads.
- `records/<split>-<domain>.jsonl`: the questions, image paths relative to `out`.
- `subjects.csv`: every face file with its subject and split.
- `benchmark.json`: settings, counts, and a digest of `metadata.jsonl`.

It neither trains nor judges: the protocols stand in `recipes/sim-benchmark/`. It does not know whether two files show
the same person unless the split file says so.

Example:
    >>> from faceshield_hf.data.sim_benchmark import part_subjects
    >>> sorted(set(part_subjects([f"{k}" for k in range(40)], seed=0).values()))
    ['test', 'train', 'validation']
"""

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from faceshield_hf.data.instruct.build import build_records
from faceshield_hf.data.samples import Sample, read_row
from faceshield_hf.data.schema import SPLITS, record_id
from faceshield_hf.data.simulate import DOMAINS, list_faces, simulate_folder
from faceshield_hf.tasks_faceshield import Task
from faceshield_hf.whole_files import whole_file


FORMAT = 2  # raised when the same settings would give other questions; images have their own number
_BLOCK = 500  # samples whose records are built at a time: memory does not grow with the benchmark


@dataclass
class BenchmarkSettings:
    """Everything that decides the benchmark's bytes, and where it goes.

    Attributes:
        faces (`str`): folder of face photos.
        out (`str`): the benchmark's folder.
        split_file (`str`, *optional*): CSV with the columns file, split and, where people have several photos,
            subject; `manifest.csv` in the faces' folder if there is one and none is given. Without any, subjects are
            parted by `shares`.
        seed (`int`, *optional*, defaults to 0): of parting, images and questions.
        shares (`list[float]`, *optional*, defaults to `[0.7, 0.1, 0.2]`): of train, validation and test.
        per_face (`list[int]`, *optional*, defaults to `[8, 6, 8]`): images a face and domain in each split.
        live_share (`float`, *optional*, defaults to 0.3): share of bona fide images.
        domains (`list[str]`, *optional*, defaults to all): of A, B, C.
        records_per_image (`int`, *optional*, defaults to 6): different tasks an image; 6 is all.
        workers (`int`, *optional*): processes; all cores if not given.
    """

    faces: str = field(default="", metadata={"help": "Folder of face photos."})
    out: str = field(default="outputs/simpad", metadata={"help": "The benchmark's folder."})
    split_file: str | None = field(
        default=None, metadata={"help": "CSV with columns file, split and perhaps subject; default: manifest.csv."}
    )
    seed: int = field(default=0, metadata={"help": "Seed of splits, images and questions."})
    shares: list[float] = field(
        default_factory=lambda: [0.7, 0.1, 0.2], metadata={"help": "Shares of train, validation, test."}
    )
    per_face: list[int] = field(
        default_factory=lambda: [8, 6, 8], metadata={"help": "Images a face and domain in train, validation, test."}
    )
    live_share: float = field(default=0.3, metadata={"help": "Share of bona fide images."})
    domains: list[str] = field(default_factory=lambda: list(DOMAINS), metadata={"help": "Domains of A, B, C."})
    records_per_image: int = field(default=len(Task), metadata={"help": "Different tasks an image."})
    workers: int | None = field(default=None, metadata={"help": "Processes; all cores if not given."})


def build_sim_benchmark(settings: BenchmarkSettings) -> Path:
    """Build SimPAD, or go on with a build that was stopped.

    Args:
        settings (`BenchmarkSettings`): the recipe.

    Returns:
        `Path`: the written `benchmark.json`.

    Raises:
        ValueError: settings out of range, a wrong split file, or `out` holds a benchmark of other settings.
    """
    _check(settings)
    root, out = Path(settings.faces), Path(settings.out)
    subjects, splits = _subjects(settings, root)
    _claim(out, settings, subjects, splits)
    _write_lines(
        out / "subjects.csv",
        ["file,subject,split\n", *(f"{_quoted(f)},{_quoted(s)},{splits[s]}\n" for f, s in subjects.items())],
    )
    counts: dict[str, dict] = {}
    for split, per_face in zip(SPLITS, settings.per_face, strict=True):
        files = [root / file for file, subject in subjects.items() if splits[subject] == split]
        for domain in settings.domains if files else ():
            name = f"{split}-{domain}"
            simulate_folder(
                files,
                out / "images" / name,
                per_face,
                settings.seed,
                domain,
                settings.workers,
                live_share=settings.live_share,
                root=root,
                subjects=subjects,
            )
            counts[name] = _write_records(out, name, split, settings)
    _write_lines(out / "metadata.jsonl", _joined(out, counts))
    summary = {**_frozen(settings), "counts": counts, "metadata_sha256": _sha256(out / "metadata.jsonl")}
    _write_lines(out / "benchmark.json", [json.dumps(summary, indent=2, sort_keys=True) + "\n"])
    return out / "benchmark.json"


def part_subjects(subjects: Sequence[str], seed: int, shares: Sequence[float] = (0.7, 0.1, 0.2)) -> dict[str, str]:
    """Give each subject a split; a subject's split does not depend on who else is there.

    Args:
        subjects (`Sequence[str]`): names.
        seed (`int`): another seed parts them otherwise.
        shares (`Sequence[float]`, *optional*): of train, validation and test; their sum is 1.

    Returns:
        `dict[str, str]`: subject -> "train", "validation" or "test".
    """
    found = {}
    for subject in subjects:
        digest = hashlib.blake2b(f"{seed}\n{subject}".encode(), digest_size=8).digest()
        place = int.from_bytes(digest, "big") / 2**64
        found[subject] = SPLITS[0 if place < shares[0] else 1 if place < shares[0] + shares[1] else 2]
    return found


def _subjects(settings: BenchmarkSettings, root: Path) -> tuple[dict[str, str], dict[str, str]]:
    """File -> subject, and subject -> split."""
    table = Path(settings.split_file) if settings.split_file else root / "manifest.csv"
    if not settings.split_file and not table.is_file():
        files = [p.relative_to(root).as_posix() for p in list_faces(root)]
        alone = {file: file.rsplit(".", 1)[0] for file in files}
        return alone, part_subjects(list(alone.values()), settings.seed, settings.shares)
    if not table.is_file():
        raise ValueError(f"there is no split file {table}: give a CSV with the columns file and split")
    subjects: dict[str, str] = {}
    splits: dict[str, str] = {}
    with table.open(newline="", encoding="utf-8") as rows:
        for number, row in enumerate(csv.DictReader(rows), 2):
            file, split = row.get("file"), row.get("split")
            if not file or split not in SPLITS:
                raise ValueError(
                    f"{table}, line {number}: got file {file!r} and split {split!r}; expected a file and one of "
                    f"{', '.join(SPLITS)}"
                )
            subject = row.get("subject") or file.rsplit(".", 1)[0]
            if splits.setdefault(subject, split) != split:
                raise ValueError(f"{table}, line {number}: subject {subject!r} is in {splits[subject]} and in {split}")
            subjects[file] = subject
    if not subjects:
        raise ValueError(f"{table} has no rows: it needs one a face file")
    return dict(sorted(subjects.items())), splits


def _write_records(out: Path, name: str, split: str, settings: BenchmarkSettings) -> dict[str, int]:
    """Write the questions of one folder; returns what is in it."""
    folder, target = out / "images" / name, out / "records" / f"{name}.jsonl"
    target.parent.mkdir(parents=True, exist_ok=True)
    counts: Counter[str] = Counter()

    def lines() -> Iterator[str]:
        for block, samples in enumerate(_blocks(folder)):
            counts.update(s.attack_type.value for s in samples)
            key = hashlib.blake2b(f"{settings.seed}\n{name}\n{block}".encode(), digest_size=6).hexdigest()
            seed = int(key, 16)
            tasks = dict.fromkeys(Task, 1.0)
            records = build_records(
                samples, tasks, seed=seed, split=split, per_image=settings.records_per_image, source="simpad"
            )
            for record in records:
                record["image"] = Path(record["image"]).relative_to(out).as_posix()
                record["id"] = record_id("simpad", record["image"], record["task"])
                counts["records"] += 1
                yield json.dumps(record) + "\n"

    _write_lines(target, lines())
    return dict(sorted(counts.items()))


def _blocks(folder: Path) -> Iterator[list[Sample]]:
    block = []
    with (folder / "metadata.jsonl").open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            block.append(read_row(line, folder, f"{folder / 'metadata.jsonl'}, row {number}"))
            if len(block) == _BLOCK:
                yield block
                block = []
    if block:
        yield block


def _joined(out: Path, names: Iterable[str]) -> Iterator[str]:
    """All rows of all folders, with paths from `out` and their split."""
    for name in names:
        with (out / "images" / name / "metadata.jsonl").open(encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                row["file_name"] = f"images/{name}/{row['file_name']}"
                yield json.dumps({**row, "split": name.rsplit("-", 1)[0], "dataset": "simpad"}) + "\n"


def _frozen(settings: BenchmarkSettings) -> dict:
    """The settings that decide the bytes."""
    kept = asdict(settings)
    for name in ("faces", "out", "workers", "split_file"):
        del kept[name]
    return {"format": FORMAT, **kept}


def _claim(out: Path, settings: BenchmarkSettings, subjects: dict[str, str], splits: dict[str, str]) -> None:
    """Make the folder, or check that it holds a build of these very settings."""
    parting = json.dumps([subjects, splits], sort_keys=True).encode()
    wanted = {**_frozen(settings), "subjects": hashlib.sha256(parting).hexdigest()}
    file = out / "settings.json"
    if not file.exists():
        out.mkdir(parents=True, exist_ok=True)
        _write_lines(file, [json.dumps(wanted, indent=2, sort_keys=True) + "\n"])
        return
    found = json.loads(file.read_text(encoding="utf-8"))
    differ = sorted(k for k in wanted if found.get(k) != wanted[k])
    if differ:
        raise ValueError(f"{out} holds a benchmark with other {', '.join(differ)}: give another folder, or delete it")


def _check(settings: BenchmarkSettings) -> None:
    if not settings.faces or not Path(settings.faces).is_dir():
        raise ValueError(f"got faces={settings.faces!r}, expected a folder with photos of faces")
    if len(settings.per_face) != 3 or min(settings.per_face) < 1:
        raise ValueError(f"got per_face={settings.per_face}, expected three numbers of at least 1")
    if len(settings.shares) != 3 or min(settings.shares) < 0 or abs(sum(settings.shares) - 1) > 1e-6:
        raise ValueError(f"got shares={settings.shares}, expected three numbers of 0 or more whose sum is 1")
    wrong = sorted(set(settings.domains) - set(DOMAINS))
    if wrong or not settings.domains:
        raise ValueError(f"got domains={settings.domains}, expected some of {', '.join(DOMAINS)}")
    if not 1 <= settings.records_per_image <= len(Task):
        raise ValueError(f"got records_per_image={settings.records_per_image}, expected 1 to {len(Task)}")


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write so that a reader sees all of the file or nothing."""
    with whole_file(path) as part, part.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(lines)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"\n') else text
