"""The schema ``unify``: the system's own state as tables, made anew when a statement names them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime

from unify.interpreter import waiting
from unify.interpreter.freshness import MaxAge
from unify.interpreter.schedules import run_rows, schedule_rows
from unify.interpreter.settingslist import setting_rows
from unify.interpreter.state import State
from unify.interpreter.systemshape import SHAPES
from unify.store import catalog, widenings
from unify.store.lake import Lake
from unify.store.requestlog import RequestLog

Row = tuple[object, ...]


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


_READERS: Mapping[str, Callable[[State], Iterable[Row]]] = {
    "connections": _connections,
    "tables": _tables,
    "columns": _columns,
    "jobs": _jobs,
    "requests": _requests,
    "schedules": _schedules,
    "script_runs": _script_runs,
}


class SystemTables:
    """Puts fresh snapshots of the named tables where DuckDB finds them as ``unify.NAME``."""

    def __init__(self, lake: Lake, state: State) -> None:
        self.lake = lake
        self.state = state

    def refresh(self, names: Iterable[str], max_age: MaxAge) -> None:
        """Read the named tables anew; names that are none of ours are left to DuckDB's own error."""
        for name in {name.lower() for name in names}:
            if name == "settings":  # the session's, too: no state of the system tells its max_age
                rows: list[Row] = [*setting_rows(self.state.sources.settings, max_age)]
            elif (read := _READERS.get(name)) is not None:
                rows = list(read(self.state))
            else:
                continue
            self.lake.snapshot_table(name, SHAPES[name].columns, rows)
