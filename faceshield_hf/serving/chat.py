"""OpenAI's chat completions: transformers' own handler, with this checkpoint, and with limits on what callers ask.

`transformers serve` loads whatever model a caller names and fetches whatever URL or file an image names. Here there is
one model, images are data URLs, and lengths and time are limited; generating, streaming and the format of the answers
are transformers' own.

Example:
    >>> chat = Chat(detector, Limits())  # doctest: +SKIP
    >>> response = await chat.answer({"messages": [{"role": "user", "content": "Hello"}]}, "1")  # doctest: +SKIP
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

from fastapi.responses import JSONResponse, StreamingResponse
from jinja2.exceptions import TemplateError
from transformers import GenerationConfig, StoppingCriteriaList
from transformers.cli.serving.chat_completion import ChatCompletionHandler
from transformers.cli.serving.model_manager import ModelManager
from transformers.cli.serving.utils import GenerationState, Modality

from faceshield_hf.detector import FaceShield
from faceshield_hf.serving.analyze import read_image
from faceshield_hf.serving.limits import Limits, PixelRoom, RefusedError
from faceshield_hf.streaming import StopOn


SHORT_NAME = "faceshield"
"""A name that every served checkpoint answers to."""
_ROLES = ("system", "user", "assistant")
# What a caller may set; the rest of OpenAI's fields would be ignored, or let callers do more than chat.
_HANDED_ON = ("stream", "temperature", "top_p", "seed", "stop", "frequency_penalty")
_READ_HERE = ("model", "messages", "max_tokens", "max_completion_tokens", "n")
# A cooler answer is the most likely one: divided by less, the logits overflow.
_COOLEST = 1e-2
_MOST_STOPS, _LONGEST_STOP = 4, 64
# Where the handler finds the model for a request, beside the request's own fields.
_MODEL = "faceshield_model"
_WITHOUT_EFFECT = ("stream_options", "user", "presence_penalty")
_FIELDS = frozenset((*_HANDED_ON, *_READ_HERE, *_WITHOUT_EFFECT))
_Result = TypeVar("_Result")


class Chat:
    """Answers conversations, one at a time.

    A request counts until the model has done with it, whoever still listens: threads can't be stopped from outside, so
    that those who hang up and come again would otherwise pile up work behind the queue's back. `load` says how many
    count.

    Args:
        shield ([`FaceShield`]): whose model and processor answer.
        limits ([`Limits`]): `queue`, `timeout`, `max_pixels`, `max_messages` and `max_tokens` count.
        room ([`PixelRoom`], *optional*): that others take images from too; its own when `None`.
    """

    def __init__(self, shield: FaceShield, limits: Limits, room: PixelRoom | None = None) -> None:
        self.shield = shield
        self.limits = limits
        self.room = room or PixelRoom(limits)
        self.load = 0
        self._handler = _Handler(shield, limits)
        self._turn = asyncio.Lock()

    async def answer(self, body: dict[str, Any], request_id: str) -> JSONResponse | StreamingResponse:
        """Answer a request, whole or as a stream of server-sent events.

        Args:
            body (`dict`): of OpenAI's chat completions.
            request_id (`str`): the answer's id.

        Returns:
            `JSONResponse` or `StreamingResponse`: as the body asks.

        Raises:
            RefusedError: 404 for another model, 503 when too many wait, 504 when it takes too long.
            ValueError: when the conversation is none.
        """
        if body.get("model") not in (None, SHORT_NAME, self.shield.name):
            accepted = f"{SHORT_NAME!r} or {self.shield.name!r}"
            raise RefusedError(404, f"there is no model {body['model']!r:.100} here: expected {accepted}")
        if self.load >= self.limits.queue:
            raise RefusedError(503, f"{self.load} chats wait already: try again in a moment", retry_after=1)
        model = _Model(self.shield)
        begun: asyncio.Future[StreamingResponse] = asyncio.get_running_loop().create_future()
        self.load += 1
        work = asyncio.create_task(self._work(body, request_id, model, begun))
        work.add_done_callback(self._count_down)  # not by the task itself: one that is cancelled at once never runs
        try:
            either: set[asyncio.Future[Any]] = {work, begun}
            await asyncio.wait(either, timeout=self.limits.timeout, return_when=asyncio.FIRST_COMPLETED)
            if begun.done():
                return _Stream(begun.result().body_iterator, work, model.stop.set)
            if work.done():
                return work.result()
            raise RefusedError(504, f"no answer within {self.limits.timeout:g} seconds", retry_after=5)
        except BaseException:  # nobody waits for it any more
            model.stop.set()
            work.cancel()
            raise

    async def _work(
        self, body: dict[str, Any], request_id: str, model: "_Model", begun: "asyncio.Future[StreamingResponse]"
    ) -> JSONResponse | StreamingResponse:
        """See one request through, from its arrival to the end of what the model does for it."""
        response = await self._begin(body, request_id, model)
        try:
            if isinstance(response, StreamingResponse):
                begun.set_result(response)
                await _to_its_end(model.ended.wait())
            return response
        finally:
            self._turn.release()

    def _count_down(self, work: "asyncio.Task[Any]") -> None:
        self.load -= 1

    async def _begin(self, body: dict[str, Any], request_id: str, model: "_Model") -> JSONResponse | StreamingResponse:
        """Wait for its turn and start; the turn is kept when it comes to an answer."""
        prepared = await _to_its_end(asyncio.to_thread(prepare, body, self.shield, self.limits))
        pictures = [part for message in prepared["messages"] for part in message["content"] if part["type"] == "image"]
        # The model's input is made of a picture before the first token is written: what it took is free then.
        with self.room.hold(sum(part["image"].pixels for part in pictures)):
            for part in pictures:
                part["image"] = await _to_its_end(asyncio.to_thread(part["image"].unpack))
            await self._turn.acquire()
            try:
                return await _to_its_end(self._handler.handle_request({**prepared, _MODEL: model}, request_id))
            except BaseException:
                self._turn.release()
                raise


async def _to_its_end(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Await what a thread does; who is cancelled meanwhile is so when the thread has done, not before."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task})  # which, cancelled, leaves the task alone
    except asyncio.CancelledError:
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # looked at, so that it is not reported as forgotten
        raise
    return task.result()


def prepare(body: dict[str, Any], shield: FaceShield, limits: Limits) -> dict[str, Any]:
    """Check a request and read its image, which stays packed.

    Args:
        body (`dict`): as it came.
        shield ([`FaceShield`]): its tokenizer counts.
        limits ([`Limits`]): what is too much.

    Returns:
        `dict`: what the handler takes, but for the packed image in its messages, and how long the answer may be.

    Raises:
        ValueError: says what came, what is accepted, and what to do.
    """
    if unknown := sorted(set(body) - _FIELDS):
        raise ValueError(f"got the fields {', '.join(unknown)[:200]}: expected of {', '.join(sorted(_FIELDS))}")
    if body.get("n") not in (None, 1):
        raise ValueError(f"got n={body['n']!r:.20}: one answer is given to a request; ask again for more")
    for name, low, high in (("temperature", 0, 2), ("top_p", 0, 1), ("frequency_penalty", 0, 2)):
        value = body.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise ValueError(f"got {name}={value!r:.40}: expected a number from {low} to {high}")
        if value is not None and not low <= value <= high:
            raise ValueError(f"got {name}={value}: expected a number from {low} to {high}")
    _check_options(body)
    messages = _read_messages(body.get("messages"), limits)
    wanted = _wanted_tokens(body, limits)
    handed_on = {name: body[name] for name in _HANDED_ON if body.get(name) is not None}
    if handed_on.get("temperature", 1) < _COOLEST:
        handed_on["temperature"] = 0
    if not handed_on.get("stop"):
        handed_on.pop("stop", None)
    return {
        **handed_on,
        "messages": messages,
        "max_tokens": min(wanted, _room(messages, shield)),
    }


def _check_options(body: dict[str, Any]) -> None:
    """Refuse what transformers would stumble over."""
    stream, seed, stop = body.get("stream"), body.get("seed"), body.get("stop")
    if not isinstance(stream, bool | None):
        raise ValueError(f"got stream={stream!r:.40}: expected true or false")
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63):
        raise ValueError(f"got seed={seed!r:.40}: expected a whole number from 0 to 2^63 - 1")
    stops = [stop] if isinstance(stop, str) else [] if stop is None else stop
    if not isinstance(stops, list) or len(stops) > _MOST_STOPS:
        raise ValueError(f"got stop={stop!r:.80}: expected a string, or a list of at most {_MOST_STOPS}")
    for each in stops:
        if not isinstance(each, str) or not 1 <= len(each) <= _LONGEST_STOP:
            raise ValueError(f"got stop={each!r:.80}: expected a string of 1 to {_LONGEST_STOP} characters")
        _check_words(each)


def _check_words(words: str) -> None:
    """Refuse half a surrogate pair, which JSON can carry and no tokenizer takes."""
    try:
        words.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"got {words[error.start : error.end]!r:.40} in the words, which is no character") from error


def _wanted_tokens(body: dict[str, Any], limits: Limits) -> int:
    wanted = body.get("max_completion_tokens") or body.get("max_tokens") or limits.max_tokens
    if isinstance(wanted, bool) or not isinstance(wanted, int) or wanted < 1:
        raise ValueError(f"got max_tokens={wanted!r:.40}: expected a whole number from 1 to {limits.max_tokens}")
    return min(wanted, limits.max_tokens)


def _read_messages(messages: Any, limits: Limits) -> list[dict[str, Any]]:
    if not isinstance(messages, list) or not 1 <= len(messages) <= limits.max_messages:
        raise ValueError(f"expected 'messages' to be a list of 1 to {limits.max_messages} messages")
    read = []
    for message in messages:
        if not isinstance(message, dict) or message.get("role") not in _ROLES:
            raise ValueError(f"got the message {message!r:.80}: expected a role of {', '.join(_ROLES)}, and content")
        content = message.get("content")
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if not isinstance(parts, list) or not parts:
            raise ValueError(f"got the content {content!r:.60}: expected words, or a list of text and image_url parts")
        read.append({"role": message["role"], "content": [_read_part(part, limits) for part in parts]})
    if sum(part["type"] == "image" for message in read for part in message["content"]) > 1:
        raise ValueError("got several images: a conversation is about one face; ask about the others apart")
    return read


def _read_part(part: Any, limits: Limits) -> dict[str, Any]:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "text" and isinstance(part.get("text"), str):
        _check_words(part["text"])
        return {"type": "text", "text": part["text"]}
    if kind == "image_url":
        url = part.get("image_url")
        url = url.get("url") if isinstance(url, dict) else url
        if isinstance(url, str):
            return {"type": "image", "image": read_image(url, limits.max_pixels)}
    raise ValueError(f"got the part {part!r:.80}: expected a text, or an image_url with a data URL")


def _room(messages: list[dict[str, Any]], shield: FaceShield) -> int:
    """Count how many tokens the model has left to answer."""
    processor = shield.processor
    try:
        text = processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    except TemplateError as error:  # such as two turns of the same role
        raise ValueError(f"the model's chat template does not take this conversation: {error}") from error
    images = sum(part["type"] == "image" for message in messages for part in message["content"])
    if text.count(processor.image_token) != images:
        raise ValueError(f"the words contain {processor.image_token}, which stands for images: leave it out")
    length = len(processor.tokenizer(text, add_special_tokens=False)["input_ids"])
    length += images * (processor.num_image_tokens - 1)
    positions = shield.model.config.text_config.to_dict().get("max_position_embeddings") or length + 10**6
    if length >= positions:
        raise ValueError(
            f"the conversation takes {length} tokens, but the model reads and writes at most {positions} together: "
            "leave out earlier messages or shorten the question"
        )
    return positions - length


class _Stream(StreamingResponse):
    """Server-sent events that stop the model however they end, also when the caller has gone before the first."""

    def __init__(self, pieces: Any, work: "asyncio.Task[Any]", stop: Callable[[], None]) -> None:
        super().__init__(self._and_done(pieces, work), media_type="text/event-stream")
        self.pieces = pieces
        self.stop = stop

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Send all pieces, or stop the model when nobody listens any more."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.stop()
            await self.pieces.aclose()

    @staticmethod
    async def _and_done(pieces: Any, work: "asyncio.Task[Any]") -> AsyncIterator[Any]:
        async for piece in pieces:
            yield piece
        await asyncio.wait({work})  # who reads the end finds the turn free
        yield "data: [DONE]\n\n"


class _OneModel(ModelManager):
    """Transformers' manager of models, of which there is one here, loaded already."""

    def __init__(self) -> None:  # loads nothing
        self.loaded_models = {}

    @staticmethod
    def get_model_modality(model: Any, processor: Any = None) -> Modality:
        """Say that it reads images."""
        return Modality.VLM


class _Model:
    """A detector's model for one request: its `generate` can be stopped, and says when it has ended.

    Attributes:
        stop (`threading.Event`): set by whoever wants no more words; the next token is the last.
        ended (`asyncio.Event`): set when `generate`, which runs in a thread, is over.
    """

    def __init__(self, shield: FaceShield) -> None:
        self.stop = threading.Event()
        self.ended = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._shield = shield

    def __getattr__(self, name: str) -> Any:
        return getattr(self._shield.model, name)

    def generate(self, **inputs: Any) -> Any:
        """Generate; stop strings are looked up in the tokenizer's vocabulary, which the processor doesn't have."""
        own = {
            "tokenizer": self._shield.processor.tokenizer,
            "stopping_criteria": StoppingCriteriaList([StopOn(self.stop)]),
        }
        try:
            return self._shield.model.generate(**inputs | own)
        finally:
            self._loop.call_soon_threadsafe(self.ended.set)


class _Handler(ChatCompletionHandler):
    """Transformers' handler over one detector's model; its requests went through `prepare`."""

    def __init__(self, shield: FaceShield, limits: Limits) -> None:
        super().__init__(_OneModel(), GenerationState())
        self.shield = shield
        self.limits = limits

    def _validate_request(self, body: dict[str, Any]) -> None:
        pass

    def _resolve_model(self, body: dict[str, Any]) -> tuple[str, Any, Any]:
        return self.shield.name or SHORT_NAME, body[_MODEL], self.shield.processor

    @staticmethod
    def get_processor_inputs_from_messages(messages: list[dict], modality: Modality) -> list[dict]:
        """Give the messages as they are."""
        return messages

    def _build_generation_config(
        self, body: dict[str, Any], model_generation_config: GenerationConfig, use_cb: bool = False
    ) -> GenerationConfig:
        config = super()._build_generation_config(body, model_generation_config, use_cb)
        stops = config.eos_token_id
        stops = {stops} if isinstance(stops, int) else set(stops or ())
        stops |= {self.shield.model.config.turn_end_token_id}
        config.eos_token_id = sorted(stop for stop in stops if stop is not None) or None
        config.pad_token_id = self.shield.processor.tokenizer.pad_token_id
        config.do_sample = bool(body.get("temperature"))
        config.max_time = self.limits.timeout
        if not config.do_sample:  # else transformers warns of settings that only sampling reads
            config.temperature = config.top_p = config.top_k = None
        return config
