"""How a causal language model's tokenizer becomes FaceShield's: one rule that the model and the processor share.

`FaceShieldForConditionalGeneration.from_vision_text_pretrained` and `FaceShieldProcessor.from_vision_text_pretrained`
both call `compose_tokenizer` on the same tokenizer, and so agree on every id. It knows tokenizers only: whether the
model has a row for the image token is for the model to see (`image_token_id >= vocab_size`: resize to
`len(tokenizer)`; below that a spare row is used and nothing is resized).

Example:
    >>> tokenizer = AutoTokenizer.from_pretrained("microsoft/Phi-3-mini-4k-instruct")  # doctest: +SKIP
    >>> compose_tokenizer(tokenizer).image_token_id  # a spare one of 32064 rows  # doctest: +SKIP
    32011
"""

from dataclasses import dataclass

from transformers import AddedToken, PreTrainedTokenizerBase

from .chat_template_faceshield import IMAGE_TOKEN, chat_template_for, control_tokens, first_token_in, render
from .tasks_faceshield import QUESTIONS, REAL_ANSWER, SPOOF_ANSWER, Task


@dataclass(frozen=True)
class ComposedText:
    """What the model and the processor need to know of the text side.

    Attributes:
        image_token_id (`int`): id of `<image>`.
        turn_end_token_id (`int`, *optional*): id of the token that ends the user's turn; `None` if the model's turns
            are set apart by plain text.
        stop_token_id (`int`, *optional*): id of the token that ends the assistant's turn, for generation to stop at.
        chat_template (`str`): with images and, if possible, generation marks.
        real_answer_ids (`list[int]`): the coarse answer for a live face.
        spoof_answer_ids (`list[int]`): the coarse answer for an attack.
    """

    image_token_id: int
    turn_end_token_id: int | None
    stop_token_id: int | None
    chat_template: str
    real_answer_ids: list[int]
    spoof_answer_ids: list[int]


def compose_tokenizer(tokenizer: PreTrainedTokenizerBase, chat_template: str | None = None) -> ComposedText:
    """Give a language model's tokenizer the image token, a padding token and a chat template with images.

    Args:
        tokenizer (`PreTrainedTokenizerBase`): changed in place; doing it twice changes nothing more. It pads on the
            left from then on, as generation needs.
        chat_template (`str`, *optional*): used as it is instead of the model's own turns.

    Returns:
        `ComposedText`: ids and template.
    """
    if IMAGE_TOKEN not in tokenizer.get_vocab():
        tokenizer.add_tokens([AddedToken(IMAGE_TOKEN, special=True, normalized=False)], special_tokens=True)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.unk_token or tokenizer.eos_token
    tokenizer.padding_side = "left"
    tokenizer.chat_template = chat_template or chat_template_for(tokenizer)
    answers = coarse_answer_ids(tokenizer, tokenizer.chat_template)
    return ComposedText(
        image_token_id=tokenizer.get_vocab()[IMAGE_TOKEN],
        turn_end_token_id=token_after(tokenizer, "user", tokenizer.chat_template),
        stop_token_id=token_after(tokenizer, "assistant", tokenizer.chat_template),
        chat_template=tokenizer.chat_template,
        real_answer_ids=answers["real"],
        spoof_answer_ids=answers["spoof"],
    )


def coarse_answer_ids(tokenizer: PreTrainedTokenizerBase, chat_template: str) -> dict[str, list[int]]:
    """Token ids of the two coarse answers as they follow the generation prompt, without special tokens.

    Args:
        tokenizer (`PreTrainedTokenizerBase`): the tokenizer.
        chat_template (`str`): the template that writes the prompt.

    Returns:
        `dict[str, list[int]]`: under "real" and "spoof".
    """
    question = [{"role": "user", "content": QUESTIONS[Task.COARSE][0]}]
    prompt = render(tokenizer, chat_template, question, prompt=True)
    prompt_ids = tokenizer.encode(prompt, add_special_tokens=False)
    found = {}
    for label, answer in (("real", REAL_ANSWER), ("spoof", SPOOF_ANSWER)):
        ids = tokenizer.encode(prompt + answer, add_special_tokens=False)
        # Some tokenizers merge the prompt's last sign with the answer's first; training on prompt and completion,
        # which encodes the two apart, then shows the model the answer's own ids.
        alone = ids[: len(prompt_ids)] != prompt_ids
        found[label] = tokenizer.encode(answer, add_special_tokens=False) if alone else ids[len(prompt_ids) :]
    return found


def token_after(tokenizer: PreTrainedTokenizerBase, role: str, chat_template: str | None) -> int | None:
    """Find the control token that ends a turn.

    Args:
        tokenizer (`PreTrainedTokenizerBase`): the tokenizer.
        role (`str`): `"user"` or `"assistant"`, whose turn it is.
        chat_template (`str`, *optional*): the template that writes the turns; the tokenizer's own when `None`.

    Returns:
        `int`, *optional*: id of the first control token after the words; `None` if there is none.
    """
    words = {"user": "probeuser", "assistant": "probeanswer"}
    messages = [{"role": name, "content": text} for name, text in words.items()]
    text = render(tokenizer, chat_template or tokenizer.chat_template, messages, prompt=False)
    rest = text[text.rindex(words[role]) + len(words[role]) :]
    if role == "user":
        rest = rest[: rest.index(words["assistant"])]
    vocabulary = tokenizer.get_vocab()
    first = first_token_in(rest, [token for token in control_tokens(tokenizer) if token in vocabulary])
    return None if first is None else vocabulary[first[1]]
