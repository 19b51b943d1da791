"""Accepts statements of clients, runs them in threads, and keeps results until they are fetched."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import msgspec
from msgspec.structs import replace

from unify.activity.records import NewStatement
from unify.config.settings import Settings
from unify.errors import QueryError, UnifyError
from unify.interpreter.parameters import bind_parameters
from unify.interpreter.results import Message, Result, Rows, TextOutput
from unify.servers.event_log import EventLog
from unify.servers.statements.chunks import PipeWriter, ReaderGone, ResultTooLarge
from unify.servers.statements.formats import write_result
from unify.servers.statements.recorder import StatementRecorder
from unify.servers.statements.sessions import RestrictedSession, SessionPool
from unify.servers.statements.statement import ClientStatement, StatementCancelled, StatementRequest
from unify.sizes import format_size

MAX_STATEMENTS = 4  # that run at the same time
MAX_WAITING = 16  # that wait for one of these to end
RESULT_LIFETIME_S = 300.0  # of a result that nobody fetches
CHECK_INTERVAL_S = 0.25  # of deadlines, and of cancellations by other processes


class TooManyStatements(UnifyError):
    """The server runs as many statements as it can, and others wait."""


class StatementService:
    """Runs statements of clients in at most MAX_STATEMENTS threads."""

    def __init__(
        self, settings: Settings, environment: Mapping[str, str], log: EventLog, threads: int = MAX_STATEMENTS
    ) -> None:
        self._records = StatementRecorder(settings, log)
        self._sessions = SessionPool(settings, environment)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="statement")
        self._recorder = ThreadPoolExecutor(1, thread_name_prefix="activity")  # a commit waits for the disk
        self._lock = threading.Lock()
        self._statements: dict[str, ClientStatement] = {}  # whose results can be fetched
        self._active: set[ClientStatement] = set()  # that have not ended
        self._stop = threading.Event()
        self._monitor = threading.Thread(target=self._check_statements, name="statements", daemon=True)
        self._monitor.start()

    def submit(self, request: StatementRequest, loop: asyncio.AbstractEventLoop) -> ClientStatement:
        """Begin a statement; its result is read from its pipe in ``loop``. Raises TooManyStatements."""
        statement = ClientStatement(request, loop)
        with self._lock:
            if len(self._active) >= MAX_STATEMENTS + MAX_WAITING:
                raise TooManyStatements(
                    f"{len(self._active)} statements are running or waiting; try again later"
                )
            self._statements[statement.id] = statement
            self._active.add(statement)
        recorded = self._recorder.submit(self._record_begin, statement)
        self._threads.submit(self._run, statement, recorded)
        return statement

    def find(self, id: str) -> ClientStatement | None:
        """Return a statement whose result was not fetched yet."""
        with self._lock:
            return self._statements.get(id)

    def forget(self, statement: ClientStatement) -> None:
        """End a statement that nobody wants any more, and drop its result."""
        if not statement.ended.is_set():
            statement.cancel("the client is gone")
        with self._lock:
            self._statements.pop(statement.id, None)

    def close(self) -> None:
        """Cancel all statements and wait until they have ended."""
        for statement in self._list_active():
            statement.cancel("the server stops")
        self._threads.shutdown(wait=True)
        self._recorder.shutdown(wait=True)
        self._stop.set()
        self._monitor.join()
        self._sessions.close()
        self._records.close()

    def _list_active(self) -> Sequence[ClientStatement]:
        with self._lock:
            return list(self._active)

    def _run(self, statement: ClientStatement, recorded: Future[None]) -> None:
        error: UnifyError | None = None
        try:
            recorded.result()
            with self._sessions.use(statement.request.restriction) as session:
                try:
                    statement.attach(session)
                    result = _run_statement(session, statement)
                    statement.notices = tuple(filter(self._records.is_public, session.notices))
                    self._write(statement, result)
                finally:
                    statement.detach()
        except BaseException as caught:  # noqa: BLE001 - the client gets it; a thread has no caller
            error = self._explain(statement, caught)
        statement.ended_at_s = time.monotonic()
        statement.ended.set()
        with self._lock:
            self._active.discard(statement)
        statement.pipe.close(error)
        self._record_end(statement, error)

    def _write(self, statement: ClientStatement, result: Result) -> None:
        writer = PipeWriter(statement.pipe)
        if isinstance(result, Rows):
            statement.note = result.note
            counted = replace(result, batches=_count_rows(statement, result))
            write_result(counted, writer, statement.request.format)
        else:
            assert isinstance(result, Message | TextOutput)
            statement.message = result.text
            writer.write(msgspec.json.encode({"message": result.text}))
        writer.finish()

    def _explain(self, statement: ClientStatement, error: BaseException) -> UnifyError:
        """Return the error for the client."""
        if statement.cancel_reason:
            return StatementCancelled(statement.cancel_reason)
        match error:
            case ResultTooLarge():
                size = format_size(error.max_bytes)
                return QueryError(f"the result has more than {size}, the limit of this server; select less")
            case ReaderGone():
                return StatementCancelled("the client is gone")
            case _:
                return self._records.explain(error)

    def _check_statements(self) -> None:
        """Cancel statements at their deadline or on request, and forget results that nobody fetches."""
        while not self._stop.wait(CHECK_INTERVAL_S):
            active = self._list_active()
            asked = self._records.cancel_asked(os.getpid()) if active else ()
            for one in active:
                if one.number in asked:
                    one.cancel("cancelled by system cancel client")
                elif time.monotonic() > one.deadline_s:
                    seconds = one.request.limits.seconds
                    one.cancel(f"the statement took longer than {seconds:g} s; its loads go on")
                if one.cancel_reason:
                    one.interrupt()
            self._forget_expired(time.monotonic())

    def _forget_expired(self, now_s: float) -> None:
        """Drop results that nobody fetches. One that is not complete waits until its deadline."""
        with self._lock:
            for one in list(self._statements.values()):
                if one.ended_at_s is not None and now_s - one.ended_at_s > RESULT_LIFETIME_S:
                    del self._statements[one.id]

    def _record_begin(self, statement: ClientStatement) -> None:
        request = statement.request
        if not request.is_recorded:
            return
        new = NewStatement(
            request.user, request.application, request.address, request.protocol, request.sql, os.getpid()
        )
        statement.number = self._records.begin(new, statement.started_at)

    def _record_end(self, statement: ClientStatement, error: UnifyError | None) -> None:
        self._records.end(statement.number, error, rows=statement.rows, loads=len(statement.jobs))


def _run_statement(session: RestrictedSession, statement: ClientStatement) -> Result:
    request = statement.request
    sql, values = bind_parameters(request.sql, request.parameters)
    session.interpreter.session.max_age = request.max_age
    result = session.interpreter.run(sql, projection=request.format.projection(), parameters=values)
    statement.check()
    return result


def _count_rows(statement: ClientStatement, rows: Rows) -> Iterator[Sequence[tuple[object, ...]]]:
    """Yield the batches, counted. Raises QueryError beyond the limit."""
    limit = statement.request.limits.rows
    for batch in rows.batches:
        statement.check()
        statement.rows += len(batch)
        if limit is not None and statement.rows > limit:
            raise QueryError(f"the result has more than {limit:,} rows, the limit of this server; use LIMIT")
        yield batch
