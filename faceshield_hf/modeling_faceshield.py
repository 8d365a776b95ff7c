"""The FaceShield model: vision tower, connector, token masking and budget, language model.

`FaceShieldModel` has no head, `FaceShieldForConditionalGeneration` adds it, `generate` and `score`. They know tensors
and token ids; text, images and the answer grammar are the processor's business.

Example:
    >>> from faceshield_hf import FaceShieldForConditionalGeneration
    >>> model = FaceShieldForConditionalGeneration.from_pretrained("path/to/checkpoint")  # doctest: +SKIP
    >>> p_spoof = model.score(inputs)  # doctest: +SKIP
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from transformers import AutoModel, GenerationConfig, GenerationMixin
from transformers.cache_utils import Cache
from transformers.utils.generic import can_return_tuple
from transformers.utils.output_capturing import maybe_install_capturing_hooks

from .base_faceshield import FaceShieldPreTrainedModel
from .configuration_faceshield import FaceShieldConfig
from .connectors_faceshield import GloballyAwareConnector, MultiModalProjector
from .outputs_faceshield import (
    FaceShieldCausalLMOutputWithPast,
    FaceShieldImageFeatures,
    FaceShieldModelOutputWithPast,
    FaceShieldSelectedFeatures,
)
from .parts_faceshield import (
    generation_config_for,
    load_language_model,
    load_prompt_tower,
    load_vision_tower,
    put_parts,
)
from .placement_faceshield import VisualTokenPlacement
from .pvtm_faceshield import PromptGuidedTokenMasking
from .scoring_faceshield import answer_log_likelihoods
from .towers_faceshield import (
    TowerFeatures,
    build_prompt_tower,
    fold_neighbours,
    part_up_to,
    read_tower,
    tower_widths,
)


class FaceShieldModel(VisualTokenPlacement, FaceShieldPreTrainedModel):
    """Vision tower, connector and language model without a head.

    A tower that is frozen as a whole (no parameter requires a gradient) stays in eval mode when `train()` is called,
    so that batch statistics and dropout of a frozen tower never move.

    Args:
        config ([`FaceShieldConfig`]):
            The configuration.
    """

    def __init__(self, config: FaceShieldConfig) -> None:
        super().__init__(config)
        self.vision_tower = AutoModel.from_config(config.vision_config)
        # transformers installs them at the first forward, under a lock that torch.compile cannot trace.
        maybe_install_capturing_hooks(self.vision_tower)
        tower_size, layer_sizes = tower_widths(self.vision_tower, self._layers)
        hidden_size = config.text_config.get_text_config().hidden_size
        self.multi_modal_projector: nn.Module
        if config.connector == "gac":
            self.multi_modal_projector = GloballyAwareConnector(
                tower_size,
                layer_sizes,
                hidden_size,
                num_queries=config.gac_num_queries,
                num_views=config.num_views,
                depth=config.gac_depth,
                hidden_act=config.projector_hidden_act,
            )
        else:
            self.multi_modal_projector = MultiModalProjector(
                tower_size * config.projector_downsample**2,
                hidden_size,
                config.projector_hidden_act,
                grid=config.projector_grid,
                num_views=config.num_views,
            )
        self.pvtm = PromptGuidedTokenMasking(
            hidden_size, config.pvtm_keep_ratio, config.pvtm_mask_prob, num_streams=self.num_streams
        )
        self.language_model = AutoModel.from_config(config.text_config)
        if config.pvtm_prompt_source == "text_tower":
            self.prompt_tower = build_prompt_tower(config.prompt_tower_config, tower_size)
        self.post_init()

    @property
    def _layers(self) -> list[int]:
        layers = self.config.vision_feature_layer
        if layers is None:  # the globally aware connector pools the others
            return [-1]
        return [layers] if isinstance(layers, int) else layers

    @property
    def num_streams(self) -> int:
        """`int`: Number of groups of visual tokens that masking treats apart: the views, or 1 for all together."""
        return self.config.num_views if self.config.pvtm_scope == "per_stream" else 1

    def train(self, mode: bool = True) -> "FaceShieldModel":
        """Sets training mode, leaving frozen towers in eval mode.

        Args:
            mode (`bool`, *optional*, defaults to `True`):
                Training (`True`) or evaluation mode.

        Returns:
            [`FaceShieldModel`]: The model itself.
        """
        super().train(mode)
        if not any(parameter.requires_grad for parameter in self.vision_tower.parameters()):
            self.vision_tower.eval()
        if self.config.pvtm_prompt_source == "text_tower":
            self.prompt_tower.eval()
        return self

    @can_return_tuple
    def get_image_features(
        self, pixel_values: torch.Tensor, sav_values: torch.Tensor | None = None, **kwargs: Any
    ) -> FaceShieldImageFeatures:
        """Encodes images: tower, then connector. Masking and the budget need the question and come later.

        Args:
            pixel_values (`torch.FloatTensor` of shape `(num_images, 3, height, width)`):
                The RGB view.
            sav_values (`torch.FloatTensor` of shape `(num_images, 3, height, width)`, *optional*):
                The spoof-aware view, if `config.use_sav`. Without it the result holds the RGB view's tokens only,
                which the model takes for what they are: too few.
            kwargs:
                Passed to the tower.

        Returns:
            [`FaceShieldImageFeatures`]: Tokens of every image in `pooler_output`.

        Raises:
            ValueError: If `sav_values` are unexpected or of another shape.
        """
        pictures = self._stack_views(pixel_values, sav_values)
        num_views = 1 if sav_values is None else 2
        outputs, tokens, pooled = self._read_tower(self.vision_tower, self._layers, pictures, num_views, **kwargs)
        connected = self.connect(tokens, pooled)
        return FaceShieldImageFeatures(
            last_hidden_state=_join_views(outputs.last_hidden_state, num_views),
            pooler_output=connected.pooler_output,
            hidden_states=outputs.hidden_states,
            attentions=outputs.get("attentions"),
            tower_tokens=connected.tower_tokens,
            vision_features=tokens,
            vision_pooled=pooled,
        )

    def encode_images(
        self, pixel_values: torch.Tensor, sav_values: torch.Tensor | None = None
    ) -> FaceShieldImageFeatures:
        """Encodes images as `get_image_features` does, but gives nothing else that the tower computed.

        So the tower's layers beyond those that the connector reads need not run, and unless it trains they don't.

        Args:
            pixel_values (`torch.FloatTensor` of shape `(num_images, 3, height, width)`):
                The RGB view.
            sav_values (`torch.FloatTensor` of shape `(num_images, 3, height, width)`, *optional*):
                The spoof-aware view, if `config.use_sav`.

        Returns:
            [`FaceShieldImageFeatures`]: `pooler_output`, and `tower_tokens` if a prompt tower reads the question.

        Raises:
            ValueError: If `sav_values` are missing, unexpected or of another shape.
        """
        self.check_views(sav_values)
        pictures = self._stack_views(pixel_values, sav_values)
        tower, layers = self.vision_tower, self._layers
        # Compilers, and wrappers around a tower that trains, want it whole. A frozen one is in eval mode always.
        if not self.vision_tower.training and not torch.compiler.is_compiling():
            tower, layers = part_up_to(tower, layers)
        _, tokens, pooled = self._read_tower(tower, layers, pictures, self.config.num_views)
        return self.connect(tokens, pooled)

    def _read_tower(
        self, tower: Any, layers: list[int], pictures: torch.Tensor, num_views: int, **kwargs: Any
    ) -> tuple[Any, torch.Tensor, torch.Tensor | None]:
        """Runs a tower; gives its output and what the connector reads of it."""
        with_pooled = self.config.connector == "gac"
        if with_pooled or any(layer != -1 for layer in layers):
            kwargs["output_hidden_states"] = True
        outputs = tower(pictures, **{**kwargs, "return_dict": True})
        size = (pictures.shape[-2], pictures.shape[-1])
        features = read_tower(outputs, self.config.vision_config, size, layers, with_pooled)
        return outputs, *self._connector_inputs(features, num_views)

    def connect(self, vision_features: torch.Tensor, vision_pooled: torch.Tensor | None) -> FaceShieldImageFeatures:
        """Runs the connector on what `get_image_features` read from the tower, now or in an earlier epoch.

        Args:
            vision_features (`torch.FloatTensor` of shape `(num_images, num_tokens, channels)`):
                Patch tokens of all views, neighbours folded: the connector's input.
            vision_pooled (`torch.FloatTensor` of shape `(num_images, num_views, pooled_channels)`, *optional*):
                Pooled vectors of every layer, joined on channels, for `connector="gac"`.

        Returns:
            [`FaceShieldImageFeatures`]: Tokens of every image in `pooler_output`.

        Raises:
            ValueError: If `vision_pooled` is missing for `connector="gac"`.
        """
        if self.config.connector == "gac":
            if vision_pooled is None:
                raise ValueError('connector="gac" needs vision_pooled: give what get_image_features gave beside it.')
            connector: Any = self.multi_modal_projector  # its own class, or PEFT's around it
            layers = vision_pooled.split([p.in_features for p in connector.global_projections], -1)
            connected = connector(vision_features, list(layers))
        else:
            connected = self.multi_modal_projector(vision_features)
        tower_tokens: Any = None
        if self.config.pvtm_prompt_source == "text_tower":
            # The tower's tokens, averaged where the connector folds neighbours, so that they match its tokens.
            folded = self.config.projector_downsample**2
            tower_tokens = list(vision_features.unflatten(-1, (folded, -1)).mean(dim=-2))
        return FaceShieldImageFeatures(pooler_output=list(connected), tower_tokens=tower_tokens)

    def check_views(self, sav_values: torch.Tensor | None) -> None:
        """Refuses pictures without their spoof-aware view if the model was made for both.

        Args:
            sav_values (`torch.Tensor`, *optional*):
                What came beside the pixel values.

        Raises:
            ValueError: If the view is missing.
        """
        if self.config.use_sav and sav_values is None:
            raise ValueError(
                "got pixel_values without sav_values, but this model has use_sav=True: use its own processor "
                "(do_sav=True), or set use_sav=False in the configuration."
            )

    def _stack_views(self, pixel_values: torch.Tensor, sav_values: torch.Tensor | None) -> torch.Tensor:
        if not self.config.use_sav and sav_values is not None:
            raise ValueError(
                "got sav_values, but this model has use_sav=False: use an image processor with do_sav=False."
            )
        # Pictures come in float32 from any image processor; convolutions of a half-precision tower want its own type.
        pixel_values = pixel_values.to(self.vision_tower.dtype)
        if sav_values is None:
            return pixel_values
        if sav_values.shape != pixel_values.shape:
            raise ValueError(
                f"pixel_values have shape {tuple(pixel_values.shape)} and sav_values {tuple(sav_values.shape)}: both "
                "must be made by one call of the image processor."
            )
        return torch.cat([pixel_values, sav_values.to(pixel_values.dtype)])

    def _connector_inputs(self, features: TowerFeatures, num_views: int) -> tuple[torch.Tensor, torch.Tensor | None]:
        """What the connector reads of each image: folded tokens of all views, and pooled vectors if there are any."""
        tokens = fold_neighbours(features.tokens, features.grid, self.config.projector_downsample)
        pooled = [torch.stack(vectors.chunk(num_views), dim=1) for vectors in features.pooled]
        return _join_views(tokens, num_views), torch.cat(pooled, dim=-1) if pooled else None

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        pixel_values: torch.Tensor | None = None,
        sav_values: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: torch.Tensor | None = None,
        mm_encoder_outputs: Mapping[str, FaceShieldImageFeatures] | None = None,
        mm_token_type_ids: torch.Tensor | None = None,
        prompt_input_ids: torch.Tensor | None = None,
        prompt_attention_mask: torch.Tensor | None = None,
        output_vision_importance: bool = False,
        vision_features: torch.Tensor | None = None,
        vision_pooled: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> FaceShieldModelOutputWithPast:
        r"""Runs the model.

        Args:
            input_ids (`torch.LongTensor` of shape `(batch, sequence)`, *optional*):
                Token ids, with as many `<image>` ids as there are visual tokens.
            pixel_values (`torch.FloatTensor` of shape `(num_images, 3, height, width)`, *optional*):
                The RGB views of all images, in reading order.
            sav_values (`torch.FloatTensor` of shape `(num_images, 3, height, width)`, *optional*):
                Their spoof-aware views.
            attention_mask (`torch.Tensor` of shape `(batch, sequence)`, *optional*):
                1 for tokens, 0 for padding.
            position_ids (`torch.LongTensor` of shape `(batch, sequence)`, *optional*):
                Positions.
            past_key_values (`Cache`, *optional*):
                Keys and values of earlier tokens.
            inputs_embeds (`torch.FloatTensor` of shape `(batch, sequence, hidden_size)`, *optional*):
                Embeddings instead of ids.
            mm_encoder_outputs (`Mapping[str, FaceShieldImageFeatures]`, *optional*):
                `{"image": features}` from an earlier `get_image_features`, instead of pictures.
            mm_token_type_ids (`torch.LongTensor` of shape `(batch, sequence)`, *optional*):
                Accepted because processors give it; the placeholders tell the same.
            prompt_input_ids (`torch.LongTensor` of shape `(batch, prompt_length)`, *optional*):
                Each row's question for the prompt tower, with `pvtm_prompt_source="text_tower"`.
            prompt_attention_mask (`torch.Tensor` of shape `(batch, prompt_length)`, *optional*):
                Their mask; SigLIP's text tower is used without.
            output_vision_importance (`bool`, *optional*, defaults to `False`):
                Whether to return the visual tokens' importance.
            vision_features (`torch.FloatTensor` of shape `(num_images, num_tokens, channels)`, *optional*):
                What the connector reads, kept from an earlier `get_image_features`, instead of pictures.
            vision_pooled (`torch.FloatTensor` of shape `(num_images, num_views, pooled_channels)`, *optional*):
                Beside it, for `connector="gac"`.
            kwargs:
                Passed to the language model.

        Returns:
            [`FaceShieldModelOutputWithPast`]: Hidden states and what went in.

        Raises:
            ValueError: If inputs are missing, given twice, or do not match.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("give exactly one of input_ids and inputs_embeds.")
        features = (mm_encoder_outputs or {}).get("image")
        if sum(given is not None for given in (features, pixel_values, vision_features)) > 1:
            raise ValueError("give either pixel_values or mm_encoder_outputs or vision_features, not several.")
        if inputs_embeds is None:
            inputs_embeds = self.get_input_embeddings()(input_ids)
        if pixel_values is not None:
            features = self.encode_images(pixel_values, sav_values)
        elif vision_features is not None:
            # Kept in half precision; the connector computes in its own.
            pooled = None if vision_pooled is None else vision_pooled.to(self.dtype)
            features = self.connect(vision_features.to(self.dtype), pooled)

        image_features = vision_importance = None
        if features is not None:
            image_features, vision_importance = self.place_image_features(
                features,
                input_ids,
                inputs_embeds,
                prompt_input_ids,
                prompt_attention_mask,
                output_vision_importance=output_vision_importance,
            )
            placeholders = self.get_placeholder_mask(input_ids, inputs_embeds, image_features)
            inputs_embeds = inputs_embeds.masked_scatter(placeholders, image_features)

        outputs = self.language_model(
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            **kwargs,
        )
        return FaceShieldModelOutputWithPast(
            last_hidden_state=outputs.last_hidden_state,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            image_hidden_states=image_features,
            vision_importance=vision_importance,
        )


class FaceShieldForConditionalGeneration(FaceShieldPreTrainedModel, GenerationMixin):
    """The model with its language-modelling head: it answers questions about faces and scores them.

    Args:
        config ([`FaceShieldConfig`]):
            The configuration.
    """

    _tied_weights_keys = {"lm_head.weight": "model.language_model.embed_tokens.weight"}  # noqa: RUF012
    _tp_plan = {"lm_head": "colwise_gather_output"}  # noqa: RUF012

    def __init__(self, config: FaceShieldConfig) -> None:
        super().__init__(config)
        self.model = FaceShieldModel(config)
        text_config = config.text_config.get_text_config()
        self.lm_head = nn.Linear(text_config.hidden_size, text_config.vocab_size, bias=False)
        # A placeholder in generated text would ask for an image that is not there (prompt lookup proposes them).
        self.generation_config.suppress_tokens = [config.image_token_id]
        self.post_init()

    def get_output_embeddings(self) -> nn.Module:
        """The head.

        Returns:
            `nn.Module`: The linear layer that gives logits.
        """
        return self.lm_head

    def get_image_features(
        self, pixel_values: torch.Tensor, sav_values: torch.Tensor | None = None, **kwargs: Any
    ) -> FaceShieldImageFeatures:
        """Encodes images once for many prompts; see [`FaceShieldModel.get_image_features`].

        Args:
            pixel_values (`torch.FloatTensor` of shape `(num_images, 3, height, width)`):
                The RGB view.
            sav_values (`torch.FloatTensor` of shape `(num_images, 3, height, width)`, *optional*):
                The spoof-aware view.
            kwargs:
                Passed to the tower.

        Returns:
            [`FaceShieldImageFeatures`]: To be passed as `mm_encoder_outputs={"image": features}`.
        """
        return self.model.get_image_features(pixel_values, sav_values, **kwargs)

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        pixel_values: torch.Tensor | None = None,
        sav_values: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        logits_to_keep: int | torch.Tensor = 0,
        mm_encoder_outputs: Mapping[str, FaceShieldImageFeatures] | None = None,
        mm_token_type_ids: torch.Tensor | None = None,
        prompt_input_ids: torch.Tensor | None = None,
        prompt_attention_mask: torch.Tensor | None = None,
        output_vision_importance: bool = False,
        vision_features: torch.Tensor | None = None,
        vision_pooled: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> FaceShieldCausalLMOutputWithPast:
        r"""Runs the model and its head.

        Args:
            input_ids (`torch.LongTensor` of shape `(batch, sequence)`, *optional*):
                Token ids, with as many `<image>` ids as there are visual tokens.
            pixel_values (`torch.FloatTensor` of shape `(num_images, 3, height, width)`, *optional*):
                The RGB views of all images, in reading order.
            sav_values (`torch.FloatTensor` of shape `(num_images, 3, height, width)`, *optional*):
                Their spoof-aware views.
            attention_mask (`torch.Tensor` of shape `(batch, sequence)`, *optional*):
                1 for tokens, 0 for padding.
            position_ids (`torch.LongTensor` of shape `(batch, sequence)`, *optional*):
                Positions.
            past_key_values (`Cache`, *optional*):
                Keys and values of earlier tokens.
            inputs_embeds (`torch.FloatTensor` of shape `(batch, sequence, hidden_size)`, *optional*):
                Embeddings instead of ids.
            labels (`torch.LongTensor` of shape `(batch, sequence)`, *optional*):
                Next-token targets, -100 where there is none.
            logits_to_keep (`int` or `torch.Tensor`, *optional*, defaults to 0):
                Only so many last positions get logits; 0 = all. A tensor names the positions.
            mm_encoder_outputs (`Mapping[str, FaceShieldImageFeatures]`, *optional*):
                `{"image": features}` from an earlier `get_image_features`, instead of pictures.
            mm_token_type_ids (`torch.LongTensor` of shape `(batch, sequence)`, *optional*):
                Accepted because processors give it; the placeholders tell the same.
            prompt_input_ids (`torch.LongTensor` of shape `(batch, prompt_length)`, *optional*):
                Each row's question for the prompt tower, with `pvtm_prompt_source="text_tower"`.
            prompt_attention_mask (`torch.Tensor` of shape `(batch, prompt_length)`, *optional*):
                Their mask; SigLIP's text tower is used without.
            output_vision_importance (`bool`, *optional*, defaults to `False`):
                Whether to return the visual tokens' importance.
            vision_features (`torch.FloatTensor` of shape `(num_images, num_tokens, channels)`, *optional*):
                What the connector reads, kept from an earlier `get_image_features`, instead of pictures.
            vision_pooled (`torch.FloatTensor` of shape `(num_images, num_views, pooled_channels)`, *optional*):
                Beside it, for `connector="gac"`.
            kwargs:
                Passed to the language model and the loss.

        Returns:
            [`FaceShieldCausalLMOutputWithPast`]: Logits, and the loss if there are labels.
        """
        outputs = self.model(
            input_ids=input_ids,
            pixel_values=pixel_values,
            sav_values=sav_values,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            mm_encoder_outputs=mm_encoder_outputs,
            prompt_input_ids=prompt_input_ids,
            prompt_attention_mask=prompt_attention_mask,
            output_vision_importance=output_vision_importance,
            vision_features=vision_features,
            vision_pooled=vision_pooled,
            **kwargs,
        )
        logits = self.lm_head(_kept_positions(outputs.last_hidden_state, logits_to_keep))
        loss = None
        if labels is not None:
            vocab_size = self.config.text_config.get_text_config().vocab_size
            loss = self.loss_function(logits=logits, labels=labels, vocab_size=vocab_size, **kwargs)
        return FaceShieldCausalLMOutputWithPast(
            loss=loss,
            logits=logits,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            image_hidden_states=outputs.image_hidden_states,
            vision_importance=outputs.vision_importance,
        )

    @classmethod
    def from_vision_text_pretrained(
        cls, vision: str, text: str, dtype: torch.dtype | str = "auto", **config: Any
    ) -> "FaceShieldForConditionalGeneration":
        """Composes a model from a pretrained vision tower and a pretrained causal language model.

        The connector and the mask embedding start random. `FaceShieldProcessor.from_vision_text_pretrained` makes the
        processor that fits, with the same `<image>` id.

        Args:
            vision (`str`):
                Folder or Hub name of a vision tower; a two-tower repository (SigLIP, CLIP) gives its vision half.
            text (`str`):
                Folder or Hub name of a causal language model with its tokenizer.
            dtype (`torch.dtype` or `str`, *optional*, defaults to `"auto"`):
                Type of all weights; `"auto"` takes the language model's.
            config:
                Fields of [`FaceShieldConfig`] other than the parts' configurations; token ids given here win over
                those found in the tokenizer.

        Returns:
            [`FaceShieldForConditionalGeneration`]: The model, in eval mode.

        Raises:
            ValueError: If a part is of a kind that cannot be composed.
        """
        language_model, tokenizer, composed = load_language_model(text, dtype)
        tower = load_vision_tower(vision, language_model.dtype)
        parts: dict[str, Any] = {"vision_config": tower.config, "text_config": language_model.config}
        prompt_tower = None
        if config.get("pvtm_prompt_source") == "text_tower":
            prompt_tower = load_prompt_tower(vision, language_model.dtype, tower.config.hidden_size)
            parts["prompt_tower_config"] = prompt_tower.config
        found = {
            "image_token_id": composed.image_token_id,
            "turn_end_token_id": composed.turn_end_token_id,
            "real_answer_ids": composed.real_answer_ids,
            "spoof_answer_ids": composed.spoof_answer_ids,
        }
        with torch.device("meta"):
            model = cls(FaceShieldConfig(**{**found, **config}, **parts, dtype=language_model.dtype))
        put_parts(model, tower, language_model, prompt_tower)
        model.generation_config = generation_config_for(language_model, tokenizer, composed)
        return model

    @torch.no_grad()
    def generate(
        self,
        inputs: torch.Tensor | None = None,
        generation_config: GenerationConfig | None = None,
        **kwargs: Any,
    ) -> Any:
        """Generates text; see [`GenerationMixin.generate`].

        Images are encoded and selected once, before the first step, with the whole prompt at hand: beams, chunked
        prefill and every decoding step then read the same tokens. Nothing is masked, not even in training mode.

        Args:
            inputs (`torch.LongTensor` of shape `(batch, sequence)`, *optional*):
                Token ids, as `input_ids`.
            generation_config (`GenerationConfig`, *optional*):
                How to generate.
            kwargs:
                What the processor gave, and generation options.

        Returns:
            `torch.LongTensor` of shape `(batch, sequence)` or `ModelOutput`: Prompts and what follows them.

        Raises:
            ValueError: If images and placeholders do not match.
        """
        input_ids = kwargs.get("input_ids") if inputs is None else inputs
        kwargs.update(self._take_images(kwargs, input_ids, kwargs.get("inputs_embeds")))
        # transformers types `self` there as a class of its own that exists for type checkers alone.
        return super().generate(inputs, generation_config, **kwargs)  # type: ignore[misc]

    @torch.no_grad()
    def score(
        self, inputs: Mapping[str, Any], answer_ids: Mapping[str, list[int] | None] | None = None
    ) -> torch.Tensor:
        """The probability that each face is a spoof, from the two coarse answers.

        Both answers' log-likelihoods after the prompt, normalised over the two: the sigmoid of their difference
        divided by `config.score_temperature`. The prompt runs once.

        Args:
            inputs (`Mapping[str, Any]`):
                What the processor gave for the coarse question, padded on the left, with `mm_encoder_outputs` instead
                of pictures if they are encoded already.
            answer_ids (`Mapping[str, list[int]]`, *optional*):
                Token ids of the answers under "real" and "spoof", as `FaceShieldProcessor.answer_ids` gives them;
                the configuration's `real_answer_ids` and `spoof_answer_ids` if missing.

        Returns:
            `torch.FloatTensor` of shape `(batch,)`: p(spoof), 0 to 1.

        Raises:
            ValueError: If there are no answers, the prompts are padded on the right, or images and placeholders do
                not match.
        """
        if answer_ids is None:
            answer_ids = {"real": self.config.real_answer_ids, "spoof": self.config.spoof_answer_ids}
        real, spoof = answer_ids.get("real"), answer_ids.get("spoof")
        if not real or not spoof:
            raise ValueError(
                f"got answer_ids {dict(answer_ids)}: score needs the token ids of both coarse answers. Pass "
                "answer_ids=processor.answer_ids, or set config.real_answer_ids and config.spoof_answer_ids."
            )
        inputs = dict(inputs)
        images = self._take_images(inputs, inputs["input_ids"], None)
        totals = answer_log_likelihoods(
            self,
            inputs["input_ids"],
            inputs.get("attention_mask"),
            (real, spoof),
            images,
        )
        return ((totals[:, 1] - totals[:, 0]) / self.config.score_temperature).sigmoid()

    def _take_images(
        self, inputs: dict[str, Any], input_ids: torch.Tensor | None, inputs_embeds: torch.Tensor | None
    ) -> dict[str, Any]:
        """Removes what belongs to images from `inputs` and gives the encoded, selected features instead."""
        names = ("pixel_values", "sav_values", "mm_encoder_outputs", "prompt_input_ids", "prompt_attention_mask")
        pixels, sav, encoded, prompt_ids, prompt_mask = (inputs.pop(name, None) for name in names)
        features = (encoded or {}).get("image")
        if features is not None and pixels is not None:
            raise ValueError("give either pixel_values or mm_encoder_outputs, not both.")
        if inputs_embeds is None and input_ids is not None:
            inputs_embeds = self.get_input_embeddings()(input_ids)
        elif inputs_embeds is not None:
            input_ids = None
        past = inputs.get("past_key_values")
        done = 0 if past is None else past.get_seq_length()
        if features is None and pixels is None:
            if not done and inputs_embeds is not None:
                self.model.check_no_placeholders(input_ids, inputs_embeds)
            return {}
        unread = None
        if done:
            unread = self.model.unread_placeholders(input_ids, inputs_embeds, done, inputs.get("attention_mask"))
            if not unread.any():
                return {}
        if pixels is not None:
            features = self.model.encode_images(pixels, sav)
        tokens, _ = self.model.place_image_features(
            features, input_ids, inputs_embeds, prompt_ids, prompt_mask, mask=False
        )
        if unread is not None and unread.numel() == tokens.shape[0] * tokens.shape[1]:
            tokens = tokens[unread.view(tokens.shape[:2]).all(dim=1)]
        return {"mm_encoder_outputs": {"image": FaceShieldSelectedFeatures(pooler_output=list(tokens))}}


def _join_views(states: torch.Tensor, num_views: int) -> torch.Tensor:
    """Moves the views from the batch axis to the tokens' axis (of a feature map: to its height)."""
    return torch.cat(states.chunk(num_views), dim=-2)


def _kept_positions(states: torch.Tensor, logits_to_keep: int | torch.Tensor) -> torch.Tensor:
    """The positions that get logits, in every form that transformers' models take.

    A number keeps so many at the end (0: all); a tensor `(kept,)` these of every row, an integer one `(batch, kept)`
    those of each row, and a boolean one `(batch, length)` all that are true, flattened.
    """
    if isinstance(logits_to_keep, int):
        return states[:, -logits_to_keep:]
    if logits_to_keep.dtype == torch.bool:
        return states[logits_to_keep]
    if logits_to_keep.ndim == 2:
        return torch.take_along_dim(states, logits_to_keep[..., None], dim=1)
    return states[:, logits_to_keep]


FaceShieldModel.register_for_auto_class("AutoModel")
FaceShieldForConditionalGeneration.register_for_auto_class("AutoModelForImageTextToText")
