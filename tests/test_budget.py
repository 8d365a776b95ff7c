"""The token budget: the same answers everywhere, and all tokens means no budget."""

import pytest
import torch
from datasets import Dataset
from tiny import GRID, encode, face, question, tiny_model, tiny_processor
from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling


N = 5
PROMPTS = [question("Real?", 0), question("Is the face in the image real or spoof?", 1)]
GREEDY = {"max_new_tokens": 6, "do_sample": False, "eos_token_id": None}


@pytest.fixture(scope="module")
def budgeted():
    return tiny_model(vision_token_budget=N)


@pytest.fixture(scope="module")
def frugal():
    return tiny_processor(vision_token_budget=N)


@pytest.fixture(scope="module")
def batch(frugal):
    return encode(frugal, PROMPTS)


def test_an_image_takes_n_placeholders_and_n_tokens(budgeted, batch):
    assert ((batch["input_ids"] == budgeted.config.image_token_id).sum(dim=1) == N).all()
    assert budgeted(**batch).image_hidden_states.shape[:2] == (2, N)


def test_a_budget_of_all_tokens_gives_the_same_logits_and_scores(model, processor, inputs):
    whole = tiny_model(vision_token_budget=2 * GRID)
    same = encode(tiny_processor(vision_token_budget=2 * GRID), PROMPTS)
    assert all(torch.equal(same[name], inputs[name]) for name in inputs)
    assert torch.equal(whole(**same).logits, model(**inputs).logits)
    assert torch.equal(whole.score(same), model.score(inputs))


def test_the_most_important_tokens_stay_in_their_order(budgeted, batch):
    out = budgeted(**batch, output_vision_importance=True)
    features = budgeted.get_image_features(batch["pixel_values"], batch["sav_values"]).pooler_output
    for kept, weights, tokens in zip(out.image_hidden_states, out.vision_importance, features, strict=True):
        best = weights.argsort(descending=True)[:N].sort().values
        assert torch.equal(kept, tokens[best])


def test_another_question_keeps_other_tokens(frugal):
    model = tiny_model(vision_token_budget=2)
    kept = [
        model(**encode(tiny_processor(vision_token_budget=2), [question(text, 0)])).image_hidden_states
        for text in ("Real?", "Where is the spoof area of the face in the image?", "Describe.", "a b c d")
    ]
    assert any(not torch.equal(kept[0], other) for other in kept[1:])


def test_a_batch_answers_like_single_prompts_with_every_cache(budgeted, frugal, batch):
    length = batch["input_ids"].shape[1]
    answers = budgeted.generate(**batch, **GREEDY)[:, length:]
    for row, prompt in enumerate(PROMPTS):
        alone = encode(frugal, [prompt])
        single = budgeted.generate(**alone, **GREEDY)[0, alone["input_ids"].shape[1] :]
        assert torch.equal(single, answers[row])
    for options in ({"use_cache": False}, {"cache_implementation": "static"}, {"prefill_chunk_size": 4}):
        assert torch.equal(budgeted.generate(**batch, **GREEDY, **options)[:, length:], answers), options


def test_beams_and_samples_read_the_selected_tokens(budgeted, batch):
    length = batch["input_ids"].shape[1]
    beams = budgeted.generate(**batch, **GREEDY, num_beams=2, num_return_sequences=2)
    assert beams.shape == (4, length + 6)
    one_beam = {name: value[:1] for name, value in batch.items()}
    alone = budgeted.generate(**one_beam, **GREEDY, num_beams=2)
    assert torch.equal(alone[0, -6:], beams[0, -6:])


def test_features_encoded_once_serve_every_question(budgeted, batch):
    features = budgeted.get_image_features(batch["pixel_values"], batch["sav_values"])
    before = [tokens.clone() for tokens in features.pooler_output]
    rest = {name: batch[name] for name in ("input_ids", "attention_mask")}
    encoded = {"mm_encoder_outputs": {"image": features}}
    for options in (GREEDY, {**GREEDY, "num_beams": 2}):
        assert torch.equal(budgeted.generate(**rest, **encoded, **options), budgeted.generate(**batch, **options))
    assert torch.equal(budgeted.score({**rest, **encoded}), budgeted.score(batch))
    assert all(torch.equal(now, then) for now, then in zip(features.pooler_output, before, strict=True))


def test_trls_collator_makes_batches_that_train(budgeted, frugal):
    prompt = [{"role": "user", "content": "Is the face in the image real or spoof?"}]
    answer = [{"role": "assistant", "content": "The face in the image is real."}]
    rows = Dataset.from_list([{"images": [face(i)], "prompt": prompt, "completion": answer} for i in range(2)])
    collate = DataCollatorForVisionLanguageModeling(frugal, max_length=None, completion_only_loss=True)
    batch = collate([rows[0], rows[1]])
    assert {"pixel_values", "sav_values"} <= set(batch)
    model = tiny_model(vision_token_budget=N).train()
    model(**batch).loss.backward()
    assert model.model.multi_modal_projector.linear_1.weight.grad.abs().sum() > 0


def test_a_budget_in_the_processor_only_or_in_the_model_only_is_refused_with_both_numbers(
    model, budgeted, inputs, batch
):
    with pytest.raises(ValueError, match=r"got \[5, 5\] image tokens|got 10 image tokens, expected 16"):
        model(**batch)
    with pytest.raises(ValueError, match=r"got \[8, 8\] image tokens in the rows .*, expected multiples of 5"):
        budgeted(**inputs)
    with pytest.raises(ValueError, match="Image features and image tokens do not match"):
        budgeted.generate(**inputs, **GREEDY)


def test_a_short_row_is_refused_even_if_another_makes_up_for_it(budgeted, batch):
    ids = batch["input_ids"].clone()
    image = budgeted.config.image_token_id
    ids[0, (ids[0] == image).nonzero()[0]] = 5
    ids[1, -1] = image
    with pytest.raises(ValueError, match=r"got \[4, 6\] image tokens .* was a row truncated"):
        budgeted(**{**batch, "input_ids": ids})
