"""The HTTP server: uvicorn on a bound socket, in a thread, so that other servers fit beside it."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from unify.errors import StoreError
from unify.load.protocol import make_bug_failure
from unify.servers.event_log import EventLog
from unify.servers.http.protocol import TimedProtocol

MAX_CONNECTIONS = 100  # further ones are answered with 503
MAX_HEAD_BYTES = 16_384  # of a request: line and headers
KEEP_ALIVE_S = 5
GRACEFUL_SHUTDOWN_S = 5
START_TIMEOUT_S = 30.0
_HEADERS = [("X-Content-Type-Options", "nosniff"), ("Cache-Control", "no-store")]
_INVALID_REQUEST = "Invalid HTTP request received."  # uvicorn's message; any port scanner causes it


class HttpServer:
    """A server in a thread of its own.

    ``ended``         is called when the thread ends, for whatever reason.
    ``has_lifespan``  the application has work at start and end.
    """

    def __init__(
        self,
        app: ASGIApp,
        listener: socket.socket,
        tls: ssl.SSLContext | None,
        log: EventLog,
        ended: Callable[[], None] = lambda: None,
        *,
        has_lifespan: bool = False,
    ) -> None:
        self._listener = listener
        self._log = log
        self._ended = ended
        self._server = _StartedServer(_make_config(app, tls, has_lifespan=has_lifespan))
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)
        self._handler = _EventHandler(log)

    def start(self) -> None:
        """Return when requests are answered. Raises StoreError if the server does not start."""
        logging.getLogger("uvicorn").addHandler(self._handler)
        self._thread.start()
        if not self._server.is_ready.wait(START_TIMEOUT_S) or not self._server.started:
            self.stop()
            raise StoreError("the HTTP server does not start; its log has the reason")

    def stop(self) -> None:
        """End the server: requests in progress have a few seconds to complete."""
        self._server.should_exit = True
        self._thread.join(2 * GRACEFUL_SHUTDOWN_S)
        logging.getLogger("uvicorn").removeHandler(self._handler)
        self._listener.close()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:  # noqa: BLE001 - the thread's last resort: nobody else can report it
            self._log_fault(error)
        finally:
            self._server.is_ready.set()
            self._ended()

    async def _serve(self) -> None:
        asyncio.get_running_loop().set_exception_handler(self._handle_loop_error)
        await self._server.serve([self._listener])
        for connection in list(self._server.server_state.connections):  # whose clients do not read
            connection.transport.abort()
        await asyncio.sleep(0)  # lets the connections end before the loop does

    def _handle_loop_error(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, OSError):  # a client that broke off, or too many open files
            self._log.write_limited("server.connection_failed", error=str(error))
        elif isinstance(error, Exception):
            self._log_fault(error)
        else:
            self._log.write_limited("server.warning", message=context["message"])

    def _log_fault(self, error: Exception) -> None:
        fault = make_bug_failure(error, self._log.redactor)
        self._log.write_limited("server.internal_error", error=fault.message, trace=fault.trace)


class _StartedServer(uvicorn.Server):
    """Tells when it accepts connections."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_ready.set()


class _EventHandler(logging.Handler):
    """Writes what uvicorn logs as events."""

    def __init__(self, log: EventLog) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage().strip()
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, Exception):
            fault = make_bug_failure(error, self._log.redactor)
            self._log.write_limited("server.internal_error", error=fault.message, trace=fault.trace)
        elif message != _INVALID_REQUEST and not isinstance(error, asyncio.CancelledError):
            self._log.write_limited("server.warning", message=message)


def _make_config(app: ASGIApp, tls: ssl.SSLContext | None, *, has_lifespan: bool) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="asyncio",
        http=TimedProtocol,
        ws="none",
        lifespan="on" if has_lifespan else "off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        workers=1,
        proxy_headers=False,
        server_header=False,
        headers=_HEADERS,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACEFUL_SHUTDOWN_S,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        ssl_context_factory=None if tls is None else lambda _config, _default: tls,
    )
