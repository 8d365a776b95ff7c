"""Streaming: pieces add up, a stop is heard within a token, an error in the thread is raised where one listens."""

import threading

import pytest
import torch
from PIL import Image

from faceshield_hf.streaming import stream_pieces


pytest_plugins = ["tiny_checkpoint"]


class Letters:
    """Decodes a token to a letter."""

    def decode(self, ids, **kwargs):
        return "".join(chr(int(i)) for i in ids)


class Talker:
    """Says "a b a b ..." word by word until it is stopped, or fails after some words."""

    def __init__(self, words, fails_after=None):
        self.words, self.fails_after = words, fails_after
        self.said = 0
        self.ended = threading.Event()

    def generate(self, input_ids, streamer, stopping_criteria, max_new_tokens):
        try:
            streamer.put(input_ids)
            ids = input_ids
            while self.said < min(self.words, max_new_tokens):
                if self.said == self.fails_after:
                    raise RuntimeError("out of memory")
                for code in (ord("ab"[self.said % 2]), ord(" ")):
                    streamer.put(torch.tensor([code]))
                self.said += 1
                ids = torch.cat([ids, ids[:, -1:]], dim=1)
                if stopping_criteria(ids, None).all():
                    return ids
            streamer.end()
            return ids
        finally:
            self.ended.set()


PROMPT = {"input_ids": torch.tensor([[1, 2, 3]])}


def test_pieces_add_up_to_the_answer_without_the_prompt():
    pieces = list(stream_pieces(Talker(4).generate, Letters(), PROMPT, max_new_tokens=100))
    assert "".join(pieces) == "a b a b "
    assert len(pieces) > 1
    assert all(pieces)


def test_an_error_in_the_thread_is_raised_here_after_what_came_before():
    heard = []
    with pytest.raises(RuntimeError, match="out of memory"):
        heard.extend(
            piece for piece in stream_pieces(Talker(9, fails_after=2).generate, Letters(), PROMPT, max_new_tokens=100)
        )
    assert "".join(heard) == "a b "


def test_an_error_before_the_first_word_does_not_hang():
    with pytest.raises(RuntimeError, match="out of memory"):
        list(stream_pieces(Talker(9, fails_after=0).generate, Letters(), PROMPT, max_new_tokens=100))


def test_closing_the_iterator_stops_the_model():
    talker = Talker(words=10**9)
    pieces = stream_pieces(talker.generate, Letters(), PROMPT, max_new_tokens=10**9)
    assert next(pieces) == "a "
    pieces.close()
    assert talker.ended.is_set(), "close() waits for the thread"
    assert talker.said < 10**9


def test_dropping_the_iterator_stops_the_model():
    talker = Talker(words=10**9)
    pieces = stream_pieces(talker.generate, Letters(), PROMPT, max_new_tokens=10**9)
    next(pieces)
    del pieces
    assert talker.ended.wait(timeout=10)


def test_nothing_runs_before_the_first_piece_is_asked_for():
    talker = Talker(words=5)
    stream_pieces(talker.generate, Letters(), PROMPT, max_new_tokens=100)
    assert talker.said == 0
    assert not talker.ended.is_set()


def test_a_real_model_is_stopped_within_a_token(shield, monkeypatch):
    steps = []
    forward = shield.model.forward
    monkeypatch.setattr(shield.model, "forward", lambda *args, **kwargs: steps.append(1) or forward(*args, **kwargs))
    pieces = shield.stream(Image.new("RGB", (64, 64)), "Is it real?", max_new_tokens=500)
    next(pieces)
    pieces.close()
    stopped_at = len(steps)
    assert stopped_at < 300, "the model went on to the end"
    assert threading.active_count() == len([t for t in threading.enumerate() if t.name != "faceshield-generate"])


def test_an_error_of_a_real_model_reaches_the_listener(shield, monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr(shield.model.model, "encode_images", fail)
    with pytest.raises(RuntimeError, match="CUDA out of memory"):
        list(shield.stream(Image.new("RGB", (64, 64)), "Is it real?"))
