"""One client's session: its prepared statements, portals and transaction, in both query protocols."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from pygwire.constants import TransactionStatus
from pygwire.messages import (
    Bind,
    BindComplete,
    Close,
    CloseComplete,
    CommandComplete,
    CopyDone,
    CopyOutResponse,
    Describe,
    EmptyQueryResponse,
    Execute,
    NoData,
    ParameterDescription,
    Parse,
    ParseComplete,
    PortalSuspended,
)

from unify.language.statements import split_statements
from unify.servers.postgres import session_statements as plans
from unify.servers.postgres.copy_formats import CopyEncoder
from unify.servers.postgres.portals import COPY_DATA, Portal, PortalRows, describe_row, frame_rows
from unify.servers.postgres.prepared import PreparedStatement, StatementOpener, text_row
from unify.servers.postgres.sqlstates import (
    DUPLICATE_CURSOR,
    DUPLICATE_STATEMENT,
    FEATURE_NOT_SUPPORTED,
    IN_FAILED_TRANSACTION,
    INVALID_CURSOR_NAME,
    INVALID_STATEMENT_NAME,
    UNDEFINED_OBJECT,
    ClientError,
)
from unify.servers.postgres.wire import MessageStream

Formats = Sequence[int]


class ClientSession:
    """Answers the messages of one client. Raises UnifyError for a statement that fails.

    ``status``  of the transaction: idle, open or failed. Statements read the newest rows in any case.
    """

    def __init__(self, stream: MessageStream, opener: StatementOpener) -> None:
        self.status = TransactionStatus.IDLE
        self._stream = stream
        self._opener = opener
        self._settings = opener.settings
        self._statements: dict[str, PreparedStatement] = {}
        self._portals: dict[str, Portal] = {}
        self._copies: dict[Portal, plans.CopyRows] = {}

    def close(self) -> None:
        """Drop all portals and statements."""
        self._drop_portals()
        self._statements.clear()

    def fail(self) -> None:
        """Note that a statement has failed: an open transaction accepts its end only."""
        if self.status is TransactionStatus.IN_TRANSACTION:
            self.status = TransactionStatus.ERROR_TRANSACTION

    def sync(self) -> None:
        """End of a series of messages: outside of a transaction, it ends the portals."""
        if self.status is TransactionStatus.IDLE:
            for name in [name for name, portal in self._portals.items() if not portal.is_cursor]:
                self._drop_portal(name)
            self._copies.clear()

    def query(self, text: str) -> None:
        """Run the statements of a text, as Query sends them."""
        statements = split_statements(text)
        if not statements:
            self._stream.send(EmptyQueryResponse())
        for one in statements:
            prepared = PreparedStatement.parse(one.text)
            if prepared.count:
                raise ClientError("there is no parameter $1: a simple query has none")
            portal = self._bind(prepared, Bind())
            self._start(portal)
            self._finish(portal)
        self.sync()

    def parse(self, message: Parse) -> None:
        statements = split_statements(message.query)
        if len(statements) > 1:
            raise ClientError("cannot insert multiple commands into a prepared statement")
        if message.statement and message.statement in self._statements:
            raise ClientError(f'prepared statement "{message.statement}" already exists', DUPLICATE_STATEMENT)
        text = statements[0].text if statements else ""
        self._statements[message.statement] = PreparedStatement.parse(text, message.param_types)
        self._stream.send(ParseComplete())

    def bind(self, message: Bind) -> None:
        if message.portal and message.portal in self._portals:
            raise ClientError(f'cursor "{message.portal}" already exists', DUPLICATE_CURSOR)
        prepared = self._find_statement(message.statement)
        self._drop_portal(message.portal)
        self._portals[message.portal] = self._bind(prepared, message)
        self._stream.send(BindComplete())

    def describe(self, message: Describe) -> None:
        if message.kind == "S":
            prepared = self._find_statement(message.name)
            self._check_transaction(prepared.plan)
            columns = self._opener.columns(prepared, self._cursor_stream)
            self._stream.send(ParameterDescription(type_oids=list(self._opener.oids(prepared))))
            self._stream.send(NoData() if columns is None else describe_row(columns))
            return
        portal = self._find_portal(message.name)
        if not portal.has_rows:
            self._stream.send(NoData())
            return
        columns = portal.open().columns
        self._stream.send(NoData() if columns is None else describe_row(columns, portal.formats))

    def execute(self, message: Execute) -> None:
        portal = self._find_portal(message.portal)
        self._finish(portal, message.max_rows or None)

    def close_object(self, message: Close) -> None:
        if message.kind == "S":
            self._statements.pop(message.name, None)
        else:
            self._drop_portal(message.name)
        self._stream.send(CloseComplete())

    def _bind(self, prepared: PreparedStatement, message: Bind) -> Portal:
        self._check_transaction(prepared.plan)
        plan = prepared.plan
        formats = message.result_formats
        if isinstance(plan, plans.DeclareCursor | plans.CopyRows):
            inner = PreparedStatement.parse(plan.sql, prepared.given_oids)
            open_rows = self._opener.bind(inner, message)
            if isinstance(plan, plans.DeclareCursor):
                declare = plan
                return Portal(lambda _formats: self._declare(declare, open_rows), formats, has_rows=False)
            portal = Portal(open_rows, [CopyEncoder(plan).cell_format], has_rows=False)
            self._copies[portal] = plan
            return portal
        if isinstance(plan, plans.RunStatement):
            has_rows = self._opener.has_rows(plan.sql)
            return Portal(self._opener.bind(prepared, message), formats, has_rows=has_rows)
        has_rows = isinstance(plan, plans.ShowSetting | plans.FetchCursor)
        return Portal(lambda given: self._run_session_statement(plan, given), formats, has_rows=has_rows)

    def _start(self, portal: Portal) -> None:
        """Run a statement of the simple protocol, and describe its rows."""
        if portal not in self._copies:
            columns = portal.open().columns
            if columns is not None:
                self._stream.send(describe_row(columns, portal.formats))

    def _finish(self, portal: Portal, count: int | None = None) -> None:
        """Send rows, at most ``count``, and the end of the statement."""
        copy = self._copies.get(portal)
        if copy is not None:
            self._send_copy(portal, copy)
            return
        rows = portal.open()
        left = count
        while batch := rows.take(left):
            self._stream.send_rows(frame_rows(batch))
            portal.rows += len(batch)
            left = None if left is None else left - len(batch)
            if left == 0:
                break
        if left == 0 and rows.has_more:
            self._stream.send(PortalSuspended())
        elif rows.tag == "":
            self._stream.send(EmptyQueryResponse())
        else:
            tag = f"{rows.tag} {portal.rows}" if rows.tag in ("SELECT", "FETCH") else rows.tag
            self._stream.send(CommandComplete(tag=tag))

    def _send_copy(self, portal: Portal, copy: plans.CopyRows) -> None:
        encoder = CopyEncoder(copy)
        rows = portal.open()
        columns = rows.columns
        if columns is None:
            raise ClientError("COPY needs a query with rows", FEATURE_NOT_SUPPORTED)
        format = encoder.cell_format
        self._stream.send(CopyOutResponse(overall_format=format, col_formats=[format] * len(columns)))
        self._stream.send_rows(frame_rows(encoder.head(columns), COPY_DATA))
        while batch := rows.take():
            self._stream.send_rows(frame_rows(encoder.rows(batch), COPY_DATA))
            portal.rows += len(batch)
        self._stream.send_rows(frame_rows(encoder.end(), COPY_DATA))
        self._stream.send(CopyDone(), CommandComplete(tag=f"COPY {portal.rows}"))

    def _declare(self, plan: plans.DeclareCursor, open_rows: Callable[[Formats], PortalRows]) -> PortalRows:
        if plan.name in self._portals:
            raise ClientError(f'cursor "{plan.name}" already exists', DUPLICATE_CURSOR)
        self._portals[plan.name] = Portal(open_rows, (), is_cursor=True, is_held=plan.is_held)
        return _done("DECLARE CURSOR")

    def _cursor_stream(self, name: str, formats: Formats) -> PortalRows:
        """Return the rows of a cursor, which runs at its first FETCH. Raises ClientError."""
        portal = self._portals.get(name)
        if portal is None:
            raise ClientError(f'cursor "{name}" does not exist', INVALID_CURSOR_NAME)
        is_same = (_is_text(formats) and _is_text(portal.formats)) or list(formats) == list(portal.formats)
        if not is_same and portal.rows:
            raise ClientError(f'cursor "{name}" has rows of another format', FEATURE_NOT_SUPPORTED)
        if not is_same:
            portal.close()
            portal.stream, portal.formats = None, formats
        return portal.open()

    def _fetch(self, plan: plans.FetchCursor, formats: Formats) -> PortalRows:
        source = self._cursor_stream(plan.name, formats)
        portal = self._portals[plan.name]

        rows = _fetched(source, portal, plan.count)
        if plan.is_move:
            return _done(f"MOVE {sum(map(len, rows))}")
        return PortalRows(source.columns, rows, "FETCH")

    def _run_session_statement(self, plan: plans.SessionStatement, formats: Formats) -> PortalRows:
        match plan:
            case plans.NoStatement():
                return _done("")
            case plans.ShowSetting(name):
                value = self._settings.get(name)
                if value is None:
                    message = f'unrecognized configuration parameter "{name[:100]}"'
                    raise ClientError(message, UNDEFINED_OBJECT)
                return text_row(name, value, "SHOW")
            case plans.SetSetting(name, value, tag):
                self._opener.set_setting(name, value)
                return _done(tag)
            case plans.FetchCursor():
                return self._fetch(plan, formats)
            case plans.CloseCursor(name):
                self._close_cursor(name)
                return _done("CLOSE CURSOR ALL" if name is None else "CLOSE CURSOR")
            case plans.DeallocateStatement(name):
                self._deallocate(name)
                return _done("DEALLOCATE ALL" if name is None else "DEALLOCATE")
            case plans.DiscardState(part):
                if part == "all":
                    self.close()
                    self._settings.reset_all()
                return _done(f"DISCARD {part.upper()}")
            case plans.AcceptStatement(tag):
                return _done(tag)
            case _:
                return self._control_transaction(plan)

    def _control_transaction(self, plan: plans.SessionStatement) -> PortalRows:
        match plan:
            case plans.BeginTransaction():
                self.status = TransactionStatus.IN_TRANSACTION
                return _done("BEGIN")
            case plans.EndTransaction(tag, to_savepoint):
                if to_savepoint:
                    if self.status is TransactionStatus.ERROR_TRANSACTION:
                        self.status = TransactionStatus.IN_TRANSACTION
                    return _done(tag)
                failed = self.status is TransactionStatus.ERROR_TRANSACTION
                self.status = TransactionStatus.IDLE
                for name in [name for name, portal in self._portals.items() if not portal.is_held]:
                    self._drop_portal(name)
                return _done("ROLLBACK" if failed else tag)
            case _:
                raise ClientError(f"{type(plan).__name__} cannot be run here", FEATURE_NOT_SUPPORTED)

    def _check_transaction(self, plan: plans.SessionStatement) -> None:
        failed = self.status is TransactionStatus.ERROR_TRANSACTION
        if failed and not isinstance(plan, plans.EndTransaction | plans.NoStatement):
            raise ClientError(
                "current transaction is aborted, commands ignored until end of transaction block",
                IN_FAILED_TRANSACTION,
            )

    def _find_statement(self, name: str) -> PreparedStatement:
        found = self._statements.get(name)
        if found is None:
            raise ClientError(f'prepared statement "{name[:100]}" does not exist', INVALID_STATEMENT_NAME)
        return found

    def _find_portal(self, name: str) -> Portal:
        found = self._portals.get(name)
        if found is None:
            raise ClientError(f'portal "{name[:100]}" does not exist', INVALID_CURSOR_NAME)
        return found

    def _close_cursor(self, name: str | None) -> None:
        if name is not None and name not in self._portals:
            raise ClientError(f'cursor "{name[:100]}" does not exist', INVALID_CURSOR_NAME)
        for one in [name] if name is not None else [*self._portals]:
            if self._portals[one].is_cursor:
                self._drop_portal(one)

    def _deallocate(self, name: str | None) -> None:
        if name is None:
            self._statements.clear()
        elif self._statements.pop(name, None) is None:
            raise ClientError(f'prepared statement "{name[:100]}" does not exist', INVALID_STATEMENT_NAME)

    def _drop_portal(self, name: str) -> None:
        portal = self._portals.pop(name, None)
        if portal is not None:
            portal.close()
            self._copies.pop(portal, None)

    def _drop_portals(self) -> None:
        for name in [*self._portals]:
            self._drop_portal(name)
        self._copies.clear()


def _done(tag: str) -> PortalRows:
    """Return the result of a statement without rows."""
    return PortalRows(None, iter(()), tag)


def _fetched(source: PortalRows, portal: Portal, count: int | None) -> Iterator[list[bytes]]:
    """Yield the next rows of a cursor, at most ``count``."""
    left = count
    while (left is None or left > 0) and (batch := source.take(left)):
        left = None if left is None else left - len(batch)
        portal.rows += len(batch)
        yield batch


def _is_text(formats: Formats) -> bool:
    return not any(formats)
