"""The checkpoints that this server offers, loaded once and kept.

A page and a GPU worker name a checkpoint by a string; here is the model behind it. On a server that others can reach,
visitors choose among the checkpoints that its owner named: loading whatever a stranger types would let anyone fill the
disk and ask which folders exist.

Example:
    >>> models = Models(FaceShield.from_pretrained())
    >>> models.get(models.default).score("photo.jpg")
    0.97
"""

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from faceshield_hf.detector import FaceShield

EMBEDDED = "faceshield-tiny"
"""What the embedded checkpoint is called on the page."""
# Chosen checkpoints kept in memory beside the server's own; the one unused for longest goes first.
MAX_CHOSEN = 1


class Models:
    """Detectors by name.

    Args:
        detector (`FaceShield`): the server's own, loaded when it starts.
        checkpoint (`str`, *optional*): what it was loaded from; `None` is the embedded one.
        others (`Sequence[str]`, *optional*): Hub ids or folders that visitors may choose too.
        any_checkpoint (`bool`, *optional*, defaults to `False`): whether visitors may name any other.
        load (`Callable`, *optional*): from a Hub id or folder (`None`: the embedded one) to a detector;
            `FaceShield.from_pretrained` unless given.
    """

    def __init__(
        self,
        detector: "FaceShield",
        checkpoint: str | None = None,
        others: Sequence[str] = (),
        any_checkpoint: bool = False,
        load: Callable[[str | None], "FaceShield"] | None = None,
    ) -> None:
        self.default = checkpoint or EMBEDDED
        self.names = list(dict.fromkeys([self.default, *others]))
        self.any_checkpoint = any_checkpoint
        self._own = detector
        self._load = load or _from_pretrained
        self._chosen: dict[str, FaceShield] = {}
        self._lock = threading.Lock()

    def get(self, name: str | None) -> "FaceShield":
        """Give the detector of that name, loading it when it is not here.

        Args:
            name (`str`, *optional*): one of `names`, or any Hub id or folder where that is allowed; the server's own
                when `None`.

        Returns:
            `FaceShield`: ready.

        Raises:
            LookupError: when this server does not offer it.
            ValueError: when it does not load.
        """
        name = (name or self.default).strip()
        if name == self.default:
            return self._own
        if name not in self.names and not self.any_checkpoint:
            raise LookupError(name)
        with self._lock:  # two visitors who choose the same wait for one download
            detector = self._chosen.pop(name, None) or self._load(self.path(name))
            self._chosen[name] = detector  # the last used stands last
            while len(self._chosen) > MAX_CHOSEN:
                del self._chosen[next(iter(self._chosen))]
        return detector

    def path(self, name: str | None) -> str | None:
        """Say what `FaceShield.from_pretrained` takes for that name: `None` for the embedded checkpoint."""
        return None if name in (None, "", EMBEDDED) else name


def _from_pretrained(path: str | None) -> "FaceShield":
    from faceshield_hf.detector import FaceShield

    return FaceShield.from_pretrained(path)
