"""A mail server on loopback that keeps mails, and refuses or loses them on request."""

from __future__ import annotations

import ssl
from asyncio import Transport
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.support.fault_server import unused_port

USER, PASSWORD = "unify", "s3cret-canary"


@dataclass
class Mailbox:
    """Received mails, and what the server answers.

    ``replies``  of the next mails, after their last dot; "lost": the connection ends instead.
    ``refused``  replies to addresses.
    """

    port: int = 0
    mails: list[tuple[str, list[str], bytes]] = field(default_factory=list)
    replies: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    sign_ins: int = 0

    def message(self, number: int = -1) -> EmailMessage:
        return message_from_bytes(self.mails[number][2], policy=policy.default)

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        del server, session, options
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        del session
        reply = self.replies.pop(0) if self.replies else "250 queued as 17"
        if reply[0] in "2l":
            content = envelope.original_content or b""
            self.mails.append((envelope.mail_from or "", list(envelope.rcpt_tos), content))
        if reply == "lost":
            assert isinstance(server.transport, Transport)
            server.transport.abort()
        return reply


@contextmanager
def run_mail_server(
    *, tls: ssl.SSLContext | None = None, size: int = 2**25, has_auth: bool = False
) -> Iterator[Mailbox]:
    """Run a server until the block ends. ``has_auth``  it knows USER and PASSWORD."""
    mailbox = Mailbox(unused_port())

    def authenticate(*arguments: object) -> AuthResult:
        given = arguments[-1]
        assert isinstance(given, LoginPassword)
        is_known = (given.login, given.password) == (USER.encode(), PASSWORD.encode())
        if is_known:
            mailbox.sign_ins += 1
        return AuthResult(success=is_known, handled=False)

    controller = Controller(
        mailbox,
        "127.0.0.1",
        mailbox.port,
        tls_context=tls,
        data_size_limit=size,
        auth_require_tls=not has_auth,
        authenticator=authenticate if has_auth else None,
    )
    controller.start()
    try:
        yield mailbox
    finally:
        controller.stop()
