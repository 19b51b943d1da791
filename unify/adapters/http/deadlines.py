"""Deadlines of whole requests: a socket is shut down when its request is overdue or cancelled.

The ``timeout=`` of an HTTP library limits each read, so a server that sends a byte now and then can keep a
request open for ever: in its status line, its headers, or between chunks. Here one thread watches all
requests of a client and shuts down their sockets, which ends a read wherever it waits.
"""

from __future__ import annotations

import http.client
import os
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from requests.adapters import HTTPAdapter
from requests.models import PreparedRequest, Response
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.poolmanager import PoolManager
from urllib3.response import BaseHTTPResponse

from unify.adapters.http.messages import origin_of

MAX_LINE_BYTES = 65_536  # as in http.client
_HEXADECIMAL = re.compile(rb"[0-9A-Fa-f]{1,16}")
_thread_state = threading.local()  # .exchange: the request that the current thread sends


class WatchedExchange:
    """One request and its response. ``end_reason`` is "", "deadline" or "stopped"."""

    def __init__(self, deadline: float, stop: threading.Event) -> None:
        self.deadline = deadline
        self.stop = stop
        self.end_reason = ""
        self._lock = threading.Lock()
        self._descriptors: list[int] = []

    def add_socket(self, descriptor: int) -> None:
        """Keep a duplicate of the descriptor: TLS detaches the original. Shutting down one ends both."""
        with self._lock:
            self._descriptors.append(os.dup(descriptor))
            if self.end_reason:
                self._shutdown_sockets()

    def abort(self, reason: str) -> None:
        with self._lock:
            if not self.end_reason:
                self.end_reason = reason
                self._shutdown_sockets()

    def close(self) -> None:
        with self._lock:
            for descriptor in self._descriptors:
                os.close(descriptor)
            self._descriptors.clear()

    def _shutdown_sockets(self) -> None:
        for descriptor in self._descriptors:
            borrowed = socket.socket(fileno=descriptor)
            try:
                borrowed.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # not connected any more
            finally:
                borrowed.detach()


class Watchdog:
    """Ends requests at their deadline, from a thread that sleeps until the earliest one."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._exchanges: set[WatchedExchange] = set()
        self._thread: threading.Thread | None = None
        self._wakes_at: float | None = None
        self._closed = False

    @contextmanager
    def watch(self, timeout_s: float, stop: threading.Event) -> Iterator[WatchedExchange]:
        """Watch one request of the current thread; it ends after ``timeout_s``, or by ``cancel(stop)``."""
        exchange = WatchedExchange(monotonic() + timeout_s, stop)
        self._add(exchange)
        _thread_state.exchange = exchange
        try:
            yield exchange
        finally:
            _thread_state.exchange = None
            with self._changed:
                self._exchanges.discard(exchange)
            exchange.close()

    def cancel(self, stop: threading.Event) -> None:
        """End every request that is watched with ``stop``."""
        stop.set()
        with self._changed:
            for exchange in self._exchanges:
                if exchange.stop is stop:
                    exchange.abort("stopped")

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _add(self, exchange: WatchedExchange) -> None:
        with self._changed:
            self._exchanges.add(exchange)
            if exchange.stop.is_set():
                exchange.abort("stopped")
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="unify-deadlines", daemon=True)
                self._thread.start()
            elif self._wakes_at is None or exchange.deadline < self._wakes_at:
                self._changed.notify()

    def _run(self) -> None:
        with self._changed:
            while not self._closed:
                now = monotonic()
                for exchange in self._exchanges:
                    if exchange.deadline <= now:
                        exchange.abort("deadline")
                running = [exchange.deadline for exchange in self._exchanges if not exchange.end_reason]
                self._wakes_at = min(running, default=None)
                self._changed.wait(None if self._wakes_at is None else self._wakes_at - now)


class InvalidChunkSize(http.client.HTTPException):
    """A chunk whose size is not a hexadecimal number; http.client cannot tell it from a closed connection."""


class _FinalResponse(http.client.HTTPResponse):
    """Passes over informational responses such as 103 Early Hints; http.client does so with 100 only."""

    def _read_next_chunk_size(self) -> int:
        line = self.fp.readline(MAX_LINE_BYTES + 1)
        if len(line) > MAX_LINE_BYTES:
            raise http.client.LineTooLong("chunk size")
        digits = line.partition(b";")[0].strip()
        if line and not _HEXADECIMAL.fullmatch(digits):
            self.close()
            raise InvalidChunkSize
        return int(digits, 16)  # ValueError: the connection was closed

    def _read_status(self) -> tuple[str, int, str]:
        while True:
            line: tuple[str, int, str] = super()._read_status()  # type: ignore[misc]
            if not 100 < line[1] < 200 or line[1] == http.client.SWITCHING_PROTOCOLS:
                return line
            http.client.parse_headers(self.fp)


class _WatchedConnection(HTTPConnection):
    """Registers its socket with the current request, before the first byte of TLS or of a proxy."""

    response_class = _FinalResponse

    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        _register_socket(sock)
        return sock

    def request(self, *args: object, **options: object) -> None:
        if self.sock is not None:
            _register_socket(self.sock)
        super().request(*args, **options)  # type: ignore[arg-type]


class _WatchedTLSConnection(_WatchedConnection, HTTPSConnection):
    pass


def _register_socket(sock: socket.socket) -> None:
    exchange: WatchedExchange | None = getattr(_thread_state, "exchange", None)
    if exchange is not None:
        exchange.add_socket(sock.fileno())


class _WatchedPool(HTTPConnectionPool):
    ConnectionCls = _WatchedConnection


class _WatchedTLSPool(HTTPSConnectionPool):
    ConnectionCls = _WatchedTLSConnection


class WatchedHTTPAdapter(HTTPAdapter):
    """The transport of ``requests`` with watched sockets, and one lookup per pool instead of per request."""

    def __init__(self, max_connections: int) -> None:
        self._pools_by_origin: dict[str, HTTPConnectionPool] = {}
        super().__init__(pool_connections=8, pool_maxsize=max_connections)

    def init_poolmanager(self, *args: int, **options: object) -> None:
        super().init_poolmanager(*args, **options)  # type: ignore[arg-type]
        _use_watched_pools(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **options: object) -> PoolManager:
        manager: PoolManager = super().proxy_manager_for(proxy, **options)
        _use_watched_pools(manager)
        return manager

    def get_connection_with_tls_context(
        self, request: PreparedRequest, verify: object, proxies: object = None, cert: object = None
    ) -> HTTPConnectionPool:
        """The pool of the request's origin. ``verify`` and ``proxies`` are always the same."""
        origin = origin_of(request.url or "")
        if origin not in self._pools_by_origin:
            pool = super().get_connection_with_tls_context(request, verify, proxies, cert)  # type: ignore[arg-type]
            assert isinstance(pool, HTTPConnectionPool)
            self._pools_by_origin[origin] = pool
        return self._pools_by_origin[origin]

    def build_response(self, req: PreparedRequest, resp: BaseHTTPResponse) -> Response:
        """Return status, headers and the unread body, without cookies and without guessing an encoding."""
        response = Response()
        response.status_code = resp.status
        response.headers = resp.headers  # type: ignore[assignment]  # also case-insensitive
        response.raw = resp
        response.request = req
        return response

    def close(self) -> None:
        super().close()
        self._pools_by_origin.clear()


def _use_watched_pools(manager: PoolManager) -> None:
    manager.pool_classes_by_scheme = {"http": _WatchedPool, "https": _WatchedTLSPool}
