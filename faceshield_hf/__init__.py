"""faceshield_hf: explainable face anti-spoofing with a multimodal language model.

Importing this package registers its classes with transformers' Auto classes. The names below are imported when they
are first used, so that importing the package costs little.

Example:
    >>> from faceshield_hf import FaceShield
    >>> verdict = FaceShield.from_pretrained().detect("face.jpg")  # doctest: +SKIP
"""

import importlib
from typing import TYPE_CHECKING, Any

from .registration import register
from .version import __version__


if TYPE_CHECKING:
    from .attack_types_faceshield import AttackType
    from .configuration_faceshield import FaceShieldConfig
    from .detector import FaceShield
    from .image_processing_faceshield import FaceShieldImageProcessor
    from .modeling_faceshield import FaceShieldForConditionalGeneration, FaceShieldModel
    from .processing_faceshield import FaceShieldProcessor
    from .tasks_faceshield import QUESTIONS, ChainOfThought, format_answer, parse_answer
    from .verdict_faceshield import Box, Task, Verdict

_MODULES = {
    "attack_types_faceshield": ["AttackType"],
    "configuration_faceshield": ["FaceShieldConfig"],
    "detector": ["FaceShield"],
    "image_processing_faceshield": ["FaceShieldImageProcessor"],
    "modeling_faceshield": ["FaceShieldForConditionalGeneration", "FaceShieldModel"],
    "processing_faceshield": ["FaceShieldProcessor"],
    "tasks_faceshield": ["QUESTIONS", "ChainOfThought", "format_answer", "parse_answer"],
    "verdict_faceshield": ["Box", "Task", "Verdict"],
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "QUESTIONS",
    "AttackType",
    "Box",
    "ChainOfThought",
    "FaceShield",
    "FaceShieldConfig",
    "FaceShieldForConditionalGeneration",
    "FaceShieldImageProcessor",
    "FaceShieldModel",
    "FaceShieldProcessor",
    "Task",
    "Verdict",
    "__version__",
    "format_answer",
    "parse_answer",
    "register",
]

register()


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = vars(importlib.import_module(f".{_MODULE_OF[name]}", __name__))[name]
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
