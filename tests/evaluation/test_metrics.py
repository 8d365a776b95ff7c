"""Metrics against hand-computed values and scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from faceshield_hf.evaluation import metrics


ATTACK = np.array([True, True, True, True, False, False])


def test_error_rates_of_a_hand_worked_case():
    rates = metrics.error_rates(ATTACK, [True, True, True, False, True, False])
    assert rates["apcer_pooled"] == 0.25
    assert rates["bpcer"] == 0.5
    assert rates["hter"] == 0.375
    assert rates["acc"] == pytest.approx(4 / 6)
    assert rates["parse_rate"] == 1


def test_an_unreadable_answer_is_an_error_for_either_class():
    rates = metrics.error_rates(ATTACK, [None, True, True, True, None, False])
    assert rates["apcer_pooled"] == 0.25
    assert rates["bpcer"] == 0.5
    assert rates["parse_rate"] == pytest.approx(4 / 6)


def test_one_class_alone_has_no_error_rates():
    with pytest.raises(ValueError, match="got 2 attacks and 0 bona fide"):
        metrics.error_rates(np.array([True, True]), [True, True])


def test_apcer_is_counted_per_species_and_leaves_bona_fide_out():
    species = ["Print", "Print", "Replay", "Replay", "Bonafide", "Bonafide"]
    found = metrics.apcer_per_species(species, ATTACK, [True, False, None, False, True, True])
    assert found == {"Print": 0.5, "Replay": 1.0}


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=60))
def test_auc_equals_scikit_learns_with_ties(pairs):
    truth = np.array([a for a, _ in pairs])
    scores = np.array([s / 5 for _, s in pairs])
    if truth.all() or not truth.any():
        return
    assert metrics.auc(truth, scores) == pytest.approx(roc_auc_score(truth, scores))


def test_the_equal_error_threshold_separates_separable_scores():
    threshold, error = metrics.eer_threshold(ATTACK, np.array([0.9, 0.8, 0.7, 0.6, 0.3, 0.2]))
    assert error == 0
    assert 0.3 < threshold <= 0.6


def test_the_equal_error_threshold_of_a_hand_worked_case_is_not_that_of_the_least_error():
    attack = np.array([True] * 4 + [False] * 4)
    scores = np.array([0.9, 0.6, 0.6, 0.1, 0.6, 0.3, 0.2, 0.2])
    # at 0.45 one attack of four is missed and one bona fide refused; at 0.15 and at 0.75 the errors lie far apart
    threshold, error = metrics.eer_threshold(attack, scores)
    assert (threshold, error) == (pytest.approx(0.45), 0.25)
    lopsided = np.array([0.9, 0.8, 0.4, 0.4, 0.5, 0.5, 0.5, 0.1])
    # the least mean error, 1/4, is at 0.65: two attacks missed; the errors meet where three bona fide are refused
    threshold, error = metrics.eer_threshold(attack, lopsided)
    assert threshold == pytest.approx(0.45)
    assert error == (0.5 + 0.75) / 2


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=2, max_size=40))
def test_the_equal_error_is_that_of_its_threshold(pairs):
    truth = np.array([a for a, _ in pairs])
    scores = np.array([s for _, s in pairs])
    if truth.all() or not truth.any():
        return
    threshold, error = metrics.eer_threshold(truth, scores)
    assert metrics.error_rates(truth, (scores >= threshold).tolist())["hter"] == pytest.approx(error)


def test_acer_takes_the_worst_species_and_the_pooled_rate_apart():
    species = ["Print", "Print", "Replay", "Replay", "Bonafide", "Bonafide"]
    rates = metrics.iso_rates(species, ATTACK, [True, True, False, False, True, False])
    assert rates["apcer"] == {"Print": 0.0, "Replay": 1.0}
    assert rates["apcer_max"] == 1
    assert rates["acer_max"] == 0.75
    assert rates["acer_pooled"] == rates["hter"] == 0.5


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 30)), min_size=2, max_size=80))
def test_the_operating_points_are_those_of_scikit_learns_curve(pairs):
    attack = np.array([a for a, _ in pairs])
    scores = np.array([s / 30 for _, s in pairs])
    if attack.all() or not attack.any():
        return
    # bona fide is the positive class: its score is one minus p(spoof)
    fpr, tpr, _ = roc_curve(~attack, 1 - scores, drop_intermediate=False)
    for level in metrics.APCER_LEVELS:
        best = tpr[fpr <= level].max()
        assert metrics.tpr_at_fpr(attack, scores, level) == pytest.approx(best)
        assert metrics.bpcer_at_apcer(attack, scores, level) == pytest.approx(1 - best)


def test_bpcer_at_apcer_of_a_hand_worked_case():
    attack = np.array([True] * 10 + [False] * 4)
    scores = np.array([0.05, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.9, 0.9, 0.9, 0.01, 0.1, 0.2, 0.55])
    # no attack missed: the threshold lies under 0.05, three live faces are accused; one of ten missed: one is
    assert metrics.bpcer_at_apcer(attack, scores, 0.01) == 0.75
    assert metrics.bpcer_at_apcer(attack, scores, 0.10) == 0.25


def test_the_oracle_hter_is_that_of_the_images_own_best_threshold():
    attack = np.array([True, True, False, False])
    told = metrics.score_metrics(attack, np.array([0.2, 0.3, 0.0, 0.1]))
    assert told["hter_oracle"] == told["eer"] == 0  # while the threshold 0.5 would miss every attack
    assert set(told["bpcer_at_apcer"]) == {"1", "5", "10"}


def test_a_score_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="1 scores that are NaN"):
        metrics.auc(np.array([True, False]), np.array([np.nan, 0.1]))


def test_the_confusion_has_a_column_for_what_could_not_be_read():
    table = metrics.confusion(["a", "a", "b"], ["b", None, "b"], ["a", "b"])
    assert table == [[0, 1, 1], [0, 1, 0]]
