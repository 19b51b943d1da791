"""What becomes of a job whose attempt did not work: later again, or the end. Pure decisions."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta

from unify.loading.task import Failure
from unify.model import JobState, LoaderJob, Priority

CRASHES = 3  # a task that takes its worker down three times is the reason, not a victim
TRIES_PERSON = 3  # somebody waits; the HTTP door has retried each request already
TRIES_SCHEDULE = 8  # nobody waits: about an hour of trouble is ridden out
TRIES_LIMITED = 20  # a source that says when to come again is not in trouble
FIRST_BACKOFF_S = 2.0
LONGEST_BACKOFF_S = 15 * 60.0
SHORTEST_WAIT_S = 0.2
CRASH_BACKOFF_S = 0.2  # stuck work is rescued within 2 s


@dataclass(frozen=True, slots=True)
class Later:
    """Back into the queue, not to be started before ``start_at``."""

    start_at: datetime
    error: str


@dataclass(frozen=True, slots=True)
class End:
    """Over, in this state."""

    state: JobState
    error: str


def after_failure(job: LoaderJob, failure: Failure, now: datetime, rng: random.Random) -> Later | End:
    """The source or the configuration said no. ``job.failures`` counts the attempts that failed before."""
    if not failure.retryable:
        return End(JobState.FAILED, failure.message)
    tries = job.failures + 1
    if tries >= _tries(job, failure):
        return End(JobState.DEAD, failure.message)
    wait_s = _backoff_s(tries, rng) if failure.retry_after_s is None else _asked_s(failure.retry_after_s, rng)
    return Later(now + timedelta(seconds=wait_s), failure.message)


def after_crash(crashes: int, reason: str, now: datetime) -> Later | End:
    """The worker died under the job, for the ``crashes``-th time: again at once, but not for ever."""
    if crashes >= CRASHES:
        return End(JobState.DEAD, f"{reason}, {crashes} times")
    return Later(now + timedelta(seconds=CRASH_BACKOFF_S * crashes), reason)


def _tries(job: LoaderJob, failure: Failure) -> int:
    if failure.kind == "RateLimited" and failure.retry_after_s is not None:
        return TRIES_LIMITED
    return TRIES_PERSON if job.priority <= Priority.PERSON else TRIES_SCHEDULE


def _backoff_s(tries: int, rng: random.Random) -> float:
    """Four times as long each time, and a little different for everybody."""
    longest = min(LONGEST_BACKOFF_S, FIRST_BACKOFF_S * 4 ** (tries - 1))
    return float(longest * rng.uniform(0.75, 1.25))


def _asked_s(retry_after_s: float, rng: random.Random) -> float:
    """What the source asked for and a little more: never earlier, and not all at the same moment."""
    return max(SHORTEST_WAIT_S, retry_after_s) * rng.uniform(1.0, 1.1)
