"""One load: from a task to a committed staging folder. Runs in a worker process.

plan    what to read, and the strategy that combines it with the stored rows
read    the adapter yields pages of undecoded rows
stage   the pages become typed Parquet files
commit  the manifest declares the files to be the whole load
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic

from msgspec import Struct

from unify.adapters import registry
from unify.adapters.base import Adapter, Listeners, Page, TableConfig, Traffic
from unify.config.connections import Connection
from unify.config.settings import Settings
from unify.convert.preview import column_rules
from unify.convert.selection import StoredSchema
from unify.convert.stage import RowStage, StageResult
from unify.errors import StoreError, UnknownName
from unify.fs.failpoints import failpoint
from unify.lake import catalog, ledger
from unify.lake.lake import Lake
from unify.lake.table_layouts import TableLayout, read_layout
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
from unify.model import DETECTED_PAGING_PREFIX, Action, TableDef, TableName
from unify.text import did_you_mean, format_count

MAX_PAGING_NOTES = 3  # detected paging styles in the reason; parents may differ


class LoadRunner:
    """Runs the tasks of a worker. Keeps one lake open: opening it costs more than a small load."""

    def __init__(self, home: Path, tenant: str) -> None:
        self._settings = Settings(home, home / "connections.yaml", tenant=tenant)
        self._lake: Lake | None = None

    def prepare(self) -> None:
        registry.import_rest_adapter()
        self._open_lake()

    def __call__(self, task: LoadTask, reporter: Reporter) -> TaskResult:
        try:
            return TableLoader(task, reporter, self._open_lake()).load()
        except StoreError:
            self.close()  # the lake may have been replaced; the next load opens it again
            raise

    def close(self) -> None:
        if self._lake is not None:
            self._lake.close()
            self._lake = None

    def _open_lake(self) -> Lake:
        """Return the lake, opened for reading, with access to its own files only: SQL of specs runs on it."""
        if self._lake is None:
            self._lake = Lake(self._settings, read_only=True)
            restrict_to_lake_files(self._lake)
        return self._lake


class TableLoader(Struct, frozen=True):
    """One task: one table, one action, one attempt."""

    task: LoadTask
    reporter: Reporter
    lake: Lake

    def load(self) -> TaskResult:
        """Stage every row that the source has for this load, and commit the staging folder.

        Memory: some pages and the converter's chunks, whatever the size of the table.
        Raises UnifyError; the attempt is then not committed, and the stored table does not change.
        """
        return run_load(self.task, self.reporter, self.lake)


class LoadSource(Struct, frozen=True):
    """The source of the rows: the connection, and the table as its adapter describes it."""

    connection: Connection
    table: TableDef
    config: TableConfig


class ParentLoads(Struct, frozen=True):
    """The loads of parent tables that come first."""

    tables: tuple[TableName, ...]
    action: Action


class PlannedLoad(Struct, frozen=True):
    """The result of the first step."""

    source: LoadSource
    plan: LoadPlan
    stored: StoredSchema


def run_load(task: LoadTask, reporter: Reporter, lake: Lake) -> TaskResult:
    """Run one load, step by step; see `TableLoader.load`."""
    began = monotonic()
    planned = plan_load(task, lake)
    if not isinstance(planned, PlannedLoad):
        return TaskResult(
            task.job,
            task.attempt,
            TaskStatus.MISSING_PARENTS,
            reporter.progress,
            missing=planned.tables,
            parents_action=planned.action,
        )
    notes = LoadNotes()
    staged = read_and_stage(task, planned, reporter, notes, lake.settings)
    failpoint("loader.staged")
    manifest = build_manifest(planned, staged, reporter, notes, seconds=monotonic() - began)
    commit_staged_load(Path(task.folder), manifest)
    failpoint("loader.sealed")
    every_s = planned.source.table.refresh_every_s
    return TaskResult(task.job, task.attempt, TaskStatus.STAGED, reporter.progress, every_s=every_s)


def plan_load(task: LoadTask, lake: Lake) -> PlannedLoad | ParentLoads:
    """Decide what to read; the loads of parent tables instead if some are not loaded or out of date."""
    source = find_source(task)
    now = datetime.now(UTC)
    with lake.read_transaction():
        parents = [TableName(task.table.schema, parent) for parent in source.table.parents]
        loaded = catalog.stored_tables(lake) if parents else {}
        if missing := tuple(parent for parent in parents if parent not in loaded):
            return ParentLoads(missing, Action.LOAD)
        if outdated := _outdated_parents(task, source, lake, parents):
            return ParentLoads(outdated, Action.REFRESH)
        last = ledger.latest_load(lake, task.table)
        columns = tuple(read_stored_columns(lake, task.table, last))
        layout = read_layout(lake, task.table) if columns else TableLayout()
        query = source.config.for_each.query if source.config.for_each is not None else None
        rows = read_parent_rows(lake, task.table, query) if query is not None else ()
        plan = make_load_plan(
            task.action,
            source.config,
            last,
            rows,
            now=now,
            rows_location=layout.rows_location,
            reloaded_at=ledger.latest_reload_at(lake, task.table) if source.config.refresh.reload_s else None,
        )
    return PlannedLoad(source, plan, StoredSchema(columns, layout.paths, plan.strategy == "reload"))


def _outdated_parents(
    task: LoadTask, source: LoadSource, lake: Lake, parents: Sequence[TableName]
) -> tuple[TableName, ...]:
    """Return the parents whose last load is older than ``for_each.refresh`` allows."""
    each = source.config.for_each
    if each is None or each.refresh_s is None or task.start_at is None:
        return ()
    oldest = task.start_at - timedelta(seconds=each.refresh_s)
    loads = ledger.latest_loads(lake)
    times = {parent: loads[parent].finished_at for parent in parents if parent in loads}
    return tuple(parent for parent, at in times.items() if at is not None and at < oldest)


def find_source(task: LoadTask) -> LoadSource:
    """Return the table's description. Raises UnknownName if connection or spec do not have it."""
    name = task.table
    connection = find_connection(task.origin, name)
    folders = _spec_folders(task)
    tables = registry.describe_adapter(connection, folders)
    table = next((known for known in tables if known.name == name.table), None)
    config = registry.describe_table_config(connection, folders, name.table)
    if table is None or config is None:
        hint = did_you_mean(name.table, [known.name for known in tables])
        raise UnknownName(f"connection {name.schema} has no table {name.table}{hint}")
    return LoadSource(connection, table, config)


def read_and_stage(
    task: LoadTask, planned: PlannedLoad, reporter: Reporter, notes: LoadNotes, settings: Settings
) -> StageResult:
    """Read page after page; a page is in a file before it is counted."""
    source, plan = planned.source, planned.plan
    rules = column_rules(source.config, plan.cursor_limit)
    with (
        closing(_open_adapter(task, source, reporter, notes, settings)) as adapter,
        RowStage(Path(task.folder), rules, planned.stored) as stage,
    ):
        for page in adapter.pages(source.table.name, plan.read):
            stage.write(page.rows, page.variables, page.scope)
            _count_page(reporter, page)
        staged = stage.finish()
    reporter.update(lambda progress: replace(progress, rows=staged.rows), urgent=True)
    notes.add_stage_result(staged, plan.cursor_column)
    return staged


def build_manifest(
    planned: PlannedLoad, staged: StageResult, reporter: Reporter, notes: LoadNotes, *, seconds: float
) -> Manifest:
    source, plan = planned.source, planned.plan
    return Manifest(
        files=tuple(path.name for path in staged.files),
        columns=staged.columns,
        rows=staged.rows,
        strategy=plan.strategy,
        discarded=staged.discarded,
        discarded_file=staged.discarded_file.name if staged.discarded_file else "",
        cursors=plan.next_cursors(staged.cursors),
        requests=reporter.progress.requests,
        bytes=reporter.progress.bytes,
        seconds=seconds,
        key=source.table.key,
        description=source.table.description,
        declared=tuple(column.name for column in source.config.columns if column.type),
        cursor_column=plan.cursor_column,
        based_on=plan.based_on,
        notes=tuple(map(reporter.redactor.redact, notes.texts())),
        layout=TableLayout(staged.paths, notes.rows_location),
        full=plan.is_full_reload,
        tombstones=_tombstone_conditions(source.config, staged),
    )


def _tombstone_conditions(config: TableConfig, staged: StageResult) -> Mapping[str, tuple[str, ...]]:
    """Return the values of ``deleted.where`` by column; nothing if no row has one of the columns."""
    wanted = config.deleted.where if config.deleted is not None else {}
    names = {".".join(path): name for name, path in staged.paths.items()}
    names |= {column.source: column.name for column in config.columns if column.source}
    return {names[path]: texts for path, texts in wanted.items()} if wanted.keys() <= names.keys() else {}


def _open_adapter(
    task: LoadTask, source: LoadSource, reporter: Reporter, notes: LoadNotes, settings: Settings
) -> Adapter:
    def record_request(traffic: Traffic) -> None:
        reporter.update(
            lambda progress: replace(
                progress, requests=progress.requests + 1, bytes=progress.bytes + traffic.bytes
            )
        )
        reporter.add_request(traffic.to_record(task.job))

    def record_wait(until: datetime | None) -> None:
        reporter.update(lambda progress: replace(progress, waiting_until=until), urgent=True)

    return registry.open_adapter(
        source.connection,
        _spec_folders(task),
        task.environment,
        listeners=Listeners(
            record_request,
            record_wait,
            notes.add_skipped_request,
            notes.add_detected_paging,
            notes.add_note,
            notes.set_rows_location,
        ),
        limits_folder=settings.cache / "limits",
        tokens_folder=settings.token_folder,
        redactor=reporter.redactor,
    )


def _count_page(reporter: Reporter, page: Page) -> None:
    reporter.update(
        lambda progress: replace(
            progress,
            rows=progress.rows + len(page.rows),
            pages=progress.pages + 1,
            pages_total=page.pages_total or progress.pages_total,
        )
    )


def _spec_folders(task: LoadTask) -> list[Path]:
    return [Path(folder) for folder in task.origin.specs]


class LoadNotes:
    """Collects what the ledger says of a load beside its counts. Called from any thread of the adapter.

    ``rows_location``  where the adapter found the rows in the responses.
    """

    def __init__(self) -> None:
        self.rows_location = ""
        self._lock = threading.Lock()
        self._skipped_by_status: Counter[int] = Counter()
        self._detected_paging: dict[str, None] = {}
        self._adapter_notes: dict[str, None] = {}
        self._stage_notes: list[str] = []

    def add_skipped_request(self, status: int) -> None:
        with self._lock:
            self._skipped_by_status[status] += 1

    def add_detected_paging(self, paging: str) -> None:
        with self._lock:
            self._detected_paging[paging] = None

    def add_note(self, text: str) -> None:
        with self._lock:
            self._adapter_notes[text] = None

    def set_rows_location(self, location: str) -> None:
        self.rows_location = location

    def add_stage_result(self, staged: StageResult, cursor: str) -> None:
        """Add what the conversion says of the rows."""
        if staged.rows_without_cursor:
            self._stage_notes.append(
                f"{format_count(staged.rows_without_cursor, 'row')} without a usable {cursor}"
            )
        if staged.rows_in_future:
            self._stage_notes.append(
                f"{format_count(staged.rows_in_future, 'row')} with {cursor} in the future (up to "
                f"{staged.latest_future_cursor}), which later loads do not start from; "
                "incremental.allow_future: true lets them"
            )
        self._stage_notes += staged.notes

    def texts(self) -> tuple[str, ...]:
        """Return the notes; skipped requests first, by frequency: ``2 requests skipped (status 404)``."""
        with self._lock:
            skipped = [
                f"{format_count(number, 'request')} skipped (status {status})"
                for status, number in self._skipped_by_status.most_common()
            ]
            paging = [
                f"{DETECTED_PAGING_PREFIX}: {text}" for text in list(self._detected_paging)[:MAX_PAGING_NOTES]
            ]
            return (*skipped, *self._stage_notes, *paging, *self._adapter_notes)
