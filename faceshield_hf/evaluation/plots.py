"""Pictures of a run: ROC, DET, score histogram, reliability, confusion, boxes beside the true ones, importance maps.

Drawn with matplotlib on figures of their own, so that no display is needed and no global state changes. They show a
report's numbers again and compute no new ones, apart from the importance maps, which ask the model.

Example:
    >>> import numpy as np
    >>> from faceshield_hf.evaluation.plots import roc_figure
    >>> figure = roc_figure(np.array([True, False]), np.array([0.9, 0.1]))
    >>> [axis.get_xlabel() for axis in figure.axes]
    ['APCER (pooled)']
"""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from faceshield_hf.data.samples import Sample
from faceshield_hf.detector import FaceShield
from faceshield_hf.evaluation.judged import Judged
from faceshield_hf.evaluation.metrics import error_curve
from faceshield_hf.evaluation.summary import with_scores
from faceshield_hf.image_input_faceshield import to_rgb_image
from faceshield_hf.tasks_faceshield import QUESTIONS, AttackType, Box, Task
from faceshield_hf.visualize import draw_boxes, importance_map
from faceshield_hf.whole_files import whole_file


_TICKS = (0.001, 0.01, 0.05, 0.2, 0.4, 0.6, 0.8, 0.95, 0.99)
_CELL = 220
_GAP = 6
MAP_TASKS = (Task.COARSE, Task.FINE, Task.LOCALIZATION)


def write_plots(
    judged: Sequence[Judged], report: Mapping[str, Any], folder: str | Path, per_class: int = 2
) -> list[Path]:
    """Draw all that a run has data for, into `plots/` of a folder.

    Args:
        judged (`Sequence[Judged]`): the run.
        report (`Mapping`): what `summarize` made of it.
        folder (`str` or `Path`): the report's.
        per_class (`int`, *optional*, defaults to 2): images a class in the gallery of boxes.

    Returns:
        `list[Path]`: the pictures.
    """
    out = Path(folder) / "plots"
    out.mkdir(parents=True, exist_ok=True)
    written = []
    if "auc" in report.get("score", {}):
        truth, scores = with_scores(judged)
        threshold = report["score"].get("threshold")
        figures = {
            "roc": roc_figure(truth, scores),
            "det": det_figure(truth, scores),
            "scores": histogram_figure(truth, scores, threshold),
            "reliability": reliability_figure(report["calibration"]),
        }
        written += [_save_figure(figure, out / f"{name}.png") for name, figure in figures.items()]
    if "fine" in report:
        written.append(_save_figure(confusion_figure(report["fine"]["confusion"]), out / "confusion.png"))
    if "localization" in report:
        gallery = boxes_gallery(judged, per_class)
        if gallery is not None:
            written.append(_save_image(gallery, out / "boxes.png"))
    return written


def write_importance(
    detector: FaceShield, samples: Sequence[Sample], folder: str | Path, types: int = 6
) -> Path | None:
    """Draw where the model looks for each question, in both views, as in the paper's Fig. 9.

    Args:
        detector (`FaceShield`): the checkpoint.
        samples (`Sequence[Sample]`): labelled images; the first readable one of each of the first types is shown.
        folder (`str` or `Path`): the report's.
        types (`int`, *optional*, defaults to 6): rows.

    Returns:
        `Path`, *optional*: the picture; none for a connector whose tokens have no place in the image.
    """
    if detector.model.config.connector == "gac":
        return None
    shown: dict[AttackType, Image.Image] = {}
    for sample in samples:
        if sample.attack_type in shown or len(shown) >= types:
            continue
        image = _readable(sample)
        if image is not None:
            shown[sample.attack_type] = image
    rows = [[_titled(image, kind.value), *_maps(detector, image)] for kind, image in shown.items()]
    out = Path(folder) / "plots"
    out.mkdir(parents=True, exist_ok=True)
    return _save_image(_sheet(rows), out / "importance.png")


def roc_figure(is_attack: np.ndarray, scores: np.ndarray) -> Any:
    """Bona fide accepted against attacks accepted, as matplotlib's `Figure`."""
    _, apcer, bpcer = error_curve(is_attack, scores)
    figure, axis = _axes("ROC", "APCER (pooled)", "1 - BPCER")
    axis.plot(apcer, 1 - bpcer)
    axis.plot([0, 1], [0, 1], color="0.7", linestyle=":")
    axis.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    return figure


def det_figure(is_attack: np.ndarray, scores: np.ndarray) -> Any:
    """Both error rates on normal deviate scales (detection error trade-off), as matplotlib's `Figure`."""
    from scipy.stats import norm

    _, apcer, bpcer = error_curve(is_attack, scores)
    # A rate of 0 has no place on this scale: it is drawn where half an image would be.
    low = 0.5 / max(int(np.sum(is_attack)), int(np.sum(~np.asarray(is_attack, bool))))
    figure, axis = _axes("DET", "APCER (pooled)", "BPCER")
    axis.plot(norm.ppf(np.clip(apcer, low, 1 - low)), norm.ppf(np.clip(bpcer, low, 1 - low)))
    names = [f"{100 * tick:g} %" for tick in _TICKS]
    axis.set_xticks(norm.ppf(_TICKS), names, rotation=45)
    axis.set_yticks(norm.ppf(_TICKS), names)
    axis.plot(norm.ppf(_TICKS), norm.ppf(_TICKS), color="0.7", linestyle=":")
    return figure


def histogram_figure(is_attack: np.ndarray, scores: np.ndarray, threshold: float | None) -> Any:
    """Scores of bona fide and attacks, as matplotlib's `Figure`."""
    figure, axis = _axes("Scores", "p(spoof)", "share of the class")
    truth = np.asarray(is_attack, bool)
    for flag, name in ((False, "bona fide"), (True, "attack")):
        values = scores[truth == flag]
        axis.hist(values, bins=40, range=(0, 1), weights=np.full(len(values), 1 / len(values)), alpha=0.6, label=name)
    if threshold is not None:
        axis.axvline(threshold, color="black", linestyle="--", label="threshold")
    axis.legend()
    return figure


def reliability_figure(calibration: Mapping[str, Any]) -> Any:
    """Share of attacks against mean score of each bin, as matplotlib's `Figure`."""
    bins = calibration["bins"]
    figure, axis = _axes(f"Reliability (ECE {100 * calibration['ece']:.2f} %)", "mean p(spoof)", "share of attacks")
    axis.plot([0, 1], [0, 1], color="0.7", linestyle=":")
    axis.plot([row["score"] for row in bins], [row["attacks"] for row in bins], marker="o")
    for row in bins:
        axis.annotate(
            str(row["count"]), (row["score"], row["attacks"]), textcoords="offset points", xytext=(4, 4), size=7
        )
    axis.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.05))
    return figure


def confusion_figure(confusion: Mapping[str, Any]) -> Any:
    """The table of true and said types, rows as shares, as matplotlib's `Figure`."""
    counts = np.array(confusion["rows"], float)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    figure, axis = _axes("Types", "said", "true", size=8)
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axis.set_xticks(range(counts.shape[1]), [*confusion["names"], "unreadable"], rotation=60, ha="right")
    axis.set_yticks(range(counts.shape[0]), confusion["names"])
    for (row, column), count in np.ndenumerate(counts):
        if count:
            axis.text(
                column,
                row,
                int(count),
                ha="center",
                va="center",
                color="white" if shares[row, column] > 0.5 else "black",
                size=8,
            )
    return figure


def boxes_gallery(judged: Sequence[Judged], per_class: int = 2) -> Image.Image | None:
    """Attack images with the true boxes and the found ones beside each other, the first readable ones of each class.

    Returns:
        `PIL.Image.Image`, *optional*: none if no box is known.
    """
    rows = []
    for kind in AttackType:
        mine = [j for j in judged if j.sample.attack_type is kind and j.sample.boxes and j.error is None]
        cells: list[Image.Image] = []
        readable = ((j, image) for j in mine if (image := _readable(j.sample)) is not None)
        for j, image in itertools.islice(readable, per_class):
            found = j.read[Task.LOCALIZATION].boxes if Task.LOCALIZATION in j.read else ()
            # Every kind of box in one colour: captions tell them apart.
            cells.append(
                _titled(
                    draw_boxes(image, [Box(b.x1, b.y1, b.x2, b.y2, kind.value) for b in j.sample.boxes]),
                    f"{kind}: true",
                )
            )
            cells.append(
                _titled(draw_boxes(image, [Box(b.x1, b.y1, b.x2, b.y2) for b in found]), f"found {len(found)}")
            )
        if cells:
            rows.append(cells)
    return _sheet(rows) if rows else None


def _readable(sample: Sample) -> Image.Image | None:
    """The image, if it can be read: a system that reads no images may have judged one that can't."""
    try:
        return to_rgb_image(sample.read())
    except (ValueError, OSError):
        return None


def _maps(detector: FaceShield, image: Image.Image) -> list[Image.Image]:
    """One heat map a question and view; each has its own scale, since what matters is where."""
    cells = []
    for task in MAP_TASKS:
        for view, scores in detector.importance(image, QUESTIONS[task][0]).items():
            cells.append(_titled(importance_map(image, scores, scores.shape), f"{task}, {view}"))
    return cells


def _axes(title: str, x: str, y: str, size: float = 5) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(size, size), layout="constrained")
    axis = figure.add_subplot(title=title, xlabel=x, ylabel=y)
    return figure, axis


def _save_figure(figure: Any, path: Path) -> Path:
    with whole_file(path) as part:
        figure.savefig(part, format="png", dpi=120)
    return path


def _save_image(image: Image.Image, path: Path) -> Path:
    with whole_file(path) as part:
        image.save(part, format="PNG")
    return path


def _titled(image: Image.Image, title: str) -> Image.Image:
    """A picture fitted into a square cell with a line of words above it."""
    cell = Image.new("RGB", (_CELL, _CELL + 16), "white")
    fitted = image.copy()
    fitted.thumbnail((_CELL, _CELL))
    cell.paste(fitted, ((_CELL - fitted.width) // 2, 16))
    ImageDraw.Draw(cell).text((2, 2), title, fill="black")
    return cell


def _sheet(rows: Sequence[Sequence[Image.Image]]) -> Image.Image:
    step = (_CELL + _GAP, _CELL + 16 + _GAP)
    sheet = Image.new("RGB", (step[0] * max(len(row) for row in rows) + _GAP, step[1] * len(rows) + _GAP), "white")
    for y, row in enumerate(rows):
        for x, cell in enumerate(row):
            sheet.paste(cell, (_GAP + x * step[0], _GAP + y * step[1]))
    return sheet
