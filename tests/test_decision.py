"""From score and answers to a verdict: the score decides, the answers explain, contradictions stay visible."""

import pytest

from faceshield_hf.decision import compose, decide
from faceshield_hf.tasks_faceshield import REAL_ANSWER, SPOOF_ANSWER, AttackType, Box


FINE_PRINT = "The face in the image is a Print attack. Halftone dots cover the skin."
FINE_REAL = "The face in the image is real. Pores are visible."
REASONING_SPOOF = (
    "The light is flat. Analyzing these attributes, we can conclude that the face in the image is a spoof (Replay)."
)
REASONING_REAL = "Depth is natural. Analyzing these attributes, we can conclude that the face in the image is real."
WHERE = "The spoof area is [100, 200, 300, 400], [500, 600, 700, 800]."
NOWHERE = "There is no spoof area: the face in the image is real."


@pytest.mark.parametrize(
    ("score", "threshold", "margin", "label"),
    [
        (0.49, 0.5, 0.0, "real"),
        (0.5, 0.5, 0.0, "spoof"),
        (0.0, 0.0, 0.0, "spoof"),
        (1.0, 1.0, 0.0, "spoof"),
        (0.41, 0.5, 0.1, "unsure"),
        (0.59, 0.5, 0.1, "unsure"),
        (0.625, 0.5, 0.125, "spoof"),
        (0.375, 0.5, 0.125, "real"),
    ],
)
def test_the_label_follows_from_score_threshold_and_margin(score, threshold, margin, label):
    assert decide(score, threshold, margin) == label


@pytest.mark.parametrize(
    ("score", "threshold", "margin"),
    [(float("nan"), 0.5, 0), (1.1, 0.5, 0), (-0.1, 0.5, 0), (0.5, float("nan"), 0), (0.5, 2, 0), (0.5, 0.5, -1)],
)
def test_a_broken_number_is_refused_rather_than_taken_for_real(score, threshold, margin):
    with pytest.raises(ValueError, match="expected a number from 0 to 1"):
        decide(score, threshold, margin)


def test_agreeing_answers_fill_every_field():
    verdict = compose(0.9, {"fine": FINE_PRINT, "localization": WHERE, "coarse": SPOOF_ANSWER}, 0.5)
    assert (verdict.label, verdict.score, verdict.threshold) == ("spoof", 0.9, 0.5)
    assert verdict.attack_type is AttackType.PRINT
    assert verdict.explanation == "Halftone dots cover the skin."
    assert verdict.boxes == (Box.from_grid(100, 200, 300, 400, "Print"), Box.from_grid(500, 600, 700, 800, "Print"))
    assert verdict.answers == {"fine": FINE_PRINT, "localization": WHERE, "coarse": SPOOF_ANSWER}


def test_a_real_face_has_no_attack_and_no_box_whatever_the_answers_say():
    answers = {"fine": FINE_PRINT, "reasoning": REASONING_SPOOF, "localization": WHERE}
    verdict = compose(0.1, answers, 0.5)
    assert (verdict.label, verdict.attack_type, verdict.boxes) == ("real", AttackType.BONAFIDE, ())
    assert verdict.explanation == "", "words that argue for a spoof do not explain a real face"
    assert verdict.answers == answers


def test_a_spoof_called_real_by_the_fine_answer_takes_its_type_from_the_reasoning():
    verdict = compose(0.9, {"fine": FINE_REAL, "reasoning": REASONING_SPOOF}, 0.5)
    assert verdict.attack_type is AttackType.REPLAY
    assert verdict.explanation == "The light is flat."


def test_a_spoof_that_every_answer_calls_real_has_no_type_and_no_explanation():
    answers = {"fine": FINE_REAL, "reasoning": REASONING_REAL, "localization": NOWHERE, "coarse": REAL_ANSWER}
    verdict = compose(0.9, answers, 0.5)
    assert (verdict.label, verdict.attack_type, verdict.boxes, verdict.explanation) == ("spoof", None, (), "")


def test_the_fine_answer_goes_before_the_reasoning_for_the_type_and_after_it_for_the_words():
    verdict = compose(0.9, {"reasoning": REASONING_SPOOF, "fine": FINE_PRINT}, 0.5)
    assert verdict.attack_type is AttackType.PRINT
    assert verdict.explanation == "The light is flat."


def test_an_explanation_that_contradicts_the_label_gives_way_to_one_that_does_not():
    verdict = compose(0.9, {"reasoning": REASONING_REAL, "fine": FINE_PRINT}, 0.5)
    assert verdict.explanation == "Halftone dots cover the skin."


def test_an_unsure_verdict_shows_what_is_suspected():
    verdict = compose(0.52, {"fine": FINE_PRINT, "reasoning": REASONING_REAL, "localization": WHERE}, 0.5, margin=0.1)
    assert (verdict.label, verdict.attack_type, len(verdict.boxes)) == ("unsure", AttackType.PRINT, 2)
    assert verdict.explanation == "Depth is natural."


def test_boxes_of_an_unnamed_attack_have_no_label():
    assert compose(0.9, {"localization": WHERE}, 0.5).boxes[0].label is None


def test_the_score_alone_is_a_verdict():
    verdict = compose(0.2, {}, 0.5)
    assert (verdict.label, verdict.attack_type, verdict.explanation, verdict.answers) == (
        "real",
        AttackType.BONAFIDE,
        "",
        {},
    )


@pytest.mark.parametrize("text", ["", "lorem ipsum", "[[[[", "The face in the image is"])
def test_gibberish_explains_nothing_and_fails_nowhere(text):
    answers = dict.fromkeys(("coarse", "fine", "reasoning", "localization", "cot"), text)
    verdict = compose(0.9, answers, 0.5)
    assert (verdict.label, verdict.attack_type, verdict.boxes) == ("spoof", None, ())


def test_the_answers_given_are_not_shared_with_the_verdict():
    answers = {"fine": FINE_PRINT}
    compose(0.9, answers, 0.5).answers["fine"] = "changed"
    assert answers == {"fine": FINE_PRINT}
