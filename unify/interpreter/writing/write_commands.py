"""Runs statements that write rows to an API: plan, approval, sending, outcome.

Nothing is sent before the plan was shown and approved: by the user at the prompt, by ``--yes`` in a script,
or by ``approve write`` later. What is sent is the sealed plan, whatever its SELECT would give by then.
"""

from __future__ import annotations

import getpass
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import cast

import msgspec
from msgspec import Struct

from unify.adapters import registry
from unify.adapters.base import TableWriter
from unify.adapters.spec.write import WriteOperation, WriteSpec
from unify.errors import LoadFailed, QueryError, UnknownName, UsageError
from unify.interpreter import adapter_access
from unify.interpreter.freshness import MaxAge
from unify.interpreter.query.load_client import LoadClient
from unify.interpreter.query.query import QueryRunner
from unify.interpreter.results import Message, Result, Rows, Watcher, listing_rows
from unify.interpreter.writing import row_checks, write_report
from unify.interpreter.writing.row_source import RowSource
from unify.lake import catalog
from unify.language import commands
from unify.language.sql import tables
from unify.language.sql.analysis import StatementKind, analyse
from unify.language.sql.write_statement import WriteStatement, parse_write_statement
from unify.model import LoaderJob, PlannedRow, RowState, TableName, WriteState
from unify.text import format_count
from unify.writes.records import NewWrite, Write, WriteRow
from unify.writes.store import WriteStore

MAX_WRITES = 1_000  # rows of one statement, without --max-writes
RETRIED_STATES = (RowState.REJECTED, RowState.NOT_SENT)
_RETURNED_COLUMNS = [("row", "BIGINT"), ("state", "VARCHAR"), ("created", "JSON"), ("message", "VARCHAR")]


class WriteOptions(Struct, frozen=True):
    """``--yes``, ``--max-writes``, ``--max-deletes``.

    ``max_deletes``  None: a user at the prompt is asked, a script may delete none.
    """

    yes: bool = False
    max_writes: int = MAX_WRITES
    max_deletes: int | None = None


class WriteCommands:
    """The writes of one session. ``wait``: statements wait until their rows are sent."""

    def __init__(
        self,
        query: QueryRunner,
        load_client: LoadClient,
        store: WriteStore,
        watcher: Watcher,
        *,
        options: WriteOptions,
        wait: bool,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._query = query
        self._connections = query.connections
        self._load_client = load_client
        self._store = store
        self._watcher = watcher
        self._options = options
        self._wait = wait
        self._now = now

    def close(self) -> None:
        self._store.close()

    def run_statement(self, sql: str, max_age: MaxAge) -> Result | None:
        """Run or explain INSERT, UPDATE or DELETE of a table of an API; None for any other statement."""
        is_explained = analyse(sql).kind is StatementKind.EXPLAIN
        statement = parse_write_statement(tables.unwrap_statement(sql) if is_explained else sql)
        target = self._find_target(statement) if statement is not None else None
        if statement is None or target is None:
            return None
        return (self.explain if is_explained else self.run)(statement, target, max_age)

    def _find_target(self, statement: WriteStatement) -> TableName | None:
        """Return the table of an API that a statement writes to; None for other tables.

        Raises UnknownName for a table that neither the API nor the lake has.
        """
        ref = statement.target
        if (
            ref.catalog
            or not self._connections.has(ref.schema)
            or self._connections.is_relational(ref.schema)
        ):
            return None
        name = TableName(ref.schema, ref.table)
        if self._connections.view(name) is not None:
            return None  # running it says that it is a view
        offered = self._connections.tables(name.schema)
        if name.table.lower() not in offered and catalog.table_columns(self._query.lake, name):
            return None
        name = self._connections.canonical_name(name)
        return name if self._has_write(name) else None  # running it says what works instead

    def _has_write(self, name: TableName) -> bool:
        connection = self._connections.connection(name.schema)
        spec = registry.spec_of(connection, self._connections.settings.specs)
        table = spec.table(name.table) if spec is not None else None
        return table is not None and table.write is not None

    def run(self, statement: WriteStatement, target: TableName, max_age: MaxAge) -> Result:
        """Plan a statement, have it approved, send its rows and report.

        Raises:
            QueryError: something cannot be written; nothing was sent.
            UsageError: a script without --yes; the message is the plan.
            LoadFailed: rows were refused, or nobody knows what became of them.
        """
        if self._query.lake.in_transaction:
            raise QueryError(
                f"cannot write to {target} inside a transaction: what is sent cannot be rolled back; "
                "commit or roll back first"
            )
        spec = self._describe(target)
        rows, note = self._plan_rows(statement, target, spec, max_age)
        if not rows:
            return Message(f"{target}: no rows to write")
        with self._open_writer(target) as writer:
            row_checks.check_rows(target, spec, rows, writer)
            plan = write_report.plan_text(target, statement.operation, rows, writer, note)
        write = self._seal(statement.operation, target, rows)
        self._require_approval(write, f"write {write.id}: {plan}")
        return self._send(write, has_returning=bool(statement.returning))

    def export_rows(self, command: commands.ExportRows) -> Result:
        """Write the rows of a SELECT to a table. Raises QueryError."""
        raise QueryError(f"{command.table}: rows cannot be exported to this table")

    def undo(self, id: int) -> Result:
        """Plan the write that takes a write back. Raises QueryError."""
        raise QueryError(f"{self._get(id).table}: write {id} cannot be taken back")

    def explain(self, statement: WriteStatement, target: TableName, max_age: MaxAge) -> Rows:
        """Return the plan of a statement; nothing is planned or sent."""
        spec = self._describe(target)
        rows, note = self._plan_rows(statement, target, spec, max_age)
        with self._open_writer(target) as writer:
            row_checks.check_rows(target, spec, rows, writer)
            text = write_report.plan_text(target, statement.operation, rows, writer, note)
        return listing_rows(
            [("explain_key", "VARCHAR"), ("explain_value", "VARCHAR")], [("write", text)], "nothing was sent"
        )

    def approve(self, id: int) -> Result:
        """Send a planned write. Raises UnknownName, LoadFailed."""
        write = self._get(id)
        approved = self._store.approve(id, getpass.getuser(), self._now())
        if approved is None:
            raise UnknownName(f"write {id} is {write.state}; only a planned write can be approved")
        return self._send(approved)

    def retry(self, id: int, state: RowState | None) -> Result:
        """Send again the rows of an ended write that are in ``state``; None: refused and not sent.

        Raises UnknownName, LoadFailed.
        """
        write = self._get(id)
        states = RETRIED_STATES if state is None else (state,)
        counts = self._store.counts(id)
        if not any(counts.get(state) for state in states):
            wanted = " or ".join(states)
            raise UnknownName(
                f"write {id} has no row that is {wanted}: {write_report.outcome_text(write, counts)}"
            )
        reopened = self._store.reopen(id, states, getpass.getuser(), self._now())
        if reopened is None:
            raise UnknownName(f"write {id} is {write.state}; only one that has ended can be retried")
        return self._send(reopened)

    def cancel(self, id: int) -> Result:
        """End a write; rows that were sent keep their outcome. Raises UnknownName."""
        write = self._get(id)
        cancelled = self._store.cancel(id, self._now())
        if cancelled is None:
            raise UnknownName(f"write {id} is {write.state} already")
        if cancelled.state is WriteState.RUNNING:
            return Message(f"write {id} ends after the request that was sent")
        return Message(f"write {id} was cancelled; nothing more is sent")

    def list_writes(self) -> Rows:
        """Return the last writes, newest first."""
        columns = [
            *(("write", "BIGINT"), ("table", "VARCHAR"), ("mode", "VARCHAR"), ("state", "VARCHAR")),
            *(("rows", "BIGINT"), ("outcome", "VARCHAR"), ("planned", "TIMESTAMP WITH TIME ZONE")),
            ("error", "VARCHAR"),
        ]
        rows: list[tuple[object, ...]] = []
        for write in self._store.recent(self._query.load_client.settings.tenant, 50):
            counts = self._store.counts(write.id)
            outcome = ", ".join(f"{count:,} {state}" for state, count in counts.items())
            head = (write.id, str(write.table), write.mode, write.state.value, write.rows)
            rows.append((*head, outcome, write.created_at, write.error))
        return listing_rows(columns, rows)

    # Planning

    def _describe(self, target: TableName) -> WriteSpec:
        connection = self._connections.connection(target.schema)
        return registry.describe_write(connection, self._connections.settings.specs, target.table)

    def _plan_rows(
        self, statement: WriteStatement, target: TableName, spec: WriteSpec, max_age: MaxAge
    ) -> tuple[list[PlannedRow], str]:
        operation = cast("WriteOperation", statement.operation)
        row_checks.check_operation(target, spec, operation)
        for_update = [each.column for each in statement.assignments]
        if operation == "update":
            row_checks.check_columns(target, spec, operation, for_update)
        limit = self._options.max_writes
        rows, note = RowSource(self._query, max_age).read(statement, target, spec.key, limit + 1)
        if len(rows) > limit:
            raise QueryError(
                f"{target}: the statement writes more than {format_count(limit, 'row')}; nothing was sent. "
                "Allow more with --max-writes"
            )
        if rows and operation == "insert":
            row_checks.check_columns(target, spec, operation, list(rows[0].values))
        if operation == "delete":
            self._check_deletes(target, len(rows))
        return rows, note

    def _check_deletes(self, target: TableName, count: int) -> None:
        """Raise UsageError if a script deletes more rows than it may."""
        limit = self._options.max_deletes
        is_script = self._watcher.user_prompt() is None
        if count and (count > limit if limit is not None else is_script):
            raise UsageError(
                f"{target}: the statement deletes {format_count(count, 'row')}; nothing was sent. "
                f"Allow it with --max-deletes {count}"
            )

    def _seal(self, operation: str, target: TableName, rows: Sequence[PlannedRow]) -> Write:
        settings = self._load_client.settings
        new = NewWrite(
            settings.tenant,
            target,
            operation,
            self._connections.origin,
            requested_by=getpass.getuser(),
            refreshes=target in catalog.stored_tables(self._query.lake),
        )
        return self._store.plan(new, rows, self._now())

    def _require_approval(self, write: Write, plan: str) -> None:
        """Approve a plan, or raise UsageError with it."""
        if not self._options.yes:
            answer = self._watcher.ask_user(f"{plan}\nSend it? [y/N] ")
            if answer is None:
                raise UsageError(
                    f"{plan}\nnothing was sent; send it with --yes, or at a prompt: approve write {write.id}"
                )
            if answer.strip().lower() not in ("y", "yes"):
                self._store.cancel(write.id, self._now())
                raise QueryError(f"write {write.id} was not approved; nothing was sent")
        self._store.approve(write.id, getpass.getuser(), self._now())

    # Sending

    def _send(self, write: Write, *, has_returning: bool = False) -> Result:
        job = self._load_client.enqueue_write(write.table)
        if not self._wait:
            return Message(f"write {write.id}: {format_count(write.rows, 'row')} on the way to {write.table}")
        ended = self._wait_until_ended(write, job)
        counts = self._store.counts(write.id)
        text = write_report.outcome_text(ended, counts)
        if ended.error:
            raise LoadFailed(f"{text}: {ended.error}")
        if write_report.has_failures(counts):
            reason = _first_reason(self._store.rows(write.id))
            raise LoadFailed(f"{text}{reason}; select * from unify.write_rows where write = {write.id}")
        if has_returning:
            return listing_rows(_RETURNED_COLUMNS, list(_returned_rows(self._store.rows(write.id))), text)
        return Message(text)

    def _wait_until_ended(self, write: Write, job: LoaderJob) -> Write:
        """Wait for the outcome. Raises LoadFailed if it is sent later, as while its connection is paused."""
        while True:
            reason = ""
            try:
                self._load_client.wait([job])
            except LoadFailed as error:
                reason = error.message
            current = self._get(write.id)
            if current.state not in (WriteState.APPROVED, WriteState.RUNNING):
                return current
            if reason:
                raise LoadFailed(f"write {write.id} is approved, and is sent later: {reason}")
            job = self._load_client.enqueue_write(write.table)  # it was approved while the last job ended

    def _get(self, id: int) -> Write:
        found = self._store.find(id)
        if found is None or found.tenant != self._load_client.settings.tenant:
            raise UnknownName(f"there is no write {id} (show writes lists them)")
        return found

    @contextmanager
    def _open_writer(self, target: TableName) -> Iterator[TableWriter]:
        connection = self._connections.connection(target.schema)
        with (
            adapter_access.open_adapter(self._connections, connection) as adapter,
            adapter.open_writer(target.table) as writer,
        ):
            yield writer


def _returned_rows(rows: Sequence[WriteRow]) -> Iterator[tuple[object, ...]]:
    for row in rows:
        created = msgspec.json.encode(row.created).decode() if row.created else None
        yield row.planned.number, row.state.value, created, row.message or None


def _first_reason(rows: Sequence[WriteRow]) -> str:
    return next((f"; row {row.planned.number}: {row.message}" for row in rows if row.message), "")
