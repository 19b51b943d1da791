"""One attempt: reads the rows of a load and stages them."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

from msgspec.structs import replace

from unify.adapters import registry
from unify.adapters.base import Adapter, Listeners, Page, ScopeWindow, Traffic
from unify.config.settings import Settings
from unify.convert.preview import column_rules
from unify.convert.stage import RowStage, StageResult
from unify.fs.failpoints import failpoint
from unify.load.checkpoint import (
    FORMAT,
    PREVIOUS,
    Checkpoint,
    CheckpointWriter,
    DamagedCheckpoint,
    LoadLine,
    Spent,
    move_to_previous,
    read_checkpoint,
    remove_attempt_files,
    remove_previous,
)
from unify.load.limits import limit_time, load_limits
from unify.load.notes import GONE_STATUS, LoadNotes
from unify.load.plan import LoadSource, PlannedLoad, spec_folders
from unify.load.protocol import LoadTask
from unify.load.resumption import Resumption, describe_progress, fingerprint, plan_scopes, restage
from unify.load.worker import Reporter


class _ScopeBeginsAgain(Exception):
    """A scope of which an earlier attempt has pages cannot be read on behind them."""

    def __init__(self, key: ScopeWindow) -> None:
        self.key = key


class LoadAttempt:
    """Reads the rows of a load and stages them: those of an earlier attempt first, then the others.

    ``checkpoint``  of the earlier attempt, in its folder below this one's.
    """

    def __init__(
        self,
        task: LoadTask,
        planned: PlannedLoad,
        reporter: Reporter,
        settings: Settings,
        checkpoint: Checkpoint | None,
    ) -> None:
        self._task = task
        self._planned = planned
        self._reporter = reporter
        self._settings = settings
        self._folder = Path(task.folder)
        self._checkpoint = checkpoint
        self._began = monotonic()
        self._earlier = checkpoint.spent if checkpoint is not None else Spent()
        self._began_at = checkpoint.first_line.began_at if checkpoint is not None else datetime.now(UTC)
        self._begin_again: set[ScopeWindow] = set()
        self._limits = load_limits(planned.source.connection, planned.source.spec)
        self._table = str(task.table)
        self._counted_from = self._earlier
        if checkpoint is not None and checkpoint.first_line.uid == task.uid:
            self._counted_from = checkpoint.first_line.counted_from

    @property
    def spent(self) -> Spent:
        """What the load has cost so far, with the earlier attempts."""
        progress = self._reporter.progress
        return Spent(progress.requests, progress.bytes, self._earlier.seconds + monotonic() - self._began)

    def read_and_stage(self) -> tuple[StageResult, LoadNotes]:
        """Read every page that no earlier attempt has; a page is in a file before it is counted."""
        self._reporter.update(
            lambda progress: replace(progress, requests=self._earlier.requests, bytes=self._earlier.bytes)
        )
        while True:
            notes = LoadNotes()
            try:
                return self._read_and_stage(notes), notes
            except _ScopeBeginsAgain as again:
                self._begin_again.add(again.key)
                move_to_previous(self._folder)
                self._checkpoint = read_checkpoint(self._folder / PREVIOUS, datetime.now(UTC))
            except DamagedCheckpoint:
                remove_attempt_files(self._folder)
                self._checkpoint = None

    def _read_and_stage(self, notes: LoadNotes) -> StageResult:
        source, plan = self._planned.source, self._planned.plan
        rules = column_rules(source.config, plan.cursor_limit)
        self._reporter.update(lambda progress: replace(progress, rows=0, pages=0, pages_total=None))
        with (
            closing(_open_adapter(self._task, source, self._reporter, notes, self._settings)) as adapter,
            RowStage(self._folder, rules, self._planned.stored) as stage,
            CheckpointWriter(self._folder, self._first_line(stage), stage.chunks) as writer,
        ):
            resumption = self._restage(stage, writer, notes)
            remove_previous(self._folder)
            read = replace(plan.read, now=self._planned.planned_at, progress=resumption.progress)
            awaited = set(resumption.progress.started) if resumption.progress is not None else set()
            with limit_time(self._limits.time, self._seconds, self._table, adapter.cancel):
                for page in adapter.pages(source.table.name, read):
                    self._stage_page(page, stage, writer, awaited, notes)
                    self._count_page(len(page.rows), page.pages_total, resumption.pages)
                    failpoint("loader.page")
            staged = stage.finish(keep_chunks=True)
        self._reporter.update(lambda progress: replace(progress, rows=staged.rows), urgent=True)
        notes.add_stage_result(staged, plan.cursor_column)
        return staged

    def _first_line(self, stage: RowStage) -> LoadLine:
        return LoadLine(
            FORMAT,
            fingerprint(self._planned, self._task, self._task.uid),
            self._began_at,
            self._planned.planned_at,
            stage.chunks.markers,
            self._task.uid,
            self._counted_from,
        )

    def _restage(self, stage: RowStage, writer: CheckpointWriter, notes: LoadNotes) -> Resumption:
        """Stage what is still valid of the earlier attempt."""
        if self._checkpoint is None:
            return Resumption()
        config = self._planned.source.config
        scopes = plan_scopes(self._planned.plan, config.for_each)
        self._checkpoint.retain(scopes, self._begin_again)
        if self._checkpoint.is_empty:
            return Resumption()
        found = restage(self._checkpoint, stage, writer, notes, self._count_page)
        by_window = config.incremental is not None and config.incremental.window_s is not None
        notes.resumed = describe_progress(self._checkpoint, len(scopes), found.pages, by_window=by_window)
        self._reporter.update(lambda progress: replace(progress, resumed=notes.resumed), urgent=True)
        return found

    def _seconds(self) -> float:
        """How long the load has taken, with its earlier attempts."""
        return self._earlier.seconds + monotonic() - self._began - self._counted_from.seconds

    def _check_limits(self) -> None:
        progress = self._reporter.progress
        self._limits.time.check(self._seconds(), self._table)
        self._limits.rows.check(progress.rows, self._table)
        self._limits.bytes.check(progress.bytes, self._table)

    def _stage_page(
        self,
        page: Page,
        stage: RowStage,
        writer: CheckpointWriter,
        awaited: set[ScopeWindow],
        notes: LoadNotes,
    ) -> None:
        position = page.position
        notes.add_deletions(page.deletions)
        if position is not None and position.skipped == GONE_STATUS:
            notes.add_gone_scope(page.scope)
        if position is None:
            stage.write(page.rows, page.variables, page.scope)
            return
        key = (page.scope, position.window)
        if key in awaited and not position.repeated:
            raise _ScopeBeginsAgain(key)
        awaited.discard(key)
        segment = stage.write(page.rows, page.variables, page.scope)
        if not position.repeated or position.is_last:
            writer.add_page(page, segment, self.spent)

    def _count_page(self, rows: int, pages_total: int | None = None, earlier_pages: int = 0) -> None:
        self._reporter.update(
            lambda progress: replace(
                progress,
                rows=progress.rows + rows,
                pages=progress.pages + 1,
                pages_total=pages_total + earlier_pages if pages_total else progress.pages_total,
            )
        )
        self._check_limits()


def _open_adapter(
    task: LoadTask, source: LoadSource, reporter: Reporter, notes: LoadNotes, settings: Settings
) -> Adapter:
    def record_request(traffic: Traffic) -> None:
        reporter.update(
            lambda progress: replace(
                progress, requests=progress.requests + 1, bytes=progress.bytes + traffic.bytes
            )
        )
        reporter.add_request(traffic.to_record(task.table.schema, task.job))

    def record_wait(until: datetime | None) -> None:
        reporter.update(lambda progress: replace(progress, waiting_until=until), urgent=True)

    return registry.open_adapter(
        source.connection,
        spec_folders(task),
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
