"""The scheduler under a clock that jumps: nothing is refreshed twice, nothing forgotten.

The clock is an argument of the queue, so no clock of this machine is touched.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

from unify.model import JobState, Origin, TableName
from unify.store.queue import Queue, Schedule

TABLES = 10
EVERY = timedelta(hours=1)
JUMPS = (
    timedelta(days=1),
    timedelta(days=-1),
    timedelta(days=3),
    timedelta(hours=1),
    timedelta(hours=-1),
    timedelta(seconds=-1),
)


class JumpingClock:
    """A queue of its own with ten hourly tables, and a clock that jumps."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        self._queue = Queue(folder / "clock.db")
        self._rng = rng
        self._now = datetime(2026, 3, 28, 12, tzinfo=UTC)
        self.tried = 0
        self.lost = 0
        for number in range(TABLES):
            first = self._now + EVERY * rng.random()
            table = TableName("clock", f"t{number}")
            self._queue.schedule(Schedule("default", table, Origin("/nowhere"), EVERY.total_seconds(), first))

    def jump(self) -> str:
        """Move the clock; every table that is due then is queued once, and due again within the hour."""
        by = self._rng.choice(JUMPS)
        self._now += by
        due = {one.table for one in self._queue.schedules() if one.next_at and one.next_at <= self._now}
        queued = [job.table for job in self._queue.enqueue_due(self._now)]
        again = self._queue.enqueue_due(self._now)
        nexts = [one.next_at for one in self._queue.schedules()]
        within = [at for at in nexts if at is not None and self._now < at <= self._now + EVERY]
        self.tried += TABLES
        self.lost += len(set(queued) ^ due) + len(queued) - len(set(queued)) + len(again)
        self.lost += TABLES - len(within)
        self._finish()
        return f"the clock jumps by {by.total_seconds() / 3600:+.3g} h: {len(queued)} refreshes due"

    def close(self) -> None:
        self._queue.close()

    def _finish(self) -> None:
        epoch = self._queue.new_epoch()
        while (job := self._queue.claim(epoch, self._now)) is not None:
            self._queue.finish(job, JobState.DONE, now=self._now)
