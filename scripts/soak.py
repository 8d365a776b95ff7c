"""Keep the server or the Space busy for minutes, check every answer, and plot latency, memory and throughput.

    python scripts/soak.py [--space] [--clients 50] [--minutes 10] [--kill] [--model REPO_OR_FOLDER]

Starts `faceshield serve`, or with `--space` the Space, and asks it from `--clients` callers at once about photos whose
right answers were computed before, one by one, in this process. An answer is right when label, type, boxes and words
are equal and the score is within 1e-4. Callers who are told that the server is full come back when they were told to.
Beside them one client uploads byte by byte, one hangs up in the middle, and one sends bombs and garbage. With `--kill`
the server is killed by SIGKILL halfway and started again.

Writes `outputs/soak-<what>.json`, the plot `docs/images/soak-<what>.png`, and prints a table in Markdown. Exit code 1
if an answer was lost, mixed up or wrong, or a hostile request was not refused. Linux only: memory is read from /proc.
The photos are simulated attacks on NASA's portrait of Eileen Collins (public domain, from scikit-image).
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from process_memory import tree_megabytes
from soak_callers import Call, Tally, is_same, keep_asking, percentile
from soak_hostile import drip, hang_up, send_garbage
from soak_targets import QUESTION, Question, Server, Space, Target

from faceshield_hf.whole_files import whole_file, write_whole


ROOT = Path(__file__).resolve().parents[1]
SAMPLE_SECONDS = 2.0
START_SECONDS = 600.0
WINDOWS = 60


@dataclass(frozen=True)
class Sample:
    """What the server's processes held at a time.

    Attributes:
        at (`float`): seconds since the start.
        megabytes (`float`): PSS of all of them.
    """

    at: float
    megabytes: float


class Program:
    """The server or the Space in a process of its own, which can be killed and started again at the same address.

    Args:
        space (`bool`): the Space, else the server.
        model (`str`, *optional*): Hub id or folder of a checkpoint.
        more (`Sequence[str]`): further arguments of `faceshield serve`.
    """

    def __init__(self, space: bool, model: str | None, more: Sequence[str] = ()) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.target: Target = Space(self.url) if space else Server(self.url)
        command = (
            [str(ROOT / "space" / "app.py")]
            if space
            else ["-c", "from faceshield_hf.cli import main; main()", "serve"]
        )
        self._command = [sys.executable, *command, "--port", str(port), *(["--model", model] if model else []), *more]
        self._ready = "/config" if space else "/ready"
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115  (open as long as the program)
        self.process = self._start()

    def _start(self) -> subprocess.Popen:
        return subprocess.Popen(self._command, stdout=self.log, stderr=self.log, start_new_session=True)

    async def ready(self) -> None:
        """Wait until it answers."""
        begun = time.monotonic()
        async with httpx.AsyncClient(timeout=10) as client:
            while time.monotonic() - begun < START_SECONDS:
                with contextlib.suppress(httpx.HTTPError):
                    answer = await client.get(self.url + self._ready)
                    if answer.status_code == 200 or "full" in answer.text:
                        return
                if self.process.poll() is not None:
                    break
                await asyncio.sleep(0.2)
        self.log.seek(0)
        sys.exit(f"{' '.join(self._command)} did not start:\n{self.log.read()[-2000:]}")

    async def kill_and_restart(self, tally: Tally) -> None:
        """SIGKILL, then the same command again; the time between is an outage of our own doing."""
        outage = [tally.now(), float("inf")]
        tally.outages.append(outage)
        self.process.kill()
        self.process.wait()
        self.process = self._start()
        await self.ready()
        outage[1] = tally.now()

    def stop(self) -> str:
        """End it; gives the tracebacks in its log."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.seek(0)
        return self.log.read()


def main() -> int:
    """Soak, write and print."""
    options = parse_arguments()
    what = "space" if options.space else "server"
    kinds = ("all",) * 6 + ("coarse",) * 2 + (() if options.space else ("chat",))
    say(f"computing the right answers of {options.photos} photos, alone ...")
    questions = make_questions(options.photos, kinds, options.model)
    say(f"{len(questions)} questions, each with an answer of its own; starting the {what} ...")
    program = Program(options.space, options.model, options.more.split())
    tally, samples = Tally(), []
    try:
        asyncio.run(soak(program, questions, options, tally, samples))
    finally:
        log = program.stop()
    result = summarize(what, options, tally, samples)
    result["tracebacks"] = log.count("Traceback (most recent call last)")
    out = options.out / f"soak-{what}.json"
    details = {"calls": [asdict(call) for call in tally.calls], "memory": [asdict(sample) for sample in samples]}
    write_whole(out, json.dumps(result | details) + "\n")
    draw(options.plots / f"soak-{what}.png", what, tally, samples)
    print(to_markdown(result))
    for problem in result["problems"]:
        say(problem)
    if result["tracebacks"]:
        say(log[-3000:])
    return 1 if result["problems"] else 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", action="store_true", help="soak the Space instead of the server")
    parser.add_argument("--clients", type=int, default=50, help="callers at once")
    parser.add_argument("--minutes", type=float, default=10, help="after which nobody asks any more")
    parser.add_argument("--kill", action="store_true", help="SIGKILL halfway, and a new start")
    parser.add_argument("--photos", type=int, default=24, help="different photos")
    parser.add_argument("--model", help="folder or Hub id; the embedded one by default")
    parser.add_argument("--more", default="", help="further arguments of the server, such as '--queue 32'")
    parser.add_argument("--out", type=Path, default=ROOT / "outputs", help="folder of the JSON")
    parser.add_argument("--plots", type=Path, default=ROOT / "docs" / "images", help="folder of the plot")
    return parser.parse_args()


def make_questions(count: int, kinds: Sequence[str], model: str | None) -> list[Question]:
    """Photos with their right answers, computed one by one; of two with the same answer one is left out."""
    from faceshield_hf import FaceShield

    shield = FaceShield.from_pretrained(model)
    questions: list[Question] = []
    for number, photo in enumerate(make_photos(count)):
        kind = kinds[number % len(kinds)]
        if kind == "chat":
            right: Any = shield.ask(photo, QUESTION).strip()
        elif kind == "all":
            right = json.loads(json.dumps(shield.detect(photo).to_dict()))
        else:
            right = json.loads(json.dumps(shield.detect(photo, tasks=(kind,)).to_dict()))
        if not any(other.kind == kind and is_same(other.right, right) for other in questions):
            questions.append(Question(photo, kind, right))
    return questions


def make_photos(count: int) -> Iterator[bytes]:
    """JPEG files of one face under all attacks."""
    from PIL import Image
    from skimage.data import astronaut

    from faceshield_hf.attack_types_faceshield import AttackType
    from faceshield_hf.data.simulate import DOMAINS
    from faceshield_hf.data.simulate.core import render
    from faceshield_hf.data.simulate.source import prepare

    source = prepare(Image.fromarray(astronaut()))
    attacks = list(AttackType)
    for number in range(count):
        rng = np.random.default_rng(number)
        made = render(source, attacks[number % len(attacks)], rng, DOMAINS["ABC"[number % 3]], (512, 512))
        yield made.jpeg


async def soak(
    program: Program,
    questions: Sequence[Question],
    options: argparse.Namespace,
    tally: Tally,
    samples: list[Sample],
) -> None:
    """Run all clients until the time is over and every answer is there."""
    await program.ready()
    target, photo, until = program.target, questions[0].photo, 60 * options.minutes
    async with httpx.AsyncClient(timeout=START_SECONDS) as client:
        await target.ask(client, questions[0])  # what is loaded on first use does not count
    tally.zero = time.monotonic()
    watching = asyncio.create_task(watch(program, tally, samples))
    killing = asyncio.create_task(kill_at(program, tally, until / 2)) if options.kill else None
    await asyncio.gather(
        *(keep_asking(number, target, questions, tally, until) for number in range(options.clients)),
        drip(target, photo, tally, until),
        hang_up(target, photo, tally, until),
        send_garbage(target, tally, until),
    )
    if killing is not None:
        await killing
    samples.append(Sample(tally.now(), tree_megabytes(program.process.pid)))
    watching.cancel()


async def watch(program: Program, tally: Tally, samples: list[Sample]) -> None:
    """Look at the memory every few seconds, and say now and then how it goes."""
    said = 0.0
    while True:
        megabytes = await asyncio.to_thread(tree_megabytes, program.process.pid)
        samples.append(Sample(tally.now(), megabytes))
        if tally.now() - said > 30:
            said = tally.now()
            say(f"{said:5.0f} s: {len(tally.calls)} answers, {megabytes:.0f} MB")
        await asyncio.sleep(SAMPLE_SECONDS)


async def kill_at(program: Program, tally: Tally, when: float) -> None:
    """Kill the program at a time, and start it again."""
    await asyncio.sleep(when)
    say("kill -9")
    await program.kill_and_restart(tally)
    say(f"up again after {tally.outages[-1][1] - tally.outages[-1][0]:.1f} s")


def summarize(what: str, options: argparse.Namespace, tally: Tally, samples: Sequence[Sample]) -> dict[str, Any]:
    """Put what happened into numbers.

    Args:
        what (`str`): "server" or "space".
        options (`argparse.Namespace`): `clients` and `minutes`.
        tally (`Tally`): all that happened.
        samples (`Sequence[Sample]`): memory over time.

    Returns:
        `dict`: what the table shows; `problems` says in words what must not be.
    """
    took = [call.took for call in tally.calls if call.outcome == "right"]
    outcomes = {
        name: sum(call.outcome == name for call in tally.calls) for name in ("right", "lost", "mixed up", "wrong")
    }
    seconds = max((call.begun + call.took for call in tally.calls), default=0.0)
    after = [call for call in tally.calls if tally.outages and call.begun > tally.outages[-1][1]]
    problems = [
        f"{call.outcome} at {call.begun:.0f} s: {call.detail}" for call in tally.calls if call.outcome != "right"
    ]
    problems += tally.broken
    if not took or (tally.outages and not after):  # too short a run, or the server did not come back
        problems.append("no right answer" if not took else "no call after the kill")
    middle = [sample.megabytes for sample in samples if sample.at <= seconds / 2]
    return {
        "what": what,
        "clients": options.clients,
        "minutes": options.minutes,
        "cores": os.cpu_count(),
        "requests": len(tally.calls),
        **outcomes,
        "told to come back": sum(tally.refused.values()),
        "refusals": dict(tally.refused),
        "cut off by the kill and repeated": tally.interrupted,
        "answers to calls begun after the kill": len(after),
        "seconds down": sum(end - begin for begin, end in tally.outages),
        "answers a second": len(took) / seconds if seconds else 0.0,
        "p50": percentile(took, 0.5),
        "p95": percentile(took, 0.95),
        "p99": percentile(took, 0.99),
        "slowest": max(took, default=float("nan")),
        "MB at the start": samples[0].megabytes if samples else 0.0,
        "MB in the middle": middle[-1] if middle else 0.0,
        "MB at the end": samples[-1].megabytes if samples else 0.0,
        "MB at most": max((sample.megabytes for sample in samples), default=0.0),
        "hostile": {" -> ".join(key): count for key, count in sorted(tally.hostile.items())},
        "problems": problems,
    }


def to_markdown(result: dict[str, Any]) -> str:
    """The numbers as a table, and what hostile clients were told as another."""
    name = "the Space" if result["what"] == "space" else "`faceshield serve`"
    head = f"{name}: {result['clients']} callers, {result['minutes']:g} minutes, {result['cores']} cores"
    plain = ["requests", "right", "lost", "mixed up", "wrong", "told to come back"]
    killed = (
        ["cut off by the kill and repeated", "answers to calls begun after the kill"] if result["seconds down"] else []
    )
    rows = [(key, f"{result[key]:,}") for key in (*plain, *killed)]
    rows += [(f"of those told: {message}", f"{count:,}") for message, count in result["refusals"].items()]
    if killed:
        rows.append(("down, from the kill to the first answer of /ready", f"{result['seconds down']:.1f} s"))
    rows.append(("answers a second", f"{result['answers a second']:.2f}"))
    waits = " / ".join(f"{result[key]:.2f}" for key in ("p50", "p95", "p99", "slowest"))
    rows.append(("a caller waits: p50 / p95 / p99 / slowest", f"{waits} s"))
    held = " / ".join(
        f"{result[f'MB {key}']:.0f}" for key in ("at the start", "in the middle", "at the end", "at most")
    )
    rows.append(("memory (PSS): start / middle / end / most", f"{held} MB"))
    table = "\n".join(f"| {key} | {value} |" for key, value in rows)
    hostile = "\n".join(f"| {key} | {count} |" for key, count in result["hostile"].items())
    return f"| {head} | |\n|---|---|\n{table}\n\n| hostile request -> what it was told | times |\n|---|---|\n{hostile}"


def draw(path: Path, what: str, tally: Tally, samples: Sequence[Sample]) -> None:
    """Latency, throughput and memory over time, one below the other."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (waits, rate, memory) = plt.subplots(3, 1, figsize=(9, 8), sharex=True, layout="constrained")
    windows = in_windows([call for call in tally.calls if call.outcome == "right"], WINDOWS)
    ends = [end for end, _, _ in windows]
    for share, colour in ((0.5, "#1f77b4"), (0.95, "#ff7f0e"), (0.99, "#d62728")):
        values = [percentile([call.took for call in calls], share) for _, _, calls in windows]
        waits.plot(ends, values, color=colour, marker=".", label=f"p{100 * share:.0f}")
    waits.set_ylabel("a caller waits, s")
    waits.legend(loc="upper left", ncols=3)
    rate.plot(ends, [len(calls) / width for _, width, calls in windows], color="#1f77b4", marker=".")
    rate.set_ylabel("right answers a second")
    memory.plot([sample.at for sample in samples], [sample.megabytes for sample in samples], color="#2ca02c")
    memory.set_ylabel("memory (PSS), MB")
    memory.set_xlabel("seconds")
    for axes in (waits, rate, memory):
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        for begin, end in tally.outages:
            axes.axvspan(begin, end, color="#d62728", alpha=0.2)
    name = "the Space" if what == "space" else "faceshield serve"
    killed = "; red: killed with -9, until it was up again" if tally.outages else ""
    figure.suptitle(f"{name} under {len(tally.calls):,} requests{killed}")
    with whole_file(path) as part:
        figure.savefig(part, format="png", dpi=110)


def in_windows(calls: Sequence[Call], count: int) -> list[tuple[float, float, list[Call]]]:
    """Sort calls by the window of time in which their answer came.

    Args:
        calls (`Sequence[Call]`): in any order.
        count (`int`): windows of equal width.

    Returns:
        `list[tuple[float, float, list[Call]]]`: end and width of each window in seconds, and its calls.
    """
    width = max((call.begun + call.took for call in calls), default=0.0) / count or 1.0
    parts: list[list[Call]] = [[] for _ in range(count)]
    for call in calls:
        parts[min(count - 1, int((call.begun + call.took) / width))].append(call)
    return [((k + 1) * width, width, part) for k, part in enumerate(parts)]


def say(words: str) -> None:
    """Tell whoever watches, apart from the table."""
    print(words, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
