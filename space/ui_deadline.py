"""A request must have arrived whole within a time: who sends a byte a second would hold a connection for hours.

Only what comes is timed, and passed on piece by piece, so that nothing is held in memory; the answer may take as long
as it takes.

Example:
    >>> app = FastAPI(middleware=[Middleware(Deadline, seconds=60)])
"""

import asyncio

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Deadline:
    """Answer a request that is too slow with 408, and stop whoever is reading it.

    Args:
        app (`ASGIApp`): what serves the requests.
        seconds (`float`): from a request's headers to the end of its body.
    """

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self.app = app
        self.seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, as ASGI has it."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self.app(scope, receive, send)
            return
        end = asyncio.get_running_loop().time() + self.seconds
        arriving, late, answered = True, False, False

        async def receive_in_time() -> Message:
            nonlocal arriving, late
            if not arriving:
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), end - asyncio.get_running_loop().time())
            except asyncio.TimeoutError:
                late = True
                raise
            arriving = message["type"] == "http.request" and message.get("more_body", False)
            return message

        async def send_unless_late(message: Message) -> None:
            nonlocal answered
            if not late:
                answered = True
                await send(message)

        try:
            await self.app(scope, receive_in_time, send_unless_late)
        except Exception:
            if not late:
                raise
        if late and not answered:
            text = f"the request did not arrive within {self.seconds:g} seconds"
            # Whoever is slow need not send the rest.
            await PlainTextResponse(text, 408, headers={"connection": "close"})(scope, receive, send)
