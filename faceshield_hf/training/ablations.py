"""Ablations: many small changes of one recipe, each trained and judged over several seeds, in tables with intervals.

A variant is a set of changed keys; a table is a list of variants, the first of which the others are compared with,
seed by seed. Every run is a folder of its own, done once for all tables and never again: a stopped command goes on. It
knows the recipes' scripts and the evaluation; what is worth varying stands in a YAML file.

Example:
    >>> from faceshield_hf.training.ablations import AblationArguments
    >>> needed = {"base": "b", "recipes": {"pretrain": "p", "sft": "s"}, "data": {"pretrain": "p", "sft": "s"}}
    >>> AblationArguments(**needed, dev=["d"], test=["t"], variants={"plain": {}}, tables={"A": ["plain"]}).seeds
    [0, 1, 2]
"""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from tqdm.auto import tqdm

from faceshield_hf.data.samples import Sample, read_samples
from faceshield_hf.detector import FaceShield
from faceshield_hf.evaluation.evaluate import collect, summarize
from faceshield_hf.evaluation.metrics import eer_threshold
from faceshield_hf.evaluation.scorers import FaceShieldScorer
from faceshield_hf.training.ablation_tables import FEWEST_SEEDS, markdown, metrics_of, table_rows
from faceshield_hf.training.launching import cpu_launch
from faceshield_hf.training.provenance import data_revision, files_digest
from faceshield_hf.whole_files import write_json, write_whole


STAGES = ("pretrain", "sft")
SETTINGS = "settings.json"


@dataclass
class AblationArguments:
    """What is varied, on what, and how often.

    Attributes:
        base (`str`): checkpoint that every run starts from.
        recipes (`dict`): stage -> its YAML file.
        data (`dict`): stage -> folder of records.
        dev (`list[str]`): folders of labelled images that thresholds are fitted on.
        test (`list[str]`): folders of labelled images that are judged.
        variants (`dict`): name -> keys of the recipes that it changes; `pretrain` or `sft` inside hold keys of one
            stage only.
        tables (`dict`): title -> names of variants; the first is what the others are compared with.
        out (`str`): folder of all runs and tables.
        seeds (`list[int]`): one run each.
        options (`dict`, *optional*): keys of the recipes that every run changes, in the same form.
        limit (`int`, *optional*): images of `dev` and of `test` at most, spread evenly.
        processes (`int`, *optional*, defaults to 1): training processes of a run, one core each.
        keep_weights (`bool`, *optional*, defaults to `False`): keep the trained checkpoints.
        only (`list[str]`, *optional*): titles of the tables to make; unset: all.
    """

    base: str = field(metadata={"help": "Checkpoint that every run starts from."})
    recipes: dict[str, str] = field(metadata={"help": "Stage -> its YAML file."})
    data: dict[str, str] = field(metadata={"help": "Stage -> folder of records."})
    dev: list[str] = field(metadata={"help": "Folders of images that thresholds are fitted on."})
    test: list[str] = field(metadata={"help": "Folders of images that are judged."})
    variants: dict[str, Any] = field(metadata={"help": "Name -> changed keys."})
    tables: dict[str, Any] = field(metadata={"help": "Title -> names of variants, the reference first."})
    out: str = field(default="outputs/ablations", metadata={"help": "Folder of all runs and tables."})
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2], metadata={"help": "One run each."})
    options: dict[str, Any] = field(default_factory=dict, metadata={"help": "Keys that every run changes."})
    limit: int | None = field(default=None, metadata={"help": "Images of dev and of test at most."})
    processes: int = field(default=1, metadata={"help": "Training processes of a run."})
    keep_weights: bool = field(default=False, metadata={"help": "Keep the trained checkpoints."})
    only: list[str] = field(default_factory=list, metadata={"help": "Titles of the tables to make."})

    def __post_init__(self) -> None:
        """Check that tables name variants and that there is something to vary.

        Raises:
            ValueError: for a name that is not there, or nothing to do.
        """
        if not self.seeds:
            raise ValueError("seeds is empty: give at least one, better three")
        unknown = sorted({name for names in self.tables.values() for name in names} - set(self.variants))
        if unknown:
            raise ValueError(f"tables name {unknown}, but variants are {sorted(self.variants)}")
        missing = sorted(set(self.only) - set(self.tables))
        if missing:
            raise ValueError(f"only names {missing}, but tables are {sorted(self.tables)}")
        for name, given in (("recipes", self.recipes), ("data", self.data)):
            if set(given) != set(STAGES):
                raise ValueError(f"{name} has {sorted(given)}: it needs one entry for each of {', '.join(STAGES)}")


def run_ablations(arguments: AblationArguments, recipes: Path) -> Path:
    """Train and judge what is missing, and write the tables.

    Args:
        arguments (`AblationArguments`): what to vary.
        recipes (`Path`): the folder of the recipes' scripts.

    Returns:
        `Path`: `ablations.md`; `ablations.json` stands beside it.

    Raises:
        ValueError: when a run's result belongs to other settings.
    """
    titles = arguments.only or list(arguments.tables)
    wanted = list(dict.fromkeys(name for title in titles for name in arguments.tables[title]))
    jobs = [(seed, name) for seed in arguments.seeds for name in wanted]  # a whole set of seed 0 before seed 1
    held = contents(arguments)
    for number, (seed, name) in enumerate(jobs, start=1):
        start = time.time()
        fresh = run_one(arguments, name, seed, recipes, held)
        took = f"{(time.time() - start) / 60:.1f} minutes" if fresh else "done before"
        tqdm.write(f"[{number}/{len(jobs)}] {name}, seed {seed}: {took}")
        write_tables(arguments, titles)
    return write_tables(arguments, titles)


def run_one(arguments: AblationArguments, variant: str, seed: int, recipes: Path, held: dict[str, str | None]) -> bool:
    """Train and judge one variant with one seed, unless its result is there.

    Args:
        arguments (`AblationArguments`): what to vary.
        variant (`str`): which.
        seed (`int`): of data order, masking and new weights.
        recipes (`Path`): the folder of the recipes' scripts.
        held (`dict`): what `contents` gave.

    Returns:
        `bool`: whether there was anything to do.

    Raises:
        ValueError: when the folder holds a result, or a finished stage, of other settings or other data.
    """
    folder = run_folder(arguments, variant, seed)
    trained: dict[str, Any] = {stage: stage_keys(arguments, variant, seed, stage) for stage in STAGES}
    trained |= {"processes": arguments.processes, "contents": held}
    settings = trained | {"judged": {"dev": arguments.dev, "test": arguments.test, "limit": arguments.limit}}
    done = read_result(arguments, variant, seed)
    if done is not None:
        _refuse_others(folder, "the result", done["settings"], settings)
        return False
    ready = [stage for stage in STAGES if (folder / stage / "run.json").is_file()]
    if ready:  # the run was stopped between its stages
        file = folder / SETTINGS
        before = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        _refuse_others(folder, f"{ready[0]} of a run", before, trained)
    write_json(folder / SETTINGS, trained)
    for stage in STAGES:
        if stage not in ready:
            launch(folder, stage, trained[stage], arguments.processes, recipes)
    result = {"settings": settings, "report": judge_run(arguments, folder)}
    write_json(folder / "result.json", result)
    if not arguments.keep_weights:
        for stage in STAGES:
            shutil.rmtree(folder / stage)
    return True


def stage_keys(arguments: AblationArguments, variant: str, seed: int, stage: str) -> dict[str, Any]:
    """The keys of a stage's YAML for one run: the recipe's own, what all runs change, what the variant changes.

    Args:
        arguments (`AblationArguments`): what to vary.
        variant (`str`): which.
        seed (`int`): the run's.
        stage (`str`): "pretrain" or "sft".

    Returns:
        `dict`: key -> value.
    """
    keys: dict[str, Any] = yaml.safe_load(Path(arguments.recipes[stage]).read_text(encoding="utf-8"))
    fields: dict[str, Any] = dict(keys.get("model_fields") or {})
    for changed in (arguments.options, arguments.variants[variant] or {}):
        common = {key: value for key, value in changed.items() if key not in STAGES}
        for part in (common, changed.get(stage) or {}):
            fields |= part.get("model_fields") or {}
            keys |= part
    folder = run_folder(arguments, variant, seed)
    start = arguments.base if stage == STAGES[0] else str(folder / STAGES[0])
    keys |= {"seed": seed, "data": arguments.data[stage], "output_dir": str(folder / stage)}
    keys |= {"model_name_or_path": start}
    if fields:
        keys["model_fields"] = fields
    if stage != STAGES[0]:  # what stage 1 has built stays built
        keys.pop("new_connector", None)
    return keys


def contents(arguments: AblationArguments) -> dict[str, str | None]:
    """What the runs start from and learn from, by contents: the same paths may hold something else another day.

    Args:
        arguments (`AblationArguments`): `base` and `data`.

    Returns:
        `dict[str, str | None]`: SHA-256 of the base's files and of each stage's records, or a commit of the Hub.
    """
    told = {stage: data_revision(arguments.data[stage], None) for stage in STAGES}
    found = {f"data of {stage}": one.get("sha256") or one.get("commit") for stage, one in told.items()}
    base = Path(arguments.base)
    return found | {"base": files_digest(base, ("*.json", "*.jinja", "*.safetensors")) if base.is_dir() else None}


def launch(folder: Path, stage: str, keys: dict[str, Any], processes: int, recipes: Path) -> None:
    """Run one stage as its user would, through `accelerate launch`.

    Args:
        folder (`Path`): the run's.
        stage (`str`): "pretrain" or "sft".
        keys (`dict`): of the stage's YAML.
        processes (`int`): how many.
        recipes (`Path`): the folder of the recipes' scripts.

    Raises:
        RuntimeError: when the stage fails, with its own error; all that it said is in `<stage>.log`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / f"{stage}.yaml"
    config.write_text(yaml.safe_dump(keys), encoding="utf-8")
    command, environment = cpu_launch(recipes / f"{stage}.py", processes, ["--config", str(config)])
    log = folder / f"{stage}.log"
    with log.open("w", encoding="utf-8") as out:
        done = subprocess.run(command, env=environment, stdout=out, stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{stage} in {folder} failed (all of it in {log}): {_reason(log.read_text('utf-8'))}")


def judge_run(arguments: AblationArguments, folder: Path) -> dict[str, Any]:
    """Judge a run's model on the test images, with the threshold of the dev images.

    Args:
        arguments (`AblationArguments`): the images.
        folder (`Path`): the run's.

    Returns:
        `dict`: the evaluation's report.
    """
    detector = FaceShield.from_pretrained(folder / STAGES[-1])
    dev, test = (
        collect(FaceShieldScorer(detector), _samples(folders, arguments.limit), folder / "judged" / name)
        for name, folders in (("dev", arguments.dev), ("test", arguments.test))
    )
    attack = np.array([not judged.sample.is_live for judged in dev])
    threshold, _ = eer_threshold(attack, np.array([judged.score for judged in dev], dtype=float))
    return summarize(test, threshold, dev=dev)


def run_folder(arguments: AblationArguments, variant: str, seed: int) -> Path:
    """Where a run lives.

    Args:
        arguments (`AblationArguments`): `out`.
        variant (`str`): its name; anything but letters, digits, dots and dashes becomes a dash.
        seed (`int`): its seed.

    Returns:
        `Path`: the folder.
    """
    name = "".join(letter if letter.isalnum() or letter in ".-_" else "-" for letter in variant)
    return Path(arguments.out) / "runs" / name / f"seed-{seed}"


def read_result(arguments: AblationArguments, variant: str, seed: int) -> dict[str, Any] | None:
    """A run's result, if it is done.

    Args:
        arguments (`AblationArguments`): `out`.
        variant (`str`): which.
        seed (`int`): which.

    Returns:
        `dict`, *optional*: `settings` and `report`.
    """
    file = run_folder(arguments, variant, seed) / "result.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


def read_values(arguments: AblationArguments, names: Sequence[str]) -> dict[str, dict[int, dict[str, float]]]:
    """What the finished runs of some variants have measured.

    Args:
        arguments (`AblationArguments`): `out` and `seeds`.
        names (`Sequence[str]`): variants.

    Returns:
        `dict`: variant -> seed -> metric -> value.
    """
    values: dict[str, dict[int, dict[str, float]]] = {name: {} for name in names}
    for name in names:
        for seed in arguments.seeds:
            done = read_result(arguments, name, seed)
            if done is not None:
                values[name][seed] = metrics_of(done["report"])
    return values


def write_tables(arguments: AblationArguments, titles: Sequence[str]) -> Path:
    """Write `ablations.json` and `ablations.md` from the results that are there.

    Args:
        arguments (`AblationArguments`): tables and seeds.
        titles (`Sequence[str]`): which tables.

    Returns:
        `Path`: `ablations.md`.
    """
    tables = {title: table_rows(read_values(arguments, arguments.tables[title])) for title in titles}
    out = Path(arguments.out)
    write_json(out / "ablations.json", tables)
    text = [
        "# Ablations\n",
        f"Mean over the seeds {', '.join(map(str, arguments.seeds))} and its 95 % interval (Student's t over seeds, "
        f"cut at 0 and 100 %; none below {FEWEST_SEEDS} seeds). The second line of a row is the difference from the "
        "table's first row, seed by seed; **bold** where its interval leaves out zero, which one comparison in twenty "
        "does by chance. With few seeds intervals are wide: what shows no difference may still have one.\n",
        *(f"- {name}: {told}" for name, told in _conditions(arguments).items()),
        "",
        *(f"## {title}\n\n{markdown(rows)}\n" for title, rows in tables.items()),
    ]
    return write_whole(out / "ablations.md", "\n".join(text))


def _conditions(arguments: AblationArguments) -> dict[str, str]:
    """What holds for every run, so that a table tells what its numbers stand for."""
    short = json.dumps(arguments.options) if arguments.options else "nothing"
    judged = f"at most {arguments.limit} images" if arguments.limit else "all images"
    return {
        "start": f"`{arguments.base}`",
        "recipes": ", ".join(f"{stage} `{arguments.recipes[stage]}`" for stage in STAGES),
        "changed in every run": f"`{short}`",
        "judged on": f"{judged} of {', '.join(f'`{folder}`' for folder in arguments.test)}",
        "thresholds from": f"{judged} of {', '.join(f'`{folder}`' for folder in arguments.dev)}",
    }


def _refuse_others(folder: Path, what: str, before: dict[str, Any], now: dict[str, Any]) -> None:
    """Refuse what other settings have left in a run's folder."""
    old, new = _flat(before), _flat(now)
    other = [f"{key} was {old.get(key)!r}, is {new.get(key)!r}" for key in new if old.get(key) != new[key]]
    other += [f"{key} was {old[key]!r}, is not set" for key in old if key not in new]
    if other:
        raise ValueError(
            f"{folder} holds {what} of other settings ({'; '.join(other)}): delete it to run it again, or choose "
            "another `out`"
        )


def _flat(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings in one level, as JSON gives them back."""
    plain: dict[str, Any] = json.loads(json.dumps(settings))
    inner = {f"{name}.{key}": v for name, held in plain.items() if isinstance(held, dict) for key, v in held.items()}
    return {name: value for name, value in plain.items() if not isinstance(value, dict)} | inner


def _reason(log: str) -> str:
    """The last error of a stage, rather than that of the launcher around it."""
    errors = re.findall(r"(?:^|\s)(\w+(?:Error|Exception): .*)$", log, re.MULTILINE)
    own = [line for line in errors if not line.startswith(("CalledProcessError", "ChildFailedError"))]
    return own[-1] if own else log[-500:]


def _samples(folders: Sequence[str], limit: int | None) -> list[Sample]:
    samples = [sample for folder in folders for sample in read_samples(folder)]
    if limit is None or limit >= len(samples):
        return samples
    return [samples[i] for i in np.linspace(0, len(samples) - 1, limit).round().astype(int)]
