"""What both FaceShield model classes share: loading, saving with the code beside the weights, initialisation.

It knows checkpoints and weights, not how a forward runs.

Example:
    >>> from faceshield_hf import FaceShieldModel
    >>> FaceShieldModel.base_model_prefix
    'model'
"""

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import PreTrainedModel
from transformers import initialization as init

from .configuration_faceshield import FaceShieldConfig
from .connectors_faceshield import GloballyAwareConnector
from .pvtm_faceshield import PromptGuidedTokenMasking


# Saving alone would name only the class that is saved; users reach the model by any of these.
AUTO_MAP = {
    "AutoConfig": "configuration_faceshield.FaceShieldConfig",
    "AutoModel": "modeling_faceshield.FaceShieldForConditionalGeneration",
    "AutoModelForImageTextToText": "modeling_faceshield.FaceShieldForConditionalGeneration",
    "AutoModelForMultimodalLM": "modeling_faceshield.FaceShieldForConditionalGeneration",
}
PARTS = ("vision_tower", "multi_modal_projector", "language_model")


class FaceShieldPreTrainedModel(PreTrainedModel):
    """Base of [`FaceShieldModel`] and [`FaceShieldForConditionalGeneration`]."""

    config: FaceShieldConfig
    config_class = FaceShieldConfig
    base_model_prefix = "model"
    input_modalities: list[str] = ["image", "text"]  # noqa: RUF012 (transformers names a list)
    supports_gradient_checkpointing = True
    _skip_keys_device_placement: list[str] = ["past_key_values"]  # noqa: RUF012 (transformers reads a list)
    # A checkpoint trained with masking also loads with masking switched off.
    _keys_to_ignore_on_load_unexpected: list[str] = [r"pvtm\.mask_embedding"]  # noqa: RUF012

    _supports_flash_attn = True
    _supports_sdpa = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    _can_compile_fullgraph = True

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        std = self.config.get_text_config().to_dict().get("initializer_range", 0.02)
        if isinstance(module, PromptGuidedTokenMasking) and module.mask_embedding is not None:
            init.normal_(module.mask_embedding, mean=0.0, std=std)
        elif isinstance(module, GloballyAwareConnector):
            init.normal_(module.learned_queries, mean=0.0, std=std)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *args: Any, **kwargs: Any) -> Any:
        """Loads a checkpoint; only safetensors, never a pickle.

        Args:
            pretrained_model_name_or_path (`str` or `os.PathLike`):
                A folder, or the name of a repository on the Hub.
            args:
                As [`PreTrainedModel.from_pretrained`] takes them.
            kwargs:
                As [`PreTrainedModel.from_pretrained`] takes them.

        Returns:
            [`FaceShieldPreTrainedModel`]: The model, or the model and the loading info with
            `output_loading_info=True`.

        Raises:
            ValueError: If a folder lacks a file, or has the configuration or (unless the loading info is asked for)
                the weights of another model.
        """
        wants_info = kwargs.pop("output_loading_info", False)
        path = pretrained_model_name_or_path
        folder = Path(path or "", kwargs.get("subfolder", ""))
        is_folder = path is not None and folder.is_dir()
        try:
            # transformers would go on with the default configuration, a model of billions of random weights.
            if is_folder and kwargs.get("config") is None and not (folder / "config.json").is_file():
                raise FileNotFoundError("there is no config.json.")
            loaded: Any = super().from_pretrained(
                path, *args, **{**kwargs, "use_safetensors": True, "output_loading_info": True}
            )
        except (OSError, SafetensorError) as error:
            if not is_folder:
                raise
            raise ValueError(
                f'"{folder}" is no complete FaceShield checkpoint: {error} A checkpoint has config.json and '
                "model.safetensors (or its shards with their index): save or download it again."
            ) from error
        model, info = loaded
        if wants_info:  # the caller looks at what is missing
            return model, info
        if path is not None:
            _check_weights(model, info["missing_keys"], path)
        return model

    def save_pretrained(self, save_directory: Any, **kwargs: Any) -> None:
        """Saves the weights, the configuration and the code that loads them with `trust_remote_code=True`.

        The folder is then good for `pipeline("face-anti-spoofing")` too, once the processor is saved beside it.

        Args:
            save_directory (`str` or `os.PathLike`):
                The folder.
            kwargs:
                As [`PreTrainedModel.save_pretrained`] takes them.

        Raises:
            ValueError: If batch normalisations were folded away, as in a detector's model: they would be missing.
        """
        if any(vars(module).get("is_folded") for module in self.modules()):
            raise ValueError(
                "this model's batch normalisations are folded into its convolutions for speed, so that it can't be "
                "loaded again: save what FaceShieldForConditionalGeneration.from_pretrained gives."
            )
        # Here, since only saving needs it: transformers' pipelines take long to load. What is imported is copied too.
        from .pipeline_faceshield import CUSTOM_PIPELINES

        known = self.config.to_dict()
        self.config.auto_map = {**(known.get("auto_map") or {}), **AUTO_MAP}
        self.config.custom_pipelines = {**(known.get("custom_pipelines") or {}), **CUSTOM_PIPELINES}
        super().save_pretrained(save_directory, **kwargs)


def _check_weights(model: PreTrainedModel, missing: set[str], path: Any) -> None:
    """Refuses a checkpoint that has nothing of a part: transformers would only warn and leave the part random."""
    prefix = "" if model.base_model is model else f"{model.base_model_prefix}."
    names = [name for name, _ in model.named_parameters()]
    for part in PARTS:
        of_part = {name for name in names if name.startswith(f"{prefix}{part}.")}
        if of_part and of_part <= set(missing):
            raise ValueError(
                f'the weights in "{path}" have nothing for {part} ({len(of_part)} tensors missing): they belong to '
                "another model. Compose a model from pretrained parts with "
                "FaceShieldForConditionalGeneration.from_vision_text_pretrained."
            )
