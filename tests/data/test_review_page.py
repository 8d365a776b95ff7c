"""A reviewer works from the keyboard; every decision is on disk before the next record is shown."""

import shutil
import socket

import pytest


datasets = pytest.importorskip("datasets", reason="needs the train extra")
pytest.importorskip("gradio", reason="needs the space extra")
sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")

from data.build_parts import settings  # noqa: E402

from faceshield_hf.data.build.run import build_dataset  # noqa: E402
from faceshield_hf.data.review.decisions import read_decisions  # noqa: E402
from faceshield_hf.data.review.page import Review, make_page  # noqa: E402


CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no system Chromium")
def test_accept_fix_reject_and_back_by_key(images, tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "cache"))
    build_dataset(settings(images, tmp_path / "out", tasks={"fine": 1}, paraphrase={}), progress=False)
    review = Review(tmp_path / "out", tmp_path / "d", "ann")
    order = [item.id for item in review.items]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    page = make_page(review)
    page.launch(server_name="127.0.0.1", server_port=port, quiet=True, prevent_thread_lock=True, run_history=False)
    try:
        with sync_api.sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            tab = browser.new_page()
            tab.goto(f"http://127.0.0.1:{port}")
            _work(tab, sync_api.expect)
            browser.close()
    finally:
        page.close()
    told = read_decisions(tmp_path / "d")["ann"]
    assert [told[record].action for record in order[:3]] == ["accept", "reject", "fix"]
    assert told[order[2]].answer.endswith("One more sign.")
    assert len(told) == 3


def _work(tab, expect):
    progress = tab.locator("#review-progress")
    expect(progress).to_contain_text("0 of 24 decided", timeout=60_000)
    tab.locator("img").first.wait_for()
    tab.keyboard.press("r")
    expect(progress).to_contain_text("1 of 24 decided", timeout=30_000)
    tab.keyboard.press("u")
    tab.wait_for_timeout(1000)
    tab.keyboard.press("a")  # the later decision on the first record counts
    expect(progress).to_contain_text("1 of 24 decided", timeout=30_000)
    tab.wait_for_timeout(1000)
    tab.keyboard.press("r")
    expect(progress).to_contain_text("2 of 24 decided", timeout=30_000)
    answer = tab.locator("#review-answer textarea")
    before = answer.input_value()
    tab.keyboard.press("f")  # as it was: not stored, and the page says so
    expect(tab.locator("#review-message")).to_contain_text("edit it first", timeout=30_000)
    answer.fill(before + " One more sign.")
    answer.press("a")  # a letter in the field is a letter
    answer.press("Backspace")
    answer.press("Control+Enter")
    expect(progress).to_contain_text("3 of 24 decided", timeout=30_000)
    expect(answer).not_to_have_value(before)
