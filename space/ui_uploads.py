"""Uploaded photos are deleted as soon as nobody's page shows them, and all of them in time.

Gradio writes an upload into a folder named by its content, so that two visitors with the same photo share one file:
it goes when the last of them has replaced it or left. What a program uploads is on no page, and an upload that broke
off is in nobody's list, Gradio's included: whatever is older than a time is swept out of the folder.

Example:
    >>> uploads = Uploads(Path("/tmp/cache"))
    >>> uploads.show("visitor", "photo", ["/tmp/cache/1f/photo.jpg"])
    >>> uploads.leave("visitor")
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path


class Uploads:
    """Which files each visitor's page shows.

    Args:
        folder (`Path`): Gradio's cache; nothing outside it is ever deleted.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._kept: set[Path] = set()
        self._shown: dict[tuple[str, str], set[Path]] = {}
        self._changes: dict[tuple[str, str], int] = {}
        self._lock = threading.Lock()

    def keep(self, files: Iterable[str]) -> None:
        """Never delete these: the page itself is made of them."""
        self._kept |= {Path(file).resolve() for file in files}

    def show(self, visitor: str, place: str, files: Iterable[str]) -> None:
        """Take note of what a visitor's page shows now in a place; what it showed there before goes.

        Args:
            visitor (`str`): the page's session.
            place (`str`): the component.
            files (`Iterable[str]`): may be empty.
        """
        with self._lock:
            self._changes[visitor, place] = self._changes.get((visitor, place), 0) + 1
            before = self._shown.pop((visitor, place), set())
            if now := {Path(file).resolve() for file in files}:
                self._shown[visitor, place] = now
            self._delete(before - now)

    def watch(self, visitor: str, place: str, file: str | None) -> Callable[[], bool]:
        """Start to watch a file that is being worked on.

        Args:
            visitor (`str`): the page's session.
            place (`str`): the component.
            file (`str`, *optional*): what it showed when the work began; news of it may still be on its way.

        Returns:
            `Callable[[], bool]`: tells whether the page shows something else by now, or is left.
        """
        key = visitor, place
        changes = self._changes.get(key, 0)
        path = None if file is None else Path(file).resolve()
        return lambda: self._changes.get(key, 0) != changes and path not in self._shown.get(key, ())

    def leave(self, visitor: str) -> None:
        """Forget a visitor, and delete what only this one's page showed."""
        with self._lock:
            places = [place for place in self._changes if place[0] == visitor]
            for place in places:
                del self._changes[place]
            self._delete(set().union(*(self._shown.pop(place, ()) for place in places)))

    def sweep_every(self, seconds: float) -> None:
        """From now on, every so many seconds, delete what is older than as many; ends with the program."""

        def sweeping() -> None:
            while True:
                time.sleep(seconds)
                self.sweep(seconds)

        threading.Thread(target=sweeping, name="faceshield-sweep", daemon=True).start()

    def sweep(self, seconds: float) -> None:
        """Delete every file of the cache that was written more than so many seconds ago, whoever shows it."""
        before = time.time() - seconds
        with self._lock:
            for file in [path for path in self.folder.rglob("*") if path.is_file() and path not in self._kept]:
                with contextlib.suppress(FileNotFoundError):  # gone in the meantime
                    if file.stat().st_mtime < before:
                        _remove(file)

    def _delete(self, files: set[Path]) -> None:
        for file in files - self._kept.union(*self._shown.values()):
            if file.is_relative_to(self.folder):
                _remove(file)


def _remove(file: Path) -> None:
    """Delete a file, and its folder when nothing else lies in it."""
    file.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        file.parent.rmdir()
