"""Decisions about jobs: retry or end after a failure, and when to refresh a table next."""

from __future__ import annotations

import random
import zlib
from datetime import datetime, timedelta

from msgspec import Struct

from unify.load.protocol import Failure
from unify.model import CONFIGURED_START, JobState, LoaderJob, Priority
from unify.queue.queue import Queue
from unify.queue.rows import Schedule
from unify.queue.timing import MAX_INTERVAL_S, MIN_INTERVAL_S

MAX_CRASHES = 3  # a job whose worker dies alone three times is the cause
# A daemon dies of many things: a restart of its service, the OOM killer, a person. A job that is running
# then is seldom the cause, but one that is has to end.
MAX_DAEMON_DEATHS = 10
MAX_ATTEMPTS_INTERACTIVE = 3  # a person waits; the HTTP client has retried each request already
MAX_ATTEMPTS_SCHEDULED = 8  # covers an outage of about an hour
MAX_ATTEMPTS_RATE_LIMITED = 20  # a source that says when to retry is not failing
MAX_ATTEMPTS_WITH_PROGRESS = 100  # so many may fail after they have read more; later ones count as failures
FIRST_BACKOFF_S = 2.0
MAX_BACKOFF_S = 15 * 60.0
MIN_RETRY_AFTER_S = 0.2
MAX_RETRY_AFTER_S = 24 * 3600.0  # a longer Retry-After is tried again after a day
CRASH_BACKOFF_S = 0.2  # crashed work restarts within 2 s


class RetryLater(Struct, frozen=True):
    """Queue the job again, to start at ``start_at`` at the earliest."""

    start_at: datetime
    error: str


class EndJob(Struct, frozen=True):
    """End the job in this state."""

    state: JobState
    error: str


def decide_after_failure(
    job: LoaderJob, failure: Failure, now: datetime, rng: random.Random
) -> RetryLater | EndJob:
    """Decide after an error of the source or of the configuration."""
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
    """Decide after the ``crashes``-th death of the job's process."""
    if crashes >= MAX_CRASHES:
        return EndJob(JobState.DEAD, f"{reason}, {crashes} times")
    return RetryLater(now + timedelta(seconds=CRASH_BACKOFF_S * crashes), reason)


def decide_after_daemon_death(deaths: int, reason: str, now: datetime) -> RetryLater | EndJob:
    """Decide after the ``deaths``-th daemon that died during the job."""
    if deaths >= MAX_DAEMON_DEATHS:
        return EndJob(JobState.DEAD, f"{reason}, {deaths} times")
    return RetryLater(now + timedelta(seconds=CRASH_BACKOFF_S * deaths), reason)


def _max_attempts(job: LoaderJob, failure: Failure) -> int:
    if failure.kind == "RateLimited" and failure.retry_after_s is not None:
        return MAX_ATTEMPTS_RATE_LIMITED
    if failure.kind == "UnsettledWrite":  # given up, its rows would be unknown
        return MAX_ATTEMPTS_SCHEDULED
    return MAX_ATTEMPTS_INTERACTIVE if job.priority <= Priority.INTERACTIVE else MAX_ATTEMPTS_SCHEDULED


def _backoff_s(attempts: int, rng: random.Random) -> float:
    """Exponential backoff with jitter."""
    longest = min(MAX_BACKOFF_S, FIRST_BACKOFF_S * 4 ** (attempts - 1))
    return float(longest * rng.uniform(0.75, 1.25))


def _jittered_retry_after_s(retry_after_s: float, rng: random.Random) -> float:
    """Return the wait that the source requests, up to a day, plus up to 10 % of jitter."""
    bounded = retry_after_s if retry_after_s <= MAX_RETRY_AFTER_S else MAX_RETRY_AFTER_S  # NaN too
    return max(MIN_RETRY_AFTER_S, bounded) * rng.uniform(1.0, 1.1)


JITTER = 0.1  # of the interval: tables loaded together are not all refreshed in the same second
MAX_JITTER_S = 300.0


def schedule_next_refresh(queue: Queue, job: LoaderJob, every_s: float | None, now: datetime) -> None:
    """Schedule the next refresh as configured, unless a statement has scheduled the table."""
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
    """Delete the schedule of a table that its connection or spec no longer has."""
    queue.delete_schedule(job.tenant, job.table)


def next_refresh_at(job: LoaderJob, every_s: float, now: datetime) -> datetime:
    """Return ``now`` plus the interval, less a jitter that is constant for the table."""
    every_s = min(max(every_s, MIN_INTERVAL_S), MAX_INTERVAL_S)
    share = zlib.crc32(str(job.table).encode()) / 2**32
    return now + timedelta(seconds=every_s - share * min(JITTER * every_s, MAX_JITTER_S))


def _is_schedule_of(schedule: Schedule, job: LoaderJob) -> bool:
    return (schedule.tenant, schedule.table) == (job.tenant, job.table)
