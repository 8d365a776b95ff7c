"""What is too much for one server: sizes, waiting, time; and the errors that say so.

Example:
    >>> Limits(queue=2).queue
    2
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from dataclasses import dataclass
from typing import Any

from fastapi.responses import JSONResponse


Message = MutableMapping[str, Any]


# How much of a refused request is still taken, beyond what an accepted one may have.
_DROP_BYTES, _DROP_SECONDS = 8_000_000, 1.0


@dataclass(frozen=True)
class Limits:
    """How much a server takes on.

    Attributes:
        batch_size (`int`): images that go through the model together.
        batch_wait (`float`): seconds that a batch waits for more images once it has one.
        queue (`int`): images, and chats, that may wait or run at a time; one more is answered 503.
        timeout (`float`): seconds from a request's arrival to its answer; then 504, or the end of what is written.
        max_body (`int`): bytes of a request; one more is answered 413.
        held_body (`int`): bytes of all requests that are read or answered at a time; one more is answered 503.
        max_pixels (`int`): of an image.
        held_pixels (`int`): of all images that are unpacked at a time, 4 bytes each; one more is answered 503.
        max_messages (`int`): of a conversation.
        max_tokens (`int`): of an answer.
        grace (`float`): seconds that running requests get when the server is stopped.
    """

    batch_size: int = 8
    batch_wait: float = 0.01
    queue: int = 64
    timeout: float = 60.0
    max_body: int = 20_000_000
    held_body: int = 1_000_000_000
    max_pixels: int = 50_000_000
    held_pixels: int = 800_000_000
    max_messages: int = 64
    max_tokens: int = 512
    grace: float = 30.0


class RefusedError(Exception):
    """A request that is answered with an error.

    Args:
        status (`int`): of HTTP.
        message (`str`): what came, what is accepted, what to do.
        retry_after (`int`, *optional*): seconds after which to try again.
    """

    def __init__(self, status: int, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.retry_after = retry_after

    def response(self) -> JSONResponse:
        """The error in the form of OpenAI's API, which its clients show."""
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        # A message repeats what came, and half a surrogate pair, which JSON can carry, has no UTF-8.
        message = self.message.encode("utf-8", "backslashreplace").decode()
        content = {"error": {"message": message, "type": kind, "code": self.status}}
        return JSONResponse(content, self.status, headers)


class PixelRoom:
    """Memory for unpacked images: a queue of a few small files can unpack to more than a machine has.

    Args:
        limits ([`Limits`]): `held_pixels` counts.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.held = 0

    @contextlib.contextmanager
    def hold(self, pixels: int) -> Iterator[None]:
        """Keep room for an image until the block ends.

        Args:
            pixels (`int`): of the image.

        Raises:
            RefusedError: 503 when others leave too little; an image alone always fits.
        """
        if self.held and self.held + pixels > self.limits.held_pixels:
            raise RefusedError(503, f"images of {self.held:,} pixels wait already: try again in a moment", 1)
        self.held += pixels
        try:
            yield
        finally:
            self.held -= pixels


class BodyLimit:
    """ASGI middleware that stops reading a request at a number of bytes and seconds, whatever its header says.

    Args:
        app: the application.
        limits ([`Limits`]): `max_body`, `held_body` and `timeout` count.
    """

    def __init__(self, app: Callable[..., Awaitable[None]], limits: Limits) -> None:
        self.app = app
        self.limits = limits
        self.held = 0

    async def __call__(self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Any) -> None:
        """Read the body, or refuse it."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self.app(scope, receive, send)
            return
        size = 0

        def hold(count: int) -> None:
            nonlocal size
            size += count
            self.held += count
            self._check(size)
            if size < self.held > self.limits.held_body:  # a request alone always fits
                raise RefusedError(503, f"requests of {self.held:,} bytes wait already: try again in a moment", 1)

        try:
            await self._answer(scope, receive, send, hold)
        finally:
            self.held -= size

    def _check(self, size: int) -> None:
        if size > self.limits.max_body:
            limit = self.limits.max_body / 1e6
            raise RefusedError(413, f"the request is larger than {limit:g} MB: send a smaller image")

    async def _answer(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Any, hold: Callable[[int], None]
    ) -> None:
        try:
            declared = dict(scope["headers"]).get(b"content-length", b"0")
            self._check(int(declared) if declared.isdigit() else 0)
            content = await asyncio.wait_for(_read(receive, hold), self.limits.timeout)
        except RefusedError as error:
            await _drop(receive, self.limits.max_body + _DROP_BYTES)
            await _refuse(error, scope, receive, send)
            return
        except asyncio.TimeoutError:
            slow = RefusedError(408, f"the request did not arrive within {self.limits.timeout:g} seconds")
            await _refuse(slow, scope, receive, send)
            return
        except ConnectionResetError:
            return
        body: Message | None = {"type": "http.request", "body": content, "more_body": False}

        async def replay() -> Message:
            nonlocal body
            if body is None:
                return await receive()
            message, body = body, None
            return message

        await self.app(scope, replay, send)


async def _drop(receive: Callable[[], Awaitable[Message]], most: int) -> None:
    """Take what a client is still sending, within bounds: a connection closed over it would hide the answer."""

    async def take() -> None:
        size = 0
        while size <= most:
            message = await receive()
            size += len(message.get("body", b""))
            if not message.get("more_body"):
                return

    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(take(), _DROP_SECONDS)


async def _read(receive: Callable[[], Awaitable[Message]], hold: Callable[[int], None]) -> bytes:
    """Read a body; `hold` is told of each piece's bytes, and refuses one too many."""
    chunks: list[bytes] = []
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionResetError
        chunks.append(message.get("body", b""))
        hold(len(chunks[-1]))
        more = message.get("more_body", False)
    return b"".join(chunks)


async def _refuse(error: RefusedError, scope: Message, receive: Any, send: Any) -> None:
    response = error.response()
    response.headers["Connection"] = "close"  # what is still on its way beyond that is not read
    await response(scope, receive, send)
