"""SmtpAdapter: a connection that sends mails; MailWriter: one mail per row of a write."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from email.utils import parseaddr
from typing import ClassVar, cast

import msgspec

from unify.adapters.base import Adapter, Check, Listeners, LostResponse, Page, Read, TableWriter
from unify.adapters.mail import smtp
from unify.adapters.mail.message import (
    MailContent,
    address_problem,
    build_message,
    content_of,
    content_problem,
    sender_problem,
)
from unify.adapters.options import ListOption, split_list
from unify.adapters.spec.elements import Option
from unify.adapters.spec.write import RowOperation, WriteColumn, WriteRequest, WriteSpec
from unify.config.secrets import Secret
from unify.errors import ConfigError, SourceError
from unify.model import PlannedRow, RowOutcome, RowState, TableDef
from unify.sizes import format_size, parse_size

MAILS = "mails"  # the table of the mails that were sent, in unify.writes
MAX_SIZE = 50 * 1024**2  # of a mail, whatever max_size says: plans are kept in a database
_COLUMNS = ("to", "subject", "text", "id", "html", "attachment", "summary")
_BODY_COLUMNS = ("text", "html", "attachment")
MAIL_WRITE = WriteSpec(tuple(map(WriteColumn, _COLUMNS)), ("id",), insert=WriteRequest("POST /"))


class SmtpAdapter(Adapter):
    """Sends mails over SMTP, and has no tables to read."""

    sends_only: ClassVar[bool] = True
    takes: ClassVar[tuple[Option, ...]] = (
        Option("host", "Mail server", required=True),
        Option("port", "Port; by default 587, 465 with tls implicit, 25 with tls none"),
        Option("tls", "starttls, implicit, or none", default="starttls"),
        Option("user", "User name, if the server requires a sign-in"),
        Option("password", "Password of the user", secret=True),
        Option("from", "Sender: an address, or Name <address>", required=True),
        ListOption("to", "Addresses that may get mails, and @DOMAIN for all of a domain; by default any"),
        Option("max_size", "Maximum size of a mail", default="10 MB"),
    )

    def __init__(
        self, connection: str, options: Mapping[str, str | Secret | None], listeners: Listeners
    ) -> None:
        super().__init__(connection, options, listeners)
        self.sender = self._text("from")
        self.allowed = split_list(self._text("to"))
        if self.sender and (problem := sender_problem(self.sender)):
            raise ConfigError(f"options.from: {problem}")
        for address in self.allowed:
            if problem := address_problem(f"x{address}" if address.startswith("@") else address):
                raise ConfigError(f"options.to: {problem}")
        self.max_bytes = self._size()
        self.settings = self._settings()

    def list_tables(self) -> Sequence[TableDef]:
        return ()

    def pages(self, table: str, read: Read) -> Iterator[Page]:  # noqa: ARG002 - of the contract
        raise SourceError(f"{self.connection} sends mails; it has no table {table}")

    def check(self) -> Check:
        with smtp.open_session(self.settings) as server:
            server.noop()
        return Check(accepted=True, identity=self.settings.user or parseaddr(self.sender)[1])

    def write_spec(self, table: str) -> WriteSpec | None:
        return MAIL_WRITE if table == MAILS else None

    def open_writer(self, table: str) -> AbstractContextManager[TableWriter]:
        if table != MAILS:
            return super().open_writer(table)
        return self._open_mail_writer()

    @contextmanager
    def _open_mail_writer(self) -> Iterator[TableWriter]:
        yield MailWriter(self)

    def _text(self, name: str) -> str:
        value = self.options.get(name)
        return value.strip() if isinstance(value, str) else ""

    def _size(self) -> int:
        try:
            size = parse_size(self._text("max_size") or "10 MB")
        except ValueError as error:
            raise ConfigError(f"options.max_size: {error}") from error
        if size > MAX_SIZE:
            raise ConfigError(f"options.max_size: at most {format_size(MAX_SIZE)}")
        return size

    def _settings(self) -> smtp.SmtpSettings:
        tls, port, host, user = (self._text(name) for name in ("tls", "port", "host", "user"))
        if (tls or "starttls") not in smtp.PORTS:
            raise ConfigError(f"options.tls: expected one of {', '.join(smtp.PORTS)}, found {tls!r}")
        kind = cast("smtp.Tls", tls or "starttls")
        if port and not (port.isdecimal() and 0 < int(port) < 65536):
            raise ConfigError(f"options.port: {port!r} is not a port")
        password = self.options.get("password")
        secret = password if isinstance(password, Secret) else Secret("")
        if kind == "none" and user and host not in smtp.LOOPBACK:
            raise ConfigError(
                "options.tls: a password is not sent to another machine without encryption; set starttls or "
                "implicit, or remove user"
            )
        return smtp.SmtpSettings(host, int(port) if port else smtp.PORTS[kind], kind, user, secret)


class MailWriter:
    """Sends mails through an adapter: each row is one mail, to all of its addresses or to none."""

    def __init__(self, adapter: SmtpAdapter) -> None:
        self._adapter = adapter

    @property
    def transient_columns(self) -> Sequence[str]:
        return _BODY_COLUMNS

    def fit(self, operation: RowOperation, rows: Sequence[PlannedRow]) -> Sequence[PlannedRow]:  # noqa: ARG002
        return rows[:1]

    def check(self, operation: RowOperation, row: PlannedRow) -> str:
        if operation != "insert":
            return "mails cannot be changed or taken back"
        try:
            content = content_of(row.values)
        except msgspec.ValidationError as error:
            return f"it is no mail: {error}"
        return content_problem(content, self._adapter.allowed) or self._size_problem(content)

    def _size_problem(self, content: MailContent) -> str:
        size, limit = len(self._build(content)), self._adapter.max_bytes
        if size <= limit:
            return ""
        return (
            f"the mail has {format_size(size)}, more than the {format_size(limit)} of the option max_size; "
            "select fewer rows or columns, or export to a file"
        )

    def describe(self, operation: RowOperation, rows: Sequence[PlannedRow]) -> str:  # noqa: ARG002
        content = content_of(rows[0].values)
        addresses, size = ", ".join(content.to), format_size(len(self._build(content)))
        mail = f"mail from {self._adapter.sender} to {addresses}"
        return f"{mail}: {content.subject!r}, {content.summary}, {size}"

    def send(self, operation: RowOperation, rows: Sequence[PlannedRow], key: str) -> Sequence[RowOutcome]:  # noqa: ARG002
        [row] = rows
        content = content_of(row.values)
        sender = parseaddr(self._adapter.sender)[1]
        with smtp.open_session(self._adapter.settings) as server:
            try:
                code, reply = smtp.deliver(server, sender, content.to, self._build(content))
            except smtp.MailRefused as refusal:
                return [RowOutcome(row.number, RowState.REJECTED, refusal.code, message=refusal.message)]
        return [RowOutcome(row.number, RowState.CREATED, code, {"message_id": content.id}, reply)]

    def lost_response(
        self,
        operation: RowOperation,  # noqa: ARG002
        rows: Sequence[PlannedRow],  # noqa: ARG002
        age_s: float,  # noqa: ARG002
    ) -> LostResponse:
        return LostResponse.UNKNOWN  # no server says which mails it has accepted

    def find(self, operation: RowOperation, row: PlannedRow) -> Sequence[RowOutcome]:  # noqa: ARG002
        return ()

    def _build(self, content: MailContent) -> bytes:
        return build_message(content, self._adapter.sender, datetime.now(UTC))
