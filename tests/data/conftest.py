"""What tests of builds share."""

import pytest
from data.build_parts import make_images


@pytest.fixture
def images(tmp_path):
    """A folder of 24 labelled pictures of noise, two of every type, of six subjects."""
    return make_images(tmp_path / "set")


@pytest.fixture
def reachable_loopback(monkeypatch):
    """Tests run in the Hub's offline mode, which keeps its client from servers on this machine too."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
