"""Files that appear whole or not at all: written beside their place, then moved into it.

A reader never sees half a file, a failed write leaves what was there before, and after `kill -9` at most a hidden
`.part` file stays, which the next write replaces. It knows files only.

Example:
    >>> import tempfile
    >>> from faceshield_hf.whole_files import write_whole
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = write_whole(f"{folder}/made/words.txt", "all of it")
    ...     file.read_text()
    'all of it'
"""

import contextlib
import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def whole_file(path: str | Path, several_writers: bool = False) -> Iterator[Path]:
    """Write a file whole or not at all, also when Ctrl-C comes in the middle.

    Args:
        path (`str` or `Path`): replaced when it exists; its folder is made.
        several_writers (`bool`, *optional*, defaults to `False`): whether others may write the same file at this
            moment. Each then has a `.part` file of its own, the last one wins, and what a killed one leaves stays.

    Yields:
        `Path`: where to write; it takes the file's place afterwards, and nothing is left of it otherwise.

    Raises:
        OSError: when it can't be written, such as on a full disk.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part" if several_writers else f".{path.name}.part")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_whole(path: str | Path, content: str | bytes, several_writers: bool = False) -> Path:
    """Write text (UTF-8, lines end in a single line feed) or bytes whole or not at all.

    Args:
        path (`str` or `Path`): as in `whole_file`.
        content (`str` or `bytes`): what goes in.
        several_writers (`bool`, *optional*, defaults to `False`): as in `whole_file`.

    Returns:
        `Path`: the file.

    Raises:
        OSError: when it can't be written, such as on a full disk.
    """
    with whole_file(path, several_writers) as part:
        part.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    return Path(path)


def write_json(path: str | Path, content: Any, several_writers: bool = False, **options: Any) -> Path:
    """Write JSON whole or not at all.

    Args:
        path (`str` or `Path`): as in `whole_file`.
        content (`Any`): what goes in; NaN and infinity are refused, since other programs can't read them.
        several_writers (`bool`, *optional*, defaults to `False`): as in `whole_file`.
        options: as `json.dumps` takes them, such as `sort_keys=True`; lines are indented by two unless they say other.

    Returns:
        `Path`: the file.

    Raises:
        ValueError: for NaN or infinity.
        OSError: when it can't be written, such as on a full disk.
    """
    text = json.dumps(content, **({"indent": 2, "allow_nan": False} | options)) + "\n"
    return write_whole(path, text, several_writers)
