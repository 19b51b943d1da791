"""The duration of a connection: uvicorn itself waits without end for a client that sends half a request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from unify.servers.http.limits import PROGRESS

REQUEST_HEAD_TIMEOUT_S = 10.0  # from the connection, or the end of a response, to the next complete head
RESPONSE_TIMEOUT_S = 60.0  # after which a client that does not read its response is cut off


class TimedProtocol(H11Protocol):
    """HTTP/1.1 with a time limit for the head of each request, and for each response until it was sent."""

    _timer: asyncio.TimerHandle | None = None
    _progress: object = None  # of the response, when the timer was started

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._restart_timer(REQUEST_HEAD_TIMEOUT_S)

    def data_received(self, data: bytes) -> None:
        cycle = self.cycle
        super().data_received(data)
        if self.cycle is not cycle and not self.cycle.response_complete:
            self._restart_timer(RESPONSE_TIMEOUT_S, self._abort_response)

    def on_response_complete(self) -> None:
        cycle = self.cycle
        self._restart_timer(REQUEST_HEAD_TIMEOUT_S)
        super().on_response_complete()
        if self.cycle is not cycle:  # the next request was received already
            self._restart_timer(RESPONSE_TIMEOUT_S, self._abort_response)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def _abort_response(self) -> None:
        progress = self.cycle.scope.get(PROGRESS)
        if progress != self._progress:
            self._progress = progress
            self._restart_timer(RESPONSE_TIMEOUT_S, self._abort_response)
            return
        host = self.client[0] if self.client is not None else "a client"
        self.logger.warning("%s did not read its response in time", host)
        self.transport.abort()

    def _restart_timer(self, seconds: float, abort: Callable[[], None] | None = None) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(seconds, abort or self.transport.abort)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
