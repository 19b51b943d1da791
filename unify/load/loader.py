"""One load: from a task to a committed staging folder. Runs in a worker process.

plan    what to read, and the strategy that combines it with the stored rows
read    the adapter yields pages of undecoded rows
stage   the pages become typed Parquet files
commit  the manifest declares the files to be the whole load
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread

from msgspec import Struct

from unify.adapters import registry
from unify.adapters.base import TableConfig
from unify.config.settings import Settings
from unify.convert.stage import StageResult
from unify.errors import StoreError
from unify.fs.failpoints import failpoint
from unify.lake.lake import Lake
from unify.lake.table_layouts import TableLayout
from unify.load.attempt import LoadAttempt
from unify.load.checkpoint import PREVIOUS, read_checkpoint, remove_checkpoint
from unify.load.environment import find_connection
from unify.load.notes import LoadNotes
from unify.load.plan import (
    NO_CURSOR,
    LoadSource,
    PlannedLoad,
    plan_load,
    spec_folders,
)
from unify.load.protocol import LoadTask, TaskResult, TaskStatus
from unify.load.resumption import fingerprint
from unify.load.staging import Manifest, commit_staged_load
from unify.load.worker import Reporter


class LoadRunner:
    """Runs the tasks of a worker. Keeps one lake open: opening it costs more than a small load."""

    def __init__(self, home: Path, tenant: str) -> None:
        self._settings = Settings(home, home / "connections.yaml", tenant=tenant)
        self._lake: Lake | None = None

    def prepare(self) -> None:
        importing = Thread(target=registry.import_rest_adapter)
        importing.start()
        try:
            self._open_lake()
        finally:
            importing.join()

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
        """Return the lake, opened for reading."""
        if self._lake is None:
            self._lake = Lake(self._settings, read_only=True)
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
        connection = find_connection(self.task.origin, self.task.table)
        if registry.is_relational(connection, spec_folders(self.task)):
            from unify.load.relational_loader import RelationalLoad

            return RelationalLoad(self.task, connection, self.reporter, self.lake).run()
        return run_load(self.task, self.reporter, self.lake)


def run_load(task: LoadTask, reporter: Reporter, lake: Lake) -> TaskResult:
    """Run one load, step by step; see `TableLoader.load`."""
    folder = Path(task.folder)
    now = datetime.now(UTC)
    checkpoint = read_checkpoint(folder / PREVIOUS, now)
    planned = plan_load(task, lake, checkpoint.first_line.planned_at if checkpoint is not None else now)
    if (
        checkpoint is not None
        and isinstance(planned, PlannedLoad)
        and fingerprint(planned, task, checkpoint.first_line.uid) != checkpoint.first_line.fingerprint
    ):
        checkpoint, planned = None, plan_load(task, lake, now)
    if not isinstance(planned, PlannedLoad):
        return TaskResult(
            task.job,
            task.attempt,
            TaskStatus.MISSING_PARENTS,
            reporter.progress,
            missing=planned.tables,
            parents_action=planned.action,
        )
    attempt = LoadAttempt(task, planned, reporter, lake.settings, checkpoint)
    staged, notes = attempt.read_and_stage()
    failpoint("loader.staged")
    manifest = build_manifest(planned, staged, reporter, notes, seconds=attempt.spent.seconds)
    commit_staged_load(folder, manifest)
    remove_checkpoint(folder)
    failpoint("loader.sealed")
    every_s = planned.source.table.refresh_every_s
    return TaskResult(task.job, task.attempt, TaskStatus.STAGED, reporter.progress, every_s=every_s)


def build_manifest(
    planned: PlannedLoad, staged: StageResult, reporter: Reporter, notes: LoadNotes, *, seconds: float
) -> Manifest:
    source, plan = planned.source, planned.plan
    gone = {} if plan.strategy == "reload" else _rows_of_gone_parents(source.config, notes)
    return Manifest(
        files=tuple(path.name for path in staged.files),
        columns=staged.columns,
        rows=staged.rows,
        strategy=plan.strategy,
        discarded=staged.discarded,
        discarded_file=staged.discarded_file.name if staged.discarded_file else "",
        cursors={**plan.next_cursors(staged.cursors), **dict.fromkeys(gone, NO_CURSOR)},
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
        may_shrink=_may_shrink(source),
        tombstones=_tombstone_conditions(source.config, staged),
        removed=(*gone.values(), *notes.deletions),
    )


def _may_shrink(source: LoadSource) -> bool:
    """Whether a version that has lost most rows is published, by the connection, else by the spec."""
    policy = source.connection.shrink.get(source.table.name, source.config.refresh.shrink)
    return policy == "allow"


def _rows_of_gone_parents(config: TableConfig, notes: LoadNotes) -> Mapping[str, Mapping[str, str]]:
    """Return the values, by column, of the rows whose parent is deleted, by its scope.

    Nothing for a parent without a column for each of its values: its rows stay, which is noted.
    """
    columns = {column.source: column.name for column in config.columns if column.source}
    gone: dict[str, Mapping[str, str]] = {}
    for scope in notes.gone_scopes:
        parent = json.loads(scope) if scope else {}
        named = {columns.get(f"{{{name}}}"): _text(value) for name, value in parent.items()}
        if parent and None not in named:
            gone[scope] = {name: text for name, text in named.items() if name is not None}
        elif parent:
            listed = ", ".join(f'{name}: {{from: "{{{name}}}"}}' for name in parent)
            notes.add_note(
                f"rows of deleted parents (status 410) are kept; to delete them, set columns: {{{listed}}}"
            )
    return gone


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _tombstone_conditions(config: TableConfig, staged: StageResult) -> Mapping[str, tuple[str, ...]]:
    """Return the values of ``deleted.where`` by column; nothing if no row has one of the columns."""
    wanted = config.deleted.where if config.deleted is not None else {}
    names = {".".join(path): name for name, path in staged.paths.items()}
    names |= {column.source: column.name for column in config.columns if column.source}
    return {names[path]: texts for path, texts in wanted.items()} if wanted.keys() <= names.keys() else {}
