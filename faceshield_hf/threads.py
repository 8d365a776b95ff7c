"""How many processor threads a small model should use: one.

torch splits every product among all cores. A small model's products take microseconds each, so that the threads wait
for one another most of the time, and where another process wants a core, that waiting costs several times the work.
One thread is faster then, and leaves the other cores to other images. It knows nothing of images.

Example:
    >>> import torch
    >>> with one_thread(True):
    ...     torch.get_num_threads()
    1
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


SMALL_MODEL = 50_000_000
"""Parameters below which a model runs on one thread."""


@contextmanager
def one_thread(applies: bool) -> Iterator[None]:
    """Let torch use one processor thread for what the calling thread does.

    Args:
        applies (`bool`): whether to do anything at all.
    """
    # torch keeps the number for each calling thread apart, so that threads that detect at once don't meet here.
    before = torch.get_num_threads()
    if not applies or before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
