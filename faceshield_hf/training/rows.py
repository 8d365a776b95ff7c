"""Records as the rows that a training stage reads, checked before the first step.

It loads instruction records, stops early at what would waste a run (an empty split, a class missing, answers without a
verdict), keeps the columns that losses ask for, and can join several questions about one image into one conversation,
so that the image's tokens are paid for once. It knows records, not models.

Example:
    >>> from faceshield_hf.training.rows import group_by_image
    >>> group_by_image(["a.jpg", "b.jpg", "a.jpg", "a.jpg"], most=2, seed=0)
    [[3, 0], [2], [1]]
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from faceshield_hf.data.sft import load_records, load_sft
from faceshield_hf.tasks_faceshield import AttackType, Task, parse_answer


# A describing answer gives no verdict by design.
_WITHOUT_VERDICT = (Task.DESCRIBE,)
LENGTH = "length"
"""Column with the number of characters of a row's turns, which `train_sampling_strategy: group_by_length` reads."""


def load_rows(
    data: str,
    split: str = "train",
    revision: str | None = None,
    questions_per_row: int = 1,
    alone_tasks: Sequence[str] = (),
) -> Any:
    """Load and check the records of a split.

    Args:
        data (`str`): a folder of records or the id of a data set on the Hub.
        split (`str`, *optional*, defaults to `"train"`): which split.
        revision (`str`, *optional*): branch, tag or commit of a data set on the Hub.
        questions_per_row (`int`, *optional*, defaults to 1): join up to so many questions about one image.
        alone_tasks (`Sequence[str]`, *optional*): tasks whose questions stay alone, as most users ask them: an answer
            that follows others leans on them rather than on the image.

    Returns:
        `datasets.Dataset`: columns `image`, `prompt`, `completion` (or `messages` for joined questions), `length` and,
            where the records have it, `attack_type`.

    Raises:
        ValueError: when the split is missing or empty, lacks a class, or holds an answer without its verdict, or when
            `alone_tasks` names what is no task.
    """
    if questions_per_row < 1:
        raise ValueError(f"questions_per_row is {questions_per_row}: it must be at least 1")
    alone = {Task(task).value for task in alone_tasks}
    rows, records = _load(data, split, revision)
    if "attack_type" in records.column_names:
        rows = rows.add_column("attack_type", records["attack_type"][:])
    if questions_per_row == 1:
        return with_length(rows, ("prompt", "completion"))
    if alone and "task" not in records.column_names:
        raise ValueError(f"{data} lacks the column task, so the questions of {sorted(alone)} can't be kept alone")
    tasks = records["task"] if alone else [""] * len(rows)
    return with_length(join_questions(rows, questions_per_row, [task in alone for task in tasks]), ("messages",))


def with_length(rows: Any, columns: Sequence[str]) -> Any:
    """Add a column with the number of characters of a row's turns.

    Args:
        rows (`datasets.Dataset`): conversations.
        columns (`Sequence[str]`): that hold the turns.

    Returns:
        `datasets.Dataset`: with the column `length` beside its own.
    """
    turns = [rows[column][:] for column in columns]
    lengths = [sum(len(turn["content"]) for part in row for turn in part) for row in zip(*turns, strict=True)]
    return rows.add_column(LENGTH, lengths)


def load_prompts(data: str, split: str, revision: str | None, tasks: Sequence[str]) -> Any:
    """Load the questions of some tasks with what their answers are judged by.

    Args:
        data (`str`): a folder of records or the id of a data set on the Hub.
        split (`str`): which split.
        revision (`str`, *optional*): branch, tag or commit of a data set on the Hub.
        tasks (`Sequence[str]`): whose questions.

    Returns:
        `datasets.Dataset`: columns `image`, `prompt`, `task`, `label`, `attack_type` and `boxes`.

    Raises:
        ValueError: when there is none, or a column is missing.
    """
    rows, records = _load(data, split, revision)
    missing = {"task", "label", "attack_type", "boxes"} - set(records.column_names)
    if missing:
        raise ValueError(f"{data} lacks the columns {sorted(missing)}: rewards are computed from them")
    wanted = [row for row, task in enumerate(records["task"]) if task in tasks]
    if not wanted:
        raise ValueError(f"{data} has no question of the tasks {', '.join(tasks)} in its split {split}")
    rows = rows.remove_columns("completion")
    for column in ("task", "label", "attack_type", "boxes"):
        rows = rows.add_column(column, records[column][:])
    return rows.select(wanted)


def check_records(records: Any, where: str) -> None:
    """Stop at records that can't teach a verdict.

    Args:
        records (`datasets.Dataset`): columns `answer` and, as far as there are any, `task`, `label`, `attack_type`.
        where (`str`): data set and split, for the message.

    Raises:
        ValueError: naming the first record at fault and how many there are.
    """
    columns = set(records.column_names)
    if "task" in columns:
        unread = [
            row
            for row, (task, answer) in enumerate(zip(records["task"], records["answer"], strict=True))
            if Task(task) not in _WITHOUT_VERDICT and parse_answer(answer, task).label is None
        ]
        if unread:
            task, answer = records[unread[0]]["task"], records[unread[0]]["answer"]
            raise ValueError(
                f"{where}: {len(unread)} of {len(records)} answers state no verdict that can be read, the first in "
                f"row {unread[0]} (task {task}): {answer[:120]!r}. Write answers with format_answer, or leave these "
                "records out"
            )
    if "label" in columns:
        missing = {"real", "spoof"} - set(records.unique("label"))
        if missing:
            raise ValueError(
                f"{where}: no record is {' or '.join(sorted(missing))}, so there is nothing to tell apart: add such "
                "images, or split the data again by subject with both classes in every split"
            )
    if "attack_type" in columns:
        known = {kind.value for kind in AttackType}
        unknown = sorted(set(records.unique("attack_type")) - known)
        if unknown:
            raise ValueError(f"{where}: attack_type {unknown[0]!r} is not one of {', '.join(sorted(known))}")


def join_questions(rows: Any, most: int, alone: Sequence[bool] | None = None, seed: int = 0) -> Any:
    """Join questions about one image into conversations of several turns.

    Args:
        rows (`datasets.Dataset`): columns `image`, `prompt`, `completion`.
        most (`int`): questions in a conversation at most.
        alone (`Sequence[bool]`, *optional*): which rows stay a conversation of one question.
        seed (`int`, *optional*, defaults to 0): shuffles the questions about an image.

    Returns:
        `datasets.Dataset`: columns `image` and `messages`, and `attack_type` if it was there.
    """
    from datasets import Image

    encoded = rows.select_columns("image").cast_column("image", Image(decode=False))
    names: list[Any] = [_name(image) for batch in encoded.iter(batch_size=256) for image in batch["image"]]
    if alone is not None:  # a name of its own keeps a row alone
        names = [row if single else name for row, (name, single) in enumerate(zip(names, alone, strict=True))]
    groups = group_by_image(names, most, seed)
    prompts, completions = rows["prompt"][:], rows["completion"][:]
    messages = [[turn for row in group for turn in (*prompts[row], *completions[row])] for group in groups]
    joined = rows.select([group[0] for group in groups]).remove_columns(["prompt", "completion"])
    return joined.add_column("messages", messages)


def group_by_image(images: Sequence[Any], most: int, seed: int) -> list[list[int]]:
    """Rows that share an image, in groups of at most `most`, each group in the order of a seeded shuffle.

    Args:
        images (`Sequence`): what names each row's image; equal means the same.
        most (`int`): rows in a group at most.
        seed (`int`): of the shuffle within an image's rows.

    Returns:
        `list[list[int]]`: every row once; groups in the order of their images' first rows.
    """
    rows_of: dict[Any, list[int]] = {}
    for row, image in enumerate(images):
        rows_of.setdefault(image, []).append(row)
    generator = np.random.default_rng(seed)
    groups = []
    for rows in rows_of.values():
        shuffled = [rows[i] for i in generator.permutation(len(rows))]
        groups += [shuffled[start : start + most] for start in range(0, len(shuffled), most)]
    return groups


def _load(data: str, split: str, revision: str | None) -> tuple[Any, Any]:
    """A split as the trainer takes it, and the records' own columns beside it, both checked."""
    file = Path(data) / f"{split}.jsonl"
    if file.is_file() and _is_blank(file):
        raise ValueError(f"{data} has no records in its split {split}: was the data set built, and into this folder?")
    rows = load_sft(data, split, revision)
    if not len(rows):
        raise ValueError(f"{data} has no records in its split {split}: was the data set built with this split?")
    records = load_records(data, split, revision)
    kept = [name for name in ("task", "label", "attack_type", "boxes", "answer") if name in records.column_names]
    records = records.select_columns(kept)
    check_records(records, f"{data}, split {split}")
    return rows, records


def _name(image: dict[str, Any]) -> str | bytes:
    """What names an image: its file, or a hash of its bytes, since all of a data set's would fill the memory."""
    return image["path"] if image["bytes"] is None else hashlib.sha256(image["bytes"]).digest()


def _is_blank(file: Path) -> bool:
    with file.open(encoding="utf-8") as lines:
        return not any(line.strip() for line in lines)
