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
from pathlib import Path

from faceshield_hf.whole_files import write_json


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
        write_json(self._path(digest), {"text": text, "cost": cost}, several_writers=True)

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
