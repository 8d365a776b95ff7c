r"""Chat templates for images: the turns of a language model, with placeholders for images and marks for training.

A language model's own template knows text only. Here its turns are measured, by rendering it on probes, and written
down again as a template that also takes images and marks what the assistant writes (`{% generation %}`). The result
is used only if it renders every probe exactly as the original does. Where that fails (dates, tools, thinking, turns
that depend on their place) the original stays as it is behind a prelude that turns images into placeholders; such a
template has no generation marks, so train on prompt and completion rather than with `assistant_only_loss`.

It knows text only: nothing of ids, pixels or how many tokens an image takes.

Example:
    >>> "{%- generation -%}" in DEFAULT_CHAT_TEMPLATE
    True
"""

from dataclasses import dataclass
from string import Template

from jinja2.exceptions import TemplateError
from transformers import PreTrainedTokenizerBase


IMAGE_TOKEN = "<image>"

Messages = list[dict[str, str]]

# Images stand before the words of their message, whatever their place in it: the words are then the question that the
# visual tokens are ranked by.
_FLATTEN = """
    {%- set ns = namespace(text='') -%}
    {%- if message['content'] is string -%}
        {%- set ns.text = message['content'] -%}
    {%- elif message['content'] -%}
        {%- for item in message['content'] -%}
            {%- if item['type'] == 'image' -%}
                {%- set ns.text = ns.text + '<image>\\n' -%}
            {%- elif item['type'] != 'text' -%}
                {{- raise_exception('Content of type ' + item['type'] + ' is not supported: use image or text.') -}}
            {%- endif -%}
        {%- endfor -%}
        {%- for item in message['content'] if item['type'] == 'text' -%}
            {%- set ns.text = ns.text + item['text'] -%}
        {%- endfor -%}
    {%- endif -%}"""

_PRELUDE = (
    "{%- set flat = namespace(messages=[]) -%}\n{%- for message in messages -%}"
    + _FLATTEN
    + """
    {%- set flat.messages = flat.messages + [dict(message, content=ns.text)] -%}
{%- endfor -%}
{%- set messages = flat.messages -%}
{{- '' }}"""
)

_NO_SYSTEM = "{{- raise_exception('This language model takes no system message: use the first user message.') -}}"

_TURNS = """$bos{%- for message in messages -%}$flatten
    {%- set words = $words -%}
    {%- set before = loop.previtem['role'] if loop.previtem else none -%}
    {%- if message['role'] == 'system' and not before -%}
        $system
    {%- elif message['role'] == 'user' and before != 'user' -%}
        {%- if before == 'assistant' -%}
            {{- $assistant_to_user -}}
        {%- elif before == 'system' -%}
            {{- $system_to_user -}}
        {%- else -%}
            {{- $before_user -}}
        {%- endif -%}
        {{- words -}}
        {%- if loop.last and add_generation_prompt -%}
            {{- $user_to_assistant -}}
        {%- elif loop.last -%}
            {{- $after_user -}}
        {%- endif -%}
    {%- elif message['role'] == 'assistant' and before == 'user' -%}
        {{- $user_to_assistant -}}
        {%- generation -%}
            {{- words + $stop -}}
        {%- endgeneration -%}
        {%- if loop.last -%}
            {{- $after_assistant -}}
        {%- endif -%}
    {%- else -%}
        {{- raise_exception('Roles must go (system,) user, assistant, user, ...; merge messages of one role.') -}}
    {%- endif -%}
{%- endfor -%}
"""


def _quote(text: str) -> str:
    """A Jinja string literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r") + "'"


@dataclass(frozen=True)
class ChatTurns:
    """What a template writes around the words of a conversation of system (optional), user, assistant, user, ...

    Attributes:
        before_user (`str`): opens a conversation that begins with a user.
        before_system (`str`, *optional*): opens one that begins with a system message; `None` if there are none.
        system_to_user (`str`): stands between a system message and the first user's.
        user_to_assistant (`str`): stands between a user's words and the answer; the generation prompt.
        stop (`str`): closes an answer; the model writes it too.
        assistant_to_user (`str`): stands between `stop` and the next user's words.
        after_user (`str`): ends a text whose last words are a user's, without a generation prompt.
        after_assistant (`str`): ends a text after `stop`.
        trim (`bool`): whether whitespace around words is dropped.
        bos (`str`): Jinja that writes what comes before everything.
    """

    before_user: str
    before_system: str | None
    system_to_user: str
    user_to_assistant: str
    stop: str
    assistant_to_user: str
    after_user: str
    after_assistant: str
    trim: bool = False
    bos: str = ""

    def to_template(self) -> str:
        """The chat template that writes these turns, takes images and marks answers."""
        system = _NO_SYSTEM if self.before_system is None else f"{{{{- {_quote(self.before_system)} + words -}}}}"
        return Template(_TURNS).substitute(
            bos=self.bos,
            flatten=_FLATTEN,
            words="ns.text | trim" if self.trim else "ns.text",
            system=system,
            before_user=_quote(self.before_user),
            system_to_user=_quote(self.system_to_user),
            user_to_assistant=_quote(self.user_to_assistant),
            stop=_quote(self.stop),
            assistant_to_user=_quote(self.assistant_to_user),
            after_user=_quote(self.after_user),
            after_assistant=_quote(self.after_assistant),
        )


def default_turns(end: str = "<|end|>") -> ChatTurns:
    """Phi-3's turns, for language models that have none.

    Args:
        end (`str`, *optional*, defaults to `"<|end|>"`): the token that closes every turn.

    Returns:
        `ChatTurns`: the turns.
    """
    return ChatTurns(
        before_user="<|user|>\n",
        before_system="<|system|>\n",
        system_to_user=f"{end}\n<|user|>\n",
        user_to_assistant=f"{end}\n<|assistant|>\n",
        stop=end,
        assistant_to_user="\n<|user|>\n",
        after_user=f"{end}\n",
        after_assistant="\n",
        bos="{{- bos_token -}}\n",
    )


DEFAULT_CHAT_TEMPLATE = default_turns().to_template()
"""Phi-3's turns with images and generation marks."""


def chat_template_for(tokenizer: PreTrainedTokenizerBase) -> str:
    """The chat template for a tokenizer's language model.

    Args:
        tokenizer (`PreTrainedTokenizerBase`): with or without a chat template.

    Returns:
        `str`: the model's own turns with images; Phi-3's if it has none, closed by `<|end|>` where that is a token and
        by the end-of-text token otherwise.

    Raises:
        ValueError: if the tokenizer has neither a template nor any token that could close a turn.
    """
    if tokenizer.chat_template is None:
        end = "<|end|>" if "<|end|>" in tokenizer.get_vocab() else tokenizer.eos_token
        if end is None:
            raise ValueError(
                "the tokenizer has no chat template, no <|end|> and no eos_token, so nothing could end a turn: set "
                "tokenizer.eos_token."
            )
        return default_turns(end).to_template()
    own = tokenizer.get_chat_template()
    if IMAGE_TOKEN in own:
        return own
    derived = _derive(tokenizer, own)
    return _PRELUDE + own if derived is None else derived


def control_tokens(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """The strings that steer a conversation and that a user's words must not hold, longest first.

    Args:
        tokenizer (`PreTrainedTokenizerBase`): any.

    Returns:
        `list[str]`: special tokens, added tokens of the form `<|...|>`, the image token, and Phi-3's roles.
    """
    added = tokenizer.added_tokens_decoder.values()
    tokens = {str(token) for token in added if token.special or str(token).startswith("<|")}
    tokens.update(tokenizer.all_special_tokens, (IMAGE_TOKEN, "<|system|>", "<|user|>", "<|assistant|>"))
    return sorted((token for token in tokens if token.strip()), key=lambda token: (-len(token), token))


def render(tokenizer: PreTrainedTokenizerBase, template: str, messages: Messages, prompt: bool) -> str:
    """The text of a conversation, with or without a generation prompt at its end."""
    text = tokenizer.apply_chat_template(
        messages, chat_template=template, tokenize=False, add_generation_prompt=prompt, continue_final_message=False
    )
    return str(text)


def first_token_in(text: str, tokens: list[str]) -> tuple[int, str] | None:
    """Where the first of some tokens begins in a text and which it is; the longest where two begin together."""
    found = [(text.find(token), -len(token), token) for token in tokens if token in text]
    return (min(found)[0], min(found)[2]) if found else None


# ---- measuring a template ----

_SYSTEM, _USER, _ANSWER, _USER_2, _ANSWER_2 = "probesystem", "probeuser", "probeanswer", "probenext", "probelast"


def _messages(*texts: str, system: str | None = None) -> Messages:
    turns = [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(texts)]
    return turns if system is None else [{"role": "system", "content": system}, *turns]


def _derive(tokenizer: PreTrainedTokenizerBase, own: str) -> str | None:
    """A template of the same turns that also takes images, or `None` if no such template renders the same texts."""
    if "strftime_now" in own:  # what is measured today would be wrong tomorrow
        return None
    try:
        turns = _measure(tokenizer, own)
    except (TemplateError, ValueError):
        return None
    template = turns.to_template()
    return template if _agree(tokenizer, own, template, turns.before_system is not None) else None


def _measure(tokenizer: PreTrainedTokenizerBase, own: str) -> ChatTurns:
    """Read the turns off a template's output.

    Raises:
        ValueError: if the probes don't show in the output, or no token closes an answer.
    """

    def text(messages: Messages, prompt: bool = False) -> str:
        return render(tokenizer, own, messages, prompt)

    asked, answered = text(_messages(_USER)), text(_messages(_USER, _ANSWER))
    go_on = _between(text(_messages(_USER, _ANSWER, _USER_2)), _ANSWER, _USER_2)
    closing = first_token_in(go_on, control_tokens(tokenizer))
    if closing is None:
        raise ValueError("no token closes an answer")
    stop = go_on[: closing[0] + len(closing[1])]
    after_answer = answered[answered.index(_ANSWER) + len(_ANSWER) :]
    if not after_answer.startswith(stop):
        raise ValueError("the last answer is closed in another way")
    try:
        instructed = text(_messages(_USER, system=_SYSTEM))
        before_system = instructed[: instructed.index(_SYSTEM)]
        system_to_user = _between(instructed, _SYSTEM, _USER)
    except (TemplateError, ValueError):
        before_system, system_to_user = None, ""
    return ChatTurns(
        before_user=asked[: asked.index(_USER)],
        before_system=before_system,
        system_to_user=system_to_user,
        user_to_assistant=_between(answered, _USER, _ANSWER),
        stop=stop,
        assistant_to_user=go_on[len(stop) :],
        after_user=asked[asked.index(_USER) + len(_USER) :],
        after_assistant=after_answer[len(stop) :],
        trim=f" {_USER}" not in text(_messages(f"\n {_USER}")),
    )


def _agree(tokenizer: PreTrainedTokenizerBase, own: str, template: str, with_system: bool) -> bool:
    """Whether two templates render conversations of every shape alike."""
    words = (f" {_USER}\n", f"\n{_ANSWER} ", _USER_2, _ANSWER_2, f"{_USER} '\"\\{{{{ 1 }}}}")
    for length in range(1, len(words) + 1):
        for system in (None, f" {_SYSTEM} ") if with_system else (None,):
            messages = _messages(*words[:length], system=system)
            for prompt in (False, True) if length % 2 else (False,):
                if render(tokenizer, own, messages, prompt) != render(tokenizer, template, messages, prompt):
                    return False
    return True


def _between(text: str, left: str, right: str) -> str:
    start = text.index(left) + len(left)
    return text[start : text.index(right, start)]
