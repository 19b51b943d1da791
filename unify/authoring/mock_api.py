"""Serves the responses of a recorded case over HTTP on loopback, and compares each request.

A case runs through the real HTTP client, which encodes requests, sends credentials and follows links and
redirects. Each origin of the spec has a server of its own. The addresses of the origins are replaced in the
spec and in responses, so that a next link leads to the right server and a foreign origin stays foreign.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from msgspec.structs import replace

from unify.adapters.http.messages import origin_of
from unify.adapters.options import choose_auth
from unify.adapters.rest.request_builder import render_base_url
from unify.adapters.spec import template
from unify.adapters.spec.auth import Auth, Json
from unify.adapters.spec.job import JobSpec
from unify.adapters.spec.model import AdapterSpec, Limits, TableSpec
from unify.adapters.spec.write import WRITE_OPERATIONS, WriteRequest
from unify.authoring.cases import RecordedExchange, RecordedResponse
from unify.errors import ConfigError

_UNEXPECTED_STATUS = 418  # is not retried, and is no status of an API


class MockAPI:
    """Answers the requests of a case in order, and lists their ``differences`` from the expected ones.

    A context manager. ``spec`` is the spec of the case with the addresses of the servers.
    """

    def __init__(
        self, spec: AdapterSpec, options: Mapping[str, Any], exchanges: Sequence[RecordedExchange]
    ) -> None:
        spec = choose_auth(spec, options)
        self._exchanges = list(exchanges)
        self._base = render_base_url(spec, options)
        self._lock = threading.Lock()
        self._request_count = 0
        self.differences: list[str] = []
        origins = _all_origins(spec, self._base, options, self._exchanges)
        self._servers = {origin: _OriginServer(self._respond) for origin in origins}
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
            self.differences.append(f"request {number} was never sent: {exchange.request}")

    def to_recorded_origins(self, text: str) -> str:
        """Replace the addresses of the servers in ``text`` by the origins of the case."""
        for origin, server in self._servers.items():
            text = text.replace(server.url, origin)
        return text

    def _to_local_origins(self, text: str) -> str:
        for origin, server in self._servers.items():
            text = text.replace(origin, server.url)
        return text

    def _localized_spec(self, spec: AdapterSpec, options: Mapping[str, Any]) -> AdapterSpec:
        """The spec with local addresses, one request at a time (their order is fixed) and no rate limit."""
        home = origin_of(self._base)
        return replace(
            spec,
            base_url=self._to_local_origins(self._base),
            credential_origins=tuple(map(self._to_local_origins, spec.credential_origins)),
            allowed_origins=tuple(
                server.url
                for origin, server in self._servers.items()
                if origin not in (home, *spec.credential_origins)
            ),
            auth=self._localized_auth(spec.auth, options),
            limits=Limits(concurrency=1),
            tables=tuple(self._localized_table(table, options) for table in spec.tables),
        )

    def _localized_table(self, table: TableSpec, options: Mapping[str, Any]) -> TableSpec:
        requests = tuple(map(self._to_local_origins, table.requests))
        auth = self._localized_auth(table.auth, options) if table.auth is not None else None
        table = replace(table, auth=auth, job=self._localized_job(table.job))
        write = table.write
        if write is None:
            return replace(table, requests=requests)
        local = {each: self._localized_write(write.request(each)) for each in WRITE_OPERATIONS}
        return replace(table, requests=requests, write=replace(write, **local))

    def _localized_job(self, job: JobSpec | None) -> JobSpec | None:
        """The job with local addresses, polled without waiting."""
        if job is None:
            return None
        create = replace(job.create, request=self._to_local_origins(job.create.request))
        if job.poll is None:
            return replace(job, create=create)
        poll = replace(job.poll, request=self._to_local_origins(job.poll.request), every_s=0.0)
        return replace(job, create=create, poll=poll)

    def _localized_write(self, request: WriteRequest | None) -> WriteRequest | None:
        if request is None:
            return None
        settle = request.settle
        if settle is not None:
            settle = replace(settle, find=self._to_local_origins(settle.find))
        return replace(request, request=self._to_local_origins(request.request), settle=settle)

    def _localized_auth(self, auth: Auth, options: Mapping[str, Any]) -> Auth:
        """The authentication with local addresses; where a user or a key signs in, a token instead."""
        if auth.is_interactive or auth.settings.get("grant") == "jwt_bearer":
            return Auth("bearer", {"token": "dummy-token"})
        settings = dict(auth.settings) | _auth_urls(auth, options)
        return Auth(
            auth.type,
            {
                name: self._to_local_origins(value) if isinstance(value, str) else value
                for name, value in settings.items()
            },
        )

    def _respond(self, received: _ReceivedRequest) -> RecordedResponse:
        with self._lock:
            self._request_count += 1
            number = self._request_count
            request = self.to_recorded_origins(f"{received.method} {received.target}")
            if number > len(self._exchanges):
                self.differences.append(f"request {number} was not expected: {request}")
                return RecordedResponse(_UNEXPECTED_STATUS, body={"message": "the case has no such request"})
            exchange = self._exchanges[number - 1]
            differences = _request_differences(exchange, received, self._expected_path(exchange))
            if differences:
                self.differences += [
                    f"request {number} ({request}): {self.to_recorded_origins(text)}" for text in differences
                ]
                message = "the case expected another request"
                return RecordedResponse(_UNEXPECTED_STATUS, body={"message": message})
        response = exchange.response
        text = _compact_json(response.body) if response.text is None else response.text
        headers = {name: self._to_local_origins(value) for name, value in response.headers.items()}
        return replace(response, headers=headers, text=self._to_local_origins(text))

    def _expected_path(self, exchange: RecordedExchange) -> str:
        """The path of a request, after that of the base URL."""
        if exchange.target.startswith("/"):
            return urlsplit(self._base).path.rstrip("/") + exchange.target
        return urlsplit(exchange.target).path


@dataclass(frozen=True, slots=True)
class _ReceivedRequest:
    """A request; the names of ``headers`` are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


def _all_origins(
    spec: AdapterSpec, base: str, options: Mapping[str, Any], exchanges: Sequence[RecordedExchange]
) -> list[str]:
    """Every origin of the spec and of the requests of the case, that of the spec first."""
    absolute = [exchange.target for exchange in exchanges if not exchange.target.startswith("/")]
    allowed = [origin for origin in spec.allowed_origins if "*" not in origin]
    urls = [base, *spec.credential_origins, *allowed, *_auth_urls(spec.auth, options).values(), *absolute]
    try:
        return list(dict.fromkeys(origin_of(url) for url in urls))
    except ConfigError as error:
        raise ConfigError(f"{spec.path}: {error.message}") from error


def _auth_urls(auth: Auth, options: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: template.render_text(value, options, "plain")
        for name, value in auth.settings.items()
        if name.endswith("_url") and isinstance(value, str)
    }


def _request_differences(expected: RecordedExchange, received: _ReceivedRequest, path: str) -> list[str]:
    target, _, query = received.target.partition("?")
    expected_path, _, expected_query = path.partition("?")
    differences = []
    if (received.method, target) != (expected.method, expected_path):
        differences.append(f"expected {expected.method} {expected_path}")
    params = [*_parse_pairs(expected_query), *_param_pairs(expected.params)]
    differences += _pair_differences("parameter", params, _parse_pairs(query))
    differences += _header_differences(expected.headers, received.headers)
    return differences + _body_differences(expected, received.body)


def _parse_pairs(text: str) -> list[tuple[str, str]]:
    return parse_qsl(text, keep_blank_values=True)


def _param_pairs(params: Mapping[str, Json]) -> list[tuple[str, str]]:
    return [
        (name, _param_text(value))
        for name, values in params.items()
        for value in (values if isinstance(values, list) else [values])
    ]


def _param_text(value: Json) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)


def _pair_differences(
    noun: str, expected: Iterable[tuple[str, str]], actual: Iterable[tuple[str, str]]
) -> list[str]:
    missing, extra = Counter(expected), Counter(actual)
    common = missing & extra
    return [
        *(f"expected the {noun} {name}={value}" for name, value in (missing - common).elements()),
        *(f"did not expect the {noun} {name}={value}" for name, value in (extra - common).elements()),
    ]


def _header_differences(expected: Mapping[str, Json], actual: Mapping[str, str]) -> list[str]:
    differences = []
    for name, value in expected.items():
        sent = actual.get(name.lower())
        if value is None and sent is not None:
            differences.append(f"did not expect the header {name}")
        elif value is not None and sent != _param_text(value):
            differences.append(f"expected the header {name}: {value}, found {sent or 'none'}")
    return differences


def _body_differences(expected: RecordedExchange, body: bytes) -> list[str]:
    if expected.form is not None:
        return _pair_differences("form field", _param_pairs(expected.form), _parse_pairs(body.decode()))
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
    """JSON without spaces, as most APIs write it: error rules search the text of a body."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _normalize_spaces(value: Json) -> Json:
    """Replace each run of white space in texts by one space: line breaks in GraphQL are not compared."""
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
    """The server of an origin, on a loopback port. It listens at once and answers after ``start``."""

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
    """Handles one request per connection."""

    respond: Callable[[_ReceivedRequest], RecordedResponse]

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        response = self.respond(_ReceivedRequest(self.command, self.path, headers, body))
        if response.lost:
            return
        data = (response.text if response.text is not None else _compact_json(response.body)).encode()
        self.send_response(response.status)
        sent = {"Content-Type": "application/json", **response.headers, "Content-Length": str(len(data))}
        for name, value in sent.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def do_POST(self) -> None:
        self.do_GET()

    def do_PUT(self) -> None:
        self.do_GET()

    def do_PATCH(self) -> None:
        self.do_GET()

    def do_DELETE(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: requests are compared."""
