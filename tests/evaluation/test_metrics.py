"""Metrics against hand-computed values and scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from faceshield_hf.evaluation import metrics
from faceshield_hf.tasks_faceshield import Box


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


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=2, max_size=40))
def test_the_equal_error_is_that_of_its_threshold(pairs):
    truth = np.array([a for a, _ in pairs])
    scores = np.array([s for _, s in pairs])
    if truth.all() or not truth.any():
        return
    threshold, error = metrics.eer_threshold(truth, scores)
    assert metrics.error_rates(truth, (scores >= threshold).tolist())["hter"] == pytest.approx(error)


def test_boxes_are_matched_one_to_one():
    left, right = Box(0, 0, 0.4, 1), Box(0.6, 0, 1, 1)
    assert metrics.matched_ious([left, left], [left, right]) == [1.0, 0.0]
    assert metrics.matched_ious([right, left], [left, right]) == [1.0, 1.0]
    assert metrics.matched_ious([], [left]) == [0.0]


def test_box_accuracy_counts_true_boxes():
    box, half = Box(0, 0, 1, 1), Box(0, 0, 1, 0.45)
    assert metrics.box_accuracy([([box], [box]), ([half], [box]), ([], [box])]) == pytest.approx(1 / 3)
    assert metrics.box_accuracy([([half], [box])], threshold=0.4) == 1


def test_the_constant_answer_of_a_class_is_its_median_box():
    boxes = [[Box(0, 0, 0.5, 0.5)], [Box(0.2, 0.2, 0.9, 0.9), Box(0, 0, 0.1, 0.1)], [Box(0.1, 0.1, 0.7, 0.7)]]
    (median,) = metrics.class_median_boxes({"Print": boxes})["Print"]
    assert (median.x1, median.y1, median.x2, median.y2) == pytest.approx((0.1, 0.1, 0.7, 0.7))
