"""One page around a fake detector for all tests, and a browser to look at it."""

import os
import re
import shutil
import socket
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from app import launch
from fake_detector import FakeDetector
from PIL import Image
from skimage import data
from ui_examples import Example
from ui_handlers import Handlers
from ui_models import Models
from ui_page import build_demo
from ui_runs import Runs
from ui_uploads import Uploads
from ui_words import ENGLISH


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
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]
# A busy machine is no failure.
PATIENCE = 1000 * int(os.environ.get("FACESHIELD_TEST_SECONDS", "30"))
# What the browser showed at the end of each test, for whoever looks into a failure.
SCREENSHOTS = Path(os.environ.get("FACESHIELD_SCREENSHOTS", Path(__file__).parents[2] / "build" / "screenshots"))


def free_port():
    """A port of this machine that nothing else took, even when several processes run tests."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def serve(folder, detector, **options):
    """Serve a page; what is written lies in the process's one cache."""
    cache = Path(os.environ["GRADIO_TEMP_DIR"])
    face = save_face(folder)
    models = options.pop("models", None) or Models(detector)
    demo = build_demo(models, [Example("Photo", str(face))], Uploads(cache), **options)
    return SimpleNamespace(url=launch(demo, "127.0.0.1", free_port()), cache=cache, face=face, demo=demo)


def save_face(folder):
    """A portrait that may be shown: NASA's, in the public domain."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "face.jpg"
    Image.fromarray(data.astronaut()).save(path)
    return path


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """Where Gradio writes; it looks at the environment whenever it does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("gradio")))
        patch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
        yield


@pytest.fixture(scope="session")
def shared_site(cache, tmp_path_factory):
    detector = FakeDetector()
    other = FakeDetector(threshold=0.9)
    other.name = "another"
    models = Models(detector, others=["another"], load=lambda path: other)
    site = serve(tmp_path_factory.mktemp("space"), detector, models=models)
    site.detector = detector
    yield site
    site.demo.close()


@pytest.fixture
def site(shared_site):
    """The page, and the detector behind it as if nobody had asked it anything yet."""
    shared_site.detector.reset()
    return shared_site


@pytest.fixture
def detector(site):
    return site.detector


@pytest.fixture
def face(site):
    return site.face


@pytest.fixture
def handlers():
    """The page's events over a fake detector of their own, without a server."""
    return Handlers(Runs(Models(FakeDetector())), ENGLISH)


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

    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def window(chromium):
    """One window for all tests: what it has read once it need not read again."""
    context = chromium.new_context(
        viewport={"width": 1280, "height": 900}, reduced_motion="reduce", permissions=["camera"], locale="en-US"
    )
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.watched = SimpleNamespace(asked=[], complaints=[])
    page.on("request", lambda request: page.watched.asked.append(urlsplit(request.url)))
    page.on("console", lambda line: page.watched.complaints.append(line.text) if line.type == "error" else None)
    page.on("pageerror", lambda error: page.watched.complaints.append(str(error)))
    yield page
    context.close()


@pytest.fixture
def page(window, site, request):
    """The page, fresh; afterwards nothing may have gone to another host or to the console."""
    window.set_viewport_size({"width": 1280, "height": 900})
    window.watched.complaints.clear()
    window.goto(site.url)
    window.get_by_role("button", name="Analyze", exact=True).wait_for()
    yield window
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    window.screenshot(path=SCREENSHOTS / f"{re.sub(r'[^a-z0-9]+', '-', request.node.name.lower())}.png")
    hosts = {url.hostname for url in window.watched.asked if url.scheme.startswith(("http", "ws"))}
    assert hosts <= {"127.0.0.1"}
    # What a test sends wrong on purpose, and Gradio's own word on streams that end with the page before.
    expected = ("the server responded with a status of 4", "AbortError", "errored out", "net::ERR")
    assert [line for line in window.watched.complaints if not any(word in line for word in expected)] == []
