"""How much memory a process and its children hold, from Linux's `/proc`.

PSS counts a page that n processes share as 1/n of a page, so that the sum over a tree is what the tree really takes.
It knows nothing of what the processes do.

Example:
    >>> tree_megabytes(4_194_305)  # no process can have this number
    0.0
"""

import threading
from pathlib import Path


class Peak:
    """The most that a process tree held while this was open; a thread looks every so many seconds.

    Args:
        pid (`int`): the tree's root.
        every (`float`, *optional*, defaults to 0.1): seconds between two looks.

    Attributes:
        megabytes (`float`): the most seen so far.
    """

    def __init__(self, pid: int, every: float = 0.1) -> None:
        self.megabytes = 0.0
        self._pid, self._every = pid, every
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Peak":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(self._every):
            self.megabytes = max(self.megabytes, tree_megabytes(self._pid))


def tree_megabytes(pid: int) -> float:
    """PSS of a process and of all below it.

    Args:
        pid (`int`): the root of the tree.

    Returns:
        `float`: megabytes; 0 when there is no such process any more.
    """
    return sum(_megabytes(one) for one in tree(pid))


def tree(pid: int) -> list[int]:
    """A process and all below it, as far as they still run."""
    found = [pid]
    for one in found:  # grows while it is walked
        for children in Path(f"/proc/{one}/task").glob("*/children"):
            try:
                found += [int(child) for child in children.read_text().split()]
            except OSError:  # ended in the meantime
                continue
    return found


def _megabytes(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # ended in the meantime
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024 / 1e6
