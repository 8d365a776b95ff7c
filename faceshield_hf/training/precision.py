"""Which floating-point formats a run computes and learns in.

`bf16: true`, which is also TRL's default, computes in bfloat16: faster than float32 where the processor has
instructions for it. CPUs without AVX-512 (on ARM: without its bfloat16 extension) emulate it instead, and there the
embedded checkpoint's features of an image take 1.3 instead of 0.07 seconds.

Example:
    >>> import torch
    >>> from faceshield_hf.training.precision import emulates_bfloat16
    >>> emulates_bfloat16(torch.device("cuda"))
    False
"""

import warnings
from typing import Any

import torch
from torch import nn


def emulates_bfloat16(device: torch.device) -> bool:
    """Whether a device has no instructions for bfloat16.

    Args:
        device (`torch.device`): any.

    Returns:
        `bool`: True for a CPU that oneDNN, which torch computes with there, has no bfloat16 kernels for.
    """
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    return not torch.ops.mkldnn._is_mkldnn_bf16_supported()


def avoid_emulation(training_args: Any, weights: str | None = None) -> None:
    """Compute in float32 where bfloat16 is asked for and would be emulated, and warn of it.

    Args:
        training_args (`transformers.TrainingArguments`): `bf16` is changed in place.
        weights (`str`, *optional*, defaults to float32): name of the dtype that the model is loaded in. Nothing is
            changed for half precision: such weights compute in their own.
    """
    if training_args.bf16 and weights in (None, "float32") and emulates_bfloat16(training_args.device):
        warnings.warn(
            "this processor has no bfloat16 instructions: training computes in float32 instead, which is many times "
            "faster here and needs more memory. Set bf16: false to hide this warning",
            stacklevel=2,
        )
        training_args.bf16 = False
        training_args.mixed_precision = "no"


def keep_learning_in_float32(model: nn.Module) -> None:
    """Bring what learns to float32 where a model was loaded in half precision: small steps vanish in bfloat16.

    PEFT does it for LoRA's own weights, not for the parts beside them. Needs automatic mixed precision (`bf16: true`).

    Args:
        model (`nn.Module`): changed in place.
    """
    for parameter in model.parameters():
        if parameter.requires_grad and parameter.dtype in (torch.bfloat16, torch.float16):
            parameter.data = parameter.data.float()
