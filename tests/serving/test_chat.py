"""Who hangs up, or is told to wait no longer, frees the model at its next token, and counts until then."""

import asyncio
import threading
import time
from types import SimpleNamespace

import pytest

from faceshield_hf.serving.chat import Chat
from faceshield_hf.serving.limits import Limits, RefusedError


pytest_plugins = ["served", "tiny_checkpoint"]

QUESTION = {"messages": [{"role": "user", "content": "Real?"}]}


class Writing:
    """Stands in for `generate`: one token that takes until `token` is set, then more until it is told to stop."""

    def __init__(self):
        self.calls = self.running = self.most = 0
        self.token = threading.Event()

    def __call__(self, input_ids, stopping_criteria, streamer=None, **options):
        self.calls += 1
        self.running += 1
        self.most = max(self.most, self.running)
        self.token.wait(30)
        end = time.monotonic() + 30
        while not stopping_criteria(input_ids, None).all() and time.monotonic() < end:
            time.sleep(0.005)
        self.running -= 1
        return input_ids


@pytest.fixture
def writing(shared_shield, monkeypatch):
    writing = Writing()
    monkeypatch.setattr(shared_shield.model, "generate", writing)
    return writing


async def until(condition):
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen within ten seconds")


async def hang_up(chat, writing):
    task = asyncio.ensure_future(chat.answer(QUESTION, "1"))
    await until(lambda: writing.calls == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 5)  # at once, whatever the model does


async def wait_too_long(chat, writing):
    for seconds in (0.3, 1, 3, 10):  # on a busy machine a short time may be over before the model is asked
        chat.limits = Limits(queue=2, timeout=seconds)
        with pytest.raises(RefusedError) as caught:
            await asyncio.wait_for(chat.answer(QUESTION, "1"), 2 * seconds + 5)
        assert caught.value.status == 504
        if writing.calls:
            break
    chat.limits = Limits(queue=2)


async def leave_a_stream_before_its_first_word(chat, writing):
    response = await chat.answer(QUESTION | {"stream": True}, "1")
    await until(lambda: writing.calls == 1)

    async def gone(*message):
        return {"type": "http.disconnect"}

    await asyncio.wait_for(response({"type": "http", "asgi": {"spec_version": "2.3"}}, gone, gone), 5)


@pytest.mark.parametrize("leave", [hang_up, wait_too_long, leave_a_stream_before_its_first_word])
def test_who_leaves_counts_until_the_model_has_stopped(shared_shield, writing, leave):
    async def main():
        chat = Chat(shared_shield, Limits(queue=2))
        await leave(chat, writing)
        assert (chat.load, writing.running) == (1, 1)

        waiting = asyncio.ensure_future(chat.answer(QUESTION, "2"))
        await until(lambda: chat.load == 2)
        with pytest.raises(RefusedError, match="2 chats wait already"):
            await chat.answer(QUESTION, "3")
        waiting.cancel()
        await until(lambda: chat.load == 1)  # what has not begun is dropped at once
        assert writing.calls == 1

        writing.token.set()
        await until(lambda: chat.load == 0)  # at the next token, not at the end of the answer
        assert writing.running == 0

    asyncio.run(main())
    assert (writing.calls, writing.most) == (1, 1)


async def rush(chat, writing, refused):
    """Five callers who ask and hang up."""
    tasks = [asyncio.ensure_future(chat.answer(QUESTION, "1")) for _ in range(5)]
    await until(lambda: writing.calls == 1 and sum(task.done() for task in tasks) == refused)
    for task in tasks:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(isinstance(result, RefusedError) for result in results) == refused
    await until(lambda: chat.load == 1)  # who waited is gone, what runs goes on


def test_many_who_hang_up_pile_up_no_work(shared_shield, writing):
    async def main():
        chat = Chat(shared_shield, Limits(queue=2))
        await rush(chat, writing, refused=3)  # one runs, one waits
        for _ in range(2):
            await rush(chat, writing, refused=4)  # the first still runs
        writing.token.set()
        await until(lambda: chat.load == 0)

    asyncio.run(main())
    assert writing.calls == 1


def test_who_hangs_up_at_once_is_counted_down(shared_shield):
    async def main():
        chat = Chat(shared_shield, Limits())
        for loops in range(6):
            asked = asyncio.ensure_future(chat.answer(QUESTION, "1"))
            for _ in range(loops):
                await asyncio.sleep(0)
            asked.cancel()
            await until(lambda: chat.load == 0)

    asyncio.run(main())


def test_an_image_that_is_still_unpacked_keeps_its_room(shared_shield, monkeypatch, photo_url):
    go_on = threading.Event()

    def unpack(packed):
        go_on.wait(30)
        return SimpleNamespace()

    monkeypatch.setattr("faceshield_hf.serving.analyze.PackedImage.unpack", unpack)

    async def main():
        chat = Chat(shared_shield, Limits())
        image = {"type": "image_url", "image_url": {"url": photo_url}}
        asked = asyncio.ensure_future(chat.answer({"messages": [{"role": "user", "content": [image]}]}, "1"))
        await until(lambda: chat.room.held == 4800)
        asked.cancel()
        await asyncio.sleep(0.1)
        assert (chat.load, chat.room.held) == (1, 4800)
        go_on.set()
        await until(lambda: (chat.load, chat.room.held) == (0, 0))

    asyncio.run(main())
