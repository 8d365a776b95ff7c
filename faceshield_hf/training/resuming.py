"""Going on with a run that was stopped, and only with that run.

It finds the newest whole checkpoint in the output folder, compares what it was made by with what is asked for now,
and trains on from it. A run that has had all its steps is loaded and not trained further. It knows transformers'
trainer and `run.json`; it knows no stage.

Example:
    >>> from faceshield_hf.training.resuming import last_checkpoint
    >>> last_checkpoint("nowhere") is None
    True
"""

import json
import os
import warnings
from pathlib import Path
from typing import Any

from transformers import Trainer, TrainerState, TrainingArguments

from faceshield_hf.training.provenance import FILE, LOG, ProvenanceCallback


_STATE = "trainer_state.json"
_SECTIONS = ("recipe", "model", "training")
# Where things lie, how long a run goes on, what it tells and saves on the way: none of it changes a step. Data sets
# are compared by their contents, and rows a process and accumulated batches by the rows that a step has of all.
_FREE = {
    "data",
    "data_revision",
    "train_data",
    "eval_data",
    "cache_vision_features",
    "output_dir",
    "run_name",
    "max_steps",
    "num_train_epochs",
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "per_device_eval_batch_size",
    "resume_from_checkpoint",
    "report_to",
    "project",
    "disable_tqdm",
    "local_rank",
    "ddp_timeout",
    "dataloader_num_workers",
    "dataloader_pin_memory",
    "dataloader_persistent_workers",
    "dataloader_prefetch_factor",
}
_FREE_KINDS = ("save_", "logging_", "log_", "hub_", "push_to_hub", "trackio_")


def resume(trainer: Trainer, provenance: ProvenanceCallback) -> dict[str, Any]:
    """Train, from the newest whole checkpoint in the output folder if there is one.

    Args:
        trainer (`Trainer`): ready to train.
        provenance (`ProvenanceCallback`): tells what the run is; one of the trainer's callbacks.

    Returns:
        `dict`: what made the weights that the trainer now holds, for `run.json`.

    Raises:
        ValueError: when the checkpoint was made by other settings or from other data.
    """
    args = trainer.args
    checkpoint = args.resume_from_checkpoint or last_checkpoint(output_folder(args))
    made = None if checkpoint is None else check_unchanged(checkpoint, provenance.told)
    if checkpoint is not None and _is_done(checkpoint, made, args):
        return _load_done(trainer, checkpoint, made, provenance)
    trainer.train(resume_from_checkpoint=checkpoint)
    return provenance.told | provenance.progress(trainer.state)


def check_unchanged(checkpoint: str | Path, told: dict[str, Any]) -> dict[str, Any] | None:
    """Compare a checkpoint's `run.json` with what is asked for now.

    Args:
        checkpoint (`str` or `Path`): its folder.
        told (`dict`): what `describe_run` gave.

    Returns:
        `dict`, *optional*: the checkpoint's own description; `None` when it has none, which is warned of.

    Raises:
        ValueError: naming every key that differs, both values and the remedy.
    """
    file = Path(checkpoint) / FILE
    if not file.is_file():
        warnings.warn(
            f"{checkpoint} has no {FILE}: whether it was made by the same settings can't be checked", stacklevel=2
        )
        return None
    made: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    old, new = _deciding(made), _deciding(told)
    changed = [
        f"{key} was {old.get(key)!r} and is now {new.get(key)!r}"
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key)
    ]
    if changed:
        raise ValueError(
            f"{checkpoint} belongs to another run: {'; '.join(changed)}. Set them as they were to go on with it, "
            f"choose another output_dir, or delete {Path(checkpoint).parent} to start anew"
        )
    return made


def output_folder(args: TrainingArguments) -> Path:
    """A run's output folder.

    Args:
        args (`TrainingArguments`): which choose one themselves when none was named.

    Returns:
        `Path`: not made yet.
    """
    assert args.output_dir is not None
    return Path(args.output_dir)


def last_checkpoint(folder: str | Path) -> str | None:
    """The newest whole checkpoint in a folder; one that a kill has cut short is passed over.

    Args:
        folder (`str` or `Path`): the run's output folder.

    Returns:
        `str`, *optional*: its path.
    """

    def step(path: Path) -> int:
        return int(path.name.rpartition("-")[2])

    found = [path for path in Path(folder).glob("checkpoint-*") if path.name.rpartition("-")[2].isdigit()]
    for path in sorted(found, key=step, reverse=True):
        try:  # the trainer writes this file last
            json.loads((path / _STATE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        return os.fspath(path)
    return None


def _deciding(told: dict[str, Any]) -> dict[str, Any]:
    """What decides the weights, key by key, as JSON holds it."""
    told = json.loads(json.dumps(told))
    found = {
        f"{section}.{key}": value
        for section in _SECTIONS
        for key, value in told.get(section, {}).items()
        if key not in _FREE and not key.startswith(_FREE_KINDS)
    }
    sets = told["data"] if isinstance(told["data"], list) else [told["data"]]
    # A folder is its contents, wherever it lies; offline, the Hub's commit is not known and the name must do.
    exact = [one.get("sha256") or f"{one['data']}@{one.get('commit') or one.get('revision')}" for one in sets]
    return found | {"data": exact, "rows_a_step": told["rows_a_step"]}


def _is_done(checkpoint: str, made: dict[str, Any] | None, args: TrainingArguments) -> bool:
    """Whether a checkpoint has all the steps that are asked for."""
    state = TrainerState.load_from_json(os.path.join(checkpoint, _STATE))
    if args.max_steps > 0:
        return state.global_step >= args.max_steps
    before = {} if made is None else made["training"]
    same = before.get("max_steps") == args.max_steps and before.get("num_train_epochs") == args.num_train_epochs
    return same and state.global_step >= state.max_steps > 0


def _load_done(
    trainer: Trainer, checkpoint: str, made: dict[str, Any] | None, provenance: ProvenanceCallback
) -> dict[str, Any]:
    """Load a finished run with what it told, without a further step.

    transformers would take one at each repeat where the last step lies inside an epoch. With no epochs to go it only
    loads, whatever way the weights are split over processes.
    """
    args = trainer.args
    asked = args.max_steps, args.num_train_epochs
    args.max_steps, args.num_train_epochs = -1, 0
    trainer.train(resume_from_checkpoint=checkpoint)
    args.max_steps, args.num_train_epochs = asked
    trainer.state = TrainerState.load_from_json(os.path.join(checkpoint, _STATE))
    if made is None:
        return provenance.told | provenance.progress(trainer.state)
    finished, log = (output_folder(args) / name for name in (FILE, LOG))
    if finished.is_file() and log.is_file():
        whole = json.loads(finished.read_text(encoding="utf-8"))
        # What the run wrote in its end says a little more than its last checkpoint.
        if whole["global_step"] == made["global_step"] and _deciding(whole) == _deciding(made):
            trainer.state.log_history = json.loads(log.read_text(encoding="utf-8"))
            return whole
    return made
