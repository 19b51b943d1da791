"""The local HTTP server that receives the redirect after a sign-in in a browser (RFC 8252, section 7.3).

It listens on 127.0.0.1 during one sign-in. Its pages repeat nothing of a request.
"""

from __future__ import annotations

import hmac
import queue
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl, urlsplit

from unify.errors import ConfigError

HOST = "127.0.0.1"
CALLBACK_PATH = "/callback"
READ_TIMEOUT_S = 10.0  # for a connection without a request
_PAGE_HTML = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Unify</title>
<body style="font: 16px sans-serif; margin: 4em"><p>{text}</p></body></html>
"""
_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Connection": "close",
}


class CallbackServer:
    """Listens until the ``with`` block ends. ``port`` 0 selects a free one.

    ``state``  the ``state`` parameter of a valid redirect.

    Raises:
        ConfigError: the port is in use.
    """

    def __init__(self, port: int, state: str) -> None:
        self._state = state
        self._results: queue.SimpleQueue[Mapping[str, str]] = queue.SimpleQueue()
        try:
            self._server = _CallbackTCPServer((HOST, port), _CallbackHandler)
        except OSError as error:
            raise ConfigError(
                f"port {port} is not available ({error.strerror}); stop the program that uses it, "
                "or change redirect_port"
            ) from error
        self._server.callback_server = self
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def uri(self) -> str:
        return f"http://{HOST}:{self.port}{CALLBACK_PATH}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def wait_for_result(self, timeout_s: float) -> Mapping[str, str] | None:
        """The parameters of the redirect; None after ``timeout_s``."""
        try:
            return self._results.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def check_callback(self, target: str, host: str) -> Mapping[str, str] | str:
        """Return the parameters of a request, or the text that refuses it."""
        parts = urlsplit(target)
        if parts.path != CALLBACK_PATH:
            return "Not found."
        fields = dict(parse_qsl(parts.query))
        if host != f"{HOST}:{self.port}" or not hmac.compare_digest(
            fields.get("state", "").encode(), self._state.encode()
        ):
            return "This is not the sign-in that Unify expects. Start again in Unify."
        return fields

    def set_result(self, fields: Mapping[str, str]) -> None:
        self._results.put(fields)


class _CallbackTCPServer(ThreadingTCPServer):
    """Unlike HTTPServer, without a DNS lookup of this machine's name."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    callback_server: CallbackServer

    def handle_error(self, _request: object, _address: object) -> None:
        """Write nothing to stderr if a browser disconnects."""


class _CallbackHandler(BaseHTTPRequestHandler):
    timeout = READ_TIMEOUT_S
    server: _CallbackTCPServer

    def do_GET(self) -> None:
        result = self.server.callback_server.check_callback(self.path, self.headers.get("Host", ""))
        if isinstance(result, str):
            self._send_page(404 if urlsplit(self.path).path != CALLBACK_PATH else 400, result)
            return
        self._send_page(200, "Unify has received the sign-in. You can close this page.")
        self.server.callback_server.set_result(result)  # last, because the receiver closes the server

    def log_message(self, *_words: object) -> None:
        """Do not log: the URL contains a code."""

    def _send_page(self, status: int, text: str) -> None:
        page = _PAGE_HTML.replace("{text}", text).encode()
        self.send_response_only(status)
        for name, value in {**_HEADERS, "Content-Length": str(len(page))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(page)
        self.wfile.flush()
