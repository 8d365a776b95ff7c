"""Drafts: whatever is proposed, the answers are those of `generate`; and right proposals save steps."""

from collections import Counter

import pytest
import torch
from tiny import encode, face, question, tiny_model, tiny_processor

from faceshield_hf import drafting
from faceshield_hf.asking import Asker
from faceshield_hf.drafting import (
    WIDTH,
    Drafts,
    is_plain,
    log_likelihood,
    read_padded,
    read_prompts,
    write_answers,
)
from faceshield_hf.tasks_faceshield import Task


QUESTIONS = ("Real?", "Is the face in the image real or spoof?", "Where is it, if anywhere at all?")
LIMITS = (5, 24, 11)


class Liar(Drafts):
    """Proposes what never follows."""

    def propose(self, written, width):
        return [(written[-1] + 1 + i) % 200 for i in range(width)] if written else []


class Prophet(Drafts):
    """Knows a row's answer, up to a lie at every third place."""

    def __init__(self, answer, lies):
        super().__init__()
        self.answer, self.lies = answer, lies

    def propose(self, written, width):
        place = len(written)
        coming = self.answer[place : place + width]
        return [token ^ 1 if self.lies and (place + i) % 3 == 0 else token for i, token in enumerate(coming)]


@pytest.fixture(scope="module")
def model():
    return tiny_model()


@pytest.fixture(scope="module")
def batch():
    return encode(tiny_processor(), [question(text, 0) for text in QUESTIONS])


@pytest.fixture(scope="module")
def expected(model, batch):
    """What `generate` answers each prompt alone, up to its limit."""
    processor, answers = tiny_processor(), []
    for text, limit in zip(QUESTIONS, LIMITS, strict=True):
        one = encode(processor, [question(text, 0)])
        ids = model.generate(**one, max_new_tokens=limit, do_sample=False, eos_token_id=stop(model))
        answers.append(ids[0, one["input_ids"].shape[1] :].tolist())
    return answers


def stop(model):
    return model.config.turn_end_token_id


def rows_of(batch):
    return [ids[mask.bool()].tolist() for ids, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True)]


def features_of(model, batch, images=slice(None)):
    with torch.inference_mode():
        return model.model.encode_images(batch["pixel_values"][images], batch["sav_values"][images])


def padded(model, batch):
    features = {"image": features_of(model, batch)}
    return read_padded(
        model,
        {
            "input_ids": batch["input_ids"],
            "attention_mask": batch["attention_mask"],
            "mm_encoder_outputs": features,
        },
    )


def shared(model, batch):
    return read_prompts(model, rows_of(batch), features_of(model, batch, slice(1)))


def test_the_longest_known_context_tells_what_follows():
    drafts = Drafts()
    assert drafts.propose([], 3) == []
    drafts.remember([5, 6, 7, 8, 9])
    drafts.remember([1, 6, 7, 2])
    assert drafts.propose([], 2) == [1, 6]  # the latest answer's beginning
    assert drafts.propose([5, 6, 7], 9) == [8, 9]
    assert drafts.propose([4, 6, 7], 9) == [2]  # "6 7" was followed by 2 last
    assert drafts.propose([3], 9) == []


def test_a_full_store_starts_again(monkeypatch):
    monkeypatch.setattr(drafting, "_MOST_CONTEXTS", 3)
    drafts = Drafts()
    drafts.remember([1, 2, 3, 4])
    drafts.remember([8, 9])
    assert drafts.propose([1], 1) == []
    assert drafts.propose([8], 1) == [9]


@pytest.mark.parametrize("read", [padded, shared])
@pytest.mark.parametrize("width", [0, 1, 3, WIDTH])
def test_answers_are_those_of_generate_whatever_is_proposed(model, batch, expected, read, width):
    for drafts in (
        [Drafts()] * 3,
        [Liar()] * 3,
        [Prophet(answer, lies=False) for answer in expected],
        [Prophet(answer, lies=True) for answer in expected],
        [Liar(), Prophet(expected[1], lies=False), Drafts()],
    ):
        assert write_answers(model, read(model, batch), drafts, LIMITS, {stop(model)}, width) == expected


def test_an_answer_ends_at_its_stop_token_also_in_the_middle_of_a_proposal(model, batch, expected):
    # Any token that stands once in the long answer, not at its ends, may play the stop token.
    counts = Counter(expected[1])
    end = next(token for token in expected[1][2:-1] if counts[token] == 1 or expected[1].index(token) > 1)
    cut = [answer[: answer.index(end) + 1] if end in answer else answer for answer in expected]
    drafts = [Prophet(answer, lies=False) for answer in expected]
    assert write_answers(model, shared(model, batch), drafts, LIMITS, {end}) == cut


def test_right_proposals_save_steps_and_answers_are_remembered(model, batch, expected, monkeypatch):
    steps = Counter()
    read_on = drafting._read_on

    def counted(*arguments):
        steps["taken"] += 1
        return read_on(*arguments)

    monkeypatch.setattr(drafting, "_read_on", counted)
    drafts = [Drafts() for _ in expected]
    write_answers(model, shared(model, batch), drafts, LIMITS, {stop(model)})
    first = steps.pop("taken")
    write_answers(model, shared(model, batch), drafts, LIMITS, {stop(model)})
    assert first == max(LIMITS) - 1
    assert steps["taken"] <= 1 + max(LIMITS) // WIDTH + 3


def test_the_likelihood_of_a_rows_end_is_that_of_the_model(model, batch):
    rows = rows_of(batch)
    reading = shared(model, batch)
    for i, row in enumerate(rows):
        one = {name: values[:1] for name, values in batch.items() if name.endswith("_values")}
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([row]), **one).logits[0]
        steps = logits.log_softmax(dim=-1)
        expected = sum(steps[len(row) - 4 + j, row[len(row) - 3 + j]] for j in range(3))
        torch.testing.assert_close(log_likelihood(reading.logits[i], row[-3:]), expected, rtol=1e-4, atol=1e-4)


def test_prompts_that_differ_before_the_image_ends_cannot_share_it(model, batch):
    rows = rows_of(batch)
    with pytest.raises(ValueError, match="differ before the image ends"):
        read_prompts(model, [rows[0], rows[0][1:]], features_of(model, batch, slice(1)))


def test_models_that_generate_in_other_ways_are_left_to_generate(monkeypatch):
    assert is_plain(tiny_model())
    windowed = tiny_model()
    windowed.config.text_config.sliding_window = 16
    assert not is_plain(windowed)
    repeating = tiny_model()
    repeating.generation_config.repetition_penalty = 1.3
    assert not is_plain(repeating)


def test_score_and_answers_do_not_depend_on_the_way_they_are_computed(monkeypatch):
    net, processor = tiny_model(), tiny_processor()
    limits = {Task.COARSE: 6, Task.REASONING: 12}
    pixels = dict(processor.image_processor([face(0), face(1)], return_tensors="pt"))
    with torch.inference_mode():
        features = net.model.encode_images(**pixels)
    scores, answers = Asker(net, processor).ask(features, limits)
    monkeypatch.setattr("faceshield_hf.asking.is_plain", lambda model: False)
    plain = Asker(net, processor)
    plain_scores, plain_answers = plain.ask(features, limits)
    assert answers == plain_answers
    assert scores == pytest.approx(plain_scores, abs=1e-6)
    assert scores == pytest.approx(plain.score(features), abs=1e-6)
