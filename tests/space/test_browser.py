"""What a visitor sees and does, in a real browser; skipped, and saying so, where the system has none."""

import re
from urllib.parse import urlsplit

import pytest
import ui_text
from fake_detector import REPLY
from PIL import Image
from playwright.sync_api import expect


pytestmark = pytest.mark.browser


@pytest.fixture
def open_page(chromium, page_url):
    """Opens the page at a width; afterwards nothing may have gone to another host or to the console."""
    contexts, asked, complaints = [], [], []

    def open_at(width, height=900):
        contexts.append(chromium.new_context(viewport={"width": width, "height": height}))
        page = contexts[-1].new_page()
        page.set_default_timeout(30_000)
        page.on("request", lambda request: asked.append(urlsplit(request.url)))
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(page_url)
        page.get_by_role("button", name="Analyze").wait_for()
        return page

    yield open_at
    for context in contexts:
        context.close()
    assert {url.hostname for url in asked if url.scheme.startswith(("http", "ws"))} <= {"127.0.0.1"}
    assert complaints == []


def upload(page, path):
    page.locator("#fs-photo input[type=file]").set_input_files(path)
    page.locator("#fs-photo img").first.wait_for()


def test_face_is_judged_shown_and_talked_about(open_page, detector, face_file):
    page = open_page(1280)
    expect(page.get_by_text(ui_text.NOTICE)).to_be_visible()
    upload(page, face_file)
    page.get_by_role("button", name="Analyze").click()

    expect(page.locator("#fs-verdict .fs-spoof")).to_contain_text("Spoof")
    expect(page.locator("#fs-verdict")).to_contain_text("80.0%")
    overlay = page.locator("#fs-boxes img").nth(1)
    expect(overlay).to_be_visible()
    assert mask_box(page, overlay) == pytest.approx([0.3, 0.1, 0.7, 0.9], abs=0.01)

    page.get_by_role("tab", name="Why").click()
    expect(page.locator("#fs-why textarea")).to_have_value("A dot pattern on the skin.")

    page.get_by_role("tab", name="Chat").click()
    page.locator("#fs-question textarea").fill("Where is it?")
    page.keyboard.press("Enter")
    answer = page.locator("#fs-chat .bot").last
    expect(answer).to_contain_text("The spoof")  # streamed: its beginning is there first
    expect(answer).to_contain_text(REPLY)  # as text: <paper> is no tag
    expect(page.locator("#fs-question textarea")).to_have_value("")
    assert detector.messages == [{"role": "user", "content": "Where is it?"}]

    page.get_by_role("tab", name="JSON").click()
    expect(page.locator("#fs-json")).to_contain_text('"attack_type"')
    assert detector.asked == [((512, 512), ui_text.TASKS["all"].tasks)]


def test_slider_decides_again_without_the_model(open_page, detector, face_file):
    page = open_page(1280)
    upload(page, face_file)
    page.get_by_role("button", name="Analyze").click()
    expect(page.locator("#fs-verdict")).to_contain_text("Spoof")
    expect(page.locator("#fs-boxes img")).to_have_count(2)
    page.locator("#fs-threshold input[type=range]").fill("0.9")
    expect(page.locator("#fs-verdict")).to_contain_text("Real")
    expect(page.locator("#fs-verdict")).to_contain_text("threshold 90%")
    expect(page.locator("#fs-boxes img")).to_have_count(1)
    assert len(detector.asked) == 1


@pytest.mark.parametrize("task", ["coarse", "cot"])
def test_selector_asks_one_task_and_explains_it(open_page, detector, face_file, task):
    page = open_page(1280)
    choice = ui_text.TASKS[task]
    page.locator("#fs-task").get_by_label(choice.name).check()
    expect(page.locator("#fs-task")).to_contain_text(choice.help)
    upload(page, face_file)
    page.get_by_role("button", name="Analyze").click()
    expect(page.locator("#fs-verdict")).to_contain_text("Spoof")
    assert detector.asked == [((512, 512), choice.tasks)]


def test_one_click_on_an_example_judges_it_and_another_photo_starts_anew(open_page, tmp_path):
    page = open_page(360, 740)
    page.locator("#fs-examples").get_by_role("button", name="Photo").click()
    band = page.locator("#fs-verdict .fs-spoof")
    expect(band).to_be_in_viewport()  # on a phone it is below the photo
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    other = tmp_path / "other.png"
    Image.new("RGB", (40, 30)).save(other)
    page.locator("#fs-photo").get_by_label("Remove Image").or_(page.locator("#fs-photo button[title=Clear]")).click()
    upload(page, other)
    expect(page.locator("#fs-verdict")).to_contain_text(ui_text.WAITING)


def test_stop_ends_an_answer(open_page, detector, face_file):
    page = open_page(1280)
    upload(page, face_file)
    page.get_by_role("tab", name="Chat").click()
    page.locator("#fs-question textarea").fill("Go on for ever.")
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#fs-chat .bot").last).to_contain_text("and and")
    page.get_by_role("button", name="Stop").click()
    assert detector.stopped.wait(10)


def test_mistakes_are_told_in_words(open_page, tmp_path, face_file):
    page = open_page(1280)
    page.get_by_role("button", name="Analyze").click()
    toast = page.locator(".toast-body").last
    expect(toast).to_contain_text(ui_text.NO_IMAGE)

    broken = tmp_path / "broken.jpg"
    broken.write_bytes(face_file.read_bytes()[:4000])
    page.locator("#fs-photo input[type=file]").set_input_files(broken)
    page.locator("#fs-photo img").first.wait_for(state="attached")
    page.get_by_role("button", name="Analyze").click()
    expect(page.locator(".toast-body").last).to_contain_text("truncated")
    assert not re.search(r"Traceback|/tmp|gradio/", page.locator("body").inner_text())


def mask_box(page, overlay):
    """Where the overlay picture is not transparent, as fractions of it: x1, y1, x2, y2."""
    return page.evaluate(
        """async (image) => {
            await image.decode();
            const {naturalWidth: width, naturalHeight: height} = image;
            const context = new OffscreenCanvas(width, height).getContext('2d');
            context.drawImage(image, 0, 0);
            const pixels = context.getImageData(0, 0, width, height).data;
            const xs = [], ys = [];
            for (let i = 0; i < width * height; i++) {
                if (pixels[4 * i + 3]) { xs.push(i % width); ys.push(Math.floor(i / width)); }
            }
            const least = (list) => list.reduce((a, b) => Math.min(a, b));
            const most = (list) => list.reduce((a, b) => Math.max(a, b));
            return [least(xs) / width, least(ys) / height, (most(xs) + 1) / width, (most(ys) + 1) / height];
        }""",
        overlay.element_handle(),
    )
