"""How a checkpoint was made: `run.json` beside its weights, and beside every intermediate checkpoint's.

It gathers settings, seed, versions, the data's exact revision and the code's commit. It changes no training.

Example:
    >>> from faceshield_hf.training.provenance import code_version
    >>> sorted(code_version())
    ['commit', 'faceshield_hf', 'modified']
"""

import hashlib
import subprocess
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled
from transformers import TrainerCallback

from faceshield_hf.version import __version__
from faceshield_hf.whole_files import write_json


FILE = "run.json"
LOG = "log.json"
_LIBRARIES = ("torch", "transformers", "trl", "peft", "accelerate", "datasets")
_ROOT = Path(__file__).parents[2]
# Settings that hold secrets or say nothing about the weights.
_LEFT_OUT = ("hub_token", "push_to_hub_token", "deepspeed_plugin", "distributed_state", "logging_dir")


def data_revision(data: str, revision: str | None) -> dict[str, str | None]:
    """What exactly a data set was: a commit of the Hub, or a hash of a folder's own files.

    Args:
        data (`str`): a folder of records or the id of a data set on the Hub.
        revision (`str`, *optional*): branch, tag or commit that was asked for.

    Returns:
        `dict`: `data`, `revision` as asked for, and `commit` (of the Hub; `None` when offline) or `sha256` (of the
            records' files, without the images).

    Raises:
        ValueError: when there is no such folder, and no such data set that may be read.
    """
    told: dict[str, str | None] = {"data": data, "revision": revision}
    folder = Path(data)
    if not folder.is_dir():
        return told | {"commit": _hub_commit(data, revision)}
    return told | {"sha256": files_digest(folder, ("*.jsonl", "**/*.parquet"))}


def files_digest(folder: str | Path, kinds: Sequence[str]) -> str:
    """A hash of files, by their names inside a folder and their bytes.

    Args:
        folder (`str` or `Path`): where they lie.
        kinds (`Sequence[str]`): patterns of their names, such as `"*.json"`.

    Returns:
        `str`: 64 hexadecimal digits.
    """
    folder = Path(folder)
    digest = hashlib.sha256()
    for file in sorted(path for kind in kinds for path in folder.glob(kind)):
        digest.update(file.relative_to(folder).as_posix().encode())
        with file.open("rb") as content:
            while block := content.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def code_version() -> dict[str, Any]:
    """Version of this package, and the commit if it runs from a repository.

    Returns:
        `dict`: `faceshield_hf`, `commit` and `modified` (whether files differ from it); the last two are `None` for
            an installed package.
    """
    commit = _git("rev-parse", "HEAD") if (_ROOT / ".git").exists() else None
    modified = None if commit is None else bool(_git("status", "--porcelain", "--untracked-files=no"))
    return {"faceshield_hf": __version__, "commit": commit, "modified": modified}


def describe_run(sections: dict[str, dict[str, Any]], **facts: Any) -> dict[str, Any]:
    """Everything that made a checkpoint.

    Args:
        sections (`dict`): name -> settings, such as `{"recipe": {...}, "training": {...}}`.
        facts (`Any`): anything else that JSON can hold.

    Returns:
        `dict`: code, libraries, sections and facts, without secrets.
    """
    settings = {
        name: {k: _plain(v) for k, v in values.items() if k not in _LEFT_OUT and v is not None}
        for name, values in sections.items()
    }
    return {"code": code_version(), "libraries": _versions(), **settings, **facts}


def rows_a_step(training_args: Any) -> int:
    """Rows that one step of the optimizer learns from, of all processes and accumulated batches together.

    Args:
        training_args (`transformers.TrainingArguments`): the run's.

    Returns:
        `int`: how many.
    """
    return training_args.train_batch_size * training_args.gradient_accumulation_steps * training_args.world_size


def write_run(folder: str | Path, told: dict[str, Any]) -> None:
    """Write `run.json` into a folder, whole or not at all.

    Args:
        folder (`str` or `Path`): a checkpoint.
        told (`dict`): what `describe_run` gave.
    """
    _write_json(Path(folder) / FILE, told)


def write_log(folder: str | Path, log: list[dict[str, Any]]) -> None:
    """Write `log.json`, the numbers of the training curves, into a folder.

    Args:
        folder (`str` or `Path`): a checkpoint.
        log (`list[dict]`): the trainer's `state.log_history`.
    """
    _write_json(Path(folder) / LOG, log)


class ProvenanceCallback(TrainerCallback):
    """Writes `run.json` into every checkpoint that the trainer saves.

    Args:
        told (`dict`): what `describe_run` gave.
    """

    def __init__(self, told: dict[str, Any]) -> None:
        self.told = told
        self.started = time.time()

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Describe the checkpoint of this step."""
        if state.is_world_process_zero:
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            write_run(folder, self.told | self.progress(state))

    def progress(self, state: Any) -> dict[str, Any]:
        """How far the run has come.

        Args:
            state (`TrainerState`): the trainer's.

        Returns:
            `dict`: step, epoch, and the minutes of this process (a resumed run counts anew).
        """
        minutes = round((time.time() - self.started) / 60, 2)
        return {"global_step": state.global_step, "epoch": state.epoch, "minutes": minutes}


def _write_json(path: Path, content: Any) -> None:
    write_json(path, content, sort_keys=True, allow_nan=True)


def _hub_commit(data: str, revision: str | None) -> str | None:
    try:
        return HfApi().dataset_info(data, revision=revision).sha
    except OfflineModeIsEnabled:  # the local cache serves what it has
        return None
    except (HfHubHTTPError, HFValidationError) as error:
        raise ValueError(
            f"{data} is neither a folder nor a data set on the Hub that may be read"
            f"{f' at revision {revision}' if revision else ''}: check the name, or log in ({error})"
        ) from error


def _versions() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(v) for v in value]
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=_ROOT, capture_output=True, text=True, timeout=20, check=False)
    except OSError:  # no git
        return None
    return done.stdout.strip() if done.returncode == 0 else None
