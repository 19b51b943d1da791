"""The rows of ``unify.schedules``, ``unify.script_runs`` and ``show schedules``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from msgspec import Struct

from unify.errors import ConfigError, UnknownName
from unify.interpreter.connections import ConnectionCatalog
from unify.language.commands import is_notebook
from unify.model import CONFIGURED_START, TableName
from unify.queue.queue import Queue
from unify.queue.rows import Schedule
from unify.queue.scripts import ScheduledScript
from unify.queue.timing import Timing


class ScheduledItem(Struct, frozen=True):
    """A scheduled table or script.

    ``kind``    table, script or sync.
    ``origin``  person, connection or spec.
    ``after``   it runs after each load of this table.
    """

    name: str
    kind: str
    table: TableName | None
    script: str | None
    timing: Timing
    last_status: str | None
    origin: str
    after: TableName | None = None

    @property
    def is_active(self) -> bool:
        """False after ``refresh table … never``."""
        return self.table is None or self.timing.every_s is not None


def scheduled_items(queue: Queue, connections: ConnectionCatalog) -> Iterator[ScheduledItem]:
    """Yield the scheduled tables, then the scripts, each sorted by name."""
    load_states = _last_load_states(queue)
    for one in queue.schedules():
        status, origin = load_states.get(one.table), _schedule_origin(one, connections)
        yield ScheduledItem(str(one.table), "table", one.table, None, one.timing, status, origin)
    runs = {(run.tenant, run.name): run.status.value for run in queue.scripts.latest_runs()}
    for script in queue.scripts.list_scripts():
        status = runs.get((script.tenant, script.name))
        kind = _script_kind(script)
        path = None if kind == "sync" else script.path
        yield ScheduledItem(script.name, kind, None, path, script.timing, status, "person", script.after)


def _script_kind(script: ScheduledScript) -> str:
    if not script.statement:
        return "script"
    return "notebook" if Path(script.path).is_absolute() and is_notebook(script.path) else "sync"


def schedule_rows(queue: Queue, connections: ConnectionCatalog) -> Iterable[tuple[object, ...]]:
    """Rows of ``unify.schedules``. Without an interval: never, or once for a script."""
    for one in scheduled_items(queue, connections):
        timing = one.timing
        yield (
            one.name,
            one.kind,
            one.table.schema if one.table else None,
            one.table.table if one.table else None,
            one.script,
            f"{timing.every_s} seconds" if timing.every_s is not None else None,
            timing.starting if timing.zone else None,
            timing.zone or None,
            timing.next_at if one.is_active else None,
            timing.last_at,
            one.last_status,
            one.origin,
        )


def script_run_rows(queue: Queue) -> Iterable[tuple[object, ...]]:
    """Rows of ``unify.script_runs``, oldest first."""
    for run in queue.scripts.list_runs():
        yield (
            run.id,
            run.name,
            run.path,
            run.status.value,
            run.due_at,
            run.started_at,
            run.ended_at,
            run.exit_status,
            run.output or None,
            run.error or None,
        )


def _last_load_states(queue: Queue) -> Mapping[TableName, str]:
    """Return the state of the latest ended load of each table, among the last 1,000 jobs."""
    ended = [job for job in queue.recent_jobs(1000) if not job.state.active]
    return {job.table: job.state.value for job in reversed(ended)}


def _schedule_origin(schedule: Schedule, connections: ConnectionCatalog) -> str:
    """Return "person" for ``refresh table … every``, else "connection" or "spec"."""
    if schedule.starting != CONFIGURED_START:
        return "person"
    try:
        own = connections.connection(schedule.table.schema).refresh
    except (ConfigError, UnknownName):
        return "spec"  # the connection was removed; the next refresh ends the schedule
    return "connection" if schedule.table.table in own else "spec"
