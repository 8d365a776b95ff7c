"""What the Makefile, the pinned versions and the scripts promise to someone who has just cloned the repository."""

import importlib.metadata
import os
import re
import subprocess
from pathlib import Path

from packaging.requirements import Requirement


ROOT = Path(__file__).parents[1]
TARGETS = ("install", "test", "demo", "quality", "style", "bench", "clean", "help")


def make(*arguments):
    handed_down = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")  # by the `make test` that may run this test
    environment = {name: value for name, value in os.environ.items() if name not in handed_down}
    return subprocess.run(["make", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)


def pinned():
    """The versions of constraints.txt that are for this Python."""
    lines = (line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and line[0] != "#")
    pins = [Requirement(line) for line in lines]
    return {pin.name: str(pin.specifier) for pin in pins if pin.marker is None or pin.marker.evaluate()}


def test_help_lists_every_target():
    listed = re.findall(r"^  (\w+) ", make("help").stdout, re.MULTILINE)
    assert set(TARGETS) <= set(listed)


def test_demo_serves_where_it_is_told(tmp_path):
    commands = make("-n", "demo", f"VENV={tmp_path}", "HOST=0.0.0.0", "PORT=7999", "MODEL=user/model").stdout
    assert (
        commands.splitlines()[-1]
        == f"{tmp_path}/bin/python space/app.py --host 0.0.0.0 --port 7999 --model user/model"
    )


def test_bench_measures_what_it_is_told(tmp_path):
    commands = make("-n", "bench", f"VENV={tmp_path}", "BENCH=--only start --quick").stdout
    assert commands.splitlines()[-1] == (
        f"OMP_NUM_THREADS=1 {tmp_path}/bin/python tests/benchmarks/run.py --only start --quick"
    )


def test_torch_is_installed_first_and_by_its_exact_version(tmp_path):
    commands = make("-n", "demo", f"VENV={tmp_path}").stdout
    torch = commands.index("install \"$(grep '^torch==' constraints.txt)\"")
    assert torch < commands.index('install -e ".[space]" -c constraints.txt')
    assert pinned()["torch"].startswith("==")


def test_old_python_is_refused_with_what_to_do(tmp_path):
    old = tmp_path / "python3.9"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.1 && exit\nexit 1\n')
    old.chmod(0o755)
    done = make("demo", f"PYTHON={old}", f"VENV={tmp_path / 'venv'}")
    assert done.returncode != 0
    assert "needs Python 3.10 or newer" in done.stderr and "is Python 3.9.1" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_every_requirement_is_pinned_within_what_the_package_allows():
    pins = pinned()
    for requirement in map(Requirement, importlib.metadata.requires("faceshield-hf")):
        needed = requirement.marker is None or any(
            requirement.marker.evaluate({"extra": extra})
            for extra in ("", "train", "eval", "sources", "serve", "space", "mcp", "dev")
        )
        if needed and requirement.name != "faceshield-hf":  # an extra takes in others
            assert requirement.specifier.contains(pins[requirement.name].removeprefix("==")), requirement


def test_ci_script_can_be_run():
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert subprocess.run(["bash", "-n", ".ci/run"], cwd=ROOT).returncode == 0
