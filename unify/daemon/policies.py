"""What becomes of a job whose attempt did not work: later again, or the end. Pure decisions.

When tables are refreshed by themselves: what specs and connections ask for, turned into due times.
"""

from __future__ import annotations

import random
import zlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from unify.load.protocol import Failure
from unify.model import CONFIGURED_START, JobState, LoaderJob, Priority
from unify.queue.queue import Queue
from unify.queue.rows import Schedule

MAX_CRASHES = 3  # a task that takes its worker down three times is the reason, not a victim
MAX_ATTEMPTS_INTERACTIVE = 3  # somebody waits; the HTTP door has retried each request already
MAX_ATTEMPTS_SCHEDULED = 8  # nobody waits: about an hour of trouble is ridden out
MAX_ATTEMPTS_RATE_LIMITED = 20  # a source that says when to come again is not in trouble
FIRST_BACKOFF_S = 2.0
MAX_BACKOFF_S = 15 * 60.0
MIN_RETRY_AFTER_S = 0.2
CRASH_BACKOFF_S = 0.2  # stuck work is rescued within 2 s


@dataclass(frozen=True, slots=True)
class RetryLater:
    """Back into the queue, not to be started before ``start_at``."""

    start_at: datetime
    error: str


@dataclass(frozen=True, slots=True)
class EndJob:
    """Over, in this state."""

    state: JobState
    error: str


def decide_after_failure(
    job: LoaderJob, failure: Failure, now: datetime, rng: random.Random
) -> RetryLater | EndJob:
    """The source or the configuration said no. ``job.failures`` counts the attempts that failed before."""
    if not failure.retryable:
        return EndJob(JobState.FAILED, failure.message)
    tries = job.failures + 1
    if tries >= _max_attempts(job, failure):
        return EndJob(JobState.DEAD, failure.message)
    wait_s = (
        _backoff_s(tries, rng)
        if failure.retry_after_s is None
        else _jittered_retry_after_s(failure.retry_after_s, rng)
    )
    return RetryLater(now + timedelta(seconds=wait_s), failure.message)


def decide_after_crash(crashes: int, reason: str, now: datetime) -> RetryLater | EndJob:
    """The worker died under the job, for the ``crashes``-th time: again at once, but not for ever."""
    if crashes >= MAX_CRASHES:
        return EndJob(JobState.DEAD, f"{reason}, {crashes} times")
    return RetryLater(now + timedelta(seconds=CRASH_BACKOFF_S * crashes), reason)


def _max_attempts(job: LoaderJob, failure: Failure) -> int:
    if failure.kind == "RateLimited" and failure.retry_after_s is not None:
        return MAX_ATTEMPTS_RATE_LIMITED
    return MAX_ATTEMPTS_INTERACTIVE if job.priority <= Priority.INTERACTIVE else MAX_ATTEMPTS_SCHEDULED


def _backoff_s(attempts: int, rng: random.Random) -> float:
    """Four times as long each time, and a little different for everybody."""
    longest = min(MAX_BACKOFF_S, FIRST_BACKOFF_S * 4 ** (attempts - 1))
    return float(longest * rng.uniform(0.75, 1.25))


def _jittered_retry_after_s(retry_after_s: float, rng: random.Random) -> float:
    """What the source asked for and a little more: never earlier, and not all at the same moment."""
    return max(MIN_RETRY_AFTER_S, retry_after_s) * rng.uniform(1.0, 1.1)


JITTER = 0.1  # of the interval: a hundred tables loaded together are not refreshed in one second
MAX_JITTER_S = 300.0


def schedule_next_refresh(queue: Queue, job: LoaderJob, every_s: float | None, now: datetime) -> None:
    """Set when the table of a finished load is due again, as its configuration asks.

    What a person has scheduled stays as it is.
    """
    current = next((known for known in queue.schedules() if _is_schedule_of(known, job)), None)
    if current is not None and current.starting != CONFIGURED_START:
        return
    if every_s is None or every_s <= 0:
        if current is not None:
            queue.delete_schedule(job.tenant, job.table)
        return
    next_at = next_refresh_at(job, every_s, now)
    queue.set_schedule(
        Schedule(job.tenant, job.table, job.origin, every_s, next_at, starting=CONFIGURED_START)
    )


def remove_schedule(queue: Queue, job: LoaderJob) -> None:
    """Refresh a table no more whose connection or spec does not have it any more."""
    queue.delete_schedule(job.tenant, job.table)


def next_refresh_at(job: LoaderJob, every_s: float, now: datetime) -> datetime:
    """``refresh_every_s`` from ``now``, earlier by the table's own small share: never older than was asked for."""
    share = zlib.crc32(str(job.table).encode()) / 2**32
    return now + timedelta(seconds=every_s - share * min(JITTER * every_s, MAX_JITTER_S))


def _is_schedule_of(schedule: Schedule, job: LoaderJob) -> bool:
    return (schedule.tenant, schedule.table) == (job.tenant, job.table)
