"""What `soak.py` asks, and how: `faceshield serve` and the Space, by plain HTTP.

`Server` and `Space` take a question and give its answer, or say that they are to be asked again; they also know
requests that must be refused. They judge no answer and keep no count.

Example:
    >>> data_url(b"photo")
    'data:image/jpeg;base64,cGhvdG8='
"""

import base64
import json
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx


QUESTION = "Why is the face in the image real or spoof?"
_PATHS = ("/etc/passwd", "../../../etc/passwd", "http://127.0.0.1:1/photo.jpg", "file:///etc/passwd")
_MANY_BYTES = 25_000_000


@dataclass(frozen=True)
class Question:
    """One request and its right answer.

    Attributes:
        photo (`bytes`): an image file.
        kind (`str`): "all" for the four tasks, "coarse" for one, "chat" for words.
        right (`dict` or `str`): a verdict's JSON, or the words.
    """

    photo: bytes = field(repr=False)
    kind: str
    right: Any


class RefusedError(Exception):
    """The server is full or loading: come back after `seconds`."""

    def __init__(self, status: int, message: str, seconds: float) -> None:
        super().__init__(message)
        self.status, self.message, self.seconds = status, message, seconds


class Target(Protocol):
    """What is soaked."""

    url: str

    async def ask(self, client: httpx.AsyncClient, question: Question) -> Any:
        """Ask; gives the verdict's JSON or the words.

        Raises:
            RefusedError: when it is to be asked again later.
            ValueError: for any other answer.
        """

    def bad_requests(self) -> Iterator[tuple[str, Callable[[httpx.AsyncClient], Any]]]:
        """Name and sender of requests that must be refused with a status of 4xx."""

    def upload(self, photo: bytes) -> tuple[str, str, bytes]:
        """Path, content type and body of a request that is good but for how it will be sent."""


class Server:
    """`faceshield serve`.

    Args:
        url (`str`): its address.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    async def ask(self, client: httpx.AsyncClient, question: Question) -> Any:
        """See `Target`."""
        if question.kind == "chat":
            return await self._chat(client, question)
        body: dict[str, Any] = {"image": data_url(question.photo)}
        if question.kind != "all":
            body["tasks"] = [question.kind]
        answer = await client.post(f"{self.url}/v1/analyze", json=body)
        _raise_for(answer)
        return answer.json()

    async def _chat(self, client: httpx.AsyncClient, question: Question) -> str:
        parts = [
            {"type": "image_url", "image_url": {"url": data_url(question.photo)}},
            {"type": "text", "text": QUESTION},
        ]
        body = {"messages": [{"role": "user", "content": parts}], "stream": True}
        words, done = "", False
        async with client.stream("POST", f"{self.url}/v1/chat/completions", json=body) as answer:
            if answer.status_code != 200:
                await answer.aread()
                _raise_for(answer)
            async for line in answer.aiter_lines():
                data = line.removeprefix("data: ")
                done = done or data == "[DONE]"
                if data and data != "[DONE]":
                    words += "".join(c["delta"].get("content") or "" for c in json.loads(data)["choices"])
        if not done:
            raise ValueError("a stream ended before its end")
        return words.strip()

    def bad_requests(self) -> Iterator[tuple[str, Callable[[httpx.AsyncClient], Any]]]:
        """See `Target`."""
        for name, content in bad_photos():
            body = {"image": data_url(content)}
            yield name, lambda client, body=body: client.post(f"{self.url}/v1/analyze", json=body)
        for path in _PATHS:
            body = {"image": path}
            yield "path or address", lambda client, body=body: client.post(f"{self.url}/v1/analyze", json=body)
        for name, raw in (
            ("no JSON", b"\x00\xff{"),
            ("nested JSON", b"[" * 50_000),
            ("25 MB", b'"' + b"A" * _MANY_BYTES),
        ):
            headers = {"Content-Type": "application/json"}
            yield (
                name,
                lambda client, raw=raw, headers=headers: client.post(
                    f"{self.url}/v1/analyze", content=raw, headers=headers
                ),
            )

    def upload(self, photo: bytes) -> tuple[str, str, bytes]:
        """See `Target`."""
        return "/v1/analyze", "application/json", json.dumps({"image": data_url(photo)}).encode()


class Space:
    """The Space's `/analyze`, by plain HTTP as `curl` would: upload, call, listen.

    Args:
        url (`str`): its address.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    async def ask(self, client: httpx.AsyncClient, question: Question) -> Any:
        """See `Target`."""
        put = await client.post(f"{self.url}/gradio_api/upload", files={"files": ("photo.jpg", question.photo)})
        _raise_for(put)
        started = await self._call(client, put.json()[0], question.kind)
        _raise_for(started)
        event = started.json()["event_id"]
        answer = await client.get(f"{self.url}/gradio_api/call/analyze/{event}")
        _raise_for(answer)
        kind, _, value = answer.text.strip().rpartition("event: ")[2].partition("\ndata: ")
        if kind != "complete":
            raise ValueError(f"the call ended with {kind!r}: {value[:200]}")
        return json.loads(value)[0]

    async def _call(self, client: httpx.AsyncClient, path: Any, task: Any) -> httpx.Response:
        photo = {"path": path, "meta": {"_type": "gradio.FileData"}}
        return await client.post(f"{self.url}/gradio_api/call/analyze", json={"data": [photo, task, None]})

    def bad_requests(self) -> Iterator[tuple[str, Callable[[httpx.AsyncClient], Any]]]:
        """See `Target`."""
        for name, content in bad_photos():
            yield name, lambda client, content=content: self._bad_photo(client, content)
        for path in _PATHS:
            yield "path or address", lambda client, path=path: self._called(client, path)
        files = {"files": ("photo.jpg", b"A" * _MANY_BYTES)}
        yield "25 MB", lambda client: client.post(f"{self.url}/gradio_api/upload", files=files)
        address = f"{self.url}/gradio_api/call/analyze"
        yield (
            "no JSON",
            lambda client: client.post(address, content=b"\x00{", headers={"Content-Type": "application/json"}),
        )

    async def _bad_photo(self, client: httpx.AsyncClient, content: bytes) -> httpx.Response:
        put = await client.post(f"{self.url}/gradio_api/upload", files={"files": ("photo.jpg", content)})
        return put if put.status_code != 200 else await self._called(client, put.json()[0])

    async def _called(self, client: httpx.AsyncClient, path: str) -> httpx.Response:
        """Call, and listen if it was let in: an error may come at either place."""
        started = await self._call(client, path, "coarse")
        if started.status_code != 200:
            return started
        answer = await client.get(f"{self.url}/gradio_api/call/analyze/{started.json()['event_id']}")
        return httpx.Response(422, text=answer.text) if "event: error" in answer.text else answer

    def upload(self, photo: bytes) -> tuple[str, str, bytes]:
        """See `Target`."""
        head = b'--b\r\nContent-Disposition: form-data; name="files"; filename="photo.jpg"\r\n\r\n'
        return "/gradio_api/upload", "multipart/form-data; boundary=b", head + photo + b"\r\n--b--\r\n"


def data_url(content: bytes) -> str:
    """An image file as a request carries it."""
    return f"data:image/jpeg;base64,{base64.b64encode(content).decode()}"


def _raise_for(answer: httpx.Response) -> None:
    """Tell a server that is full from one that fails."""
    if answer.status_code == 200:
        return
    message = answer.text[:300]
    with suppress(ValueError, KeyError, TypeError):
        told = answer.json()
        message = told["error"]["message"] if "error" in told else str(told["detail"])
    # 504 is a refusal only where it says when to come back.
    if message and (
        answer.status_code in (429, 503) or (answer.status_code == 504 and "Retry-After" in answer.headers)
    ):
        raise RefusedError(answer.status_code, message, float(answer.headers.get("Retry-After", 1)))
    raise ValueError(f"status {answer.status_code}: {message}")


def bad_photos() -> Iterator[tuple[str, bytes]]:
    """Name and bytes of files that are no photo."""
    yield "bomb: claims 60000x60000", png(60_000, 60_000, b"\0")
    yield "bomb: 10000x9500 in 12 kB", png(10_000, 9_500, bytes(9_500 * (1 + 10_000 // 8)), bits=1)
    yield "truncated", png(64, 64, bytes(64 * (1 + 3 * 64)))[:60]
    yield "noise", random.Random(0).randbytes(5_000)
    yield "nothing", b""


def png(width: int, height: int, rows: bytes, bits: int = 8) -> bytes:
    """A PNG with any claim of its size: RGB of 8 bits, or black and white of 1 bit."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, bits, 2 if bits == 8 else 0, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(rows, 9))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")
