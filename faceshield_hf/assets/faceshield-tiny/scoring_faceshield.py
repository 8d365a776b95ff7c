"""How likely a model finds each of two answers, from one shared prefill.

The prompt and whatever the two answers begin with in common run once; only the rest of each runs twice, on copies of
the cache. It knows token ids, not what the answers say.

Example:
    >>> from faceshield_hf.scoring_faceshield import split_answers
    >>> split_answers([5, 6, 7], [5, 8, 9, 7])
    ([5], [6, 7], [8, 9, 7])
"""

from collections.abc import Mapping
from typing import Any

import torch
from transformers import PreTrainedModel


def answer_log_likelihoods(
    model: PreTrainedModel,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor | None,
    answers: tuple[list[int], list[int]],
    extra: Mapping[str, Any],
) -> torch.Tensor:
    """Log-likelihoods of two answers after each prompt, up to a constant that both share.

    Args:
        model (`PreTrainedModel`):
            A causal language model with a cache.
        input_ids (`torch.LongTensor` of shape `(batch, sequence)`):
            Prompts, padded on the left.
        attention_mask (`torch.Tensor` of shape `(batch, sequence)`, *optional*):
            1 for tokens, 0 for padding; all tokens if missing.
        answers (`tuple[list[int], list[int]]`):
            Token ids of the two answers.
        extra (`Mapping[str, Any]`):
            Further arguments of the prefill.

    Returns:
        `torch.FloatTensor` of shape `(batch, 2)`: Sums of the tokens' log-probabilities after the common beginning.

    Raises:
        ValueError: If prompts are padded on the right, or one answer begins with the whole other one.
    """
    prefix, *rests = split_answers(*answers)
    if attention_mask is None:
        attention_mask = torch.ones_like(input_ids)
    if not bool(attention_mask[:, -1].all()):
        raise ValueError("the prompts are padded on the right: score needs padding_side='left', as generate does.")
    batch, device = len(input_ids), input_ids.device
    input_ids = torch.cat([input_ids, torch.tensor(prefix, dtype=torch.long, device=device).expand(batch, -1)], dim=1)
    attention_mask = _grow(attention_mask, len(prefix))
    position_ids = (attention_mask.cumsum(dim=1) - 1).clamp(min=0)
    prefill = model(
        input_ids=input_ids,
        attention_mask=attention_mask,
        position_ids=position_ids,
        use_cache=True,
        logits_to_keep=1,
        **extra,
    )
    first = prefill.logits[:, -1].float().log_softmax(dim=-1)
    totals = first[:, [rest[0] for rest in rests]]
    width = max(len(rest) for rest in rests) - 1
    if width == 0:
        return totals

    # Rows alternate between the two answers. The shorter one is filled up with its last token: what follows a token
    # does not change its likelihood, and the filling is left out of the sum.
    fed = torch.tensor([(rest + rest[-1:] * width)[:width] for rest in rests], device=device)
    targets = torch.tensor([(rest + rest[-1:] * width)[1 : width + 1] for rest in rests], device=device)
    counted = torch.tensor([[i < len(rest) - 1 for i in range(width)] for rest in rests], device=device)
    cache = prefill.past_key_values
    cache.batch_repeat_interleave(2)
    logits = model(
        input_ids=fed.repeat(batch, 1),
        attention_mask=_grow(attention_mask, width).repeat_interleave(2, dim=0),
        position_ids=(position_ids[:, -1:] + torch.arange(1, width + 1, device=device)).repeat_interleave(2, dim=0),
        past_key_values=cache,
    ).logits
    steps = logits.float().log_softmax(dim=-1).gather(2, targets.repeat(batch, 1).unsqueeze(-1)).squeeze(-1)
    return totals + (steps * counted.repeat(batch, 1)).sum(dim=1).view(batch, 2)


def split_answers(first: list[int], second: list[int]) -> tuple[list[int], list[int], list[int]]:
    """Splits two answers into what they begin with in common and the rest of each.

    Args:
        first (`list[int]`):
            Token ids of one answer.
        second (`list[int]`):
            Token ids of the other.

    Returns:
        `tuple[list[int], list[int], list[int]]`: Common beginning, rest of the first, rest of the second.

    Raises:
        ValueError: If one of them begins with the whole other one.
    """
    first, second = [int(i) for i in first], [int(i) for i in second]
    common = 0
    while common < min(len(first), len(second)) and first[common] == second[common]:
        common += 1
    if common in (len(first), len(second)):
        raise ValueError(
            f"the answers {first} and {second} cannot be told apart by what follows: neither may be empty or the "
            "beginning of the other."
        )
    return first[:common], first[common:], second[common:]


def _grow(attention_mask: torch.Tensor, width: int) -> torch.Tensor:
    return torch.cat([attention_mask, attention_mask.new_ones(len(attention_mask), width)], dim=1)
