"""What writes answers: the requests that go to a language model, the replies that come back, and the choice of model.

Three kinds of assistant exist: the template assistant (`template.py`, offline, needs no request at all), a local model
(`local.py`) and an OpenAI-compatible endpoint (`endpoint.py`). The last two share the two types of this module. It
knows nothing of labels or tasks: what is asked stands in `prompts.py`.

Example:
    >>> from faceshield_hf.data.instruct.assistants import Request
    >>> Request("You describe faces.", "Describe the face.", image=b"...").messages("data:,")[0]["role"]
    'system'
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Protocol


class AssistantError(ValueError):
    """An assistant can't go on at all: wrong address or key, the money is spent, nothing but failures."""


@dataclass(frozen=True)
class Request:
    """One question to a model.

    Attributes:
        system (`str`): the system prompt.
        question (`str`): the last user turn.
        image (`bytes`, *optional*): an encoded image that goes with it.
        examples (`tuple[tuple[str, str], ...]`): few-shot turns, question and answer, in words only.
        max_tokens (`int`): the longest reply.
    """

    system: str
    question: str
    image: bytes | None = field(default=None, repr=False)
    examples: tuple[tuple[str, str], ...] = ()
    max_tokens: int = 320

    def messages(self, image_url: str | None) -> list[dict[str, Any]]:
        """The request as chat messages.

        Args:
            image_url (`str`, *optional*): where the image is, usually a data URL; without one the request is text.
        """
        turns: list[dict[str, Any]] = [{"role": "system", "content": self.system}]
        for question, answer in self.examples:
            turns += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        content: Any = self.question
        if image_url is not None:
            content = [
                {"type": "image_url", "image_url": {"url": image_url}},
                {"type": "text", "text": self.question},
            ]
        return [*turns, {"role": "user", "content": content}]

    def digest(self, *settings: Any) -> str:
        """A hash of everything that decides the reply; `settings` are the model's own."""
        image = None if self.image is None else hashlib.sha256(self.image).hexdigest()
        told = [self.system, self.question, image, [list(turn) for turn in self.examples], self.max_tokens]
        return hashlib.sha256(json.dumps([told, list(settings)]).encode()).hexdigest()


@dataclass(frozen=True)
class Reply:
    """What came back: a text, or the reason why there is none.

    Attributes:
        text (`str`): the model's words; empty when it failed.
        error (`str`): why there is no text; empty when there is one.
    """

    text: str = ""
    error: str = ""


class Assistant(Protocol):
    """A model that answers requests."""

    @property
    def name(self) -> str:
        """What the records say wrote them."""

    def reply(self, requests: Sequence[Request]) -> list[Reply]:
        """Answer every request, in order; a failure of one is a reply with an error, of all an `AssistantError`."""


@dataclass(frozen=True)
class AssistantConfig:
    """Which assistant, and how it is asked. Keys of `assistant:` in the YAML.

    Attributes:
        kind (`str`, *optional*, defaults to `"template"`): "template", "local" (transformers) or "endpoint".
        model (`str`, *optional*): Hub id or folder of a local model, or the model's name at the endpoint.
        revision (`str`, *optional*): branch, tag or commit of a local model.
        trust_remote_code (`bool`, *optional*, defaults to `False`): run the local model's own code.
        base_url (`str`, *optional*): the endpoint, such as `http://127.0.0.1:8000/v1`; none: the Hub's providers.
        provider (`str`, *optional*): the Hub's inference provider, instead of `base_url`.
        api_key_env (`str`, *optional*): environment variable that holds the key; OPENAI_API_KEY with `base_url`, else
            HF_TOKEN, which is never sent to another server than the Hub's unless it is named here.
        few_shot (`int`, *optional*, defaults to 2): worked examples in the prompt.
        temperature (`float`, *optional*, defaults to 0.7): 0 decodes greedily.
        seed (`int`, *optional*, defaults to 0): sent to the endpoint, or seeds local sampling.
        max_side (`int`, *optional*, defaults to 768): longer images are scaled down before they are sent, in pixels.
        batch_size (`int`, *optional*, defaults to 8): requests that a local model answers together.
        concurrency (`int`, *optional*, defaults to 8): requests under way at once.
        requests_per_minute (`float`, *optional*): upper limit for one process.
        timeout (`float`, *optional*, defaults to 120): seconds until a try counts as failed.
        tries (`int`, *optional*, defaults to 6): tries a request before it is given up.
        give_up_after (`int`, *optional*, defaults to 20): given-up requests in a row after which the build stops.
        max_cost (`float`, *optional*): money that the whole build may spend, in the unit of the prices.
        price_in (`float`, *optional*, defaults to 0): price of a million prompt tokens.
        price_out (`float`, *optional*, defaults to 0): price of a million generated tokens.
        cache (`str`, *optional*): folder of answers already paid for; beside the build's folder if not given.
    """

    kind: str = "template"
    model: str | None = None
    revision: str | None = None
    trust_remote_code: bool = False
    base_url: str | None = None
    provider: str | None = None
    api_key_env: str | None = None
    few_shot: int = 2
    temperature: float = 0.7
    seed: int = 0
    max_side: int = 768
    batch_size: int = 8
    concurrency: int = 8
    requests_per_minute: float | None = None
    timeout: float = 120.0
    tries: int = 6
    give_up_after: int = 20
    max_cost: float | None = None
    price_in: float = 0.0
    price_out: float = 0.0
    cache: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in ("template", "local", "endpoint"):
            raise ValueError(f"assistant.kind is {self.kind!r}; expected template, local or endpoint")
        if self.kind == "local" and not self.model:
            raise ValueError("assistant.kind is local but assistant.model is missing: give a Hub id or a folder")
        if self.kind == "endpoint" and not (self.base_url or self.model):
            raise ValueError("assistant.kind is endpoint but neither base_url nor model is given")
        if self.max_cost is not None and not (self.price_in or self.price_out):
            raise ValueError("assistant.max_cost needs price_in or price_out: without prices nothing can be counted")
        for name in ("max_side", "batch_size", "concurrency", "tries", "give_up_after", "timeout"):
            if getattr(self, name) <= 0:
                raise ValueError(f"assistant.{name} is {getattr(self, name)}; expected a positive number")
        if self.requests_per_minute is not None and self.requests_per_minute <= 0:
            raise ValueError(f"assistant.requests_per_minute is {self.requests_per_minute}; expected more than 0")

    @property
    def key_name(self) -> str:
        """The environment variable that holds the key."""
        return self.api_key_env or ("OPENAI_API_KEY" if self.base_url else "HF_TOKEN")

    def deciding(self) -> dict[str, Any]:
        """The settings that decide the replies: how fast and how often they are asked for is left out."""
        pace = {"batch_size", "concurrency", "requests_per_minute", "timeout", "tries", "give_up_after", "max_cost"}
        pace |= {"price_in", "price_out", "cache", "api_key_env"}
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in pace}


def make_assistant(
    config: AssistantConfig, cache: str, processes: int = 1, warn: Callable[[str], None] = print
) -> Assistant:
    """The assistant that a configuration names.

    Args:
        config (`AssistantConfig`): of kind "local" or "endpoint".
        cache (`str`): folder of answers, used if the configuration names none.
        processes (`int`, *optional*, defaults to 1): how many processes share the money.
        warn (`Callable`, *optional*): told of retries.

    Raises:
        ValueError: for the template assistant, which answers samples and not requests, or a model that can't be
            loaded.
    """
    if config.kind == "endpoint":
        from faceshield_hf.data.instruct.endpoint import EndpointAssistant

        return EndpointAssistant(config, config.cache or cache, processes, warn)
    if config.kind == "local":
        from faceshield_hf.data.instruct.local import LocalAssistant

        return LocalAssistant(config, config.cache or cache)
    raise ValueError("the template assistant takes no requests: use a local model or an endpoint here")
