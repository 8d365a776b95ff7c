"""Spoof-aware captioning and filtering (I-FAS, arXiv 2501.01720): the two data steps around a captioner's fine-tuning.

A general captioner describes attacks as if they were people. Its captions are kept only where they hold a word of
their attack (`filters.spoof_words` of a build), the captioner is fine-tuned on those (`recipes/scf.py`), and what it
then writes becomes the interpretation after the judgement. This module picks the training captions and turns captions
into answers; it neither captions nor trains.

Example:
    >>> from faceshield_hf.data.instruct.scf import as_interpretation
    >>> as_interpretation("A face on a sheet.", "Print")
    'The face in the image is a Print attack. A face on a sheet.'
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from faceshield_hf.data.filters.keywords import keyword_fault
from faceshield_hf.data.schema import record_id
from faceshield_hf.tasks_faceshield import QUESTIONS, AttackType, Task, Verdict, format_answer


def as_interpretation(caption: str, attack_type: str) -> str:
    """A caption as the answer to the fine task: the judgement first, then what is seen."""
    kind = AttackType(attack_type)
    label = "real" if kind.is_live else "spoof"
    return format_answer(Verdict(label=label, attack_type=kind, explanation=caption), Task.FINE)


def write_interpretations(captions: str | Path, out: str | Path, split: str = "train") -> dict[str, int]:
    """Turn a build of captions into answers to the fine task, file by file.

    Args:
        captions (`str` or `Path`): a finished build of the describe task.
        out (`str` or `Path`): folder of the new data set; its files appear when they are whole.
        split (`str`, *optional*, defaults to `"train"`): which split.

    Returns:
        `dict[str, int]`: captions read, and those left out because the answer would contradict its label.

    Raises:
        ValueError: when the folder holds no captions of that split.
    """
    from faceshield_hf.data.build.shards import write_parquet

    files = sorted((Path(captions) / "data").glob(f"{split}-*.parquet"))
    if not files:
        raise ValueError(f"{captions} has no captions of the split {split}: build them first")
    counts = {"captions": 0, "contradicting": 0}
    for path in files:
        kept = []
        for record in _records(path):
            counts["captions"] += 1
            answer = as_interpretation(record["answer"], record["attack_type"])
            if keyword_fault(answer, AttackType(record["attack_type"]), Task.FINE):
                counts["contradicting"] += 1
                continue
            told = {"id": record_id("scf", record["id"], Task.FINE.value), "task": Task.FINE.value}
            kept.append(record | told | {"question": QUESTIONS[Task.FINE][0], "answer": answer})
        write_parquet(Path(out) / "data" / path.name, kept)
    return counts


def spoof_caption_turns(captions: str | Path, split: str = "train") -> Any:
    """The kept captions of attacks, as TRL's trainer takes them.

    Args:
        captions (`str` or `Path`): a build of the describe task with `filters.spoof_words`.
        split (`str`, *optional*, defaults to `"train"`): which split.

    Returns:
        `datasets.Dataset`: columns `image`, `prompt`, `completion`.

    Raises:
        ValueError: when not one caption of an attack was kept.
    """
    from faceshield_hf.data.sft import as_turns, load_records

    rows = load_records(str(captions), split)
    spoof = [i for i, label in enumerate(rows["label"]) if label == "spoof"]
    if not spoof:
        raise ValueError(
            f"{captions} holds no caption of an attack: the captioner named not one attack's medium. Start from a "
            "stronger captioner, or ask it for materials and objects in front of the face"
        )
    turns = rows.select(spoof).select_columns(["image", "question", "answer"])
    return turns.map(as_turns, remove_columns=["question", "answer"])


def _records(path: Path) -> Iterator[dict[str, Any]]:
    import pyarrow.parquet as pq

    for batch in pq.ParquetFile(path).iter_batches(batch_size=64):
        yield from batch.to_pylist()
