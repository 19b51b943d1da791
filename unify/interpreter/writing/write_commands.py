"""Runs statements that write rows to an API: plan, approval, sending, outcome.

Nothing is sent before the plan was shown and approved: by the user at the prompt, by ``--yes`` in a script,
or by ``approve write`` later. What is sent is the sealed plan, whatever its SELECT would give by then.
"""

from __future__ import annotations

import getpass
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from unify.adapters import registry
from unify.adapters.spec.write import WriteSpec
from unify.adapters.write_target import changed_part
from unify.errors import QueryError, UnknownName
from unify.interpreter.freshness import MaxAge
from unify.interpreter.query.load_client import LoadClient
from unify.interpreter.query.query import QueryRunner
from unify.interpreter.results import Message, Result, Rows, Watcher, listing_rows
from unify.interpreter.writing import row_checks, write_report
from unify.interpreter.writing.export_planner import ExportPlanner, WriteHistory, export_name
from unify.interpreter.writing.plan import WriteOptions, WritePlan, check_removals, use_declared_names
from unify.interpreter.writing.row_source import RowSource
from unify.interpreter.writing.rows_to_write import refresh_after_write
from unify.interpreter.writing.undo_planner import UndoPlanner
from unify.interpreter.writing.write_sender import WriteSender
from unify.lake import catalog
from unify.language.commands import ExportMail, ExportRows
from unify.language.sql import tables
from unify.language.sql.analysis import StatementKind, analyse
from unify.language.sql.merge_statement import MergeStatement, parse_merge_statement
from unify.language.sql.refs import TableRef
from unify.language.sql.write_statement import WriteStatement, parse_write_statement
from unify.model import RowState, TableName, WriteState, WriteTarget
from unify.writes.records import Write, WrittenRow
from unify.writes.store import WriteStore

RETRIED_STATES = (RowState.REJECTED, RowState.NOT_SENT)


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
        self._now = now
        self.sender = WriteSender(query, load_client, store, watcher, options=options, wait=wait, now=now)

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
        return self.sender.seal(plan, requested_by), self.sender.plan_text(plan)

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
        planner = ExportPlanner(command, target, spec, name=name)
        baseline = self.store.baseline(tenant, target, name, is_matched=planner.is_matched)
        history = WriteHistory(
            baseline if name or planner.is_matched else "",
            self._written_rows(target, name),
            self.store.last_sent_at(tenant, target, self._now()),
        )
        plan = planner.plan(self._query, max_age, self._options.max_writes, history)
        self._check_plan(plan, spec)
        return plan

    def _written_rows(self, target: TableName, name: str) -> Mapping[str, WrittenRow]:
        """Return what exports of a name have written. Raises QueryError if that may be another account's."""
        if not name:
            return {}
        tenant, written = self._load_client.settings.tenant, self.store.written
        for options in written.options(tenant, target, name):
            advice = f"give the export another name than {name}, or undo the change"
            self.sender.refuse_other_account(f"{name} was written", WriteTarget(options), target, advice)
        return written.rows(tenant, target, name)

    def export_mail(self, command: ExportMail, max_age: MaxAge) -> Result:
        """Send the rows of a SELECT as a mail. Raises as ``run`` does."""
        from unify.interpreter.writing.mail_planner import MailPlanner  # imports what only mails need

        plan = MailPlanner(self._query, self._connections).plan(command, max_age)
        self._refuse_transaction(plan.target)
        self._check_plan(plan, self._describe(plan.target))
        return self._explain(plan) if command.explain else self._carry_out(plan)

    def undo(self, id: int) -> Result:
        """Plan and send the write that takes a write back. Raises as ``run`` does."""
        write = self.sender.get(id)
        if write.state in (WriteState.PLANNED, WriteState.APPROVED, WriteState.RUNNING):
            raise UnknownName(f"write {id} is {write.state}; cancel write {id}")
        self._refuse_transactions_of_databases(write, "undo")
        target, spec = write.table, self._describe(write.table)
        self.sender.refuse_other_account(f"write {id}", write.target, target, "undo the change first")
        stored = target in catalog.stored_tables(self._query.lake)
        taken_back = self.store.rows_taken_back(id)
        rows = [row for row in self.store.rows(id) if row.planned.number not in taken_back]
        if taken_back and not rows:
            raise QueryError(f"{target}: write {id} has been taken back already")
        undone = UndoPlanner(target, spec, stored=stored).plan(self._query, rows)
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

    def approve(self, id: int, approved_by: str = "") -> Result:
        """Send a planned write, approved by the user of this process unless another name is given.

        Raises UnknownName, LoadFailed.
        """
        write = self.sender.get(id)
        if part := changed_part(write.target, self.sender.target_of(write.table)):
            raise QueryError(
                f"{write.table}: {part} was changed since write {id} was planned; plan it again: "
                f"cancel write {id}, and run the statement again"
            )
        approved = self.store.approve(id, approved_by or getpass.getuser(), self._now())
        if approved is None:
            raise UnknownName(f"write {id} is {write.state}; only a planned write can be approved")
        return self.sender.send(approved)

    def retry(self, id: int, state: RowState | None) -> Result:
        """Send again the rows of an ended write that are in ``state``; None: refused and not sent.

        Raises UnknownName, LoadFailed.
        """
        write = self.sender.get(id)
        self._refuse_transactions_of_databases(write, "retry")
        states = RETRIED_STATES if state is None else (state,)
        counts = self.store.counts(id)
        if not any(counts.get(state) for state in states):
            wanted = " or ".join(states)
            has_unknown = counts.get(RowState.UNKNOWN)
            advice = f"; to send unknown rows again: retry write {id} unknown" if has_unknown else ""
            raise UnknownName(
                f"write {id} has no row that is {wanted}: {write_report.outcome_text(write, counts)}{advice}"
            )
        if write.approved_at is None:
            raise UnknownName(f"write {id} was never approved: run its statement again")
        self.sender.refuse_other_account(f"write {id}", write.target, write.table, "undo the change first")
        target = self.sender.target_of(write.table)
        reopened = self.store.reopen(id, states, target, getpass.getuser(), self._now())
        if reopened is None:
            raise UnknownName(f"write {id} is {write.state}; only one that has ended can be retried")
        return self.sender.send(reopened)

    def cancel(self, id: int) -> Result:
        """End a write; rows that were sent keep their outcome. Raises UnknownName."""
        write = self.sender.get(id)
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
            rows.append((*head, outcome, write.created_at, write.error or None))
        return listing_rows(columns, rows)

    # Planning

    def _refuse_transactions_of_databases(self, write: Write, verb: str) -> None:
        if self._connections.has(write.table.schema) and self._connections.is_relational(write.table.schema):
            raise QueryError(
                f"{verb} write {write.id}: it was one transaction of a database, all or nothing; "
                "write another statement"
            )

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
        limit, baseline = self._options.max_writes, ""
        if is_merge := isinstance(statement, MergeStatement):  # it inserts what the stored rows do not have
            tenant = self._load_client.settings.tenant
            baseline = self.store.baseline(tenant, target, "", is_matched=True)
            last_sent_at = self.store.last_sent_at(tenant, target, self._now())
            refresh_after_write(self._query, target, max_age, last_sent_at)
        rows, note = RowSource(self._query, max_age).read(statement, target, spec.key, limit + 1)
        if len(rows) > limit:
            raise QueryError(row_checks.too_many_rows(target, limit))
        named = use_declared_names(spec, rows)
        plan = WritePlan(target, statement.operation, named, note, baseline=baseline, is_matched=is_merge)
        self._check_plan(plan, spec)
        return plan

    def _check_plan(self, plan: WritePlan, spec: WriteSpec) -> None:
        """Raise QueryError or UsageError for what cannot be sent, or must not be."""
        row_checks.check_row_columns(plan.target, spec, plan.rows)
        row_checks.refuse(plan.target, list(row_checks.type_problems(self._query.lake, spec, plan.rows)))
        is_script = self._watcher.user_prompt() is None
        check_removals(plan, self._options.max_deletes, is_script=is_script)
        with self.sender.open_writer(plan.target) as writer:
            row_checks.check_rows(plan.target, spec, plan.rows, writer)

    def _explain(self, plan: WritePlan) -> Rows:
        columns = [("explain_key", "VARCHAR"), ("explain_value", "VARCHAR")]
        return listing_rows(columns, [("write", self.sender.plan_text(plan))], "nothing was sent")

    def _carry_out(self, plan: WritePlan, returning: str = "") -> Result:
        """Seal a plan, have it approved and send it."""
        if not plan.rows:
            remarks = "".join(f"; {remark}" for remark in plan.remarks)
            return Message(f"{plan.target}: no rows to write{remarks}")
        write = self.sender.seal(plan)
        self.sender.require_approval(write, f"write {write.id}: {self.sender.plan_text(plan)}")
        return self.sender.send(write, returning)
