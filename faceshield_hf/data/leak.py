"""Leak test: can live and attack be told apart by what an attack should not decide?

Two groups of features are read from every image of a simulated data set, and for each class and domain a linear model
tells bona fide from attack with each group, cross-validated by subject:

- nuisance: image size and shape, size and position of the face, JPEG quantisation, and, outside the attack's boxes,
  exposure, contrast, noise and sharpness of the background and the four border strips. An area under the ROC curve
  near 0.5 is wanted; above 0.6 the simulator, not the attack, separates the classes.
- changed: colour, saturation, sharpness, noise and compressibility of the whole image and of the face, which attacks
  do change. Reported beside it, to be judged, not limited.

A bona fide image has no boxes to leave out. It is given those of a random attack of the class, carried over to its own
face, so that both sides leave out the same kind of region. `recall` is the share of attacks found at IoU 0.5 by one
constant box, the class's median, given the true class: what a model gets without looking.

The test sees linear differences of means only. It knows nothing of what a network may find.

```bash
python -m faceshield_hf.data.leak --data simulated/A simulated/B simulated/C --out leak.md
```

Example:
    >>> from faceshield_hf.data.leak import median_box_recall
    >>> round(median_box_recall([[(0.1, 0.1, 0.5, 0.5)], [(0.1, 0.1, 0.5, 0.5)], [(0.6, 0.6, 0.9, 0.9)]]), 2)
    0.67
"""

import argparse
import json
import math
import multiprocessing
import os
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from tqdm.auto import tqdm

from faceshield_hf.data.samples import read_object
from faceshield_hf.tasks_faceshield import Box
from faceshield_hf.whole_files import write_whole


Corners = tuple[float, float, float, float]

LIMIT = 0.60  # area under the curve that nuisances must stay below
_CELLS = 20  # statistics are kept for 20 x 20 cells an image
_GROWN = 0.04  # of the image: shadows and edges just outside a box are still the attack's
_FIELDS = ("file_name", "attack_type", "subject_id", "domain", "boxes", "attributes")
_REMEDY = "give folders written by `faceshield simulate`, and simulate older ones anew"
_FEWEST = 12  # images a side; below it no area under a curve is worth printing


@dataclass(frozen=True)
class Traits:
    """What is kept of one image.

    Attributes:
        domain, attack_type, subject (`str`): from its metadata row.
        boxes (`tuple[Corners, ...]`): x1, y1, x2, y2, 0..1; empty for bona fide.
        face (`Corners`): where the face is.
        frame (`tuple[float, ...]`): width, height, their log ratio, face height, width, centre x, y, log quantisation
            of brightness and colour.
        cells (`np.ndarray` of shape `(20, 20, 4)`): brightness, its square, noise and log sharpness of every cell.
        changed (`tuple[float, ...]`): the features that attacks may change.
    """

    domain: str
    attack_type: str
    subject: str
    boxes: tuple[Corners, ...]
    face: Corners
    frame: tuple[float, ...]
    cells: np.ndarray
    changed: tuple[float, ...]


@dataclass(frozen=True)
class Leak:
    """The result for one class in one domain.

    Attributes:
        domain, attack_type (`str`): which.
        live, attacks (`int`): images.
        nuisance, changed (`float`): areas under the ROC curve, 0..1; not a number if there are too few images.
        error (`float`): standard error of an area of 0.5 with so many images (Hanley and McNeil, 1982).
        recall (`float`): share of attacks that the class's median box finds at IoU 0.5.
    """

    domain: str
    attack_type: str
    live: int
    attacks: int
    nuisance: float
    changed: float
    error: float
    recall: float


@dataclass
class LeakReport:
    """All classes in all domains.

    Attributes:
        rows (`list[Leak]`): one a class and domain.
        skipped (`list[tuple[str, str]]`): files that could not be read, with the reason.
    """

    rows: list[Leak] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)

    def worst(self) -> float:
        """The highest nuisance area under the curve."""
        return max((r.nuisance for r in self.rows if not math.isnan(r.nuisance)), default=math.nan)

    def markdown(self) -> str:
        """The table, one line a class and domain."""
        head = "| domain | class | live | attack | nuisance AUC | standard error | changed AUC | median-box recall |"
        lines = [head, "|---" * 8 + "|"]
        for r in self.rows:
            numbers = f"{r.nuisance:.2f} | {r.error:.2f} | {r.changed:.2f} | {r.recall:.2f}"
            lines.append(f"| {r.domain} | {r.attack_type} | {r.live} | {r.attacks} | {numbers} |")
        return "\n".join(lines) + "\n"


def leak_test(
    folders: Sequence[Path | str], *, workers: int | None = None, seed: int = 0, progress: bool = True
) -> LeakReport:
    """Test data sets written by `simulate_folder`.

    Args:
        folders (`Sequence[Path]`): folders with a `metadata.jsonl` each.
        workers (`int`, *optional*): processes that read images; all cores if not given.
        seed (`int`, *optional*, defaults to 0): which attack's boxes a bona fide image gets.
        progress (`bool`, *optional*, defaults to `True`): whether to show a bar.

    Returns:
        `LeakReport`

    Raises:
        ValueError: a folder without `metadata.jsonl`, or rows without face boxes or another thing that is measured.
    """
    report = LeakReport()
    by_domain: dict[str, list[Traits]] = defaultdict(list)
    for traits in _all_traits(folders, workers or os.cpu_count() or 1, progress, report.skipped):
        by_domain[traits.domain].append(traits)
    for domain in sorted(by_domain):
        live = [t for t in by_domain[domain] if not t.boxes]
        for kind in sorted({t.attack_type for t in by_domain[domain] if t.boxes}):
            attacks = [t for t in by_domain[domain] if t.attack_type == kind]
            report.rows.append(_compare(domain, kind, live, attacks, seed))
    return report


def median_box_recall(boxes: Sequence[Sequence[Corners]]) -> float:
    """Share of images one of whose boxes has IoU of at least 0.5 with the median of all images' largest boxes.

    Args:
        boxes (`Sequence[Sequence[Corners]]`): the boxes of each image, at least one each.
    """
    largest = [max(found, key=lambda b: (b[2] - b[0]) * (b[3] - b[1])) for found in boxes]
    x1, y1, x2, y2 = np.median(largest, 0).tolist()
    middle = Box(x1, y1, x2, y2)
    return float(np.mean([max(middle.iou(Box(*b)) for b in found) >= 0.5 for found in boxes]))


def area_under_curve(features: np.ndarray, is_attack: np.ndarray, subjects: Sequence[str]) -> float:
    """Cross-validated area under the ROC curve of a logistic regression; no subject is on both sides of a fold.

    Args:
        features (`np.ndarray` of shape `(images, features)`): missing values are NaN.
        is_attack (`np.ndarray` of shape `(images,)`): 0 or 1.
        subjects (`Sequence[str]`): who is in each image.

    Returns:
        `float`: not a number if a side has fewer than 12 images, or all are of fewer than five subjects.
    """
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    fewest = min(int(is_attack.sum()), int((1 - is_attack).sum()))
    if fewest < _FEWEST or len(set(subjects)) < 5:
        return math.nan
    model = make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True),
        StandardScaler(),
        LogisticRegression(class_weight="balanced", C=0.1, max_iter=1000),
    )
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=0)
    groups = np.unique(np.asarray(subjects), return_inverse=True)[1]
    scores = cross_val_predict(model, features, is_attack, groups=groups, cv=folds, method="decision_function")
    return float(roc_auc_score(is_attack, scores))


def read_traits(folder: Path, row: dict) -> Traits:
    """Measure one image of a data set, as `metadata.jsonl` describes it.

    Raises:
        ValueError: the row lacks a field, or its attributes the face's box.
        OSError: the image can't be read.
    """
    missing = [name for name in _FIELDS if row.get(name) is None]
    if missing:
        raise ValueError(f"{row.get('file_name') or 'a row'} of {folder} has no {', '.join(missing)}: {_REMEDY}")
    attributes = json.loads(row["attributes"]) if isinstance(row["attributes"], str) else row["attributes"]
    face = attributes.get("face_box")
    if face is None:
        raise ValueError(f"{row['file_name']} of {folder} has no face_box in its attributes: {_REMEDY}")
    path = folder / row["file_name"]
    with Image.open(path) as image:
        tables = image.quantization if isinstance(image, JpegImageFile) and image.format == "JPEG" else {}
        pixels = np.asarray(image.convert("RGB"), np.float32) / 255
    quantisation = [math.log(1 + float(np.mean(tables[k]))) if k in tables else 0.0 for k in (0, 1)]
    height, width = pixels.shape[:2]
    x1, y1, x2, y2 = face
    frame = (width, height, math.log(width / height), y2 - y1, x2 - x1, (x1 + x2) / 2, (y1 + y2) / 2, *quantisation)
    cells = _cells(pixels)
    return Traits(
        domain=row["domain"],
        attack_type=row["attack_type"],
        subject=row["subject_id"],
        boxes=tuple((b[0], b[1], b[2], b[3]) for b in row["boxes"]),
        face=(x1, y1, x2, y2),
        frame=frame,
        cells=cells,
        changed=_changed(pixels, cells, (x1, y1, x2, y2), path.stat().st_size),
    )


def nuisances(traits: Traits, left_out: Sequence[Corners]) -> list[float]:
    """The nuisance features of an image, not looking at some regions; NaN for what is all covered."""
    centre = (np.arange(_CELLS) + 0.5) / _CELLS
    free = np.ones((_CELLS, _CELLS), bool)
    reach = _GROWN + 0.5 / _CELLS
    for x1, y1, x2, y2 in left_out:
        columns = (centre > x1 - reach) & (centre < x2 + reach)
        rows = (centre > y1 - reach) & (centre < y2 + reach)
        free &= ~(rows[:, None] & columns[None])
    features = [*traits.frame, *_summary(traits.cells, free)]
    for edge in (np.s_[0, :], np.s_[-1, :], np.s_[:, 0], np.s_[:, -1]):
        strip = traits.cells[edge][free[edge]]
        features += [float(strip[:, 0].mean()), float(strip[:, 2].mean())] if len(strip) >= 3 else [math.nan] * 2
    return features


def carried(boxes: Iterable[Corners], face: Corners, to: Corners) -> list[Corners]:
    """Boxes that lie about one face, moved and scaled to lie about another in the same way."""
    across, down = (to[2] - to[0]) / max(face[2] - face[0], 1e-3), (to[3] - to[1]) / max(face[3] - face[1], 1e-3)
    return [
        (
            to[0] + (x1 - face[0]) * across,
            to[1] + (y1 - face[1]) * down,
            to[0] + (x2 - face[0]) * across,
            to[1] + (y2 - face[1]) * down,
        )
        for x1, y1, x2, y2 in boxes
    ]


def _compare(domain: str, kind: str, live: list[Traits], attacks: list[Traits], seed: int) -> Leak:
    rng = np.random.default_rng(seed)
    borrowed = [attacks[int(k)] for k in rng.integers(len(attacks), size=len(live))]
    nuisance = [nuisances(t, carried(b.boxes, b.face, t.face)) for t, b in zip(live, borrowed, strict=True)]
    nuisance += [nuisances(t, t.boxes) for t in attacks]
    changed = [t.changed for t in [*live, *attacks]]
    is_attack = np.array([0] * len(live) + [1] * len(attacks))
    subjects = [t.subject for t in [*live, *attacks]]
    n, m = max(1, len(live)), max(1, len(attacks))
    return Leak(
        domain=domain,
        attack_type=kind,
        live=len(live),
        attacks=len(attacks),
        nuisance=area_under_curve(np.array(nuisance), is_attack, subjects),
        changed=area_under_curve(np.array(changed), is_attack, subjects),
        error=math.sqrt((0.25 + (n + m - 2) * (1 / 3 - 0.25)) / (n * m)),
        recall=median_box_recall([t.boxes for t in attacks]),
    )


def _cells(pixels: np.ndarray) -> np.ndarray:
    gray = cv2.transform(pixels, np.array([[0.299, 0.587, 0.114]], np.float32))
    fine = np.abs(gray - cv2.GaussianBlur(gray, (0, 0), 1.0))
    edges = np.square(cv2.Laplacian(cv2.GaussianBlur(gray, (0, 0), 0.8), cv2.CV_32F))
    layers = [
        cv2.resize(layer, (_CELLS, _CELLS), interpolation=cv2.INTER_AREA) for layer in (gray, gray**2, fine, edges)
    ]
    layers[3] = np.log(layers[3] + 1e-7)
    return np.stack(layers, 2)


def _summary(cells: np.ndarray, free: np.ndarray) -> list[float]:
    """Exposure, contrast, noise (of the flattest cells) and sharpness (of the busiest) of some cells."""
    if free.sum() < 8:
        return [math.nan] * 5
    chosen = cells[free]
    variance = max(0.0, float(chosen[:, 1].mean() - chosen[:, 0].mean() ** 2))
    return [
        float(chosen[:, 0].mean()),
        float(np.percentile(chosen[:, 0], 90)),
        math.sqrt(variance),
        float(np.log(np.percentile(chosen[:, 2], 20) + 1e-4)),
        float(np.percentile(chosen[:, 3], 80)),
    ]


def _changed(pixels: np.ndarray, cells: np.ndarray, face: Corners, size: int) -> tuple[float, ...]:
    """Colour, saturation, sharpness and compressibility, of the whole image and of the face."""
    height, width = pixels.shape[:2]
    x1, y1, x2, y2 = (round(v * s) for v, s in zip(face, (width, height, width, height), strict=True))
    inner = np.ascontiguousarray(pixels[y1 : max(y2, y1 + 2), x1 : max(x2, x1 + 2)])
    features = [math.log(size / (height * width))]
    for part in (pixels, inner):
        red, green, blue = cv2.split(part)
        spread = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
        features += [float(red.mean()), float(green.mean()), float(blue.mean())]
        features += [float(spread.mean()), float(spread.std()), float((red + green + blue).std()) / 3]
    part = _cells(inner) if min(inner.shape[:2]) >= _CELLS else cells
    for source in (cells, part):
        features += [float(source[..., 2].mean()), float(source[..., 3].mean())]
    return tuple(features)


def _all_traits(
    folders: Sequence[Path | str], workers: int, progress: bool, skipped: list[tuple[str, str]]
) -> Iterable[Traits]:
    jobs = [(Path(folder), row) for folder in folders for row in _rows(Path(folder))]
    workers = min(workers, max(1, len(jobs) // 64))
    with tqdm(total=len(jobs), desc="measuring", unit="image", disable=not progress) as bar:
        if workers == 1:
            results: Iterable = map(_measured, jobs)
            yield from _kept(results, bar, skipped)
            return
        with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
            yield from _kept(pool.map(_measured, jobs, chunksize=16), bar, skipped)


def _kept(results: Iterable, bar: tqdm, skipped: list[tuple[str, str]]) -> Iterable[Traits]:
    for found in results:
        bar.update()
        if isinstance(found, Traits):
            yield found
        else:
            skipped.append(found)


def _measured(job: tuple[Path, dict]) -> Traits | tuple[str, str]:
    folder, row = job
    cv2.setNumThreads(1)
    try:
        return read_traits(folder, row)
    except (OSError, SyntaxError) as error:  # broken pictures; PIL raises SyntaxError for some
        return str(folder / row["file_name"]), str(error)


def _rows(folder: Path) -> list[dict]:
    file = folder / "metadata.jsonl"
    if not file.is_file():
        raise ValueError(f"{folder} has no metadata.jsonl: give folders written by `faceshield simulate`")
    with file.open(encoding="utf-8") as lines:
        return [read_object(line, f"{file}, row {number}") for number, line in enumerate(lines, 1) if line.strip()]


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 1 if a nuisance separates a class from bona fide, 2 for wrong input, told in one line."""
    parser = argparse.ArgumentParser(
        prog="python -m faceshield_hf.data.leak", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--data", nargs="+", required=True, type=Path, help="folders written by simulate_folder")
    parser.add_argument("--out", type=Path, help="file for the table (Markdown)")
    parser.add_argument("--limit", type=float, default=LIMIT, help="highest accepted nuisance AUC")
    parser.add_argument("--workers", type=int, help="processes; default: all cores")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    try:
        report = leak_test(given.data, workers=given.workers, seed=given.seed)
    except ValueError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    table = report.markdown()
    print(table)  # noqa: T201
    for file, reason in report.skipped:
        print(f"skipped {file}: {reason}")  # noqa: T201
    if given.out:
        write_whole(given.out, table)
    worst = report.worst()
    print(f"highest nuisance AUC {worst:.3f}, limit {given.limit:.2f}")  # noqa: T201
    return int(not worst < given.limit)


if __name__ == "__main__":
    raise SystemExit(main())
