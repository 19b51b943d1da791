"""The scheduler under a jumping clock: no refresh or script run is doubled or skipped.

The clock is an argument of the queue, so no clock of this machine is touched.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

from unify.model import ConfigPaths, JobState, TableName
from unify.queue.queue import Queue
from unify.queue.rows import Schedule
from unify.queue.scripts import RunStatus, ScriptRunResult
from unify.queue.timing import daily_timing, is_due

TABLE_COUNT = 10
INTERVAL = timedelta(hours=1)
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC")  # one script for each
JUMPS = (
    timedelta(days=1),
    timedelta(days=-1),
    timedelta(days=3),
    timedelta(hours=1),
    timedelta(hours=-1),
    timedelta(seconds=-1),
)


class JumpingClock:
    """A queue with ten hourly tables and four scripts, and a jumping clock."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        self._queue = Queue(folder / "clock.db")
        self._rng = rng
        self._now = datetime(2026, 3, 28, 12, tzinfo=UTC)
        self.checked = 0
        self.lost = 0
        self._past_runs: set[tuple[str, datetime]] = set()
        for number in range(TABLE_COUNT):
            first = self._now + INTERVAL * rng.random()
            table = TableName("clock", f"t{number}")
            self._queue.set_schedule(
                Schedule("default", table, ConfigPaths("/nowhere"), INTERVAL.total_seconds(), first)
            )
        for zone in ZONES:
            timing = daily_timing("02:30", 3600 * 6, zone, self._now)
            path = Path("/nowhere") / f"{zone.rpartition('/')[2]}.sql"
            self._queue.scripts.set_script("default", path, path.parent, ConfigPaths("/nowhere"), timing)

    def jump(self) -> str:
        """Move the clock; each due table is queued once and due again within the hour."""
        by = self._rng.choice(JUMPS)
        self._now += by
        due = {one.table for one in self._queue.schedules() if one.next_at and one.next_at <= self._now}
        queued = [job.table for job in self._queue.enqueue_due(self._now)]
        again = self._queue.enqueue_due(self._now)
        nexts = [one.next_at for one in self._queue.schedules()]
        within = [at for at in nexts if at is not None and self._now < at <= self._now + INTERVAL]
        self.checked += TABLE_COUNT
        self.lost += len(set(queued) ^ due) + len(queued) - len(set(queued)) + len(again)
        self.lost += TABLE_COUNT - len(within)
        self._past_runs = {
            (name, due_at) for name, due_at in self._past_runs if due_at <= self._now
        }  # else: due again
        self._finish_jobs()
        ran = self._run_scripts()
        hours = by.total_seconds() / 3600
        return f"the clock jumps by {hours:+.3g} h: {len(queued)} refreshes and {ran} scripts due"

    def close(self) -> None:
        self._queue.close()

    def _run_scripts(self) -> int:
        """Check that each due script starts once for its time and is due again within a day."""
        scripts = self._queue.scripts
        due = {one.name for one in scripts.list_scripts() if is_due(one.timing, self._now)}
        begun = [run for _, run in scripts.start_due_runs(1, self._now, len(ZONES))]
        again = scripts.start_due_runs(1, self._now, len(ZONES))
        doubled = [run for run in begun if (run.name, run.due_at) in self._past_runs]
        self._past_runs |= {(run.name, run.due_at) for run in begun}
        for run in begun:
            scripts.finish_run(run, ScriptRunResult(RunStatus.SUCCESS, 0), self._now)
        late = [
            one
            for one in scripts.list_scripts()
            if one.timing.last_at and not self._is_within_a_day(one.timing.next_at)
        ]
        self.checked += len(ZONES)
        self.lost += len({run.name for run in begun} ^ due) + len(again) + len(doubled) + len(late)
        return len(begun)

    def _is_within_a_day(self, next_at: datetime | None) -> bool:
        return next_at is not None and self._now < next_at <= self._now + timedelta(days=1)

    def _finish_jobs(self) -> None:
        epoch = self._queue.start_epoch()
        while (job := self._queue.claim(epoch, self._now)) is not None:
            self._queue.finish(job, JobState.DONE, now=self._now)
