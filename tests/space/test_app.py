"""The program that serves the Space, the examples, and the folder as a Space of the Hub."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest
from app import check_address, load_model, parse_arguments
from gradio_client import Client, handle_file
from PIL import Image
from space_site import free_port, save_face
from tiny_checkpoint import tiny_folder  # noqa: F401  (a fixture)
from ui_examples import SHOWN, make_examples, portrait, simulated_attack

from faceshield_hf.tasks_faceshield import AttackType, Verdict


SPACE = Path(__file__).parents[2] / "space"
ENVIRONMENT = ("GRADIO_SERVER_NAME", "GRADIO_SERVER_PORT", "FACESHIELD_MODEL", "FACESHIELD_MODELS", "SPACE_ID")


# ---- the examples ----


def test_examples_are_the_portrait_and_attacks_on_it(tmp_path):
    examples = make_examples(tmp_path)
    assert [example.name for example in examples] == ["Photo", *(kind.value for kind in SHOWN)]
    assert np.abs(np.asarray(Image.open(examples[0].path), int) - np.asarray(portrait(), int)).mean() < 3
    assert len({Path(example.path).read_bytes() for example in examples}) == len(examples)
    assert all(Image.open(example.path).mode == "RGB" for example in examples)


def test_simulated_attack_is_the_same_every_time():
    assert simulated_attack(AttackType.TATTOO).tobytes() == simulated_attack(AttackType.TATTOO).tobytes()


# ---- the program ----


@pytest.fixture
def plain_environment(monkeypatch):
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_arguments_come_from_the_command_line_then_the_environment(plain_environment):
    default = {"host": "127.0.0.1", "port": 7860, "model": None, "models": [], "any_model": True}
    assert vars(parse_arguments([])) == default
    plain_environment.setenv("GRADIO_SERVER_PORT", "7000")
    plain_environment.setenv("FACESHIELD_MODEL", "user/model")
    plain_environment.setenv("FACESHIELD_MODELS", "user/a user/b")
    assert vars(parse_arguments(["--host", "0.0.0.0"])) == {
        "host": "0.0.0.0",
        "port": 7000,
        "model": "user/model",
        "models": ["user/a", "user/b"],
        "any_model": False,
    }
    assert parse_arguments(["--port", "7001"]).port == 7001


def test_strangers_may_name_no_checkpoint_unless_the_owner_says_so(plain_environment):
    assert not parse_arguments(["--host", "192.168.0.7"]).any_model
    assert parse_arguments(["--host", "192.168.0.7", "--any-model"]).any_model
    assert not parse_arguments(["--no-any-model"]).any_model
    plain_environment.setenv("SPACE_ID", "user/space")
    assert not parse_arguments([]).any_model


def test_missing_checkpoint_is_one_line_not_a_traceback(tmp_path):
    with pytest.raises(SystemExit, match=r"^error: no checkpoint at"):
        load_model(str(tmp_path / "nowhere"))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_port_that_is_taken_is_one_line_not_a_traceback(host):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        taken = socket.create_server((host, 0), family=family)
    except OSError:
        pytest.skip("this machine has no IPv6")
    port = taken.getsockname()[1]
    with taken, pytest.raises(SystemExit, match=rf"^error: nothing can listen on {host}:{port} .*--port"):
        check_address(host, port)
    check_address(host, port)  # free again


def test_what_is_no_port_is_one_line_not_a_traceback(plain_environment):
    with pytest.raises(SystemExit, match=r"^error: nothing can listen on 127.0.0.1:99999 .*--port"):
        check_address("127.0.0.1", 99999)
    with pytest.raises(SystemExit) as ended:
        parse_arguments(["--port", "0"])
    assert ended.value.code == 2


def test_gpu_is_optional():
    """Without the package `spaces` the page runs all the same."""
    code = "import sys; sys.modules['spaces'] = None; import ui_gpu; print(ui_gpu.gpu(len)('abc'))"
    done = subprocess.run([sys.executable, "-c", code], cwd=SPACE, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "3"


def test_program_serves_a_real_model_and_leaves_nothing_behind(tiny_folder, tmp_path):  # noqa: F811
    """The whole way: start, upload, verdict, stop; afterwards not one file is left."""
    left = tmp_path / "tmp"
    left.mkdir()
    environment = os.environ | {"TMPDIR": str(left), "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
    environment.pop("GRADIO_TEMP_DIR", None)
    program = [sys.executable, str(SPACE / "app.py"), "--model", str(tiny_folder), "--port", str(free_port())]
    process = subprocess.Popen(program, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        lines = iter(process.stdout.readline, "")
        url = next(match[1] for line in lines if (match := re.search(r"FaceShield is at (\S+)", line)))
        assert urlopen(url).status == 200
        face = handle_file(save_face(tmp_path))
        answer = Client(url, verbose=False).predict(image=face, task="coarse", api_name="/analyze")
        assert 0 <= Verdict.from_dict(answer).score <= 1
        assert any(path.is_file() and path.suffix == ".jpg" for path in left.rglob("*"))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)
    time.sleep(0.2)
    assert [path for path in left.rglob("*") if path.is_file()] == []


# ---- the folder as a Space of the Hub ----


def _front_matter():
    text = (SPACE / "README.md").read_text()
    return dict(re.findall(r"^(\w+): *(.*)$", text.split("---")[1], re.MULTILINE))


def _pins(path):
    lines = [line.split(";")[0].strip() for line in path.read_text().splitlines() if "==" in line and line[0] != "#"]
    return dict(line.split("==") for line in reversed(lines))  # of two lines for two Pythons the first counts


def test_front_matter_names_what_is_there():
    front = _front_matter()
    tested = _pins(SPACE.parent / "constraints.txt")
    assert front["sdk"] == "gradio" and front["sdk_version"] == tested["gradio"]
    assert (SPACE / front["app_file"]).is_file() and len(json.loads(front["short_description"])) <= 60
    assert json.loads(front["python_version"]) in ("3.10.13", "3.12.12")  # what ZeroGPU offers


def test_requirements_are_the_tested_versions_but_for_torch():
    required, tested = _pins(SPACE / "requirements.txt"), _pins(SPACE.parent / "constraints.txt")
    torch = required.pop("torch")
    assert required.items() <= tested.items()
    assert (2, 8) <= tuple(map(int, torch.split(".")[:2])) <= (2, 11)  # what ZeroGPU offers


def test_docs_list_every_browser_test():
    names = re.findall(r"^def test_(\w+)", (Path(__file__).parent / "test_browser.py").read_text(), re.MULTILINE)
    section = (
        (SPACE.parent / "docs" / "space.md").read_text().partition("## Tested in a browser")[2].partition("## ")[0]
    )
    assert re.findall(r"^- (.*)$", section, re.MULTILINE) == [name.replace("_", " ") for name in names]


def test_readme_and_docs_name_every_endpoint_and_file():
    docs = (SPACE.parent / "docs" / "space.md").read_text()
    readme = (SPACE / "README.md").read_text()
    for endpoint in ("/analyze", "/batch", "/simulate"):
        assert endpoint in docs and endpoint in readme
    assert {path.name for path in SPACE.glob("*.py")} <= set(re.findall(r"\w+\.py", docs))
