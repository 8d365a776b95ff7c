"""One training stage from its YAML: what `recipes/pretrain.py` and `recipes/sft.py` share.

It loads a FaceShield checkpoint, chooses what learns, and hands everything else to TRL's `SFTTrainer`. It knows no
stage's numbers: they stand in the YAML files.

Example:
    >>> from faceshield_hf.training.run import RecipeArguments
    >>> RecipeArguments(data="outputs/data").train_parts
    ['connector', 'pvtm']
"""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers.trainer_utils import get_last_checkpoint

from faceshield_hf.data.sft import load_sft
from faceshield_hf.modeling_faceshield import FaceShieldForConditionalGeneration
from faceshield_hf.processing_faceshield import FaceShieldProcessor
from faceshield_hf.training.stages import train_only
from faceshield_hf.version import __version__


@dataclass
class RecipeArguments:
    """What a recipe sets beside TRL's own arguments.

    Attributes:
        data (`str`): a folder of records or the id of a data set on the Hub.
        data_revision (`str`, *optional*): branch, tag or commit of the data set.
        train_parts (`list[str]`): parts that learn in full: vision_tower, connector, pvtm, language_model. With
            `use_peft` the language model learns through LoRA beside them.
    """

    data: str = field(metadata={"help": "Folder of records, or the id of a data set on the Hub."})
    data_revision: str | None = field(default=None, metadata={"help": "Branch, tag or commit of the data set."})
    train_parts: list[str] = field(
        default_factory=lambda: ["connector", "pvtm"],
        metadata={"help": "Parts that learn in full: vision_tower, connector, pvtm, language_model."},
    )


def parse_arguments(*kinds: Any) -> tuple[Any, ...]:
    """Read the YAML named by `--config` and the command line, which wins, into dataclasses.

    Args:
        kinds (`type`): dataclasses whose fields are the accepted keys.

    Returns:
        `tuple`: one instance a dataclass.

    Raises:
        ValueError: for a key that none of them has.
    """
    from trl import TrlParser

    return tuple(TrlParser(list(kinds)).parse_args_and_config())


def run_stage(recipe: RecipeArguments, training_args: Any, model_args: Any) -> None:
    """Train one stage and save the checkpoint with its processor; an interrupted run goes on where it stopped.

    Args:
        recipe (`RecipeArguments`): data and parts.
        training_args (`trl.SFTConfig`): TRL's and the Trainer's arguments.
        model_args (`trl.ModelConfig`): `model_name_or_path` and the LoRA settings.

    Raises:
        ValueError: when nothing would learn, or the model or the data can't be loaded.
    """
    from trl import SFTTrainer, get_peft_config

    if not model_args.model_name_or_path:
        raise ValueError("model_name_or_path is not set: name the checkpoint to start from in the YAML")
    if training_args.max_length is not None:
        raise ValueError(
            f"max_length is {training_args.max_length}, which would cut image tokens: set `max_length: null`"
        )
    transformers.set_seed(training_args.seed)
    # Weights stay in float32 and `bf16: true` computes in bfloat16: small learning rates vanish in bfloat16 weights.
    dtype = getattr(torch, model_args.dtype or "float32")
    model = FaceShieldForConditionalGeneration.from_pretrained(model_args.model_name_or_path, dtype=dtype)
    processor = FaceShieldProcessor.from_pretrained(model_args.model_name_or_path)
    # Convolutional towers run about twice as fast on CPUs with channels last; for others it changes nothing.
    model.model.vision_tower.to(memory_format=torch.channels_last)
    peft_config = get_peft_config(model_args)
    if not train_only(model, recipe.train_parts) and peft_config is None:
        raise ValueError("train_parts is empty and use_peft is off: nothing would learn")
    trainer = SFTTrainer(
        model=model,
        args=training_args,
        train_dataset=load_sft(recipe.data, "train", recipe.data_revision),
        eval_dataset=(
            load_sft(recipe.data, "validation", recipe.data_revision) if training_args.eval_strategy != "no" else None
        ),
        processing_class=processor,
        peft_config=peft_config,
    )
    trainer.train(resume_from_checkpoint=last_checkpoint(training_args))
    trainer.save_model(training_args.output_dir)
    if trainer.is_world_process_zero():
        _write_run(Path(training_args.output_dir), recipe, training_args, model_args)


def last_checkpoint(training_args: Any) -> str | None:
    """What a run resumes from: what the YAML says, else the newest checkpoint in the output folder."""
    if training_args.resume_from_checkpoint:
        return training_args.resume_from_checkpoint
    return get_last_checkpoint(training_args.output_dir) if os.path.isdir(training_args.output_dir) else None


def _write_run(folder: Path, recipe: RecipeArguments, training_args: Any, model_args: Any) -> None:
    """Keep beside the weights how they were made."""
    told = {
        "faceshield_hf": __version__,
        "recipe": asdict(recipe),
        "seed": training_args.seed,
        "learning_rate": training_args.learning_rate,
        "num_train_epochs": training_args.num_train_epochs,
        "model_name_or_path": model_args.model_name_or_path,
        "use_peft": model_args.use_peft,
    }
    (folder / "faceshield_run.json").write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
