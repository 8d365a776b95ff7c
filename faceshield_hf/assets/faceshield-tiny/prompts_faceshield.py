"""Each row's question as a prompt tower reads it, for `pvtm_prompt_source="text_tower"`.

The question is what stands between a row's last `<image>` and the next end of a turn: the same tokens by which the
model itself ranks visual tokens with `pvtm_prompt_source="language_model"`. It is read off the language model's token
ids, so that the answer after it can never be part of it, and written again in the vocabulary of the prompt tower's own
tokenizer (SigLIP's), always of the same length. It knows tokenizers, neither images nor models.

Example:
    >>> question_ids([7, 7, 11, 12, 9, 13], image_token_id=7, turn_end_token_id=9)
    [11, 12]
"""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from transformers import AutoConfig, AutoTokenizer, PreTrainedTokenizerBase

from .composition_faceshield import token_after


PROMPT_TOKENIZER = "prompt_tokenizer"
"""Folder inside a checkpoint that holds the prompt tower's tokenizer."""


def question_ids(input_ids: Sequence[int], image_token_id: int, turn_end_token_id: int | None) -> list[int]:
    """The tokens between the last `<image>` of a row and the next end of a turn.

    Args:
        input_ids (`Sequence[int]`): token ids of one row.
        image_token_id (`int`): id of `<image>`.
        turn_end_token_id (`int`, *optional*): id of the token that ends a turn.

    Returns:
        `list[int]`: empty without an image, or without an end of turn after it: nothing tells question and answer
        apart then.
    """
    row = list(input_ids)
    if image_token_id not in row or turn_end_token_id is None:
        return []
    after = row[len(row) - row[::-1].index(image_token_id) :]
    return after[: after.index(turn_end_token_id)] if turn_end_token_id in after else []


def encode_questions(
    rows: Iterable[Sequence[int]],
    tokenizer: PreTrainedTokenizerBase,
    chat_template: str | None,
    image_token_id: int,
    prompt_tokenizer: PreTrainedTokenizerBase,
    length: int,
) -> torch.Tensor:
    """Write the question of each row in the prompt tower's vocabulary.

    Args:
        rows (`Iterable[Sequence[int]]`): token ids of the language model, padded or not.
        tokenizer (`PreTrainedTokenizerBase`): the language model's.
        chat_template (`str`, *optional*): what wrote the rows; it tells how a turn ends.
        image_token_id (`int`): id of `<image>`.
        prompt_tokenizer (`PreTrainedTokenizerBase`): the prompt tower's.
        length (`int`): tokens of every question; longer ones are cut, shorter ones padded on the right.

    Returns:
        `torch.LongTensor` of shape `(rows, length)`: what the model takes as `prompt_input_ids`.
    """
    turn_end = token_after(tokenizer, "user", chat_template)
    questions = [
        str(tokenizer.decode(question_ids(row, image_token_id, turn_end), skip_special_tokens=True)).strip()
        for row in rows
    ]
    # SigLIP's text tower was trained on padded texts, without a mask: its pooled output is read at the last place.
    encoded = prompt_tokenizer(
        questions,
        padding="max_length",
        padding_side="right",
        truncation=True,
        max_length=length,
        return_tensors="pt",
    )
    return encoded["input_ids"]


def load_prompt_tokenizer(vision: str) -> tuple[PreTrainedTokenizerBase, int]:
    """Load the tokenizer of a two-tower repository's text half, and the number of positions that this half has.

    Args:
        vision (`str`): folder or Hub name of a two-tower checkpoint (SigLIP, CLIP).

    Returns:
        `tuple[PreTrainedTokenizerBase, int]`: Tokenizer and length of its prompts.

    Raises:
        ValueError: If the repository has a vision tower only.
    """
    config = AutoConfig.from_pretrained(vision)
    if "text_config" not in config.sub_configs:
        raise ValueError(
            f'pvtm_prompt_source="text_tower" needs a two-tower checkpoint with its tokenizer (SigLIP), but '
            f'"{vision}" is a "{config.model_type}" alone: use pvtm_prompt_source="language_model".'
        )
    return AutoTokenizer.from_pretrained(vision), config.text_config.max_position_embeddings


def as_rows(input_ids: Any) -> list[list[int]]:
    """The rows of a batch of ids, which a processor gives as lists, arrays or tensors, alone or many.

    Args:
        input_ids (`torch.Tensor`, `np.ndarray` or `list`): Token ids of one row or of a batch.

    Returns:
        `list[list[int]]`: One list a row.
    """
    rows = input_ids if isinstance(input_ids, list) else input_ids.tolist()
    return [list(map(int, row)) for row in (rows if rows and not isinstance(rows[0], int) else [rows])]
