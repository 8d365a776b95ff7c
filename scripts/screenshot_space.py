"""Photograph the Space for the README: starts it, tries an example, and saves what a visitor sees.

    python scripts/screenshot_space.py [--example Print] [--width 1280] [--output docs/images/space.png]

The picture shows NASA's portrait of Eileen Collins (public domain, from scikit-image) and attacks simulated on it. It
needs the `space` and `dev` extras and a Chromium of the system (`apt-get install chromium`).
"""

import argparse
import io
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright


ROOT = Path(__file__).resolve().parents[1]
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
MAX_BYTES = 300_000


def main() -> None:
    """Take one picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--example", default="Print", help="the example to click, by its name on the page")
    parser.add_argument("--tab", default="Where", help="the tab to show")
    parser.add_argument("--width", type=int, default=1280, help="of the window, in pixels; 360 is a phone")
    parser.add_argument("--dark", action="store_true", help="by night")
    parser.add_argument("--model", help="Hub id or folder of a checkpoint; the embedded one by default")
    parser.add_argument("--url", help="of a Space that runs already")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "images" / "space.png")
    options = parser.parse_args()
    if options.url:
        picture = photograph(options.url, options.example, options.tab, options.width, options.dark)
    else:
        with running_space(options.model) as url:
            picture = photograph(url, options.example, options.tab, options.width, options.dark)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_bytes(picture)
    print(f"{options.output}: {len(picture):,} bytes")


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


def photograph(url: str, example: str, tab: str, width: int, dark: bool) -> bytes:
    """Open the page, try an example, wait for its verdict, and take the whole page.

    Returns:
        `bytes`: a PNG of at most 300 kB, its colours reduced to 256.
    """
    chromium = next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    if chromium is None:
        sys.exit(f"no browser: install one of {', '.join(CHROMIUM_NAMES)}, as in 'apt-get install chromium'")
    with sync_playwright() as playwright:
        flags = ["--headless", "--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        page = browser.new_page(viewport={"width": width, "height": 800}, reduced_motion="reduce")
        page.goto(url + ("?__theme=dark" if dark else "?__theme=light"))
        page.locator("#fs-examples button", has_text=re.compile(rf"^\s*{re.escape(example)}\s*$")).click()
        page.locator("#fs-verdict .fs-score").wait_for(timeout=120_000)
        page.get_by_role("tab", name=tab).click()
        page.mouse.move(0, 0)
        page.wait_for_timeout(1500)  # pictures fade in
        picture = page.screenshot(full_page=True)
        browser.close()
    return reduced(picture)


def reduced(picture: bytes) -> bytes:
    """Bring a PNG to 256 colours; exits if it is still too large for a repository."""
    small = io.BytesIO()
    colours = Image.open(io.BytesIO(picture)).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    colours.save(small, "PNG", optimize=True)
    size = len(small.getvalue())
    if size > MAX_BYTES:
        sys.exit(f"the picture has {size:,} bytes, more than {MAX_BYTES:,}: choose a smaller --width")
    return small.getvalue()


if __name__ == "__main__":
    main()
