"""What the FaceShield model returns: plain containers of tensors.

They know nothing of how they are filled.

Example:
    >>> from faceshield_hf.outputs_faceshield import FaceShieldImageFeatures, FaceShieldSelectedFeatures
    >>> issubclass(FaceShieldSelectedFeatures, FaceShieldImageFeatures)
    True
"""

from dataclasses import dataclass
from typing import Any

import torch
from transformers.cache_utils import Cache
from transformers.modeling_outputs import BaseModelOutputWithPast, BaseModelOutputWithPooling, ModelOutput


@dataclass
class FaceShieldImageFeatures(BaseModelOutputWithPooling):
    r"""What `get_image_features` gives and `forward(mm_encoder_outputs={"image": features})` takes.

    Attributes:
        last_hidden_state (`torch.FloatTensor`, *optional*):
            The tower's, the views joined on the tokens' axis (of a feature map: on its height).
        hidden_states (`tuple[torch.FloatTensor]`, *optional*):
            The tower's, of all RGB pictures and then of all spoof-aware ones; so are `attentions`.
        pooler_output (`list[torch.FloatTensor]`, each of shape `(num_tokens, hidden_size)`):
            One image's tokens after the connector: RGB first, then the spoof-aware view. To ask several questions
            about one image, repeat its entry as often.
        tower_tokens (`list[torch.FloatTensor]`, *optional*, each of shape `(num_tokens, vision_hidden_size)`):
            The tokens before the connector, if a prompt tower reads the question.
        vision_features (`torch.FloatTensor` of shape `(num_images, num_tokens, channels)`, *optional*):
            What the connector read: to be kept and given to `forward` as `vision_features` while the tower is frozen.
        vision_pooled (`torch.FloatTensor` of shape `(num_images, num_views, pooled_channels)`, *optional*):
            What `connector="gac"` read beside it.
    """

    pooler_output: Any = None  # a list, where the base class has a tensor
    tower_tokens: list[torch.Tensor] | None = None
    vision_features: torch.Tensor | None = None
    vision_pooled: torch.Tensor | None = None


@dataclass
class FaceShieldSelectedFeatures(FaceShieldImageFeatures):
    r"""Features that stand for the placeholders as they are: `forward` neither masks nor selects them again.

    `generate` and `score` make them before the first step, since only there the whole prompt is at hand.
    """


@dataclass
class FaceShieldModelOutputWithPast(BaseModelOutputWithPast):
    r"""Output of [`FaceShieldModel`].

    Attributes:
        image_hidden_states (`torch.FloatTensor` of shape `(num_images, num_tokens, hidden_size)`, *optional*):
            The visual tokens that the language model read, after masking and selection.
        vision_importance (`torch.FloatTensor` of shape `(num_images, num_tokens)`, *optional*):
            Softmax of every visual token's similarity to the question, before any selection; returned with
            `output_vision_importance=True`.
    """

    image_hidden_states: torch.Tensor | None = None
    vision_importance: torch.Tensor | None = None


@dataclass
class FaceShieldCausalLMOutputWithPast(ModelOutput):
    r"""Output of [`FaceShieldForConditionalGeneration`].

    Attributes:
        loss (`torch.FloatTensor` of shape `(1,)`, *optional*):
            Language-modelling loss, returned when `labels` are given.
        logits (`torch.FloatTensor` of shape `(batch, sequence, vocab_size)`):
            Scores of the next token.
        past_key_values (`Cache`, *optional*):
            Keys and values for further decoding.
        hidden_states (`tuple[torch.FloatTensor]`, *optional*):
            Of the language model.
        attentions (`tuple[torch.FloatTensor]`, *optional*):
            Of the language model.
        image_hidden_states (`torch.FloatTensor` of shape `(num_images, num_tokens, hidden_size)`, *optional*):
            As in [`FaceShieldModelOutputWithPast`].
        vision_importance (`torch.FloatTensor` of shape `(num_images, num_tokens)`, *optional*):
            As in [`FaceShieldModelOutputWithPast`].
    """

    loss: torch.Tensor | None = None
    logits: torch.Tensor | None = None
    past_key_values: Cache | None = None
    hidden_states: tuple[torch.Tensor] | None = None
    attentions: tuple[torch.Tensor] | None = None
    image_hidden_states: torch.Tensor | None = None
    vision_importance: torch.Tensor | None = None
