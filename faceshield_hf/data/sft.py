"""Instruction records as the training sets that TRL's `SFTTrainer` takes: `images`, `prompt`, `completion`.

It reads records (a local folder of JSON lines or parquet, or a data set on the Hub) and rearranges columns. Images
stay encoded until a batch is made, and no label reaches the text but through question and answer.

Example:
    >>> from faceshield_hf.data.sft import as_turns
    >>> as_turns({"question": "Is it real?", "answer": "Yes."})["completion"]
    [{'role': 'assistant', 'content': 'Yes.'}]
"""

from pathlib import Path
from typing import Any


def load_records(data: str, split: str = "train", revision: str | None = None) -> Any:
    """Load a split of instruction records as they are stored.

    Args:
        data (`str`): a folder holding `<split>.jsonl` or parquet files, or the id of a data set on the Hub.
        split (`str`, *optional*, defaults to `"train"`): which split.
        revision (`str`, *optional*): branch, tag or commit of a data set on the Hub.

    Returns:
        `datasets.Dataset`: the records' own columns.

    Raises:
        ValueError: when the folder holds no records, or not of this split.
    """
    from datasets import load_dataset

    folder = Path(data)
    if (folder / f"{split}.jsonl").is_file():
        return load_dataset("json", data_files={split: str(folder / f"{split}.jsonl")}, split=split)
    if not folder.is_dir():
        return load_dataset(data, split=split, revision=revision)
    if not any(folder.rglob("*.parquet")):
        raise ValueError(f"{folder} holds neither {split}.jsonl nor parquet files: was the data set built into it?")
    # Not by the folder alone: where its card names the splits' files, `datasets` caches the rows under the folder's
    # last name, whatever lies above it and whatever is in the files, and gives other data for it.
    return load_dataset("parquet", data_dir=str(folder), split=split)


def load_sft(data: str, split: str = "train", revision: str | None = None) -> Any:
    """Load records and give each as `image`, `prompt` and `completion`.

    Args:
        data (`str`): a folder holding `<split>.jsonl` (image paths, absolute or relative to the folder) or parquet
            files, or the id of a data set on the Hub.
        split (`str`, *optional*, defaults to `"train"`): which split.
        revision (`str`, *optional*): branch, tag or commit of a data set on the Hub.

    Returns:
        `datasets.Dataset`: columns `image`, `prompt`, `completion`.

    Raises:
        ValueError: when the folder has no such split, or the data lacks a column.
    """
    from datasets import Image, concatenate_datasets

    folder = Path(data)
    dataset = load_records(data, split, revision)
    missing = {"image", "question", "answer"} - set(dataset.column_names)
    if missing:
        raise ValueError(f"{data} lacks the columns {sorted(missing)}; it has {dataset.column_names}")
    if dataset.features["image"].dtype == "string":
        dataset = dataset.map(lambda image: {"image": str(folder / image)}, input_columns="image")
    kept = dataset.select_columns(["image"]).cast_column("image", Image())
    turns = dataset.select_columns(["question", "answer"]).map(as_turns, remove_columns=["question", "answer"])
    return concatenate_datasets([kept, turns], axis=1)


def as_turns(record: dict[str, Any]) -> dict[str, Any]:
    """A record's question and answer as the two turns of a conversation."""
    return {
        "prompt": [{"role": "user", "content": record["question"]}],
        "completion": [{"role": "assistant", "content": record["answer"]}],
    }
