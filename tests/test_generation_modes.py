"""Every way of generating that transformers' generation suite exercises, on three kinds of FaceShield model.

Each mode must give the shapes that were asked for, and modes that only differ in how they compute must agree.
"""

import pytest
import torch
import transformers
from packaging.version import Version
from tiny import tiny_model
from transformers import StaticCache
from transformers.generation import GenerateBeamDecoderOnlyOutput, GenerateDecoderOnlyOutput, GenerationMixin


NEW = 3
VARIANTS = {
    "all tokens": ({}, 8),
    "budget": ({"vision_token_budget": 5}, 5),
    "gac": ({"connector": "gac", "gac_num_queries": 8, "gac_depth": 1}, 8),
}
DICT = {
    "return_dict_in_generate": True,
    "output_scores": True,
    "output_logits": True,
    "output_hidden_states": True,
    "output_attentions": True,
}
MODES = {
    "greedy": {"do_sample": False},
    "sample": {"do_sample": True, "top_k": 10, "top_p": 0.7, "temperature": 0.7, "num_return_sequences": 2},
    "beam": {"num_beams": 2, "length_penalty": 2.0, "do_sample": False},
    "beam sample": {"num_beams": 2, "do_sample": True, "top_k": 10, "temperature": 0.7},
}
LOGITS = {"bad_words_ids": [[1, 0]], "repetition_penalty": 1.2, "remove_invalid_values": True}


@pytest.fixture(scope="module", params=VARIANTS, ids=lambda name: name.replace(" ", "-"))
def case(request):
    """A model, inputs of two rows, and another model of the same kind."""
    changes, tokens = VARIANTS[request.param]
    net = tiny_model(**changes)
    net.generation_config.eos_token_id = None  # else rows end early and lengths say nothing
    net.generation_config.pad_token_id = 2
    generator = torch.Generator().manual_seed(0)
    words = torch.randint(10, 250, (2, 7), generator=generator)
    words[:, 4] = net.config.turn_end_token_id
    ids = torch.cat([torch.full((2, tokens), net.config.image_token_id), words], dim=1)
    pictures = torch.randn(2, 2, 3, 28, 28, generator=generator)
    inputs = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "pixel_values": pictures[0],
        "sav_values": pictures[1],
    }
    return net, inputs, tiny_model(seed=7, **changes)


def first(inputs):
    return {name: value[:1] for name, value in inputs.items()}


def same(left, right, tolerance=1e-5):
    """Equal sequences; or, where rounding decided between two tokens, equal scores up to there."""
    if torch.equal(left.sequences, right.sequences):
        return True
    prompt = left.sequences.shape[1] - len(left.scores)
    for row, agrees in enumerate(left.sequences == right.sequences):
        if not agrees.all():
            step = int(agrees.int().argmin()) - prompt
            if not torch.allclose(left.scores[step][row], right.scores[step][row], tolerance, tolerance):
                return False
    return True


@pytest.mark.parametrize("cached", [True, False], ids=["cache", "no-cache"])
@pytest.mark.parametrize("mode", MODES)
def test_outputs_have_the_promised_shapes(case, mode, cached):
    net, inputs, _ = case
    net.set_attn_implementation("eager")  # attentions can't be given otherwise
    out = net.generate(**inputs, **MODES[mode], **DICT, **LOGITS, max_new_tokens=NEW, use_cache=cached)
    net.set_attn_implementation("sdpa")
    returned, beams = MODES[mode].get("num_return_sequences", 1), MODES[mode].get("num_beams", 1)
    rows, length = 2 * max(returned, beams), inputs["input_ids"].shape[1]
    text = net.config.text_config
    assert out.sequences.shape == (2 * returned, length + NEW)
    assert isinstance(out, GenerateBeamDecoderOnlyOutput if beams > 1 else GenerateDecoderOnlyOutput)
    assert [scores.shape for scores in out.scores] == [(rows, text.vocab_size)] * NEW
    assert [logits.shape for logits in out.logits] == [(rows, text.vocab_size)] * NEW
    for step in range(NEW):
        seen = 1 if cached and step else length + step
        attention = (rows, text.num_attention_heads, seen, length + step)
        assert [layer.shape for layer in out.attentions[step]] == [attention] * text.num_hidden_layers
        hidden = (rows, seen, text.hidden_size)
        assert [layer.shape for layer in out.hidden_states[step]] == [hidden] * (text.num_hidden_layers + 1)
    if not cached:
        assert out.past_key_values is None
    else:
        cache = (rows, text.num_key_value_heads, length + NEW - 1, text.hidden_size // text.num_attention_heads)
        assert [layer.keys.shape for layer in out.past_key_values.layers] == [cache] * text.num_hidden_layers


def test_nothing_at_all_is_a_prompt_too(case):
    net, _, _ = case
    assert net.generate(max_new_tokens=NEW, do_sample=False).shape[1] >= NEW


@pytest.mark.parametrize("mode", ["greedy", "beam"])
def test_embeddings_may_stand_for_ids(case, mode):
    net, inputs, _ = case
    options = {**MODES[mode], "return_dict_in_generate": True, "output_scores": True, "max_new_tokens": NEW}
    expected = net.generate(**inputs, **options)
    rest = {name: value for name, value in inputs.items() if name != "input_ids"}
    ids = inputs["input_ids"]
    embeds = net.get_input_embeddings()(ids).detach()
    assert same(expected, net.generate(ids, inputs_embeds=embeds, **rest, **options))
    alone = net.generate(inputs_embeds=embeds, **rest, **options)
    assert torch.equal(alone.sequences, expected.sequences[:, ids.shape[1] :])
    # Other words: other scores.
    is_word = (ids != net.config.image_token_id).unsqueeze(-1)
    other = torch.where(is_word, torch.rand_like(embeds), embeds)
    changed = net.generate(ids, inputs_embeds=other, **rest, **options)
    assert not torch.allclose(changed.scores[0], expected.scores[0])


def test_embeddings_fill_a_static_cache_of_the_right_length(case):
    net, inputs, _ = case
    embeds = net.get_input_embeddings()(inputs["input_ids"]).detach()
    rest = {name: value for name, value in inputs.items() if name != "input_ids"}
    options = {"max_new_tokens": 10, "do_sample": False, "return_dict_in_generate": True, "output_scores": True}
    static = net.generate(inputs_embeds=embeds, **rest, **options, cache_implementation="static", disable_compile=True)
    dynamic = net.generate(inputs_embeds=embeds, **rest, **options)
    assert torch.equal(static.sequences, dynamic.sequences)
    assert isinstance(static.past_key_values, StaticCache)
    assert static.past_key_values.layers[0].keys.shape[2] == embeds.shape[1] + 10 - 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_a_static_cache_gives_what_a_growing_one_gives(case, dtype):
    net, inputs, _ = case
    options = {"max_new_tokens": 8, "do_sample": False, "return_dict_in_generate": True, "output_scores": True}
    net.to(dtype)
    try:
        dynamic = net.generate(**inputs, **options)
        static = net.generate(**inputs, **options, cache_implementation="static", disable_compile=True)
    finally:
        net.to(torch.float32)
    assert same(dynamic, static, 1e-5 if dtype == torch.float32 else 5e-2)


@pytest.mark.parametrize("helper", ["same", "random"])
def test_a_helper_model_changes_nothing(case, helper):
    net, inputs, another = case
    inputs = first(inputs)
    options = {"max_new_tokens": 4, "do_sample": False, "return_dict_in_generate": True, "output_scores": True}
    greedy = net.generate(**inputs, **options)
    assistant = net if helper == "same" else another
    assistant.generation_config.num_assistant_tokens = 2
    assistant.generation_config.num_assistant_tokens_schedule = "constant"
    assert same(greedy, net.generate(**inputs, **options, assistant_model=assistant), 1e-4)
    sampled = net.generate(**inputs, **options | {"do_sample": True}, assistant_model=assistant)
    assert sampled.sequences.shape == greedy.sequences.shape


def test_looking_up_the_prompt_changes_nothing(case):
    net, inputs, _ = case
    inputs = first(inputs)
    options = {"max_new_tokens": 4, "do_sample": False, "return_dict_in_generate": True, "output_scores": True}
    looked_up = net.generate(**inputs, **options, prompt_lookup_num_tokens=2)
    assert same(net.generate(**inputs, **options), looked_up, 1e-4)


def test_a_generation_goes_on_from_its_cache(case):
    net, inputs, _ = case
    options = {"do_sample": False, "return_dict_in_generate": True}
    whole = net.generate(**inputs, **options, max_new_tokens=4)
    begun = net.generate(**inputs, **options, max_new_tokens=3)
    mask = torch.ones_like(begun.sequences)
    goes_on = {"input_ids": begun.sequences, "attention_mask": mask, "past_key_values": begun.past_key_values}
    for pictures in ({}, {name: inputs[name] for name in ("pixel_values", "sav_values")}):
        again = net.generate(**inputs, **options, max_new_tokens=3)
        goes_on["past_key_values"] = again.past_key_values
        done = net.generate(**goes_on, **pictures, **options, max_new_tokens=1)
        assert torch.equal(done.sequences, whole.sequences)
        for ours, theirs in zip(done.past_key_values.layers, whole.past_key_values.layers, strict=True):
            torch.testing.assert_close(ours.keys, theirs.keys)
            torch.testing.assert_close(ours.values, theirs.values)


def test_text_goes_on_from_embeddings_and_their_cache(case):
    net, inputs, _ = case
    embeds = net.get_input_embeddings()(inputs["input_ids"][:, -6:]).detach()
    options = {"do_sample": False, "return_dict_in_generate": True}
    whole = net.generate(inputs_embeds=embeds, **options, max_new_tokens=4).sequences
    begun = net.generate(inputs_embeds=embeds, **options, max_new_tokens=3)
    longer = torch.cat([embeds, net.get_input_embeddings()(begun.sequences).detach()], dim=1)
    done = net.generate(
        inputs_embeds=longer, past_key_values=begun.past_key_values, **options, max_new_tokens=1
    ).sequences
    assert torch.equal(torch.cat([begun.sequences, done], dim=1), whole)


def test_all_logits_or_the_last_only_choose_the_same_tokens(case):
    net, inputs, _ = case
    options = {"do_sample": False, "max_new_tokens": 6}
    assert torch.equal(net.generate(**inputs, **options, logits_to_keep=0), net.generate(**inputs, **options))


def test_left_padding_changes_nothing(case):
    net, inputs, _ = case
    padded = dict(inputs)
    padded["input_ids"] = torch.nn.functional.pad(inputs["input_ids"], (5, 0), value=2)
    padded["attention_mask"] = torch.nn.functional.pad(inputs["attention_mask"], (5, 0), value=0)
    options = {"do_sample": False, "max_new_tokens": 5, "return_dict_in_generate": True, "output_scores": True}
    plain, shifted = net.generate(**inputs, **options), net.generate(**padded, **options)
    assert torch.equal(plain.sequences, shifted.sequences[:, 5:])
    for ours, theirs in zip(shifted.scores, plain.scores, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.skipif(Version(transformers.__version__) < Version("5.23"), reason="older generate leaves images out")
@pytest.mark.parametrize("size", [1, 4, 100])
def test_a_prompt_read_in_pieces_gives_the_same_tokens(case, size):
    net, inputs, _ = case
    options = {"do_sample": False, "max_new_tokens": 4}
    pieces = net.generate(**inputs, **options, prefill_chunk_size=size)
    assert torch.equal(pieces, net.generate(**inputs, **options))


def test_eager_and_sdpa_attention_generate_the_same(case):
    net, inputs, _ = case
    options = {"do_sample": False, "max_new_tokens": 8, "return_dict_in_generate": True, "output_scores": True}
    sdpa = net.generate(**inputs, **options)
    net.set_attn_implementation("eager")
    eager = net.generate(**inputs, **options)
    net.set_attn_implementation("sdpa")
    assert same(sdpa, eager, 1e-4)


def test_the_class_itself_inherits_generation(case):
    assert GenerationMixin in type(case[0]).__bases__
