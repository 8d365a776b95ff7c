"""Rewards by hand: what an answer earns for form, verdict, type, boxes, and words that agree with the verdict."""

import pytest

from faceshield_hf.tasks_faceshield import AttackType, Box, ChainOfThought, Task, Verdict, format_answer
from faceshield_hf.training.rewards import (
    agreement_reward,
    box_reward,
    format_reward,
    type_reward,
    verdict_reward,
)


pytest.importorskip("scipy", reason="matches boxes")


def said(*texts):
    return [[{"role": "assistant", "content": text}] for text in texts]


COT = format_answer(
    Verdict(label="spoof", attack_type=AttackType.PRINT, explanation="Halftone dots show an attack."), Task.COT
)


def test_form_asks_for_a_verdict_and_for_all_parts_in_order():
    parts = COT.splitlines()
    swapped = "\n".join([parts[1], parts[0], *parts[2:]])
    texts = [COT, swapped, "\n".join(parts[:-1]), "The face in the image is a spoof.", "I can't tell."]
    assert format_reward(completions=said(*texts), task=["cot"] * 3 + ["coarse"] * 2) == [1, 0, 0, 1, 0]


def test_a_chain_without_reasoning_has_no_form():
    empty = ChainOfThought(conclusion="The face in the image is real.").format()
    assert format_reward(completions=said(empty), task=["cot"]) == [0.0]


def test_the_right_verdict_earns_one_and_an_unreadable_one_nothing():
    texts = ["The face in the image is real.", "The face in the image is a spoof.", "Maybe."]
    assert verdict_reward(completions=said(*texts), task=["coarse"] * 3, label=["real"] * 3) == [1, 0, 0]


@pytest.mark.parametrize(
    ("answer", "truth", "earned"),
    [
        ("The face in the image is a Print attack.", "Print", 1.0),
        ("The face in the image is a Replay attack.", "Print", 0.5),
        ("The face in the image is a Tattoo attack.", "Print", 0.0),
        ("The face in the image is real.", "Bonafide", 1.0),
        ("The face in the image is real.", "Print", 0.0),
        ("Who knows?", "Print", 0.0),
    ],
)
def test_the_type_earns_one_and_its_family_half(answer, truth, earned):
    assert type_reward(completions=said(answer), task=["fine"], attack_type=[truth]) == [earned]


def box(*corners):
    return dict(zip(("x1", "y1", "x2", "y2"), corners, strict=True)) | {"region": "print"}


def test_boxes_earn_their_overlap_over_the_greater_number_of_boxes():
    half = format_answer(Verdict(label="spoof", boxes=(Box(0.0, 0.0, 0.5, 0.5),)), Task.LOCALIZATION)
    two = format_answer(
        Verdict(label="spoof", boxes=(Box(0, 0, 0.5, 0.5), Box(0.6, 0.6, 0.9, 0.9))), Task.LOCALIZATION
    )
    real = "There is no spoof area: the face in the image is real."
    truth = [[box(0, 0, 0.5, 0.5)], [box(0, 0, 0.5, 0.5)], [box(0, 0, 1.0, 0.5)], [], [box(0, 0, 1, 1)], []]
    label = ["real" if not boxes else "spoof" for boxes in truth]
    answers = said(half, two, half, real, real, half)
    found = box_reward(completions=answers, task=["localization"] * 6, label=label, boxes=truth)
    # the whole box; one of two right; half the area; rightly none; wrongly none; one on a live face
    assert found == pytest.approx([1.0, 0.5, 0.5, 1.0, 0.0, 0.0], abs=0.01)


def test_an_attack_without_a_recorded_place_earns_nothing_for_being_called_real():
    real = "There is no spoof area: the face in the image is real."
    unclear = "The spoof area is unclear."
    asked = {"task": ["localization"] * 2, "label": ["spoof"] * 2, "boxes": [[], []]}
    assert box_reward(completions=said(real, unclear), **asked) == [None, None]


def test_words_that_claim_the_opposite_of_the_verdict_earn_nothing():
    agree = format_answer(Verdict(label="spoof", explanation="Dots show a fake."), Task.REASONING)
    differ = format_answer(Verdict(label="spoof", explanation="This is a genuine face."), Task.REASONING)
    silent = format_answer(Verdict(label="spoof", explanation="Dots on the skin."), Task.REASONING)
    bare = "The face in the image is a spoof."
    assert agreement_reward(completions=said(agree, differ, silent, bare), task=["reasoning"] * 4) == [1, 0, 1, 0]


def test_rewards_that_a_task_can_not_earn_are_left_out():
    asked = {"completions": said("The face in the image is real."), "task": ["coarse"]}
    assert type_reward(**asked, attack_type=["Bonafide"]) == [None]
    assert box_reward(**asked, label=["real"], boxes=[[]]) == [None]
    assert agreement_reward(**asked) == [None]
