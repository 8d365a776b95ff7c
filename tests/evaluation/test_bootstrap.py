"""Intervals under drawing subjects."""

import numpy as np
import pytest

from faceshield_hf.evaluation.bootstrap import subject_intervals


def test_subjects_are_drawn_whole():
    # both images of a subject are alike: with two subjects a draw's mean is 0, 1/2 or 1, never 1/4
    values = np.array([0.0, 0.0, 1.0, 1.0])
    seen = set()

    def mean(rows):
        seen.add(float(values[rows].mean()))
        return {"mean": values[rows].mean()}

    subject_intervals(["a", "a", "b", "b"], mean, resamples=100)
    assert seen == {0.0, 0.5, 1.0}


def test_intervals_have_the_width_of_the_binomial_law():
    values = np.random.default_rng(0).random(400) < 0.3
    interval = subject_intervals([str(i) for i in range(400)], lambda rows: {"share": values[rows].mean()})["share"]
    expected = 1.96 * np.sqrt(values.mean() * (1 - values.mean()) / 400)
    assert interval == pytest.approx([values.mean() - expected, values.mean() + expected], abs=0.012)


def test_the_same_seed_gives_the_same_interval():
    values = np.random.default_rng(1).random(30)
    statistics = lambda rows: {"mean": values[rows].mean()}  # noqa: E731
    subjects = [str(i // 3) for i in range(30)]
    first, again = (subject_intervals(subjects, statistics, 50, seed=4) for _ in range(2))
    assert first == again != subject_intervals(subjects, statistics, 50, seed=5)


def test_one_subject_has_no_interval():
    assert subject_intervals(["a", "a"], lambda rows: {"mean": 1.0}) == {}


def test_draws_without_a_class_are_left_out():
    def statistics(rows):
        if len(set(rows.tolist())) == 1:
            raise ValueError("one class")
        return {"both": 1.0, "never": np.nan}

    assert subject_intervals(["a", "b"], statistics, 100) == {"both": [1.0, 1.0]}
