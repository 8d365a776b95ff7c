"""Makes transformers' Auto classes know FaceShield, without importing torch before anyone needs it.

Registering needs the classes, hence torch and seconds. So each class is registered when transformers' own Auto module
for it has been imported (which imports torch anyway), or at once if it is already there. The user sees no difference:
by the time that `AutoModel` is in hand, it knows FaceShield.

Example:
    >>> import faceshield_hf
    >>> from transformers import AutoConfig
    >>> AutoConfig.for_model("faceshield").model_type
    'faceshield'
"""

import importlib
import importlib.abc
import importlib.machinery
import sys
import threading
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
    finder = _AfterImport()
    sys.meta_path.insert(0, finder)
    for auto in PAIRS:
        if auto in sys.modules:
            finder.finished(auto)


class _AfterImport(importlib.abc.MetaPathFinder):
    """Notices when modules of transformers and of this package have been imported, which Python does as ever."""

    def __init__(self) -> None:
        self.ready: set[str] = set()
        self.registered: set[str] = set()
        self.importing = threading.local()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Finds a module as usual and wraps its loader so that its beginning and its end are seen."""
        if fullname.partition(".")[0] not in ("transformers", __package__):
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            self.importing.depth = self._depth() + 1
            try:
                execute(module)
            finally:
                self.importing.depth -= 1
            self.finished(fullname)

        vars(spec.loader)["exec_module"] = exec_module  # of this one loader: its class loads other modules too
        return spec

    def finished(self, name: str) -> None:
        """Registers what can be registered now that a module is complete."""
        self.ready.add(name)
        if self._depth() > 0:
            return  # some modules are half-way through their imports, and an import now would meet them so
        for auto, own in PAIRS.items():
            if auto not in self.ready or auto in self.registered:
                continue
            if own in self.ready:
                self.registered.add(auto)
                _register(auto)
            elif own not in sys.modules:
                importlib.import_module(own)  # whose own end comes by here

    def _depth(self) -> int:
        """How many modules of both packages this thread is in the middle of importing."""
        return vars(self.importing).get("depth", 0)


def _register(auto: str) -> None:
    """Registers our class with one Auto module, importing no other."""
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
