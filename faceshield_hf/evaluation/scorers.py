r"""The systems that can be judged: what each has to give, and the two that need no further model.

A scorer takes opened images and says p(spoof) and answers in words, whichever it has. `FaceShieldScorer` asks any
FaceShield checkpoint, `CsvScorer` reads the scores of a system that ran elsewhere. Zero-shot multimodal models are in
`zero_shot.py`, CLIP in `clip.py`, the ResNet baseline in `resnet.py`. They know no truth and no metric.

Example:
    >>> import pathlib, tempfile
    >>> from faceshield_hf.evaluation.scorers import CsvScorer
    >>> table = pathlib.Path(tempfile.mkdtemp()) / "scores.csv"
    >>> _ = table.write_text("image,score\na.jpg,0.9\n")
    >>> CsvScorer(table).say(["faces/a.jpg"], [])[0].score
    0.9
"""

import csv
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from faceshield_hf.checkpoints import model_digest
from faceshield_hf.decision import TASKS
from faceshield_hf.detector import FaceShield
from faceshield_hf.evaluation.calibration import from_log_odds, log_odds
from faceshield_hf.evaluation.results import Said
from faceshield_hf.tasks_faceshield import Task


# What a blank image is: black, gray and white, whose log-odds are averaged.
BLANKS = (0, 127, 255)


class Scorer(Protocol):
    """A system that judges face images.

    Attributes:
        name (`str`): the row's name in tables.
        reads_images (`bool`): whether `say` needs the opened images.
        threshold (`float`, *optional*): p(spoof) from which the system itself calls a face a spoof, fixed before.
        margin (`float`): half the width of its unsure band, 0 if it has none.
    """

    name: str
    reads_images: bool
    threshold: float | None
    margin: float

    def say(self, paths: Sequence[str], images: Sequence[Image.Image]) -> list[Said]:
        """Judge images; `ValueError` if one of them can't be judged."""
        ...

    def made_by(self) -> dict[str, Any]:
        """What tells this system, in this state, from others; JSON values."""
        ...


class FaceShieldScorer:
    """Asks a FaceShield checkpoint all tasks in one batch.

    Args:
        detector (`FaceShield`): the checkpoint.
        tasks (`Sequence[Task]`, *optional*): what to ask.
    """

    reads_images = True

    def __init__(self, detector: FaceShield, tasks: Sequence[Task] = TASKS) -> None:
        self.detector = detector
        self.tasks = tuple(tasks)
        self.name = str(detector.name or "FaceShield")
        self.threshold: float | None = float(detector.model.config.score_threshold)
        self.margin = float(detector.model.config.score_margin)

    def say(self, paths: Sequence[str], images: Sequence[Image.Image]) -> list[Said]:
        """Judge images in one batch."""
        verdicts = self.detector.detect_batch(images, self.tasks, quality=False, batch_size=max(1, len(images)))
        said = []
        for path, verdict in zip(paths, verdicts, strict=True):
            if isinstance(verdict, ValueError):
                raise verdict
            said.append(Said(path, verdict.score, verdict.answers))
        return said

    def made_by(self) -> dict[str, Any]:
        """The checkpoint, all of its settings that change an answer or a score, and the tasks."""
        model = self.detector.model
        # Threshold and margin decide only after the score is known; a run may go on under others.
        config = {k: v for k, v in model.config.to_dict().items() if k not in ("score_threshold", "score_margin")}
        settings = {"config": config, "processor": self.detector.processor.to_dict()}
        return {
            "scorer": "faceshield",
            "model": self.name,
            "state": model_digest(model, settings),
            "tasks": [task.value for task in self.tasks],
        }


class CsvScorer:
    """Reads the scores of any other system.

    Args:
        table (`str` or `Path`): a CSV file with the columns `image` and `score` (p(spoof), 0..1), and optionally one
            column a task with the system's answer. `image` is the path, or any end of it that names one image only.

    Raises:
        ValueError: when a column is missing, a row has no image or no score from 0 to 1, or an image is there twice.
    """

    reads_images = False
    threshold: float | None = None
    margin = 0.0

    def __init__(self, table: str | Path) -> None:
        self.table = Path(table)
        self.name = self.table.stem
        if not self.table.is_file():
            raise ValueError(f"there is no file {table}: expected a CSV with the columns image and score")
        with self.table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = {"image", "score"} - set(reader.fieldnames or ())
            if missing:
                raise ValueError(
                    f"{table} has the columns {reader.fieldnames}, but not {', '.join(sorted(missing))}: expected "
                    "image and score (p(spoof), 0..1)"
                )
            tasks = [task.value for task in Task if task.value in (reader.fieldnames or ())]
            self.rows: dict[tuple[str, ...], Said] = {}
            for number, row in enumerate(reader, 2):
                where = f"{table}, line {number}"
                if not row["image"]:
                    raise ValueError(f"{where}: the row names no image")
                parts = Path(row["image"]).parts
                if parts in self.rows:
                    raise ValueError(f"{where}: the image {row['image']} is there twice")
                answers = {task: row[task] for task in tasks if row[task]}
                self.rows[parts] = Said(row["image"], _score(row["score"], where), answers)

    def check_unambiguous(self, paths: Iterable[str]) -> None:
        """Refuse a table in which one row would be taken for two images.

        Args:
            paths (`Iterable[str]`): of all images that will be judged.

        Raises:
            ValueError: naming the row and two of its images.
        """
        taken: dict[str, str] = {}
        for path in paths:
            row = self._row(path)
            if row is not None and taken.setdefault(row.image, path) != path:
                raise ValueError(
                    f"{self.table}: the row {row.image} fits both {taken[row.image]} and {path}; write more of the "
                    "path into the column image"
                )

    def say(self, paths: Sequence[str], images: Sequence[Image.Image]) -> list[Said]:
        """Look the images up."""
        return [self._find(path) for path in paths]

    def made_by(self) -> dict[str, Any]:
        """The file's content."""
        return {"scorer": "csv", "table": hashlib.sha256(self.table.read_bytes()).hexdigest()}

    def _find(self, path: str) -> Said:
        row = self._row(path)
        if row is None:
            raise ValueError(f"{self.table} has no row for the image")
        return Said(path, row.score, row.answers)

    def _row(self, path: str) -> Said | None:
        """The row whose image is the longest end of the path."""
        parts = Path(path).parts
        return next((self.rows[parts[i:]] for i in range(len(parts)) if parts[i:] in self.rows), None)


def blank_score(scorer: Scorer, side: int = 256) -> float:
    """What a system says when there is nothing to see: p(spoof) of blank images, their log-odds averaged.

    Raises:
        ValueError: when the system gives no scores, or reads no images.
    """
    if not scorer.reads_images:
        raise ValueError(f"{scorer.name} reads no images, so it can't be asked about a blank one: leave out --debias")
    blanks = [Image.new("RGB", (side, side), (value,) * 3) for value in BLANKS]
    scores = [said.score for said in scorer.say([f"blank {value}" for value in BLANKS], blanks)]
    if any(score is None for score in scores):
        raise ValueError(f"{scorer.name} gives no scores to take a prior out of: leave out --debias")
    return float(from_log_odds(np.mean(log_odds([score for score in scores if score is not None]))))


def _score(text: str | None, where: str) -> float:
    try:
        score = float(text or "")
    except ValueError as error:
        raise ValueError(f"{where}: the score is {text!r}; expected p(spoof), a number from 0 to 1") from error
    if not 0 <= score <= 1:
        raise ValueError(f"{where}: the score is {text}; expected p(spoof), a number from 0 to 1")
    return score
