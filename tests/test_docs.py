"""Every snippet of docs/ runs, every command that it shows takes the options that it shows, and no link is dead.

Python blocks are run, one after another, in a folder that holds what they name. Of shell blocks, quick commands are
run; of the others every option must be one that the program has.
"""

import functools
import importlib.util
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer
import typer.core
import typer.main
from PIL import Image
from typer.testing import CliRunner

from faceshield_hf.cli import app


ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.glob("*.md") if path.name != "api.md")  # api.md has no snippets but docstrings
QUICK = re.compile(r"faceshield (--help|--version|info|detect|push \w+ .*--dry-run)")
HANDED_ON = {"build-dataset": "faceshield_hf.data.build", "evaluate": "faceshield_hf.evaluation"}

pytest_plugins = ["served", "tiny_checkpoint"]


def blocks(page, info):
    return re.findall(rf"^```{info}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def commands():
    """Every command of every shell block, with the page that shows it; a pipe's parts are commands of their own."""
    for page in PAGES:
        for block in blocks(page, "bash"):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if words:
                    yield pytest.param(line.strip(), id=f"{page.stem}: {line.strip()[:60]}")


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A folder with what the snippets name."""
    from skimage.data import astronaut

    desk = tmp_path_factory.mktemp("desk")
    photo = Image.fromarray(astronaut())
    photo.save(desk / "photo.jpg")
    for folder in ("photos", "faces", "path/to/faces"):
        (desk / folder).mkdir(parents=True)
        photo.save(desk / folder / "face.jpg")
    (desk / "outputs/simulated/images").mkdir(parents=True)
    rows = []
    for number, kind in enumerate(("Bonafide", "Print")):
        photo.resize((64, 64)).rotate(90 * number).save(desk / f"outputs/simulated/images/{number}.png")
        row = {"file_name": f"images/{number}.png", "attack_type": kind, "subject_id": str(number), "domain": "A"}
        rows.append(row | {"boxes": [[0.1, 0.1, 0.9, 0.9]] * number, "box_labels": ["photo"] * number, "cues": []})
    table = "".join(json.dumps(row) + "\n" for row in rows)
    (desk / "outputs/simulated/metadata.jsonl").write_text(table)
    for name in ("Live/Live_1", "Spoof/Paper/Paper_1"):
        _video(desk / f"SiW-Mv2/{name}.avi", photo)
    for name in ("faceshield_hf", "recipes", "space", "scripts"):
        (desk / name).symlink_to(ROOT / name)
    return desk


def _video(path, photo):
    path.parent.mkdir(parents=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 64))
    for _ in range(4):
        writer.write(np.asarray(photo.resize((64, 64)))[:, :, ::-1])
    writer.release()


# ---- Python ----


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=lambda page: page.stem)
def test_every_python_snippet_runs(page, desk, monkeypatch, request):
    monkeypatch.chdir(desk)
    for number, snippet in enumerate(blocks(page, "python"), start=1):
        for shown, fixture in (("http://127.0.0.1:8000", "server"), ("http://127.0.0.1:7860", "space")):
            if shown in snippet:
                snippet = snippet.replace(shown, request.getfixturevalue(fixture))
        exec(compile(snippet, f"{page.name}, snippet {number}", "exec"), {"__name__": "docs"})


@pytest.fixture
def server(serve, shared_shield, monkeypatch):
    """Where the snippets about serving find a server."""
    from huggingface_hub import constants

    from faceshield_hf.serving import Limits, build_app

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)  # the Hub's client asks this server
    return serve(build_app(shared_shield, Limits(max_tokens=8)))


@pytest.fixture
def space(shared_shield, monkeypatch, tmp_path):
    """Where the snippets about the Space find one."""
    import socket

    from app import launch
    from ui_models import Models
    from ui_page import build_demo

    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    demo = build_demo(Models(shared_shield))
    yield launch(demo, "127.0.0.1", port)
    demo.close()


# ---- shell ----


@pytest.mark.parametrize("line", [c for c in commands() if QUICK.search(c.values[0])])
def test_every_quick_command_runs(line, desk, monkeypatch):
    """In this process, as `faceshield` would: starting Python for every line would take most of the time."""
    monkeypatch.chdir(desk)
    given, _, last = line.rpartition("|")
    words = shlex.split(last, comments=True)
    piped = (desk / shlex.split(given)[1]).read_bytes() if given.startswith("cat ") else None
    assert words[0] == "faceshield" and (piped is not None or not given)
    result = CliRunner().invoke(app, words[1:], input=piped)
    assert result.exit_code == 0, result.output[-2000:]


@pytest.mark.parametrize("line", list(commands()))
def test_every_command_takes_the_options_that_are_shown(line):
    for part in re.split(r"\s[|;]\s|&&", line):
        words = shlex.split(part, comments=True)
        while words and re.fullmatch(r"\w+=\S*", words[0]):  # NAME=value before the command
            words = words[1:]
        if words[0] == "faceshield":
            check_faceshield(words[1:])
        elif words[0] == "make":
            assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE), words[1]
        elif words[:2] == ["pip", "install"]:
            for extra in re.findall(r"\[([\w,]+)\]", part):
                known = (ROOT / "pyproject.toml").read_text()
                assert all(re.search(rf"^{name} = \[", known, re.MULTILINE) for name in extra.split(",")), extra
        else:
            for script in (word for word in words if re.fullmatch(r"(\./)?(recipes|scripts|space|tests)/\S+", word)):
                assert (ROOT / script).exists(), script
            script = next((word for word in words if re.fullmatch(r"(scripts|space)/\S+\.py", word)), None)
            if script and words[0] == "python":
                source = (ROOT / script).read_text()
                assert all(f'"{option}"' in source for option in options(words)), f"{script}: {options(words)}"


def check_faceshield(words):
    """Options of the command itself are looked up; those that it hands on are looked for in its help."""
    command = typer.main.get_command(app)
    while isinstance(command, typer.core.TyperGroup) and words and not words[0].startswith("-"):
        assert words[0] in command.commands, f"there is no command {words[0]}"
        command, words = command.commands[words[0]], words[1:]
    if command.name in HANDED_ON:
        text = inner_help(HANDED_ON[command.name])
        for option in options(words):
            assert option in text, f"faceshield {command.name} has no {option}"
    elif command.name == "train":
        stage = next(
            i for i, word in enumerate(words) if (ROOT / "recipes" / f"{word}.py").is_file() or word == "list"
        )
        check_options(command, words[:stage])
        for i, word in enumerate(words):
            if word == "--config":
                assert (ROOT / words[i + 1]).is_file() or (ROOT / "recipes" / words[i + 1]).is_file(), words[i + 1]
    elif command.name != "review":
        check_options(command, words)


def check_options(command, words):
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)} | {
        "--help"
    }
    unknown = set(options(words)) - known
    assert not unknown, f"{command.name} has no {', '.join(sorted(unknown))}"


def options(words):
    return [word.split("=")[0] for word in words if re.fullmatch(r"--?[a-zA-Z][\w-]*(=.*)?", word)]


@functools.cache
def inner_help(module):
    code = f"import sys; from {module} import main; sys.exit(main(['--help']))"
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    ).stdout


# ---- the rest ----


def test_the_api_reference_is_what_the_docstrings_say():
    script = importlib.util.spec_from_file_location("build_api_docs", ROOT / "scripts" / "build_api_docs.py")
    module = importlib.util.module_from_spec(script)
    script.loader.exec_module(module)
    assert (DOCS / "api.md").read_text(encoding="utf-8") == module.build(), "run python scripts/build_api_docs.py"


@pytest.mark.parametrize("page", [*PAGES, DOCS / "api.md", ROOT / "README.md"], ids=lambda page: page.name)
def test_no_link_is_dead(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)#\s]+)", text):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), target


def test_the_index_names_every_page():
    text = (DOCS / "index.md").read_text(encoding="utf-8")
    for page in DOCS.glob("*.md"):
        assert page.name == "index.md" or f"({page.name})" in text, f"docs/index.md does not name {page.name}"


def test_the_option_table_is_up_to_date():
    """The defaults in the table of limits are those of the code."""
    from faceshield_hf.serving import Limits

    text = (DOCS / "serving.md").read_text(encoding="utf-8")
    limits = Limits()
    for shown in (
        f"| `--max-body` | {limits.max_body // 10**6} MB",
        f"| `--max-pixels` | {limits.max_pixels // 10**6} megapixels",
        f"| `--queue` | {limits.queue} ",
        f"| `--timeout` | {limits.timeout:g} s",
        f"{limits.max_messages} messages, {limits.max_tokens} new tokens",
        f"{limits.batch_size} images, {limits.batch_wait:g} s",
        f"{limits.held_pixels // 10**6} megapixels of unpacked images",
        f"{limits.held_body // 10**6:,} MB of requests at a time",
    ):
        assert shown in text, shown
