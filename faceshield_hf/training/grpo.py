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

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
import transformers
from torch import nn
from trl import GRPOTrainer

from faceshield_hf.processing_faceshield import FaceShieldProcessor
from faceshield_hf.tasks_faceshield import Task
from faceshield_hf.training.precision import avoid_emulation, keep_learning_in_float32
from faceshield_hf.training.provenance import ProvenanceCallback, data_revision, describe_run
from faceshield_hf.training.rewards import REWARDS
from faceshield_hf.training.rows import load_prompts
from faceshield_hf.training.run import RecipeArguments, load_start, lora_config, resume, save
from faceshield_hf.training.stages import train_only


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
        if not self.is_plain or self.questions_per_row != 1 or self.cache_vision_features:
            raise ValueError(
                "lopsided_alpha, sare_weight, questions_per_row and cache_vision_features belong to supervised "
                "stages: leave them out of a GRPO recipe"
            )


class StackedViewsProcessor(FaceShieldProcessor):
    """The processor, with both views of an image in `pixel_values (images, 2, 3, height, width)`."""

    @classmethod
    def like(cls, processor: FaceShieldProcessor) -> "StackedViewsProcessor":
        """Copy a processor's settings.

        Args:
            processor (`FaceShieldProcessor`): the model's own.

        Returns:
            `StackedViewsProcessor`: padded on the left, as generation wants it.
        """
        copy = cls(
            processor.image_processor,
            processor.tokenizer,
            chat_template=processor.chat_template,
            patch_size=processor.patch_size,
            projector_downsample=processor.projector_downsample,
            num_query_tokens=processor.num_query_tokens,
            vision_token_budget=processor.vision_token_budget,
        )
        copy.tokenizer.padding_side = "left"
        return copy

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

    model: nn.Module  # its base class allows for trainers without one

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
        """TRL's, with the views parted where the model is called."""
        return super()._get_per_token_logps_and_entropies(
            lambda **inputs: model(**part_views(inputs)), *args, **kwargs
        )


def run_grpo(recipe: GRPORecipeArguments, training_args: Any, model_args: Any) -> None:
    """Train by rewards and save the checkpoint with its processor; an interrupted run goes on where it stopped.

    Args:
        recipe (`GRPORecipeArguments`): data, parts, rewards and tasks.
        training_args (`trl.GRPOConfig`): TRL's and the Trainer's arguments.
        model_args (`trl.ModelConfig`): `model_name_or_path` and the LoRA settings.

    Raises:
        ValueError: when nothing would learn, or the model or the data can't be loaded.
    """
    if not model_args.model_name_or_path or not recipe.data:
        raise ValueError("set model_name_or_path and data in the YAML: what to start from and what to ask about")
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
        rows_a_step=training_args.train_batch_size
        * training_args.gradient_accumulation_steps
        * training_args.world_size,
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
    resume(trainer)
    save(trainer, recipe, model_args, told | provenance.progress(trainer.state), processor)
