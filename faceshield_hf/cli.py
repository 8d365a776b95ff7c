"""The `faceshield` command: judge photos, simulate attacks, start the demo, and say what is installed.

Every command is a thin shell over the Python interface; torch and transformers load inside the commands that need
them, so that `--help` answers at once. What can go wrong with a user's input becomes one line on standard error.

Exit codes, the same for every command:

| code | meaning |
|---|---|
| 0 | done, whatever the verdicts (a spoof is a result, not a failure) |
| 1 | only with `detect --exit-code`: at least one image was not judged real |
| 2 | bad usage or input: an unknown option, an unreadable image, a broken checkpoint; other images are still judged |
| 130 | stopped with Ctrl-C; what was finished is kept |

Example:
    $ faceshield detect photo.jpg
    $ faceshield detect photos/ --task coarse --json | jq .score
"""

import contextlib
import csv
import glob
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from faceshield_hf.decision import TASKS
from faceshield_hf.tasks_faceshield import Task, Verdict
from faceshield_hf.version import __version__


if TYPE_CHECKING:
    from faceshield_hf.detector import FaceShield


IMAGE_SUFFIXES = frozenset({".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
CSV_COLUMNS = ("file", "label", "score", "threshold", "attack_type", "boxes", "quality", "explanation", "error")
_SPACE_APPS = (
    Path(__file__).parent / "_space" / "app.py",  # installed from a wheel
    Path(__file__).parent.parent / "space" / "app.py",  # a checkout
)

app = typer.Typer(
    no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None, help="Explainable face anti-spoofing."
)

ModelOption = Annotated[
    str | None,
    typer.Option("--model", "-m", metavar="PATH", help="Checkpoint folder or Hub id; the embedded one by default."),
]


class Domain(str, Enum):
    """The simulator's domains."""

    A = "A"
    B = "B"
    C = "C"


@dataclass(frozen=True)
class Judged:
    """One input of `faceshield detect`: its name, what was read, and a verdict or what was wrong with it."""

    name: str
    source: str | bytes
    verdict: Verdict | None = None
    error: str | None = None


def main() -> None:
    """Run the command line; the entry point of the `faceshield` script."""
    app()


@app.callback(invoke_without_command=True)
def _top(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    if version:
        print(f"faceshield-hf {__version__}")
        raise typer.Exit


@app.command(short_help="Judge face photos: live or attack, and why.")
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
    with _one_line_errors():
        files, missing = find_images(paths)
        for name, error in missing:
            judged.append(Judged(name, name, error=error))
            _report(judged[-1], as_json)
        try:
            if files:
                shield = _load(model, device)
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


@app.command(short_help="Make a data set of simulated attacks.")
def simulate(
    faces: Annotated[Path, typer.Option(metavar="DIR", help="Folder of face photos, searched through.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where images/ and metadata.jsonl go.")],
    per_face: Annotated[int, typer.Option(min=1, help="Images made from each face, live ones included.")] = 12,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same bytes.")] = 0,
    domain: Annotated[Domain, typer.Option(help="Cameras, places and attack variants to draw from.")] = Domain.A,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; one a core by default.")] = None,
) -> None:
    """Make a labelled data set of simulated attacks, with exact boxes, from photos of faces.

    A run that was stopped goes on where it was when it is started again. Read the result with
    datasets.load_dataset("imagefolder", data_dir=DIR).
    """
    with _one_line_errors():
        from faceshield_hf.data.simulate.folder import simulate_folder

        table = simulate_folder(faces, out, per_face, seed, domain.value, workers)
        images = _count_lines(table)
        print(f"{images} images in {out}")
        if skipped := _count_lines(out / "skipped.jsonl"):
            print(f"faceshield: {skipped} files gave nothing: see {out / 'skipped.jsonl'}", file=sys.stderr)
        if not images:
            raise ValueError(f"{faces} has no readable photo of a face")


@app.command(short_help="Start the Space on this machine.")
def demo(
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for the whole network.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on.")] = 7860,
    model: ModelOption = None,
) -> None:
    """Start the Space on this machine: upload a face, see the verdict, the boxes and the words."""
    with _one_line_errors():
        try:
            metadata.version("gradio")
        except metadata.PackageNotFoundError:
            raise ValueError('the demo needs Gradio: pip install "faceshield-hf[space]"') from None
        space = next((path for path in _SPACE_APPS if path.is_file()), None)
        if space is None:
            raise ValueError(f"the Space's app.py was not found: looked for {' and '.join(map(str, _SPACE_APPS))}")
        environment = {**os.environ, "GRADIO_SERVER_NAME": host, "GRADIO_SERVER_PORT": str(port)}
        if model is not None:
            environment["FACESHIELD_MODEL"] = model
        raise typer.Exit(subprocess.call([sys.executable, str(space)], env=environment))


@app.command(short_help="Print versions, checkpoint and device.")
def info(model: ModelOption = None) -> None:
    """Print the versions, the checkpoint and the device that `detect` would use."""
    with _one_line_errors():
        import torch

        from faceshield_hf.checkpoints import best_device, resolve_checkpoint

        device = best_device()
        folder, name = resolve_checkpoint(model)
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        print(f"faceshield-hf {__version__}")
        print(f"python        {sys.version.split()[0]}")
        for package in ("torch", "transformers", "tokenizers", "pillow", "gradio", "trl", "datasets"):
            with contextlib.suppress(metadata.PackageNotFoundError):
                print(f"{package:13} {metadata.version(package)}")
        print(f"checkpoint    {name}")
        print(f"              {folder}")
        print(f"              {size / 1e6:.1f} MB, vision {config['vision_config']['model_type']}, ", end="")
        print(f"language {config['text_config']['model_type']}, threshold {config.get('score_threshold', 0.5):.3f}")
        name = torch.cuda.get_device_name() if device == "cuda" else f"{torch.get_num_threads()} threads"
        print(f"device        {device} ({name})")


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
    part = file.with_name(file.name + ".part")
    with part.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, CSV_COLUMNS, restval="", extrasaction="ignore")
        writer.writeheader()
        for item in judged:
            row = {"file": item.name, "error": item.error}
            if item.verdict is not None:
                boxes = [f"{b.x1:.4f} {b.y1:.4f} {b.x2:.4f} {b.y2:.4f}" for b in item.verdict.boxes]
                row |= item.verdict.to_dict() | {"boxes": ";".join(boxes), "quality": ";".join(item.verdict.quality)}
            writer.writerow(row)
    part.replace(file)


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
        print(json.dumps({"file": item.name} | content, ensure_ascii=False), flush=True)
    elif item.verdict is None:
        print(f"{item.name}: error: {item.error}", file=sys.stderr, flush=True)
    else:
        print(f"{item.name}: {describe(item.verdict)}", flush=True)


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
    part = target.with_name(target.name + ".part")
    draw_boxes(to_rgb_image(item.source), item.verdict.boxes).save(part, format="PNG")
    part.replace(target)


def _count_lines(file: Path) -> int:
    with file.open(encoding="utf-8") as lines:
        return sum(1 for _ in lines)


def _load(model: str | None, device: str | None) -> "FaceShield":
    """Load a checkpoint without transformers' own bars and load report on the terminal."""
    from transformers.utils import logging

    from faceshield_hf.detector import FaceShield

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    return FaceShield.from_pretrained(model, device=device)


@contextlib.contextmanager
def _one_line_errors() -> Iterator[None]:
    """Turn what a user can mend (`ValueError`, `OSError`) into one line and exit code 2; bugs keep their traceback."""
    try:
        yield
    except BrokenPipeError:
        raise
    except (ValueError, OSError) as error:
        print(f"faceshield: error: {' '.join(str(error).split())}", file=sys.stderr)
        raise typer.Exit(2) from None
