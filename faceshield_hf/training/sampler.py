"""Rows of like length in one step, and the steps in random order.

A step's rows are padded to its longest, and its processes wait for the slowest: rows of like length waste neither.
Transformers' own sampler for this goes through each pool of rows from the longest to the shortest, so that with tasks
of different lengths dozens of steps on end hold one task alone; here the steps are shuffled again. It knows lengths
only.

Example:
    >>> from faceshield_hf.training.sampler import GroupedByLength
    >>> sampler = GroupedByLength([9, 1, 8, 2], rows_a_step=2, seed=0)
    >>> sorted(sorted(step) for step in sampler.steps())
    [[0, 2], [1, 3]]
"""

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler


_STEPS_A_POOL = 50


class GroupedByLength(Sampler[int]):
    """A sampler whose every `rows_a_step` indices in a row are of like length.

    Args:
        lengths (`Sequence[int]`): of the rows, in any unit.
        rows_a_step (`int`): rows of all processes and accumulated batches in one step of the optimizer.
        seed (`int`): with the epoch, all that decides the order: every process draws the same, and a resumed run too.
    """

    def __init__(self, lengths: Sequence[int], rows_a_step: int, seed: int) -> None:
        self.lengths = np.asarray(lengths)
        self.rows_a_step = rows_a_step
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order is drawn next."""
        self.epoch = epoch

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        """The rows of all steps, one after the other."""
        return (row for step in self.steps() for row in step)

    def steps(self) -> list[list[int]]:
        """Draw an epoch's steps.

        Returns:
            `list[list[int]]`: every row once; a step with fewer rows than the others comes last.
        """
        rng = np.random.default_rng([self.seed, self.epoch])
        order = rng.permutation(len(self.lengths))
        pool = _STEPS_A_POOL * self.rows_a_step
        steps: list[list[int]] = []
        for start in range(0, len(order), pool):
            rows = order[start : start + pool]
            rows = rows[np.argsort(self.lengths[rows], kind="stable")]
            steps += [rows[i : i + self.rows_a_step].tolist() for i in range(0, len(rows), self.rows_a_step)]
        whole = [step for step in steps if len(step) == self.rows_a_step]
        shuffled = [whole[i] for i in rng.permutation(len(whole))]
        return shuffled + [step for step in steps if len(step) < self.rows_a_step]
