"""Progressive learning (CEPL, FaceCoT, arXiv 2506.01783): a vision encoder that learnt from reasoning, the rest anew.

Its first stage trains all parameters on chains of thought. The second starts from the pretrained connector and
language model again, keeps the first stage's vision encoder, and trains LoRA on chains of thought and labels together.
It moves weights; the stages are recipes.

Example:
    >>> from faceshield_hf.training.progressive import take_vision_tower
    >>> take_vision_tower(model, "outputs/facecot/cot")  # doctest: +SKIP
"""

from pathlib import Path
from typing import Any

from transformers.utils import cached_file

from faceshield_hf.modeling_faceshield import FaceShieldForConditionalGeneration


def take_vision_tower(model: FaceShieldForConditionalGeneration, checkpoint: str) -> None:
    """Copy another checkpoint's vision tower into a model.

    Args:
        model (`FaceShieldForConditionalGeneration`): changed in place; all other parts stay.
        checkpoint (`str`): folder or Hub name of a FaceShield checkpoint.

    Raises:
        ValueError: when it is an adapter, or its tower is of another kind or size.
    """
    if _is_adapter(checkpoint):
        raise ValueError(
            f"{checkpoint} holds a LoRA adapter, no whole model: merge it first (merge_lora: true in its recipe), or "
            "train its stage in full, as progressive learning wants it"
        )
    source = FaceShieldForConditionalGeneration.from_pretrained(checkpoint, dtype=model.dtype)
    weights: dict[str, Any] = source.model.vision_tower.state_dict()
    own = model.model.vision_tower.state_dict()
    wrong = [name for name in own.keys() | weights.keys() if _shape(own, name) != _shape(weights, name)]
    if wrong:
        name = sorted(wrong)[0]
        raise ValueError(
            f"the vision tower in {checkpoint} does not fit: {len(wrong)} tensors differ, such as {name} with shape "
            f"{_shape(weights, name)} instead of {_shape(own, name)}. Start both stages from one checkpoint"
        )
    model.model.vision_tower.load_state_dict(weights)


def with_new_connector(
    model: FaceShieldForConditionalGeneration, fields: dict[str, Any]
) -> FaceShieldForConditionalGeneration:
    """A model with the same tower and language model and a connector drawn anew.

    Args:
        model (`FaceShieldForConditionalGeneration`): gives the other parts; its masking is drawn anew as well.
        fields (`dict`): fields of the configuration to change, such as `{"connector": "gac"}`.

    Returns:
        `FaceShieldForConditionalGeneration`: another model of the same type of weights.
    """
    config = type(model.config).from_dict({**model.config.to_dict(), **fields})
    # transformers wraps `to` such that checkers take its first argument for `self`.
    new = FaceShieldForConditionalGeneration(config).to(model.dtype)  # type: ignore[arg-type]
    drawn = ("model.multi_modal_projector.", "model.pvtm.")
    kept = {name: value for name, value in model.state_dict().items() if not name.startswith(drawn)}
    new.load_state_dict(kept, strict=False)
    new.generation_config = model.generation_config
    return new


def _shape(weights: dict[str, Any], name: str) -> tuple[int, ...] | None:
    return tuple(weights[name].shape) if name in weights else None


def _is_adapter(checkpoint: str) -> bool:
    if Path(checkpoint).is_dir():
        return (Path(checkpoint) / "adapter_config.json").is_file()
    return cached_file(checkpoint, "adapter_config.json", _raise_exceptions_for_missing_entries=False) is not None
