"""What the code never does: unpickle, run a shell, or run text as code. Read from the syntax, file by file."""

import ast
from pathlib import Path

import pytest


ROOT = Path(__file__).parents[1]
FOLDERS = ("faceshield_hf", "space", "recipes", "scripts")
FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
# Modules that read Python objects from files, which runs whatever the file says.
UNPICKLING = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
# The one file that reads pickles: by a reader of its own, which answers every name that a file asks for itself.
READER = ROOT / "faceshield_hf" / "data" / "sources" / "safe_pickle.py"
SHELLS = {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput", "commands.getoutput"}
YAML_UNSAFE = {"yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load"}


def dotted(node):
    """`a.b.c` of an expression; empty for any other."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (before := dotted(node.value)):
        return f"{before}.{node.attr}"
    return ""


def names_in(tree):
    """What imported names stand for: `from os import system as s` gives `s -> os.system`."""
    known = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            known |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom) and node.module:
            known |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return known


def is_true(node):
    return isinstance(node, ast.Constant) and node.value is True


def faults(source):
    """Line and reason of everything in a file that must not be there."""
    tree = ast.parse(source)
    known = names_in(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            for module in modules:
                if module.split(".")[0] in UNPICKLING:
                    yield node.lineno, f"imports {module}"
        if not isinstance(node, ast.Call):
            continue
        first, dot, rest = dotted(node.func).partition(".")
        name = known.get(first, first) + dot + rest
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        if name in ("eval", "exec", "compile", "__import__") or name in SHELLS | YAML_UNSAFE:
            yield node.lineno, f"calls {name}"
        if "shell" in given and not (isinstance(given["shell"], ast.Constant) and given["shell"].value is False):
            yield node.lineno, f"{name}: shell="
        if name in ("torch.load", "torch.serialization.load") and not is_true(given.get("weights_only")):
            yield node.lineno, "torch.load without weights_only=True"
        if name in ("numpy.load", "np.load") and "allow_pickle" in given:
            yield node.lineno, "numpy.load with allow_pickle"
        if name.endswith(".read_pickle") or name.endswith(".from_pickle"):
            yield node.lineno, f"calls {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_pickle_no_shell_no_code_from_text(path):
    found = [reason for _, reason in faults(path.read_text(encoding="utf-8"))]
    assert found == (["imports pickle"] if path == READER else [])


def test_the_one_reader_of_pickles_decides_itself_what_a_file_may_name():
    tree = ast.parse(READER.read_text(encoding="utf-8"))
    used = {dotted(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    wanted = {"pickle._Unpickler", "pickle.BUILD", "pickle.UnpicklingError"}
    assert {name for name in used if name.startswith("pickle.")} == wanted
    readers = [n for n in ast.walk(tree) if isinstance(n, ast.ClassDef) and "_PythonUnpickler" in map(dotted, n.bases)]
    assert [
        any(part.name == "find_class" for part in r.body if isinstance(part, ast.FunctionDef)) for r in readers
    ] == [True]


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "import torch\ntorch.load('x')",
        "import torch\ntorch.load('x', weights_only=False)",
        "from torch import load as read\nread('x')",
        "import yaml\nyaml.load(text)",
        "from yaml import load\nload(text)",
        "import os\nos.system('ls')",
        "from os import system as s\ns('ls')",
        "import subprocess\nsubprocess.run('ls', shell=True)",
        "import subprocess\nsubprocess.run('ls', shell=wanted)",
        "eval('1')",
        "def f():\n    exec('1')",
        "import numpy as np\nnp.load('x', allow_pickle=True)",
        "import pandas\npandas.read_pickle('x')",
    ],
)
def test_the_check_itself_sees_what_it_is_for(source):
    assert list(faults(source))


@pytest.mark.parametrize(
    "source",
    [
        "import torch\ntorch.load('x', weights_only=True)",
        "import yaml\nyaml.safe_load(text)",
        "import subprocess\nsubprocess.run(['ls'])",
        "model.eval()",
        "import re\nre.compile('x')",
        "import torch\ntorch.compile(model)",
    ],
)
def test_what_only_looks_alike_is_let_through(source):
    assert list(faults(source)) == []
