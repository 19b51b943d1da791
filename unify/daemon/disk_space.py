"""Room on the disk: once there was none, the daemon begins nothing until a try has found some.

What it finds out, it finds by writing: what the system says is free may be kept for others, or be beyond
somebody's quota.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from unify.config.settings import Settings
from unify.daemon.log import DaemonLog
from unify.engine import errors

RETRY_INTERVAL_S = 2.0  # how often we look for room; a look that finds none costs less than a millisecond
PROBE_DATA = bytes(
    1024 * 1024
)  # the queue's pages, a line of the log, a small load; less is as good as nothing


class DiskSpaceMonitor:
    """Whether work may go on. ``clock`` is monotonic; ``found`` says whether these folders have room.

    ``why``  what is waited for, in words for people; "" while there is room.
    """

    def __init__(
        self,
        settings: Settings,
        log: DaemonLog,
        *,
        clock: Callable[[], float] = time.monotonic,
        has_space: Callable[[Sequence[Path]], bool] | None = None,
    ) -> None:
        self.pause_reason = ""
        self._home = settings.home
        self._folders = (settings.home, settings.staging, settings.lake)
        self._log = log
        self._clock = clock
        self._has_space = has_space or has_disk_space
        self._reason = ""
        self._paused_at = 0.0
        self._retry_at = 0.0

    def is_disk_full_error(self, error: Exception) -> bool:
        """Whether ``error`` came of a full disk: it says so, or there is no room to be found."""
        return errors.is_disk_full(error) or not self._has_space(self._folders)

    def pause(self, reason: str) -> bool:
        """Wait for room from now on; whether that is new."""
        self._retry_at = self._clock() + RETRY_INTERVAL_S
        if self.pause_reason:
            return False
        self.pause_reason = f"the disk is full ({self._home})"
        self._reason, self._paused_at = reason, self._clock()
        self._log.write_event(f"waiting: {self.pause_reason}", error=reason)
        return True

    def can_start_work(self) -> bool:
        """Whether to begin something now: there is room, or it is time to try and some was found."""
        if self.pause_reason and self._retry_at > self._clock():
            return False
        if self.pause_reason and not self._has_space(self._folders):
            self._retry_at = self._clock() + RETRY_INTERVAL_S
            return False
        return True

    def resume(self) -> None:
        """A try went well. The reason is told again: the log may have had no room for it."""
        waited_s = round(self._clock() - self._paused_at, 1)
        self._log.write_event("there is room on the disk again", waited_s=waited_s, error=self._reason)
        self.pause_reason = ""

    def wait_s(self) -> float:
        """In how many seconds ``can_start_work`` looks again."""
        return max(0.0, self._retry_at - self._clock())


def has_disk_space(folders: Sequence[Path]) -> bool:
    """Whether a little can be written into each of these folders. Nothing of it stays."""
    return all(_can_write(folder) for folder in folders if folder.is_dir())


def _can_write(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:  # has no name: gone however we end
            if file.write(PROBE_DATA) != len(PROBE_DATA):
                return False
            os.fsync(file.fileno())  # where room is given late, its lack is told late
    except OSError:
        return False
    return True
