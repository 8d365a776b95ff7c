"""Processors of another kind with every setting of the model's own.

Training needs processors that differ in one thing: features instead of pictures, both views in one tensor. They must
agree with the model's in all others, whatever settings there will be.

Example:
    >>> from faceshield_hf.training.processors import as_kind
    >>> stacked = as_kind(StackedViewsProcessor, processor)  # doctest: +SKIP
"""

from typing import TypeVar

from faceshield_hf.processing_faceshield import FaceShieldProcessor


Kind = TypeVar("Kind", bound=FaceShieldProcessor)


def as_kind(kind: type[Kind], processor: FaceShieldProcessor) -> Kind:
    """A processor of another class with the same settings and the same parts.

    Args:
        kind (`type`): a subclass of `FaceShieldProcessor` without arguments of its own.
        processor (`FaceShieldProcessor`): whose image processor, tokenizers and settings it shares.

    Returns:
        `FaceShieldProcessor`: of class `kind`; setting one of its attributes leaves `processor` as it is.
    """
    made = kind.__new__(kind)
    vars(made).update(vars(processor))
    return made
