"""When the daemon tends the lake: in a quiet minute, once an hour at most; never put off for a day.

The steps themselves are ``unify.lake.maintenance``'s. When they were last done is the time of a file beside
the lake, so that a daemon that is started often does not do them each time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

IDLE_BEFORE_S = 60.0  # nothing has been under way for so long
INTERVAL_S = 3600.0  # in an hour a table refreshed each minute gets 60 small files
OVERDUE_AFTER_S = 24 * 3600.0  # a daemon that is never quiet tends the lake all the same
RETRY_DELAY_S = 300.0  # after an attempt that a load has cut short, or that failed

LAST_RUN_FILE = "tended"


class MaintenanceSchedule:
    """Decides when; knows nothing of what is done. ``clock`` is monotonic, ``wall`` seconds since 1970."""

    def __init__(
        self,
        lake: Path,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._last_run_file = lake / LAST_RUN_FILE
        self._clock = clock
        self._wall_clock = wall_clock
        self._next_attempt_at = (
            clock() + IDLE_BEFORE_S
        )  # a shell that starts us has something better for us to do

    def is_due(self, idle_s: float) -> bool:
        """Whether now is the time, when nothing has been under way for ``quiet_s``."""
        return self.wait_s(idle_s) <= 0

    def wait_s(self, idle_s: float) -> float:
        """In how many seconds it will be the time, if it stays as quiet as it is."""
        age_s = self._age_s()
        quiet_in_s = 0.0 if age_s >= OVERDUE_AFTER_S else IDLE_BEFORE_S - idle_s
        return max(self._next_attempt_at - self._clock(), INTERVAL_S - age_s, quiet_in_s)

    @property
    def is_overdue(self) -> bool:
        """Whether loads have to wait for it, a table's files at a time."""
        return self._age_s() >= OVERDUE_AFTER_S

    def mark_started(self) -> None:
        """It is being done: not again before it is known how it went."""
        self._next_attempt_at = self._clock() + RETRY_DELAY_S

    def mark_completed(self) -> None:
        """Everything there was to do is done."""
        self._last_run_file.touch(mode=0o600)
        now = self._wall_clock()
        os.utime(self._last_run_file, (now, now))

    def _age_s(self) -> float:
        """How long ago it was last done. A lake that was never tended has an hour's time."""
        try:
            return max(0.0, self._wall_clock() - self._last_run_file.stat().st_mtime)
        except FileNotFoundError:
            return INTERVAL_S
