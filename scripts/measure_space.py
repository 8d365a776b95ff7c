"""Measure the Space: how long the page and each task take, and how much memory it holds after many calls.

    python scripts/measure_space.py [--calls 200] [--model REPO_OR_FOLDER] [--out docs/space.md]

It starts the Space, opens its page in a headless Chromium, calls `/analyze` for each task and then `--calls` times,
and prints a table in Markdown; `--out` puts it into a page, between its two marks. The photo is NASA's portrait of
Eileen Collins (public domain, from scikit-image). Linux only: memory is read from /proc.
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
from gradio_client import Client, handle_file
from PIL import Image
from playwright.sync_api import sync_playwright
from process_memory import tree_megabytes
from skimage import data

from faceshield_hf.whole_files import write_whole


ROOT = Path(__file__).resolve().parents[1]
TASKS = ("coarse", "fine", "reasoning", "localization", "cot", "all")
REPEATS = 3


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=200, help="calls of /analyze between the two looks at memory")
    parser.add_argument("--model", help="Hub id or folder of a checkpoint; the embedded one by default")
    parser.add_argument("--out", type=Path, help="a page whose table is replaced")
    options = parser.parse_args()
    command = [sys.executable, str(ROOT / "space" / "app.py"), "--port", "7868"]
    begun = time.perf_counter()
    process = subprocess.Popen(
        command + (["--model", options.model] if options.model else []), stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        match = next(filter(None, (re.search(r"FaceShield is at (\S+)", line) for line in process.stdout)), None)
        if match is None:
            sys.exit("the Space did not start: see the message above")
        rows = [("start", f"{time.perf_counter() - begun:.1f} s")]
        load = f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} when it began."
        for row in measure(match[1], process.pid, options.calls):
            print(*row, sep="\t", flush=True)
            rows.append(row)
    finally:
        process.terminate()
        process.wait()
    table = "\n".join([load, "", "| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])
    print(table)
    if options.out is not None:
        replace_table(options.out, table)


def replace_table(page: Path, table: str) -> None:
    """Put a table between a page's two marks, as the benchmarks do; exits when they are not there."""
    sys.path.insert(0, str(ROOT / "tests" / "benchmarks"))
    from run import replaced

    try:
        new = replaced(page.read_text(encoding="utf-8"), table)
    except ValueError as error:
        sys.exit(f"{page}: {error}")
    write_whole(page, new)


def measure(url: str, pid: int, calls: int) -> Iterator[tuple[str, str]]:
    """Give a row for each number."""
    yield "page, HTML", f"{median(lambda: httpx.get(url).raise_for_status()):.2f} s"
    yield "page in a browser, ready to use", f"{page_seconds(url):.2f} s"
    client = Client(url, verbose=False)
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder) / "photo.jpg"
        Image.fromarray(data.astronaut()).save(photo)
        client.predict(image=handle_file(photo), task="all", api_name="/analyze")
        for task in TASKS:

            def call(task: str = task) -> None:
                client.predict(image=handle_file(photo), task=task, api_name="/analyze")

            yield f"`/analyze`, {task}", f"{median(call):.2f} s"
        yield "memory (PSS)", f"{tree_megabytes(pid):.0f} MB"
        for _ in range(calls):
            client.predict(image=handle_file(photo), task="fine", api_name="/analyze")
        yield f"memory after {calls} calls more", f"{tree_megabytes(pid):.0f} MB"


def median(call: Callable[[], object]) -> float:
    """Run a few times; gives the middle of the seconds."""
    taken = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        call()
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


def page_seconds(url: str) -> float:
    """Open the page in new browser windows; gives the middle of the seconds until it can be used."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        sys.exit("no browser: install one, as in 'apt-get install chromium'")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--headless", "--no-sandbox"])

        def open_page() -> None:
            context = browser.new_context()  # nothing is in its cache
            page = context.new_page()
            page.goto(url)
            page.locator("#fs-run").wait_for()
            context.close()

        seconds = median(open_page)
        browser.close()
    return seconds


if __name__ == "__main__":
    main()
