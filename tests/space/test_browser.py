"""What a visitor sees and does, in a real browser; skipped, and saying so, where the system has none."""

import base64
import re
import time

import pytest
from fake_detector import BOX, REPLY, SPOOF
from PIL import Image
from playwright.sync_api import expect
from space_site import PATIENCE
from ui_words import ENGLISH, TASK_LISTS
from ui_words_fr import FRENCH

from faceshield_hf.tasks_faceshield import Task, format_answer


pytestmark = pytest.mark.browser


def upload(page, path, where="#fs-photo"):
    page.locator(f"{where} input[type=file]").set_input_files(path)
    page.locator(f"{where} img").first.wait_for()


def analyze(page):
    page.get_by_role("button", name="Analyze", exact=True).click()


def tab(page, name):
    page.locator("#fs-tabs").get_by_role("tab", name=name, exact=True).click()


def part(page, name):
    page.locator("#fs-pages > .tab-wrapper").get_by_role("tab", name=name, exact=True).click()


def shares(box, canvas):
    """Where an element lies on another: x1, y1, x2, y2 as shares of it."""
    inner, outer = box.bounding_box(), canvas.bounding_box()
    left, top = inner["x"] - outer["x"], inner["y"] - outer["y"]
    ends = (left, top, left + inner["width"], top + inner["height"])
    return [end / outer[side] for end, side in zip(ends, ("width", "height") * 2, strict=True)]


# ---- one photo ----


def test_photo_is_judged_and_shown_in_every_way(page, detector, face):
    expect(page.get_by_text(ENGLISH.notice)).to_be_visible()
    upload(page, face)
    analyze(page)
    expect(page.locator("#fs-verdict .fs-spoof")).to_contain_text("Spoof")
    expect(page.locator("#fs-verdict")).to_contain_text("80.0%")

    box = page.locator("#fs-boxes .fs-box")
    assert shares(box, page.locator("#fs-boxes .fs-canvas")) == pytest.approx(BOX, abs=0.01)
    page.locator("#fs-boxes").get_by_label("Print (1)").uncheck()
    expect(box).to_be_hidden()
    page.locator("#fs-boxes").get_by_label("Print (1)").check()
    expect(box).to_be_visible()

    tab(page, "Why")
    expect(page.locator("#fs-why .fs-prose")).to_contain_text("A dot pattern lies on the skin {{7*7}} ${7*7} <img")

    tab(page, "Views")
    over = page.locator("#fs-views .fs-over")
    assert over.evaluate("image => getComputedStyle(image).clipPath") == "inset(0px 0px 0px 50%)"
    page.locator("#fs-views .fs-cut").focus()
    page.keyboard.press("Home")
    assert over.evaluate("image => getComputedStyle(image).clipPath") == "inset(0px 0px 0px 0%)"
    expect(page.locator("#fs-views .fs-small img")).to_have_count(3)
    expect(page.locator("#fs-heat .fs-small img")).to_have_count(2)
    expect(page.locator("#fs-heat")).to_contain_text("Is the face in the image real or spoof?")

    tab(page, "JSON")
    expect(page.locator("#fs-json")).to_contain_text('"attack_type"')
    expect(page.locator("#fs-code")).to_contain_text("FaceShield.from_pretrained()")
    assert detector.asked == [((512, 512), ("coarse", "fine", "localization"))]  # the long answer was streamed


def test_sliders_decide_again_without_the_model(page, detector, face):
    upload(page, face)
    analyze(page)
    expect(page.locator("#fs-boxes .fs-box")).to_have_count(1)
    page.locator("#fs-threshold input[type=range]").fill("0.9")
    expect(page.locator("#fs-verdict .fs-real")).to_contain_text("Threshold 90.0%")
    expect(page.locator("#fs-boxes .fs-box")).to_have_count(0)
    page.locator("#fs-margin input[type=range]").fill("0.2")
    expect(page.locator("#fs-verdict .fs-unsure")).to_contain_text("Unsure")
    assert len(detector.asked) == 1


@pytest.mark.parametrize("task", [task for task in TASK_LISTS if task != "all"])
def test_each_task_is_explained_asked_and_answered(page, detector, face, task):
    choice = ENGLISH.tasks[task]
    page.locator("#fs-task").get_by_label(choice.name, exact=True).check()
    expect(page.locator("#fs-task")).to_contain_text(choice.help)
    upload(page, face)
    analyze(page)
    expect(page.locator("#fs-verdict")).to_contain_text("Spoof")
    tab(page, "JSON")
    expect(page.locator("#fs-json")).to_contain_text(f'"{task}"')
    tab(page, "Why")
    expect(page.locator("#fs-why summary")).to_be_visible()
    heading = page.locator("#fs-why").get_by_role("heading", name=ENGLISH.chain["conclusion"])
    expect(heading).to_have_count(1 if task == "cot" else 0)


def test_advice_comes_before_the_verdict(page, detector, tmp_path):
    detector.pause = 2.0
    Image.new("RGB", (300, 300), "gray").save(tmp_path / "no-face.png")
    upload(page, tmp_path / "no-face.png")
    analyze(page)
    band = page.locator("#fs-verdict .fs-band")
    expect(band).to_contain_text(ENGLISH.advice["no_face"])
    expect(band).to_contain_text(ENGLISH.judging)
    expect(band).to_contain_text("Spoof")
    expect(band).to_contain_text(ENGLISH.advice["no_face"])


def test_explanation_comes_word_by_word(page, detector, face):
    detector.word_pause = 0.15
    upload(page, face)
    tab(page, "Why")
    analyze(page)
    prose = page.locator("#fs-why .fs-prose")
    expect(prose).to_contain_text("A dot")
    assert "conclude" not in prose.inner_text()
    expect(page.locator("#fs-why summary")).to_be_visible()


def test_one_click_on_an_example_judges_it_and_another_photo_starts_anew(page, site, tmp_path):
    page.set_viewport_size({"width": 360, "height": 740})
    page.locator("#fs-examples").get_by_role("button", name="Portrait").click()
    expect(page.locator("#fs-verdict .fs-spoof")).to_be_in_viewport()  # on a phone it is below the photo
    Image.new("RGB", (140, 130)).save(tmp_path / "other.png")
    page.locator("#fs-photo").get_by_label("Remove Image").or_(page.locator("#fs-photo button[title=Clear]")).click()
    upload(page, tmp_path / "other.png")
    expect(page.locator("#fs-verdict")).to_contain_text(ENGLISH.waiting)


def test_camera_takes_a_photo(page, detector):
    page.locator("#fs-photo").get_by_label("Capture from camera").click()
    page.locator("#fs-photo").get_by_title("grant webcam access").or_(page.locator("#fs-photo .access")).first.click()
    page.locator("#fs-photo video").wait_for()
    page.wait_for_function("document.querySelector('#fs-photo video').videoWidth > 0")
    page.locator("#fs-photo").get_by_label("capture photo").click()
    page.locator("#fs-photo img").first.wait_for()
    analyze(page)
    expect(page.locator("#fs-verdict")).to_contain_text("Spoof")
    assert detector.asked[0][0][0] >= 320  # the fake device's picture


def test_clipboard_gives_a_photo(page, detector, face):
    page.context.grant_permissions(["camera", "clipboard-read", "clipboard-write"])
    Image.open(face).save(face.with_suffix(".png"))
    page.evaluate(
        """async (encoded) => {
            const blob = await (await fetch('data:image/png;base64,' + encoded)).blob();
            await navigator.clipboard.write([new ClipboardItem({'image/png': blob})]);
        }""",
        base64.b64encode(face.with_suffix(".png").read_bytes()).decode(),
    )
    page.locator("#fs-photo").get_by_label("Paste from clipboard").click()
    page.locator("#fs-photo img").first.wait_for()
    analyze(page)
    expect(page.locator("#fs-verdict")).to_contain_text("Spoof")
    assert detector.asked[0][0] == (512, 512)


def test_another_checkpoint_brings_its_own_threshold(page, face):
    page.get_by_role("button", name=ENGLISH.checkpoint).click()
    page.locator("#fs-model input").click()
    page.get_by_role("option", name="another").click()
    expect(page.locator("#fs-model-name")).to_contain_text("another")
    expect(page.locator("#fs-threshold input[type=number]")).to_have_value("0.9")
    part(page, ENGLISH.tab_batch)
    expect(page.locator("#fs-batch-threshold input[type=number]")).to_have_value("0.9")
    part(page, ENGLISH.tab_photo)
    upload(page, face)
    analyze(page)
    expect(page.locator("#fs-verdict .fs-real")).to_contain_text("Real")


def test_another_photo_ends_what_is_said_of_the_last(page, detector, face, tmp_path):
    upload(page, face)
    tab(page, "Chat")
    ask(page, "Go on for ever.")
    expect(page.locator("#fs-chat .bot").last).to_contain_text("and and")
    Image.new("RGB", (140, 130)).save(tmp_path / "other.png")
    page.locator("#fs-photo input[type=file]").first.set_input_files(tmp_path / "other.png")
    assert detector.stopped.wait(PATIENCE / 1000)
    expect(page.locator("#fs-chat .bot")).to_have_count(0)
    analyze(page)
    expect(page.locator("#fs-verdict")).to_contain_text("Spoof")
    assert detector.asked == [((140, 130), ("coarse", "fine", "localization"))]


# ---- the conversation ----

MARKUP = "<b>Sure?</b> <i onclick=alert(1)> &lt; 2 < 3 & $$x^2$$ <!-- -->"


def ask(page, question):
    page.locator("#fs-question textarea, #fs-question input").fill(question)
    page.keyboard.press("Enter")


def test_conversation_streams_remembers_and_draws(page, detector, face):
    detector.word_pause = 0.05
    upload(page, face)
    tab(page, "Chat")
    ask(page, "Where is it?")
    answer = page.locator("#fs-chat .bot").last
    expect(answer).to_contain_text("The spoof")  # streamed: its beginning is there first
    expect(page.locator("#fs-chat")).to_contain_text(REPLY)  # as text: <paper> is no tag
    box = page.locator("#fs-chat .fs-box")
    assert shares(box, page.locator("#fs-chat .fs-canvas")) == pytest.approx(BOX, abs=0.02)
    expect(page.locator("#fs-question textarea, #fs-question input")).to_have_value("")
    ask(page, MARKUP)
    expect(page.locator("#fs-chat .user").last).to_contain_text(MARKUP)
    expect(page.locator("#fs-chat .bot .fs-box")).to_have_count(2)
    assert page.locator("#fs-chat").locator("b, i, paper, .katex").count() == 0
    assert [(turn["role"], turn["content"].strip()) for turn in detector.messages] == [
        ("user", "Where is it?"),
        ("assistant", REPLY),
        ("user", MARKUP),
    ]


def test_chain_of_thought_in_a_chat_stands_under_headings(page, detector, face):
    upload(page, face)
    tab(page, "Chat")
    ask(page, "Analyze the face in the image step by step.")
    headings = "[...document.querySelectorAll('.bot .fs-chain')].map((e) => getComputedStyle(e, '::before').content)"
    page.wait_for_function(f"{headings}.includes('\"{ENGLISH.chain['conclusion']}\"')")
    expect(page.locator("#fs-chat .bot")).to_contain_text("spoof (Print)")
    assert "<" not in page.locator("#fs-chat .bot").first.inner_text().replace("<img src=x onerror=alert(1)>", "")
    ask(page, "Why?")
    expect(page.locator("#fs-chat .user")).to_have_count(2)
    expect(page.locator("#fs-chat .fs-box")).not_to_have_count(0)
    assert detector.messages[1]["content"].strip() == format_answer(SPOOF, Task.COT)


def test_message_is_copied_as_it_was_written(page, face):
    page.context.grant_permissions(["camera", "clipboard-read", "clipboard-write"])
    upload(page, face)
    tab(page, "Chat")
    ask(page, MARKUP)
    expect(page.locator("#fs-chat .fs-box")).to_have_count(1)
    page.locator("#fs-chat").get_by_role("button", name="Copy conversation").click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert MARKUP in copied and REPLY in copied
    assert page.get_by_label(f"user's message: {MARKUP}").count() == 1


@pytest.mark.parametrize("key", [None, "Escape"], ids=["button", "Esc"])
def test_stop_ends_an_answer_and_the_next_is_given(page, detector, face, key):
    upload(page, face)
    tab(page, "Chat")
    ask(page, "Go on for ever.")
    expect(page.locator("#fs-chat .bot").last).to_contain_text("and and")
    page.keyboard.press(key) if key else page.locator("#fs-stop").click()
    assert detector.stopped.wait(PATIENCE / 1000)
    ask(page, "Where is it?")
    expect(page.locator("#fs-chat")).to_contain_text("held before the face")


# ---- many photos, a simulated attack ----


def test_batch_fills_a_table_that_can_be_saved(page, detector, tmp_path):
    detector.pause = 0.2
    files = []
    for i, red in enumerate((10, 200, 30, 255, 90)):
        files.append(tmp_path / f"photo-{i}.png")
        Image.new("RGB", (20, 20), (red, 0, 0)).save(files[-1])
    (tmp_path / "broken.png").write_bytes(b"no image")
    part(page, ENGLISH.tab_batch)
    page.locator("#fs-files input[type=file]").set_input_files([*files, tmp_path / "broken.png"])
    expect(page.locator("#fs-files")).to_contain_text("photo-4")
    page.locator("#fs-batch-run").click()
    expect(page.locator("#fs-batch progress")).to_be_visible()
    expect(page.locator("#fs-batch .fs-summary")).to_have_text("6 photos: 2 spoof, 0 unsure, 3 real, 1 unreadable")
    names = page.locator("#fs-batch tbody th").all_inner_texts()
    assert names == [f"photo-{i}.png" for i in (3, 1, 4, 2, 0)] + ["broken.png"]
    with page.expect_download() as download:
        page.get_by_role("link", name=ENGLISH.batch_csv).click()
    lines = download.value.path().read_text(encoding="utf-8-sig").splitlines()
    assert download.value.suggested_filename == "faceshield.csv"
    assert len(lines) == 7 and lines[1].startswith("photo-3.png,spoof,1.0,")


def test_batch_can_be_stopped(page, detector, tmp_path):
    detector.pause = 0.5
    files = [tmp_path / f"{i}.png" for i in range(12)]
    for file in files:
        Image.new("RGB", (20, 20)).save(file)
    part(page, ENGLISH.tab_batch)
    page.locator("#fs-files input[type=file]").set_input_files(files)
    expect(page.locator("#fs-files")).to_contain_text("11")
    page.locator("#fs-batch-run").click()
    expect(page.locator("#fs-batch")).to_contain_text("4 of 12 judged")
    page.locator("#fs-batch-stop").click()
    expect(page.locator("#fs-batch progress")).to_have_count(0)
    page.wait_for_timeout(2500)
    expect(page.locator("#fs-batch tbody tr")).to_have_count(4)
    assert len(detector.asked) <= 8


def test_simulated_attack_changes_the_verdict(page, detector, face):
    upload(page, face)
    part(page, ENGLISH.tab_simulate)
    page.locator("#fs-simulate-photo img").first.wait_for()  # the photo of the first tab is there already
    page.locator("#fs-simulate-kind").get_by_label("Tattoo").check()
    detector.score_of = lambda image: 0.1 if image.size == (512, 512) else 0.95
    page.locator("#fs-simulate-run").click()
    figures = page.locator("#fs-simulation")
    expect(figures).to_contain_text("p(spoof) went from 10.0% to 95.0%.")
    expect(figures.locator(".fs-real")).to_be_visible()
    expect(figures.locator(".fs-spoof")).to_be_visible()
    expect(figures.locator(".fs-box:not(.fs-dashed)").first).to_contain_text("Tattoo")


# ---- mistakes ----


def test_mistakes_are_told_in_words(page, tmp_path, face):
    toast = page.locator(".toast-body").last
    analyze(page)
    expect(toast).to_contain_text(ENGLISH.no_image)
    (tmp_path / "broken.jpg").write_bytes(face.read_bytes()[:4000])
    page.locator("#fs-photo input[type=file]").set_input_files(tmp_path / "broken.jpg")
    page.locator("#fs-photo img").first.wait_for(state="attached")
    analyze(page)
    expect(toast).to_contain_text("truncated")
    tab(page, "Chat")
    upload_again = page.locator("#fs-photo").get_by_label("Remove Image")
    upload_again.or_(page.locator("#fs-photo button[title=Clear]")).click()
    upload(page, face)
    ask(page, "What is <image> here?")
    expect(toast).to_contain_text("leave it out")
    assert not re.search(r"Traceback|/tmp|gradio/", page.locator("body").inner_text())


# ---- nothing is kept ----


def test_photo_is_deleted_when_it_is_replaced_and_when_the_page_is_left(page, site, tmp_path):
    def there(name):
        return [path for path in site.cache.rglob(name) if path.is_file()]

    def gone(name):
        end = time.monotonic() + PATIENCE / 1000
        while there(name) and time.monotonic() < end:
            time.sleep(0.1)
        return not there(name)

    for name, shade in (("first.png", 10), ("second.png", 20)):
        Image.new("RGB", (140, 130), (shade, shade, shade)).save(tmp_path / name)
    upload(page, tmp_path / "first.png")
    analyze(page)
    expect(page.locator("#fs-verdict")).to_contain_text("Spoof")
    assert len(there("first.png")) == 1
    page.locator("#fs-photo").get_by_label("Remove Image").or_(page.locator("#fs-photo button[title=Clear]")).click()
    upload(page, tmp_path / "second.png")
    assert gone("first.png") and there("second.png")
    page.goto("about:blank")
    assert gone("second.png")
    page.goto(site.url)
    names = page.evaluate("async () => (await indexedDB.databases()).map((base) => base.name)")
    assert names == [] and not page.evaluate("Object.keys(localStorage).some((key) => /history|photo/.test(key))")
    expect(page.locator("#fs-examples img").first).to_have_js_property("complete", True)
    assert page.locator("#fs-examples img").first.evaluate("image => image.naturalWidth") > 0


# ---- for everyone ----

CONTRASTS = """() => {
    const parse = (text) => {
        const numbers = text.match(/[\\d.]+(e-?\\d+)?/g).map(Number);
        if (text.startsWith('color(')) for (let i = 0; i < 3; i++) numbers[i] *= 255;
        return {rgb: numbers.slice(0, 3), alpha: numbers.length > 3 ? numbers[3] : 1};
    };
    const over = (top, base) => base.map((value, i) => top.rgb[i] * top.alpha + value * (1 - top.alpha));
    const light = (rgb) => {
        const [r, g, b] = rgb.map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const back = (element) => {
        const layers = [];
        for (let e = element; e; e = e.parentElement) layers.push(parse(getComputedStyle(e).backgroundColor));
        return layers.reverse().reduce((base, layer) => over(layer, base), [255, 255, 255]);
    };
    const bad = [];
    const check = (text, element, style) => {
        const base = back(element), front = light(over(parse(style.color), base)), behind = light(base);
        const [a, b] = [front, behind].sort((x, y) => y - x);
        const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
        const ratio = (a + 0.05) / (b + 0.05);
        if (ratio < (large ? 3 : 4.5)) bad.push(`${ratio.toFixed(2)} ${text.slice(0, 40)} <${element.className}>`);
    };
    const seen = (element) => element.checkVisibility({visibilityProperty: true, opacityProperty: true});
    for (const e of document.querySelectorAll('input[placeholder], textarea[placeholder]')) {
        if (e.placeholder && !e.value && seen(e)) check(e.placeholder, e, getComputedStyle(e, '::placeholder'));
    }
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const text = walker.currentNode.textContent.trim(), e = walker.currentNode.parentElement;
        if (!text || !seen(e)) continue;
        if (e.closest('button:disabled, script, style, .fs-canvas')) continue;
        const rect = e.getBoundingClientRect();
        if (rect.width < 2 || rect.height < 2) continue;
        const style = getComputedStyle(e);
        if (style.backgroundImage === 'none') check(text, e, style);
    }
    return bad;
}"""


def fill(page, face):
    """Have something said on every tab: a verdict, an answer, a table, a simulation."""
    upload(page, face)
    analyze(page)
    expect(page.locator("#fs-verdict .fs-label")).to_be_visible()
    tab(page, ENGLISH.chat)
    ask(page, "Where is it?")
    expect(page.locator("#fs-chat .fs-box")).to_be_visible()
    part(page, ENGLISH.tab_batch)
    page.locator("#fs-files input[type=file]").set_input_files(face)
    expect(page.locator("#fs-files")).to_contain_text("face")
    page.locator("#fs-batch-run").click()
    expect(page.locator("#fs-batch tbody tr")).to_have_count(1)
    part(page, ENGLISH.tab_simulate)
    page.locator("#fs-simulate-photo img").first.wait_for()
    page.locator("#fs-simulate-run").click()
    expect(page.locator("#fs-simulation .fs-box")).not_to_have_count(0)
    part(page, ENGLISH.tab_photo)


def every_tab(page):
    """Goes through all tabs, the photo judged; yields at each."""
    for name in (ENGLISH.where, ENGLISH.why, ENGLISH.views_tab, ENGLISH.chat, ENGLISH.json):
        tab(page, name)
        yield name
    for name in (ENGLISH.tab_batch, ENGLISH.tab_simulate):
        part(page, name)
        yield name


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_text_stands_out_from_its_background(page, site, face, theme):
    """WCAG 2.2 AA: a contrast of 4.5, of 3 for large letters."""
    page.goto(f"{site.url}?__theme={theme}")
    fill(page, face)
    assert {name: bad for name in every_tab(page) if (bad := page.evaluate(CONTRASTS))} == {}


def test_every_control_has_a_name_for_screen_readers(page, face):
    fill(page, face)
    assert page.evaluate("document.documentElement.lang") == "en"
    expect(page.locator("#fs-verdict")).to_have_attribute("aria-live", "polite")
    reader = page.context.new_cdp_session(page)
    controls = {"button", "textbox", "slider", "radio", "checkbox", "link", "image", "tab", "combobox", "spinbutton"}
    for name in every_tab(page):
        nodes = reader.send("Accessibility.getFullAXTree")["nodes"]
        found = [node for node in nodes if not node["ignored"] and node["role"]["value"] in controls]
        nameless = [node["role"] for node in found if not node.get("name", {}).get("value", "").strip()]
        assert nameless == [] and len(found) > 10, name


def test_page_fits_a_phone(page, face):
    page.set_viewport_size({"width": 360, "height": 740})
    fill(page, face)
    for name in every_tab(page):
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, name
    page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    expect(page.get_by_text(ENGLISH.notice)).to_be_in_viewport()  # it is always there


def test_keyboard_alone_is_enough(page, detector, face):
    upload(page, face)
    page.locator("#fs-task").get_by_label("Everything").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#fs-task")).to_contain_text(ENGLISH.tasks["coarse"].help)
    page.keyboard.press("Tab")
    expect(page.locator("#fs-run")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#fs-verdict")).to_contain_text("Spoof")
    page.locator("#fs-tabs").get_by_role("tab", name="Where").focus()
    page.keyboard.press("Tab")
    for _ in range(9):  # to the next tab's button, whichever way the tab list moves
        if page.evaluate("document.activeElement.innerText") == "Why":
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#fs-why summary")).to_be_visible()
    assert detector.asked == [((512, 512), ("coarse",))]


def test_page_speaks_french_too(page, site, face):
    page.get_by_role("link", name="Français").click()
    page.get_by_role("button", name="Analyser", exact=True).wait_for()
    assert page.evaluate("document.documentElement.lang") == "fr"
    expect(page.locator("footer")).to_contain_text("Utiliser via API")  # Gradio's own words too
    analyser = page.locator("#fs-run")
    analyser.click()
    expect(page.locator(".toast-body").last).to_contain_text(FRENCH.no_image)
    upload(page, face)
    analyser.click()
    expect(page.locator("#fs-verdict")).to_contain_text("Attaque")
    expect(page.locator("#fs-verdict")).to_contain_text("80,0 %")
    expect(page.locator("#fs-boxes")).to_contain_text("Photo imprimée : de 30,1 % à 69,9 % de la largeur")
    page.get_by_role("link", name="English").click()
    page.get_by_role("button", name="Analyze", exact=True).wait_for()


def test_french_visitor_lands_on_the_french_page(chromium, site):
    context = chromium.new_context(locale="fr-FR")
    visitor = context.new_page()
    visitor.goto(site.url)
    expect(visitor.get_by_role("button", name="Analyser", exact=True)).to_be_visible()
    visitor.get_by_role("link", name="English").click()
    expect(visitor.get_by_role("button", name="Analyze", exact=True)).to_be_visible()
    expect(visitor.locator("footer")).to_contain_text("Use via API")
    context.close()
