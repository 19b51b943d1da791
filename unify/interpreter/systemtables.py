"""The schema ``unify``: the system's own state as tables, made anew when a statement names them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from unify.interpreter import waiting
from unify.interpreter.preferences import kept_keys
from unify.interpreter.schedules import run_rows, schedule_rows
from unify.interpreter.state import State
from unify.store import catalog, widenings
from unify.store.lake import Lake
from unify.store.requestlog import RequestLog

TEXT = "VARCHAR"
COUNT = "BIGINT"
MOMENT = "TIMESTAMP WITH TIME ZONE"

Row = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class SystemTable:
    """A table of the schema ``unify``: its columns as (name, type), and how its rows are read."""

    columns: Sequence[tuple[str, str]]
    read: Callable[[State], Iterable[Row]]


def _connections(state: State) -> Iterable[Row]:
    for found in state.connections():
        yield found.name, found.adapter, found.tables, found.stored, found.state, found.problem or None


def _tables(state: State) -> Iterable[Row]:
    for found in state.tables():
        yield (
            found.name.schema,
            found.name.table,
            found.kind,
            found.state,
            found.rows,
            found.loaded_at,
            found.description or None,
            found.error or None,
        )


def _columns(state: State) -> Iterable[Row]:
    widened = widenings.latest(state.lake)
    for name, columns in catalog.all_columns(state.lake).items():
        for position, column in enumerate(columns, 1):
            description = column.description or None
            was, changed_at = widened.get((name, column.name, column.type), (None, None))
            yield name.schema, name.table, position, column.name, column.type, description, was, changed_at


def _jobs(state: State) -> Iterable[Row]:
    jobs = state.queue.recent(10_000)
    reasons = waiting.reasons(state.sources.settings, jobs)
    for job in jobs:
        yield (
            job.id,
            job.uid,
            job.tenant,
            job.action.value,
            job.table.schema,
            job.table.table,
            job.state.value,
            job.priority,
            job.attempt,
            job.created_at,
            job.start_at,
            job.started_at,
            job.finished_at,
            reasons.get(job.id) or job.error or None,
        )


def _requests(state: State) -> Iterable[Row]:
    for request in RequestLog(state.sources.settings.requests).recent(datetime.now(UTC)):
        yield (
            request.at,
            request.method,
            request.address,
            request.status,
            request.milliseconds,
            request.bytes,
            request.job,
            request.error or None,
        )


def _schedules(state: State) -> Iterable[Row]:
    yield from schedule_rows(state.queue, state.sources)


def _script_runs(state: State) -> Iterable[Row]:
    yield from run_rows(state.queue)


def _settings(state: State) -> Iterable[Row]:
    settings = state.sources.settings
    yield "keys", kept_keys(settings.home)
    yield "home", str(settings.home)
    yield "connections", str(settings.connections)
    yield "tenant", settings.tenant
    yield "workers", str(settings.workers)
    yield "worker_memory_bytes", str(settings.worker_memory_bytes)
    yield "kept_history_s", str(settings.kept_history_s)
    yield "script_time_s", str(settings.script_time_s)
    yield "idle_exit_s", None if settings.idle_exit_s is None else str(settings.idle_exit_s)


TABLES = {
    "connections": SystemTable(
        (
            ("name", TEXT),
            ("adapter", TEXT),
            ("tables", COUNT),
            ("stored", COUNT),
            ("state", TEXT),
            ("problem", TEXT),
        ),
        _connections,
    ),
    "tables": SystemTable(
        (
            ("schema", TEXT),
            ("table", TEXT),
            ("kind", TEXT),
            ("state", TEXT),
            ("rows", COUNT),
            ("loaded_at", MOMENT),
            ("description", TEXT),
            ("error", TEXT),
        ),
        _tables,
    ),
    "columns": SystemTable(
        (
            ("schema", TEXT),
            ("table", TEXT),
            ("position", COUNT),
            ("column", TEXT),
            ("type", TEXT),
            ("description", TEXT),
            ("was", TEXT),  # its type before a load brought what did not fit
            ("changed_at", MOMENT),
        ),
        _columns,
    ),
    "jobs": SystemTable(
        (
            ("job", COUNT),
            ("uid", TEXT),
            ("tenant", TEXT),
            ("action", TEXT),
            ("connection", TEXT),
            ("table", TEXT),
            ("state", TEXT),
            ("priority", COUNT),
            ("attempt", COUNT),
            ("created_at", MOMENT),
            ("start_at", MOMENT),
            ("started_at", MOMENT),
            ("finished_at", MOMENT),
            ("error", TEXT),
        ),
        _jobs,
    ),
    "requests": SystemTable(
        (
            ("at", MOMENT),
            ("method", TEXT),
            ("address", TEXT),
            ("status", COUNT),
            ("milliseconds", "DOUBLE"),
            ("bytes", COUNT),
            ("job", COUNT),
            ("error", TEXT),
        ),
        _requests,
    ),
    "schedules": SystemTable(
        (
            ("name", TEXT),
            ("kind", TEXT),
            ("connection", TEXT),
            ("table", TEXT),
            ("script", TEXT),
            ("every", "INTERVAL"),
            ("starting", TEXT),
            ("time_zone", TEXT),
            ("next_at", MOMENT),
            ("last_at", MOMENT),
            ("last_status", TEXT),
            ("origin", TEXT),
        ),
        _schedules,
    ),
    "script_runs": SystemTable(
        (
            ("run", COUNT),
            ("name", TEXT),
            ("script", TEXT),
            ("status", TEXT),
            ("due_at", MOMENT),
            ("started_at", MOMENT),
            ("ended_at", MOMENT),
            ("exit_status", COUNT),
            ("output", TEXT),
            ("error", TEXT),
        ),
        _script_runs,
    ),
    "settings": SystemTable((("name", TEXT), ("value", TEXT)), _settings),
}


class SystemTables:
    """Puts fresh snapshots of the named tables where DuckDB finds them as ``unify.NAME``."""

    def __init__(self, lake: Lake, state: State) -> None:
        self.lake = lake
        self.state = state

    def refresh(self, names: Iterable[str]) -> None:
        """Read the named tables anew; names that are none of ours are left to DuckDB's own error."""
        for name in {name.lower() for name in names}:
            if (table := TABLES.get(name)) is not None:
                self.lake.snapshot_table(name, table.columns, list(table.read(self.state)))
