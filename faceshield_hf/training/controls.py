"""Controls that the FaceShield paper lacks: does prompt-guided masking need the prompt at all?

- `random`: which tokens are kept is drawn at random, without looking at any text; as many are masked on average.
- `shuffled`: tokens are ranked by the question of another row of the batch.

Both leave the model's weights, shapes and configuration alone, and work in training only. For ablations.

Example:
    >>> from faceshield_hf.training.controls import CONTROLS
    >>> sorted(CONTROLS)
    ['random', 'shuffled']
"""

from typing import Any

import torch


def control_masking(model: Any, kind: str) -> None:
    """Put a control in the place of prompt-guided masking.

    Args:
        model (`FaceShieldForConditionalGeneration`): changed in place, for this process only.
        kind (`str`): "random" or "shuffled".

    Raises:
        ValueError: for another kind, or a model that does not mask.
    """
    if kind not in CONTROLS:
        raise ValueError(f"masking_control is {kind!r}: expected one of {', '.join(sorted(CONTROLS))}")
    if model.config.pvtm_mask_prob == 0:
        raise ValueError("masking_control needs a model that masks: set pvtm_mask_prob above 0, or leave it out")
    CONTROLS[kind](model.model)


def _random_ranks(inner: Any) -> None:
    def draw(module: Any, inputs: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        tokens, scores = inputs
        return tokens, torch.rand_like(scores)

    inner.pvtm.register_forward_pre_hook(draw)


def _shuffled_questions(inner: Any) -> None:
    of_own_row = inner._similarity_to_question

    def of_another_row(tokens: torch.Tensor, rows: torch.Tensor, *rest: Any) -> torch.Tensor:
        return of_own_row(tokens, rows.roll(1), *rest)

    inner._similarity_to_question = of_another_row


CONTROLS = {"random": _random_ranks, "shuffled": _shuffled_questions}
