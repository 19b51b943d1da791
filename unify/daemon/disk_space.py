"""Pauses work while the home folder cannot be written to: the disk is full, or another process holds a lock.

Free space is found by writing: what the system reports as free may be reserved, or beyond a quota.
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

RETRY_INTERVAL_S = 2.0  # a probe that finds no space costs less than a millisecond
PROBE_DATA = bytes(1024 * 1024)  # enough for the queue's pages, lines of the log and a small load


class DiskSpaceMonitor:
    """Decides whether work may start. ``clock`` is monotonic; ``has_space`` probes the folders."""

    def __init__(
        self,
        settings: Settings,
        log: DaemonLog,
        *,
        clock: Callable[[], float] = time.monotonic,
        has_space: Callable[[Sequence[Path]], bool] | None = None,
    ) -> None:
        self._home = settings.home
        self._folders = (settings.home, settings.staging, settings.lake)
        self._log = log
        self._clock = clock
        self._has_space = has_space or has_disk_space
        self._is_disk_full = False
        self._reason = ""
        self._error = ""
        self._paused_at = 0.0
        self._retry_at = 0.0

    @property
    def pause_reason(self) -> str:
        """Why no work starts, for ``system status``; "" while it does."""
        if not self._reason or self._is_disk_full:
            return self._reason
        return f"{self._reason} (for {self._clock() - self._paused_at:.0f} s)"

    def is_disk_full_error(self, error: Exception) -> bool:
        """Whether a full disk caused ``error``: it says so, or a probe finds no space."""
        return errors.is_disk_full(error) or not self._has_space(self._folders)

    def pause(self, error: str, reason: str = "") -> bool:
        """Start no work for now; return whether this is a new pause. No ``reason`` means a full disk."""
        self._retry_at = self._clock() + RETRY_INTERVAL_S
        if self._reason:
            return False
        self._is_disk_full = not reason
        self._reason = reason or f"the disk is full ({self._home})"
        self._error, self._paused_at = error, self._clock()
        event = "disk.full" if self._is_disk_full else "daemon.paused"
        self._log.write_event(event, path=self._home, error=error)
        return True

    def can_start_work(self) -> bool:
        """Whether there is no pause, or it is time to try again and the disk has space."""
        if self._reason and self._retry_at > self._clock():
            return False
        if self._is_disk_full and not self._has_space(self._folders):
            self._retry_at = self._clock() + RETRY_INTERVAL_S
            return False
        return True

    def resume(self) -> None:
        """End the pause. The error is logged again: a full disk may have lost the first line."""
        waited_s = round(self._clock() - self._paused_at, 1)
        event = "disk.recovered" if self._is_disk_full else "daemon.resumed"
        self._log.write_event(event, waited_s=waited_s, error=self._error)
        self._reason, self._is_disk_full = "", False

    def wait_s(self) -> float:
        """Seconds until ``can_start_work`` probes again."""
        return max(0.0, self._retry_at - self._clock())


def has_disk_space(folders: Sequence[Path]) -> bool:
    """Whether a megabyte can be written to each of these folders; nothing of it stays."""
    return all(_can_write(folder) for folder in folders if folder.is_dir())


def _can_write(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:  # unnamed: removed however we end
            if file.write(PROBE_DATA) != len(PROBE_DATA):
                return False
            os.fsync(file.fileno())  # file systems that allocate late report errors late
    except OSError:
        return False
    return True
