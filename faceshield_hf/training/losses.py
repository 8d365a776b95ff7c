"""Losses beside the plain one: judgement against interpretation, and equal risk over attack families.

- `lopsided_loss` (I-FAS, arXiv 2501.01720): `alpha * L_judgement + (1 - alpha) * L_interpretation`, each the mean over
  its own tokens of an answer; 0.7 is the paper's best alpha. The judgement is the sentence that gives the verdict. Of
  several answers in a row (`each_answer`) every one counts for itself.
- `risk_variance` (after SARE, arXiv 2409.03501): the variance of the mean losses of the attack families, added to the
  loss so that no family's easy artefact wins it.

They know tensors, and `judgement_mask` a tokenizer; no model and no trainer.

Example:
    >>> import torch
    >>> from faceshield_hf.training.losses import lopsided_loss
    >>> losses = torch.tensor([[2.0, 4.0, 1.0, 0.0]])
    >>> judgement = torch.tensor([[True, True, False, False]])
    >>> answer = torch.tensor([[True, True, True, False]])
    >>> round(lopsided_loss(losses, judgement, answer, alpha=0.7).item(), 4)  # 0.7 * 3 + 0.3 * 1
    2.4
"""

import re
from bisect import bisect_left, bisect_right
from typing import Any

import torch

from faceshield_hf.claims_faceshield import ATTACK_NAMES
from faceshield_hf.tasks_faceshield import AttackType


# Families whose risks are equalised: the bona fide images and the four super-classes of attacks.
FAMILIES = tuple(dict.fromkeys(kind.super_class for kind in AttackType))
# Every sentence of the answer grammar that states a verdict; "The face in the image is evenly lit." states none.
_JUDGEMENT = re.compile(
    rf"The face in the image is (?:real|a spoof|an? (?:{ATTACK_NAMES}) attack)\b(?!-)[^.\n<]*\.?"
    r"|The spoof area is|There is no spoof area: the face in the image is real\.?",
    re.IGNORECASE,
)


def lopsided_loss(
    losses: torch.Tensor, judgement: torch.Tensor, answer: torch.Tensor, alpha: float = 0.7
) -> torch.Tensor:
    """Equation of the lopsided language-model loss, one value a row.

    Args:
        losses (`torch.Tensor` of shape `(answers, tokens)`): negative log-likelihoods, 0 where nothing is predicted.
        judgement (`torch.BoolTensor` of shape `(answers, tokens)`): tokens of the verdict's sentence.
        answer (`torch.BoolTensor` of shape `(answers, tokens)`): all tokens of one answer that are predicted.
        alpha (`float`, *optional*, defaults to 0.7): weight of the judgement, 0 to 1.

    Returns:
        `torch.Tensor` of shape `(answers,)`: one with one of the two parts only has that part's mean, unweighted.
    """
    parts = [judgement & answer, answer & ~judgement]
    counts = [part.sum(dim=1) for part in parts]
    means = [(losses * part).sum(dim=1) / count.clamp(min=1) for part, count in zip(parts, counts, strict=True)]
    both = (counts[0] > 0) & (counts[1] > 0)
    # Without interpretation the judgement counts in full, and the other way round.
    return torch.where(both, alpha * means[0] + (1 - alpha) * means[1], means[0] + means[1])


def each_answer(answer: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Part rows that hold several answers, with questions between them, into one row an answer.

    Args:
        answer (`torch.BoolTensor` of shape `(batch, tokens)`): tokens that are predicted.

    Returns:
        `tuple[torch.Tensor, torch.Tensor]`: the row that each answer stands in, `(answers,)`, and the answer's own
            tokens, `(answers, tokens)`; in the order of rows and, within one, of answers.
    """
    begins = answer & ~torch.nn.functional.pad(answer, (1, 0))[:, :-1]
    number = begins.cumsum(dim=1)
    rows, starts = begins.nonzero(as_tuple=True)
    return rows, answer[rows] & (number[rows] == number[rows, starts].unsqueeze(1))


def row_means(losses: torch.Tensor, answer: torch.Tensor) -> torch.Tensor:
    """Mean loss of each row over its own predicted tokens.

    Args:
        losses (`torch.Tensor` of shape `(batch, tokens)`): negative log-likelihoods.
        answer (`torch.BoolTensor` of shape `(batch, tokens)`): tokens that are predicted.

    Returns:
        `torch.Tensor` of shape `(batch,)`: the means; 0 for a row without tokens.
    """
    return (losses * answer).sum(dim=1) / answer.sum(dim=1).clamp(min=1)


def risk_variance(row_losses: torch.Tensor, families: torch.Tensor) -> torch.Tensor:
    """Variance of the families' mean losses.

    Args:
        row_losses (`torch.Tensor` of shape `(batch,)`): each row's loss.
        families (`torch.LongTensor` of shape `(batch,)`): each row's index into `FAMILIES`.

    Returns:
        `torch.Tensor`: a scalar; 0 when a batch holds one family only.
    """
    member = torch.nn.functional.one_hot(families, len(FAMILIES)).to(row_losses.dtype)
    counts = member.sum(dim=0)
    risks = (member * row_losses.unsqueeze(1)).sum(dim=0) / counts.clamp(min=1)
    present = (counts > 0).to(risks.dtype)
    mean = (risks * present).sum() / present.sum()
    return ((risks - mean).square() * present).sum() / present.sum()


def family_index(attack_type: str) -> int:
    """Place of an attack type's family in `FAMILIES`.

    Args:
        attack_type (`str`): such as "Paper mask".

    Returns:
        `int`: the index.
    """
    return FAMILIES.index(AttackType(attack_type).super_class)


def judgement_span(answer: str) -> tuple[int, int]:
    """Where an answer states its verdict.

    Args:
        answer (`str`): an answer of the grammar in `tasks_faceshield`.

    Returns:
        `tuple[int, int]`: first and one past the last character; (0, 0) if it states none. Of several sentences the
            last counts: a conclusion comes after what leads to it.
    """
    found = list(_JUDGEMENT.finditer(answer))
    if not found:
        return 0, 0
    # "The spoof area is ..." judges at its start; the grammar's other sentences stand first (fine) or last.
    chosen = found[0] if found[0].start() == 0 else found[-1]
    return chosen.span()


def judgement_mask(labels: torch.Tensor, tokenizer: Any) -> torch.Tensor:
    """Marks the tokens of the verdicts' sentences among the predicted tokens.

    Args:
        labels (`torch.LongTensor` of shape `(batch, tokens)`): token ids to predict, -100 elsewhere.
        tokenizer (`PreTrainedTokenizerBase`): what made them.

    Returns:
        `torch.BoolTensor` of shape `(batch, tokens)`: a token counts if it holds a character of the sentence.
    """
    mask = torch.zeros_like(labels, dtype=torch.bool)
    for row, ids in enumerate(labels.tolist()):
        for start, end in _runs(ids):
            first, last = _token_span(ids[start:end], tokenizer)
            mask[row, start + first : start + last] = True
    return mask


def _runs(ids: list[int]) -> list[tuple[int, int]]:
    """Stretches of predicted tokens: one an answer."""
    edges = [i for i in range(len(ids) + 1) if (i > 0 and ids[i - 1] != -100) != (i < len(ids) and ids[i] != -100)]
    return list(zip(edges[::2], edges[1::2], strict=True))


def _token_span(ids: list[int], tokenizer: Any) -> tuple[int, int]:
    """First and one past the last token that holds a character of the verdict's sentence."""

    def length(count: int) -> int:
        return len(tokenizer.decode(ids[:count], clean_up_tokenization_spaces=False))

    begin, end = judgement_span(tokenizer.decode(ids, clean_up_tokenization_spaces=False))
    if begin == end:
        return 0, 0
    counts = range(len(ids) + 1)
    return bisect_right(counts, begin, key=length) - 1, bisect_left(counts, end, key=length)
