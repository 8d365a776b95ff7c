import pytest
from jinja2.exceptions import TemplateError
from toy_tokenizers import FAMILIES, toy_tokenizer

from faceshield_hf.chat_template_faceshield import DEFAULT_CHAT_TEMPLATE, chat_template_for, control_tokens, render


ASK = {"role": "user", "content": [{"type": "text", "text": "why?"}, {"type": "image"}]}
CHAT = [
    {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "real?"}]},
    {"role": "assistant", "content": "yes"},
    {"role": "user", "content": "sure?"},
    {"role": "assistant", "content": [{"type": "text", "text": "quite"}]},
]
DERIVED = ("phi3", "llama3", "chatml", "gemma")


def answers_of(tokenizer, template, messages):
    """What the generation marks cover, decoded."""
    encoded = tokenizer.apply_chat_template(
        messages, chat_template=template, tokenize=True, return_dict=True, return_assistant_tokens_mask=True
    )
    marked = zip(encoded["input_ids"], encoded["assistant_masks"], strict=True)
    return tokenizer.decode([token for token, mask in marked if mask])


@pytest.mark.parametrize("family", DERIVED)
def test_text_renders_as_the_language_models_own_template_does(family):
    tokenizer = toy_tokenizer(family)
    template = chat_template_for(tokenizer)
    messages = [{"role": ("user", "assistant")[i % 2], "content": f" words {i}\n"} for i in range(5)]
    for length in range(1, 6):
        prompt = length % 2 == 1
        own = render(tokenizer, tokenizer.chat_template, messages[:length], prompt)
        assert render(tokenizer, template, messages[:length], prompt) == own


@pytest.mark.parametrize("family", ["phi3", "llama3", "chatml"])
def test_system_messages_render_as_the_language_models_own_template_does(family):
    tokenizer = toy_tokenizer(family)
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "real?"}]
    own = render(tokenizer, tokenizer.chat_template, messages, True)
    assert render(tokenizer, chat_template_for(tokenizer), messages, True) == own


def test_a_system_message_is_refused_where_the_language_model_takes_none():
    tokenizer = toy_tokenizer("gemma")
    with pytest.raises(TemplateError, match="takes no system message"):
        render(tokenizer, chat_template_for(tokenizer), [{"role": "system", "content": "x"}], False)


@pytest.mark.parametrize(
    ("family", "text"),
    [
        ("phi3", "<|user|>\n<image>\nwhy?<|end|>\n<|assistant|>\n"),
        (
            "llama3",
            "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n<image>\nwhy?<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\n",
        ),
        (
            "chatml",
            "<|im_start|>system\nBe helpful.<|im_end|>\n<|im_start|>user\n<image>\nwhy?<|im_end|>\n"
            "<|im_start|>assistant\n",
        ),
        ("gemma", "<bos><start_of_turn>user\n<image>\nwhy?<end_of_turn>\n<start_of_turn>model\n"),
        ("llama2", "<s>[INST] <image>\nwhy? [/INST]"),
        ("plain", "<s><|user|>\n<image>\nwhy?</s>\n<|assistant|>\n"),
    ],
)
def test_images_stand_before_the_words_inside_the_language_models_turns(family, text):
    tokenizer = toy_tokenizer(family)
    assert render(tokenizer, chat_template_for(tokenizer), [ASK], True) == text


@pytest.mark.parametrize(
    ("family", "answers"),
    [
        ("phi3", "yes<|end|>quite<|end|>"),
        ("llama3", "yes<|eot_id|>quite<|eot_id|>"),
        ("chatml", "yes<|im_end|>quite<|im_end|>"),
        ("gemma", "yes<end_of_turn>quite<end_of_turn>"),
        ("plain", "yes</s>quite</s>"),
    ],
)
def test_answers_are_marked_with_their_stop_token_and_nothing_else(family, answers):
    tokenizer = toy_tokenizer(family)
    assert answers_of(tokenizer, chat_template_for(tokenizer), CHAT) == answers


def test_turns_that_cannot_be_written_down_keep_the_original_template_without_marks():
    tokenizer = toy_tokenizer("llama2")
    template = chat_template_for(tokenizer)
    assert template.endswith(tokenizer.chat_template)
    assert "generation -%}" not in template
    assert render(tokenizer, template, CHAT, False) == (
        "<s>[INST] <image>\nreal? [/INST] yes </s>[INST] sure? [/INST] quite </s>"
    )


def test_a_template_with_a_date_is_kept_so_that_it_stays_right_tomorrow():
    tokenizer = toy_tokenizer("llama3")
    tokenizer.chat_template = "{{ strftime_now('%Y') and '' }}" + tokenizer.chat_template
    assert chat_template_for(tokenizer).endswith(tokenizer.chat_template)


def test_a_template_that_knows_images_is_left_alone():
    tokenizer = toy_tokenizer("phi3")
    tokenizer.chat_template = DEFAULT_CHAT_TEMPLATE
    assert chat_template_for(tokenizer) == DEFAULT_CHAT_TEMPLATE


def test_a_tokenizer_that_nothing_could_end_a_turn_with_is_refused():
    tokenizer = toy_tokenizer("plain")
    tokenizer.eos_token = None
    with pytest.raises(ValueError, match=r"no chat template, no <\|end\|> and no eos_token"):
        chat_template_for(tokenizer)


def test_the_default_template_is_phi3s():
    tokenizer = toy_tokenizer("phi3")
    messages = [{"role": "system", "content": "Be brief."}, *CHAT]
    assert render(tokenizer, DEFAULT_CHAT_TEMPLATE, messages, False) == (
        "<s><|system|>\nBe brief.<|end|>\n<|user|>\n<image>\nreal?<|end|>\n<|assistant|>\nyes<|end|>\n"
        "<|user|>\nsure?<|end|>\n<|assistant|>\nquite<|end|>\n"
    )


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ([CHAT[1]], "Roles must go"),
        ([CHAT[0], CHAT[0]], "Roles must go"),
        ([CHAT[0], {"role": "system", "content": "late"}], "Roles must go"),
        ([{"role": "tool", "content": "x"}], "Roles must go"),
        ([{"role": "user", "content": [{"type": "video"}]}], "Content of type video is not supported"),
    ],
)
def test_conversations_that_no_turns_exist_for_are_refused(messages, message):
    with pytest.raises(TemplateError, match=message):
        render(toy_tokenizer("phi3"), DEFAULT_CHAT_TEMPLATE, messages, False)


@pytest.mark.parametrize("family", FAMILIES)
def test_words_are_never_taken_for_template_code(family):
    tokenizer = toy_tokenizer(family)
    words = "{{ 1 + 1 }} {% raw %} '\"\\n\\"
    assert words in render(tokenizer, chat_template_for(tokenizer), [{"role": "user", "content": words}], True)


def test_control_tokens_are_the_special_ones_the_image_and_the_roles():
    tokens = control_tokens(toy_tokenizer("chatml"))
    assert {
        "<|im_start|>",
        "<|im_end|>",
        "<|endoftext|>",
        "<image>",
        "<|assistant|>",
        "<|user|>",
        "<|system|>",
    } == set(tokens)
    assert tokens == sorted(tokens, key=lambda token: (-len(token), token))
