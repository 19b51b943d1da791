"""Addresses of servers: ``[HOST:]PORT`` parsed, and bound to a socket."""

from __future__ import annotations

import errno
import ipaddress
import re
import socket
from collections.abc import Sequence

from msgspec import Struct

from unify.errors import UsageError

DEFAULT_HOST = "127.0.0.1"
BACKLOG = 128
_ADDRESS = re.compile(r"(?:(?:\[(?P<ipv6>[^\]]+)\]|(?P<host>[^:\[\]]+)):)?(?P<port>\d{1,5})")
_MAX_PORT = 65_535


class ServerAddress(Struct, frozen=True):
    """Host and port of a server. Port 0: a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only programs on this machine can connect. Raises UsageError for an unknown host."""
        return all(ipaddress.ip_address(host).is_loopback for _, host in _resolve(self))


def parse_address(option: str, text: str) -> ServerAddress:
    """Parse ``8600``, ``127.0.0.1:8600`` or ``[::1]:8600``. Raises UsageError that names ``option``."""
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match["port"]) > _MAX_PORT:
        raise UsageError(
            f"{option} {text}: must be PORT or HOST:PORT, such as 8600, 127.0.0.1:8600 or [::1]:8600"
        )
    return ServerAddress(match["ipv6"] or match["host"] or DEFAULT_HOST, int(match["port"]))


def bind_socket(option: str, address: ServerAddress) -> socket.socket:
    """Return a listening socket.

    Raises UsageError: the port is in use, or the host is not one of this machine.
    """
    family, host = _resolve(address)[0]
    try:
        return socket.create_server((host, address.port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise UsageError(f"{option} {address}: {_reason(error)}") from error


def bound_address(listener: socket.socket, address: ServerAddress) -> ServerAddress:
    """Return the address with the port that the socket has."""
    return ServerAddress(address.host, listener.getsockname()[1])


def _resolve(address: ServerAddress) -> Sequence[tuple[socket.AddressFamily, str]]:
    """Return the families and numeric addresses of a host."""
    try:
        found = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (socket.gaierror, UnicodeError) as error:
        raise UsageError(f"{address}: the host is unknown") from error
    return [(family, str(place[0]).partition("%")[0]) for family, _, _, _, place in found]


def _reason(error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return "the port is in use by another program; choose another port"
        case errno.EACCES:
            return "this user may not use the port; choose one from 1024 on"
        case errno.EADDRNOTAVAIL:
            return "the host is not an address of this machine"
        case _:
            return f"cannot be opened ({error.strerror or error})"
