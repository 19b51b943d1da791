"""One SMTP session (RFC 5321): signs in, and sends a message to all of its addresses or to none.

The reply decides: before the last dot nothing was sent, whatever fails; after it only the reply tells.
"""

from __future__ import annotations

import re
import smtplib
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

from msgspec import Struct

from unify.config.secrets import Secret
from unify.errors import ConfigError, ResponseLost, ServerFault, SourceError, Unauthorized, Unreachable
from unify.text import safe_text

Tls = Literal["starttls", "implicit", "none"]
PORTS: dict[Tls, int] = {"starttls": 587, "implicit": 465, "none": 25}
TIMEOUT_S = 60.0  # for one reply; RFC 5321, 4.5.3.2 allows more after the last dot
LAST_REPLY_TIMEOUT_S = 600.0
LOOPBACK = ("localhost", "127.0.0.1", "::1")
_FIRST_DOT = re.compile(rb"(?m)^\.")
_MAX_REPLY_CHARS = 300
_START_INPUT = 354


class SmtpSettings(Struct, frozen=True):
    """Where mails are sent. ``user`` is "" without a sign-in."""

    host: str
    port: int
    tls: Tls
    user: str = ""
    password: Secret = Secret("")

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"


class MailRefused(Exception):
    """The server has refused the mail for good; nothing was sent. ``code`` is its reply code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@contextmanager
def open_session(settings: SmtpSettings) -> Iterator[smtplib.SMTP]:
    """Connect and sign in; quit at the end.

    Raises:
        Unreachable: no connection.
        Unauthorized: user and password were refused.
        SourceError: the server has no TLS, or a certificate that is not valid.
    """
    server = _connect(settings)
    try:
        yield server
    finally:
        try:
            server.quit()
        except (OSError, smtplib.SMTPException):
            server.close()


def _connect(settings: SmtpSettings) -> smtplib.SMTP:
    context = ssl.create_default_context()
    try:
        server = (
            smtplib.SMTP_SSL(settings.host, settings.port, timeout=TIMEOUT_S, context=context)
            if settings.tls == "implicit"
            else smtplib.SMTP(settings.host, settings.port, timeout=TIMEOUT_S)
        )
    except ssl.SSLError as error:
        raise SourceError(f"{settings.address}: no TLS connection: {error.reason or error}") from error
    except (OSError, smtplib.SMTPException) as error:
        raise Unreachable(f"{settings.address}: no connection: {_error_text(error)}") from error
    try:
        _sign_in(server, settings, context)
    except BaseException:
        server.close()
        raise
    return server


def _sign_in(server: smtplib.SMTP, settings: SmtpSettings, context: ssl.SSLContext) -> None:
    try:
        server.ehlo_or_helo_if_needed()
        if settings.tls == "starttls":
            server.starttls(context=context)
            server.ehlo()
        if settings.user:
            server.login(settings.user, settings.password.reveal())
    except smtplib.SMTPNotSupportedError as error:
        raise ConfigError(
            f"{settings.address}: the server does not support {_unsupported(error)}; "
            "see the options tls and user"
        ) from error
    except smtplib.SMTPAuthenticationError as error:
        reply = _reply_text(error.smtp_code, error.smtp_error)
        if 400 <= error.smtp_code < 500:
            raise ServerFault(f"{settings.address}: sign-in: {reply}") from error
        raise Unauthorized(
            f"{settings.address}: user or password were refused: {reply}; check the options user and password"
        ) from error
    except ssl.SSLError as error:
        raise SourceError(f"{settings.address}: no TLS connection: {error.reason or error}") from error
    except (OSError, smtplib.SMTPException) as error:
        raise Unreachable(f"{settings.address}: {_error_text(error)}") from error


def _unsupported(error: smtplib.SMTPNotSupportedError) -> str:
    return "STARTTLS" if "STARTTLS" in str(error) else "a sign-in"


def deliver(server: smtplib.SMTP, sender: str, addresses: Sequence[str], message: bytes) -> tuple[int, str]:
    """Send ``message`` to every address, and return code and text of the reply that accepted it.

    Raises:
        MailRefused: the server refuses the mail or one of the addresses.
        ServerFault, Unreachable: it was not sent, and may be sent again.
        ResponseLost: it was sent, and its reply is not known.
    """
    with _not_sent():
        _start(server, sender, addresses, message)
        data = _FIRST_DOT.sub(b"..", message)
        server.send(data if data.endswith(b"\r\n") else data + b"\r\n")
    try:
        if server.sock is not None:
            server.sock.settimeout(LAST_REPLY_TIMEOUT_S)
        server.send(b".\r\n")
        code, reply = server.getreply()
    except (OSError, smtplib.SMTPException) as error:
        raise ResponseLost(f"the mail was sent, and its reply was lost: {_error_text(error)}") from error
    _require_success(code, reply, "the mail")
    return code, safe_text(reply.decode("utf-8", "replace"))


def _start(server: smtplib.SMTP, sender: str, addresses: Sequence[str], message: bytes) -> None:
    """Announce the mail, up to the reply that lets the message follow."""
    limit = server.esmtp_features.get("size", "")
    if limit.isdecimal() and 0 < int(limit) < len(message):
        raise MailRefused(552, f"the mail has {len(message):,} bytes; the server accepts {int(limit):,}")
    options = [f"size={len(message)}"] if server.has_extn("size") else []
    code, reply = server.mail(sender, options)
    _require_success(code, reply, f"the sender {sender}")
    for address in addresses:
        code, reply = server.rcpt(address)
        _require_success(code, reply, address)
    code, reply = server.docmd("DATA")
    if code != _START_INPUT:
        _require_success(code if code >= 400 else 554, reply, "the mail")


@contextmanager
def _not_sent() -> Iterator[None]:
    try:
        yield
    except (OSError, smtplib.SMTPException) as error:
        raise Unreachable(f"the connection ended before the mail was sent: {_error_text(error)}") from error


def _require_success(code: int, reply: bytes, subject: str) -> None:
    """Raise ServerFault for a reply of 4xx, MailRefused for another failure."""
    if 200 <= code < 300:
        return
    text = f"{subject} was refused: {_reply_text(code, reply)}"
    if 400 <= code < 500:
        raise ServerFault(text)
    raise MailRefused(code, text)


def _reply_text(code: int, reply: bytes | str) -> str:
    text = reply.decode("utf-8", "replace") if isinstance(reply, bytes) else reply
    return f"{code} {safe_text(' '.join(text.split()))[:_MAX_REPLY_CHARS]}".strip()


def _error_text(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        return _reply_text(error.smtp_code, error.smtp_error)
    return str(error) or type(error).__name__
