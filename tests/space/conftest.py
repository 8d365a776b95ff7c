"""A page around a fake detector, and a browser to look at it."""

import os
import shutil
import socket

import pytest
from app import launch
from fake_detector import FakeDetector
from PIL import Image
from skimage import data
from ui_examples import Example
from ui_page import build_demo


CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture
def detector():
    return FakeDetector()


@pytest.fixture
def face_file(tmp_path):
    """A portrait that may be shown: NASA's, in the public domain."""
    path = tmp_path / "face.jpg"
    Image.fromarray(data.astronaut()).save(path)
    return path


@pytest.fixture
def free_port():
    """A port of this machine that nothing else took, even when several processes run tests."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def page_url(detector, face_file, free_port, tmp_path, monkeypatch):
    """The page, served; what it writes lies in `cache` under the test's folder."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
    demo = build_demo(detector, [Example("Photo", str(face_file))])
    yield launch(demo, "127.0.0.1", free_port)
    demo.close()


@pytest.fixture(scope="session")
def chromium():
    """The system's browser; without one the test is skipped, or fails where FACESHIELD_REQUIRE_BROWSER=1."""
    found = next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    if found is None:
        message = f"no browser: install one of {', '.join(CHROMIUM_NAMES)} (apt-get install chromium)"
        if os.environ.get("FACESHIELD_REQUIRE_BROWSER") == "1":
            pytest.fail(message)
        pytest.skip(message)
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=30_000)  # the same as for clicks: a busy machine is no failure
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()
