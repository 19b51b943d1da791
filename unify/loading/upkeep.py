"""When the daemon tends the lake: in a quiet minute, once an hour at most; never put off for a day.

The steps themselves are ``unify.store.upkeep``'s. When they were last done is the time of a file beside
the lake, so that a daemon that is started often does not do them each time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

QUIET_S = 60.0  # nothing has been under way for so long
EVERY_S = 3600.0  # in an hour a table refreshed each minute gets 60 small files
LATEST_S = 24 * 3600.0  # a daemon that is never quiet tends the lake all the same
PAUSE_S = 300.0  # after an attempt that a load has cut short, or that failed

STAMP = "tended"


class Upkeep:
    """Decides when; knows nothing of what is done. ``clock`` is monotonic, ``wall`` seconds since 1970."""

    def __init__(
        self,
        lake: Path,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._stamp = lake / STAMP
        self._clock = clock
        self._wall = wall
        self._not_before = clock() + QUIET_S  # a shell that starts us has something better for us to do

    def due(self, quiet_s: float) -> bool:
        """Whether now is the time, when nothing has been under way for ``quiet_s``."""
        return self.wait_s(quiet_s) <= 0

    def wait_s(self, quiet_s: float) -> float:
        """In how many seconds it will be the time, if it stays as quiet as it is."""
        age_s = self._age_s()
        quiet_in_s = 0.0 if age_s >= LATEST_S else QUIET_S - quiet_s
        return max(self._not_before - self._clock(), EVERY_S - age_s, quiet_in_s)

    @property
    def overdue(self) -> bool:
        """Whether loads have to wait for it, a table's files at a time."""
        return self._age_s() >= LATEST_S

    def began(self) -> None:
        """It is being done: not again before it is known how it went."""
        self._not_before = self._clock() + PAUSE_S

    def ended(self) -> None:
        """Everything there was to do is done."""
        self._stamp.touch(mode=0o600)
        now = self._wall()
        os.utime(self._stamp, (now, now))

    def _age_s(self) -> float:
        """How long ago it was last done. A lake that was never tended has an hour's time."""
        try:
            return max(0.0, self._wall() - self._stamp.stat().st_mtime)
        except FileNotFoundError:
            return EVERY_S
