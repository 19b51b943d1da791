"""An HTTP server on loopback with configurable faults; it records each request.

    with FaultServer() as api:
        api.serve("/repos", pages=[[{"id": 1}], [{"id": 2}]])          # ?page=1, ?page=2, then empty
        api.serve("/slow", MockResponse.json([], delay_s=2))
        api.serve("/flaky", MockResponse.error(503), MockResponse.json([]))    # in turn; the last one repeats
        api.serve("/odd", lambda request: MockResponse.json([request.query]))
        ...
        assert api.request_targets == ["/repos?page=1", "/repos?page=2"]

It implements HTTP/1.1 on plain sockets, so that each byte and each pause can be configured.
"""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import parse_qs, urlsplit

PagingStyle = Literal["page", "offset", "link", "cursor", "next_url"]
_GZIP_BOMB_BLOCK = b"0" * (1 << 20)


@dataclass(frozen=True)
class RecordedRequest:
    """A request as received; ``received_at`` is seconds since 1970."""

    method: str
    target: str  # path and query, as sent
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    received_at: float

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return {name: values[-1] for name, values in parse_qs(urlsplit(self.target).query).items()}

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class MockResponse:
    """A response and its faults.

    ``delay_s``       silence before the first byte.
    ``head_drip_s``   pause after each byte of status line and headers; ``drip_s`` the same for the body.
    ``cut_at``        the connection is closed after so many bytes of the body; ``reset``: as a reset.
    ``hang_at``       nothing more comes after so many bytes of the body, and the connection stays open.
    ``framing``       how the body ends: by its length, by chunks, or by closing the connection.
    ``raw``           these bytes instead of an HTTP response.
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    head_drip_s: float = 0.0
    drip_s: float = 0.0
    cut_at: int | None = None
    reset: bool = False
    hang_at: int | None = None
    framing: Literal["length", "chunks", "close"] = "length"
    raw: bytes | None = None

    @classmethod
    def json(cls, value: Any, **faults: Any) -> MockResponse:
        return cls(body=json.dumps(value).encode(), **faults).with_headers(Content_Type="application/json")

    @classmethod
    def text(cls, text: str, content_type: str = "text/html", **faults: Any) -> MockResponse:
        return cls(body=text.encode(), **faults).with_headers(Content_Type=content_type)

    @classmethod
    def error(cls, status: int, message: str = "", **headers: str) -> MockResponse:
        body = json.dumps({"message": message or f"status {status}"}).encode()
        return cls(status=status, body=body).with_headers(Content_Type="application/json", **headers)

    @classmethod
    def redirect(cls, location: str, status: int = 302) -> MockResponse:
        return cls(status=status).with_headers(Location=location)

    @classmethod
    def gzip_bomb(cls, megabytes: int) -> MockResponse:
        """Return a small gzip body that expands to ``megabytes`` MiB of JSON text."""
        packed = _gzip_members(megabytes)
        return cls(body=packed).with_headers(Content_Type="application/json", Content_Encoding="gzip")

    def gzipped(self) -> MockResponse:
        return replace(self, body=gzip.compress(self.body, mtime=0)).with_headers(Content_Encoding="gzip")

    def with_headers(self, **headers: str) -> MockResponse:
        """Keywords become header names: ``Retry_After="2"``."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return replace(self, headers={**self.headers, **named})


Responder = MockResponse | Callable[[RecordedRequest], MockResponse]


class FaultServer:
    """Serves until the ``with`` block ends. Routes can be added at any time, also as ``METHOD /path``."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._tls = tls
        self._routes: dict[str, _Route] = {}
        self._lock = threading.Lock()
        self._requests: list[RecordedRequest] = []
        self._connections: set[socket.socket] = set()
        self._connection_count = 0
        self._closing = threading.Event()
        self._threads: list[threading.Thread] = []
        scheme = "https" if tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._start_thread(self._accept_connections)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._closing.set()
        _shut_down(self._listener)
        with self._lock:
            for connection in self._connections:
                _shut_down(connection)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    @property
    def request_targets(self) -> list[str]:
        """Path with query of each request so far, oldest first."""
        return [asked.target for asked in self.requests]

    @property
    def requests(self) -> list[RecordedRequest]:
        with self._lock:
            return list(self._requests)

    @property
    def connection_count(self) -> int:
        return self._connection_count

    def clear_requests(self) -> None:
        with self._lock:
            self._requests.clear()

    def serve(
        self,
        path: str,
        *responses: Responder,
        pages: Sequence[Sequence[Any]] | None = None,
        style: PagingStyle = "page",
        param: str | None = None,
        rows: str | None = None,
        totals: bool = False,
        **faults: Any,
    ) -> None:
        """Serve one response after the other at ``path``, the last one repeatedly; or pages of rows.

        ``pages``   are served in this ``style``; ``rows`` names the member with the list.
        ``totals``  add ``total`` to the body, or ``rel="last"`` to the Link header.
        ``faults``  apply to every page, as in ``MockResponse``.
        """
        if pages is not None:
            responses = (_PageResponder(self, path, pages, style, param, rows, totals, faults).respond,)
        with self._lock:
            self._routes[path] = _Route(list(responses))

    def _start_thread(self, target: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept_connections(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connection_count += 1
            self._start_thread(self._serve_connection, connection)

    def _serve_connection(self, connection: socket.socket) -> None:
        try:
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with self._lock:
                self._connections.add(connection)
            with connection, connection.makefile("rb") as incoming:
                while not self._closing.is_set() and (asked := _read_request(incoming)) is not None:
                    with self._lock:
                        self._requests.append(asked)
                    if not self._send_response(connection, self._find_response(asked), asked.method):
                        break
        except OSError:
            connection.close()  # the client closed the connection
        finally:
            with self._lock:
                self._connections.discard(connection)

    def _find_response(self, request: RecordedRequest) -> MockResponse:
        with self._lock:
            route = self._routes.get(f"{request.method} {request.path}") or self._routes.get(request.path)
            answering = route.next_responder() if route else MockResponse.error(404, "Not Found")
        return answering if isinstance(answering, MockResponse) else answering(request)

    def _send_response(self, connection: socket.socket, response: MockResponse, method: str) -> bool:
        """Send ``response`` with its faults; return whether the connection stays open."""
        if self._closing.wait(response.delay_s):
            return False
        if response.raw is not None:
            connection.sendall(response.raw)
            return False
        body = b"" if method == "HEAD" else response.body
        self._send_slowly(connection, _encode_head(response), response.head_drip_s)
        ends = [end for end in (response.cut_at, response.hang_at) if end is not None]
        sent = body[: min(ends)] if ends else body
        self._send_slowly(connection, _frame_body(sent, response, whole=not ends), response.drip_s)
        if response.hang_at is not None:
            self._closing.wait()
        if response.reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return not ends and not response.reset and response.framing != "close"

    def _send_slowly(self, connection: socket.socket, data: bytes, pause_s: float) -> None:
        if not pause_s:
            connection.sendall(data)
            return
        for byte in data:
            connection.sendall(bytes([byte]))
            if self._closing.wait(pause_s):
                raise ConnectionAbortedError


class _Route:
    def __init__(self, answers: list[Responder]) -> None:
        self._responders = answers

    def next_responder(self) -> Responder:
        return self._responders.pop(0) if len(self._responders) > 1 else self._responders[0]


@dataclass(frozen=True)
class _PageResponder:
    """Serves rows in pages in one of the styles of public APIs."""

    server: FaultServer
    path: str
    pages: Sequence[Sequence[Any]]
    style: PagingStyle
    param: str | None
    rows: str | None
    totals: bool
    faults: Mapping[str, Any]

    def respond(self, request: RecordedRequest) -> MockResponse:
        if self.style == "offset":
            return self._respond_by_offset(request)
        first = 1 if self.style in ("page", "link") else 0
        name = self.param or {"cursor": "cursor"}.get(self.style, "page")
        number = int(request.query.get(name, str(first)).lstrip("c")) - first
        here = list(self.pages[number]) if 0 <= number < len(self.pages) else []
        more = number + 1 < len(self.pages)
        body: dict[str, Any] = {self.rows or "items": here}
        headers: dict[str, str] = {}
        match self.style:
            case "link":
                headers = self._link_headers(request, name, number + first, more)
            case "cursor":
                body["next_cursor"] = f"c{number + 1}" if more else None
            case "next_url":
                body["next"] = f"{self.server.url}{self.path}?{name}={number + 1}" if more else None
            case _:
                pass
        return self._build_response(body, here, headers)

    def _respond_by_offset(self, request: RecordedRequest) -> MockResponse:
        every = [row for page in self.pages for row in page]
        start = int(request.query.get(self.param or "offset", "0"))
        size = int(request.query.get("limit", len(self.pages[0])))
        here = every[start : start + size]
        return self._build_response({self.rows or "items": here}, here, {})

    def _link_headers(self, request: RecordedRequest, name: str, number: int, more: bool) -> dict[str, str]:
        kept = "".join(f"&{key}={value}" for key, value in request.query.items() if key != name)

        def link(page: int, rel: str) -> str:
            return f'<{self.server.url}{self.path}?{name}={page}{kept}>; rel="{rel}"'

        links = [link(number + 1, "next")] if more else []
        if more and self.totals:
            links.append(link(len(self.pages), "last"))
        if number > 1:
            links.append(link(number - 1, "prev"))
        return {"Link": ", ".join(links)} if links else {}

    def _build_response(self, body: dict[str, Any], here: list[Any], headers: dict[str, str]) -> MockResponse:
        if self.totals and self.style != "link":
            body["total"] = sum(len(page) for page in self.pages)
        bare = self.rows is None and len(body) == 1
        faults = {**self.faults, "headers": {**headers, **self.faults.get("headers", {})}}
        return MockResponse.json(here if bare else body, **faults)


def unused_port() -> int:
    """Return a port of loopback on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _read_request(incoming: Any) -> RecordedRequest | None:
    if incoming.peek(1)[:1] == b"\x16":
        return None  # the start of a TLS handshake, which has no line to wait for
    line = incoming.readline().decode("latin-1").split()
    if len(line) != 3:
        return None
    headers: dict[str, str] = {}
    while (raw := incoming.readline()).strip() != b"":
        name, _, value = raw.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    length = int(headers.get("content-length", "0"))
    body = incoming.read(length)
    if not raw or len(body) < length:
        return None  # the client was killed while it sent the request
    return RecordedRequest(line[0], line[1], headers, body, time.time())


def _encode_head(response: MockResponse) -> bytes:
    framing = {
        "length": {"Content-Length": str(len(response.body))},
        "chunks": {"Transfer-Encoding": "chunked"},
        "close": {"Connection": "close"},
    }[response.framing]
    lines = [f"{name}: {value}" for name, value in {**framing, **response.headers}.items()]
    return "\r\n".join([f"HTTP/1.1 {response.status} Whatever", *lines, "", ""]).encode("latin-1")


def _frame_body(data: bytes, response: MockResponse, *, whole: bool) -> bytes:
    if response.framing != "chunks":
        return data
    pieces = [data[start : start + 1000] for start in range(0, len(data), 1000)]
    framed = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return framed + (b"0\r\n\r\n" if whole else b"")


def _gzip_members(megabytes: int) -> bytes:
    """Return gzip members that expand to one megabyte of text each."""
    member = gzip.compress(_GZIP_BOMB_BLOCK, mtime=0)
    return member * megabytes


def _shut_down(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        connection.close()  # the socket was not connected
