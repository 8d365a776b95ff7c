"""The server's routes, its start and its end.

| route | what |
|---|---|
| `POST /v1/chat/completions` | OpenAI's chat, with data-URL images, streamed if asked |
| `POST /v1/analyze` | one image, one typed verdict |
| `GET /v1/models` | the one model |
| `GET /health` | 200 while the process lives |
| `GET /ready` | 200 when it takes requests; 503 while it loads or is full |

Nothing of a request is stored or logged but its path.

Example:
    >>> app = build_app(FaceShield.from_pretrained())  # doctest: +SKIP
    >>> uvicorn.run(app)  # doctest: +SKIP
"""

import asyncio
import contextlib
import signal
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

import uvicorn
from fastapi import Body, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from faceshield_hf.checkpoints import resolve_checkpoint
from faceshield_hf.detector import FaceShield
from faceshield_hf.listening import listen
from faceshield_hf.serving.analyze import AnalyzeRequest, VerdictAnswer, read_image
from faceshield_hf.serving.batching import Batcher
from faceshield_hf.serving.chat import SHORT_NAME, Chat
from faceshield_hf.serving.connections import timed_protocol
from faceshield_hf.serving.limits import BodyLimit, Limits, PixelRoom, RefusedError
from faceshield_hf.version import __version__


class Service:
    """What the routes share; `shield` and all that hangs on it is `None` while it loads.

    Attributes:
        limits ([`Limits`]): of this server.
        room ([`PixelRoom`]): for the images of all requests.
        error (`Exception`, *optional*): why the model did not load.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.room = PixelRoom(limits)
        self.shield: FaceShield | None = None
        self.batcher: Batcher | None = None
        self.chat: Chat | None = None
        self.error: Exception | None = None
        self.started = int(time.time())

    @property
    def state(self) -> str:
        """Whether it takes requests: "loading", "full" or "ready"."""
        if self.shield is None or self.batcher is None or self.chat is None:
            return "loading"
        return "full" if max(self.batcher.load, self.chat.load) >= self.limits.queue else "ready"

    def loaded(self) -> tuple[FaceShield, Batcher, Chat]:
        """Give what is needed to answer.

        Raises:
            RefusedError: 503 while it loads.
        """
        if self.shield is None or self.batcher is None or self.chat is None:
            raise RefusedError(503, "the model is still loading: ask /ready, then try again", retry_after=5)
        return self.shield, self.batcher, self.chat


def build_app(
    model: FaceShield | Callable[[], FaceShield],
    limits: Limits | None = None,
    on_failure: Callable[[], None] | None = None,
) -> FastAPI:
    """Build the application around a detector, or around what loads one in the background.

    Args:
        model ([`FaceShield`] or `Callable`): who judges; a function is called in a thread once the server runs.
        limits ([`Limits`], *optional*): the defaults when `None`.
        on_failure (`Callable`, *optional*): called when loading failed; `app.state.service.error` says why.

    Returns:
        `FastAPI`: for uvicorn or a test client.
    """
    service = Service(limits or Limits())

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            loading = asyncio.create_task(_load(service, model, stack, on_failure))
            if isinstance(model, FaceShield):
                await loading
            yield
            loading.cancel()

    app = FastAPI(
        title="faceshield", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None
    )  # the pages of docs and redoc would load scripts from elsewhere
    app.state.service = service
    app.add_middleware(BodyLimit, limits=service.limits)
    _add_errors(app)
    _add_routes(app, service)
    return app


def run_server(
    model: str | None = None,
    host: str = "127.0.0.1",
    port: int = 8000,
    device: str | None = None,
    limits: Limits | None = None,
) -> None:
    """Serve until SIGTERM or Ctrl-C, then answer what runs and end.

    Args:
        model (`str`, *optional*): checkpoint folder or Hub id; the embedded one when `None`.
        host (`str`, *optional*, defaults to "127.0.0.1"): address to listen on.
        port (`int`, *optional*, defaults to 8000): port to listen on.
        device (`str`, *optional*): the fastest one there is when `None`.
        limits ([`Limits`], *optional*): the defaults when `None`.

    Raises:
        ValueError: when the checkpoint does not load, or nothing can listen on that address.
        KeyboardInterrupt: after a graceful stop by Ctrl-C.
    """
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    limits = limits or Limits()
    resolve_checkpoint(model)  # what is wrong with it at first sight is said before the port is taken
    listening = listen(host, port)
    app = build_app(lambda: FaceShield.from_pretrained(model, device=device), limits, lambda: stop())
    server = _Server(server_config(app, limits, host=host, port=port))

    def stop() -> None:
        server.should_exit = True

    # uvicorn hands a signal on to whoever had it before: SIGTERM would end this process as if it had failed.
    old = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        server.run([listening])
    finally:
        signal.signal(signal.SIGTERM, old)
    if app.state.service.error is not None:
        raise app.state.service.error


def server_config(app: FastAPI, limits: Limits, **options: Any) -> uvicorn.Config:
    """Set uvicorn up for an application.

    Connections are not counted: what they may cost is bounded where it arises, the work by the queues, the memory by
    the bytes of bodies and the pixels of images, and the sockets by the time within which a request must come. A limit
    on connections would let those who open them and say nothing keep all others out.

    Args:
        app (`FastAPI`): as `build_app` gives it.
        limits ([`Limits`]): `timeout` and `grace` count.
        **options: more of `uvicorn.Config`.

    Returns:
        `uvicorn.Config`: for `uvicorn.Server`.
    """
    return uvicorn.Config(
        app,
        http=timed_protocol(limits.timeout),
        ws="none",
        log_level="warning",
        timeout_graceful_shutdown=max(1, round(limits.grace)),
        **options,
    )


class _Server(uvicorn.Server):
    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        if self.started:
            for server in self.servers:
                host, port = server.sockets[0].getsockname()[:2]
                sys.stderr.write(f"faceshield serves http://{host}:{port} (Ctrl-C stops it)\n")
                sys.stderr.flush()


async def _load(
    service: Service,
    model: FaceShield | Callable[[], FaceShield],
    stack: contextlib.AsyncExitStack,
    on_failure: Callable[[], None] | None,
) -> None:
    try:
        shield = model if isinstance(model, FaceShield) else await asyncio.to_thread(model)
    except Exception as error:  # of any kind: it belongs to whoever started the server
        service.error = error
        if on_failure is not None:
            on_failure()
        return
    service.batcher = await stack.enter_async_context(Batcher(shield, service.limits))
    service.chat = Chat(shield, service.limits, service.room)
    service.shield = shield


def _add_routes(app: FastAPI, service: Service) -> None:
    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/ready")
    async def ready() -> JSONResponse:
        return JSONResponse({"status": service.state}, 200 if service.state == "ready" else 503)

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        shield, _, _ = service.loaded()
        names = dict.fromkeys((shield.name or SHORT_NAME, SHORT_NAME))
        known = {"object": "model", "created": service.started, "owned_by": "faceshield"}
        return {"object": "list", "data": [{"id": name, **known} for name in names]}

    @app.post("/v1/analyze", response_model=VerdictAnswer)
    async def analyze(question: AnalyzeRequest, request: Request) -> dict[str, Any]:
        shield, batcher, _ = service.loaded()
        packed = await asyncio.to_thread(read_image, question.image, service.limits.max_pixels)
        with service.room.hold(packed.pixels):
            image = await asyncio.to_thread(packed.unpack)
            verdict = await _unless_gone(request, batcher.judge(image, question.tasks, question.quality))
        if question.threshold is not None:
            verdict = shield.reconsider(verdict, question.threshold)
        return verdict.to_dict()

    @app.post("/v1/chat/completions")
    async def chat_completions(request: Request, body: Annotated[dict[str, Any], Body()]) -> Response:
        _, _, chat = service.loaded()
        return await _unless_gone(request, chat.answer(body, f"chatcmpl-{uuid.uuid4().hex}"))


async def _unless_gone(request: Request, work: Any) -> Any:
    """Await an answer, but give it up when the caller has hung up."""
    task = asyncio.ensure_future(work)
    while not task.done():
        await asyncio.wait({task}, timeout=0.5)
        if not task.done() and await request.is_disconnected():
            task.cancel()
    try:
        return task.result()
    except asyncio.CancelledError:
        raise RefusedError(499, "the caller has hung up") from None


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(RefusedError)
    async def refused(request: Request, error: RefusedError) -> JSONResponse:
        return error.response()

    @app.exception_handler(ValueError)
    async def bad_input(request: Request, error: ValueError) -> JSONResponse:
        return RefusedError(400, str(error)).response()

    @app.exception_handler(RequestValidationError)
    async def bad_form(request: Request, error: RequestValidationError) -> JSONResponse:
        # Where and why, without repeating what came: an image may be megabytes long.
        found = [f"{'.'.join(map(str, item['loc'][1:])) or 'body'}: {item['msg']}" for item in error.errors()]
        return RefusedError(422, "; ".join(found)[:1000]).response()

    @app.exception_handler(HTTPException)
    async def of_transformers(request: Request, error: HTTPException) -> JSONResponse:
        return RefusedError(error.status_code, str(error.detail)).response()

    @app.exception_handler(Exception)
    async def bug(request: Request, error: Exception) -> JSONResponse:
        return RefusedError(500, f"the server failed ({type(error).__name__}); its log says more").response()
