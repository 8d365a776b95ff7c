"""Instruction records from labelled images: which questions each image gets, and their answers.

It draws tasks and wordings and asks an assistant for the answers; it neither makes images nor trains. The same samples
and seed give the same records, whatever was built before.

Example:
    >>> from pathlib import Path
    >>> from faceshield_hf.data.instruct.build import build_records
    >>> from faceshield_hf.data.samples import Sample
    >>> from faceshield_hf.tasks_faceshield import AttackType, Task
    >>> sample = Sample(Path("a.png"), AttackType.PRINT, "s1")
    >>> next(build_records([sample], {Task.COARSE: 1.0}, seed=0, split="train"))["answer"]
    'The face in the image is a spoof.'
"""

import json
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from faceshield_hf.data.instruct.drafts import CANONICAL_SHARE, truth_of, unanswerable
from faceshield_hf.data.instruct.template import TemplateAssistant
from faceshield_hf.data.samples import Sample
from faceshield_hf.data.schema import validate_record
from faceshield_hf.tasks_faceshield import QUESTIONS, Task
from faceshield_hf.whole_files import whole_file


def build_records(
    samples: Sequence[Sample],
    tasks: Mapping[Task, float],
    *,
    seed: int,
    split: str,
    per_image: int = 1,
    source: str = "simulated",
) -> Iterator[dict[str, Any]]:
    """Ask every image one or more questions.

    Args:
        samples (`Sequence[Sample]`): labelled images.
        tasks (`Mapping[Task, float]`): how often each task is drawn, as weights.
        seed (`int`): decides tasks, wordings and answers; each image has a stream of its own.
        split (`str`): "train", "validation" or "test", written into the records.
        per_image (`int`, *optional*, defaults to 1): different tasks an image. Attacks without boxes are asked where
            they are by no question, and a warning says how many there were.
        source (`str`, *optional*, defaults to `"simulated"`): the data set's name, written into the records.

    Yields:
        `dict`: a record of `data/schema.py`, with the image as a path. The image is not opened for it: its size is
            `None`; nor has it an id, which names an image by its place in a data set.

    Raises:
        ValueError: when `per_image` is more than there are tasks, or a record breaks the schema.
    """
    if not 1 <= per_image <= len(tasks):
        raise ValueError(f"per_image is {per_image}; expected 1 to {len(tasks)}, the number of tasks given")
    assistant = TemplateAssistant()
    unmarked: list[Sample] = []
    for index, sample in enumerate(samples):
        rng = np.random.default_rng([seed, index])
        names = [task for task in tasks if not unanswerable(sample, task)]
        weights = np.array([tasks[name] for name in names], np.float64)
        if len(names) < len(tasks):
            unmarked.append(sample)
        if not weights.sum():
            continue
        for choice in rng.choice(len(names), min(per_image, len(names)), replace=False, p=weights / weights.sum()):
            task = names[int(choice)]
            wordings = QUESTIONS[task]
            wording = 0 if rng.random() < CANONICAL_SHARE else int(rng.integers(len(wordings)))
            record = {
                "image": str(sample.path),
                "width": None,
                "height": None,
                "source": source,
                "split": split,
                **truth_of(sample),
                "task": task.value,
                "question": wordings[wording],
                "answer": assistant.answer(sample, task, rng),
                "provenance": {"generator": assistant.name, "prompt_id": f"{task.value}/{wording}"},
            }
            validate_record(record, f"sample {index} ({sample.path.name})")
            yield record
    if unmarked:
        warnings.warn(
            f"of {len(unmarked)} attacks no box is known, such as {unmarked[0].path.name}: they got no question of "
            "where the spoof area is",
            stacklevel=2,
        )


def write_records(records: Iterable[dict[str, Any]], path: str | Path) -> int:
    """Write records as JSON lines; the file appears only when it is whole.

    Args:
        records (`Iterable[dict]`): records with the image as a path. One from the working folder is written as seen
            from the file's folder, as `load_sft` reads it.
        path (`str` or `Path`): the file to make.

    Returns:
        `int`: how many were written.
    """
    path = Path(path)
    count = 0
    with whole_file(path) as part, part.open("w", encoding="utf-8") as out:
        for record in records:
            image = Path(record["image"])
            seen = image if image.is_absolute() else Path(os.path.relpath(image, path.parent))
            out.write(json.dumps(record | {"image": seen.as_posix()}) + "\n")
            count += 1
    return count
