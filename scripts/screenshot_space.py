"""Photograph the Space for the README and the docs: starts it, tries an example, and saves what a visitor sees.

    python scripts/screenshot_space.py [--example Print] [--output docs/images] [--only phone]

Four pictures: `space.png` (a desktop), `space-phone.png` (360 pixels wide), `space-dark.png` (by night) and
`space-views.png` (what the model saw). They show attacks simulated on NASA's portrait of Eileen Collins (public
domain, from scikit-image). It needs the `space` and `dev` extras and a Chromium of the system
(`apt-get install chromium`).
"""

import argparse
import io
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright


ROOT = Path(__file__).resolve().parents[1]
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
MAX_BYTES = 300_000


@dataclass(frozen=True)
class Shot:
    """One picture: its file, the window's width, the theme, the example, the open tab, and which part of the page."""

    file: str
    width: int
    theme: str
    example: str
    tab: str = "Where"
    part: str = "html"


SHOTS = {
    "desktop": Shot("space.png", 1280, "light", "Print"),
    "phone": Shot("space-phone.png", 360, "light", "Replay"),
    "dark": Shot("space-dark.png", 1280, "dark", "Paper mask"),
    "views": Shot("space-views.png", 1280, "light", "Print", "Views", "#fs-tabs"),
}


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--example", help="the example to click, by its name on the page; one of its own a picture")
    parser.add_argument("--only", choices=SHOTS, help="one of the pictures; all by default")
    parser.add_argument("--model", help="Hub id or folder of a checkpoint; the embedded one by default")
    parser.add_argument("--url", help="of a Space that runs already")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "images", help="folder of the pictures")
    options = parser.parse_args()
    shots = [SHOTS[options.only]] if options.only else list(SHOTS.values())
    if options.example:
        shots = [replace(shot, example=options.example) for shot in shots]
    if options.url:
        photograph(options.url, shots, options.output)
    else:
        with running_space(options.model) as url:
            photograph(url, shots, options.output)


@contextmanager
def running_space(model: str | None) -> Iterator[str]:
    """Start the Space on a port of its own; yields its address and stops it afterwards."""
    command = [sys.executable, str(ROOT / "space" / "app.py"), "--port", "7869"]
    process = subprocess.Popen(command + (["--model", model] if model else []), stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = (re.search(r"FaceShield is at (\S+)", line) for line in process.stdout)
        match = next(filter(None, found), None)
        if match is None:
            sys.exit("the Space did not start: see the message above")
        yield match[1]
    finally:
        process.terminate()
        process.wait()


def photograph(url: str, shots: list[Shot], folder: Path) -> None:
    """Take each picture and save it as a PNG of at most 300 kB."""
    chromium = next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    if chromium is None:
        sys.exit(f"no browser: install one of {', '.join(CHROMIUM_NAMES)}, as in 'apt-get install chromium'")
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        flags = ["--headless", "--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        for shot in shots:
            picture = reduced(take(browser, url, shot))
            (folder / shot.file).write_bytes(picture)
            print(f"{folder / shot.file}: {len(picture):,} bytes", flush=True)
        browser.close()


def take(browser: Browser, url: str, shot: Shot) -> bytes:
    """Open the page, try an example, wait until everything is said, and take what the picture shows, all of it."""
    page = browser.new_page(
        viewport={"width": shot.width, "height": 800}, reduced_motion="reduce", locale="en-US", color_scheme="light"
    )
    page.set_default_timeout(300_000)
    page.goto(f"{url}?__theme={shot.theme}")
    page.locator("#fs-examples button", has_text=re.compile(rf"^\s*{re.escape(shot.example)}\s*$")).click()
    page.locator("#fs-verdict .fs-score").wait_for()
    tabs = page.locator("#fs-tabs")
    tabs.get_by_role("tab", name="Views", exact=True).click()
    page.locator("#fs-heat .fs-small").first.wait_for()  # the last thing that a run draws
    tabs.get_by_role("tab", name=shot.tab, exact=True).click()
    if shot.tab == "Where":
        page.locator("#fs-boxes .fs-box").first.wait_for()
    page.mouse.move(0, 0)
    page.evaluate("document.activeElement.blur(); window.scrollTo(0, 0)")
    page.wait_for_timeout(1500)  # pictures fade in
    size = page.locator(shot.part).bounding_box()
    assert size is not None
    page.set_viewport_size({"width": shot.width, "height": round(size["y"] + size["height"])})  # all in view
    picture = page.locator(shot.part).screenshot()
    page.close()
    return picture


def reduced(picture: bytes) -> bytes:
    """Bring a PNG to as many colours as a repository has room for; exits if there is none for 32."""
    for count in (256, 128, 64, 32):
        small = io.BytesIO()
        colours = Image.open(io.BytesIO(picture)).convert("RGB").quantize(count, dither=Image.Dither.NONE)
        colours.save(small, "PNG", optimize=True)
        if len(small.getvalue()) <= MAX_BYTES:
            return small.getvalue()
    sys.exit(f"the picture has {len(small.getvalue()):,} bytes, more than {MAX_BYTES:,}: choose another example")


if __name__ == "__main__":
    main()
