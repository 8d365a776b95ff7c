"""Where visual tokens go in the text, and which of them do.

Finds the `<image>` placeholders and each row's question, ranks the visual tokens by it, masks them (in training),
selects them (with a budget) and checks that they are as many as the placeholders. It knows token ids and embeddings,
not how pictures became tokens.

Example:
    >>> tokens, importance = model.model.place_image_features(  # doctest: +SKIP
    ...     features, input_ids, inputs_embeds, output_vision_importance=True
    ... )
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from transformers.utils import torch_compilable_check

from .outputs_faceshield import FaceShieldImageFeatures, FaceShieldSelectedFeatures
from .pvtm_faceshield import (
    importance,
    masked_mean,
    question_mask,
    question_similarity,
    rows_of_images,
    select_tokens,
)


class VisualTokenPlacement:
    """The part of [`FaceShieldModel`] between the connector and the language model."""

    config: Any
    num_streams: int
    training: bool
    pvtm: nn.Module
    prompt_tower: nn.Module
    get_input_embeddings: Callable[[], nn.Module]

    def get_placeholder_mask(
        self, input_ids: torch.Tensor | None, inputs_embeds: torch.Tensor, image_features: torch.Tensor
    ) -> torch.Tensor:
        """Finds the `<image>` placeholders and checks that they are as many as the visual tokens.

        Args:
            input_ids (`torch.LongTensor` of shape `(batch, sequence)`, *optional*):
                Token ids.
            inputs_embeds (`torch.Tensor` of shape `(batch, sequence, hidden_size)`):
                Embeddings, searched if there are no ids.
            image_features (`torch.Tensor` of shape `(num_images, num_tokens, hidden_size)`):
                The visual tokens to put in.

        Returns:
            `torch.BoolTensor` of shape `(batch, sequence, 1)`: Where they go.

        Raises:
            ValueError: If the two numbers differ.
        """
        is_image = self._find_token(self.config.image_token_id, input_ids, inputs_embeds)
        num_images, num_tokens = image_features.shape[:2]
        torch_compilable_check(
            is_image.sum() == num_images * num_tokens,
            lambda: (
                f"Image features and image tokens do not match: got {int(is_image.sum())} image tokens, expected "
                f"{num_images * num_tokens} ({num_images} image(s) of {num_tokens} tokens): was the prompt truncated, "
                "an image left out, or the image processor, vision_token_budget or projector_downsample changed in "
                "only one of processor and model?"
            ),
        )
        return is_image.unsqueeze(-1)

    def check_no_placeholders(self, input_ids: torch.Tensor | None, inputs_embeds: torch.Tensor) -> None:
        """Refuses a prompt with placeholders but without an image to put there.

        Args:
            input_ids (`torch.LongTensor` of shape `(batch, sequence)`, *optional*):
                Token ids.
            inputs_embeds (`torch.Tensor` of shape `(batch, sequence, hidden_size)`):
                Embeddings, searched if there are no ids.

        Raises:
            ValueError: If there is a placeholder.
        """
        is_image = self._find_token(self.config.image_token_id, input_ids, inputs_embeds)
        torch_compilable_check(
            ~is_image.any(),
            lambda: (
                f"Image features and image tokens do not match: got {int(is_image.sum())} image tokens, but no "
                "pixel_values: pass what the processor gave, or leave <image> out of the text."
            ),
        )

    def unread_placeholders(
        self,
        input_ids: torch.Tensor | None,
        inputs_embeds: torch.Tensor,
        num_read: int,
        attention_mask: torch.Tensor | None,
    ) -> torch.Tensor:
        """Tells which placeholders of a prompt come after what a cache holds already.

        Args:
            input_ids (`torch.LongTensor` of shape `(batch, sequence)`, *optional*):
                Token ids: the whole conversation, or its new part alone if the mask is longer.
            inputs_embeds (`torch.Tensor` of shape `(batch, sequence, hidden_size)`):
                Embeddings, searched if there are no ids.
            num_read (`int`):
                Number of positions in the cache.
            attention_mask (`torch.Tensor` of shape `(batch, whole_sequence)`, *optional*):
                The whole conversation's mask.

        Returns:
            `torch.BoolTensor` of shape `(num_placeholders,)`: One for each, in reading order.
        """
        is_image = self._find_token(self.config.image_token_id, input_ids, inputs_embeds)
        before = 0 if attention_mask is None else attention_mask.shape[1] - is_image.shape[1]
        position = torch.arange(is_image.shape[1], device=is_image.device) + before
        return (position >= num_read).expand_as(is_image)[is_image]

    def _check_rows(self, is_image: torch.Tensor, tokens_per_image: int) -> None:
        """Refuses a row with a part of an image's placeholders, even where another row makes up for it."""
        counts = is_image.sum(dim=1)
        torch_compilable_check(
            (counts % tokens_per_image == 0).all(),
            lambda: (
                f"Image features and image tokens do not match: got {counts.tolist()} image tokens in the rows of the "
                f"batch, expected multiples of {tokens_per_image} in each: was a row truncated?"
            ),
        )

    def _find_token(
        self, token_id: int | None, input_ids: torch.Tensor | None, inputs_embeds: torch.Tensor
    ) -> torch.Tensor:
        """Marks a token in `(batch, sequence)` ids, or by its embedding if there are none."""
        if token_id is None:
            return torch.zeros(inputs_embeds.shape[:2], dtype=torch.bool, device=inputs_embeds.device)
        if input_ids is not None:
            return input_ids == token_id
        embedding = self.get_input_embeddings()(torch.full((), token_id, device=inputs_embeds.device))
        return (inputs_embeds == embedding).all(dim=-1)

    def place_image_features(
        self,
        features: FaceShieldImageFeatures,
        input_ids: torch.Tensor | None,
        inputs_embeds: torch.Tensor,
        prompt_input_ids: torch.Tensor | None = None,
        prompt_attention_mask: torch.Tensor | None = None,
        mask: bool = True,
        output_vision_importance: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Masks (in training) and selects (with a budget) the visual tokens that go to the language model.

        Args:
            features ([`FaceShieldImageFeatures`]):
                What `get_image_features` gave.
            input_ids (`torch.LongTensor` of shape `(batch, sequence)`, *optional*):
                Token ids of the prompt.
            inputs_embeds (`torch.Tensor` of shape `(batch, sequence, hidden_size)`):
                Their embeddings.
            prompt_input_ids (`torch.LongTensor` of shape `(batch, prompt_length)`, *optional*):
                The questions for the prompt tower.
            prompt_attention_mask (`torch.Tensor` of shape `(batch, prompt_length)`, *optional*):
                Their mask, for towers that want one.
            mask (`bool`, *optional*, defaults to `True`):
                Whether to mask if the model trains.
            output_vision_importance (`bool`, *optional*, defaults to `False`):
                Whether to compute the importance even if nothing else needs it.

        Returns:
            `tuple[torch.Tensor, torch.Tensor | None]`: Tokens `(num_images, num_tokens, hidden_size)` and their
            importance before selection, if asked for.
        """
        tokens = torch.stack(features.pooler_output).to(inputs_embeds.device, inputs_embeds.dtype)
        if isinstance(features, FaceShieldSelectedFeatures):
            return tokens, None
        budget = self.config.vision_token_budget
        mask = mask and self.training and self.config.pvtm_mask_prob > 0
        if not mask and budget is None and not output_vision_importance:
            return tokens, None
        is_image = self._find_token(self.config.image_token_id, input_ids, inputs_embeds)
        per_image = budget or tokens.shape[1]
        self._check_rows(is_image, per_image)
        rows = rows_of_images(is_image, tokens.shape[0], per_image)
        if self.config.pvtm_prompt_source == "text_tower":
            scores = self._similarity_to_prompt(features, rows, prompt_input_ids, prompt_attention_mask)
        else:
            is_turn_end = self._find_token(self.config.turn_end_token_id, input_ids, inputs_embeds)
            scores = self._similarity_to_question(tokens, rows, question_mask(is_image, is_turn_end), inputs_embeds)
        if mask:
            tokens = self.pvtm(tokens, scores)
        if budget is not None:
            tokens = select_tokens(tokens, scores, budget)
        return tokens, importance(scores, self.num_streams) if output_vision_importance else None

    def _similarity_to_question(
        self, tokens: torch.Tensor, rows: torch.Tensor, asked: torch.Tensor, inputs_embeds: torch.Tensor
    ) -> torch.Tensor:
        """Similarity `(num_images, num_tokens)` to the mean embedding of the question in each image's row."""
        question = masked_mean(inputs_embeds.detach(), asked)[rows]
        # Without a question (no end of turn after the image) nothing tells it from an answer: the image's own mean
        # ranks its tokens then, which no answer can touch.
        own_mean = tokens.detach().float().mean(dim=1)
        return question_similarity(tokens, torch.where(asked.any(dim=1)[rows].unsqueeze(1), question, own_mean))

    def _similarity_to_prompt(
        self,
        features: FaceShieldImageFeatures,
        rows: torch.Tensor,
        prompt_input_ids: torch.Tensor | None,
        prompt_attention_mask: torch.Tensor | None,
    ) -> torch.Tensor:
        """Similarity `(num_images, num_tokens)` of the tokens before the connector to the prompt tower's reading."""
        if prompt_input_ids is None:
            raise ValueError(
                'pvtm_prompt_source="text_tower" needs prompt_input_ids (batch, length): the question of each row of '
                "input_ids, tokenized for the prompt tower."
            )
        if features.tower_tokens is None:
            raise ValueError(
                "the image features lack tower_tokens, which a prompt tower is compared with: make them with this "
                "model's get_image_features."
            )
        with torch.no_grad():
            prompt = self.prompt_tower(prompt_input_ids, attention_mask=prompt_attention_mask).pooler_output
        return question_similarity(torch.stack(features.tower_tokens), prompt[rows])
