"""One load: from a task to a sealed attempt. Runs in a worker process.

plan    what to read, and what becomes of the rows stored before
fetch   the adapter gives pages of undecoded rows
stage   they go to files, typed and flattened
seal    a manifest says that these files are the whole load
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from time import monotonic

from unify.adapters import registry
from unify.adapters.base import Adapter, Listeners, Page, Traffic
from unify.adapters.handling import Handling
from unify.connections import Connection
from unify.errors import StoreError, UnknownName
from unify.loading.convert import RowStage, Sealed
from unify.loading.environment import connection_of
from unify.loading.known import known_columns
from unify.loading.parents import lock_down, read_parents
from unify.loading.plan import Plan, make_plan
from unify.loading.preview import shape_of
from unify.loading.remarks import Remarks
from unify.loading.task import Ending, Outcome, Task
from unify.loading.worker import Reporter
from unify.model import Column, LoadRecord, TableDef, TableName
from unify.settings import Settings
from unify.store import catalog, ledger
from unify.store.failpoints import failpoint
from unify.store.lake import Lake
from unify.store.staging import Manifest, seal
from unify.text import did_you_mean


class Loading:
    """What workers run. Keeps one lake open for all its loads: opening one costs more than a small load."""

    def __init__(self, home: Path, tenant: str) -> None:
        self._settings = Settings(home, home / "connections.yaml", tenant=tenant)
        self._lake: Lake | None = None

    def prepare(self) -> None:
        self._opened()

    def __call__(self, task: Task, reporter: Reporter) -> Outcome:
        try:
            return TableLoader(task, reporter, self._opened()).load()
        except StoreError:
            self.close()  # perhaps the lake was replaced; the next load opens it anew
            raise

    def close(self) -> None:
        if self._lake is not None:
            self._lake.close()
            self._lake = None

    def _opened(self) -> Lake:
        """A lake that can be read and nothing else: SQL of specs runs on it."""
        if self._lake is None:
            self._lake = Lake(self._settings, read_only=True)
            lock_down(self._lake)
        return self._lake


@dataclass(frozen=True, slots=True)
class Source:
    """Where the rows come from: the connection, and what its adapter says of the table."""

    connection: Connection
    table: TableDef
    handling: Handling


class TableLoader:
    """Carries out one task: one table, one action, one attempt."""

    def __init__(self, task: Task, reporter: Reporter, lake: Lake) -> None:
        self.task = task
        self.reporter = reporter
        self.lake = lake
        self.remarks = Remarks()
        self.specs = [Path(folder) for folder in task.origin.specs]
        self.started_at = monotonic()

    def load(self) -> Outcome:
        """Stage every row the source has for this load, and seal them.

        Memory  some pages and the converter's chunks, whatever the size of the table.
        Raises  UnifyError; then the attempt is not sealed, and the published table stays as it is.
        """
        source = self._find_source()
        with self.lake.at_one_version():
            missing = self._missing_parents(source)
            if missing:
                return self._outcome(Ending.MISSING, missing=missing)
            last = ledger.last(self.lake, self.task.table)
            known = known_columns(self.lake, self.task.table, last)
            plan = self._plan(source, last)
        sealed = self._stage(source, plan, known)
        self.remarks.cursorless(sealed.cursorless, plan.cursor)
        failpoint("loader.staged")
        seal(Path(self.task.folder), self._manifest(source, plan, sealed))
        failpoint("loader.sealed")
        return self._outcome(Ending.SEALED, every_s=source.table.refresh_every_s)

    def _find_source(self) -> Source:
        """The table's description. Raises UnknownName where connection or spec do not have it."""
        name = self.task.table
        connection = connection_of(self.task.origin, name)
        tables = registry.describe_adapter(connection, self.specs)
        table = next((known for known in tables if known.name == name.table), None)
        handling = registry.describe_handling(connection, self.specs, name.table)
        if table is None or handling is None:
            hint = did_you_mean(name.table, [known.name for known in tables])
            raise UnknownName(f"connection {name.schema} has no table {name.table}{hint}")
        return Source(connection, table, handling)

    def _missing_parents(self, source: Source) -> tuple[TableName, ...]:
        """The tables this one is made from, as far as they have no rows yet."""
        parents = [TableName(self.task.table.schema, parent) for parent in source.table.parents]
        stored = catalog.stored_tables(self.lake) if parents else {}
        return tuple(parent for parent in parents if parent not in stored)

    def _plan(self, source: Source, last: LoadRecord | None) -> Plan:
        for_each = source.handling.for_each
        if for_each is None or for_each.query is None:
            return make_plan(self.task.action, source.handling, last, ())
        parents = read_parents(self.lake, self.task.table, for_each.query)
        return make_plan(self.task.action, source.handling, last, parents)

    def _stage(self, source: Source, plan: Plan, known: Sequence[Column]) -> Sealed:
        """Fetch page after page; a page is in a file before it is counted."""
        folder = Path(self.task.folder)
        with (
            closing(self._open_adapter(source)) as adapter,
            RowStage(folder, shape_of(source.handling), known) as stage,
        ):
            for page in adapter.pages(source.table.name, plan.read):
                stage.write(page.rows, page.variables, page.scope)
                self._count(page)
            return stage.seal()

    def _open_adapter(self, source: Source) -> Adapter:
        adapter = registry.open_adapter(
            source.connection,
            self.specs,
            self.task.environment,
            listeners=Listeners(self._requested, self._waits, self.remarks.skipped, self.remarks.found),
            limits_folder=self.lake.settings.cache / "limits",
            tokens_folder=self.lake.settings.tokens,
        )
        self.reporter.hide(adapter.secrets())
        return adapter

    def _manifest(self, source: Source, plan: Plan, sealed: Sealed) -> Manifest:
        progress = self.reporter.progress
        return Manifest(
            files=tuple(path.name for path in sealed.files),
            columns=sealed.columns,
            rows=sealed.rows,
            strategy=plan.strategy,
            discarded=sealed.discarded,
            discarded_file=sealed.discarded_file.name if sealed.discarded_file else "",
            cursors=plan.next_cursors(sealed.cursors),
            requests=progress.requests,
            bytes=progress.bytes,
            seconds=monotonic() - self.started_at,
            key=source.table.key,
            description=source.table.description,
            declared=tuple(column.name for column in source.handling.columns if column.type),
            cursor_column=plan.cursor,
            based_on=plan.based_on,
            remarks=self.remarks.told(),
        )

    def _count(self, page: Page) -> None:
        self.reporter.update(
            lambda progress: replace(
                progress,
                rows=progress.rows + len(page.rows),
                pages=progress.pages + 1,
                pages_total=page.pages_total or progress.pages_total,
            )
        )

    def _requested(self, traffic: Traffic) -> None:
        self.reporter.update(
            lambda progress: replace(
                progress, requests=progress.requests + 1, bytes=progress.bytes + traffic.bytes
            )
        )
        self.reporter.requested(traffic.record(self.task.job))

    def _waits(self, until: datetime | None) -> None:
        self.reporter.update(lambda progress: replace(progress, waiting_until=until), urgent=True)

    def _outcome(
        self, ending: Ending, *, missing: tuple[TableName, ...] = (), every_s: float | None = None
    ) -> Outcome:
        progress = self.reporter.progress
        return Outcome(self.task.job, self.task.attempt, ending, progress, missing=missing, every_s=every_s)
