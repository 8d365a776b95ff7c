"""Prompt-guided vision token masking (PVTM) and the token budget.

Both rank the visual tokens of an image by their cosine similarity to the question. Masking (training only) replaces
some of the less important tokens by one learned embedding; the budget (training and inference) lets only the most
important ones through to the language model. It knows tensors only: no tokenizer, no labels, no answers.

Example:
    >>> import torch
    >>> from faceshield_hf.pvtm_faceshield import select_tokens
    >>> tokens = torch.arange(4.0).view(1, 4, 1)
    >>> select_tokens(tokens, torch.tensor([[0.1, 0.9, 0.2, 0.8]]), budget=2).flatten().tolist()
    [1.0, 3.0]
"""

import math

import torch
from torch import nn


class PromptGuidedTokenMasking(nn.Module):
    """Equations 7 and 8 of FaceShield: masks unimportant visual tokens while the model trains.

    Each token outside the kept share is replaced, independently and with probability `mask_prob`, by one learned
    embedding; the number of tokens stays. Randomness comes from torch's global generator. In eval mode the module
    gives its input back.

    Args:
        hidden_size (`int`):
            Width of the visual tokens after the connector.
        keep_ratio (`float`):
            Share of the tokens, the most important ones, that always stay; rounded half up to a count.
        mask_prob (`float`):
            Probability of masking each other token; 0 makes the module a no-op without parameters.
        num_streams (`int`, *optional*, defaults to 1):
            Number of equal, consecutive groups of tokens from each of which the kept share is taken.
    """

    def __init__(self, hidden_size: int, keep_ratio: float, mask_prob: float, num_streams: int = 1) -> None:
        super().__init__()
        self.keep_ratio = keep_ratio
        self.mask_prob = mask_prob
        self.num_streams = num_streams
        # Without masking there is no embedding to learn: DDP would stop at a parameter that never gets a gradient.
        self.mask_embedding = nn.Parameter(torch.zeros(hidden_size)) if mask_prob > 0 else None

    def forward(self, tokens: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Masks tokens if the module is in training mode.

        Args:
            tokens (`torch.Tensor` of shape `(num_images, num_tokens, hidden_size)`):
                Visual tokens.
            scores (`torch.Tensor` of shape `(num_images, num_tokens)`):
                Their similarity to the question, from [`question_similarity`].

        Returns:
            `torch.Tensor` of shape `(num_images, num_tokens, hidden_size)`: The tokens, some replaced.
        """
        if not self.training or self.mask_embedding is None:
            return tokens
        streams = scores.unflatten(1, (self.num_streams, -1))
        kept = rank_tokens(streams) < round_half_up(self.keep_ratio * streams.shape[-1])
        drawn = torch.rand(scores.shape, device=scores.device) < self.mask_prob
        masked = drawn & ~kept.flatten(1)
        return torch.where(masked.unsqueeze(-1), self.mask_embedding.to(tokens.dtype), tokens)


def question_similarity(tokens: torch.Tensor, prompt: torch.Tensor) -> torch.Tensor:
    """Cosine similarity of every visual token to the question, in float32 and without gradient.

    Args:
        tokens (`torch.Tensor` of shape `(num_images, num_tokens, hidden_size)`):
            Visual tokens.
        prompt (`torch.Tensor` of shape `(num_images, hidden_size)`):
            One vector for each image's question.

    Returns:
        `torch.Tensor` of shape `(num_images, num_tokens)`: Similarities from -1 to 1.
    """
    tokens, prompt = tokens.detach().float(), prompt.detach().float()
    return nn.functional.cosine_similarity(tokens, prompt.unsqueeze(1), dim=-1)


def importance(scores: torch.Tensor, num_streams: int = 1) -> torch.Tensor:
    """Equation 7: softmax of the similarities, over all tokens or within each view.

    Args:
        scores (`torch.Tensor` of shape `(num_images, num_tokens)`):
            Similarities from [`question_similarity`].
        num_streams (`int`, *optional*, defaults to 1):
            Number of equal, consecutive groups that are normalised each by itself.

    Returns:
        `torch.Tensor` of shape `(num_images, num_tokens)`: Weights; every group sums to 1.
    """
    return scores.unflatten(1, (num_streams, -1)).softmax(dim=-1).flatten(1)


def rank_tokens(scores: torch.Tensor) -> torch.Tensor:
    """Rank of every token on the last axis: 0 for the highest score; of equal ones the earlier comes first.

    Args:
        scores (`torch.Tensor` of shape `(..., num_tokens)`):
            Similarities.

    Returns:
        `torch.LongTensor` of shape `(..., num_tokens)`: Ranks.
    """
    order = scores.argsort(dim=-1, descending=True, stable=True)
    return order.argsort(dim=-1)


def select_tokens(tokens: torch.Tensor, scores: torch.Tensor, budget: int) -> torch.Tensor:
    """Keeps the `budget` most important tokens of each image, in their original order.

    Args:
        tokens (`torch.Tensor` of shape `(num_images, num_tokens, hidden_size)`):
            Visual tokens.
        scores (`torch.Tensor` of shape `(num_images, num_tokens)`):
            Their similarity to the question.
        budget (`int`):
            How many to keep.

    Returns:
        `torch.Tensor` of shape `(num_images, budget, hidden_size)`: The kept tokens.

    Raises:
        ValueError: If there are fewer tokens than `budget`.
    """
    if budget > tokens.shape[1]:
        raise ValueError(
            f"vision_token_budget is {budget}, but an image has only {tokens.shape[1]} tokens: lower the budget (in "
            "model and processor) or set it to None."
        )
    order = scores.argsort(dim=-1, descending=True, stable=True)
    kept = order[:, :budget].sort(dim=-1).values
    return tokens.gather(1, kept.unsqueeze(-1).expand(-1, -1, tokens.shape[-1]))


def question_mask(is_image: torch.Tensor, is_turn_end: torch.Tensor) -> torch.Tensor:
    """Marks each row's question: what stands between its last `<image>` and the next end of a turn.

    The answer comes after that end, so it can never be part of it. A row without an image or without an end of turn
    after it has no question.

    Args:
        is_image (`torch.BoolTensor` of shape `(batch, sequence)`):
            Where the `<image>` placeholders are.
        is_turn_end (`torch.BoolTensor` of shape `(batch, sequence)`):
            Where turns end.

    Returns:
        `torch.BoolTensor` of shape `(batch, sequence)`: The question's tokens.
    """
    length = is_image.shape[1]
    position = torch.arange(length, device=is_image.device)
    last_image = torch.where(is_image, position, -1).amax(dim=1, keepdim=True)
    after = (position > last_image) & (last_image >= 0)
    turn_end = torch.where(is_turn_end & after, position, length).amin(dim=1, keepdim=True)
    return after & (position < turn_end) & (turn_end < length)


def rows_of_images(is_image: torch.Tensor, num_images: int, tokens_per_image: int) -> torch.Tensor:
    """Finds the row of text that each image stands in, from the placeholders alone.

    Args:
        is_image (`torch.BoolTensor` of shape `(batch, sequence)`):
            Where the `<image>` placeholders are.
        num_images (`int`):
            Number of images in the batch, in reading order.
        tokens_per_image (`int`):
            Placeholders of one image.

    Returns:
        `torch.LongTensor` of shape `(num_images,)`: Row of each image.
    """
    placeholders_so_far = is_image.sum(dim=1).cumsum(dim=0)
    first = torch.arange(num_images, device=is_image.device) * tokens_per_image
    rows = (placeholders_so_far <= first.unsqueeze(1)).sum(dim=1)
    # Placeholders that do not match the images are reported elsewhere; here they must only not read out of bounds.
    return rows.clamp(max=is_image.shape[0] - 1)


def masked_mean(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean of the marked rows in float32; zero where nothing is marked.

    Args:
        values (`torch.Tensor` of shape `(batch, sequence, hidden_size)`):
            Values.
        mask (`torch.BoolTensor` of shape `(batch, sequence)`):
            Which of them count.

    Returns:
        `torch.Tensor` of shape `(batch, hidden_size)`: The means.
    """
    weights = mask.unsqueeze(-1).float()
    return (values.float() * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)


def round_half_up(value: float) -> int:
    """Rounds to the nearest integer, halves upward (Python's `round` goes to the even one).

    Args:
        value (`float`):
            A number of at least 0.

    Returns:
        `int`: The rounded number.
    """
    # 0.29 * 50 is 14.499999999999998 in floating point: a hair's breadth must not lose a token.
    return math.floor(value + 0.5 + 1e-9)
