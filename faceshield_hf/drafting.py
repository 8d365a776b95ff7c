"""Greedy answers to many questions about a few images, in fewer steps than one a token.

Three savings, none of which changes an answer (up to the rounding by which any two batch sizes differ):

- Prompts about one image begin alike, image included: that part is read once (`read_prompts`).
- The score's two answers are read beside the prompts, in the same pass.
- Answers to one task resemble each other. What followed the last few tokens in earlier answers is proposed, and one
  pass of the model checks several proposed tokens at a time; the first that is not the model's own choice is thrown
  away with all after it (`write_answers`). This is prompt lookup decoding (Saxena 2023) and REST (He et al. 2023,
  arXiv 2311.08252), with the model's own earlier answers as the store.

It knows token ids and the model's forward, neither images, texts nor tasks.

Example:
    >>> drafts = Drafts()
    >>> drafts.remember([5, 6, 7, 8])
    >>> drafts.propose([5, 6], 3)
    [7, 8]
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers.cache_utils import DynamicLayer

from faceshield_hf.modeling_faceshield import FaceShieldForConditionalGeneration
from faceshield_hf.outputs_faceshield import FaceShieldImageFeatures


WIDTH = 8
"""Most tokens that are proposed at a time: a small model reads that many more in hardly more time than one."""
# In all rows together: from there on reading costs more than the steps that it saves.
_MOST_PROPOSED = 160
_CONTEXT = 4
_MOST_CONTEXTS = 50_000


class Drafts:
    """What followed which tokens in earlier answers to one question. Threads may share it."""

    def __init__(self) -> None:
        # Every few tokens in a row, to the latest answer that held them and the place after them.
        self._after: dict[tuple[int, ...], tuple[Sequence[int], int]] = {}
        self._lock = threading.Lock()

    def remember(self, answer: Sequence[int]) -> None:
        """Keep an answer for later proposals.

        Args:
            answer (`Sequence[int]`): its tokens, the one that ends it included.
        """
        with self._lock:
            if len(self._after) > _MOST_CONTEXTS:  # a small store is soon full again
                self._after.clear()
            for place in range(len(answer)):
                for length in range(min(place, _CONTEXT) + 1):
                    if length or not place:  # no context at all: only before the first token
                        self._after[tuple(answer[place - length : place])] = (answer, place)

    def propose(self, written: Sequence[int], width: int) -> list[int]:
        """Propose how an answer goes on.

        Args:
            written (`Sequence[int]`): its tokens so far.
            width (`int`): how many tokens to propose at most.

        Returns:
            `list[int]`: what followed the longest known end of `written`; empty if nothing did.
        """
        with self._lock:
            for length in range(min(len(written), _CONTEXT), -1, -1):
                if length == 0 and written:
                    break
                found = self._after.get(tuple(written[len(written) - length :]))
                if found is not None:
                    answer, place = found
                    return list(answer[place : place + width])
        return []


@dataclass
class Reading:
    """A batch of prompts that the model has read.

    Attributes:
        cache (`Cache`): keys and values.
        mask (`torch.LongTensor` of shape `(rows, cached)`): 0 for padding and for proposals thrown away.
        length (`torch.LongTensor` of shape `(rows,)`): tokens that count; the next one's position.
        logits (`torch.FloatTensor` of shape `(rows, tokens, vocabulary)`): of the tokens read last, the last one's at
            the end.
    """

    cache: Any
    mask: torch.Tensor
    length: torch.Tensor
    logits: torch.Tensor

    def keep(self, rows: list[int]) -> None:
        """Go on with some of the rows."""
        index = torch.tensor(rows, device=self.mask.device)
        self.cache.batch_select_indices(index)
        self.mask, self.length, self.logits = self.mask[index], self.length[index], self.logits[index]


@torch.inference_mode()
def read_prompts(
    model: FaceShieldForConditionalGeneration, rows: list[list[int]], features: FaceShieldImageFeatures
) -> Reading:
    """Read prompts about images that are encoded already; what they begin with in common only once an image.

    Args:
        model ([`FaceShieldForConditionalGeneration`]): in eval mode, without a token budget: the budget's choice of
            tokens depends on each question.
        rows (`list[list[int]]`): token ids with placeholders for one image each; as many for every image, those of an
            image together.
        features ([`FaceShieldImageFeatures`]): of all images.

    Returns:
        [`Reading`]: with the logits of what comes after the common beginning.

    Raises:
        ValueError: If the prompts differ before their image ends.
    """
    common = min(_common(rows[0], row) for row in rows)
    common = min(common, min(map(len, rows)) - 1)  # every row keeps a token of its own, for its logits
    image_token = model.config.image_token_id
    if any(image_token in row[common:] for row in rows):
        raise ValueError("the prompts differ before the image ends: ask them one by one.")
    images, device = len(features.pooler_output), model.device
    begin = torch.tensor([rows[0][:common]] * images, device=device)
    outputs = model.model(input_ids=begin, mm_encoder_outputs={"image": features}, use_cache=True)
    cache = outputs.past_key_values
    cache.batch_repeat_interleave(len(rows) // images)
    width = max(map(len, rows)) - common
    padding = [width + common - len(row) for row in rows]
    # The padding stands between the common beginning and the rest; masked, it counts for nothing.
    ids = torch.tensor([[0] * pad + row[common:] for pad, row in zip(padding, rows, strict=True)], device=device)
    length = torch.tensor([len(row) for row in rows], device=device)
    mask = torch.ones(len(rows), common + width, dtype=torch.long, device=device)
    place = torch.arange(width, device=device)
    mask[:, common:] = place >= torch.tensor(padding, device=device).unsqueeze(1)
    positions = (length.unsqueeze(1) - width + place).clamp(min=0)
    logits = model(input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache).logits
    return Reading(cache, mask, length, logits)


@torch.inference_mode()
def read_padded(model: FaceShieldForConditionalGeneration, inputs: dict[str, Any]) -> Reading:
    """Read prompts padded on the left, each by itself.

    Args:
        model ([`FaceShieldForConditionalGeneration`]): in eval mode.
        inputs (`dict[str, Any]`): `input_ids`, `attention_mask` and the encoded images.

    Returns:
        [`Reading`]: with the logits of the last token.
    """
    mask = inputs["attention_mask"]
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    outputs = model(**inputs, position_ids=positions, use_cache=True, logits_to_keep=1)
    return Reading(outputs.past_key_values, mask, mask.sum(dim=1), outputs.logits)


def log_likelihood(logits: torch.Tensor, end: list[int]) -> torch.Tensor:
    """How likely the model found the end of a row that it read.

    Args:
        logits (`torch.FloatTensor` of shape `(tokens, vocabulary)`): of the row's last tokens, with at least one more
            than `end` has.
        end (`list[int]`): token ids of the row's end.

    Returns:
        `torch.FloatTensor` of shape `()`: sum of the tokens' log-probabilities.
    """
    steps = logits[-len(end) - 1 : -1].float().log_softmax(dim=-1)
    return steps.gather(1, torch.tensor(end, device=logits.device).unsqueeze(1)).sum()


def is_plain(model: FaceShieldForConditionalGeneration) -> bool:
    """Tell whether a model generates by nothing but its logits and attends to all that came before.

    Args:
        model ([`FaceShieldForConditionalGeneration`]): any.

    Returns:
        `bool`: if not, only its own `generate` may be trusted with its answers.
    """
    text = model.config.text_config.to_dict()
    is_windowed = text.get("sliding_window") is not None or set(text.get("layer_types") or ()) - {"full_attention"}
    settings = {name for name, value in model.generation_config.to_diff_dict().items() if value not in (None, False)}
    return not is_windowed and settings <= _HARMLESS


# Settings of a generation that greedy decoding doesn't ask for, or that are heeded here.
_HARMLESS = {
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
    "suppress_tokens",
    "use_cache",
    "transformers_version",
    "_from_model_config",
    "max_length",
    "max_new_tokens",
    "do_sample",
    "temperature",
    "top_k",
    "top_p",
}


@torch.inference_mode()
def write_answers(
    model: FaceShieldForConditionalGeneration,
    reading: Reading,
    drafts: Sequence[Drafts],
    limits: Sequence[int],
    stops: set[int],
    width: int = WIDTH,
) -> list[list[int]]:
    """Answer every prompt greedily.

    Args:
        model ([`FaceShieldForConditionalGeneration`]): the one that read them.
        reading ([`Reading`]): used up.
        drafts (`Sequence[Drafts]`): one a row; rows of one task share theirs. They remember the answers.
        limits (`Sequence[int]`): most tokens of each row's answer.
        stops (`set[int]`): ids of the tokens that end an answer.
        width (`int`, *optional*, defaults to 8): most tokens that are proposed at a time; 0 proposes none.

    Returns:
        `list[list[int]]`: the answers, each with the token that ends it.
    """
    if not all(type(layer) is DynamicLayer for layer in reading.cache.layers):
        width = 0  # only a plain cache can have holes where proposals were thrown away
    suppressed = torch.tensor(model.generation_config.suppress_tokens or [], dtype=torch.long, device=model.device)
    answers: list[list[int]] = [[] for _ in limits]
    alive = list(range(len(limits)))
    proposed: list[list[int]] = [[] for _ in limits]
    logits = reading.logits[:, -1:]
    while True:
        if len(suppressed):
            logits = logits.index_fill(-1, suppressed, -torch.inf)
        chosen = logits.argmax(dim=-1).tolist()
        thrown = []
        for row, guesses, choices in zip(alive, proposed, chosen, strict=True):
            right = _common(guesses, choices)
            taken = (guesses[:right] + choices[right : right + 1])[: limits[row] - len(answers[row])]
            end = next((place for place, token in enumerate(taken) if token in stops), None)
            answers[row] += taken if end is None else taken[: end + 1]
            thrown.append(len(choices) - 1 - right)
        _throw_away(reading, thrown)
        going = [i for i, row in enumerate(alive) if answers[row][-1] not in stops and len(answers[row]) < limits[row]]
        if not going:
            break
        if len(going) < len(alive):
            reading.keep(going)
            alive = [alive[i] for i in going]
        ahead = min(width, _MOST_PROPOSED // len(alive))
        proposed = [drafts[row].propose(answers[row], min(ahead, limits[row] - len(answers[row]))) for row in alive]
        logits = _read_on(model, reading, [answers[row][-1:] for row in alive], proposed)
    for row, answer in enumerate(answers):
        drafts[row].remember(answer)
    return answers


def _common(first: Sequence[int], second: Sequence[int]) -> int:
    """Count the tokens with which both begin."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((place for place, (one, other) in pairs if one != other), min(len(first), len(second)))


def _read_on(
    model: FaceShieldForConditionalGeneration, reading: Reading, last: list[list[int]], proposed: list[list[int]]
) -> torch.Tensor:
    """Read each row's last token and what is proposed to follow it; gives their logits."""
    device = reading.mask.device
    width = 1 + max(map(len, proposed))
    rows = [one + guesses for one, guesses in zip(last, proposed, strict=True)]
    # Filled up on the right, where nothing that counts can see it; `_throw_away` masks it afterwards.
    ids = torch.tensor([row + row[-1:] * (width - len(row)) for row in rows], device=device)
    reading.mask = torch.cat([reading.mask, reading.mask.new_ones(len(rows), width)], dim=1)
    positions = reading.length.unsqueeze(1) + torch.arange(width, device=device)
    reading.length = reading.length + width
    return model(
        input_ids=ids, attention_mask=reading.mask, position_ids=positions, past_key_values=reading.cache
    ).logits


def _throw_away(reading: Reading, counts: list[int]) -> None:
    """Let the last tokens of each row count for nothing; what all rows throw away leaves the cache."""
    most, least = max(counts), min(counts)
    if most == 0:
        return
    amount = torch.tensor(counts, device=reading.mask.device)
    reading.length = reading.length - amount
    if most > least:
        ends = reading.mask[:, -most:]
        kept = torch.arange(most, device=amount.device) < (most - amount).unsqueeze(1)
        reading.mask[:, -most:] = ends * kept
    if least:
        reading.cache.crop(-least)
        reading.mask = reading.mask[:, :-least]
