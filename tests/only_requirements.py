"""Runs a Space as if nothing were installed but what its requirements name, and what that needs in turn.

    python only_requirements.py FOLDER [arguments of its app.py]

All else that is installed can neither be imported nor be found by its metadata; the modules of the folder itself are
taken from there. Gradio is what the front matter of its README names, as on the Hub.
"""

import re
import runpy
import sys
from importlib import metadata
from importlib.machinery import BuiltinImporter, FrozenImporter, PathFinder
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


sys.path.append(str(Path(__file__).parents[1] / "scripts"))

from audit import needed


sys.path.pop()


def allowed_by(lines):
    """Names of the distributions that requirements bring, whatever their versions."""
    wanted = [Requirement(line) for line in lines]
    names = {canonicalize_name(each.name) for each in wanted}
    return names.union(*(needed(each.name, each.extras) for each in wanted))


class Only:
    """A finder that finds the folder's own modules there, and elsewhere what is allowed."""

    def __init__(self, finder, folder, allowed):
        self.finder, self.folder, self.allowed = finder, folder, allowed
        self.own = {path.stem for path in folder.iterdir()}
        self.owners = metadata.packages_distributions()

    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in self.own:
            return PathFinder.find_spec(name, path or [str(self.folder)], target)
        if top in self.owners and not self.allowed & {canonicalize_name(owner) for owner in self.owners[top]}:
            return None
        return self.finder.find_spec(name, path, target)

    def find_distributions(self, *context):
        found = self.finder.find_distributions(*context) if self.finder is PathFinder else ()
        return (each for each in found if canonicalize_name(each.name) in self.allowed)


def main(folder, *arguments):
    text = (folder / "README.md").read_text(encoding="utf-8")
    lines = (folder / "requirements.txt").read_text(encoding="utf-8").splitlines()
    lines = [line for line in lines if line and not line.startswith("#")]
    lines.append("gradio==" + re.search(r"^sdk_version: *(\S+)", text, re.MULTILINE)[1])
    allowed = allowed_by(lines)
    wrapped = [Only(each, folder, allowed) for each in sys.meta_path if each not in (BuiltinImporter, FrozenImporter)]
    sys.meta_path[:] = [BuiltinImporter, FrozenImporter, *wrapped]
    for name in [name for name in sys.modules if name.partition(".")[0] in ("packaging", "faceshield_hf")]:
        del sys.modules[name]  # imported before the finder was there
    sys.argv = ["app.py", *arguments]
    sys.path[0] = str(folder)
    runpy.run_path(str(folder / "app.py"), run_name="__main__")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), *sys.argv[2:])
