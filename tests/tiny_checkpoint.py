"""A tiny random FaceShield checkpoint on disk, and a detector over it, for tests of whatever loads one."""

from pathlib import Path

import pytest
from tiny import VISION, tiny_model, tiny_processor

from faceshield_hf.detector import FaceShield


SIDE = 56  # 4 x 4 patches a view: enough for the smallest pictures to differ


def make_tiny_checkpoint(folder: Path, **config) -> Path:
    """Save a random model and its processor into a folder; `config` sets fields of the configuration."""
    processor = tiny_processor(side=SIDE, vision_token_budget=config.get("vision_token_budget"))
    # Random logits are far apart: the temperature brings the scores to where a change of the picture shows.
    fields = {"vision_config": VISION | {"image_size": SIDE}, "score_temperature": 10.0, **config}
    tiny_model(**fields).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory):
    return make_tiny_checkpoint(tmp_path_factory.mktemp("checkpoint") / "tiny")


@pytest.fixture(scope="session")
def shared_shield(tiny_folder):
    return FaceShield.from_pretrained(tiny_folder, device="cpu")


@pytest.fixture
def shield(shared_shield):
    """A detector whose attributes a test may replace; the model and the processor are shared."""
    return FaceShield(shared_shield.model, shared_shield.processor, name="tiny")
