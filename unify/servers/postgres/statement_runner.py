"""Runs SQL and commands of one client on a restricted session, and records them."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TypeVar

from msgspec import Struct

from unify.activity.records import NewStatement
from unify.config.settings import Settings
from unify.errors import QueryError, UnifyError
from unify.interpreter.results import Message, ResultColumn, Rows, TextOutput
from unify.interpreter.system_columns import VARCHAR
from unify.language.postgres_dialect import translate_postgres
from unify.model import LoaderStatus
from unify.servers.postgres.client_settings import ClientSettings
from unify.servers.postgres.portals import PortalRows
from unify.servers.postgres.sqlstates import is_unknown_syntax
from unify.servers.postgres.wire_types import WireColumn, WireProjection, listing_encoder, wire_column
from unify.servers.statements.limits import StatementLimits
from unify.servers.statements.recorder import StatementRecorder
from unify.servers.statements.sessions import RestrictedSession
from unify.servers.statements.statement import StatementCancelled
from unify.servers.users import User
from unify.sizes import format_size
from unify.text import format_count

NOTICE_INTERVAL_S = 1.0  # between two notices about the progress of loads
_LISTED_TYPES = frozenset(("BOOLEAN", "BIGINT", "INTEGER"))  # of listings, whose values are those of Python

Outcome = TypeVar("Outcome")
Notify = Callable[[str, str], None]


class ClientIdentity(Struct, frozen=True):
    """Who a client is, for the log: its user, application_name and address."""

    user: User
    application: str
    address: str


class ServedHome(Struct, frozen=True):
    """The home that a server serves, with its log of statements and the limits of each."""

    settings: Settings
    environment: Mapping[str, str]
    recorder: StatementRecorder
    limits: StatementLimits


class RunningStatement:
    """A statement that runs. ``number`` is its row of ``unify.statements``."""

    def __init__(self, sql: str, timeout_s: float, timeout_text: str) -> None:
        self.sql = sql
        self.number = 0
        self.rows = 0
        self.jobs: frozenset[int] = frozenset()
        self.started_at = datetime.now(UTC)
        self.cancel_reason = ""
        self.notified_s = -NOTICE_INTERVAL_S  # of the monotonic clock
        self.progress: dict[int, str] = {}  # what the client was told last, by job
        self._timeout_s = timeout_s
        self._timeout_text = timeout_text
        self._deadline_s = 0.0

    def start_clock(self) -> None:
        """Begin the time in which the server works on it; not that in which the client fetches nothing."""
        self._deadline_s = time.monotonic() + self._timeout_s

    def cancel_at_deadline(self) -> None:
        if time.monotonic() > self._deadline_s:
            self.cancel_reason = self.cancel_reason or self._timeout_text

    def check(self) -> None:
        """Raise StatementCancelled if it was cancelled."""
        if self.cancel_reason:
            raise StatementCancelled(self.cancel_reason)


class ClientStatementRunner:
    """The statements of one client, one at a time. ``cancel`` and ``tick`` are for other threads."""

    def __init__(
        self, home: ServedHome, identity: ClientIdentity, client_settings: ClientSettings, notify: Notify
    ) -> None:
        self._home = home
        self._identity = identity
        self._client_settings = client_settings
        self._recorder = home.recorder
        self._limits = home.limits
        self._notify = notify
        self._session: RestrictedSession | None = None
        self._lock = threading.Lock()
        self._active: RunningStatement | None = None
        self._open: PortalRows | None = None  # whose query is open in DuckDB

    @property
    def session(self) -> RestrictedSession:
        """The client's session, with a DuckDB of its own; opened by its first statement."""
        if self._session is None:
            restriction = self._identity.user.restriction()
            self._session = RestrictedSession(self._home.settings, self._home.environment, restriction)
            self._session.on_progress = self._report_progress
        return self._session

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
        if self._session is not None:
            self._session.close()

    def cancel(self, reason: str) -> None:
        """End the statement that runs, if one does; its loads go on."""
        with self._lock:
            if self._active is not None:
                self._active.cancel_reason = self._active.cancel_reason or reason
        self.tick(())

    def tick(self, cancel_asked: Collection[int]) -> None:
        """Interrupt a statement that was cancelled, or whose time is over; called several times a second."""
        with self._lock:
            active = self._active
            if active is None:
                return
            active.cancel_at_deadline()
            if active.number and active.number in cancel_asked:
                active.cancel_reason = active.cancel_reason or "cancelled by system cancel client"
            session = self._session
            if active.cancel_reason and session is not None:
                session.interrupt()

    @property
    def is_active(self) -> bool:
        return self._active is not None

    def describe(self, sql: str, parameters: Mapping[str, object]) -> Sequence[WireColumn]:
        """Return the columns of a SELECT; its tables are loaded first."""
        self.spool_open()
        running = self._begin(sql)
        try:
            with self._activate(running):
                interpreter = self.session.interpreter
                columns = _in_either_dialect(sql, lambda text: interpreter.describe(text, parameters))
        except BaseException as error:
            explained = self._end(running, error)
            if explained is None or explained is error:
                raise  # with its own cause, which tells the SQLSTATE
            raise explained from error
        self._end(running, None)
        return [wire_column(column.name, column.type) for column in columns]

    def run(self, sql: str, parameters: Mapping[str, object], formats: Sequence[int]) -> PortalRows:
        """Run a statement; its rows are read while they are taken. Raises UnifyError."""
        self.spool_open()
        running = self._begin(sql)
        projection = WireProjection(formats)
        try:
            with self._activate(running):
                interpreter = self.session.interpreter
                interpreter.session.max_age = self._client_settings.max_age
                result = _in_either_dialect(
                    sql, lambda text: interpreter.run(text, projection=projection, parameters=parameters)
                )
            self._send_notices()
            if not isinstance(result, Rows):
                assert isinstance(result, Message | TextOutput)
                self._notify("notice", result.text)
                self._end(running, None)
                return PortalRows(None, iter(()), sql.split(maxsplit=1)[0].upper())
            if running.jobs and result.note:
                self._notify("notice", result.note)
            batches = self._batches(running, result, projection)
        except BaseException as error:
            explained = self._end(running, error)
            if explained is None or explained is error:
                raise  # with its own cause, which tells the SQLSTATE
            raise explained from error
        stream = PortalRows(_columns(result), batches, on_end=lambda error: self._close(running, error))
        self._open = stream
        return stream

    def spool_open(self) -> None:
        """Free the connection of DuckDB for another statement."""
        if self._open is not None:
            self._open.spool()
            self._open = None

    def _batches(
        self, running: RunningStatement, result: Rows, projection: WireProjection
    ) -> Iterator[list[bytes]]:
        encode = (
            listing_encoder(_columns(result), projection.formats)
            if result.projection is None
            else projection.encode_rows
        )
        sent_bytes = 0
        source = iter(result.batches)
        while True:
            with self._activate(running):
                rows = next(source, None)
                if rows is None:
                    return
                encoded = encode(rows)
            running.rows += len(rows)
            sent_bytes += sum(map(len, encoded))
            if sent_bytes > self._limits.bytes:
                size = format_size(self._limits.bytes)
                raise QueryError(f"the result has more than {size}, the limit of this server; select less")
            yield encoded

    def _begin(self, sql: str) -> RunningStatement:
        timeout_s = self._client_settings.timeout_s
        text = "canceling statement due to statement timeout; its loads go on"
        if timeout_s is None or timeout_s > self._limits.seconds:
            timeout_s = self._limits.seconds
            text = (
                f"the statement took longer than {timeout_s:g} s, the limit of this server; its loads go on"
            )
        running = RunningStatement(sql, timeout_s, text)
        identity = self._identity
        application = self._client_settings.get("application_name") or identity.application
        new = NewStatement(
            identity.user.name, application[:200], identity.address, "postgres", sql, os.getpid()
        )
        running.number = self._recorder.begin(new, running.started_at)
        return running

    @contextmanager
    def _activate(self, running: RunningStatement) -> Iterator[None]:
        """Let the block be interrupted by ``cancel`` and at the deadline."""
        running.check()
        running.start_clock()
        with self._lock:
            self._active = running
        try:
            yield
        finally:
            with self._lock:
                self._active = None
        running.check()

    def _close(self, running: RunningStatement, error: BaseException | None) -> UnifyError | None:
        self._open = None
        return self._end(running, error)

    def _end(self, running: RunningStatement, error: BaseException | None) -> UnifyError | None:
        """Record the end; return the error for the client. None: it is to be raised as it is."""
        explained: UnifyError | None = None
        if running.cancel_reason and error is not None:
            explained = StatementCancelled(running.cancel_reason)
        elif isinstance(error, Exception) and not isinstance(error, GeneratorExit):
            explained = self._recorder.explain(error)
        self._recorder.end(running.number, explained, rows=running.rows, loads=len(running.jobs))
        self._send_notices()
        return explained

    def _send_notices(self) -> None:
        if self._session is not None:
            for notice in filter(self._recorder.is_public, self._session.notices):
                self._notify("notice", notice)
            self._session.notices.clear()

    def _report_progress(self, statuses: Sequence[LoaderStatus]) -> None:
        """Tell the client about its loads, at once and each second. Raises StatementCancelled."""
        running = self._active
        if running is None:
            return
        running.check()
        running.jobs |= {status.job for status in statuses}
        if time.monotonic() - running.notified_s < NOTICE_INTERVAL_S:
            return
        running.notified_s = time.monotonic()
        for status in statuses:
            pages = f", {format_count(status.pages, 'page')}" if status.pages else ""
            text = f"loading {status.table}: {format_count(status.rows, 'row')}{pages}"
            if running.progress.get(status.job) != text:
                running.progress[status.job] = text
                self._notify("notice", text)


def _in_either_dialect(sql: str, run: Callable[[str], Outcome]) -> Outcome:
    """Run a statement as it is; if DuckDB knows a function or operator not, once more in DuckDB's words."""
    try:
        return run(sql)
    except QueryError as error:
        translated = translate_postgres(sql) if is_unknown_syntax(error) else None
        if translated is None:
            raise
        try:
            return run(translated)
        except QueryError:
            raise error from error.__cause__  # about the text of the client


def _columns(result: Rows) -> Sequence[WireColumn]:
    if result.projection is not None:
        return [wire_column(column.name, column.type) for column in result.columns]
    return [_listed_column(column) for column in result.columns]


def _listed_column(column: ResultColumn) -> WireColumn:
    return wire_column(column.name, column.type if column.type in _LISTED_TYPES else VARCHAR)
