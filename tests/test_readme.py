"""Every snippet of the README runs: a new user's first hour must not fail on a typo."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from PIL import Image

from faceshield_hf.checkpoints import load_checkpoint


ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
SHELL = [
    line
    for block in re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    for line in block.replace("\\\n", " ").splitlines()
    if line.strip()
]
RECIPES = [line for line in SHELL if re.match(r"(python|accelerate launch.*) .*\.py", line)]
# Options that name a folder: what a command writes, and what it needs from a command before it.
WRITTEN = ("--out", "--output_dir")
NEEDED = ("--inputs", "--data", "--model_name_or_path", "--model")
# The captioner and the filter of the first stage's data come from the Hub: here the template writes, unfiltered.
OFFLINE = {"pre10k.yaml": ["--assistant", "{kind: template}", "--filters.clip", "null"]}


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A working folder with what the snippets name: a photo, faces, and parts to compose."""
    from skimage.data import astronaut
    from test_parts import text_part, vision_part
    from transformers import SiglipImageProcessorPil

    desk = tmp_path_factory.mktemp("desk")
    photo = Image.fromarray(astronaut())
    photo.save(desk / "photo.jpg")
    for folder in ("photos", "path/to/faces", "path/to/other/faces"):
        (desk / folder).mkdir(parents=True)
        photo.save(desk / folder / "face.jpg")
    vision_part("siglip").save_pretrained(desk / "path/or/id/of/siglip")
    SiglipImageProcessorPil(size={"height": 28, "width": 28}).save_pretrained(desk / "path/or/id/of/siglip")
    for part in text_part("phi3"):
        part.save_pretrained(desk / "path/or/id/of/phi-3")
    for name in ("faceshield_hf", "recipes"):
        (desk / name).symlink_to(ROOT / name)
    return desk


@pytest.fixture(scope="module")
def simulated(desk):
    """What README's first `faceshield simulate` writes."""
    from faceshield_hf.data.simulate import simulate_folder

    if not (desk / "outputs/simulated/metadata.jsonl").is_file():
        simulate_folder(desk / "path/to/faces", desk / "outputs/simulated", per_face=4, seed=0, workers=1)


def shell(command, desk, **changes):
    words = shlex.split(command, comments=True)
    if words[0] == "faceshield":
        words = [sys.executable, "-c", "from faceshield_hf.cli import main; main()", *words[1:]]
    return subprocess.run(words, cwd=desk, capture_output=True, text=True, timeout=300, env=os.environ | changes)


def test_the_readme_has_snippets_to_test():
    assert len(PYTHON) >= 3
    assert len(SHELL) >= 8


@pytest.mark.parametrize("command", [line for line in SHELL if line.startswith("faceshield ")])
def test_every_faceshield_command_runs(command, desk, request):
    if "--inputs outputs/simulated" in command:
        request.getfixturevalue("simulated")
    for recipe, changes in OFFLINE.items():
        if recipe in command:
            command = shlex.join([*shlex.split(command), *changes])
    done = shell(command, desk)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("snippet", PYTHON, ids=range(len(PYTHON)))
def test_every_python_snippet_runs(snippet, desk, monkeypatch, request):
    monkeypatch.chdir(desk)
    if "imagefolder" in snippet:
        request.getfixturevalue("simulated")
    exec(compile(snippet, "README.md", "exec"), {"__name__": "readme"})


def script_and_options(command):
    """The recipe that a command runs, and the arguments that it gets."""
    words = shlex.split(command, comments=True)
    at = next(i for i, word in enumerate(words) if word.startswith("recipes/") and word.endswith(".py"))
    return words[at], words[at + 1 :]


def parsed(command, monkeypatch):
    """Read a command's arguments by the recipe's own parser, which refuses what it does not know."""
    pytest.importorskip("trl", reason="needs the train extra")
    from trl import ModelConfig, SFTConfig

    from faceshield_hf.evaluation.command import make_parser
    from faceshield_hf.training.run import RecipeArguments, parse_arguments

    script, given = script_and_options(command)
    monkeypatch.syspath_prepend(str(ROOT / "recipes"))
    if script == "recipes/evaluate.py":
        return make_parser().parse_args(given)
    if script == "recipes/make_tiny.py":
        from make_tiny import MakeArguments

        kinds = [MakeArguments]
    elif script == "recipes/compose.py":
        from compose import ComposeArguments

        kinds = [ComposeArguments]
    else:
        assert script in ("recipes/pretrain.py", "recipes/sft.py")
        kinds, given = [RecipeArguments, SFTConfig, ModelConfig], [*given, "--use_cpu", "true"]
    monkeypatch.setattr(sys, "argv", [script, *given])
    return parse_arguments(*kinds)


@pytest.mark.parametrize("command", RECIPES)
def test_every_recipe_takes_the_options_that_are_shown(command, monkeypatch):
    monkeypatch.chdir(ROOT)
    for path in re.findall(r"recipes/\S+", command):
        assert (ROOT / path).is_file(), path
    assert parsed(command, monkeypatch)


def test_the_checkpoint_to_start_from_is_made_of_any_parts(desk, monkeypatch):
    monkeypatch.chdir(desk)
    (command,) = [line for line in RECIPES if "compose.py" in line]
    (arguments,) = parsed(command, monkeypatch)
    from compose import compose

    compose(arguments)
    model, _ = load_checkpoint(desk / arguments.output_dir, "cpu")
    assert (model.config.vision_config.model_type, model.config.text_config.model_type) == (
        "siglip_vision_model",
        "phi3",
    )


def values(words, names):
    """What follows any of some options, up to the next option."""
    found, inside = [], False
    for word in words:
        if word.startswith("--"):
            inside = word in names
        elif inside:
            found.append(word)
    return found


def test_every_input_is_written_by_a_command_before():
    written = set()
    for line in SHELL:
        words = shlex.split(line, comments=True)
        for needed in values(words, NEEDED):
            assert any(Path(needed).is_relative_to(folder) for folder in written), f"{needed}: {line}"
        if "recipes/" in line and "--config" in words:  # one that does not name its output would be another recipe's
            assert values(words, WRITTEN) or "make_tiny.py" in line, line
        written |= set(values(words, WRITTEN))
    assert len(written) >= 7


def test_a_merged_model_is_where_it_is_looked_for():
    settings = yaml.safe_load((ROOT / "recipes/faceshield-phi3-siglip/sft.yaml").read_text())
    assert settings["merge_lora"] and "--model outputs/my-model/sft/merged" in README


@pytest.mark.parametrize("target", [line.split()[1] for line in SHELL if line.startswith("make ")])
def test_every_make_target_is_there(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_every_extra_that_is_named_is_there():
    told = installed(SHELL)
    assert told
    assert all(re.search(rf"^{extra} = \[", (ROOT / "pyproject.toml").read_text(), re.MULTILINE) for extra in told)


def installed(lines):
    """The extras that some commands install."""
    return {extra for line in lines for extras in re.findall(r'"\.\[([\w,]+)\]"', line) for extra in extras.split(",")}


@pytest.mark.parametrize("command", RECIPES[1:])
def test_what_a_recipe_needs_is_installed_before_it_is_run(command):
    """The first mention, beside the results, is of what was run; here begins what a reader runs."""
    before = SHELL[: len(SHELL) - SHELL[::-1].index(command)]
    script, _ = script_and_options(command)
    header = re.search(r"^# dependencies = \[(.*)\]", (ROOT / script).read_text(), re.MULTILINE)[1]
    for line in re.findall(r'"([^"]+)"', header):
        needed = Requirement(line)
        if needed.name == "faceshield-hf":
            assert needed.extras <= installed(before), f"{script} needs {needed.extras}"
        else:
            assert any(needed.name in told for told in before if told.startswith("pip install")), needed.name
