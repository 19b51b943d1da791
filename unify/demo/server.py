"""The sample API as a process: ``python -m unify.demo.server``.

It binds to 127.0.0.1 only, prints ``listening on http://127.0.0.1:PORT``, and ends when its standard input
ends, so that it does not outlive the process that started it.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TextIO

from unify.demo.routes import DemoResponse, Routes, error_response
from unify.demo.shapes import encode
from unify.demo.world import build_sample_data

HOUR_S = 3600
REQUESTS_PER_HOUR = {"core": 5000, "search": 30 * 60}  # reported in headers, not enforced


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """The command line. ``token`` is what clients have to send; ``log`` gets a line for each request."""

    port: int
    token: str
    latency_s: float
    log: Path | None
    keep_running: bool


def parse_arguments(arguments: Sequence[str] | None = None) -> ServerOptions:
    parser = argparse.ArgumentParser("unify.demo.server", description="A sample API that imitates GitHub's.")
    parser.add_argument("--port", type=int, default=0, help="0, the default, selects a free port")
    parser.add_argument("--token", default="demo", help="the only token accepted (default: %(default)s)")
    parser.add_argument("--latency-ms", type=float, default=0.0, help="delay of each response")
    parser.add_argument("--log", type=Path, help="append a line for each request to this file")
    parser.add_argument("--keep", action="store_true", help="keep running when standard input ends")
    given = parser.parse_args(arguments)
    return ServerOptions(given.port, given.token, given.latency_ms / 1000, given.log, given.keep)


class QuotaCounter:
    """Counts requests by the clock hour, for the x-ratelimit headers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hour = 0
        self._used = dict.fromkeys(REQUESTS_PER_HOUR, 0)

    def count(self, resource: str, requests: int = 1) -> dict[str, int]:
        """Count a request. The remaining number stays above 0: no request is refused."""
        hour = int(time.time()) // HOUR_S
        with self._lock:
            if hour != self._hour:
                self._hour, self._used = hour, dict.fromkeys(REQUESTS_PER_HOUR, 0)
            self._used[resource] += requests
            limit = REQUESTS_PER_HOUR[resource]
            used = min(self._used[resource], limit - 1)
        return {"limit": limit, "remaining": limit - used, "reset": (hour + 1) * HOUR_S, "used": used}


class DemoServer(ThreadingHTTPServer):
    """The listening socket, and the state that all requests share."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, options: ServerOptions, log: TextIO | None) -> None:
        super().__init__(("127.0.0.1", options.port), DemoRequestHandler)
        self.options = options
        self.log = log
        self.quota = QuotaCounter()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.routes = Routes(build_sample_data(), self.url)
        self._log_lock = threading.Lock()

    def write_log_line(self, line: str) -> None:
        if self.log is not None:
            with self._log_lock:
                self.log.write(f"{line}\n")
                self.log.flush()

    def handle_error(self, request: object, client_address: object) -> None:
        """Print the traceback, unless the client closed the connection."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class DemoRequestHandler(BaseHTTPRequestHandler):
    """One connection; each response is a single write."""

    server: DemoServer
    protocol_version = "HTTP/1.1"
    server_version = "unify-demo"
    sys_version = ""
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self) -> None:
        if self.server.options.latency_s:
            time.sleep(self.server.options.latency_s)
        response = self._auth_error() or self._build_response()
        self.server.write_log_line(f"{self.command} {self.path} {response.status}")
        self._send_response(response)

    do_HEAD = do_GET  # noqa: N815

    def _auth_error(self) -> DemoResponse | None:
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        if not token:
            return error_response(401, "Requires authentication")
        known = scheme.lower() in ("bearer", "token") and token.strip() == self.server.options.token
        return None if known else error_response(401, "Bad credentials")

    def _build_response(self) -> DemoResponse:
        if self.path.partition("?")[0] == "/rate_limit":
            resources = {resource: self.server.quota.count(resource, 0) for resource in REQUESTS_PER_HOUR}
            return DemoResponse(200, encode({"resources": resources, "rate": resources["core"]}).encode())
        response = self.server.routes.handle_get(self.path)
        if response.status == 200 and self.headers.get("If-None-Match") == self._etag():
            return DemoResponse(304, b"", response.headers, response.resource)
        return response

    def _etag(self) -> str:
        """Return the ETag of this address; its rows never change."""
        return f'W/"{hashlib.sha256(self.path.encode()).hexdigest()}"'

    def _send_response(self, response: DemoResponse) -> None:
        self.send_response(response.status)
        if response.status != 204:
            self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Length", str(len(response.body)))
        if response.status in (200, 304):
            self.send_header("ETag", self._etag())
        for name, number in self.server.quota.count(response.resource).items():
            self.send_header(f"X-RateLimit-{name.capitalize()}", str(number))
        self.send_header("X-RateLimit-Resource", response.resource)
        self.send_header("X-GitHub-Media-Type", "github.v3; format=json")
        for name, text in response.headers.items():
            self.send_header(name, text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)

    def log_message(self, format: str, *args: object) -> None:
        """Do not write to standard error; ``--log`` has the requests."""


def serve(options: ServerOptions) -> None:
    """Serve requests until standard input ends or a signal arrives."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if not options.keep_running:
        if not os.isatty(0):  # Ctrl-C in the shell that started us is for the shell
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        threading.Thread(target=_exit_with_stdin, daemon=True).start()
    log = options.log.open("a", encoding="utf-8") if options.log else None
    try:
        with DemoServer(options, log) as server:
            sys.stdout.write(f"listening on {server.url}\n")
            sys.stdout.flush()
            server.serve_forever()
    finally:
        if log is not None:
            log.close()


def _exit_with_stdin() -> None:
    """Send SIGTERM to this process when standard input ends."""
    try:
        while os.read(0, 4096):
            continue
    finally:  # reading fails if standard input is closed already
        os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    serve(parse_arguments())
