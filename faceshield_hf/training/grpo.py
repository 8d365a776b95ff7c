"""Group-relative policy optimisation (GRPO) of a FaceShield model with TRL's `GRPOTrainer`.

TRL's trainer passes one picture tensor, `pixel_values`, from the processor to the log-probabilities. Our models read
two views, so both travel in it, stacked, and are parted again where the model is called. The rewards are in
`rewards.py`; this module knows the trainer and how records become prompts.

Example:
    >>> import torch
    >>> from faceshield_hf.training.grpo import part_views
    >>> sorted(part_views({"pixel_values": torch.zeros(3, 2, 3, 8, 8)}))
    ['pixel_values', 'sav_values']
"""

import os
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
import transformers
from torch import nn
from trl import GRPOTrainer

from faceshield_hf.processing_faceshield import FaceShieldProcessor
from faceshield_hf.tasks_faceshield import Task
from faceshield_hf.training.optimizing import stop_at_nan
from faceshield_hf.training.precision import avoid_emulation, keep_learning_in_float32
from faceshield_hf.training.processors import as_kind
from faceshield_hf.training.provenance import ProvenanceCallback, data_revision, describe_run, rows_a_step
from faceshield_hf.training.resuming import resume
from faceshield_hf.training.rewards import REWARDS
from faceshield_hf.training.rows import load_prompts
from faceshield_hf.training.run import RecipeArguments, check_start, load_start, lora_config, save
from faceshield_hf.training.stages import train_only


# Keys of a supervised stage's recipe that TRL's `GRPOTrainer` has no place for.
_SUPERVISED = (
    "lopsided_alpha",
    "sare_weight",
    "connector_learning_rate",
    "questions_per_row",
    "alone_tasks",
    "cache_vision_features",
)


@dataclass
class GRPORecipeArguments(RecipeArguments):
    """What a GRPO recipe sets beside TRL's own arguments.

    Attributes:
        rewards (`list[str]`): names in `rewards.REWARDS`; `reward_weights` of TRL's arguments weighs them.
        tasks (`list[str]`): which tasks' questions are asked.
    """

    rewards: list[str] = field(default_factory=lambda: list(REWARDS), metadata={"help": "Which rewards to add up."})
    tasks: list[str] = field(
        default_factory=lambda: [Task.COT.value, Task.LOCALIZATION.value], metadata={"help": "Which tasks to ask."}
    )

    def __post_init__(self) -> None:
        """Check the names.

        Raises:
            ValueError: for an unknown reward or task, or an option that only supervised stages have.
        """
        super().__post_init__()
        for name, given, known in (
            ("rewards", self.rewards, list(REWARDS)),
            ("tasks", self.tasks, [task.value for task in Task]),
        ):
            unknown = sorted(set(given) - set(known))
            if unknown or not given:
                raise ValueError(f"{name} is {given}: expected some of {', '.join(known)}")
        plain = RecipeArguments()
        foreign = [name for name in _SUPERVISED if vars(self)[name] != vars(plain)[name]]
        if foreign:
            raise ValueError(f"{', '.join(foreign)}: only supervised stages have this; leave it out of a GRPO recipe")


class StackedViewsProcessor(FaceShieldProcessor):
    """The processor, with both views of an image in `pixel_values (images, 2, 3, height, width)`.

    It serves a run only: what it saves is the model's own processor.
    """

    model_processor: FaceShieldProcessor

    @classmethod
    def like(cls, processor: FaceShieldProcessor) -> "StackedViewsProcessor":
        """Copy a processor.

        Args:
            processor (`FaceShieldProcessor`): the model's own; it stays as it is.

        Returns:
            `StackedViewsProcessor`: padded on the left, as generation wants it.
        """
        stacked = as_kind(cls, deepcopy(processor))
        stacked.tokenizer.padding_side = "left"
        stacked.model_processor = processor
        return stacked

    def save_pretrained(self, save_directory: str | os.PathLike, **kwargs: Any) -> list[str]:
        """Save the model's own processor."""
        return self.model_processor.save_pretrained(save_directory, **kwargs)

    def __call__(self, images: Any = None, text: Any = None, **kwargs: Any) -> Any:
        """Process images and text, and stack the views."""
        batch = super().__call__(images=images, text=text, **kwargs)
        sav = batch.pop("sav_values", None)
        if sav is not None and isinstance(sav, torch.Tensor):
            batch["pixel_values"] = torch.stack([batch["pixel_values"], sav], dim=1)
        elif sav is not None:
            batch["pixel_values"] = [
                torch.stack([torch.as_tensor(rgb), torch.as_tensor(view)]).numpy()
                for rgb, view in zip(batch["pixel_values"], sav, strict=True)
            ]
        return batch


def part_views(inputs: dict[str, Any]) -> dict[str, Any]:
    """Part stacked views into the model's two arguments.

    Args:
        inputs (`dict`): with or without `pixel_values`, stacked or not.

    Returns:
        `dict`: the model's inputs.
    """
    pictures = inputs.get("pixel_values")
    if pictures is None:
        return inputs
    pictures = torch.as_tensor(pictures)
    if pictures.dim() != 5:
        return inputs
    return {**inputs, "pixel_values": pictures[:, 0], "sav_values": pictures[:, 1]}


class FaceShieldGRPOTrainer(GRPOTrainer):
    """`GRPOTrainer` for models of two views."""

    # Narrower than their base class says.
    model: nn.Module
    processing_class: StackedViewsProcessor

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Write no card: the run writes this project's own when it is done."""

    def _tokenize_prompts(self, prompts: Any) -> tuple[Any, Any, dict[str, Any]]:
        """TRL's, with the views parted for `generate`."""
        prompt_ids, images, fields = super()._tokenize_prompts(prompts)
        if "pixel_values" in fields:
            stacked = fields["pixel_values"]
            fields["pixel_values"] = torch.stack([torch.as_tensor(picture) for picture in stacked])
        return prompt_ids, images, part_views(fields)

    def _get_per_token_logps_and_entropies(self, model: Any, *args: Any, **kwargs: Any) -> Any:
        """TRL's, with the views parted and the question for a prompt tower written where the model is called."""
        kwargs.pop("prompt_input_ids", None)  # TRL passes on what it knows, row by row

        def call(**inputs: Any) -> Any:
            prompts = self.processing_class.prompt_inputs(inputs["input_ids"])
            prompts = {name: ids.to(inputs["input_ids"].device) for name, ids in prompts.items()}
            return model(**part_views(inputs), **prompts)

        return super()._get_per_token_logps_and_entropies(call, *args, **kwargs)

    def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
        """TRL's.

        Raises:
            ValueError: when it is not a finite number.
        """
        loss = super().compute_loss(*args, **kwargs)
        stop_at_nan(self, loss)
        return loss


def run_grpo(recipe: GRPORecipeArguments, training_args: Any, model_args: Any) -> None:
    """Train by rewards and save the checkpoint with its processor; an interrupted run goes on where it stopped.

    Args:
        recipe (`GRPORecipeArguments`): data, parts, rewards and tasks.
        training_args (`trl.GRPOConfig`): TRL's and the Trainer's arguments.
        model_args (`trl.ModelConfig`): `model_name_or_path` and the LoRA settings.

    Raises:
        ValueError: when settings contradict each other, nothing would learn, the model or the data can't be loaded,
            or the loss is no finite number.
    """
    check_start(recipe, training_args, model_args)
    avoid_emulation(training_args, model_args.dtype)
    transformers.set_seed(training_args.seed)
    model, processor = load_start(recipe, model_args)
    peft_config = lora_config(model, recipe, model_args)
    if not train_only(model, recipe.train_parts) and peft_config is None:
        raise ValueError("train_parts is empty and use_peft is off: nothing would learn")
    where = data_revision(recipe.data, recipe.data_revision)
    rows = load_prompts(recipe.data, "train", where.get("commit") or recipe.data_revision, recipe.tasks)
    told = describe_run(
        {"recipe": asdict(recipe), "training": training_args.to_dict(), "model": asdict(model_args)},
        data=where,
        rows={"train": len(rows)},
        rows_a_step=rows_a_step(training_args),
    )
    provenance = ProvenanceCallback(told)
    rewards: Sequence[Any] = [REWARDS[name] for name in recipe.rewards]
    trainer = FaceShieldGRPOTrainer(
        model=model,
        reward_funcs=list(rewards),
        args=training_args,
        train_dataset=rows,
        processing_class=StackedViewsProcessor.like(processor),
        peft_config=peft_config,
        callbacks=[provenance],
    )
    if training_args.bf16 or training_args.fp16:
        keep_learning_in_float32(trainer.model)
    save(trainer, recipe, model_args, resume(trainer, provenance), processor)
