"""A GPU for as long as a run takes: ZeroGPU's decorator where it is installed, nothing elsewhere.

ZeroGPU lends a GPU for the duration of a decorated call. Off ZeroGPU the decorator of the package `spaces` does
nothing, and without that package the function is used as it is. This module must be imported before torch and gradio.

Example:
    >>> @gpu
    ... def answer(question):
    ...     return "42"
    >>> answer("?")
    '42'
"""

import os
from collections.abc import Callable
from typing import ParamSpec, TypeVar


try:
    import spaces
except ImportError:
    spaces = None

# Seconds of a shared GPU that a visitor must have left to start: small, since short quotas refuse long requests. A run
# that takes longer than that is ended by force.
GPU_SECONDS = 15

Params = ParamSpec("Params")
Result = TypeVar("Result")


def on_zero_gpu() -> bool:
    """Say whether GPUs are lent here, as `spaces` itself finds out."""
    return os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


def gpu(function: Callable[Params, Result]) -> Callable[Params, Result]:
    """Run a function, or a generator function, on a GPU of ZeroGPU where there is one.

    Args:
        function (`Callable`): its arguments and results travel between processes there, so that they must be plain
            values: names, pictures, verdicts; never a model.

    Returns:
        `Callable`: the same to its callers.
    """
    return function if spaces is None else spaces.GPU(duration=GPU_SECONDS)(function)
