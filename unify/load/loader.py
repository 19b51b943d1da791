"""One load: from a task to a sealed attempt. Runs in a worker process.

plan    what to read, and what becomes of the rows stored before
fetch   the adapter gives pages of undecoded rows
stage   they go to files, typed and flattened
seal    a manifest says that these files are the whole load

What is worth knowing of how a source was read, beside its rows: for the reason of a load.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from time import monotonic

from unify.adapters import registry
from unify.adapters.base import Adapter, Listeners, Page, TableConfig, Traffic
from unify.config.connections import Connection
from unify.config.settings import Settings
from unify.convert.preview import column_rules
from unify.convert.stage import RowStage, StageResult
from unify.errors import StoreError, UnknownName
from unify.fs.failpoints import failpoint
from unify.lake import catalog, column_paths, ledger
from unify.lake.lake import Lake
from unify.load.environment import find_connection
from unify.load.plan import (
    LoadPlan,
    make_load_plan,
    read_parent_rows,
    read_stored_columns,
    restrict_to_lake_files,
)
from unify.load.protocol import LoadTask, TaskResult, TaskStatus
from unify.load.staging import Manifest, commit_staged_load
from unify.load.worker import Reporter
from unify.model import DETECTED_PAGING_PREFIX, Column, LoadRecord, TableDef, TableName
from unify.text import did_you_mean, format_count


class LoadRunner:
    """What workers run. Keeps one lake open for all its loads: opening one costs more than a small load."""

    def __init__(self, home: Path, tenant: str) -> None:
        self._settings = Settings(home, home / "connections.yaml", tenant=tenant)
        self._lake: Lake | None = None

    def prepare(self) -> None:
        self._open_lake()

    def __call__(self, task: LoadTask, reporter: Reporter) -> TaskResult:
        try:
            return TableLoader(task, reporter, self._open_lake()).load()
        except StoreError:
            self.close()  # perhaps the lake was replaced; the next load opens it anew
            raise

    def close(self) -> None:
        if self._lake is not None:
            self._lake.close()
            self._lake = None

    def _open_lake(self) -> Lake:
        """A lake that can be read and nothing else: SQL of specs runs on it."""
        if self._lake is None:
            self._lake = Lake(self._settings, read_only=True)
            restrict_to_lake_files(self._lake)
        return self._lake


@dataclass(frozen=True, slots=True)
class LoadSource:
    """Where the rows come from: the connection, and what its adapter says of the table."""

    connection: Connection
    table: TableDef
    config: TableConfig


class TableLoader:
    """Carries out one task: one table, one action, one attempt."""

    def __init__(self, task: LoadTask, reporter: Reporter, lake: Lake) -> None:
        self.task = task
        self.reporter = reporter
        self.lake = lake
        self.notes = LoadNotes()
        self.spec_folders = [Path(folder) for folder in task.origin.specs]
        self.started_at = monotonic()

    def load(self) -> TaskResult:
        """Stage every row the source has for this load, and seal them.

        Memory  some pages and the converter's chunks, whatever the size of the table.
        Raises  UnifyError; then the attempt is not sealed, and the published table stays as it is.
        """
        source = self._find_source()
        with self.lake.read_transaction():
            missing = self._missing_parents(source)
            if missing:
                return self._make_result(TaskStatus.MISSING_PARENTS, missing=missing)
            last = ledger.latest_load(self.lake, self.task.table)
            known = read_stored_columns(self.lake, self.task.table, last)
            paths = column_paths.read_paths(self.lake, self.task.table) if known else {}
            plan = self._make_plan(source, last)
        sealed = self._stage_rows(source, plan, known, paths)
        self.notes.add_rows_without_cursor(sealed.rows_without_cursor, plan.cursor_column)
        failpoint("loader.staged")
        commit_staged_load(Path(self.task.folder), self._build_manifest(source, plan, sealed))
        failpoint("loader.sealed")
        return self._make_result(TaskStatus.STAGED, every_s=source.table.refresh_every_s)

    def _find_source(self) -> LoadSource:
        """The table's description. Raises UnknownName where connection or spec do not have it."""
        name = self.task.table
        connection = find_connection(self.task.origin, name)
        tables = registry.describe_adapter(connection, self.spec_folders)
        table = next((known for known in tables if known.name == name.table), None)
        handling = registry.describe_table_config(connection, self.spec_folders, name.table)
        if table is None or handling is None:
            hint = did_you_mean(name.table, [known.name for known in tables])
            raise UnknownName(f"connection {name.schema} has no table {name.table}{hint}")
        return LoadSource(connection, table, handling)

    def _missing_parents(self, source: LoadSource) -> tuple[TableName, ...]:
        """The tables this one is made from, as far as they have no rows yet."""
        parents = [TableName(self.task.table.schema, parent) for parent in source.table.parents]
        stored = catalog.stored_tables(self.lake) if parents else {}
        return tuple(parent for parent in parents if parent not in stored)

    def _make_plan(self, source: LoadSource, last: LoadRecord | None) -> LoadPlan:
        for_each = source.config.for_each
        if for_each is None or for_each.query is None:
            return make_load_plan(self.task.action, source.config, last, ())
        parents = read_parent_rows(self.lake, self.task.table, for_each.query)
        return make_load_plan(self.task.action, source.config, last, parents)

    def _stage_rows(
        self,
        source: LoadSource,
        plan: LoadPlan,
        stored_columns: Sequence[Column],
        stored_paths: column_paths.ColumnPaths,
    ) -> StageResult:
        """Fetch page after page; a page is in a file before it is counted."""
        folder = Path(self.task.folder)
        with (
            closing(self._open_adapter(source)) as adapter,
            RowStage(
                folder,
                column_rules(source.config),
                stored_columns,
                stored_paths,
                replaces_rows=plan.strategy == "reload",
            ) as stage,
        ):
            for page in adapter.pages(source.table.name, plan.read):
                stage.write(page.rows, page.variables, page.scope)
                self._count_page(page)
            return stage.finish()

    def _open_adapter(self, source: LoadSource) -> Adapter:
        return registry.open_adapter(
            source.connection,
            self.spec_folders,
            self.task.environment,
            listeners=Listeners(
                self._record_request,
                self._record_wait,
                self.notes.add_skipped_request,
                self.notes.add_detected_paging,
            ),
            limits_folder=self.lake.settings.cache / "limits",
            tokens_folder=self.lake.settings.token_folder,
            redactor=self.reporter.redactor,
        )

    def _build_manifest(self, source: LoadSource, plan: LoadPlan, staged: StageResult) -> Manifest:
        progress = self.reporter.progress
        return Manifest(
            files=tuple(path.name for path in staged.files),
            columns=staged.columns,
            rows=staged.rows,
            strategy=plan.strategy,
            discarded=staged.discarded,
            discarded_file=staged.discarded_file.name if staged.discarded_file else "",
            cursors=plan.next_cursors(staged.cursors),
            requests=progress.requests,
            bytes=progress.bytes,
            seconds=monotonic() - self.started_at,
            key=source.table.key,
            description=source.table.description,
            declared=tuple(column.name for column in source.config.columns if column.type),
            cursor_column=plan.cursor_column,
            based_on=plan.based_on,
            remarks=tuple(map(self.reporter.redactor.redact, self.notes.note_texts())),
            column_paths=staged.paths,
        )

    def _count_page(self, page: Page) -> None:
        self.reporter.update(
            lambda progress: replace(
                progress,
                rows=progress.rows + len(page.rows),
                pages=progress.pages + 1,
                pages_total=page.pages_total or progress.pages_total,
            )
        )

    def _record_request(self, traffic: Traffic) -> None:
        self.reporter.update(
            lambda progress: replace(
                progress, requests=progress.requests + 1, bytes=progress.bytes + traffic.bytes
            )
        )
        self.reporter.add_request(traffic.to_record(self.task.job))

    def _record_wait(self, until: datetime | None) -> None:
        self.reporter.update(lambda progress: replace(progress, waiting_until=until), urgent=True)

    def _make_result(
        self, status: TaskStatus, *, missing: tuple[TableName, ...] = (), every_s: float | None = None
    ) -> TaskResult:
        progress = self.reporter.progress
        return TaskResult(
            self.task.job, self.task.attempt, status, progress, missing=missing, every_s=every_s
        )


MAX_PAGING_NOTES = 3  # ways of paging told; parents may differ


class LoadNotes:
    """Gathers what an adapter tells while it reads. Called from any of its threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._skipped_by_status: Counter[int] = Counter()
        self._detected_paging: dict[str, None] = {}
        self._cursor_note = ""

    def add_skipped_request(self, status: int) -> None:
        """A request had no rows because the spec says so."""
        with self._lock:
            self._skipped_by_status[status] += 1

    def add_detected_paging(self, paging: str) -> None:
        """``paging: auto`` has found this out."""
        with self._lock:
            self._detected_paging[paging] = None

    def add_rows_without_cursor(self, rows: int, column: str) -> None:
        """So many rows have nothing in ``column`` that says where the next load begins."""
        if rows:
            self._cursor_note = f"{format_count(rows, 'row')} without a usable {column}"

    def note_texts(self) -> tuple[str, ...]:
        """``2 requests skipped (status 404)``, most frequent first."""
        with self._lock:
            skipped = [
                f"{format_count(number, 'request')} skipped (status {status})"
                for status, number in self._skipped_by_status.most_common()
            ]
            found = [
                f"{DETECTED_PAGING_PREFIX}: {paging}"
                for paging in list(self._detected_paging)[:MAX_PAGING_NOTES]
            ]
            return (*skipped, *filter(None, [self._cursor_note]), *found)
