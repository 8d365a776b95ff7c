import pytest
from toy_tokenizers import FAMILIES, toy_tokenizer

from faceshield_hf.composition_faceshield import coarse_answer_ids, compose_tokenizer
from faceshield_hf.tasks_faceshield import REAL_ANSWER, SPOOF_ANSWER


@pytest.mark.parametrize("family", FAMILIES)
def test_the_image_token_takes_the_next_free_id(family):
    tokenizer = toy_tokenizer(family)
    length = len(tokenizer)
    assert compose_tokenizer(tokenizer).image_token_id == length
    assert len(tokenizer) == length + 1
    ids = tokenizer.encode("a<image><image>b", add_special_tokens=False)
    assert ids.count(length) == 2
    assert tokenizer.decode(ids, skip_special_tokens=True) == "ab"


@pytest.mark.parametrize("family", FAMILIES)
def test_composing_twice_changes_nothing_more(family):
    tokenizer = toy_tokenizer(family)
    first = compose_tokenizer(tokenizer)
    length = len(tokenizer)
    assert compose_tokenizer(tokenizer) == first
    assert len(tokenizer) == length


@pytest.mark.parametrize(
    ("family", "turn_end", "stop"),
    [
        ("phi3", "<|end|>", "<|end|>"),
        ("llama3", "<|eot_id|>", "<|eot_id|>"),
        ("chatml", "<|im_end|>", "<|im_end|>"),
        ("gemma", "<end_of_turn>", "<end_of_turn>"),
        ("llama2", None, "</s>"),  # [/INST] is plain text
        ("plain", "</s>", "</s>"),
    ],
)
def test_turn_end_and_stop_are_found_in_the_turns(family, turn_end, stop):
    tokenizer = toy_tokenizer(family)
    composed = compose_tokenizer(tokenizer)
    assert composed.turn_end_token_id == (None if turn_end is None else tokenizer.convert_tokens_to_ids(turn_end))
    assert composed.stop_token_id == tokenizer.convert_tokens_to_ids(stop)


@pytest.mark.parametrize("family", FAMILIES)
def test_answer_ids_are_the_answers_and_nothing_else(family):
    tokenizer = toy_tokenizer(family)
    composed = compose_tokenizer(tokenizer)
    assert tokenizer.decode(composed.real_answer_ids) == REAL_ANSWER
    assert tokenizer.decode(composed.spoof_answer_ids) == SPOOF_ANSWER


def test_answer_ids_follow_the_prompt_as_the_tokenizer_joins_them():
    tokenizer = toy_tokenizer("phi3")
    prompt = "<|user|>\nIs the face in the image real or spoof?<|end|>\n<|assistant|>\n"
    ids = compose_tokenizer(tokenizer).real_answer_ids
    assert tokenizer.encode(prompt) + ids == tokenizer.encode(prompt + REAL_ANSWER)


def test_where_prompt_and_answer_merge_the_answer_is_encoded_alone():
    tokenizer = toy_tokenizer("plain")
    tokenizer.add_tokens(["goThe"])
    template = "{{ messages[0]['content'] }} go"
    assert coarse_answer_ids(tokenizer, template)["real"] == tokenizer.encode(REAL_ANSWER, add_special_tokens=False)


@pytest.mark.parametrize(("family", "pad"), [("phi3", "<|endoftext|>"), ("llama3", "<|eot_id|>"), ("plain", "<unk>")])
def test_there_is_a_padding_token_on_the_left(family, pad):
    tokenizer = toy_tokenizer(family)
    compose_tokenizer(tokenizer)
    assert (tokenizer.pad_token, tokenizer.padding_side) == (pad, "left")


def test_a_given_template_is_used_as_it_is():
    tokenizer = toy_tokenizer("phi3")
    template = "{% for m in messages %}{{ m['content'] + '<|end|>' }}{% endfor %}"
    assert compose_tokenizer(tokenizer, template).chat_template == template
