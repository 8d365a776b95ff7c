"""What it costs to start: importing the package, the command line, the first verdict. New processes each time.

python tests/benchmarks/bench_start.py [--repeats 5]
"""

# ruff: noqa: T201

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from measure import HEADER, Row, by_turns, in_ms, ratio


VERDICT = """
from faceshield_hf import FaceShield
import numpy as np
print(FaceShield.from_pretrained(device="cpu").detect(np.full((512, 512, 3), 128, np.uint8)).label)
"""


def run(*arguments: str, program: str = sys.executable) -> None:
    """Run Python, or a program beside it, in a process of its own."""
    subprocess.run([program, *arguments], check=True, capture_output=True)


def used_by_children() -> float:
    """Processor seconds of all processes that ended."""
    times = os.times()
    return times.children_user + times.children_system


def measure(repeats: int = 5) -> list[Row]:
    """Measure processes by turns."""
    ours, theirs, nothing = by_turns(
        repeats,
        lambda: run("-c", "import faceshield_hf"),
        lambda: run("-c", "import transformers"),
        lambda: run("-c", ""),
        clock=used_by_children,
    )
    bare = statistics.median(nothing)
    ours, theirs = [time - bare for time in ours], [time - bare for time in theirs]
    clock = time.perf_counter
    program = str(Path(sys.executable).with_name("faceshield"))
    [listed] = by_turns(repeats, lambda: run("--help", program=program), clock=clock)
    [verdict] = by_turns(max(2, repeats // 2), lambda: run("-c", VERDICT), clock=clock)
    return [
        Row("`import faceshield_hf`", "`import transformers`", ratio(ours, theirs), 1.2, detail=in_ms(ours, theirs)),
        Row("`faceshield --help`", "", statistics.median(listed) / 1e3, 1.0, unit="s", detail="wall clock"),
        Row(
            "cold start to the first verdict, all tasks",
            "",
            statistics.median(verdict) / 1e3,
            5.0,
            unit="s",
            detail="wall clock of the whole process, files in the system's cache",
        ),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    print(HEADER, *(row.to_markdown() for row in measure(parser.parse_args().repeats)), sep="\n")
