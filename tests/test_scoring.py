"""p(spoof) from the two coarse answers, against a full forward over prompt and answer."""

import pytest
import torch
from tiny import GRID, encode, question, tiny_model, tiny_processor

from faceshield_hf.scoring_faceshield import split_answers


REAL, SPOOF = [20, 21, 22, 23], [20, 21, 30, 31, 32, 23]


def naive(model, processor, conversations, answers, temperature=1.0):
    """Every answer as one full sequence, one prompt at a time."""
    scores = []
    for conversation in conversations:
        inputs = encode(processor, [conversation])
        totals = []
        for answer in answers:
            ids = torch.cat([inputs["input_ids"], torch.tensor([answer])], dim=1)
            batch = {**inputs, "input_ids": ids, "attention_mask": torch.ones_like(ids)}
            with torch.no_grad():
                logs = model(**batch).logits[0, -len(answer) - 1 : -1].log_softmax(-1)
            totals.append(logs[torch.arange(len(answer)), answer].sum())
        scores.append(torch.stack(totals).div(temperature).softmax(0)[1])
    return torch.stack(scores)


CONVERSATIONS = [question("Real?", 0), question("Is the face in the image real or spoof?", 1), question("So?", 2, 3)]
CASES = {
    "a common beginning and different lengths": (REAL, SPOOF),
    "the other way round": (SPOOF, REAL),
    "nothing in common": ([20, 21], [30, 31, 32]),
    "one token each": ([20], [30]),
    "one token after a common beginning": ([20, 21, 22], [20, 21, 23]),
    "one token against several": ([20, 22], [20, 23, 24]),
}


@pytest.mark.parametrize("case", CASES)
def test_a_score_equals_the_full_sequences_likelihoods(model, processor, case):
    real, spoof = CASES[case]
    inputs = encode(processor, CONVERSATIONS)
    found = model.score(inputs, {"real": real, "spoof": spoof})
    assert found.shape == (3,)
    torch.testing.assert_close(found, naive(model, processor, CONVERSATIONS, (real, spoof)), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("changes", [{"vision_token_budget": 5}, {"use_sav": False}, {"projector_downsample": 2}])
def test_scores_hold_for_every_kind_of_visual_tokens(changes):
    model = tiny_model(**changes)
    settings = {"do_sav" if name == "use_sav" else name: value for name, value in changes.items()}
    processor = tiny_processor(**settings)
    found = model.score(encode(processor, CONVERSATIONS), {"real": REAL, "spoof": SPOOF})
    torch.testing.assert_close(found, naive(model, processor, CONVERSATIONS, (REAL, SPOOF)), atol=1e-5, rtol=1e-5)


def test_the_two_scores_of_swapped_answers_sum_to_one(model, inputs):
    ahead = model.score(inputs, {"real": REAL, "spoof": SPOOF})
    back = model.score(inputs, {"real": SPOOF, "spoof": REAL})
    torch.testing.assert_close(ahead + back, torch.ones(2))


def test_the_answers_come_from_the_configuration_which_agrees_with_the_processor(model, processor, inputs):
    assert processor.answer_ids == {"real": model.config.real_answer_ids, "spoof": model.config.spoof_answer_ids}
    assert torch.equal(model.score(inputs), model.score(inputs, processor.answer_ids))
    assert processor.tokenizer.decode(model.config.spoof_answer_ids) == "The face in the image is a spoof."


def test_the_temperature_divides_the_log_odds(model, inputs):
    warm = tiny_model(score_temperature=4.0)
    torch.testing.assert_close(warm.score(inputs).logit() * 4, model.score(inputs).logit(), atol=1e-4, rtol=1e-4)


def test_pictures_encoded_before_give_the_same_score(model, inputs):
    features = model.get_image_features(inputs["pixel_values"], inputs["sav_values"])
    rest = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    assert torch.equal(model.score({**rest, "mm_encoder_outputs": {"image": features}}), model.score(inputs))


def test_a_score_does_not_depend_on_the_padding_or_the_neighbours(model, processor):
    together = model.score(encode(processor, CONVERSATIONS[:2]))
    alone = torch.cat([model.score(encode(processor, [one])) for one in CONVERSATIONS[:2]])
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=1e-5)


def test_inputs_are_not_changed_and_no_gradient_is_kept(model, inputs):
    before = dict(inputs)
    assert not model.score(inputs).requires_grad
    assert inputs.keys() == before.keys()


def test_half_precision_scores_are_probabilities(inputs):
    scores = tiny_model().to(torch.bfloat16).score(inputs)
    assert scores.dtype == torch.float32
    assert ((scores >= 0) & (scores <= 1)).all()


def test_the_prompt_runs_once(inputs, monkeypatch):
    model = tiny_model()
    lengths = []
    forward = model.model.language_model.forward

    def counting(*args, **kwargs):
        lengths.append(tuple(kwargs["inputs_embeds"].shape[:2]))
        return forward(*args, **kwargs)

    monkeypatch.setattr(model.model.language_model, "forward", counting)
    model.score(inputs, {"real": REAL, "spoof": SPOOF})
    # The prompts with the two common tokens, then at most three more tokens of both answers of both prompts.
    assert lengths == [(2, inputs["input_ids"].shape[1] + 2), (4, 3)]
    assert (inputs["input_ids"] == model.config.image_token_id).sum() == 2 * 2 * GRID


def test_without_answers_the_remedy_is_named(inputs):
    model = tiny_model(real_answer_ids=None)
    with pytest.raises(ValueError, match=r"Pass answer_ids=processor\.answer_ids, or set config\.real_answer_ids"):
        model.score(inputs)
    with pytest.raises(ValueError, match="needs the token ids of both coarse answers"):
        model.score(inputs, {"real": [3]})


@pytest.mark.parametrize("answers", [([20, 21], [20, 21]), ([20], [20, 21]), ([20, 21], [20]), ([], [20])])
def test_answers_that_can_not_be_told_apart_are_refused(answers):
    with pytest.raises(ValueError, match="cannot be told apart"):
        split_answers(*answers)


def test_answers_split_after_what_they_share():
    assert split_answers([1, 2, 3], [1, 2, 4, 3]) == ([1, 2], [3], [4, 3])


def test_right_padding_is_refused_with_the_remedy(model, processor):
    kwargs = {"padding": True, "padding_side": "right"}
    with pytest.raises(ValueError, match="padding_side='left'"):
        model.score(encode(processor, CONVERSATIONS[:2], processor_kwargs=kwargs))
