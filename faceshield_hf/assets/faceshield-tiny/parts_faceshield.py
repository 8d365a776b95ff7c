"""Loads pretrained parts, a vision tower and a causal language model, and puts them into a FaceShield model.

It knows transformers' own checkpoints, by local path or by name on the Hub. Which ids the tokenizer gives is decided
in `composition_faceshield`, where the processor reads it too.

Example:
    >>> tower = load_vision_tower("google/siglip-so400m-patch14-384")  # doctest: +SKIP
"""

import copy
from typing import Any

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils.output_capturing import maybe_install_capturing_hooks

from .composition_faceshield import ComposedText, compose_tokenizer
from .towers_faceshield import build_prompt_tower


def load_vision_tower(name: str, dtype: torch.dtype) -> PreTrainedModel:
    """Loads a vision tower; of a two-tower repository (SigLIP, CLIP) its vision half.

    Args:
        name (`str`):
            Folder or Hub name.
        dtype (`torch.dtype`):
            Type of the weights.

    Returns:
        `PreTrainedModel`: The tower.
    """
    config = AutoConfig.from_pretrained(name)
    config = config.vision_config if "vision_config" in config.sub_configs else config
    if config.model_type in ("siglip_vision_model", "siglip2_vision_model"):
        config.vision_use_head = False  # the pooling head: only patch tokens are read
    with torch.device("meta"):
        half = type(AutoModel.from_config(copy.deepcopy(config)))
    tower = _load(half, name, config=config, dtype=dtype)
    maybe_install_capturing_hooks(tower)
    return tower


def load_prompt_tower(name: str, dtype: torch.dtype, tower_size: int) -> PreTrainedModel:
    """Loads the text half of a two-tower repository (SigLIP, CLIP).

    Args:
        name (`str`):
            Folder or Hub name.
        dtype (`torch.dtype`):
            Type of the weights.
        tower_size (`int`):
            Channels of the vision tokens that its pooled output is compared with.

    Returns:
        `PreTrainedModel`: The text tower.

    Raises:
        ValueError: If the repository has a vision tower only.
    """
    config = AutoConfig.from_pretrained(name)
    if not {"vision_config", "text_config"} <= set(config.sub_configs):
        raise ValueError(
            f'pvtm_prompt_source="text_tower" needs a two-tower checkpoint (SigLIP), but "{name}" is a '
            f'"{config.model_type}" alone: use pvtm_prompt_source="language_model" or pass prompt_tower_config.'
        )
    with torch.device("meta"):
        half = type(build_prompt_tower(config.text_config, tower_size))
    return _load(half, name, config=config.text_config, dtype=dtype)


def load_language_model(
    name: str, dtype: torch.dtype | str
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, ComposedText]:
    """Loads a causal language model and its tokenizer, with a row for the `<image>` token.

    Args:
        name (`str`):
            Folder or Hub name.
        dtype (`torch.dtype` or `str`):
            Type of the weights; `"auto"` takes the checkpoint's own.

    Returns:
        `tuple[PreTrainedModel, PreTrainedTokenizerBase, ComposedText]`: The model, the tokenizer with `<image>`, and
        what both sides agree on.

    Raises:
        ValueError: If the model's head is more than one linear map without bias.
    """
    tokenizer = AutoTokenizer.from_pretrained(name)
    composed = compose_tokenizer(tokenizer)
    model = _load(AutoModelForCausalLM, name, dtype=dtype)
    if composed.image_token_id >= model.config.get_text_config().vocab_size:
        model.resize_token_embeddings(len(tokenizer))
    head = model.get_output_embeddings()
    if not isinstance(head, nn.Linear) or head.bias is not None:
        raise ValueError(
            f'the language model "{name}" ({model.config.model_type}) has the head {head}: only a linear head without '
            "bias is supported (Phi-3, Llama, Qwen, Mistral, ...)."
        )
    return model, tokenizer, composed


def put_parts(model: Any, tower: PreTrainedModel, language_model: PreTrainedModel, prompt_tower: Any = None) -> None:
    """Puts pretrained parts into a FaceShield model on the meta device and initialises the rest.

    Args:
        model ([`FaceShieldForConditionalGeneration`]):
            The model, without memory behind its weights; changed in place.
        tower (`PreTrainedModel`):
            The vision tower.
        language_model (`PreTrainedModel`):
            The causal language model; its body and its head move over.
        prompt_tower (`PreTrainedModel`, *optional*):
            The frozen text tower that reads the question.

    Raises:
        ValueError: If the composed model and the language model alone disagree about plain text.
    """
    first = torch.tensor([[0, 1, 2, 3]], device=language_model.device)
    with torch.no_grad():
        expected = language_model(first).logits
    model.model.vision_tower = tower
    model.model.language_model = language_model.base_model
    model.lm_head = language_model.get_output_embeddings()
    if prompt_tower is not None:
        model.model.prompt_tower = prompt_tower.requires_grad_(False)
    for fresh in (model.model.multi_modal_projector, model.model.pvtm):
        fresh.to_empty(device=language_model.device)
        fresh.to(language_model.dtype)
        fresh.apply(model._init_weights)
    model.tie_weights()
    model.eval()
    with torch.no_grad():
        found = model(first).logits
    difference, scale = (found - expected).abs().max().item(), expected.abs().max().item()
    # The same sums in another order of memory may round differently; capped or scaled logits are further off.
    if difference > 64 * torch.finfo(expected.dtype).eps * scale:
        raise ValueError(
            f'the language model "{language_model.config.model_type}" scales or caps its logits (difference '
            f"{difference:.1e}), which a plain linear head cannot repeat: use another language model (Phi-3, Llama, "
            "Qwen, Mistral, ...)."
        )


def generation_config_for(
    language_model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, composed: ComposedText
) -> GenerationConfig:
    """Special tokens for generation: greedy, stopping where the language model stops and where its turn ends.

    Args:
        language_model (`PreTrainedModel`):
            The causal language model.
        tokenizer (`PreTrainedTokenizerBase`):
            Its tokenizer.
        composed (`ComposedText`):
            The ids found in its chat template.

    Returns:
        `GenerationConfig`: With `bos`, `eos`, `pad` and the suppressed `<image>`.
    """
    stops = language_model.generation_config.eos_token_id
    stops = list(stops) if isinstance(stops, list) else [stops]
    stops += [tokenizer.eos_token_id, composed.stop_token_id]
    eos = sorted({int(stop) for stop in stops if stop is not None})
    return GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=eos,
        pad_token_id=tokenizer.pad_token_id,
        suppress_tokens=[composed.image_token_id],
    )


def _load(model_class: Any, name: str, **kwargs: Any) -> PreTrainedModel:
    """Loads safetensors, all of them: a part with random weights in it would train and never be noticed."""
    model, info = model_class.from_pretrained(name, use_safetensors=True, output_loading_info=True, **kwargs)
    if info["missing_keys"]:
        missing = sorted(info["missing_keys"])
        raise ValueError(
            f'"{name}" lacks {len(missing)} weights of {type(model).__name__}, e.g. {missing[0]}: is it the '
            "checkpoint of another architecture, or saved under older names?"
        )
    return model
