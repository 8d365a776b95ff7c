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
