"""The schema ``unify``: system state as tables, refilled before each statement that reads them.

Also the rows of ``show schedules`` and ``show settings``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from unify.adapters.http.request_log import RequestLog
from unify.config.preferences import read_keys
from unify.config.settings import Settings
from unify.durations import format_duration
from unify.interpreter import state as interpreter_state
from unify.interpreter.freshness import MaxAge
from unify.interpreter.state import State
from unify.interpreter.system_columns import SYSTEM_TABLES, WRITE_OUTCOMES
from unify.interpreter.system_tables.freshness import freshness_rows
from unify.interpreter.system_tables.lineage import lineage_rows
from unify.interpreter.system_tables.schedules import schedule_rows, script_run_rows
from unify.lake import catalog, type_changes
from unify.lake.lake import Lake
from unify.lake.system_schema import LAKE_VIEWS
from unify.model import RowState
from unify.writes.records import encode_values
from unify.writes.store import WriteStore

if TYPE_CHECKING:
    from unify.activity.store import ActivityStore

Row = tuple[object, ...]
MAX_WRITES = 10_000  # in unify.writes


def _connection_rows(state: State) -> Iterable[Row]:
    for one in state.connection_states():
        yield one.name, one.adapter, one.tables, one.stored, one.writable, one.state, one.problem or None


def _table_rows(state: State) -> Iterable[Row]:
    state.list_sources()
    for table in state.table_states():
        yield (
            table.name.schema,
            table.name.table,
            table.kind,
            table.state,
            table.rows,
            table.loaded_at,
            table.description or None,
            table.error or None,
        )


def _column_rows(state: State) -> Iterable[Row]:
    widened = type_changes.latest_type_changes(state.lake)
    for name, columns in catalog.all_columns(state.lake).items():
        for position, column in enumerate(columns, 1):
            description = column.description or None
            previous, changed_at = widened.get((name, column.name, column.type), (None, None))
            yield (
                name.schema,
                name.table,
                position,
                column.name,
                column.type,
                description,
                previous,
                changed_at,
            )
    for name, expected in state.expected_columns():
        for position, column in enumerate(expected, 1):
            described = (column.name, column.type or None, column.description or None)
            yield (name.schema, name.table, position, *described, None, None)


def _job_rows(state: State) -> Iterable[Row]:
    jobs = state.queue.recent_jobs(10_000)
    reasons = interpreter_state.wait_reasons(state.connections.settings, state.queue, jobs)
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


def _request_rows(state: State) -> Iterable[Row]:
    for request in RequestLog(state.connections.settings.request_log).read_recent(datetime.now(UTC)):
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


def _read_schedules(state: State) -> Iterable[Row]:
    yield from schedule_rows(state.queue, state.connections)


def _read_script_runs(state: State) -> Iterable[Row]:
    yield from script_run_rows(state.queue)


def _write_rows(state: State) -> Iterable[Row]:
    settings = state.connections.settings
    with WriteStore(settings.writes) as store:
        for write in reversed(store.recent(settings.tenant, MAX_WRITES)):
            counts = store.counts(write.id)
            yield (
                *(write.id, write.table.schema, write.table.table, write.mode, write.state.value),
                *(write.rows, write.requests),
                *(counts.get(RowState(name), 0) for name in WRITE_OUTCOMES),
                *(write.requested_by, write.approved_by or None),
                *(write.created_at, write.started_at, write.finished_at),
                *(write.error or None, write.undo_of),
            )


def _written_row_rows(state: State) -> Iterable[Row]:
    settings = state.connections.settings
    with WriteStore(settings.writes) as store:
        for row in store.all_rows(settings.tenant):
            planned = row.planned
            yield (
                *(row.write, planned.number, encode_values(planned.key), planned.action),
                *(encode_values(planned.values), row.state.value, row.status),
                *(encode_values(row.created) if row.created else None, row.message or None, row.attempts),
                *(row.sent_at, row.settled_at),
                None if planned.before is None else encode_values(planned.before),
            )


def _sync_rows(state: State) -> Iterable[Row]:
    tenant = state.connections.settings.tenant
    last = {run.name: run for run in state.queue.syncs.runs(tenant)}
    for sync in state.queue.syncs.list(tenant):
        one, run = sync.definition, last.get(sync.name)
        yield (
            *(sync.name, one.table.schema, one.table.table, one.mode),
            *(", ".join(one.key) or None, one.source),
            f"{one.every_s} seconds" if one.every_s is not None else None,
            str(one.after) if one.after is not None else None,
            *(one.cursor or None, sync.cursor or None, one.script or _origin(one.address) or None),
            *(one.created_by, run.result.status.value if run else None, run.started_at if run else None),
        )


def _origin(address: str) -> str:
    """The address without path and query, which may be secret."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.hostname}" if address else ""


def _sync_run_rows(state: State) -> Iterable[Row]:
    for run in state.queue.syncs.runs(state.connections.settings.tenant):
        result, counts = run.result, run.result.counts
        yield (
            *(run.id, run.name, result.status.value, result.reason or None),
            *(counts.read, counts.filtered, counts.formatted, counts.written, counts.failed, result.write),
            *(result.cursor or None, result.callback or None, run.started_at, run.ended_at),
        )


def _delivery_rows(state: State) -> Iterable[Row]:
    for one in state.queue.watches.deliveries(state.connections.settings.tenant):
        counts = one.counts
        yield (
            *(one.name, one.sequence, one.target, one.state.value),
            *(counts.inserted, counts.updated, counts.deleted, counts.note or None),
            *(one.attempts, one.created_at, one.next_at if one.state == "pending" else None),
            *(one.delivered_at, one.error or None),
        )


def _open_activity(state: State) -> ActivityStore:
    from unify.activity.store import ActivityStore

    return ActivityStore(state.connections.settings.activity)


def client_rows(state: State) -> Iterable[Row]:
    """Yield the statements that clients run now."""
    with _open_activity(state) as activity:
        for one in activity.running():
            yield one.id, one.user, one.application, one.address, one.protocol, one.sql, one.started_at


def _statement_rows(state: State) -> Iterable[Row]:
    with _open_activity(state) as activity:
        for one in activity.recent():
            yield (
                *(one.id, one.user, one.application, one.address, one.protocol, one.sql, one.state),
                *(one.rows, one.loads, one.seconds, one.started_at, one.finished_at, one.error or None),
            )


def _agent_call_rows(state: State) -> Iterable[Row]:
    with _open_activity(state) as activity:
        for one in activity.recent_calls():
            yield (
                *(one.at, one.agent, one.tool, one.statement, one.decision, one.rows, one.calls),
                *(one.seconds, one.error or None),
            )


_ROW_READERS: Mapping[str, Callable[[State], Iterable[Row]]] = {
    "connections": _connection_rows,
    "tables": _table_rows,
    "columns": _column_rows,
    "jobs": _job_rows,
    "requests": _request_rows,
    "schedules": _read_schedules,
    "script_runs": _read_script_runs,
    "writes": _write_rows,
    "write_rows": _written_row_rows,
    "syncs": _sync_rows,
    "sync_runs": _sync_run_rows,
    "deliveries": _delivery_rows,
    "clients": client_rows,
    "statements": _statement_rows,
    "agent_calls": _agent_call_rows,
    "freshness": freshness_rows,
    "lineage": lineage_rows,
}


class SystemTables:
    """Fills the tables of the schema ``unify`` before a statement reads them."""

    def __init__(self, lake: Lake, state: State) -> None:
        self.lake = lake
        self.state = state

    def create(self) -> None:
        """Create the tables without rows, before a transaction begins, which would not see them otherwise."""
        for name, shape in SYSTEM_TABLES.items():
            if name == "settings" or name in _ROW_READERS:
                self.lake.create_system_table(name, shape.columns)
        for name in LAKE_VIEWS:
            self.lake.create_system_view(name)

    def refresh(self, names: Iterable[str], max_age: MaxAge) -> None:
        """Refill the named tables. Other names are ignored; DuckDB reports them."""
        for name in {name.lower() for name in names}:
            if name == "settings":  # includes max_age, which belongs to the session
                rows: list[Row] = [*setting_rows(self.state.connections.settings, max_age)]
            elif (read := _ROW_READERS.get(name)) is not None:
                rows = list(read(self.state))
            else:
                if name in LAKE_VIEWS:
                    self.lake.create_system_view(name)
                continue
            self.lake.replace_system_table(name, SYSTEM_TABLES[name].columns, rows)


def setting_rows(settings: Settings, max_age: MaxAge) -> Sequence[tuple[str, str, str]]:
    """Rows of ``show settings`` and ``unify.settings``; ``max_age`` is that of the session."""
    return [
        ("max_age", str(max_age), "the maximum age of stored rows before a query waits for a refresh"),
        ("keys", read_keys(settings.home), "the key bindings of the prompt: emacs or vi"),
        ("home", str(settings.home), "the folder of all stored data (--home, UNIFY_HOME)"),
        ("connections", str(settings.connections), "the file of connections (--connections)"),
        (
            "specs",
            ":".join(map(str, settings.specs)),
            "folders of specs before the bundled ones (--specs)",
        ),
        ("tenant", settings.tenant, "the tenant of this home folder (--tenant, UNIFY_TENANT)"),
        ("workers", str(settings.workers), "loads that run in parallel (UNIFY_WORKERS)"),
        (
            "worker_memory",
            f"{settings.worker_memory_bytes / 1024**2:,.0f} MiB",
            "the memory limit of one load (UNIFY_WORKER_MEMORY)",
        ),
        (
            "history",
            format_duration(settings.history_retention_s),
            "how long old versions are kept for at (timestamp => …) and changes (UNIFY_HISTORY)",
        ),
        (
            "idle_exit",
            "never" if settings.idle_timeout_s is None else format_duration(settings.idle_timeout_s),
            "when a daemon without work ends (UNIFY_IDLE_EXIT)",
        ),
        (
            "script_time",
            format_duration(settings.script_timeout_s),
            "the time limit of a scheduled script (UNIFY_SCRIPT_TIME)",
        ),
    ]
