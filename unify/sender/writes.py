"""One task of a worker: sends the approved writes of a table, the oldest first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from msgspec.structs import replace

from unify.adapters import registry
from unify.adapters.base import Adapter, Listeners, TableWriter, Traffic
from unify.adapters.spec.write import WriteSpec
from unify.adapters.write_target import changed_part, describe_target
from unify.config.connections import Connection
from unify.config.settings import Settings
from unify.errors import ConfigError, UnifyError
from unify.load.environment import find_connection
from unify.load.protocol import LoadTask, TaskResult, TaskStatus
from unify.load.worker import Reporter
from unify.model import Action, WriteState
from unify.sender.attempt import WriteAttempt, WriteTiming
from unify.sender.cancellation import watch_cancellation
from unify.writes.records import Write
from unify.writes.store import WriteStore


def run_writes(
    task: LoadTask, reporter: Reporter, settings: Settings, timing: WriteTiming | None = None
) -> TaskResult:
    """Send the approved writes of the task's table. Memory: the rows of one request.

    A write that fails does not keep the next one from being sent.

    Raises UnifyError: the writes so far have their outcomes. Of the others the store says what is left to do.
    """
    connection = find_connection(task.origin, task.table)
    refresh: Action | None = None
    failure: UnifyError | None = None
    with WriteStore(settings.writes) as store:
        while (write := store.next_open(task.tenant, task.table)) is not None:
            started = store.start(write, datetime.now(UTC))
            try:
                with _open_writer(store, started, task, connection, reporter) as (spec, writer):
                    limits, used = spec.limits, timing or WriteTiming()
                    WriteAttempt(store, started, writer, reporter, limits=limits, timing=used).run()
            except UnifyError as error:
                if not _has_failed(store, started):
                    raise
                failure = failure or error
            if started.refreshes and refresh is not Action.RELOAD:
                refresh = _refresh_action(started, task, connection)
    if failure is not None:
        raise failure
    return TaskResult(task.job, task.attempt, TaskStatus.WRITTEN, reporter.progress, refresh=refresh)


def _refresh_action(write: Write, task: LoadTask, connection: Connection) -> Action:
    """How the stored rows get what was written: all are loaded again if a refresh would not find it.

    A refresh of an incremental table finds neither deleted rows nor rows below its cursor.
    """
    spec = registry.spec_of(connection, _folders(task))
    table = spec.table(task.table.table) if spec is not None else None
    if table is None or table.incremental is None or table.write is None:
        return Action.REFRESH
    delete = table.write.delete
    deletes = write.mode not in ("insert", "update", "upsert") and delete is not None and delete.undo is None
    sets_cursor = table.write.column(table.incremental.cursor) is not None
    return Action.RELOAD if deletes or sets_cursor else Action.REFRESH


def _has_failed(store: WriteStore, write: Write) -> bool:
    """Whether this attempt has ended the write."""
    current = store.find(write.id)
    return current is not None and current.attempt == write.attempt and current.state is WriteState.FAILED


@contextmanager
def _open_writer(
    store: WriteStore, write: Write, task: LoadTask, connection: Connection, reporter: Reporter
) -> Iterator[tuple[WriteSpec, TableWriter]]:
    """Open the writer of a table; a mistake in the configuration ends the write before it begins."""
    table = task.table.table
    try:
        spec = registry.describe_write(connection, _folders(task), table)
        _refuse_changed_target(write, task, connection)
        adapter = _open_adapter(task, connection, reporter)
    except UnifyError as error:
        store.finish(write, WriteState.FAILED, datetime.now(UTC), error.message)
        raise
    with (
        closing(adapter),
        adapter.open_writer(table) as writer,
        watch_cancellation(store, write, adapter),
    ):
        yield spec, writer


def _refuse_changed_target(write: Write, task: LoadTask, connection: Connection) -> None:
    """Raise ConfigError if the rows would be sent elsewhere, or otherwise, than was approved."""
    current = describe_target(
        connection, _folders(task), task.environment, task.table.table, home=Path(task.home)
    )
    if part := changed_part(write.target, current):
        raise ConfigError(
            f"{write.table}: {part} was changed since write {write.id} was planned; nothing more is sent. "
            "Plan it again"
        )


def _open_adapter(task: LoadTask, connection: Connection, reporter: Reporter) -> Adapter:
    settings = Settings(Path(task.home), Path(task.origin.connections), tenant=task.tenant)

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
        connection,
        _folders(task),
        task.environment,
        listeners=Listeners(record_request, record_wait),
        limits_folder=settings.cache / "limits",
        tokens_folder=settings.token_folder,
        redactor=reporter.redactor,
    )


def _folders(task: LoadTask) -> list[Path]:
    return [Path(folder) for folder in task.origin.specs]
