"""Which parts of the model learn in which stage.

Stage 1 (pre-training) teaches the connector and the mask embedding on descriptions; stage 2 (supervised fine-tuning)
the connector and the language model, by LoRA or in full, on the tasks (FaceShield, section 4.3). It knows the model's
parts by their names in the design and nothing of data.

Example:
    >>> from faceshield_hf.training.stages import PARTS
    >>> sorted(PARTS)
    ['connector', 'language_model', 'pvtm', 'vision_tower']
"""

from collections.abc import Sequence
from typing import Any

from torch import nn


# part -> prefixes of its parameters in FaceShieldForConditionalGeneration
PARTS = {
    "vision_tower": ("model.vision_tower.",),
    "connector": ("model.multi_modal_projector.",),
    "pvtm": ("model.pvtm.",),
    "language_model": ("model.language_model.", "lm_head."),
}


def train_only(model: nn.Module, parts: Sequence[str]) -> int:
    """Freeze everything but the named parts.

    Args:
        model (`FaceShieldForConditionalGeneration`): changed in place.
        parts (`Sequence[str]`): keys of `PARTS`; empty freezes all, as LoRA wants it.

    Returns:
        `int`: how many parameters will be trained.

    Raises:
        ValueError: for a name that is not a part.
    """
    unknown = sorted(set(parts) - set(PARTS))
    if unknown:
        raise ValueError(f"train_parts names {unknown}; expected some of {sorted(PARTS)}")
    prefixes = tuple(prefix for part in parts for prefix in PARTS[part])
    trained = 0
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(bool(prefixes) and name.startswith(prefixes))
        trained += parameter.numel() if parameter.requires_grad else 0
    return trained


def save_beside_lora(config: Any, model: nn.Module, parts: Sequence[str]) -> None:
    """Keep LoRA on the language model, and let other parts learn in full beside it.

    PEFT freezes whatever is not LoRA's own, and "all-linear" would reach the vision tower and the connector.

    Args:
        config (`peft.LoraConfig`): changed in place.
        model (`FaceShieldForConditionalGeneration`): the model that gets it.
        parts (`Sequence[str]`): keys of `PARTS` that learn in full.

    Raises:
        ValueError: when the language model is among them.
    """
    if "language_model" in parts:
        raise ValueError(
            "train_parts names language_model and use_peft is on: a language model learns in full or through LoRA. "
            "Take it out of train_parts, or set use_peft: false"
        )
    whole = {"vision_tower": "vision_tower", "connector": "multi_modal_projector", "pvtm": "pvtm"}
    # Without masking PVTM has no weights, and PEFT refuses to copy nothing.
    learnt = [
        whole[part] for part in parts if any(True for _ in model.get_submodule(f"model.{whole[part]}").parameters())
    ]
    config.modules_to_save = sorted({*(config.modules_to_save or ()), *learnt}) or None
    config.exclude_modules = (
        config.exclude_modules or r".*\b(vision_tower|multi_modal_projector|pvtm|prompt_tower)\b.*"
    )
    config.task_type = "CAUSAL_LM"
