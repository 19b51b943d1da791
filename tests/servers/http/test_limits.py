"""Requests that are too large, too slow or no HTTP at all."""

from __future__ import annotations

import os
import random
import socket
import threading
from collections.abc import Iterator

import pytest

from tests.support.monitored_home import record_many_loads
from tests.support.served_home import ServedHome, serve_home
from unify.config.settings import Settings
from unify.servers.http import limits, protocol
from unify.servers.http.server import MAX_CONNECTIONS, MAX_HEAD_BYTES
from unify.servers.monitoring.monitor import HomeMonitor

HEAD = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture
def impatient(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServedHome]:
    """A server that waits a moment only for the head of a request."""
    monkeypatch.setattr(protocol, "REQUEST_HEAD_TIMEOUT_S", 0.3)
    with serve_home(settings) as running:
        yield running


def send(served: ServedHome, data: bytes) -> bytes:
    """Send bytes, and return what the server sends until it closes the connection."""
    with served.connect() as client:
        try:
            client.sendall(data)
            return b"".join(iter(lambda: client.recv(65_536), b""))
        except ConnectionError:
            return b""


@pytest.mark.parametrize("sent", [b"", HEAD, b"GET /hea", HEAD + b"\r\n" + HEAD])
def test_a_client_that_sends_half_a_request_is_cut_off(impatient: ServedHome, sent: bytes) -> None:
    received = send(impatient, sent)
    assert received.count(b"HTTP/1.1") == sent.count(b"\r\n\r\n")


def test_a_client_that_does_not_read_its_response_is_cut_off(
    settings: Settings, served: ServedHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    record_many_loads(settings, 1000)
    assert served.get("/metrics").status_code == 200
    monkeypatch.setattr(protocol, "RESPONSE_TIMEOUT_S", 1.0)
    with served.connect() as slow:
        for _ in range(60):  # 40 MB of responses: far more than the buffers of the sockets hold
            slow.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        served.log.wait_for("did not read its response in time")
        assert count_until_cut_off(slow) < 60 * 500_000


def test_a_client_that_does_not_read_does_not_hold_up_the_end_of_the_server(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unify.servers.http.server.GRACEFUL_SHUTDOWN_S", 1)
    record_many_loads(settings, 1000)
    with serve_home(settings) as running, running.connect() as slow:
        assert running.get("/metrics").status_code == 200
        for _ in range(60):
            slow.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert running.get("/health").status_code == 503
    assert "internal_error" not in running.log.getvalue()


def count_until_cut_off(client: socket.socket) -> int:
    """Return the number of bytes until the connection ends."""
    received = 0
    try:
        while chunk := client.recv(65_536):
            received += len(chunk)
    except ConnectionError:
        return received
    return received


def test_a_head_that_is_too_large_is_refused(served: ServedHome) -> None:
    received = send(served, HEAD + b"X: " + b"x" * (40 * MAX_HEAD_BYTES) + b"\r\n\r\n")
    assert received.startswith(b"HTTP/1.1 400 ") or received == b""
    assert served.get("/health").status_code == 503


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 1048577\r\n\r\n",
        b"Content-Length: 99999999999999999999\r\n\r\n",
    ],
)
def test_a_body_that_is_too_large_is_refused_unread(served: ServedHome, body: bytes) -> None:
    received = send(served, b"POST /metrics HTTP/1.1\r\nHost: localhost\r\n" + body)
    assert received.startswith(b"HTTP/1.1 413 ")
    assert b"more than 1,048,576 bytes" in received
    assert limits.MAX_BODY_BYTES == 1_048_576


def test_a_body_without_an_end_is_cut_off(impatient: ServedHome) -> None:
    head = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    with impatient.connect() as client, pytest.raises(ConnectionError):
        send_endless_body(client, head)


def send_endless_body(client: socket.socket, head: bytes) -> None:
    client.sendall(head)
    for _ in range(2**20):  # 64 GB
        client.sendall(b"10000\r\n" + b"x" * 65_536 + b"\r\n")


def test_a_request_that_takes_too_long_ends_with_a_sentence(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()
    read = HomeMonitor.read

    def read_late(monitor: HomeMonitor) -> object:
        released.wait(60)
        return read(monitor)

    monkeypatch.setattr(HomeMonitor, "read", read_late)
    monkeypatch.setattr(limits.RequestLimits.__init__, "__defaults__", (limits.MAX_BODY_BYTES, 0.3))
    with serve_home(settings) as running:
        for path in ("/metrics", "/health"):
            answer = running.get(path)
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
            assert answer.json() == {"error": "no response within 0.3 s; try again"}
        released.set()


def test_an_unexpected_error_is_in_the_log_and_not_in_the_response(
    served: ServedHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_monitor: HomeMonitor) -> object:
        raise RuntimeError("s3cret-canary in memory")

    monkeypatch.setattr(HomeMonitor, "read", fail)
    answer = served.get("/metrics")
    assert answer.status_code == 500
    assert answer.json() == {"error": "internal error; the log of the server has the details"}
    assert "RuntimeError: s3cret-canary in memory" in served.log.wait_for("server.internal_error")
    monkeypatch.undo()
    assert served.get("/metrics").status_code == 200


@pytest.mark.parametrize("count", [150, pytest.param(10_000, marks=pytest.mark.slow)])
def test_garbage_leaves_no_traceback_no_connection_and_no_growth(served: ServedHome, count: int) -> None:
    dice = random.Random(4711)
    served.get("/health")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(count):
        send(served, dice.choice(GARBAGE) + dice.randbytes(dice.randrange(400)) + b"\r\n\r\n")
    answer = served.get("/health")
    assert answer.status_code == 503
    assert len(os.listdir("/proc/self/fd")) <= before + 2
    assert [
        line for line in served.log.getvalue().splitlines() if "internal_error" in line or "Trace" in line
    ] == []


GARBAGE = (
    b"",
    b"\x16\x03\x01",
    b"GET / HTTP/9.9\r\n",
    b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX: ",
    b"GET /metrics?%00%ff HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer ",
    b"GET /%2e%2e/%00\xff HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    b"GET http://[ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
)


def test_more_connections_than_the_limit_are_answered_with_503(served: ServedHome) -> None:
    held = [served.connect() for _ in range(MAX_CONNECTIONS)]
    opened = [one.__enter__() for one in held]
    try:
        for client in opened:
            client.sendall(b"G")
        assert send(served, HEAD + b"Connection: close\r\n\r\n").startswith(b"HTTP/1.1 503 ")
    finally:
        for client in opened:
            client.close()
    answers = iter(lambda: send(served, HEAD + b"Connection: close\r\n\r\n"), None)
    assert any(b'"reasons"' in answer for answer, _ in zip(answers, range(1000), strict=False))
