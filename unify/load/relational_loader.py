"""One load of a table of a database or store: from a task to a committed staging folder.

The rows go from the source to Parquet within DuckDB, without JSON between. The statements are those of
``RelationalAdapter.plan_load``, which also sees to one consistent snapshot. An attempt that fails leaves
nothing that the next one could continue: it would read another snapshot.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

from msgspec.structs import replace

from unify.adapters import registry
from unify.adapters.relation import RelationalAdapter, SourceLoad, SourceTable
from unify.adapters.table_settings import check_settings
from unify.config.connection_tables import TableSettings
from unify.config.connections import Connection
from unify.errors import UnifyError, UnknownName
from unify.fs.failpoints import failpoint
from unify.lake.lake import Lake
from unify.load.limits import TABLE_ADVICE, limit_time, load_limits
from unify.load.protocol import LoadTask, TaskResult, TaskStatus
from unify.load.relational_plan import (
    StoredState,
    check_has_columns,
    make_request,
    read_stored_state,
    spelled_types,
)
from unify.load.relational_stage import CopiedParts, PartStage, StagedParts, next_cursors
from unify.load.staging import Manifest, commit_staged_load
from unify.load.worker import Reporter
from unify.model import Action
from unify.text import did_you_mean, format_count


class RelationalLoad:
    """One attempt to copy a table."""

    def __init__(self, task: LoadTask, connection: Connection, reporter: Reporter, lake: Lake) -> None:
        self._task = task
        self._connection = connection
        self._reporter = reporter
        self._lake = lake
        self._began = monotonic()
        self._limits = load_limits(connection, None, TABLE_ADVICE)

    def run(self) -> TaskResult:
        """Stage every row of the load, and commit the staging folder. Raises UnifyError."""
        task, folder = self._task, Path(self._task.folder)
        stored = read_stored_state(self._lake, task.table)
        adapter = registry.open_relational(self._connection, task.environment, self._reporter.redactor)
        memory_bytes = self._lake.settings.worker_memory_bytes
        with closing(adapter), PartStage(folder, self._report, memory_bytes) as stage:

            def cancel() -> None:
                with suppress(UnifyError), closing(stage.duck.cursor()) as cursor:  # not attached, or lost
                    adapter.cancel(cursor)

            limited = limit_time(self._limits.time, self._seconds, str(task.table), cancel)
            with limited, _cancel_on_termination(cancel):
                manifest, settings = self._stage(adapter, stage, stored, cancel)
        failpoint("loader.staged")
        commit_staged_load(folder, manifest)
        failpoint("loader.sealed")
        every_s = self._connection.refresh.get(task.table.table, settings.every_s)
        return TaskResult(task.job, task.attempt, TaskStatus.STAGED, self._reporter.progress, every_s=every_s)

    def _stage(
        self, adapter: RelationalAdapter, stage: PartStage, stored: StoredState, cancel: Callable[[], None]
    ) -> tuple[Manifest, TableSettings]:
        adapter.attach(stage.duck)
        table = self._find_table(adapter, stage)
        settings = adapter.settings_of(table.name)
        check_settings(self._connection, table, settings)
        types = spelled_types(stage.duck, table)
        action, now = self._task.action, datetime.now(UTC)
        request, note = make_request(action, table, settings, stored, types=types, now=now)
        with adapter.plan_load(stage.duck, table, request) as load:
            failpoint("relational.snapshot")
            self._expect_rows(load)
            staged = stage.stage(load, cancel)
        self._reporter.update(lambda progress: replace(progress, rows=staged.rows), urgent=True)
        full = self._task.action is Action.REFRESH and load.strategy == "reload" and bool(stored.cursors)
        based_on = stored.last_load if request.action is Action.REFRESH and load.strategy != "reload" else ""
        return self._make_manifest(load, staged, note, based_on=based_on, full=full), settings

    def _find_table(self, adapter: RelationalAdapter, stage: PartStage) -> SourceTable:
        name = self._task.table
        table = adapter.find_table(stage.duck, name.table)
        if table is None:
            known = [known.name for known in adapter.list_tables(stage.duck)]
            raise UnknownName(
                f"connection {name.schema} has no table {name.table}{did_you_mean(name.table, known)}"
            )
        check_has_columns(table, name)
        return table

    def _make_manifest(
        self, load: SourceLoad, staged: StagedParts, note: str, *, based_on: str, full: bool
    ) -> Manifest:
        notes = [*([note] if note else []), *load.notes, *_cursor_notes(load, staged)]
        return Manifest(
            files=tuple(path.name for path in staged.files),
            columns=staged.columns,
            rows=staged.rows,
            strategy=load.strategy,
            discarded_file=staged.rejected_file.name if staged.rejected_file and staged.rejected else "",
            nulled=staged.rejected,
            cursors=next_cursors(load, staged),
            bytes=staged.bytes,
            seconds=monotonic() - self._began,
            key=load.key,
            description=load.table.description,
            declared=tuple(column.name for column in staged.columns),
            cursor_column=load.cursor_column,
            based_on=based_on,
            notes=tuple(map(self._reporter.redactor.redact, notes)),
            full=full,
            replaced=load.removed,
            key_file=staged.key_file.name if staged.key_file else "",
            key_rows=staged.key_rows,
            may_shrink=self._connection.shrink.get(self._task.table.table) == "allow",
            is_whole_schema=True,
            is_whole_state=True,
        )

    def _expect_rows(self, load: SourceLoad) -> None:
        """Report how many rows there will be, if that is known."""
        expected = load.table.approximate_rows if load.strategy == "reload" else None
        self._reporter.update(lambda progress: replace(progress, rows_total=expected), urgent=True)

    def _seconds(self) -> float:
        return monotonic() - self._began

    def _report(self, copied: CopiedParts) -> None:
        self._reporter.update(lambda progress: replace(progress, rows=copied.rows, bytes=copied.bytes))
        table = str(self._task.table)
        self._limits.time.check(self._seconds(), table)
        self._limits.rows.check(copied.rows, table)
        self._limits.bytes.check(copied.bytes, table)


def _cursor_notes(load: SourceLoad, staged: StagedParts) -> Iterator[str]:
    name = load.cursor_column
    if staged.rows_without_cursor:
        yield (
            f"{format_count(staged.rows_without_cursor, 'row')} without a usable {name}, "
            "which each refresh reads again"
        )
    if staged.rows_in_advance:
        yield (
            f"{format_count(staged.rows_in_advance, 'row')} with {name} after {load.cursor_limit}, "
            "which the next refresh reads again because open transactions may still add earlier rows"
        )


@contextmanager
def _cancel_on_termination(cancel: Callable[[], None]) -> Iterator[None]:
    """End the statements at the source before SIGTERM ends this process: the server would go on otherwise."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def terminate(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        try:
            cancel()
        finally:
            os.kill(os.getpid(), number)

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
