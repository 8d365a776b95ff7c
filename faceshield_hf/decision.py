"""From a score and a model's answers to one verdict: the package's name for `decision_faceshield`.

The code travels with checkpoints (the pipeline in a Hub repository decides by it), so it stands there.

Example:
    >>> decide(0.8, threshold=0.5)
    'spoof'
"""

from faceshield_hf.decision_faceshield import (
    MAX_NEW_TOKENS,
    TASKS,
    checked_tasks,
    checked_threshold,
    compose,
    decide,
)


__all__ = ["MAX_NEW_TOKENS", "TASKS", "checked_tasks", "checked_threshold", "compose", "decide"]
