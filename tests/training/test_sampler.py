"""Rows of like length share a step, in an order that only seed and epoch decide."""

import itertools

import numpy as np
import pytest

from faceshield_hf.training.sampler import GroupedByLength


LENGTHS = np.random.default_rng(0).permutation(np.r_[np.full(405, 40), np.full(405, 400)])


@pytest.mark.parametrize("rows", [0, 1, 7, 810])
def test_every_row_comes_once_in_every_epoch(rows):
    sampler = GroupedByLength(LENGTHS[:rows], rows_a_step=16, seed=0)
    for epoch in range(2):
        sampler.set_epoch(epoch)
        assert sorted(sampler) == list(range(rows)) == list(range(len(sampler)))


def test_steps_waste_little_padding_and_tasks_of_other_lengths_take_turns():
    steps = GroupedByLength(LENGTHS, rows_a_step=16, seed=0).steps()
    assert [len(step) for step in steps] == [16] * 50 + [10]
    padded = sum(LENGTHS[step].max() * len(step) for step in steps)
    assert padded < 1.05 * LENGTHS.sum()  # in random order it is 1.8 times
    longest = [int(LENGTHS[step].max()) for step in steps]
    changes = sum(a != b for a, b in itertools.pairwise(longest))
    assert changes > 12  # sorted, it would be one


def test_the_order_depends_on_seed_and_epoch_alone():
    def order(seed, epoch):
        np.random.default_rng().random()
        sampler = GroupedByLength(LENGTHS, rows_a_step=8, seed=seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert order(3, 1) == order(3, 1)
    assert order(3, 1) != order(3, 2)
    assert order(3, 1) != order(4, 1)
