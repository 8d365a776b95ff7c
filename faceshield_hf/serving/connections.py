"""Connections on which no request comes are closed: to a caller they cost nothing, and a server has only so many.

uvicorn gives a connection that has been answered a few seconds to ask again, but waits for ever for the first request,
and for the rest of a request's headers. Bodies are timed by `limits.BodyLimit`.

Example:
    >>> config = uvicorn.Config(app, http=timed_protocol(60.0))  # doctest: +SKIP
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol


# uvicorn's protocol for whichever parser is installed; both keep the request that runs in `cycle`.
_Protocol: Any = AutoHTTPProtocol


def timed_protocol(seconds: float) -> Any:
    """Make uvicorn's HTTP protocol with a time within which a request's headers must have come.

    Args:
        seconds (`float`): from the connection's beginning, or from a later request's first byte.

    Returns:
        `type[asyncio.Protocol]`: for `uvicorn.Config(http=...)`.
    """
    return type("TimedProtocol", (_TimedProtocol,), {"seconds": seconds})


class _TimedProtocol(_Protocol):
    seconds: float
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_watching()
        super().connection_lost(exc)

    def _watch(self) -> None:
        """Time what is no request yet; what is already timed is not given more."""
        if not self._waits():
            self._stop_watching()
        elif self._timer is None:
            self._timer = self.loop.call_later(self.seconds, self._hang_up)

    def _waits(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _stop_watching(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _hang_up(self) -> None:
        self._timer = None
        if self._waits():
            self.transport.close()
