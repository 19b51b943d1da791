"""Limits of a request: the size of its body, and the time until its response was handed over.

Statements have their own limit of time; their routes tell the connection that they make progress.
"""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from unify.servers.http.responses import error_response

MAX_BODY_BYTES = 1_048_576  # far above any statement
REQUEST_TIMEOUT_S = 30.0
PROGRESS = "unify.progress"  # of a scope: a number that grows while a response makes progress
_UNTIMED_PATHS = ("/query", "/statements/", "/mcp")


def is_untimed(scope: Scope) -> bool:
    """Whether a request has its own limit of time."""
    return str(scope["path"]).startswith(_UNTIMED_PATHS)


def note_progress(scope: Scope) -> None:
    """Tell the connection that a response makes progress: its client reads, or its statement runs."""
    scope[PROGRESS] = scope.get(PROGRESS, 0) + 1


class RequestLimits:
    """Middleware: refuses a body that is too large with 413, and ends a request after a time with 503."""

    def __init__(
        self, app: ASGIApp, max_body_bytes: int = MAX_BODY_BYTES, timeout_s: float = REQUEST_TIMEOUT_S
    ) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = _LimitedExchange(receive, send, self._max_body_bytes)
        if _declared_bytes(scope) > self._max_body_bytes:
            await self._refuse_body(scope, exchange)
            return
        try:
            async with asyncio.timeout(None if is_untimed(scope) else self._timeout_s):
                await self._app(scope, exchange.receive, exchange.send)
        except _BodyTooLarge:
            await self._refuse_body(scope, exchange)
        except TimeoutError:
            response = error_response(
                503, f"no response within {self._timeout_s:g} s; try again", {"Retry-After": "5"}
            )
            await exchange.respond(scope, response)

    async def _refuse_body(self, scope: Scope, exchange: _LimitedExchange) -> None:
        message = f"the body of the request has more than {self._max_body_bytes:,} bytes"
        await exchange.respond(scope, error_response(413, message, {"Connection": "close"}))


class _BodyTooLarge(Exception):
    pass


class _LimitedExchange:
    """The receive and send of one request. Counts the body, and knows whether a response has begun."""

    def __init__(self, receive: Receive, send: Send, max_body_bytes: int) -> None:
        self._receive = receive
        self._send = send
        self._left_bytes = max_body_bytes
        self._has_response = False

    async def receive(self) -> Message:
        message = await self._receive()
        self._left_bytes -= len(message.get("body", b""))
        if self._left_bytes < 0:
            raise _BodyTooLarge
        return message

    async def send(self, message: Message) -> None:
        self._has_response = True
        await self._send(message)

    async def respond(self, scope: Scope, response: ASGIApp) -> None:
        """Send an error; after a response has begun, leave it incomplete, which closes the connection."""
        if not self._has_response:
            await response(scope, self._receive, self.send)


def _declared_bytes(scope: Scope) -> int:
    """Return the Content-Length; 0 without one. h11 has refused one that is no number."""
    return next((int(value) for name, value in scope["headers"] if name == b"content-length"), 0)
