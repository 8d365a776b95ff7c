"""Write docs/api.md from the docstrings of what users import.

    python scripts/build_api_docs.py [--check]

The list of names is `faceshield_hf.__all__` and the public functions of the modules in `MODULES`; the words are their
docstrings, so that there is one place to mend them. With `--check` nothing is written: the exit code is 1 when the
page differs from what the code says.
"""

import argparse
import importlib
import inspect
import re
import sys
from enum import Enum
from pathlib import Path
from typing import Any


ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "api.md"
# Beside the package itself, whose names are those of `__all__`.
MODULES = {
    "faceshield_hf.visualize": "Pictures of a verdict",
    "faceshield_hf.quality": "Advice on a photo",
    "faceshield_hf.memory": "Memory",
    "faceshield_hf.hub": "The Hub",
    "faceshield_hf.serving": "Serving",
}
INTRODUCTION = """# API reference

Made from the docstrings by `python scripts/build_api_docs.py`: mend them there.

Everything below `faceshield_hf` is imported from the package itself: `from faceshield_hf import FaceShield`.
"""


def main() -> None:
    """Write the page, or say whether it is up to date."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 when the page is out of date")
    options = parser.parse_args()
    page = build()
    if options.check:
        found = PAGE.read_text(encoding="utf-8") if PAGE.is_file() else ""
        sys.exit(0 if found == page else f"{PAGE} is out of date: python scripts/build_api_docs.py")
    PAGE.write_text(page, encoding="utf-8")
    print(f"{PAGE}: {page.count(chr(10))} lines")


def build() -> str:
    """The whole page, in Markdown."""
    parts = [INTRODUCTION]
    package = importlib.import_module("faceshield_hf")
    parts.append(_section("faceshield_hf", "The package", sorted(package.__all__, key=str.lower)))
    for name, title in MODULES.items():
        parts.append(_section(name, title, _public_names(importlib.import_module(name))))
    return "\n".join(parts).rstrip() + "\n"


def _public_names(module: Any) -> list[str]:
    names = vars(module).get("__all__")
    if names:
        return sorted(names, key=str.lower)
    own = [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and callable(value) and value.__module__ == module.__name__
    ]
    return sorted(own, key=str.lower)


def _section(module_name: str, title: str, names: list[str]) -> str:
    module = importlib.import_module(module_name)
    parts = [f"## {title}: `{module_name}`", ""]
    for name in names:
        value = inspect.getattr_static(module, name, None) or module.__getattr__(name)
        if inspect.isclass(value):
            parts.append(_class(name, value))
        elif callable(value):
            parts.append(_function("###", name, value))
    return "\n".join(parts)


def _class(name: str, value: type) -> str:
    if issubclass(value, Enum):
        members = ", ".join(f"`{member.value}`" for member in value)
        return f"### `{name}`\n\n{_prose(value)}\n\nValues: {members}.\n"
    parts = [f"### `{name}`", "", _prose(value), ""]
    for attribute, member in vars(value).items():
        plain = member.__func__ if isinstance(member, classmethod | staticmethod) else member
        # What a class inherits from transformers is documented there; a dataclass writes its own `__init__`.
        if not attribute.startswith("_") and inspect.isfunction(plain) and plain.__doc__:
            parts.append(_function("####", f"{name}.{attribute}", plain))
    return "\n".join(parts)


def _function(level: str, name: str, value: Any) -> str:
    signature = str(inspect.signature(value)).replace("self, ", "").replace("(self)", "()").replace("cls, ", "")
    # Addresses and full module names differ from run to run and help nobody.
    signature = re.sub(r"<([\w.]+)[^<>]*>", r"\1", signature.replace("faceshield_hf.", "").replace("typing.", ""))
    short = re.sub(r"\b(?:\w+_faceshield|hub\.commit|serving\.limits|pathlib(?:\._local)?)\.", "", signature)
    return f"{level} `{name}`\n\n```text\n{name}{short}\n```\n\n{_prose(value)}\n"


def _prose(value: Any) -> str:
    """A docstring with its Google sections as Markdown lists."""
    text = inspect.cleandoc(value.__doc__ or "")
    lines: list[str] = []
    section = None
    for line in text.splitlines():
        heading = re.fullmatch(r"(Args|Attributes|Returns|Yields|Raises|Example):", line)
        if heading:
            section = heading[1]
            lines += ["", f"**{'Arguments' if section == 'Args' else section}**", ""]
            if section == "Example":
                lines.append("```python")
        elif section == "Example":
            lines.append(line[4:])
        elif section and line.startswith("    ") and not line.startswith("     "):
            lines.append(f"- {line.strip()}")
        elif section and line.strip():
            lines.append(f"  {line.strip()}")
        else:
            lines.append(line)
    if section == "Example":
        lines.append("```")
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


if __name__ == "__main__":
    main()
