"""Messages of PostgreSQL's protocol over a socket; the border to pygwire.

Each message is read whole before it is decoded, and its length is checked first: pygwire would wait for up
to a gigabyte.
"""

from __future__ import annotations

import socket
import ssl
import struct

from pygwire.connection import BackendConnection
from pygwire.exceptions import PygwireError
from pygwire.messages import PGMessage

MAX_STARTUP_BYTES = 10_000  # of each message before the client is authenticated
MAX_MESSAGE_BYTES = 16 * 1024**2
RECEIVE_BYTES = 65_536
FLUSH_BYTES = 65_536
_LENGTH = struct.Struct("!I")
_MIN_STARTUP_BYTES = 8


class ClientGone(Exception):
    """The client has closed its connection, or does not read any more."""


class ProtocolViolation(Exception):
    """The client has sent what is no message of the protocol, or one that is too long."""


class MessageStream:
    """Reads and writes messages. One thread uses it."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._protocol = BackendConnection()
        self._received = bytearray()
        self._unsent = bytearray()
        self._is_authenticated = False

    def read_startup(self) -> PGMessage:
        """Read a message without a type byte: the first ones of a client."""
        head = self._receive(4)
        length = _LENGTH.unpack(head)[0]
        if not _MIN_STARTUP_BYTES <= length <= MAX_STARTUP_BYTES:
            raise ProtocolViolation(f"invalid length of startup packet: {length}")
        return self._decode(head + self._receive(length - 4))

    def read(self) -> PGMessage:
        """Read the next message. Raises ClientGone, ProtocolViolation."""
        head = self._receive(5)
        length = _LENGTH.unpack_from(head, 1)[0]
        limit = MAX_MESSAGE_BYTES if self._is_authenticated else MAX_STARTUP_BYTES
        if not 4 <= length <= limit:
            raise ProtocolViolation(f"a message of {length:,} bytes; at most {limit:,} are read")
        return self._decode(head + self._receive(length - 4))

    def send(self, *messages: PGMessage) -> None:
        """Add messages to those that ``flush`` sends."""
        for message in messages:
            self._unsent += self._protocol.send(message)

    def send_rows(self, rows: bytes) -> None:
        """Add encoded messages with rows, and send them when there are enough."""
        self._unsent += rows
        if len(self._unsent) >= FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Send what waits. Raises ClientGone."""
        try:
            self.socket.sendall(self._unsent)
        except OSError as error:  # timeouts and TLS errors are OSErrors, too
            raise ClientGone from error
        self._unsent.clear()

    def start_tls(self, context: ssl.SSLContext) -> None:
        """Encrypt the connection. What was sent before is not taken for encrypted: it was not read yet."""
        try:
            self.socket = context.wrap_socket(self.socket, server_side=True)
        except (OSError, ValueError) as error:
            raise ClientGone from error

    def set_authenticated(self, timeout_s: float) -> None:
        """Allow longer messages, which are read ahead. ``timeout_s``: of sending; reading has none."""
        self._is_authenticated = True
        self.socket.settimeout(timeout_s)

    def _decode(self, data: bytes) -> PGMessage:
        try:
            found = list(self._protocol.receive(data))
        except (PygwireError, ValueError, IndexError, struct.error) as error:
            raise ProtocolViolation(str(error)[:200]) from error
        if len(found) != 1:
            raise ProtocolViolation("the length of a message does not match its content")
        return found[0]

    def _receive(self, count: int) -> bytes:
        while len(self._received) < count:
            missing = count - len(self._received)
            self._received += self._receive_some(RECEIVE_BYTES if self._is_authenticated else missing)
        data = bytes(self._received[:count])
        del self._received[:count]
        return data

    def _receive_some(self, count: int) -> bytes:
        while True:
            try:
                data = self.socket.recv(count)
            except TimeoutError as error:
                if self._is_authenticated:
                    continue  # an idle client may take its time
                raise ClientGone from error
            except (OSError, ValueError) as error:
                raise ClientGone from error
            if not data:
                raise ClientGone
            return data
