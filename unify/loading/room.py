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

from unify.loading.log import Log
from unify.settings import Settings
from unify.store import duckerrors

RETRY_S = 2.0  # how often we look for room; a look that finds none costs less than a millisecond
NEEDED = bytes(1024 * 1024)  # the queue's pages, a line of the log, a small load; less is as good as nothing


class Room:
    """Whether work may go on. ``clock`` is monotonic; ``found`` says whether these folders have room.

    ``why``  what is waited for, in words for people; "" while there is room.
    """

    def __init__(
        self,
        settings: Settings,
        log: Log,
        *,
        clock: Callable[[], float] = time.monotonic,
        found: Callable[[Sequence[Path]], bool] | None = None,
    ) -> None:
        self.why = ""
        self._home = settings.home
        self._folders = (settings.home, settings.staging, settings.lake)
        self._log = log
        self._clock = clock
        self._found = found or has_room
        self._reason = ""
        self._since = 0.0
        self._try_at = 0.0

    def is_lack(self, error: Exception) -> bool:
        """Whether ``error`` came of a full disk: it says so, or there is no room to be found."""
        return duckerrors.is_full_disk(error) or not self._found(self._folders)

    def lacks(self, reason: str) -> bool:
        """Wait for room from now on; whether that is new."""
        self._try_at = self._clock() + RETRY_S
        if self.why:
            return False
        self.why = f"the disk is full ({self._home})"
        self._reason, self._since = reason, self._clock()
        self._log.fact(f"waiting: {self.why}", error=reason)
        return True

    def may_try(self) -> bool:
        """Whether to begin something now: there is room, or it is time to try and some was found."""
        if self.why and self._try_at > self._clock():
            return False
        if self.why and not self._found(self._folders):
            self._try_at = self._clock() + RETRY_S
            return False
        return True

    def is_back(self) -> None:
        """A try went well. The reason is told again: the log may have had no room for it."""
        waited_s = round(self._clock() - self._since, 1)
        self._log.fact("there is room on the disk again", waited_s=waited_s, error=self._reason)
        self.why = ""

    def wait_s(self) -> float:
        """In how many seconds ``may_try`` looks again."""
        return max(0.0, self._try_at - self._clock())


def has_room(folders: Sequence[Path]) -> bool:
    """Whether a little can be written into each of these folders. Nothing of it stays."""
    return all(_has_room(folder) for folder in folders if folder.is_dir())


def _has_room(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:  # has no name: gone however we end
            if file.write(NEEDED) != len(NEEDED):
                return False
            os.fsync(file.fileno())  # where room is given late, its lack is told late
    except OSError:
        return False
    return True
