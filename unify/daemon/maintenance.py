"""The schedule of ``lake.maintenance``: at most once an hour, in a quiet minute or in short slices.

The time of the last complete run is the modification time of a file in the lake's folder, so that a daemon
that is started often does not run it each time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from unify.daemon.log import DaemonLog
from unify.lake.maintenance import LakeMaintenanceResult

IDLE_BEFORE_S = 60.0
INTERVAL_S = 3600.0  # in an hour a table that is refreshed each minute gets 60 small files
MAX_DEFERRAL_S = 600.0  # under steady load it runs in slices once it is due for so long
SLICE_S = 2.0  # how long one slice keeps loads from being published; at least one table is compacted
SLICE_INTERVAL_S = 20.0
RETRY_DELAY_S = 300.0  # after a run that a load interrupted, or that failed

LAST_RUN_FILE = "last-maintenance"


class MaintenanceSchedule:
    """Decides when. ``clock`` is monotonic, ``wall_clock`` seconds since 1970."""

    def __init__(
        self,
        lake: Path,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._last_run_file = lake / LAST_RUN_FILE
        self._clock = clock
        self._wall_clock = wall_clock
        self._next_attempt_at = clock() + IDLE_BEFORE_S  # the shell that starts the daemon has work for it
        self._started_at = clock()

    def is_due(self, idle_s: float) -> bool:
        """Whether to run now, if no load or script has run for ``idle_s``."""
        return self.wait_s(idle_s) <= 0

    def wait_s(self, idle_s: float) -> float:
        """Seconds until it is due, if nothing else happens."""
        idle_in_s = 0.0 if self.is_overdue else min(IDLE_BEFORE_S - idle_s, self._overdue_in_s)
        return max(self._next_attempt_at - self._clock(), INTERVAL_S - self._age_s(), idle_in_s)

    @property
    def is_overdue(self) -> bool:
        """Whether it runs in slices between loads."""
        return self._overdue_in_s <= 0

    def start(self) -> Callable[[], bool] | None:
        """Record that a run starts. Under steady load, return how long the run of this slice may go on."""
        overdue = self.is_overdue
        self._next_attempt_at = self._clock() + (SLICE_INTERVAL_S if overdue else RETRY_DELAY_S)
        if not overdue:
            return None
        deadline: list[float] = []  # set when the publisher gets to it

        def should_continue() -> bool:
            if not deadline:
                deadline.append(self._clock() + SLICE_S)
            return self._clock() <= deadline[0]

        return should_continue

    def record(self, result: LakeMaintenanceResult, log: DaemonLog) -> None:
        """Write the result to the log, and let the next run be due later if everything was done."""
        log.write_event(
            "lake.maintenance_completed" if result.complete else "lake.maintenance_partial",
            snapshots=result.expired_snapshots,
            files=result.removed_files,
            compacted=",".join(map(str, result.compacted_tables)),
            set_aside=result.set_aside or None,
            kept="the catalog was replaced by an older copy" if result.keeps_files else None,
        )
        if result.complete:
            self.mark_completed()

    def mark_completed(self) -> None:
        self._last_run_file.touch(mode=0o600)
        now = self._wall_clock()
        os.utime(self._last_run_file, (now, now))

    @property
    def _overdue_in_s(self) -> float:
        due_for_s = min(self._age_s() - INTERVAL_S, self._clock() - self._started_at)
        return MAX_DEFERRAL_S - due_for_s

    def _age_s(self) -> float:
        """Seconds since the last complete run. A lake without one is due."""
        try:
            return max(0.0, self._wall_clock() - self._last_run_file.stat().st_mtime)
        except FileNotFoundError:
            return self._clock() - self._started_at + INTERVAL_S
