"""A whole build: shard after shard, by one process or many, from where the last run stopped.

Beside the data set's folder lies `<out>.work`: the lock that keeps a second build out, the settings, a mark and the
counts of every finished shard, and answers already paid for. A shard is finished when its mark is there; a killed run
loses at most the shards under way. When all marks are there, the counts are added up and card, report and list of
skipped items are written. The result depends on settings and images only: not on processes, kills or resumes.

Example:
    >>> from faceshield_hf.data.build.run import work_folder
    >>> work_folder("outputs/sft45k").name
    'sft45k.work'
"""

import errno
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from faceshield_hf.data.build.config import Config
from faceshield_hf.data.build.inputs import Inputs
from faceshield_hf.data.build.shards import ShardBuilder, shard_bounds
from faceshield_hf.data.build.statistics import add_counts
from faceshield_hf.whole_files import whole_file, write_json


@dataclass(frozen=True)
class Processes:
    """This process among those of its launch.

    Attributes:
        index (`int`): 0 is the main one.
        count (`int`): how many there are.
        wait (`Callable`): returns when all have come here.
    """

    index: int
    count: int
    wait: Callable[[], None]

    @classmethod
    def of_launch(cls) -> "Processes":
        """From `accelerate launch` or torchrun if this was started by one, else alone."""
        if int(os.environ.get("WORLD_SIZE", "1")) < 2:
            return cls(0, 1, lambda: None)
        import torch
        from accelerate.state import PartialState

        # Without an accelerator it would otherwise take itself for the only process. Processes finish hours apart
        # where one has slower answers than another.
        state = PartialState(cpu=not torch.accelerator.is_available(), timeout=timedelta(days=7))
        if state.num_processes != int(os.environ["WORLD_SIZE"]):
            raise ValueError(
                f"{os.environ['WORLD_SIZE']} processes were launched, accelerate sees {state.num_processes}"
            )
        return cls(state.process_index, state.num_processes, state.wait_for_everyone)


def work_folder(out: str | Path) -> Path:
    """Where a build's working files lie: beside its folder, which holds nothing but the data set."""
    out = Path(os.path.realpath(out))
    return out.with_name(out.name + ".work")


def build_dataset(config: Config, *, progress: bool = True) -> dict[str, Any]:
    """Build a data set, or go on with one that was stopped.

    Args:
        config (`Config`): what to build.
        progress (`bool`, *optional*, defaults to `True`): show a bar on standard error.

    Returns:
        `dict`: the counts of the whole build, as in its `build.json`.

    Raises:
        ValueError: for inputs that can't be used, a folder that is in use or holds something else, an assistant that
            can't go on, or a full disk; what is finished stays.
    """
    processes = Processes.of_launch()
    inputs = Inputs(config)
    out, work = Path(config.out), work_folder(config.out)
    bounds = shard_bounds(len(inputs), config.shard_images)
    with _locked(out, work, processes):
        _claim(out, work, config, inputs, processes)
        warn = _counting_warner()
        builder = ShardBuilder(config, inputs, work, processes.count, warn)
        try:
            _build_shards(builder, bounds, work, processes, progress)
            processes.wait()
            if processes.index == 0:
                _finish(config, inputs, bounds, work)
            processes.wait()
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            done = len(list((work / "shards").glob("*.json")))
            raise ValueError(
                f"the disk of {out} is full: {done} of {len(bounds)} shards are finished and kept. Make room and run "
                "the same command again"
            ) from error
    return dict(json.loads((out / "build.json").read_text(encoding="utf-8"))["counts"])


def _build_shards(
    builder: ShardBuilder, bounds: list[tuple[int, int]], work: Path, processes: Processes, progress: bool
) -> None:
    mine = range(processes.index, len(bounds), processes.count)
    images = sum(bounds[number][1] - bounds[number][0] for number in mine)
    name = "images" if processes.count == 1 else f"images of process {processes.index}"
    with tqdm(total=images, desc=name, unit="img", disable=not progress, position=processes.index) as bar:
        for number in mine:
            start, stop = bounds[number]
            if not _is_finished(work, number):
                builder.build(number, start, stop)
            bar.update(stop - start)


def _is_finished(work: Path, number: int) -> bool:
    """Whether a shard has its mark and no item in it is left to be asked for again."""
    try:
        mark = json.loads((work / "shards" / f"{number:05d}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return not mark["unanswered"]


@contextmanager
def _locked(out: Path, work: Path, processes: Processes) -> Iterator[None]:
    """Keep other builds out; the lock of a killed process is gone with it."""
    from filelock import FileLock, Timeout

    if processes.index:
        processes.wait()
        yield
        return
    work.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(work / "lock", timeout=0):
            processes.wait()
            yield
    except Timeout as error:
        raise ValueError(f"another build is writing into {out}: wait for it, or choose another out") from error


def _claim(out: Path, work: Path, config: Config, inputs: Inputs, processes: Processes) -> None:
    """Refuse a folder that holds anything but this build."""
    if processes.index == 0:
        deciding = config.deciding()
        settings = {"digest": inputs.digest, "settings": deciding}
        claimed = work / "build.json"
        finished = out / "build.json"
        if not claimed.is_file() and not finished.is_file() and out.is_dir() and any(out.iterdir()):
            raise ValueError(f"{out} holds files that are no build: choose an empty or a new folder")
        for path in (claimed, finished):
            if not path.is_file():
                continue
            told = json.loads(path.read_text(encoding="utf-8"))
            if told["digest"] != inputs.digest:
                differing = [k for k, v in deciding.items() if told["settings"].get(k) != v]
                raise ValueError(
                    f"{out} holds a build with other {', '.join(differing) or 'images or reviews'}: choose another "
                    f"out, or delete {out} and {work}"
                )
        write_json(claimed, settings)
    processes.wait()


def _finish(config: Config, inputs: Inputs, bounds: list[tuple[int, int]], work: Path) -> None:
    """Add up the shards and write everything that speaks of the whole."""
    from faceshield_hf.data.build.card import write_card
    from faceshield_hf.data.build.report import write_report

    out = Path(config.out)
    counts: dict[str, Any] = {}
    for number in range(len(bounds)):
        add_counts(counts, json.loads((work / "shards" / f"{number:05d}.json").read_text(encoding="utf-8")))
    if not counts["records"]:
        raise ValueError(f"not one record was made; {work / 'skipped'} says why for each of {len(inputs)} images")
    with whole_file(out / "skipped.jsonl") as part, part.open("wb") as whole:
        for number in range(len(bounds)):
            whole.write((work / "skipped" / f"{number:05d}.jsonl").read_bytes())
    write_card(out, counts, config.card)
    write_report(out, counts, config.card.title)
    told = {"counts": counts, "digest": inputs.digest, "settings": config.deciding()}
    write_json(out / "build.json", told, sort_keys=True)


def _counting_warner(most: int = 5) -> Callable[[str], None]:
    """Tell of the first few failures and then now and then: all of them are listed in the end."""
    state = {"count": 0, "last": 0.0}

    def warn(message: str) -> None:
        state["count"] += 1
        if state["count"] <= most or time.monotonic() - state["last"] > 60:
            state["last"] = time.monotonic()
            tqdm.write(f"{message} ({state['count']:.0f} so far)", file=sys.stderr)

    return warn
