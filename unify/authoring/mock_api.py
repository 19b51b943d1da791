"""The API of a recorded case, played back over real HTTP on loopback.

How a request is encoded, where credentials go and what a link or redirect leads to is decided by the HTTP
door, so a case goes through that door: a stand-in below it would prove something nobody runs. Each origin of
the spec gets a server of its own; the origins' addresses are exchanged in spec and answers, so that a next
link leads back here and a foreign origin stays foreign. Nothing else is ever asked.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from msgspec.structs import replace

from unify.adapters.http.messages import origin_of
from unify.adapters.rest.request_builder import render_base_url
from unify.adapters.spec import template
from unify.adapters.spec.auth import Auth
from unify.adapters.spec.model import AdapterSpec, Limits, TableSpec
from unify.authoring.cases import RecordedExchange, RecordedResponse
from unify.errors import ConfigError

Json = Any  # a JSON value: dict, list, str, int, float, bool or None
_UNEXPECTED_STATUS = 418  # no status an API would send: nothing retries it


class MockAPI:
    """Answers the requests of a case in their order, and notes each that is another than expected.

    A context manager; ``spec`` is the one to read with, its addresses leading here.
    """

    def __init__(
        self, spec: AdapterSpec, options: Mapping[str, Any], exchanges: Sequence[RecordedExchange]
    ) -> None:
        self._exchanges = list(exchanges)
        self._base = render_base_url(spec, options)
        self._lock = threading.Lock()
        self._request_count = 0
        self.differences: list[str] = []
        self._servers = {
            origin: _OriginServer(self._respond) for origin in _spec_origins(spec, self._base, options)
        }
        self._local_urls = {origin: server.url for origin, server in self._servers.items()}
        self.spec = self._localized_spec(spec, options)

    def __enter__(self) -> Self:
        for server in self._servers.values():
            server.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        for server in self._servers.values():
            server.stop()
        for number, exchange in enumerate(self._exchanges[self._request_count :], self._request_count + 1):
            self.differences.append(f"request {number} was never sent: {exchange.method} {exchange.target}")

    def to_recorded_origins(self, text: str) -> str:
        """``text`` with the origins the case speaks of in place of ours."""
        for origin, home in self._local_urls.items():
            text = text.replace(home, origin)
        return text

    def _to_local_origins(self, text: str) -> str:
        for origin, home in self._local_urls.items():
            text = text.replace(origin, home)
        return text

    def _localized_spec(self, spec: AdapterSpec, options: Mapping[str, Any]) -> AdapterSpec:
        """One request at a time, so that their order is known, and no waiting for a budget."""
        return replace(
            spec,
            base_url=self._to_local_origins(self._base),
            allowed_origins=tuple(self._to_local_origins(origin) for origin in spec.allowed_origins),
            auth=self._localized_auth(spec.auth, options),
            limits=Limits(concurrency=1),
            tables=tuple(self._localized_table(table) for table in spec.tables),
        )

    def _localized_auth(self, auth: Auth, options: Mapping[str, Any]) -> Auth:
        """Where a person signs in, somebody has."""
        if auth.is_interactive:
            return Auth("bearer", {"token": "dummy-token"})
        return Auth(auth.type, self._localized_settings(auth.settings, options))

    def _localized_settings(
        self, settings: Mapping[str, Json], options: Mapping[str, Any]
    ) -> dict[str, Json]:
        filled = {
            name: template.render_text(value, options, "plain") if name.endswith("_url") else value
            for name, value in settings.items()
        }
        return {
            name: self._to_local_origins(value) if isinstance(value, str) else value
            for name, value in filled.items()
        }

    def _localized_table(self, table: TableSpec) -> TableSpec:
        return replace(table, requests=tuple(map(self._to_local_origins, table.requests)))

    def _respond(self, received: _ReceivedRequest) -> RecordedResponse:
        with self._lock:
            self._request_count += 1
            if self._request_count > len(self._exchanges):
                self.differences.append(
                    f"request {self._request_count} was not expected: {self._describe_request(received)}"
                )
                return RecordedResponse(_UNEXPECTED_STATUS, body={"message": "the case has no such request"})
            exchange = self._exchanges[self._request_count - 1]
            found = [
                self.to_recorded_origins(text)
                for text in _request_differences(exchange, received, self._expected_path(exchange))
            ]
            if found:
                start = f"request {self._request_count} ({self._describe_request(received)})"
                self.differences += [f"{start}: {text}" for text in found]
                return RecordedResponse(
                    _UNEXPECTED_STATUS, body={"message": "the case expected another request"}
                )
        reply = exchange.response
        text = _compact_json(reply.body) if reply.text is None else reply.text
        headers = {name: self._to_local_origins(value) for name, value in reply.headers.items()}
        return replace(reply, headers=headers, text=self._to_local_origins(text))

    def _describe_request(self, received: _ReceivedRequest) -> str:
        return self.to_recorded_origins(f"{received.method} {received.target}")

    def _expected_path(self, exchange: RecordedExchange) -> str:
        """The path a request has on the wire: that of the base address goes before it."""
        if exchange.target.startswith("/"):
            return urlsplit(self._base).path.rstrip("/") + exchange.target
        return urlsplit(exchange.target).path


class _ReceivedRequest:
    """A request as it came."""

    def __init__(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> None:
        self.method = method
        self.target = target
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.body = body


def _spec_origins(spec: AdapterSpec, base: str, options: Mapping[str, Any]) -> list[str]:
    """Every origin the spec may speak to, its own first."""
    urls = [base, *spec.allowed_origins]
    urls += [
        template.render_text(value, options, "plain")
        for name, value in spec.auth.settings.items()
        if name.endswith("_url") and isinstance(value, str)
    ]
    try:
        return list(dict.fromkeys(origin_of(url) for url in urls))
    except ConfigError as error:
        raise ConfigError(f"{spec.path}: {error.message}") from error


def _request_differences(expected: RecordedExchange, received: _ReceivedRequest, path: str) -> list[str]:
    target, _, query = received.target.partition("?")
    wanted_path, _, wanted_query = path.partition("?")
    found = []
    if (received.method, target) != (expected.method, wanted_path):
        found.append(f"expected {expected.method} {wanted_path}")
    wanted = sorted([*parse_qsl(wanted_query, keep_blank_values=True), *_param_pairs(expected.params)])
    found += _pair_differences("parameter", wanted, sorted(parse_qsl(query, keep_blank_values=True)))
    found += _header_differences(expected.headers, received.headers)
    return found + _body_differences(expected, received.body)


def _param_pairs(params: Mapping[str, Json]) -> list[tuple[str, str]]:
    return [
        (name, _param_text(value))
        for name, values in params.items()
        for value in (values if isinstance(values, list) else [values])
    ]


def _param_text(value: Json) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)


def _pair_differences(noun: str, expected: list[tuple[str, str]], actual: list[tuple[str, str]]) -> list[str]:
    missing = [
        f"expected the {noun} {name}={value}" for name, value in expected if (name, value) not in actual
    ]
    extra = [
        f"did not expect the {noun} {name}={value}" for name, value in actual if (name, value) not in expected
    ]
    if not missing and not extra and len(expected) != len(actual):
        return [f"expected {len(expected)} {noun}s, found {len(actual)}"]
    return missing + extra


def _header_differences(expected: Mapping[str, Json], actual: Mapping[str, str]) -> list[str]:
    found = []
    for name, value in expected.items():
        there = actual.get(name.lower())
        if value is None and there is not None:
            found.append(f"did not expect the header {name}")
        elif value is not None and there != _param_text(value):
            found.append(f"expected the header {name}: {value}, found {there or 'none'}")
    return found


def _body_differences(expected: RecordedExchange, body: bytes) -> list[str]:
    if expected.form is not None:
        got = sorted(parse_qsl(body.decode(), keep_blank_values=True))
        return _pair_differences("form field", sorted(_param_pairs(expected.form)), got)
    if expected.body is None:
        return [f"did not expect a body, found {body[:200]!r}"] if body else []
    try:
        sent = json.loads(body)
    except ValueError:
        return [f"expected a JSON body, found {body[:200]!r}"]
    if _normalize_spaces(sent) == _normalize_spaces(expected.body):
        return []
    return [f"expected the body {json.dumps(expected.body)}, found {json.dumps(sent)}"]


def _compact_json(value: Json) -> str:
    """As nearly every API writes it, for rules that look for a text in a body."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _normalize_spaces(value: Json) -> Json:
    """Texts with one space between words: how GraphQL is broken into lines means nothing."""
    match value:
        case str():
            return " ".join(value.split())
        case list():
            return [_normalize_spaces(item) for item in value]
        case dict():
            return {key: _normalize_spaces(item) for key, item in value.items()}
        case _:
            return value


class _OriginServer:
    """One origin: a port of loopback. It listens from the start, and answers once started."""

    def __init__(self, answer: Callable[[_ReceivedRequest], RecordedResponse]) -> None:
        class Handler(_MockAPIHandler):
            respond = staticmethod(answer)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _MockAPIHandler(BaseHTTPRequestHandler):
    """Reads a request, writes its reply, closes the connection: a case is short."""

    respond: Callable[[_ReceivedRequest], RecordedResponse]

    def do_GET(self) -> None:
        self._handle_request()

    def do_POST(self) -> None:
        self._handle_request()

    def _handle_request(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        reply = self.respond(_ReceivedRequest(self.command, self.path, dict(self.headers.items()), body))
        data = (reply.text if reply.text is not None else _compact_json(reply.body)).encode()
        self.send_response(reply.status)
        headers = {"Content-Type": "application/json", **reply.headers, "Content-Length": str(len(data))}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: what was asked is compared, not logged."""
