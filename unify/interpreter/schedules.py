"""What is refreshed by itself, how often, and by whose word: ``unify.schedules``."""

from __future__ import annotations

from collections.abc import Iterable

from unify.errors import ConfigError, UnknownName
from unify.interpreter.sources import Sources
from unify.model import AS_CONFIGURED
from unify.store.queue import Queue, Schedule


def schedule_rows(queue: Queue, sources: Sources) -> Iterable[tuple[object, ...]]:
    """Connection, table, interval, next and last time, and whose word it is. No interval: never."""
    for schedule in queue.schedules():
        active = schedule.every_s is not None
        yield (
            schedule.table.schema,
            schedule.table.table,
            f"{schedule.every_s} seconds" if active else None,
            schedule.next_at if active else None,
            schedule.last_at,
            _whose_word(schedule, sources),
        )


def _whose_word(schedule: Schedule, sources: Sources) -> str:
    """``person`` for ``refresh table … every``, else ``connection`` or ``spec``."""
    if schedule.starting != AS_CONFIGURED:
        return "person"
    try:
        own = sources.connection(schedule.table.schema).refresh
    except (ConfigError, UnknownName):
        return "spec"  # the connection is gone; the next refresh finds out and ends the schedule
    return "connection" if schedule.table.table in own else "spec"
