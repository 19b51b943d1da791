"""Responses made to exhaust time or memory: refused with a sentence, by loads and by the shell."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread

import pytest

from tests.support.command import UnifyCommand
from tests.support.fault_server import FaultServer, MockResponse
from tests.support.memory import run_and_measure
from unify.adapters.formats.text import repair_json, without_guard
from unify.adapters.http.errors import response_error
from unify.adapters.http.messages import Response
from unify.adapters.paging.envelopes import is_url
from unify.adapters.paging.hints import simplify
from unify.adapters.paging.links import parse_link_header
from unify.adapters.spec.moments import parse_timestamp
from unify.convert.infer import MAX_FIELDS
from unify.errors import BadResponse
from unify.redaction import Redactor

LARGE = 5_000_000
BODY = 2_000_000  # a parser that takes quadratic time would need hours
HEADER = 65_000  # as much as one line of the headers may have

SPEC = """\
name: bad
base_url: "{base_url}"
options: {base_url: {}}
paging: {type: link_header}
tables:
  - {name: t, request: GET /t, key: id}
  - {name: good, request: GET /good, key: id}
"""


def _forbidden(body: bytes) -> object:
    response = Response(403, {}, body, "http://h/", "GET http://h/")
    return response_error(
        response, Redactor(["sesame-1"]), rate_limited=False, retry_after_s=None, credentials_hint=""
    )


def _pages(text: str, size: int) -> str:
    return (text * (size // len(text) + 1))[:size]


PARSERS: dict[str, Callable[[], object]] = {
    **{
        f"a body of {text!r}": (lambda text=text: _forbidden(_pages(text, BODY).encode()))  # type: ignore[misc]
        for text in ("<", "<script>", "limit-", "exceed_", "hit -", "eyJ-", "sesame-", "&#", "\\u00", "%41")
    },
    "a message": lambda: _forbidden(json.dumps({"message": "exceed" + "- " * 30_000}).encode()),
    **{
        f"a Link header of {text!r}": (lambda text=text: parse_link_header(_pages(text, HEADER)))  # type: ignore[misc]
        for text in ("<a>,", "<a>;'", "<a>;a='", '<a>;a="\\', "<", "<a>;;;", "<a>; a", "<a>; a= ")
    },
    "a guard": lambda: without_guard(b"throw" + b" " * BODY),
    "an unfinished text": lambda: repair_json(b'{"a": NaN, "b": "' + b'\\"' * (BODY // 2)),
    "a name": lambda: simplify("a." * (BODY // 2)),
    "a link": lambda: is_url("x?" + "=" * BODY + " "),
    "a date": lambda: parse_timestamp(" (" * (BODY // 2)),
}


@pytest.mark.parametrize("parse", PARSERS.values(), ids=list(PARSERS))
def test_parsers_of_responses_take_linear_time(parse: Callable[[], object]) -> None:
    started = time.process_time()
    with suppress(BadResponse):
        parse()
    assert time.process_time() - started < 5


def test_link_headers_of_five_megabytes_are_refused() -> None:
    with pytest.raises(BadResponse, match="the Link headers have 5,000,000 characters"):
        parse_link_header("<a>," * (LARGE // 4))


def connect_bad(unify: UnifyCommand, url: str) -> UnifyCommand:
    specs = unify.home / "specs"
    specs.mkdir(exist_ok=True)
    (specs / "bad.yaml").write_text(SPEC)
    unify.environment["UNIFY_SPECS"] = str(specs)
    unify.write_connections(f"bad:\n  adapter: bad\n  options: {{base_url: '{url}'}}\n")
    return unify


@pytest.fixture
def bad(unify: UnifyCommand, api: FaultServer) -> UnifyCommand:
    return connect_bad(unify, api.url)


WIDE = json.dumps([{"id": 1, **{f"k{number}": number for number in range(20_000)}}]).encode()
LONG_LINK = f'</t?cursor={"x" * 40_000}>; rel="next"'
RESPONSES = {
    "20,000 fields": (MockResponse(body=WIDE), f"more than {MAX_FIELDS:,} different fields"),
    "a name of 5,000,000 characters": (
        MockResponse.json([{"id": 1, "x" * LARGE: 1}]),
        "name has 5,000,000 characters",
    ),
    "a lone surrogate": (
        MockResponse(status=400, body=b'{"message": "\\ud800 bad"}'),
        "\\ud800 bad",
    ),
    "a long URL": (
        MockResponse.json([{"id": 1}]).with_headers(Link=LONG_LINK),
        "characters, of 32,768 at most",
    ),
}


@pytest.mark.parametrize(("response", "message"), RESPONSES.values(), ids=list(RESPONSES))
def test_a_poisonous_response_fails_its_load_at_once_and_no_other(
    shared_unify: UnifyCommand, api: FaultServer, response: MockResponse, message: str
) -> None:
    bad = connect_bad(shared_unify, api.url)
    api.serve("/t", response)
    api.serve("/good", MockResponse.json([{"id": 1}]))
    result = bad("load table bad.t")
    assert result.exit_status == 1
    assert message in result.stderr
    assert "internal error" not in result.stderr
    assert len(result.stderr) < 3_000
    assert bad("select status from unify.loads where \"table\" = 't'").single_value == "failed"
    assert sum(target.startswith("/t") for target in api.request_targets) == 1
    assert bad("select count(*) from bad.good").single_value == "1"


class ChunkedServer:
    """Sends a Content-Length and, against RFC 9112, a chunked body without end."""

    def __enter__(self) -> ChunkedServer:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            Thread(target=self._respond, args=(connection,), daemon=True).start()

    def _respond(self, connection: socket.socket) -> None:
        chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"
        with connection, suppress(OSError):
            connection.recv(65_536)
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 10\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n1\r\n[\r\n"
            )
            while True:
                connection.sendall(chunk)


@pytest.fixture
def endless() -> Iterator[ChunkedServer]:
    with ChunkedServer() as server:
        yield server


@pytest.mark.parametrize("statement", ["load table bad.t", "peek bad.t"])
def test_a_chunked_body_with_a_content_length_has_a_size_limit(
    bad: UnifyCommand, endless: ChunkedServer, tmp_path: Path, statement: str
) -> None:
    connect_bad(bad, endless.url)
    result, peak_mb = run_and_measure(bad, tmp_path, "-c", statement)
    print(f"{statement}: {peak_mb} MB at most")
    assert result.exit_status == 1
    assert "the response is larger than 32 MB" in result.stderr
    assert peak_mb < 300


def test_a_shell_that_reads_too_much_memory_ends_its_statement(
    bad: UnifyCommand, api: FaultServer, tmp_path: Path
) -> None:
    """The limit is that of a worker; here a parser of the test takes the memory."""
    api.serve("/t", MockResponse.json([{"id": 1}]))
    done = subprocess.run(
        [sys.executable, "-c", GREEDY_SCRIPT, "-c", "peek bad.t"],
        env={**bad.environment, "UNIFY_WORKER_MEMORY": "256 MB"},
        cwd=bad.home,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "more than 256 MB of memory" in done.stderr
    assert "bad" in done.stderr


GREEDY_SCRIPT = """
import sys
from unify.adapters.formats import records
from unify.adapters.http import client

fetch = client.HttpClient.fetch
def greedy(self, *arguments, **options):
    taken = []
    while True:
        taken.append(bytearray(b"x" * 1_000_000))
client.HttpClient.fetch = greedy
from unify.cli.main import main
sys.exit(main(sys.argv[1:]))
"""
