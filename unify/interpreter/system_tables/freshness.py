"""How each table of a connection is kept up to date, and how old it is: the rows of ``unify.freshness``."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unify.interpreter.state import State, TableState
    from unify.queue.rows import Schedule

FreshnessRow = tuple[str, str, str, str | None, datetime | None, str | None, datetime | None, bool | None]


def freshness_rows(state: State) -> Iterator[FreshnessRow]:
    """Yield a row for each table of a connection.

    ``kept``           ``live``: read from the source by each query; ``scheduled``: refreshed at an interval,
                       ``every``; ``on demand``: by queries whose max_age it exceeds, and by commands.
    ``age``            of the stored rows; NULL if there are none.
    ``next_refresh_at``  of a scheduled table.
    ``is_overdue``     a scheduled table is older than two of its intervals, or was never loaded.
    """
    now = datetime.now(UTC)
    state.list_sources()
    schedules = {
        str(schedule.table).lower(): schedule
        for schedule in state.queue.schedules()
        if schedule.tenant == state.connections.settings.tenant and schedule.every_s is not None
    }
    for table in state.table_states():
        if table.kind in ("connection", "live"):
            yield _row(table, schedules.get(str(table.name).lower()), now)


def _row(table: TableState, schedule: Schedule | None, now: datetime) -> FreshnessRow:
    every_s = schedule.every_s if schedule is not None else None
    age = now - table.loaded_at if table.loaded_at is not None else None
    is_live = table.kind == "live" or table.state == "live"
    return (
        *(table.name.schema, table.name.table),
        "live" if is_live else "on demand" if every_s is None else "scheduled",
        f"{every_s} seconds" if every_s is not None else None,
        table.loaded_at,
        f"{age.total_seconds():.3f} seconds" if age is not None else None,
        schedule.next_at if schedule is not None else None,
        None if every_s is None else age is None or age > timedelta(seconds=2 * every_s),
    )
