"""Addresses of servers."""

from __future__ import annotations

import socket

import pytest

from unify.errors import UsageError
from unify.servers.addresses import ServerAddress, bind_socket, parse_address


@pytest.mark.parametrize(
    ("text", "host", "port", "shown"),
    [
        ("8600", "127.0.0.1", 8600, "127.0.0.1:8600"),
        ("0", "127.0.0.1", 0, "127.0.0.1:0"),
        ("localhost:1", "localhost", 1, "localhost:1"),
        ("[::1]:8600", "::1", 8600, "[::1]:8600"),
        ("db.example.org:65535", "db.example.org", 65535, "db.example.org:65535"),
    ],
)
def test_an_address_is_a_port_with_or_without_a_host(text: str, host: str, port: int, shown: str) -> None:
    address = parse_address("--http", text)
    assert (address.host, address.port, str(address)) == (host, port, shown)


@pytest.mark.parametrize(
    "text", ["", "x", ":1", "65536", "1:2:3", "::1:80", "http://a:1", "a:", "a: 1", "-1"]
)
def test_another_text_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="must be PORT or HOST:PORT"):
        parse_address("--http", text)


@pytest.mark.parametrize(
    ("host", "is_loopback"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("0.0.0.0", False),
     ("::", False), ("192.0.2.1", False)],
)  # fmt: skip
def test_only_loopback_addresses_are_local(host: str, is_loopback: bool) -> None:
    assert ServerAddress(host, 80).is_loopback is is_loopback


@pytest.mark.socket
def test_a_port_in_use_is_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = ServerAddress("127.0.0.1", other.getsockname()[1])
        with pytest.raises(UsageError, match=rf"--http {address}: the port is in use by another program"):
            bind_socket("--http", address)


@pytest.mark.socket
@pytest.mark.parametrize(
    ("host", "message"),
    [("192.0.2.1", "not an address of this machine"), ("no-such-host.invalid", "the host is unknown")],
)
def test_a_foreign_host_is_a_sentence(host: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        bind_socket("--http", ServerAddress(host, 0))
