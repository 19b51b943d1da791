"""When tables are refreshed by themselves: what specs and connections ask for, turned into due times."""

from __future__ import annotations

import zlib
from datetime import datetime, timedelta

from unify.model import AS_CONFIGURED, LoaderJob
from unify.store.queue import Queue, Schedule

SPLAY = 0.1  # of the interval: a hundred tables loaded together are not refreshed in one second
LONGEST_SPLAY_S = 300.0


def after_load(queue: Queue, job: LoaderJob, every_s: float | None, now: datetime) -> None:
    """Set when the table of a finished load is due again, as its configuration asks.

    What a person has scheduled stays as it is.
    """
    current = next((known for known in queue.schedules() if _same(known, job)), None)
    if current is not None and current.starting != AS_CONFIGURED:
        return
    if every_s is None or every_s <= 0:
        if current is not None:
            queue.unschedule(job.tenant, job.table)
        return
    next_at = next_time(job, every_s, now)
    queue.schedule(Schedule(job.tenant, job.table, job.origin, every_s, next_at, starting=AS_CONFIGURED))


def forget(queue: Queue, job: LoaderJob) -> None:
    """Refresh a table no more whose connection or spec does not have it any more."""
    queue.unschedule(job.tenant, job.table)


def next_time(job: LoaderJob, every_s: float, now: datetime) -> datetime:
    """``every_s`` from ``now``, earlier by the table's own small share: never older than was asked for."""
    share = zlib.crc32(str(job.table).encode()) / 2**32
    return now + timedelta(seconds=every_s - share * min(SPLAY * every_s, LONGEST_SPLAY_S))


def _same(schedule: Schedule, job: LoaderJob) -> bool:
    return (schedule.tenant, schedule.table) == (job.tenant, job.table)
