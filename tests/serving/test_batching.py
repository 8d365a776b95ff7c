"""Images that wait together are judged together, and nobody waits for ever."""

import asyncio
import threading
import time

import pytest
from PIL import Image

from faceshield_hf.serving.batching import Batcher
from faceshield_hf.serving.limits import Limits, RefusedError
from faceshield_hf.tasks_faceshield import Task, Verdict


class SlowJudge:
    """Takes the same time for one image as for many, as a GPU does; remembers its batches."""

    def __init__(self, seconds=0.05):
        self.seconds = seconds
        self.batches = []
        self.go_on = threading.Event()
        self.go_on.set()

    def detect_batch(self, images, tasks, threshold, quality, batch_size, on_error):
        self.batches.append((len(images), tasks, quality))
        self.go_on.wait(5)
        time.sleep(self.seconds)
        return [
            ValueError("no face") if image.width == 13 else Verdict(label="real", score=image.width / 100)
            for image in images
        ]


def picture(width):
    return Image.new("RGB", (width, 4))


def run(judge, work, **limits):
    async def main():
        async with Batcher(judge, Limits(**limits)) as batcher:
            return await work(batcher)

    return asyncio.run(main())


def test_images_at_the_same_time_share_batches_and_each_gets_its_own_answer():
    judge = SlowJudge()

    async def work(batcher):
        return await asyncio.gather(*(batcher.judge(picture(width)) for width in range(20, 36)))

    verdicts = run(judge, work, batch_size=8)
    assert [verdict.score for verdict in verdicts] == [width / 100 for width in range(20, 36)]
    assert [size for size, _, _ in judge.batches] == [8, 8]


def test_batching_beats_one_after_another():
    async def work(batcher):
        started = time.perf_counter()
        await asyncio.gather(*(batcher.judge(picture(20)) for _ in range(16)))
        return time.perf_counter() - started

    assert run(SlowJudge(0.1), work, batch_size=16) < 0.5 * run(SlowJudge(0.1), work, batch_size=1)


def test_one_image_alone_does_not_wait_for_company():
    async def work(batcher):
        started = time.perf_counter()
        await batcher.judge(picture(20))
        return time.perf_counter() - started

    assert run(SlowJudge(0), work, batch_size=8, batch_wait=0.01) < 1


def test_only_what_asks_for_the_same_goes_together():
    judge = SlowJudge()

    async def work(batcher):
        asked = [([Task.COARSE], True), ([Task.FINE], True), ([Task.COARSE], False), ([Task.COARSE], True)]
        await asyncio.gather(*(batcher.judge(picture(20), tasks, quality) for tasks, quality in asked))

    run(judge, work)
    assert sorted(judge.batches) == [(1, ("coarse",), False), (1, ("fine",), True), (2, ("coarse",), True)]


def test_an_image_that_fails_fails_alone():
    async def work(batcher):
        return await asyncio.gather(*(batcher.judge(picture(w)) for w in (12, 13, 14)), return_exceptions=True)

    first, bad, last = run(SlowJudge(), work)
    assert (first.score, last.score) == (0.12, 0.14)
    assert isinstance(bad, ValueError)


def test_a_bug_fails_its_batch_and_the_server_goes_on():
    judge = SlowJudge()
    good = judge.detect_batch

    def broken(*arguments, **options):
        judge.detect_batch = good
        raise RuntimeError("out of memory")

    judge.detect_batch = broken

    async def work(batcher):
        with pytest.raises(RuntimeError, match="out of memory"):
            await batcher.judge(picture(20))
        return await batcher.judge(picture(20))

    assert run(judge, work).score == 0.2


def test_a_full_queue_refuses_at_once():
    judge = SlowJudge()

    async def work(batcher):
        judge.go_on.clear()
        waiting = [asyncio.ensure_future(batcher.judge(picture(20))) for _ in range(3)]
        await asyncio.sleep(0.1)
        with pytest.raises(RefusedError, match="3 images wait already") as caught:
            await batcher.judge(picture(20))
        judge.go_on.set()
        await asyncio.gather(*waiting)
        return caught.value

    error = run(judge, work, queue=3, batch_size=1)
    assert (error.status, error.retry_after) == (503, 1)


def test_who_waits_too_long_is_told_and_what_nobody_waits_for_is_not_judged():
    judge = SlowJudge()

    async def work(batcher):
        judge.go_on.clear()
        running = asyncio.ensure_future(batcher.judge(picture(20)))
        await asyncio.sleep(0.1)
        with pytest.raises(RefusedError, match="no verdict within") as caught:
            await batcher.judge(picture(20), timeout=0.1)
        judge.go_on.set()
        await running
        await batcher.judge(picture(20), [Task.FINE])
        return caught.value

    assert run(judge, work, batch_wait=0).status == 504
    assert [tasks for _, tasks, _ in judge.batches].count(("fine",)) == 1
    assert len(judge.batches) == 2


def test_what_runs_is_answered_before_the_end():
    judge = SlowJudge(0.3)

    async def work(batcher):
        task = asyncio.ensure_future(batcher.judge(picture(20)))
        await asyncio.sleep(0.1)
        await task
        return task.result()

    assert run(judge, work).label == "real"
