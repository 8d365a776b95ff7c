"""`faceshield detect`: which files, what is printed, and what is written.

Example:
    >>> find_images(["nothere.png"])
    ([], [('nothere.png', 'no such file or folder, and no glob that matches an image')])
"""

import csv
import glob
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from faceshield_hf.cli.common import ModelOption, load_detector, one_line_errors
from faceshield_hf.decision import TASKS
from faceshield_hf.tasks_faceshield import Task, Verdict
from faceshield_hf.whole_files import whole_file


if TYPE_CHECKING:
    from faceshield_hf.detector import FaceShield


IMAGE_SUFFIXES = frozenset({".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
CSV_COLUMNS = ("file", "label", "score", "threshold", "attack_type", "boxes", "quality", "explanation", "error")


@dataclass(frozen=True)
class Judged:
    """One input of `faceshield detect`: its name, what was read, and a verdict or what was wrong with it."""

    name: str
    source: str | bytes
    verdict: Verdict | None = None
    error: str | None = None


def detect(
    paths: Annotated[list[str], typer.Argument(help="Images, folders, globs, or - for standard input.")],
    task: Annotated[list[Task] | None, typer.Option("--task", "-t", help="Repeatable; four tasks by default.")] = None,
    model: ModelOption = None,
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="p(spoof) from which on it is a spoof; the checkpoint's own.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    csv_file: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Also write a table.")] = None,
    draw: Annotated[Path | None, typer.Option(metavar="DIR", help="Also write images with boxes, as PNG.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, mps...; the best there is by default.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images judged together.")] = 4,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit with 1 if any image isn't real.")] = False,
) -> None:
    """Judge face photos: live or attack, how sure, which attack, where, and why.

    Exits with 0 when every image was judged, whatever the verdicts; 1 with --exit-code when one is not real; 2 when an
    input could not be read (the others are still judged).
    """
    judged: list[Judged] = []
    taken: set[Path] = set()
    with one_line_errors():
        if csv_file is not None and not csv_file.absolute().parent.is_dir():  # before anything is judged in vain
            raise ValueError(f"{csv_file} can't be written: there is no folder {csv_file.parent}, make it first")
        files, missing = find_images(paths)
        for name, error in missing:
            judged.append(Judged(name, name, error=error))
            _report(judged[-1], as_json)
        try:
            if files:
                shield = load_detector(model, device)
                for item in _judge(shield, files, task or TASKS, threshold, batch_size):
                    judged.append(item)
                    _report(item, as_json)
                    if draw is not None and item.verdict is not None:
                        _save_drawing(draw, item, taken)
        finally:  # Ctrl-C keeps what was judged
            if csv_file is not None:
                write_csv(csv_file, judged)
    if any(item.error is not None for item in judged):
        raise typer.Exit(2)
    if exit_code and any(item.verdict is not None and item.verdict.label != "real" for item in judged):
        raise typer.Exit(1)


def find_images(paths: Sequence[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """Turn what a user typed into image files.

    Args:
        paths (`Sequence[str]`): files (taken whatever their suffix), folders (searched through for `IMAGE_SUFFIXES`),
            globs (`**` goes through folders) and `"-"` (kept as it is).

    Returns:
        `tuple[list[str], list[tuple[str, str]]]`: the files in the order given, each once, folders and globs sorted;
        and `(path, what is wrong)` for every path that gave none.
    """
    files: dict[str, None] = {}
    missing = []
    for path in paths:
        if path == "-" or os.path.isfile(path):
            found = [path]
        elif os.path.isdir(path):
            found = sorted(str(file) for file in Path(path).rglob("*") if _is_image(file))
            if not found:
                missing.append((path, f"no image in this folder: looked for {' '.join(sorted(IMAGE_SUFFIXES))}"))
        elif path.lower().startswith(("http://", "https://")):
            found = []
            missing.append(
                (path, "nothing is downloaded: save the photo first, or pipe it into `faceshield detect -`")
            )
        else:
            found = sorted(file for file in glob.glob(path, recursive=True) if _is_image(Path(file)))
            if not found:
                missing.append((path, "no such file or folder, and no glob that matches an image"))
        files.update(dict.fromkeys(found))
    return list(files), missing


def write_csv(file: Path, judged: Sequence[Judged]) -> None:
    """Write verdicts as a table, whole or not at all.

    Args:
        file (`Path`): replaced when it exists.
        judged (`Sequence[Judged]`): one row each, with `CSV_COLUMNS`; boxes are `x1 y1 x2 y2` of 0..1, several joined
            by `;`, so are quality codes.
    """
    with whole_file(file) as part, part.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, CSV_COLUMNS, restval="", extrasaction="ignore")
        writer.writeheader()
        for item in judged:
            row = {"file": item.name, "error": item.error}
            if item.verdict is not None:
                boxes = [f"{b.x1:.4f} {b.y1:.4f} {b.x2:.4f} {b.y2:.4f}" for b in item.verdict.boxes]
                row |= item.verdict.to_dict() | {"boxes": ";".join(boxes), "quality": ";".join(item.verdict.quality)}
            writer.writerow(row)


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in IMAGE_SUFFIXES and file.is_file()


def _judge(
    shield: "FaceShield", files: Sequence[str], tasks: Sequence[Task], threshold: float | None, batch_size: int
) -> Iterator[Judged]:
    """Judge files batch by batch, with a progress bar on a terminal once it takes longer than two seconds."""
    from tqdm import tqdm

    with tqdm(total=len(files), unit="image", delay=2, disable=None, leave=False) as bar:
        for start in range(0, len(files), batch_size):
            names = files[start : start + batch_size]
            images = [sys.stdin.buffer.read() if name == "-" else name for name in names]
            results = shield.detect_batch(images, tasks, threshold, batch_size=batch_size, on_error="return")
            for name, source, result in zip(names, images, results, strict=True):
                bar.clear()  # the line that is printed now and the bar share a terminal
                if isinstance(result, ValueError):
                    yield Judged(name, source, error=str(result))
                else:
                    yield Judged(name, source, result)
            bar.update(len(names))


def _report(item: Judged, as_json: bool) -> None:
    """Print one result: to standard output, errors of the human form to standard error."""
    if as_json:
        content = {"error": item.error} if item.verdict is None else item.verdict.to_dict()
        typer.echo(json.dumps({"file": item.name} | content, ensure_ascii=False))
    elif item.verdict is None:
        typer.echo(f"{item.name}: error: {item.error}", err=True)
    else:
        typer.echo(f"{item.name}: {describe(item.verdict)}")


def describe(verdict: Verdict) -> str:
    """Write a verdict for a person to read.

    Args:
        verdict (`Verdict`): as `FaceShield.detect` gives it.

    Returns:
        `str`: a first line with label, type and score; then, indented and only where there is something to say, where,
        why, the answers to other tasks, and advice on the photo.
    """
    from faceshield_hf.quality import advice

    label = (verdict.label or "unreadable").upper()
    if verdict.attack_type is not None and not verdict.attack_type.is_live:
        label += f" ({verdict.attack_type})"
    lines = [label]
    if verdict.score is not None and verdict.threshold is not None:
        lines[0] += f", p(spoof) {verdict.score:.3f}, threshold {verdict.threshold:.3f}"
    lines += [f"  where: ({b.x1:.2f}, {b.y1:.2f}) to ({b.x2:.2f}, {b.y2:.2f})" for b in verdict.boxes]
    if verdict.explanation:
        lines.append(f"  why: {verdict.explanation}")
    lines += [f"  {task}: {verdict.answers[task]}" for task in ("describe", "cot") if task in verdict.answers]
    lines += [f"  photo: {sentence}" for sentence in advice(verdict.quality)]
    return "\n".join(lines)


def _save_drawing(folder: Path, item: Judged, taken: set[Path]) -> None:
    """Write an image with its boxes as `<name>-boxes.png`, whole or not at all; `taken` are this run's files."""
    from faceshield_hf.image_input_faceshield import to_rgb_image
    from faceshield_hf.visualize import draw_boxes

    folder.mkdir(parents=True, exist_ok=True)
    stem = "stdin" if item.name == "-" else Path(item.name).stem
    candidates = (
        folder / f"{stem}{number}-boxes.png" for number in ("", *(f"-{i}" for i in range(2, len(taken) + 3)))
    )
    target = next(path for path in candidates if path not in taken)
    taken.add(target)
    assert item.verdict is not None
    with whole_file(target) as part:
        draw_boxes(to_rgb_image(item.source), item.verdict.boxes).save(part, format="PNG")
