"""What happens by itself: how often, on whose clock, by whose word; and what came of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from unify.errors import ConfigError, UnknownName, UsageError
from unify.interpreter.sources import Sources
from unify.model import AS_CONFIGURED, TableName
from unify.store.duetimes import Timing, daily, on_clock
from unify.store.queue import Queue, Schedule
from unify.zones import zone_named


@dataclass(frozen=True, slots=True)
class Planned:
    """A table or a script on a schedule. ``kind`` is table or script, ``origin`` whose word it is."""

    name: str
    kind: str
    table: TableName | None
    script: str | None
    timing: Timing
    last_status: str | None
    origin: str

    @property
    def active(self) -> bool:
        """False: a person has said that the table is never refreshed."""
        return self.table is None or self.timing.every_s is not None


def planned(queue: Queue, sources: Sources) -> Iterator[Planned]:
    """Tables and then scripts, in the order of their names."""
    ends = _last_ends(queue)
    for one in queue.schedules():
        end, origin = ends.get(one.table), _whose_word(one, sources)
        yield Planned(str(one.table), "table", one.table, None, one.timing, end, origin)
    runs = {(run.tenant, run.name): run.status.value for run in queue.scripts.last_runs()}
    for script in queue.scripts.all():
        status = runs.get((script.tenant, script.name))
        yield Planned(script.name, "script", None, script.path, script.timing, status, "person")


def schedule_rows(queue: Queue, sources: Sources) -> Iterable[tuple[object, ...]]:
    """``unify.schedules``. No interval: never, or, of a script, once."""
    for one in planned(queue, sources):
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
            timing.next_at if one.active else None,
            timing.last_at,
            one.last_status,
            one.origin,
        )


def run_rows(queue: Queue) -> Iterable[tuple[object, ...]]:
    """``unify.script_runs``: every run of a script that is kept, the oldest first."""
    for run in queue.scripts.runs():
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


def timing_of(every_s: float, starting: time | None, zone: str, now: datetime) -> Timing:
    """Every so often from now on, or from the next time the clock of ``zone`` shows ``starting``."""
    if starting is None:
        return Timing(every_s, now + timedelta(seconds=every_s))
    return daily(starting.isoformat("minutes"), every_s, zone, now)


def moment_of(at: datetime | time, zone: str, now: datetime) -> datetime:
    """The moment that ``at`` means on the clock of ``zone``. Raises UsageError if it is over."""
    if isinstance(at, time):
        next_at = daily(at.isoformat("minutes"), 0, zone, now).next_at
        assert next_at is not None
        return next_at
    moment = on_clock(at, zone) if at.tzinfo is None else at.astimezone(UTC)
    if moment <= now:
        raise UsageError(f"{at:%Y-%m-%d %H:%M} is over; a script can be run at a time to come")
    return moment


def shown_at(moment: datetime, zone: str) -> str:
    """``2026-03-01 08:00 CET``."""
    return f"{moment.astimezone(zone_named(zone)):%Y-%m-%d %H:%M %Z}"


def _last_ends(queue: Queue) -> Mapping[TableName, str]:
    """How the youngest load of each table that has ended ended, as far back as the last 1,000."""
    ended = [job for job in queue.recent(1000) if not job.state.active]
    return {job.table: job.state.value for job in reversed(ended)}


def _whose_word(schedule: Schedule, sources: Sources) -> str:
    """``person`` for ``refresh table … every``, else ``connection`` or ``spec``."""
    if schedule.starting != AS_CONFIGURED:
        return "person"
    try:
        own = sources.connection(schedule.table.schema).refresh
    except (ConfigError, UnknownName):
        return "spec"  # the connection is gone; the next refresh finds out and ends the schedule
    return "connection" if schedule.table.table in own else "spec"
