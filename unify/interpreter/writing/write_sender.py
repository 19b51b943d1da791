"""Sends planned writes: seals a plan, has it approved, queues its job, waits for the outcome."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from unify.adapters.base import TableWriter
from unify.adapters.write_target import changed_part, describe_target
from unify.errors import LoadFailed, QueryError, UnknownName, UsageError
from unify.interpreter import adapter_access
from unify.interpreter.query.load_client import LoadClient
from unify.interpreter.query.query import QueryRunner
from unify.interpreter.results import Message, Result, Watcher
from unify.interpreter.writing import write_report
from unify.interpreter.writing.plan import WriteOptions, WritePlan
from unify.interpreter.writing.returning import returned_rows, then_raise
from unify.lake import catalog
from unify.model import JobState, LoaderJob, RowState, TableName, WriteState, WriteTarget
from unify.text import format_count
from unify.writes.records import NewWrite, Write, WriteRow
from unify.writes.store import WriteStore


class WriteSender:
    """Sends the writes of one session. ``wait``: until their rows are sent."""

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

    def get(self, id: int) -> Write:
        found = self._store.find(id)
        if found is None or found.tenant != self._load_client.settings.tenant:
            raise UnknownName(f"there is no write {id} (show writes lists them)")
        return found

    def target_of(self, table: TableName) -> WriteTarget:
        """Return what rows of a table are written to now."""
        connection, folders = self._connections.connection(table.schema), self._connections.settings.specs
        environment, home = self._connections.environment, self._load_client.settings.home
        return describe_target(connection, folders, environment, table.table, home=home)

    def refuse_other_account(self, what: str, planned: WriteTarget, table: TableName, advice: str) -> None:
        """Raise QueryError if ids in ``planned`` may mean rows of another account by now."""
        if part := changed_part(planned, self.target_of(table), options_only=True):
            raise QueryError(
                f"{table}: {part} of {table.schema} was changed since {what}, and may be that of another "
                f"account; {advice}"
            )

    def plan_text(self, plan: WritePlan) -> str:
        """Return a plan in words, with its first requests."""
        with self.open_writer(plan.target) as writer:
            return write_report.plan_text(plan, writer)

    def seal(self, plan: WritePlan, requested_by: str = "") -> Write:
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
            target=self.target_of(plan.target),
            baseline=plan.baseline,
            is_matched=plan.is_matched,
        )
        return self._store.plan(new, plan.rows, self._now())

    def require_approval(self, write: Write, plan: str) -> None:
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

    def send(self, write: Write, returning: str = "") -> Result:
        job = self._load_client.enqueue_write(write.table)
        if not self._wait:
            return Message(f"write {write.id}: {format_count(write.rows, 'row')} on the way to {write.table}")
        ended = self._wait_until_ended(write, job)
        counts = self._store.counts(write.id)
        text = write_report.outcome_text(ended, counts)
        failure = self._failure_text(ended, counts)
        if not returning and failure:
            raise LoadFailed(f"{text}{failure}")
        if not returning:
            return Message(text)
        rows = returned_rows(self._query.lake, returning, self._store.rows(write.id))
        return then_raise(rows, LoadFailed(f"{text}{failure}")) if failure else rows

    def _failure_text(self, write: Write, counts: Mapping[RowState, int]) -> str:
        """Why a write is no success; "" if it is one."""
        if write.error:
            return f": {write.error}"
        if not write_report.has_failures(counts):
            return ""
        reason = _first_reason(self._store.rows(write.id))
        return f"{reason}; select * from unify.write_rows where write = {write.id}"

    def _wait_until_ended(self, write: Write, job: LoaderJob) -> Write:
        """Wait for the outcome. Raises LoadFailed if it is sent later, as while its connection is paused."""
        while True:
            reason = ""
            try:
                self._load_client.wait([job])
            except LoadFailed as error:
                reason = error.message
            current = self.get(write.id)
            if current.state not in (WriteState.APPROVED, WriteState.RUNNING):
                return current
            if reason and self._load_client.queue.get(job.id).state is not JobState.CANCELLED:
                raise LoadFailed(f"write {write.id} is approved, and is sent later: {reason}")
            job = self._load_client.enqueue_write(write.table)  # it was approved while the last job ended

    def send_plan(self, plan: WritePlan) -> tuple[Write, Mapping[RowState, int], str]:
        """Send an approved plan; return the write, its rows by state, and why any failed.

        Raises LoadFailed if it is sent later.
        """
        write = self.seal(plan)
        self._store.approve(write.id, getpass.getuser(), self._now())
        ended = self._wait_until_ended(write, self._load_client.enqueue_write(write.table))
        counts = self._store.counts(write.id)
        return ended, counts, _first_reason(self._store.rows(write.id)).removeprefix("; ")

    @contextmanager
    def open_writer(self, target: TableName) -> Iterator[TableWriter]:
        connection = self._connections.connection(target.schema)
        with (
            adapter_access.open_adapter(self._connections, connection) as adapter,
            adapter.open_writer(target.table) as writer,
        ):
            yield writer


def _first_reason(rows: Sequence[WriteRow]) -> str:
    return next((f"; row {row.planned.number}: {row.message}" for row in rows if row.message), "")
