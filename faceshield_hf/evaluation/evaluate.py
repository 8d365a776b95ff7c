"""Run a system over labelled images: in batches, split over processes, going on where a killed run stopped.

Nothing is fitted here. An image that can't be read is kept with its reason and counts as an error, whatever the others
do. The arithmetic is in `summary.py`, what is written in `report.py`.

Example:
    >>> from faceshield_hf.evaluation.evaluate import markdown_table
    >>> print(markdown_table({"coarse": {"acc": 0.5}}).splitlines()[-1])
    | coarse acc | 50.0 % |
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm.auto import tqdm

from faceshield_hf.data.samples import Sample
from faceshield_hf.detector import FaceShield
from faceshield_hf.evaluation.judged import Judged, judged_from
from faceshield_hf.evaluation.report import markdown_table, write_report
from faceshield_hf.evaluation.results import (
    Said,
    append_results,
    claim_folder,
    content_mark,
    forget_results,
    read_results,
)
from faceshield_hf.evaluation.scorers import FaceShieldScorer, Scorer
from faceshield_hf.evaluation.summary import summarize
from faceshield_hf.image_input_faceshield import to_rgb_image


__all__ = ["Judged", "collect", "judge", "markdown_table", "summarize", "write_report"]


def judge(detector: FaceShield, samples: Sequence[Sample], batch_size: int = 8) -> list[Judged]:
    """Ask a detector all tasks about every sample, in this process, keeping nothing on disk.

    Args:
        detector (`FaceShield`): the detector.
        samples (`Sequence[Sample]`): labelled images.
        batch_size (`int`, *optional*, defaults to 8): images at once.

    Returns:
        `list[Judged]`: in the samples' order; each task's answer is read by itself, before the detector combines them.

    Raises:
        ValueError: when an image can't be read.
    """
    said: list[Said] = []
    for batch in _batches(FaceShieldScorer(detector), samples, batch_size):
        for result in batch:
            if result.error is not None:
                raise ValueError(f"{result.image}: {result.error}")
        said += batch
    return [judged_from(sample, result) for sample, result in zip(samples, said, strict=True)]


def collect(scorer: Scorer, samples: Sequence[Sample], folder: str | Path, batch_size: int = 8) -> list[Judged]:
    """Run a system over samples, each process of `accelerate launch` over its share; answers are kept in a folder.

    What the folder holds already is not asked again, unless it failed or the image is another one now. Call it in
    every process; all get the whole run.

    Args:
        scorer (`Scorer`): the system.
        samples (`Sequence[Sample]`): labelled images.
        folder (`str` or `Path`): for `run.json` and `results-*.jsonl`.
        batch_size (`int`, *optional*, defaults to 8): images at once, at least 1.

    Returns:
        `list[Judged]`: in the samples' order; images that could not be judged carry their `error`.

    Raises:
        ValueError: when there are no samples, an image is there twice, the folder holds another system's answers, or
            no image at all could be judged.
    """
    if not samples:
        raise ValueError("there is no image to judge: check the folder and the protocol's split")
    if batch_size < 1:
        raise ValueError(f"got a batch size of {batch_size}: expected at least 1")
    if twice := [path for path, count in Counter(str(sample.path) for sample in samples).items() if count > 1]:
        raise ValueError(f"{len(twice)} images are there twice, first {twice[0]}: name each folder once")
    state = processes()
    with state.main_process_first():
        claim_folder(folder, scorer.made_by())
        done = read_results(folder)
        pending = [sample for sample in samples if not _is_judged(sample, done)]
        if state.is_main_process:
            forget_results(folder, {str(sample.path) for sample in pending} & done.keys())
    state.wait_for_everyone()  # nobody writes before all have read: they must split the same list
    mine = pending[state.process_index :: state.num_processes]
    for batch in _batches(scorer, mine, batch_size, quiet=not state.is_main_process):
        append_results(folder, batch, state.process_index)
    state.wait_for_everyone()
    done = read_results(folder)
    judged = [judged_from(sample, done[str(sample.path)]) for sample in samples]
    failed = [j for j in judged if j.error is not None]
    if len(failed) == len(judged):
        raise ValueError(f"none of the {len(judged)} images could be judged; the first: {failed[0].error}")
    return judged


def processes() -> Any:
    """The processes of this run: those of `accelerate launch`, or this one alone.

    Returns:
        `accelerate.PartialState`: on gloo where there is no accelerator; left to itself it would then see one process.
    """
    import torch
    from accelerate.state import PartialState

    return PartialState(cpu=not torch.accelerator.is_available())


def _is_judged(sample: Sample, done: dict[str, Said]) -> bool:
    said = done.get(str(sample.path))
    if said is None or said.error is not None:
        return False
    try:
        return said.content is None or said.content == content_mark(sample.read())
    except OSError:
        return False


def _batches(scorer: Scorer, samples: Sequence[Sample], batch_size: int, quiet: bool = False) -> Iterator[list[Said]]:
    starts = range(0, len(samples), batch_size)
    for start in tqdm(starts, desc="evaluating", unit="batch", disable=quiet or not samples):
        yield _say(scorer, samples[start : start + batch_size])


def _say(scorer: Scorer, samples: Sequence[Sample]) -> list[Said]:
    """Judge a batch; what fails is told apart image by image."""
    found: dict[str, Said] = {}
    marks: dict[str, str] = {}
    good: list[Sample] = []
    images: list[Image.Image] = []
    for sample in samples:
        try:
            if scorer.reads_images:
                content = sample.read()
                images.append(to_rgb_image(content))
                marks[str(sample.path)] = content_mark(content)
            good.append(sample)
        except (ValueError, OSError) as error:
            found[str(sample.path)] = Said(str(sample.path), error=str(error))
    try:
        told = scorer.say([str(sample.path) for sample in good], images) if good else []
    except ValueError as error:
        if len(good) == 1:
            told = [Said(str(good[0].path), error=str(error))]
        else:
            told = [_say(scorer, [sample])[0] for sample in good]
    for said in told:
        if said.score is not None and not math.isfinite(said.score):
            said = Said(said.image, error=f"the system gave the score {said.score}; expected a number from 0 to 1")
        found[said.image] = replace(said, content=marks.get(said.image))
    return [found[str(sample.path)] for sample in samples]
