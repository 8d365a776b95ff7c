"""Run the benchmarks that compare with something, and write their table.

    OMP_NUM_THREADS=1 python tests/benchmarks/run.py [--only prefill detect] [--quick] [--out docs/benchmarks.md]

With `--out` the lines between the two marks of that file are replaced. Nothing is asserted: the numbers are read by a
person, and a busy machine gives other ones.
"""

# ruff: noqa: T201

import argparse
import os
import platform
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path


BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"


def benchmarks(quick: bool) -> dict[str, Callable[[], list]]:
    """The benchmarks by name, each imported when it is run."""

    def savp() -> list:
        import bench_savp

        return bench_savp.measure(5 if quick else 20)

    def prefill() -> list:
        import bench_prefill

        return bench_prefill.measure(3 if quick else 15)

    def detect() -> list:
        import bench_detect

        return bench_detect.measure(4 if quick else 16)

    def start() -> list:
        import bench_start

        return bench_start.measure(1 if quick else 5)

    def train() -> list:
        import bench_train

        return bench_train.measure(1 if quick else 5)

    return {"savp": savp, "prefill": prefill, "detect": detect, "start": start, "train": train}


def machine() -> str:
    """What the numbers were measured on, in a sentence."""
    libraries = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers"))
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    threads = os.environ.get("OMP_NUM_THREADS", "all")
    return (
        f"Python {platform.python_version()}, {libraries}; {os.cpu_count()} cores, OMP_NUM_THREADS={threads}, load "
        f"{load} when it began."
    )


def replaced(page: str, table: str) -> str:
    """A page with the lines between the marks replaced.

    Args:
        page (`str`): with both marks, once each.
        table (`str`): what shall stand between them.

    Returns:
        `str`: the new page.

    Raises:
        ValueError: if a mark is missing.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no lines {BEGIN} and {END} to put the table between")
    return f"{before}{begin}\n{table}\n{end}{after}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=sorted(benchmarks(quick=True)), help="these alone")
    parser.add_argument("--quick", action="store_true", help="few rounds: to see that everything runs")
    parser.add_argument("--out", type=Path, help="a page with the two marks")
    options = parser.parse_args()
    from measure import HEADER

    lines = [machine(), "", HEADER]
    for name, bench in benchmarks(options.quick).items():
        if options.only is None or name in options.only:
            print(f"{name} ...", file=sys.stderr, flush=True)
            lines += [row.to_markdown() for row in bench()]
    table = "\n".join(lines)
    print(table)
    if options.out is not None:
        new = replaced(options.out.read_text(encoding="utf-8"), table)
        temporary = options.out.with_suffix(".tmp")
        temporary.write_text(new, encoding="utf-8")
        temporary.replace(options.out)


if __name__ == "__main__":
    main()
