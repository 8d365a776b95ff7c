"""TRL's `SFTTrainer` with this project's losses, a connector's own learning rate, and an early stop at a broken loss.

What is plain stays TRL's: without `LossArguments` set, the loss is its own. It knows batches and the trainer's hooks;
it loads nothing and decides on no recipe.

Example:
    >>> from faceshield_hf.training.trainer import LossArguments
    >>> LossArguments(lopsided_alpha=0.7).is_plain
    False
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import trl.trainer.utils as trl_utils
from torch import nn
from trl import SFTTrainer

from faceshield_hf.training.losses import (
    each_answer,
    family_index,
    judgement_mask,
    lopsided_loss,
    risk_variance,
    row_means,
)
from faceshield_hf.training.optimizing import learn_at, stop_at_nan
from faceshield_hf.training.rows import LENGTH
from faceshield_hf.training.sampler import GroupedByLength


CONNECTOR = "multi_modal_projector."
# What rows have beside what TRL knows.
OWN_COLUMNS = ("attack_type", LENGTH)


@dataclass
class LossArguments:
    """What differs from the mean over tokens.

    Attributes:
        lopsided_alpha (`float`, *optional*): weight of the verdict's sentence against the rest of an answer, 0 to 1
            (I-FAS: 0.7); unset: all tokens count alike.
        sare_weight (`float`, *optional*, defaults to 0.0): weight of the variance of the attack families' risks.
        connector_learning_rate (`float`, *optional*): the connector's own learning rate; unset: the common one.
    """

    lopsided_alpha: float | None = field(
        default=None, metadata={"help": "Weight of the verdict's sentence against the rest of an answer, 0 to 1."}
    )
    sare_weight: float = field(default=0.0, metadata={"help": "Weight of the variance of attack families' risks."})
    connector_learning_rate: float | None = field(
        default=None, metadata={"help": "The connector's own learning rate."}
    )

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ValueError: for a weight out of range.
        """
        if self.lopsided_alpha is not None and not 0 <= self.lopsided_alpha <= 1:
            raise ValueError(f"lopsided_alpha is {self.lopsided_alpha}: it must lie between 0 and 1 (I-FAS takes 0.7)")
        if self.sare_weight < 0:
            raise ValueError(f"sare_weight is {self.sare_weight}: it must be at least 0")

    @property
    def is_plain(self) -> bool:
        """`bool`: whether the loss is the mean over tokens."""
        return self.lopsided_alpha is None and self.sare_weight == 0


class FaceShieldTrainer(SFTTrainer):
    """`SFTTrainer` for the stages of a recipe.

    Args:
        losses (`LossArguments`, *optional*): what differs from TRL's loss.
        kwargs: as `SFTTrainer` takes them.
    """

    # Narrower than their base classes say, which allow for trainers without a model and hold a bare `None` besides.
    model: nn.Module
    data_collator: "StageCollator"
    loss_is_scaled_for_ga: Any

    def __init__(self, *args: Any, losses: LossArguments | None = None, **kwargs: Any) -> None:
        self.losses = losses or LossArguments()
        super().__init__(*args, **kwargs)
        self.data_collator = StageCollator(self.data_collator, self.losses, self._tokenizer)
        if not self.losses.is_plain:
            # These losses are means over rows or answers: they must be averaged over accumulated batches.
            self.loss_is_scaled_for_ga = False

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The loss of a batch.

        Args:
            model (`nn.Module`): the model, wrapped or not.
            inputs (`dict`): a batch of `StageCollator`.
            return_outputs (`bool`, *optional*, defaults to `False`): whether to give the outputs too.
            num_items_in_batch (`torch.Tensor`, *optional*): predicted tokens of all processes and accumulated batches.

        Returns:
            `torch.Tensor` or `tuple`: the loss, and the outputs if asked for.

        Raises:
            ValueError: when the loss is not a finite number.
        """
        judgement = inputs.pop("judgement_mask", None)
        families = inputs.pop("families", None)
        with answers_scored_alone(inputs["labels"].device):
            if self.losses.is_plain or not self.model.training:
                result = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
                stop_at_nan(self, result[0] if return_outputs else result)
                return result
            inputs["use_cache"] = False
            outputs = model(**inputs, fused_lm_head=True)
        losses, answer = -outputs.log_probs, outputs.label_mask
        if judgement is None or self.losses.lopsided_alpha is None:
            rows, values = torch.arange(len(losses), device=losses.device), row_means(losses, answer)
        else:
            rows, own = each_answer(answer)
            values = lopsided_loss(losses[rows], judgement[rows, 1:], own, self.losses.lopsided_alpha)
        loss = values.sum() / max(len(values), 1)
        self._note("mean_token_accuracy", outputs.is_top1.sum() / outputs.label_mask.sum().clamp(min=1))
        if families is not None:
            variance = risk_variance(values, families[rows])
            self._note("risk_variance", variance)
            loss = loss + self.losses.sare_weight * variance
        stop_at_nan(self, loss)
        return (loss, outputs) if return_outputs else loss

    def create_optimizer(self, *args: Any, **kwargs: Any) -> torch.optim.Optimizer:
        """Build the optimizer, with the connector in groups of its own if it has its own learning rate."""
        fresh = self.optimizer is None
        optimizer = super().create_optimizer(*args, **kwargs)
        if fresh and self.losses.connector_learning_rate is not None:
            connector = [p for name, p in self.model.named_parameters() if CONNECTOR in name]
            learn_at(optimizer, connector, self.losses.connector_learning_rate)
        return optimizer

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        if self.args.train_sampling_strategy != "group_by_length":
            return super()._get_train_sampler(train_dataset)
        dataset: Any = self.train_dataset if train_dataset is None else train_dataset
        rows = self.args.train_batch_size * self.args.gradient_accumulation_steps * self.args.world_size
        return GroupedByLength(dataset[LENGTH][:], rows, self.args.seed)

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Write no card: TRL's speaks of text generation; the run writes this project's own when it is done."""

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()
        columns: Any = self._signature_columns  # a list by now, though it begins as `None`
        columns.extend(name for name in OWN_COLUMNS if name not in columns)

    def _note(self, name: str, value: torch.Tensor) -> None:
        self._metrics["train"][name].append(self.accelerator.gather(value.detach()).float().mean().item())


@contextmanager
def answers_scored_alone(device: torch.device) -> Iterator[None]:
    """Let TRL's head score predicted tokens only, as it does on GPUs: on the CPU it scores every position.

    Answers are about a fifth of a row; the rest costs a fifth of a small model's step, and is thrown away.

    Args:
        device (`torch.device`): where the labels are; on others than the CPU nothing changes.
    """
    names = vars(trl_utils)
    before = names.get("_use_triton")
    if device.type != "cpu" or before is None:
        yield
        return
    names["_use_triton"] = lambda device: True  # asked there for this one choice
    try:
        yield
    finally:
        names["_use_triton"] = before


class StageCollator:
    """TRL's collator, and beside its batch what the losses ask for.

    Args:
        collator (`Callable`): TRL's.
        losses (`LossArguments`): what is asked for.
        tokenizer (`PreTrainedTokenizerBase`): reads labels back into text.
    """

    def __init__(self, collator: Any, losses: LossArguments, tokenizer: Any) -> None:
        self.collator = collator
        self.losses = losses
        self.tokenizer = tokenizer

    def __call__(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        """Make a batch.

        Args:
            examples (`list[dict]`): rows of the data set.

        Returns:
            `dict`: the model's inputs and labels, `judgement_mask` for the lopsided loss, `families` for equal risks.

        Raises:
            ValueError: when the records have no attack types but their risks shall be equalised.
        """
        if self.losses.sare_weight and "attack_type" not in examples[0]:
            raise ValueError("sare_weight is set, but the records have no column attack_type: set it to 0, or add it")
        # TRL refuses columns that it does not know.
        batch = self.collator([{k: v for k, v in example.items() if k not in OWN_COLUMNS} for example in examples])
        if self.losses.sare_weight:
            batch["families"] = torch.tensor([family_index(example["attack_type"]) for example in examples])
        if self.losses.lopsided_alpha is not None:
            batch["judgement_mask"] = judgement_mask(batch["labels"], self.tokenizer)
        return batch
