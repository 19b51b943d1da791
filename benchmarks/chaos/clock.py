"""The scheduler under a clock that jumps: nothing is refreshed or run twice, nothing forgotten.

The clock is an argument of the queue, so no clock of this machine is touched.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

from unify.model import JobState, Origin, TableName
from unify.store.duetimes import daily, is_due
from unify.store.queue import Queue, Schedule
from unify.store.scripts import Ending, RunStatus

TABLES = 10
EVERY = timedelta(hours=1)
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC")  # a script on each one's clock
JUMPS = (
    timedelta(days=1),
    timedelta(days=-1),
    timedelta(days=3),
    timedelta(hours=1),
    timedelta(hours=-1),
    timedelta(seconds=-1),
)


class JumpingClock:
    """A queue of its own with ten hourly tables and four scripts, and a clock that jumps."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        self._queue = Queue(folder / "clock.db")
        self._rng = rng
        self._now = datetime(2026, 3, 28, 12, tzinfo=UTC)
        self.tried = 0
        self.lost = 0
        self._ran: set[tuple[str, datetime]] = set()
        for number in range(TABLES):
            first = self._now + EVERY * rng.random()
            table = TableName("clock", f"t{number}")
            self._queue.schedule(Schedule("default", table, Origin("/nowhere"), EVERY.total_seconds(), first))
        for zone in ZONES:
            timing = daily("02:30", 3600 * 6, zone, self._now)
            path = Path("/nowhere") / f"{zone.rpartition('/')[2]}.sql"
            self._queue.scripts.put("default", path, path.parent, Origin("/nowhere"), timing)

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
        self._ran = {
            (name, due_at) for name, due_at in self._ran if due_at <= self._now
        }  # else: to come again
        self._finish()
        ran = self._run_scripts()
        hours = by.total_seconds() / 3600
        return f"the clock jumps by {hours:+.3g} h: {len(queued)} refreshes and {ran} scripts due"

    def close(self) -> None:
        self._queue.close()

    def _run_scripts(self) -> int:
        """Each that is due begins once, for a time it never ran for, and waits for another within a day."""
        scripts = self._queue.scripts
        due = {one.name for one in scripts.all() if is_due(one.timing, self._now)}
        begun = [run for _, run in scripts.begin_due(1, self._now, len(ZONES))]
        again = scripts.begin_due(1, self._now, len(ZONES))
        doubled = [run for run in begun if (run.name, run.due_at) in self._ran]
        self._ran |= {(run.name, run.due_at) for run in begun}
        for run in begun:
            scripts.end(run, Ending(RunStatus.SUCCESS, 0), self._now)
        late = [one for one in scripts.all() if one.timing.last_at and not self._is_near(one.timing.next_at)]
        self.tried += len(ZONES)
        self.lost += len({run.name for run in begun} ^ due) + len(again) + len(doubled) + len(late)
        return len(begun)

    def _is_near(self, next_at: datetime | None) -> bool:
        return next_at is not None and self._now < next_at <= self._now + timedelta(days=1)

    def _finish(self) -> None:
        epoch = self._queue.new_epoch()
        while (job := self._queue.claim(epoch, self._now)) is not None:
            self._queue.finish(job, JobState.DONE, now=self._now)
