"""Temperature, unsure band, calibration error and the language prior on cases worked by hand."""

import numpy as np
import pytest

from faceshield_hf.evaluation import calibration


ATTACK = np.array([True, True, True, False, False, False])


def test_the_temperature_undoes_a_known_sharpening():
    rng = np.random.default_rng(0)
    true_odds = rng.normal(0, 2, 20_000)
    attack = rng.random(20_000) < calibration.from_log_odds(true_odds)
    assert calibration.fit_temperature(attack, calibration.from_log_odds(3 * true_odds)) == pytest.approx(3, rel=0.05)


def test_a_temperature_without_a_maximum_is_told_and_one_class_is_refused():
    with pytest.warns(UserWarning, match=r"stopped at 0\.05"):
        assert calibration.fit_temperature(ATTACK, np.where(ATTACK, 0.9, 0.1)) == pytest.approx(0.05, rel=0.01)
    with pytest.raises(ValueError, match="3 attacks and 0 bona fide images; a temperature needs both"):
        calibration.fit_temperature(ATTACK[:3], np.array([0.9, 0.8, 0.7]))


def test_calibration_error_of_a_hand_worked_case():
    # one bin at 0.9 with 2 of 4 attacks, one at 0.1 with none of 4
    scores = np.array([0.9] * 4 + [0.1] * 4)
    attack = np.array([True, True] + [False] * 6)
    assert calibration.expected_calibration_error(attack, scores) == pytest.approx(0.5 * 0.4 + 0.5 * 0.1)
    bins = calibration.reliability(attack, scores)
    assert [(row["count"], row["attacks"]) for row in bins] == [(4, 0.0), (4, 0.5)]


def test_a_score_of_one_falls_into_the_last_bin():
    assert calibration.reliability(np.array([True]), np.array([1.0]))[0]["high"] == 1


def test_the_band_grows_until_the_decided_are_right():
    scores = np.array([0.9, 0.8, 0.45, 0.55, 0.2, 0.1])  # the two nearest to 0.5 are wrong
    margin = calibration.fit_margin(ATTACK, scores, 0.5, max_unsure=0.5)
    assert 0.05 < margin < 0.3
    band = calibration.unsure_band(ATTACK, scores, 0.5, margin)
    assert band["unsure"] == pytest.approx(1 / 3)
    assert band["error"] == pytest.approx(1 / 3)
    assert band["error_decided"] == 0


def test_the_band_stops_at_its_limit_and_is_not_needed_where_nothing_is_wrong():
    scores = np.array([0.9, 0.8, 0.45, 0.55, 0.2, 0.1])
    assert calibration.fit_margin(ATTACK, scores, 0.5, max_unsure=0.1) == 0
    assert calibration.fit_margin(ATTACK, ATTACK.astype(float), 0.5) == 0


def test_equal_distances_are_never_parted_by_the_band():
    scores = np.array([0.75, 0.75, 0.25, 0.75, 0.25, 0.25])  # a right and a wrong one at every distance
    margin = calibration.fit_margin(ATTACK, scores, 0.5, max_unsure=1.0)
    unsure = np.abs(scores - 0.5) < margin
    assert unsure.all() or not unsure.any()


def test_the_prior_is_taken_out_by_dividing_by_the_blank_answer():
    # p = (0.6, 0.4), blank (0.8, 0.2): 0.6/0.8 against 0.4/0.2 is 0.75 : 2
    corrected = calibration.remove_prior(np.array([0.4]), 0.2)
    assert corrected[0] == pytest.approx(2 / 2.75)
    assert calibration.remove_prior(np.array([0.3]), 0.5)[0] == pytest.approx(0.3)


def test_a_prior_moves_decisions_at_one_half_but_not_those_at_a_fitted_threshold():
    scores = np.array([0.4, 0.45, 0.3, 0.1, 0.05, 0.2])
    told = calibration.prior_ablation(ATTACK, scores, 0.25, (ATTACK, scores))
    assert told["plain"]["hter_at_half"] == 0.5  # every attack missed
    assert told["corrected"]["hter_at_half"] == 0
    assert told["plain"]["hter_dev"] == told["corrected"]["hter_dev"] == 0
