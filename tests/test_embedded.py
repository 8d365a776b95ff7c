"""The embedded checkpoint is whole, small, and carries the package's own code."""

import json
from pathlib import Path

import pytest

import faceshield_hf


PACKAGE = Path(faceshield_hf.__file__).parent
FOLDER = PACKAGE / "assets" / "faceshield-tiny"


def test_it_is_at_most_60_megabytes():
    assert sum(path.stat().st_size for path in FOLDER.rglob("*")) <= 60e6


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*_faceshield.py")), ids=lambda path: path.name)
def test_its_code_is_the_packages(path):
    copy = FOLDER / path.name
    assert not copy.exists() or copy.read_text() == path.read_text(), "run `make checkpoint-code`"


def test_its_code_is_all_there():
    config = json.loads((FOLDER / "config.json").read_text())
    classes = [*config["auto_map"].values(), *(one["impl"] for one in config["custom_pipelines"].values())]
    named = {name.split(".")[0] for name in classes}
    assert {"configuration_faceshield", "modeling_faceshield", "pipeline_faceshield"} <= named
    assert all((FOLDER / f"{name}.py").is_file() for name in named)


def test_it_holds_no_pickle():
    assert not [path for path in FOLDER.rglob("*") if path.suffix in (".bin", ".pt", ".pth", ".pkl")]


def test_its_threshold_was_fitted():
    config = json.loads((FOLDER / "config.json").read_text())
    assert config["dtype"] == "float32"
    assert 0 < config["score_threshold"] < 1
    assert config["score_temperature"] != 1.0


def test_its_card_tells_limits_and_numbers():
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert "not for access control" in card
    assert "model-index" in card
