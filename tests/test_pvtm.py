"""Prompt-guided token masking and the token budget on hand-made tensors."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from faceshield_hf.pvtm_faceshield import (
    PromptGuidedTokenMasking,
    importance,
    masked_mean,
    question_mask,
    question_similarity,
    rank_tokens,
    round_half_up,
    rows_of_images,
    select_tokens,
)


IMG, END = 9, 7  # `<image>` and the end of a turn in the rows below


def asked(*rows):
    ids = torch.tensor(rows)
    return question_mask(ids == IMG, ids == END).int().tolist()


def masking(keep_ratio=0.25, mask_prob=1.0, num_streams=1, hidden_size=3):
    module = PromptGuidedTokenMasking(hidden_size, keep_ratio, mask_prob, num_streams)
    torch.nn.init.constant_(module.mask_embedding, 5.0)
    return module


def masked_places(module, scores):
    tokens = torch.zeros(*scores.shape, 3)
    return (module(tokens, scores)[..., 0] == 5).int().tolist()


def test_the_question_stands_between_the_last_image_and_the_next_end_of_turn():
    assert asked([1, IMG, IMG, 3, 4, END, 5, END]) == [[0, 0, 0, 1, 1, 0, 0, 0]]


def test_left_padding_and_shorter_rows_do_not_move_the_question():
    assert asked([0, 0, IMG, 3, END, 5], [IMG, 3, 4, END, 5, 6]) == [[0, 0, 0, 1, 0, 0], [0, 1, 1, 0, 0, 0]]


def test_text_before_and_between_images_is_not_the_question():
    assert asked([2, END, IMG, 3, IMG, 4, END, 5]) == [[0, 0, 0, 0, 0, 1, 0, 0]]


def test_a_row_without_an_end_of_turn_has_no_question_because_an_answer_may_follow():
    assert asked([IMG, 3, 4, 5]) == [[0, 0, 0, 0]]


def test_a_row_without_an_image_has_no_question():
    assert asked([1, 3, END, 4]) == [[0, 0, 0, 0]]


def test_images_belong_to_the_row_of_their_placeholders():
    is_image = torch.tensor([[1, 1, 0, 0, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 0]]).bool()
    assert rows_of_images(is_image, num_images=3, tokens_per_image=2).tolist() == [0, 2, 2]


def test_similarity_is_the_cosine_in_float32():
    tokens = torch.tensor([[[3.0, 4.0], [0.0, 2.0], [-1.0, 0.0]]], dtype=torch.bfloat16)
    scores = question_similarity(tokens, torch.tensor([[1.0, 0.0]], dtype=torch.bfloat16))
    assert scores.dtype == torch.float32
    torch.testing.assert_close(scores, torch.tensor([[0.6, 0.0, -1.0]]))


def test_similarity_gives_no_gradient():
    tokens = torch.randn(1, 3, 2, requires_grad=True)
    assert not question_similarity(tokens, torch.randn(1, 2, requires_grad=True)).requires_grad


def test_importance_is_the_softmax_over_all_tokens_or_within_each_view():
    scores = torch.log(torch.tensor([[1.0, 3.0, 2.0, 2.0]]))
    torch.testing.assert_close(importance(scores), torch.tensor([[0.125, 0.375, 0.25, 0.25]]))
    torch.testing.assert_close(importance(scores, num_streams=2), torch.tensor([[0.25, 0.75, 0.5, 0.5]]))


def test_equal_scores_rank_by_position():
    assert rank_tokens(torch.tensor([0.5, 0.9, 0.5, 0.9, 0.1])).tolist() == [2, 0, 3, 1, 4]


@pytest.mark.parametrize(
    ("value", "count"), [(145.8, 146), (1.5, 2), (2.5, 3), (0.4, 0), (0.0, 0), (0.29 * 50, 15), (0.15 * 10, 2)]
)
def test_shares_are_rounded_half_up(value, count):
    assert round_half_up(value) == count


def test_the_most_important_quarter_is_never_masked():
    assert masked_places(masking(), torch.tensor([[0.1, 0.4, 0.2, 0.3]])) == [[1, 0, 1, 1]]


def test_per_stream_keeps_a_share_of_each_view():
    scores = torch.tensor([[0.1, 0.2, 0.8, 0.9]])
    assert masked_places(masking(keep_ratio=0.5), scores) == [[1, 1, 0, 0]]
    assert masked_places(masking(keep_ratio=0.5, num_streams=2), scores) == [[1, 0, 1, 0]]


def test_the_papers_numbers_keep_146_of_1458_and_mask_five_percent_of_the_rest():
    module = masking(keep_ratio=0.1, mask_prob=0.05)
    kept, masked = [], []
    for _ in range(40):
        scores = torch.rand(4, 1458)
        places = torch.tensor(masked_places(module, scores)).bool()
        top = rank_tokens(scores) < 146
        kept.append(places[top].sum())
        masked.append(places[~top].float().mean())
    assert torch.stack(kept).sum() == 0
    assert torch.stack(masked).mean() == pytest.approx(0.05, abs=0.004)  # 4 standard errors of 209,920 draws


def test_tokens_are_masked_independently_not_in_a_fixed_number():
    module, scores = masking(keep_ratio=0.0, mask_prob=0.5), torch.zeros(64, 10)
    counts = {sum(row) for row in masked_places(module, scores)}
    assert len(counts) > 3


def test_a_seed_makes_masking_repeatable():
    module, scores = masking(mask_prob=0.5), torch.rand(2, 40)
    torch.manual_seed(3)
    first = masked_places(module, scores)
    torch.manual_seed(3)
    assert masked_places(module, scores) == first
    assert masked_places(module, scores) != first


def test_eval_mode_gives_the_input_back():
    tokens = torch.randn(1, 4, 3)
    assert masking().eval()(tokens, torch.rand(1, 4)) is tokens


def test_probability_zero_has_no_parameter_and_masks_nothing():
    module, tokens = PromptGuidedTokenMasking(3, 0.1, 0.0), torch.randn(1, 4, 3)
    assert list(module.parameters()) == []
    assert module(tokens, torch.rand(1, 4)) is tokens


def test_the_gradient_reaches_the_mask_embedding_and_the_kept_tokens_only():
    module, tokens = masking(), torch.randn(1, 4, 3, requires_grad=True)
    module(tokens, torch.tensor([[0.1, 0.4, 0.2, 0.3]])).sum().backward()
    assert module.mask_embedding.grad.tolist() == [3.0, 3.0, 3.0]
    assert tokens.grad[0, :, 0].tolist() == [0.0, 1.0, 0.0, 0.0]


def test_the_length_and_type_stay():
    tokens = torch.randn(2, 8, 3, dtype=torch.bfloat16)
    out = masking(mask_prob=0.5)(tokens, torch.rand(2, 8))
    assert (out.shape, out.dtype) == (tokens.shape, tokens.dtype)


def test_the_budget_keeps_the_most_important_tokens_in_their_order():
    tokens = torch.arange(10.0).view(2, 5, 1)
    scores = torch.tensor([[0.1, 0.9, 0.2, 0.8, 0.8], [0.5, 0.4, 0.3, 0.2, 0.1]])
    assert select_tokens(tokens, scores, budget=3).squeeze(-1).tolist() == [[1, 3, 4], [5, 6, 7]]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12), st.data())
def test_the_budget_and_the_ranks_agree(values, data):
    scores = torch.tensor([values], dtype=torch.float32)
    budget = data.draw(st.integers(1, len(values)))
    places = torch.arange(len(values)).view(1, -1, 1)
    selected = select_tokens(places, scores, budget).flatten().tolist()
    assert selected == [i for i, rank in enumerate(rank_tokens(scores)[0].tolist()) if rank < budget]


def test_a_budget_of_all_tokens_changes_nothing():
    tokens, scores = torch.randn(2, 6, 3), torch.rand(2, 6)
    assert torch.equal(select_tokens(tokens, scores, budget=6), tokens)


def test_a_budget_above_the_number_of_tokens_is_refused_with_both_numbers():
    with pytest.raises(ValueError, match="vision_token_budget is 7, but an image has only 6 tokens"):
        select_tokens(torch.zeros(1, 6, 3), torch.zeros(1, 6), budget=7)


def test_the_mean_counts_marked_rows_only_and_is_zero_without_any():
    values = torch.tensor([[[1.0], [3.0], [50.0]], [[1.0], [2.0], [3.0]]])
    mask = torch.tensor([[True, True, False], [False, False, False]])
    assert masked_mean(values, mask).tolist() == [[2.0], [0.0]]
