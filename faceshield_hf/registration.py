"""Makes transformers' Auto classes know FaceShield, without importing torch before anyone needs it.

Registering needs the classes, hence torch and seconds. So each class is registered when transformers' own Auto module
for it is imported (which imports torch anyway), or at once if it is already there. The user sees no difference: by
the time that `AutoModel` is in hand, it knows FaceShield.

Example:
    >>> import faceshield_hf
    >>> from transformers import AutoConfig
    >>> AutoConfig.for_model("faceshield").model_type
    'faceshield'
"""

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType


AUTO = "transformers.models.auto"
# Which of transformers' modules must be there, and which of ours gives the class.
PAIRS = {
    f"{AUTO}.configuration_auto": f"{__package__}.configuration_faceshield",
    f"{AUTO}.modeling_auto": f"{__package__}.modeling_faceshield",
    f"{AUTO}.image_processing_auto": f"{__package__}.image_processing_faceshield",
    f"{AUTO}.processing_auto": f"{__package__}.processing_faceshield",
}


def register() -> None:
    """Registers with every Auto module that is imported, and with each other one as soon as it is.

    Calling it again changes nothing.
    """
    if any(isinstance(finder, _AfterImport) for finder in sys.meta_path):
        return
    waiting = {name for name in (*PAIRS, *PAIRS.values()) if name not in sys.modules}
    finder = _AfterImport(waiting)
    sys.meta_path.insert(0, finder)
    for auto in PAIRS:
        if auto not in waiting:
            finder.finished(auto)


class _AfterImport(importlib.abc.MetaPathFinder):
    """Notices when one of some modules has been imported; the import itself is left to the usual finders."""

    def __init__(self, waiting: set[str]) -> None:
        self.waiting = waiting
        self.ready: set[str] = set()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Wraps the loader of an awaited module so that its end is seen."""
        if fullname not in self.waiting:
            return None
        self.waiting.discard(fullname)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                self.finished(fullname)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec

    def finished(self, name: str) -> None:
        """Registers a class once both its own module and transformers' are complete."""
        self.ready.add(name)
        for auto, own in PAIRS.items():
            if name not in (auto, own):
                continue
            if {auto, own} <= self.ready:
                _register(auto)
            elif name == auto and own in self.waiting:
                # If it is neither awaited nor ready it is being imported right now and will come here by itself.
                importlib.import_module(own)


def _register(auto: str) -> None:
    """Registers our class with one Auto module; no other may be imported here, some are half-way through theirs."""
    module, own = sys.modules[auto], sys.modules[PAIRS[auto]]
    config = importlib.import_module(PAIRS[f"{AUTO}.configuration_auto"]).FaceShieldConfig
    if auto.endswith(".configuration_auto"):
        module.AutoConfig.register(config.model_type, config, exist_ok=True)
    elif auto.endswith(".modeling_auto"):
        for auto_class in (module.AutoModel, module.AutoModelForImageTextToText, module.AutoModelForMultimodalLM):
            auto_class.register(config, own.FaceShieldForConditionalGeneration, exist_ok=True)
    elif auto.endswith(".image_processing_auto"):
        image_processors = {"pil": own.FaceShieldImageProcessor}
        module.AutoImageProcessor.register(config, image_processor_classes=image_processors, exist_ok=True)
    else:
        module.AutoProcessor.register(config, own.FaceShieldProcessor, exist_ok=True)
