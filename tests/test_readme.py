"""Every snippet of the README runs: a new user's first hour must not fail on a typo."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image


ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
SHELL = [
    line
    for block in re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    for line in block.replace("\\\n", " ").splitlines()
    if line.strip()
]


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A working folder with what the snippets name: a photo, faces, and parts to compose."""
    from skimage.data import astronaut
    from test_parts import text_part, vision_part
    from transformers import SiglipImageProcessorPil

    desk = tmp_path_factory.mktemp("desk")
    photo = Image.fromarray(astronaut())
    photo.save(desk / "photo.jpg")
    for folder in ("photos", "path/to/faces"):
        (desk / folder).mkdir(parents=True)
        photo.save(desk / folder / "face.jpg")
    vision_part("siglip").save_pretrained(desk / "path/or/id/of/siglip")
    SiglipImageProcessorPil(size={"height": 28, "width": 28}).save_pretrained(desk / "path/or/id/of/siglip")
    for part in text_part("phi3"):
        part.save_pretrained(desk / "path/or/id/of/phi-3")
    (desk / "faceshield_hf").symlink_to(ROOT / "faceshield_hf")
    return desk


def shell(command, desk, **changes):
    words = shlex.split(command, comments=True)
    if words[0] == "faceshield":
        words = [sys.executable, "-c", "from faceshield_hf.cli import main; main()", *words[1:]]
    return subprocess.run(words, cwd=desk, capture_output=True, text=True, timeout=300, env=os.environ | changes)


def test_the_readme_has_snippets_to_test():
    assert len(PYTHON) >= 4
    assert len(SHELL) >= 8


@pytest.mark.parametrize("command", [line for line in SHELL if line.startswith("faceshield ")])
def test_every_faceshield_command_runs(command, desk):
    done = shell(command, desk)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("snippet", PYTHON, ids=range(len(PYTHON)))
def test_every_python_snippet_runs(snippet, desk, monkeypatch, tmp_path):
    monkeypatch.chdir(desk)
    if "imagefolder" in snippet:
        from faceshield_hf.data.simulate import simulate_folder

        if not (desk / "outputs/simulated/metadata.jsonl").is_file():
            simulate_folder(desk / "path/to/faces", desk / "outputs/simulated", per_face=4, seed=0, workers=1)
    exec(compile(snippet, "README.md", "exec"), {"__name__": "readme"})


@pytest.mark.parametrize("command", [line for line in SHELL if re.match(r"(python|accelerate launch.*) .*\.py", line)])
def test_every_recipe_that_is_named_is_there(command):
    for path in re.findall(r"recipes/\S+", command):
        assert (ROOT / path).is_file(), path


@pytest.mark.parametrize("target", [line.split()[1] for line in SHELL if line.startswith("make ")])
def test_every_make_target_is_there(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_every_extra_that_is_named_is_there():
    told = set(re.findall(r'"\.\[(\w+)\]"', README))
    assert told
    assert all(re.search(rf"^{extra} = \[", (ROOT / "pyproject.toml").read_text(), re.MULTILINE) for extra in told)
