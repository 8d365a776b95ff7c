"""Prompt-guided masking inside the model: what it may look at, when it acts, and what it returns."""

import pytest
import torch
from tiny import GRID, TEXT, VISION, encode, question, tiny_model, tiny_processor
from transformers import SiglipTextConfig
from transformers.utils import logging

from faceshield_hf import FaceShieldForConditionalGeneration


READER = {
    "hidden_size": VISION["hidden_size"],
    "intermediate_size": 48,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "vocab_size": 60,
    "max_position_embeddings": 16,
}


def seen(model, inputs, seed=0, **kwargs):
    """The visual tokens that the language model reads, masks drawn from a seed."""
    torch.manual_seed(seed)
    with torch.no_grad():
        return model(**inputs, **kwargs).image_hidden_states


def with_answer(inputs, answer):
    """The same prompts with an answer after them."""
    ids = torch.cat([inputs["input_ids"], torch.tensor([answer] * len(inputs["input_ids"]))], dim=1)
    return {**inputs, "input_ids": ids, "attention_mask": torch.ones_like(ids)}


def in_rows(*rows, inputs=None):
    ids = torch.tensor(rows)
    return {**(inputs or {}), "input_ids": ids, "attention_mask": torch.ones_like(ids)}


@pytest.fixture
def training():
    """Half of the unprotected tokens masked, so that a difference shows."""
    return tiny_model(pvtm_mask_prob=0.5).train()


@pytest.mark.parametrize("budget", [None, 5])
def test_the_visual_tokens_depend_on_neither_answer_nor_labels(budget):
    model = tiny_model(pvtm_mask_prob=0.5, vision_token_budget=budget).train()
    prompts = encode(tiny_processor(vision_token_budget=budget), [question("Real?", 0), question("Is it live?", 1)])
    reference = seen(model, prompts)
    for answer in ([20, 21, 22], [30, 31, 32]):
        inputs = with_answer(prompts, answer)
        labels = inputs["input_ids"].masked_fill(torch.arange(inputs["input_ids"].shape[1]) < 40, -100)
        assert torch.equal(seen(model, inputs), reference)
        assert torch.equal(seen(model, inputs, labels=labels), reference)


def test_an_answer_without_an_end_of_turn_before_it_is_not_seen_either(training, inputs):
    image, end = training.config.image_token_id, training.config.turn_end_token_id
    one = {name: inputs[name][:1] for name in ("pixel_values", "sav_values")}
    rows = [[1, *[image] * 2 * GRID, *answer] for answer in ([25, 26, 27], [28, 29, 30], [31, 26, 27])]
    first, *others = (seen(training, in_rows(row, inputs=one)) for row in rows)
    assert all(torch.equal(other, first) for other in others)
    assert end not in rows[0]
    assert not torch.equal(seen(training, in_rows([*rows[0], end], inputs=one)), first)  # now they are a question


def test_padding_on_either_side_masks_the_same(training, processor):
    prompts = [question("Real?", 0), question("Is the face in the image real or spoof?", 1)]
    padded = encode(processor, prompts)
    right = encode(processor, prompts, processor_kwargs={"padding": True, "padding_side": "right"})
    assert not torch.equal(padded["input_ids"], right["input_ids"])
    assert torch.equal(seen(training, padded), seen(training, right))


def test_only_training_masks(inputs, processor):
    model = tiny_model(pvtm_mask_prob=1.0)
    untouched = torch.stack(model.get_image_features(inputs["pixel_values"], inputs["sav_values"]).pooler_output)
    assert torch.equal(seen(model, inputs), untouched)
    masked = seen(model.train(), inputs)
    is_mask = (masked == model.model.pvtm.mask_embedding).all(dim=-1)
    assert is_mask.sum(dim=1).tolist() == [7, 7]  # round_half_up(0.1 * 8) = 1 stays
    assert torch.equal(masked[~is_mask], untouched[~is_mask])


def test_generating_and_scoring_never_mask_not_even_in_training_mode(model, inputs):
    training = tiny_model(pvtm_mask_prob=1.0, text_config={**TEXT, "resid_pdrop": 0.0, "embd_pdrop": 0.0}).train()
    greedy = {"max_new_tokens": 4, "do_sample": False, "eos_token_id": None}
    assert torch.equal(training.generate(**inputs, **greedy), model.generate(**inputs, **greedy))
    assert torch.equal(training.score(inputs), model.score(inputs))


def test_the_importance_is_the_softmax_of_the_cosine_to_the_mean_of_the_questions_embeddings(model, processor):
    text = "Is it live?"
    inputs = encode(processor, [question(text, 0)])
    with torch.no_grad():
        given = model(**inputs, output_vision_importance=True).vision_importance
    tokens = model.get_image_features(inputs["pixel_values"], inputs["sav_values"]).pooler_output[0]
    # Between the picture and the end of the turn the template writes a line break and the words.
    ids = processor.tokenizer(f"\n{text}", add_special_tokens=False, return_tensors="pt")["input_ids"]
    prompt = model.get_input_embeddings()(ids).mean(dim=1)
    expected = torch.nn.functional.cosine_similarity(tokens, prompt).softmax(dim=0)
    torch.testing.assert_close(given[0], expected)


def test_the_importance_of_all_tokens_comes_back_on_demand_only(model, inputs):
    assert model(**inputs).vision_importance is None
    joint = model(**inputs, output_vision_importance=True).vision_importance
    assert joint.shape == (2, 2 * GRID)
    torch.testing.assert_close(joint.sum(dim=1), torch.ones(2))
    per_view = tiny_model(pvtm_scope="per_stream")(**inputs, output_vision_importance=True).vision_importance
    torch.testing.assert_close(per_view.view(2, 2, GRID).sum(dim=2), torch.ones(2, 2))


def test_every_row_is_ranked_by_its_own_question(model, processor):
    batch = encode(processor, [question("Real?", 0), question("Where is the spoof area?", 0)])
    first, second = model(**batch, output_vision_importance=True).vision_importance
    assert not torch.allclose(first, second)
    alone = model(**encode(processor, [question("Real?", 0)]), output_vision_importance=True).vision_importance
    torch.testing.assert_close(alone[0], first)


def test_two_images_of_a_row_are_ranked_by_the_same_question(model, processor):
    together = model(**encode(processor, [question("Real?", 0, 1)]), output_vision_importance=True).vision_importance
    alone = [
        model(**encode(processor, [question("Real?", seed)]), output_vision_importance=True).vision_importance[0]
        for seed in (0, 1)
    ]
    torch.testing.assert_close(together, torch.stack(alone))


def test_the_gradient_reaches_the_mask_embedding(training, inputs):
    training(**inputs, labels=inputs["input_ids"]).loss.backward()
    assert training.model.pvtm.mask_embedding.grad.abs().sum() > 0


def test_a_seed_repeats_the_masks_and_another_one_does_not(training, inputs):
    assert torch.equal(seen(training, inputs, seed=1), seen(training, inputs, seed=1))
    assert not torch.equal(seen(training, inputs, seed=1), seen(training, inputs, seed=2))


def test_probability_zero_turns_masking_off_and_loads_a_checkpoint_trained_with_it(model, inputs, tmp_path, caplog):
    model.save_pretrained(tmp_path)
    logging.enable_propagation()
    off = FaceShieldForConditionalGeneration.from_pretrained(tmp_path, pvtm_mask_prob=0.0)
    logging.disable_propagation()
    assert "mask_embedding" not in caplog.text
    assert not any("mask" in name for name, _ in off.named_parameters())
    assert torch.equal(seen(off.train(), inputs), seen(model, inputs))


def test_the_text_tower_reads_the_question_and_ranks_the_tokens_before_the_connector(inputs):
    model = tiny_model(pvtm_prompt_source="text_tower", prompt_tower_config=SiglipTextConfig(**READER))
    prompts = torch.tensor([[3, 4, 1], [5, 6, 7]])
    with torch.no_grad():
        given = model(**inputs, prompt_input_ids=prompts, output_vision_importance=True).vision_importance
        states = model.model.vision_tower(inputs["pixel_values"], output_hidden_states=True).hidden_states[-2]
        sav = model.model.vision_tower(inputs["sav_values"], output_hidden_states=True).hidden_states[-2]
        pooled = model.model.prompt_tower(prompts).pooler_output.unsqueeze(1)
    expected = torch.nn.functional.cosine_similarity(torch.cat([states, sav], dim=1), pooled, dim=-1).softmax(dim=1)
    torch.testing.assert_close(given, expected)


def test_the_text_tower_is_frozen_and_part_of_the_checkpoint(inputs, tmp_path):
    changes = {"pvtm_prompt_source": "text_tower", "prompt_tower_config": SiglipTextConfig(**READER)}
    model = tiny_model(**changes, pvtm_mask_prob=0.5, vision_token_budget=5).train()
    assert not model.model.prompt_tower.training
    assert not any(parameter.requires_grad for parameter in model.model.prompt_tower.parameters())
    model.eval().save_pretrained(tmp_path)
    loaded = FaceShieldForConditionalGeneration.from_pretrained(tmp_path)
    batch = encode(tiny_processor(vision_token_budget=5), [question("Real?", 0), question("Real?", 1)])
    batch["prompt_input_ids"] = torch.tensor([[3, 4, 1], [5, 6, 7]])
    greedy = {"max_new_tokens": 3, "do_sample": False, "eos_token_id": None}
    assert torch.equal(loaded.generate(**batch, **greedy), model.generate(**batch, **greedy))
    assert torch.equal(loaded.score(batch), model.score(batch))


def test_the_text_tower_without_a_question_is_refused_with_the_argument_to_give(inputs):
    model = tiny_model(pvtm_prompt_source="text_tower", prompt_tower_config=SiglipTextConfig(**READER)).train()
    with pytest.raises(ValueError, match=r"needs prompt_input_ids \(batch, length\)"):
        model(**inputs)


def test_a_text_tower_of_another_width_is_refused_with_both_widths():
    with pytest.raises(ValueError, match=r"prompt tower .* 24 .* vision tower .* 32"):
        tiny_model(
            pvtm_prompt_source="text_tower",
            prompt_tower_config=SiglipTextConfig(**{**READER, "hidden_size": 24}),
        )
