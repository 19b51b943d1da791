"""Bad clients: garbage, silence, too many; statements that try to leave the tables."""

from __future__ import annotations

import gc
import os
import random
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support.escapes import COMMANDS, ESCAPES
from tests.support.postgres_clients import LOADER, PostgresHome, run_postgres_home
from tests.support.served_home import write_certificate
from tests.support.waiting import scaled_limit_s, wait_until
from unify.activity.store import ActivityStore
from unify.servers.postgres import server as postgres_server
from unify.servers.statements.limits import StatementLimits

pytestmark = [pytest.mark.process, pytest.mark.socket, pytest.mark.lake]

SLOW = "select count(*) from range(100000) a, range(100000) b where a.range + b.range = 1"
HEADERS = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS without asking for it
    struct.pack("!ii", 8, 80877103),  # SSLRequest
    struct.pack("!ii", 8, 80877104),  # GSSENCRequest
    struct.pack("!iiii", 16, 80877102, 1, 2),  # CancelRequest
    struct.pack("!i", 2**31 - 1),
    struct.pack("!i", -1),
    struct.pack("!ii", 4, 196608),
    struct.pack("!ii", 9, 196608) + b"\0",
    struct.pack("!ii", 23, 196608) + b"user\0ann\0opt\0\0"[:15],
)
TYPES = b"QPBDECHSXFdcfp"
# Refused over HTTP and allowed here: transactions, and a catalog that is a PostgreSQL without rows.
ALLOWED = ("begin", "set max_age = '0'")
OF_THE_CATALOG = ("pg_catalog", "information_schema", "current_setting", "pg_sleep")


def garbage(generator: random.Random) -> bytes:
    """Return what a bad client sends: random bytes, or messages with wrong lengths and contents."""
    pieces = [generator.choice(HEADERS)] if generator.random() < 0.7 else []
    for _ in range(generator.randrange(4)):
        body = generator.randbytes(generator.randrange(40))
        length = len(body) + 4 if generator.random() < 0.6 else generator.randrange(-5, 2**31 - 1)
        pieces.append(bytes([generator.choice(TYPES)]) + struct.pack("!i", length) + body)
    return b"".join(pieces) or generator.randbytes(30)


def send_garbage(home: PostgresHome, seed: int) -> None:
    """Send garbage before authentication, and read what comes until the server closes or waits."""
    generator = random.Random(seed)
    with home.socket() as client:
        client.settimeout(0.02)
        try:
            client.sendall(garbage(generator))
            if generator.random() < 0.5:
                client.shutdown(socket.SHUT_WR)
            while client.recv(4096):
                pass
        except OSError:
            return


def send_garbage_after_login(home: PostgresHome, seed: int) -> None:
    """The same on an authenticated connection."""
    generator = random.Random(seed)
    connection = home.connect()
    try:
        descriptor = os.dup(connection.fileno())
        with socket.socket(fileno=descriptor) as client:
            client.settimeout(0.02)
            for _ in range(generator.randrange(1, 4)):
                body = generator.randbytes(generator.randrange(60))
                length = len(body) + 4 if generator.random() < 0.8 else generator.randrange(2**31)
                client.sendall(bytes([generator.choice(TYPES)]) + struct.pack("!i", length) + body)
            client.sendall(b"S\0\0\0\4")
            while client.recv(4096):
                pass
    except OSError:
        return
    finally:
        connection.close()


def check_unharmed(home: PostgresHome) -> None:
    """The server has no internal error and no client left, and answers."""
    assert "internal_error" not in home.log.getvalue(), home.log.getvalue()
    assert "Traceback" not in home.log.getvalue()
    wait_until(lambda: not [one for one in threading.enumerate() if one.name.endswith(f"-{home.port}")], 30)
    with home.connect() as connection:
        assert connection.execute("select count(*) from shop.orders").fetchone() == (5,)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresHome]:
    """A server with TLS and low limits, whose clients and events are those of the test."""
    folder = tmp_path_factory.mktemp("robust")
    cert, key = write_certificate(folder)
    limits = StatementLimits(bytes=1_000_000, seconds=4.0)
    with run_postgres_home(folder / "home", cert=str(cert), key=str(key), limits=limits) as running:
        yield running


@pytest.fixture(scope="module")
def loader(pg: PostgresHome) -> Iterator[psycopg.Connection[Any]]:
    with pg.connect(LOADER, options="-c statement_timeout=1000") as connection:
        yield connection


def test_garbage_ends_its_connection_only(home: PostgresHome) -> None:
    for seed in range(40):
        send_garbage(home, seed)
    for seed in range(10):
        send_garbage_after_login(home, seed)
    check_unharmed(home)
    assert "server.client_violated_protocol" in home.log.getvalue()


@pytest.mark.slow
def test_garbage_of_10_000_clients(home: PostgresHome) -> None:
    def measure() -> tuple[int, int]:
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE"), len(os.listdir("/proc/self/fd"))

    for seed in range(500):
        send_garbage(home, seed)
    check_unharmed(home)
    memory, files = measure()
    for seed in range(500, 9_500):
        send_garbage(home, seed)
    for seed in range(500):
        send_garbage_after_login(home, seed)
    check_unharmed(home)
    later_memory, later_files = measure()
    assert later_memory - memory < 40_000_000
    assert later_files - files < 5


def test_a_silent_client_is_disconnected(home: PostgresHome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unify.servers.postgres.connection.AUTHENTICATION_TIMEOUT_S", 0.3)
    with home.socket() as client:
        assert client.recv(1) == b""
    with home.socket() as client:  # one that sends a byte at a time gets no more time
        client.sendall(b"\0\0")
        assert client.recv(1) == b""


def test_too_many_clients_are_told_so(home: PostgresHome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_server, "MAX_CONNECTIONS", 2)
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(home.connect())
        with pytest.raises(psycopg.OperationalError, match="too many clients"):
            home.connect()


@pytest.mark.parametrize("sql", [*ESCAPES, *COMMANDS])
def test_no_statement_leaves_the_tables(
    loader: psycopg.Connection[Any], pg: PostgresHome, sql: str, tmp_path: Path
) -> None:
    if sql in ALLOWED:
        return
    (tmp_path / "secret.csv").write_text("a\nforeign content\n")
    names = {"file": str(tmp_path / "no.db"), "text": str(tmp_path / "secret.csv"), "folder": str(tmp_path)}
    text = sql.format(**names)
    shown: object = ""
    try:
        cursor = loader.execute(text)
        shown = cursor.fetchall() if cursor.description else cursor.statusmessage
    except psycopg.DatabaseError as error:
        shown = str(error)
    else:
        assert any(word in sql for word in OF_THE_CATALOG), (sql, shown)
    assert not loader.closed
    assert "foreign content" not in str(shown)
    assert str(pg.settings.home) not in str(shown)
    assert [path.name for path in tmp_path.iterdir()] == ["secret.csv"]


def test_a_client_that_is_gone_ends_its_statement(pg: PostgresHome) -> None:
    connection = pg.connect()
    connection.pgconn.send_query(SLOW.encode())
    connection.pgconn.flush()
    with ActivityStore(pg.settings.activity) as activity:
        wait_until(lambda: bool([one for one in activity.running() if one.sql == SLOW]))
        os.close(os.dup(connection.fileno()))
        connection.close()
        wait_until(lambda: not [one for one in activity.running() if one.sql == SLOW])
        ended = next(one for one in activity.recent(20) if one.sql == SLOW)
    assert (ended.state, ended.error, ended.protocol) == ("cancelled", "the client is gone", "postgres")


def test_another_process_sees_and_cancels_a_statement(pg: PostgresHome) -> None:
    found: list[str] = []

    def run() -> None:
        with pg.connect(application_name="report") as connection:
            try:
                connection.execute(SLOW)
            except psycopg.errors.QueryCanceled as error:
                found.append(str(error))

    thread = threading.Thread(target=run)
    thread.start()
    with ActivityStore(pg.settings.activity) as activity:
        wait_until(lambda: bool([one for one in activity.running() if one.application == "report"]))
        running = next(one for one in activity.running() if one.application == "report")
        assert (running.user, running.sql, running.address) == ("ann", SLOW, "127.0.0.1")
        activity.ask_cancel(running.id)
    thread.join(scaled_limit_s(30))
    assert found == ["cancelled by system cancel client"]


def test_tls(home: PostgresHome) -> None:
    cert = home.settings.home.parent.parent / "cert.pem"
    with home.connect(sslmode="verify-full", sslrootcert=str(cert)) as connection:
        assert connection.pgconn.ssl_in_use
        assert connection.execute("select * from t").fetchone() is not None
    with home.socket() as client:  # what is sent before the handshake is not taken for encrypted
        client.sendall(struct.pack("!ii", 8, 80877103) + b"Q\0\0\0\x0dselect 1\0")
        assert client.recv(1) == b"S"
        with suppress(OSError):
            assert b"D" not in client.recv(100)
    check_unharmed(home)


def test_a_result_beyond_the_limits_is_an_error(home: PostgresHome) -> None:
    with home.connect() as connection:
        with pytest.raises(psycopg.Error, match="limit of this server; select less"):
            connection.execute("select repeat('x', 1000) from range(100000)")
        connection.execute("set statement_timeout = '1 hour'")  # the limit of the server is lower
        assert connection.execute("show statement_timeout").fetchone() == ("1 hour",)
