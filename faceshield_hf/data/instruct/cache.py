"""Answers already paid for, on disk by the hash of what was asked, and the record of what they cost.

One small JSON file an answer, written whole or not at all, so that any number of processes share a folder and a
killed one loses nothing. What is asked decides the name; a changed prompt, image or model asks anew.

Example:
    >>> import tempfile
    >>> from faceshield_hf.data.instruct.cache import AnswerCache
    >>> cache = AnswerCache(tempfile.mkdtemp())
    >>> cache.put("ab12", "A face.", cost=0.5)
    >>> cache.get("ab12"), cache.costs()
    ('A face.', (0.5, 0.5))
"""

import json
import os
import tempfile
from pathlib import Path


class AnswerCache:
    """A folder of answers.

    Args:
        folder (`str` or `Path`): made when the first answer is stored.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)

    def get(self, digest: str) -> str | None:
        """The stored answer, or `None`; a file that can't be read counts as not there."""
        try:
            return str(json.loads(self._path(digest).read_text(encoding="utf-8"))["text"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def put(self, digest: str, text: str, cost: float = 0.0) -> None:
        """Store an answer and what it cost."""
        write_whole(self._path(digest), json.dumps({"text": text, "cost": cost}).encode())

    def costs(self) -> tuple[float, float]:
        """What all stored answers cost together, and what the dearest did."""
        total, dearest = 0.0, 0.0
        for path in self.folder.glob("??/*.json"):
            try:
                cost = float(json.loads(path.read_text(encoding="utf-8"))["cost"])
            except (OSError, ValueError, KeyError, TypeError):
                continue
            total, dearest = total + cost, max(dearest, cost)
        return total, dearest

    def _path(self, digest: str) -> Path:
        return self.folder / digest[:2] / f"{digest}.json"


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that appears only when it is whole; a failed write leaves nothing behind.

    Args:
        path (`Path`): the file; its folder is made.
        content (`bytes`): what goes in.

    Raises:
        OSError: when it can't be written, such as on a full disk.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(content)
        os.chmod(partial, 0o644)  # mkstemp makes files that only their owner can read
        os.replace(partial, path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise
