"""Building instruction data sets: from labelled images to parquet files with a card, by a YAML file.

`main` is what `faceshield build-dataset` and `recipes/build_dataset.py` run. The parts: `config` (the YAML), `inputs`
(images in slices), `shards` (one file's worth of work), `run` (locks, resuming, many processes), `statistics`,
`card`, `report`. Needs the extra `faceshield-hf[train]`.

Example:
    >>> from faceshield_hf.data.build import main
    >>> main(["--config", "no.yaml"])
    2
"""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


_USAGE = """usage: build-dataset --config FILE.yaml [--KEY VALUE ...]

Build an instruction data set. Every key of the YAML can be given as an argument too, and arguments win; keys inside
another are written with a dot: --out outputs/mine --inputs images/A images/B --assistant.model my/model
A stopped build goes on where it was when the same command is run again.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Build a data set from the command line.

    Args:
        argv (`Sequence[str]`, *optional*): arguments; those of the process if not given.

    Returns:
        `int`: 0 when the data set is complete; 2 for wrong input or an assistant that can't go on, after one line on
            standard error; 3 when it is complete but for items that a server did not answer, which the same command
            asks for again; 130 when stopped with Ctrl-C.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or "--help" in arguments or "-h" in arguments:
        sys.stdout.write(_USAGE)
        return 0 if arguments else 2
    try:
        values = read_arguments(arguments)
        from faceshield_hf.data.build.config import read_config
        from faceshield_hf.data.build.run import build_dataset

        config = read_config(values)
        counts = build_dataset(config)
    except ImportError as error:
        return _say(f"{error.name} is not installed: pip install 'faceshield-hf[train]'", 2)
    except (ValueError, OSError) as error:
        return _say(str(error), 2)
    except KeyboardInterrupt:
        return _say("stopped; what is finished is kept, and the same command goes on", 130)
    if os.environ.get("RANK", "0") != "0":
        return 3 if counts["unanswered"] else 0  # the main process of a launch tells
    skipped = sum(sum(part.values()) for part in counts["skipped"].values())
    _say(
        f"{config.out}: {counts['records']:,} records of {counts['images_used']:,} images, {skipped:,} items left out "
        "(skipped.jsonl says why)",
        0,
    )
    if counts["unanswered"]:
        return _say(f"{counts['unanswered']:,} of them had no answer: run the same command again to ask for them", 3)
    return 0


def read_arguments(arguments: Sequence[str]) -> dict[str, Any]:
    """Read the YAML named by `--config` and the keys given as arguments, which win.

    Args:
        arguments (`Sequence[str]`): `--key value ...`; several values make a list.

    Returns:
        `dict`: key -> value.

    Raises:
        ValueError: for an unreadable file or an argument without a key or value.
    """
    import yaml

    values: dict[str, Any] = {}
    given: dict[str, list[str]] = {}
    key = ""
    for argument in arguments:
        if argument.startswith("--"):
            key, equals, value = argument[2:].partition("=")
            given[key] = [value] if equals else []
        elif not key:
            raise ValueError(f"got {argument!r}, expected --key value")
        else:
            given[key].append(argument)
    empty = [key for key, words in given.items() if not words]
    if empty:
        raise ValueError(f"--{empty[0]} has no value")
    try:
        if "config" in given:
            path = Path(" ".join(given.pop("config")))
            values = yaml.safe_load(path.read_text(encoding="utf-8"))
            if not isinstance(values, Mapping):
                raise ValueError(f"{path} holds {values!r}, expected keys and values")
            values = dict(values)
        for key, words in given.items():
            read = [yaml.safe_load(word) for word in words]
            _set(values, key, read[0] if len(read) == 1 else read)
    except OSError as error:
        raise ValueError(f"the configuration can't be read: {error}") from error
    except yaml.YAMLError as error:
        raise ValueError(f"the configuration is no YAML: {' '.join(str(error).split())}") from error
    return values


def _set(values: dict[str, Any], key: str, value: Any) -> None:
    *outer, last = key.split(".")
    for name in outer:
        inner = values.get(name)
        values[name] = dict(inner) if isinstance(inner, Mapping) else {}
        values = values[name]
    values[last] = value


def _say(message: str, code: int) -> int:
    sys.stderr.write(message + "\n")
    return code
