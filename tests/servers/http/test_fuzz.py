"""Garbage over HTTP: random bytes, broken requests, and statements made of pieces of SQL."""

from __future__ import annotations

import json
import os
import random
import re
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from msgspec import Struct

from tests.support.served_home import ServedHome, serve_home
from tests.support.stores import create_home
from unify.fs.memory import resident_bytes
from unify.lake.lake import Lake
from unify.servers.statements.formats import ResultFormat
from unify.servers.statements.limits import StatementLimits
from unify.servers.users import Role, UserStore

pytestmark = [pytest.mark.socket, pytest.mark.lake, pytest.mark.process]
QUICK_SEEDS, SLOW_SEEDS, BATCH = 60, 10_000, 500
ALLOWED = {200, 202, 204, 400, 401, 403, 404, 405, 406, 408, 413, 421, 431, 501, 502, 503}
METHODS = ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "g\x00t", "GET GET", "")
PATHS = (
    *("/", "/query", "/session", "/statements/x", "/static/app.js", "/static/../x", "/health", "/metrics"),
    *("/openapi.json", "/%00", "/query?x=%ff", "*", "http://evil.example/query", "/" + "a" * 3000),
)
_WORDS = """select from where t shop.orders 1 'x' ' " ( ) * , ; -- /* */ $$ ? :a $a :: null with as union all
limit -1 1e999 [ ] { } é explain describe unify.tables lake.main.t or x'ff' cast interval
range(10) unnest([1]) begin copy pragma"""
PIECES = (*_WORDS.split(), "\x00", "\ud7ff", "show tables", "load table")
STATEMENTS = (
    "select a, b from t where a = 1",
    "select count(*) as n from t group by b",
    "explain select * from t",
    "show tables from main",
    "describe t",
    "count t",
    "with x as ( select 1 as a ) select * from x join t using ( a )",
    "select [ 1 , { 'a' : b } ] as l , null as n from t order by 1",
    "select * from unify.tables",
)
VALUES: tuple[object, ...] = (
    *(None, True, 0, -1, 1.5, 10**40, "", "x" * 5000, [], [[[]]], {}, {"a": None}, "\x00", "é"),
)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ServedHome, str]]:
    settings = create_home(tmp_path_factory.mktemp("fuzzed"))
    with Lake(settings) as lake:
        lake.execute("create table t as select 1 as a, 'x' as b")
    token = UserStore(settings).add_user("ann", Role.LOADER)
    with serve_home(settings, limits=StatementLimits(bytes=1_000_000, seconds=5.0)) as home:
        yield home, token


class Sent(Struct, frozen=True):
    """Bytes to send. ``is_complete``: the server answers them as they are, and closes the connection."""

    data: bytes
    is_complete: bool = False


def random_bytes(chance: random.Random, _token: str) -> Sent:
    return Sent(chance.randbytes(chance.randrange(1, 3000)))


def random_statement(chance: random.Random) -> str:
    """Pieces of SQL, or a statement that may have a piece in place of a word."""
    if chance.random() < 0.3:
        return " ".join(chance.choices(PIECES, k=chance.randrange(1, 12)))
    words = chance.choice(STATEMENTS).split()
    if chance.random() < 0.5:
        words[chance.randrange(len(words))] = chance.choice(PIECES)
    return " ".join(words)


def random_json(chance: random.Random) -> bytes:
    if chance.random() < 0.1:
        return b"[" * chance.randrange(1, 20_000)
    value: dict[str, object] = {"sql": random_statement(chance)}
    for name in chance.choices(("sql", "params", "ticket", "x"), k=chance.randrange(0, 3)):
        value[name] = chance.choice((*VALUES, random_statement(chance)))
    return json.dumps(value).encode()


def head(line: str, headers: Mapping[str, str], body: bytes) -> bytes:
    lines = [line, *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1", "replace") + body


def statement(chance: random.Random, token: str) -> Sent:
    """A statement of a user, in a request without faults."""
    as_json = chance.random() < 0.5
    body = random_json(chance) if as_json else random_statement(chance).encode("utf-8", "surrogatepass")
    headers = {
        "Host": "localhost",
        "Authorization": f"Bearer {token}",
        "Content-Type": "application/json" if as_json else "text/plain",
        "Accept": chance.choice(("*/*", "text/csv", "application/x-ndjson", ResultFormat.TABLE.value)),
        "Content-Length": str(len(body)),
        "Connection": "close",
    }
    if chance.random() < 0.2:
        headers["Prefer"] = chance.choice(("wait=0", "wait=1", "wait=-1", "wait=99999999", "x"))
    if chance.random() < 0.2:
        headers["X-Unify-Max-Age"] = chance.choice(("", "0", "none", "5m", "-1", "1e9 years"))
    return Sent(head("POST /query HTTP/1.1", headers, body), is_complete=True)


def request(chance: random.Random, token: str) -> Sent:
    """A request with any method, path, headers and body."""
    body = random_json(chance)
    headers = {
        "Host": chance.choice(("localhost", "127.0.0.1:1", "evil.example", "[::1]", "")),
        "Authorization": chance.choice((f"Bearer {token}", "Bearer x", "Basic eDp5", "Bearer", "")),
        "Content-Type": chance.choice(("application/json", "text/plain", "", "a/b; charset=\xff")),
        "Accept": chance.choice(("*/*", "x", ";q=0", ",,", "text/csv;q=x")),
        "Content-Length": chance.choice((str(len(body)), "0", "-1", "x", "999999999")),
    }
    kept = {name: value for name, value in headers.items() if chance.random() < 0.9}
    line = f"{chance.choice(METHODS)} {chance.choice(PATHS)} HTTP/{chance.choice(('1.1', '1.0', '2', 'x'))}"
    return Sent(head(line, kept, body))


def broken_statement(chance: random.Random, token: str) -> Sent:
    """A statement with some bytes changed, left out or repeated."""
    data = bytearray(statement(chance, token).data)
    for _ in range(chance.randrange(1, 6)):
        at = chance.randrange(len(data))
        match chance.randrange(3):
            case 0:
                data[at] = chance.randrange(256)
            case 1:
                del data[at : at + chance.randrange(1, 40)]
            case _:
                data[at:at] = data[at : at + chance.randrange(1, 40)]
        data = data or bytearray(b"x")
    return Sent(bytes(data))


KINDS: tuple[Callable[[random.Random, str], Sent], ...] = (
    *(random_bytes, request, broken_statement),
    *(statement, statement, statement),
)


def send(home: ServedHome, sent: Sent) -> bytes:
    """Send bytes, say that there are no more if they may be incomplete, and return what comes back."""
    received = b""
    with home.connect() as client:
        try:
            client.sendall(sent.data)
            if not sent.is_complete:
                client.shutdown(socket.SHUT_WR)
            while chunk := client.recv(65_536):
                received += chunk
        except (BrokenPipeError, ConnectionResetError):
            return received  # the server has refused to read on
    return received


def assert_garbage_is_refused(served: tuple[ServedHome, str], seeds: range) -> None:
    home, token = served
    statuses: Counter[int] = Counter()
    for seed in seeds:
        chance = random.Random(seed)
        sent = chance.choice(KINDS)(chance, token)
        answer = send(home, sent)
        status = re.match(rb"HTTP/1\.1 (\d{3}) ", answer)
        statuses.update([int(status[1])] if status else [])
        assert status is not None or not sent.is_complete, seed
        assert not answer or status is not None, (seed, answer[:200])
        assert status is None or int(status[1]) in ALLOWED, (seed, answer[:2000])
        assert b"Traceback" not in answer, seed
        assert token.encode() not in answer, seed
        assert "server.internal_error" not in home.log.getvalue(), (seed, home.log.getvalue()[-2000:])
    assert {200, 400} <= set(statuses), statuses  # some statements have run
    assert home.query("select 41 + 1 as n", token).json() == [{"n": 42}]


def measure() -> tuple[int, int]:
    """Return the memory of this process in bytes, and the number of its open files."""
    return resident_bytes([os.getpid()])[os.getpid()], len(list(Path("/proc/self/fd").iterdir()))


def test_garbage_is_refused_and_the_server_goes_on(served: tuple[ServedHome, str]) -> None:
    assert_garbage_is_refused(served, range(QUICK_SEEDS))


@pytest.mark.slow
def test_ten_thousand_seeds_leave_no_trace(served: tuple[ServedHome, str]) -> None:
    assert_garbage_is_refused(served, range(QUICK_SEEDS, QUICK_SEEDS + 2 * BATCH))
    before = measure()
    for start in range(QUICK_SEEDS + 2 * BATCH, QUICK_SEEDS + SLOW_SEEDS, BATCH):
        assert_garbage_is_refused(served, range(start, start + BATCH))
    after = measure()
    assert after[0] < before[0] + 100 * 1024**2, (before, after)
    assert after[1] < before[1] + 20
