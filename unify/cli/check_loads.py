"""``unify check --loads``: one line for each table that was loaded or failed to load, for monitoring."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

from unify.config.settings import Settings
from unify.durations import format_duration
from unify.errors import UnknownName
from unify.interpreter.connections import ConnectionCatalog
from unify.interpreter.freshness import is_overdue
from unify.interpreter.state import State, TableState
from unify.lake.lake import Lake
from unify.queue.queue import Queue
from unify.render.stdout import print_line
from unify.text import did_you_mean, format_age, format_count

FAILED_STATES = frozenset({"failed", "held back"})


def check_loads(
    settings: Settings,
    names: Sequence[str],
    environment: Mapping[str, str],
    notice: Callable[[str], None],
    now: datetime | None = None,
) -> int:
    """Print the last load of each table of the connections, and return 1 if one failed or is overdue.

    ``names``  the connections; empty: all. Tables that nobody has loaded are left out.
    Raises UnknownName for an unknown connection.
    """
    connections = ConnectionCatalog(settings, environment, notice)
    for name in names:
        if not connections.has(name):
            raise UnknownName(f"unknown connection {name}{did_you_mean(name, connections.names)}")
    with Lake(settings, purpose="unify check", notice=notice) as lake, Queue(settings.queue, notice) as queue:
        state = State(lake, queue, connections)
        intervals = {schedule.table: schedule.every_s for schedule in queue.schedules()}
        at = now or datetime.now(UTC)
        passed = [_report(table, intervals.get(table.name), at) for table in _loaded_tables(state, names)]
    if not passed:
        print_line("no table was loaded")
    return 0 if all(passed) else 1


def _loaded_tables(state: State, names: Sequence[str]) -> Iterator[TableState]:
    wanted = {name.lower() for name in names}
    for table in state.table_states():
        is_wanted = table.kind == "connection" and (not wanted or table.name.schema.lower() in wanted)
        if is_wanted and (table.loaded_at is not None or table.state in FAILED_STATES):
            yield table


def _report(table: TableState, every_s: float | None, now: datetime) -> bool:
    """Print a table's line; return whether its last load is in order."""
    rows = [] if table.rows is None else [format_count(table.rows, "row")]
    age_s = 0.0 if table.loaded_at is None else (now - table.loaded_at).total_seconds()
    age = [] if table.loaded_at is None else [f"stored {format_age(age_s)}"]
    overdue = every_s is not None and is_overdue(age_s, every_s)
    if table.state in FAILED_STATES:
        error = " ".join(table.error.removeprefix(f"{table.name}: ").split())
        print_line(f"{table.name}: {', '.join([table.state, *age])}: {error}")
        return False
    if overdue and every_s is not None and table.state != "paused":
        print_line(f"{table.name}: overdue, {', '.join(age)}, refreshed every {format_duration(every_s)}")
        return False
    result = table.state if table.state in ("paused", "partial") else "ok"
    print_line(f"{table.name}: {', '.join([result, *rows, *age])}")
    return True
