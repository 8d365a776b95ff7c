"""`faceshield train` and `evaluate`: the recipes, started from wherever the package is installed.

Recipes are scripts with a YAML each, to be copied and changed; `train` is the short way to
`accelerate launch recipes/<stage>.py --config <YAML>`. They stand in `recipes/` of the repository; a wheel carries
them inside the package.

Example:
    $ faceshield train sft --config faceshield-tiny/sft.yaml --max_steps 2
    $ accelerate launch recipes/sft.py --config recipes/faceshield-tiny/sft.yaml --max_steps 2    # the same
"""

import itertools
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from faceshield_hf.cli.common import find_folder, one_line_errors, require, run_program


# Recipes that are commands of their own.
_OTHERS = frozenset({"evaluate", "build_dataset"})


def train(
    context: typer.Context,
    stage: Annotated[str, typer.Argument(help="The recipe: pretrain, sft, ...; 'list' names them all.")],
    launch: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="accelerate's configuration; your own default, else one process."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the command and stop.")] = False,
) -> None:
    """Start a recipe with accelerate: faceshield train sft --config faceshield-tiny/sft.yaml [--key value ...].

    Options of faceshield itself stand before the stage, everything after it is the recipe's; --config may name a YAML
    below the recipes. `faceshield train STAGE --help` lists what the recipe takes.
    """
    with one_line_errors():
        recipes = find_folder("recipes", "sft.py", "the recipes")
        stages = sorted(file.stem for file in recipes.glob("*.py") if file.stem not in _OTHERS)
        if stage == "list":
            typer.echo("\n".join(stages))
            return
        if stage not in stages:
            raise ValueError(f"there is no recipe {stage!r}: expected one of {', '.join(stages)}")
        require("accelerate", "train", "training")
        command = [sys.executable, "-m", "accelerate.commands.launch", *_launch_options(recipes, launch)]
        command += [str(recipes / f"{stage}.py"), *_find_configs(recipes, context.args)]
        if dry_run:
            typer.echo(" ".join(command))
            return
        raise typer.Exit(run_program(command))


def evaluate(context: typer.Context) -> None:
    """Measure a checkpoint on a data set by a protocol: `faceshield evaluate --help` lists its options."""
    with one_line_errors():
        from faceshield_hf.evaluation import main

        raise typer.Exit(main(context.args))


def _launch_options(recipes: Path, launch: Path | None) -> list[str]:
    """Say how many processes: as told, else as the user has told accelerate, else one."""
    if launch is not None:
        if not launch.is_file():
            raise ValueError(f"{launch}: no such file; expected a configuration that `accelerate config` wrote")
        return ["--config_file", str(launch)]
    home = Path(os.environ.get("HF_HOME", Path.home() / ".cache" / "huggingface"))
    if any((home / "accelerate" / f"default_config.{suffix}").is_file() for suffix in ("yaml", "json")):
        return []
    from faceshield_hf.checkpoints import best_device

    if best_device() == "cpu":
        return ["--config_file", str(recipes / "accelerate" / "cpu.yaml")]
    return ["--num_processes", "1", "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]


def _find_configs(recipes: Path, arguments: list[str]) -> list[str]:
    """Let `--config` name a file below the recipes: an installed package has them where nobody wants to type."""
    found = list(arguments)
    for i, (option, value) in enumerate(itertools.pairwise(arguments), start=1):
        if option == "--config" and not Path(value).is_file():
            candidates = [recipes / value, recipes.parent / value]
            existing = next((file for file in candidates if file.is_file()), None)
            if existing is None:
                raise ValueError(f"{value}: no such file here or in {recipes}")
            found[i] = str(existing)
    return found
