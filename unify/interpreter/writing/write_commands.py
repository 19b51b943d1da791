"""Runs statements that write rows to an API: plan, approval, sending, outcome.

Nothing is sent before the plan was shown and approved: by the user at the prompt, by ``--yes`` in a script,
or by ``approve write`` later. What is sent is the sealed plan, whatever its SELECT would give by then.
"""

from __future__ import annotations

import getpass
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from msgspec import Struct

from unify.adapters import registry
from unify.adapters.base import TableWriter
from unify.adapters.spec.write import WriteSpec
from unify.errors import LoadFailed, QueryError, UnknownName, UsageError
from unify.interpreter import adapter_access
from unify.interpreter.freshness import MaxAge
from unify.interpreter.query.load_client import LoadClient
from unify.interpreter.query.query import QueryRunner
from unify.interpreter.results import Message, Result, Rows, Watcher, listing_rows
from unify.interpreter.writing import row_checks, write_report
from unify.interpreter.writing.export_planner import ExportPlanner, export_name
from unify.interpreter.writing.plan import WritePlan, check_removals, use_declared_names
from unify.interpreter.writing.returning import returned_rows, then_raise
from unify.interpreter.writing.row_source import RowSource
from unify.interpreter.writing.type_checks import type_problems
from unify.interpreter.writing.undo_planner import UndoPlanner
from unify.lake import catalog
from unify.language.commands import ExportMail, ExportRows
from unify.language.sql import tables
from unify.language.sql.analysis import StatementKind, analyse
from unify.language.sql.merge_statement import MergeStatement, parse_merge_statement
from unify.language.sql.refs import TableRef
from unify.language.sql.write_statement import WriteStatement, parse_write_statement
from unify.model import JobState, LoaderJob, RowState, TableName, WriteState
from unify.text import format_count
from unify.writes.records import NewWrite, Write, WriteRow
from unify.writes.store import WriteStore

MAX_WRITES = 1_000  # rows of one statement, without --max-writes
RETRIED_STATES = (RowState.REJECTED, RowState.NOT_SENT)


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
        self.store = store
        self._watcher = watcher
        self._options = options
        self._wait = wait
        self._now = now

    def run_statement(self, sql: str, max_age: MaxAge) -> Result | None:
        """Run or explain a statement that writes rows to a table of an API; None for any other one."""
        is_explained = analyse(sql).kind is StatementKind.EXPLAIN
        text = tables.unwrap_statement(sql) if is_explained else sql
        statement = parse_write_statement(text) or parse_merge_statement(text)
        target = self._find_target(statement.target) if statement is not None else None
        if statement is None or target is None:
            return None
        if is_explained:
            return self.explain(statement, target, max_age)
        return self.run(statement, target, max_age)

    def _find_target(self, ref: TableRef) -> TableName | None:
        """Return the table of an API that a statement writes to; None for other tables.

        Raises UnknownName for a table that neither the API nor the lake has.
        """
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

    def run(self, statement: WriteStatement | MergeStatement, target: TableName, max_age: MaxAge) -> Result:
        """Plan a statement, have it approved, send its rows and report.

        Raises:
            QueryError: something cannot be written; nothing was sent.
            UsageError: a script without --yes; the message is the plan.
            LoadFailed: rows were refused, or nobody knows what became of them.
        """
        self._refuse_transaction(target)
        return self._carry_out(self._plan_statement(statement, target, max_age), statement.returning)

    def propose(self, sql: str, max_age: MaxAge, requested_by: str) -> tuple[Write, str]:
        """Plan a statement for a person to approve; return the write, and the plan in words.

        Raises QueryError: it writes to no table of an API, or something cannot be written.
        """
        statement = parse_write_statement(sql)
        target = self._find_target(statement.target) if statement is not None else None
        if statement is None or target is None:
            raise QueryError("only INSERT, UPDATE and DELETE of a table that can be written are planned")
        self._refuse_transaction(target)
        plan = self._plan_statement(statement, target, max_age)
        if not plan.rows:
            raise QueryError(f"{target}: no rows to write")
        return self._seal(plan, requested_by), self.plan_text(plan)

    def explain(self, statement: WriteStatement | MergeStatement, target: TableName, max_age: MaxAge) -> Rows:
        """Return the plan of a statement; nothing is planned or sent."""
        return self._explain(self._plan_statement(statement, target, max_age))

    def export_rows(self, command: ExportRows, max_age: MaxAge) -> Result:
        """Write the rows of a SELECT to a table of an API. Raises as ``run`` does."""
        plan = self.plan_export(command, max_age)
        return self._explain(plan) if command.explain else self._carry_out(plan)

    def plan_export(self, command: ExportRows, max_age: MaxAge) -> WritePlan:
        """Plan to write the rows of a SELECT. Raises QueryError or UsageError for what must not be sent."""
        target = self._connections.canonical_name(command.table)
        self._refuse_transaction(target)
        spec = self._describe(target)
        tenant, name = self._load_client.settings.tenant, export_name(command, target)
        written = self.store.written_rows(tenant, target, name) if name else {}
        planner = ExportPlanner(command, target, spec, written, name=name)
        plan = planner.plan(self._query, max_age, self._options.max_writes)
        self._check_plan(plan, spec)
        return plan

    def send_plan(self, plan: WritePlan) -> tuple[Write, Mapping[RowState, int], str]:
        """Send an approved plan; return the write, its rows by state, and why any failed.

        Raises LoadFailed if it is sent later.
        """
        write = self._seal(plan)
        self.store.approve(write.id, getpass.getuser(), self._now())
        ended = self._wait_until_ended(write, self._load_client.enqueue_write(write.table))
        counts = self.store.counts(write.id)
        return ended, counts, _first_reason(self.store.rows(write.id)).removeprefix("; ")

    def export_mail(self, command: ExportMail, max_age: MaxAge) -> Result:
        """Send the rows of a SELECT as a mail. Raises as ``run`` does."""
        from unify.interpreter.writing.mail_planner import MailPlanner  # imports what only mails need

        plan = MailPlanner(self._query, self._connections).plan(command, max_age)
        self._refuse_transaction(plan.target)
        self._check_plan(plan, self._describe(plan.target))
        return self._explain(plan) if command.explain else self._carry_out(plan)

    def undo(self, id: int) -> Result:
        """Plan and send the write that takes a write back. Raises as ``run`` does."""
        write = self._get(id)
        if write.state in (WriteState.PLANNED, WriteState.APPROVED, WriteState.RUNNING):
            raise UnknownName(f"write {id} is {write.state}; cancel write {id}")
        target, spec = write.table, self._describe(write.table)
        stored = target in catalog.stored_tables(self._query.lake)
        undone = UndoPlanner(target, spec, stored=stored).plan(self._query, self.store.rows(id))
        problems = row_checks.listed(undone.problems)
        if not undone.rows:
            reason = f":\n  {problems}" if problems else ": it has written no row"
            raise QueryError(f"{target}: write {id} cannot be taken back{reason}")
        remarks = [f"left as they are:\n  {problems}"] if problems else []
        if not stored:
            remarks.append(f"whether rows were changed since is not known: {target} is not stored")
        plan = WritePlan(target, "undo", undone.rows, remarks=remarks, name=write.name, undo_of=id)
        self._check_plan(plan, spec)
        return self._carry_out(plan)

    def approve(self, id: int) -> Result:
        """Send a planned write. Raises UnknownName, LoadFailed."""
        write = self._get(id)
        approved = self.store.approve(id, getpass.getuser(), self._now())
        if approved is None:
            raise UnknownName(f"write {id} is {write.state}; only a planned write can be approved")
        return self._send(approved)

    def retry(self, id: int, state: RowState | None) -> Result:
        """Send again the rows of an ended write that are in ``state``; None: refused and not sent.

        Raises UnknownName, LoadFailed.
        """
        write = self._get(id)
        states = RETRIED_STATES if state is None else (state,)
        counts = self.store.counts(id)
        if not any(counts.get(state) for state in states):
            wanted = " or ".join(states)
            raise UnknownName(
                f"write {id} has no row that is {wanted}: {write_report.outcome_text(write, counts)}"
            )
        reopened = self.store.reopen(id, states, getpass.getuser(), self._now())
        if reopened is None:
            raise UnknownName(f"write {id} is {write.state}; only one that has ended can be retried")
        return self._send(reopened)

    def cancel(self, id: int) -> Result:
        """End a write; rows that were sent keep their outcome. Raises UnknownName."""
        write = self._get(id)
        cancelled = self.store.cancel(id, self._now())
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
        for write in self.store.recent(self._query.load_client.settings.tenant, 50):
            counts = self.store.counts(write.id)
            outcome = ", ".join(f"{count:,} {state}" for state, count in counts.items())
            head = (write.id, str(write.table), write.mode, write.state.value, write.rows)
            rows.append((*head, outcome, write.created_at, write.error))
        return listing_rows(columns, rows)

    # Planning

    def _describe(self, target: TableName) -> WriteSpec:
        connection = self._connections.connection(target.schema)
        return registry.describe_write(connection, self._connections.settings.specs, target.table)

    def _refuse_transaction(self, target: TableName) -> None:
        if self._query.lake.in_transaction:
            raise QueryError(
                f"cannot write to {target} inside a transaction: what is sent cannot be rolled back; "
                "commit or roll back first"
            )

    def _plan_statement(
        self, statement: WriteStatement | MergeStatement, target: TableName, max_age: MaxAge
    ) -> WritePlan:
        spec = self._describe(target)
        row_checks.check_statement(target, spec, statement)
        limit = self._options.max_writes
        rows, note = RowSource(self._query, max_age).read(statement, target, spec.key, limit + 1)
        if len(rows) > limit:
            raise QueryError(row_checks.too_many_rows(target, limit))
        plan = WritePlan(target, statement.operation, use_declared_names(spec, rows), note)
        self._check_plan(plan, spec)
        return plan

    def _check_plan(self, plan: WritePlan, spec: WriteSpec) -> None:
        """Raise QueryError or UsageError for what cannot be sent, or must not be."""
        row_checks.check_row_columns(plan.target, spec, plan.rows)
        row_checks.refuse(plan.target, list(type_problems(self._query.lake, spec, plan.rows)))
        is_script = self._watcher.user_prompt() is None
        check_removals(plan, self._options.max_deletes, is_script=is_script)
        with self._open_writer(plan.target) as writer:
            row_checks.check_rows(plan.target, spec, plan.rows, writer)

    def plan_text(self, plan: WritePlan) -> str:
        """Return a plan in words, with its first requests."""
        with self._open_writer(plan.target) as writer:
            return write_report.plan_text(plan, writer)

    def _explain(self, plan: WritePlan) -> Rows:
        columns = [("explain_key", "VARCHAR"), ("explain_value", "VARCHAR")]
        return listing_rows(columns, [("write", self.plan_text(plan))], "nothing was sent")

    def _carry_out(self, plan: WritePlan, returning: str = "") -> Result:
        """Seal a plan, have it approved and send it."""
        if not plan.rows:
            remarks = "".join(f"; {remark}" for remark in plan.remarks)
            return Message(f"{plan.target}: no rows to write{remarks}")
        write = self._seal(plan)
        self._require_approval(write, f"write {write.id}: {self.plan_text(plan)}")
        return self._send(write, returning)

    def _seal(self, plan: WritePlan, requested_by: str = "") -> Write:
        settings = self._load_client.settings
        new = NewWrite(
            settings.tenant,
            plan.target,
            plan.mode,
            self._connections.origin,
            requested_by=requested_by or getpass.getuser(),
            name=plan.name,
            undo_of=plan.undo_of,
            refreshes=plan.target in catalog.stored_tables(self._query.lake),
        )
        return self.store.plan(new, plan.rows, self._now())

    def _require_approval(self, write: Write, plan: str) -> None:
        """Approve a plan, or raise UsageError with it."""
        if not self._options.yes:
            answer = self._watcher.ask_user(f"{plan}\nSend it? [y/N] ")
            if answer is None:
                raise UsageError(
                    f"{plan}\nnothing was sent; send it with --yes, or at a prompt: approve write {write.id}"
                )
            if answer.strip().lower() not in ("y", "yes"):
                self.store.cancel(write.id, self._now())
                raise QueryError(f"write {write.id} was not approved; nothing was sent")
        self.store.approve(write.id, getpass.getuser(), self._now())

    # Sending

    def _send(self, write: Write, returning: str = "") -> Result:
        job = self._load_client.enqueue_write(write.table)
        if not self._wait:
            return Message(f"write {write.id}: {format_count(write.rows, 'row')} on the way to {write.table}")
        ended = self._wait_until_ended(write, job)
        counts = self.store.counts(write.id)
        text = write_report.outcome_text(ended, counts)
        failure = self._failure_text(ended, counts)
        if not returning and failure:
            raise LoadFailed(f"{text}{failure}")
        if not returning:
            return Message(text)
        rows = returned_rows(self._query.lake, returning, self.store.rows(write.id))
        return then_raise(rows, LoadFailed(f"{text}{failure}")) if failure else rows

    def _failure_text(self, write: Write, counts: Mapping[RowState, int]) -> str:
        """Why a write is no success; "" if it is one."""
        if write.error:
            return f": {write.error}"
        if not write_report.has_failures(counts):
            return ""
        reason = _first_reason(self.store.rows(write.id))
        return f"{reason}; select * from unify.write_rows where write = {write.id}"

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
            if reason and self._load_client.queue.get(job.id).state is not JobState.CANCELLED:
                raise LoadFailed(f"write {write.id} is approved, and is sent later: {reason}")
            job = self._load_client.enqueue_write(write.table)  # it was approved while the last job ended

    def _get(self, id: int) -> Write:
        found = self.store.find(id)
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


def _first_reason(rows: Sequence[WriteRow]) -> str:
    return next((f"; row {row.planned.number}: {row.message}" for row in rows if row.message), "")
