"""What generation and TRL need of the model, beyond what transformers' common tests look at."""

import pytest
import torch
from tiny import encode, question, tiny_model
from transformers import TextIteratorStreamer
from trl.trainer.utils import add_fused_lm_head


GREEDY = {"max_new_tokens": 6, "do_sample": False, "eos_token_id": None}
PROMPTS = [question("Real?", 0), question("Is the face in the image real or spoof?", 1)]


def new_tokens(model, inputs, **options):
    return model.generate(**inputs, **{**GREEDY, **options})[:, inputs["input_ids"].shape[1] :]


def test_what_the_processor_gives_goes_into_generate_and_a_batch_equals_single_prompts(model, processor, inputs):
    answers = new_tokens(model, inputs)
    assert answers.shape == (2, 6)
    for prompt, answer in zip(PROMPTS, answers, strict=True):
        assert torch.equal(new_tokens(model, encode(processor, [prompt]))[0], answer)


@pytest.mark.parametrize(
    "options",
    [{"use_cache": False}, {"cache_implementation": "static"}, {"prefill_chunk_size": 5}, {"prefill_chunk_size": 64}],
)
def test_no_cache_a_static_cache_and_chunks_give_the_same_answers(model, inputs, options):
    assert torch.equal(new_tokens(model, inputs, **options), new_tokens(model, inputs))


def test_each_step_equals_a_forward_over_the_whole_sequence(model, processor):
    inputs = encode(processor, [PROMPTS[0]])
    out = model.generate(**inputs, **GREEDY, return_dict_in_generate=True, output_logits=True)
    length = inputs["input_ids"].shape[1]
    inputs |= {"input_ids": out.sequences, "attention_mask": torch.ones_like(out.sequences)}
    whole = model(**inputs).logits[0, length - 1 : -1]
    torch.testing.assert_close(torch.cat(out.logits), whole, atol=1e-4, rtol=1e-4)


def test_the_answer_depends_on_both_views(model, processor):
    inputs = encode(processor, [PROMPTS[0]])
    logits = model(**inputs).logits[:, -1]
    for name in ("pixel_values", "sav_values"):
        changed = {**inputs, name: inputs[name].flip(-1)}
        assert not torch.allclose(model(**changed).logits[:, -1], logits, atol=1e-4)


def test_beams_and_several_answers_follow_their_own_image(model, processor):
    three = encode(processor, [question("Real?", 0), question("Which?", 1, 2), question("Real?", 3)])
    together = new_tokens(model, three, num_beams=3, num_return_sequences=2)
    for row, prompt in enumerate([question("Real?", 0), question("Which?", 1, 2), question("Real?", 3)]):
        alone = new_tokens(model, encode(processor, [prompt]), num_beams=3, num_return_sequences=2)
        assert torch.equal(together[2 * row : 2 * row + 2], alone)


def test_prompt_lookup_equals_greedy_because_placeholders_are_never_generated(model, processor):
    inputs = encode(processor, [question("Is it real? Is it real? Is it real?", 0)])
    assert model.generation_config.suppress_tokens == [model.config.image_token_id]
    assert torch.equal(new_tokens(model, inputs, prompt_lookup_num_tokens=3), new_tokens(model, inputs))


def test_an_assistant_model_changes_the_speed_only(model, processor):
    inputs = encode(processor, [PROMPTS[0]])
    assert torch.equal(new_tokens(model, inputs, assistant_model=tiny_model(seed=5)), new_tokens(model, inputs))


def test_token_types_of_images_are_accepted(model, processor):
    inputs = encode(processor, [PROMPTS[0]], processor_kwargs={"return_mm_token_type_ids": True})
    assert "mm_token_type_ids" in inputs
    rest = {name: value for name, value in inputs.items() if name != "mm_token_type_ids"}
    assert torch.equal(new_tokens(model, inputs), new_tokens(model, rest))
    assert torch.equal(model(**inputs).logits, model(**rest).logits)


def test_embeddings_with_pictures_generate_the_same(model, inputs):
    rest = {name: value for name, value in inputs.items() if name != "input_ids"}
    embeds = model.get_input_embeddings()(inputs["input_ids"])
    assert torch.equal(model.generate(**rest, inputs_embeds=embeds, **GREEDY), new_tokens(model, inputs))


def test_a_conversation_goes_on_from_its_cache(model, processor):
    inputs = encode(processor, [PROMPTS[0]])
    first = model.generate(**inputs, **GREEDY, return_dict_in_generate=True)
    ids = torch.cat([first.sequences, torch.tensor([[20, 21, 22]])], dim=1)
    rest = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    continued = model.generate(**rest, **GREEDY, past_key_values=first.past_key_values)
    pictures = {name: inputs[name] for name in ("pixel_values", "sav_values")}
    assert torch.equal(continued, model.generate(**rest, **pictures, **GREEDY))


def test_text_streams_piece_by_piece(model, processor):
    inputs = encode(processor, [PROMPTS[0]])
    streamer = TextIteratorStreamer(processor.tokenizer, skip_prompt=True, timeout=30)
    out = model.generate(**inputs, **GREEDY, streamer=streamer)
    assert "".join(streamer) == processor.tokenizer.decode(out[0, inputs["input_ids"].shape[1] :])


def test_positional_ids_are_ids(model, inputs):
    rest = {name: value for name, value in inputs.items() if name != "input_ids"}
    assert torch.equal(model.generate(inputs["input_ids"], **rest, **GREEDY)[:, -6:], new_tokens(model, inputs))


def test_a_misspelt_argument_is_refused(model, inputs):
    with pytest.raises(ValueError, match="pixel_value"):
        model.generate(**inputs, pixel_value=inputs["pixel_values"], max_new_tokens=1)


def test_placeholders_without_a_picture_are_refused_with_their_number(model, inputs):
    rest = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    for use in (lambda: model.generate(**rest, **GREEDY), lambda: model.score(rest)):
        with pytest.raises(ValueError, match="do not match: got 16 image tokens, but no pixel_values"):
            use()


def test_trls_fused_head_gives_the_same_log_probabilities_and_loss(inputs):
    model, labels = tiny_model(), inputs["input_ids"].clone()
    with torch.no_grad():
        expected = model(**inputs, labels=labels)
        logits = expected.logits[:, :-1].log_softmax(-1)
        add_fused_lm_head(model, outputs=("log_probs", "entropy", "is_top1"))
        fused = model(**inputs, labels=labels, fused_lm_head=True)
    torch.testing.assert_close(fused.log_probs, logits.gather(-1, labels[:, 1:, None])[..., 0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(fused.loss, expected.loss, atol=1e-4, rtol=1e-4)


def test_pictures_are_encoded_once_however_long_the_answer(inputs, monkeypatch):
    model = tiny_model()
    calls = []
    forward = model.model.vision_tower.forward
    monkeypatch.setattr(model.model.vision_tower, "forward", lambda *a, **k: calls.append(1) or forward(*a, **k))
    model.generate(**inputs, **GREEDY, num_beams=2)
    assert len(calls) == 1
