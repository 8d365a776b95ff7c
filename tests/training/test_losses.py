"""Lopsided loss and equal risks by hand-computed values; judgement tokens found in every kind of answer."""

import pytest
import torch
from tiny import tiny_processor

from faceshield_hf.tasks_faceshield import QUESTIONS, AttackType, Box, ChainOfThought, Task, Verdict, format_answer
from faceshield_hf.training.losses import (
    FAMILIES,
    each_answer,
    family_index,
    judgement_mask,
    judgement_span,
    lopsided_loss,
    risk_variance,
    row_means,
)


LOSSES = torch.tensor([[0.0, 4.0, 2.0, 1.0, 3.0], [0.0, 1.0, 0.0, 5.0, 0.0], [0.0, 6.0, 2.0, 0.0, 0.0]])
ANSWER = torch.tensor([[0, 1, 1, 1, 1], [0, 1, 0, 1, 0], [0, 1, 1, 0, 0]], dtype=torch.bool)
JUDGEMENT = torch.tensor([[0, 1, 1, 0, 0], [0, 0, 0, 0, 0], [0, 1, 1, 0, 0]], dtype=torch.bool)


@pytest.mark.parametrize(
    ("alpha", "first"),
    [(0.7, 0.7 * 3 + 0.3 * 2), (0.5, 2.5), (0.0, 2.0), (1.0, 3.0)],
)
def test_the_lopsided_loss_weighs_the_means_of_both_parts(alpha, first):
    # Row 0: judgement (4 + 2) / 2 = 3, interpretation (1 + 3) / 2 = 2. Rows 1 and 2 have one part each.
    found = lopsided_loss(LOSSES, JUDGEMENT, ANSWER, alpha)
    torch.testing.assert_close(found, torch.tensor([first, 3.0, 4.0]))


def test_long_interpretations_do_not_outweigh_the_judgement():
    short = lopsided_loss(torch.tensor([[1.0, 2.0, 0.0, 0.0]]), JUDGEMENT[:1, 1:5] & False, ANSWER[:1, 1:5])
    assert short.item() == pytest.approx(0.75)
    one = torch.tensor([[True, False, False, False]])
    few = lopsided_loss(torch.tensor([[3.0, 1.0, 0.0, 0.0]]), one, torch.tensor([[True, True, False, False]]))
    many = lopsided_loss(torch.tensor([[3.0, 1.0, 1.0, 1.0]]), one, torch.ones(1, 4, dtype=torch.bool))
    assert few.item() == many.item() == pytest.approx(0.7 * 3 + 0.3 * 1)


def test_rows_are_parted_into_their_answers():
    answer = torch.tensor([[1, 1, 0, 1, 0], [0, 0, 0, 0, 0], [0, 1, 0, 0, 1]], dtype=torch.bool)
    rows, own = each_answer(answer)
    assert rows.tolist() == [0, 0, 2, 2]
    assert [mask.nonzero().flatten().tolist() for mask in own] == [[0, 1], [3], [1], [4]]


def test_a_row_without_tokens_costs_nothing():
    nothing = torch.zeros(1, 3, dtype=torch.bool)
    assert lopsided_loss(torch.ones(1, 3), nothing, nothing).item() == 0
    assert row_means(torch.ones(1, 3), nothing).item() == 0


def test_the_variance_of_risks_is_that_of_the_family_means():
    # Bona fide: (1 + 3) / 2 = 2; 2D: 5; 3D mask: 8. Mean 5, variance (9 + 0 + 9) / 3 = 6.
    families = [family_index(kind) for kind in ("Bonafide", "Bonafide", "Print", "Rigid mask")]
    rows = torch.tensor([1.0, 3.0, 5.0, 8.0], requires_grad=True)
    variance = risk_variance(rows, torch.tensor(families))
    assert variance.item() == pytest.approx(6.0)
    variance.backward()
    # d/dR_f = 2 (R_f - mean) / 3, shared by the family's rows.
    torch.testing.assert_close(rows.grad, torch.tensor([-1.0, -1.0, 0.0, 2.0]))


def test_one_family_alone_has_no_variance():
    assert risk_variance(torch.tensor([1.0, 9.0]), torch.tensor([1, 1])).item() == 0


def test_print_and_replay_are_one_family_and_masks_another():
    assert len(FAMILIES) == 5
    assert family_index("Print") == family_index("Replay") != family_index("Paper mask")


SPOOF = Verdict(
    label="spoof", attack_type=AttackType.PRINT, boxes=(Box(0.1, 0.1, 0.5, 0.5),), explanation="Halftone dots show."
)
REAL = Verdict(label="real", explanation="Skin has pores.")
ANSWERS = [
    (Task.COARSE, SPOOF, "The face in the image is a spoof."),
    (Task.COARSE, REAL, "The face in the image is real."),
    (Task.FINE, SPOOF, "The face in the image is a Print attack."),
    (Task.FINE, REAL, "The face in the image is real."),
    (Task.REASONING, SPOOF, "the face in the image is a spoof (Print)."),
    (Task.REASONING, REAL, "the face in the image is real."),
    (Task.LOCALIZATION, SPOOF, "The spoof area is"),
    (Task.LOCALIZATION, REAL, "There is no spoof area: the face in the image is real."),
    (Task.COT, SPOOF, "The face in the image is a spoof (Print)."),
    (Task.DESCRIBE, REAL, ""),
]


@pytest.mark.parametrize(
    "words",
    ["evenly lit, and its pores show", "a little dark", "real-looking", "an old photo of an attack", "turned aside"],
)
def test_what_is_said_of_the_face_before_the_verdict_is_no_judgement(words):
    verdict = Verdict(label="spoof", explanation=f"The face in the image is {words}.")
    start, end = judgement_span(format_answer(verdict, Task.REASONING))
    assert format_answer(verdict, Task.REASONING)[start:end] == "the face in the image is a spoof."
    assert judgement_span(f"The face in the image is {words}.") == (0, 0)


@pytest.mark.parametrize(("task", "verdict", "expected"), ANSWERS, ids=[f"{t}-{v.label}" for t, v, _ in ANSWERS])
def test_the_judgement_of_every_kind_of_answer_is_found_in_its_tokens(task, verdict, expected):
    answer = format_answer(verdict, task)
    start, end = judgement_span(answer)
    assert answer[start:end] == expected
    tokenizer = tiny_processor().tokenizer
    prompt = tokenizer.encode(QUESTIONS[task][0], add_special_tokens=False)
    ids = tokenizer.encode(answer + "<|end|>", add_special_tokens=False)
    labels = torch.tensor([[-100] * len(prompt) + ids + [-100, -100]])
    marked = judgement_mask(labels, tokenizer)
    text = tokenizer.decode(labels[marked])
    assert expected in text
    assert len(text) <= len(expected) + 12  # a token may reach over the sentence's edge


def test_every_answer_of_a_conversation_has_its_own_judgement():
    tokenizer = tiny_processor().tokenizer
    first = tokenizer.encode("The face in the image is real.", add_special_tokens=False)
    second = tokenizer.encode(
        "Dots show. We conclude that the face in the image is a spoof.", add_special_tokens=False
    )
    labels = torch.tensor([[*first, -100, -100, *second]])
    marked = judgement_mask(labels, tokenizer)[0]
    assert marked[: len(first)].all()
    assert not marked[len(first) : len(first) + 2].any()
    assert "image is a spoof." in tokenizer.decode(labels[0][marked])
    assert not marked[len(first) + 2]


def test_a_conclusion_inside_tags_is_the_judgement():
    answer = ChainOfThought(
        caption="A photo says the face in the image is real.",
        reasoning="Dots.",
        conclusion="The face in the image is a spoof.",
    ).format()
    start, end = judgement_span(answer)
    assert answer[start:end] == "The face in the image is a spoof."
