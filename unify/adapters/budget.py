"""How fast a connection may ask, all worker processes together.

Requests get evenly spaced slots. A slot is taken from a small file under ``flock``, so that workers need not
know of each other; without a folder it is taken from memory. A rate limit met by one worker holds all. How
many may ask at once is counted by ``places``.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock

from unify.adapters.places import Places
from unify.errors import StoreError

# A tenth more than the even space: requests reach the server with delays of their own, and still no second
# of its log has one too many. LATE_S, half of it, is how late a slot may be used.
MARGIN = 1.1
LATE_S = 0.05
LONGEST_HOLD_S = 86400.0  # a day; an API that asks for more is asked once a day whether it means it


@dataclass(frozen=True, slots=True)
class Slots:
    """When the next request may go. All are seconds since 1970, since they outlive a process and a boot.

    ``free_at``    the first slot nobody has taken.
    ``held_until`` a rate limit: nothing goes before.
    ``written_at`` when this was written; later than now means the clock was set back, and it is forgotten.
    """

    free_at: float = 0.0
    held_until: float = 0.0
    written_at: float = 0.0

    def believed(self, now: float) -> Slots:
        return Slots() if self.written_at > now + 1.0 else self

    def taken(self, now: float, space_s: float, latest: float) -> tuple[float, Slots]:
        """The next slot, and what is left. A slot after ``latest`` is told, but not taken."""
        slot = max(now, self.free_at, self.held_until)
        if slot > latest:
            return slot, self
        return slot, replace(self, free_at=slot + space_s, written_at=now)

    def held(self, until: float, now: float) -> Slots:
        longest = min(until, now + LONGEST_HOLD_S)
        return replace(self, held_until=max(longest, self.held_until), written_at=now)


class Budget(ABC):
    """Slots for the requests of one connection to one origin."""

    def __init__(self, requests_per_second: float | None) -> None:
        self.space_s = MARGIN / requests_per_second if requests_per_second else 0.0

    @abstractmethod
    def reserve(self, now: float, latest: float) -> float:
        """The moment the next request may go. If that is after ``latest``, nothing is reserved."""

    @abstractmethod
    def hold(self, until: float, now: float) -> None:
        """Nobody asks before ``until``."""

    @abstractmethod
    def held_until(self, now: float) -> float:
        """Until when nobody asks; in the past when nothing holds."""

    @property
    def places(self) -> Places | None:
        """How many requests may be under way; None: whoever asks sees to that alone."""
        return None

    def close(self) -> None:  # noqa: B027  # most have nothing to give back
        """Give the file back."""


class LocalBudget(Budget):
    """Slots of one process."""

    def __init__(self, requests_per_second: float | None = None) -> None:
        super().__init__(requests_per_second)
        self._lock = Lock()
        self._slots = Slots()

    def reserve(self, now: float, latest: float) -> float:
        with self._lock:
            slot, self._slots = self._slots.believed(now).taken(now, self.space_s, latest)
            return slot

    def hold(self, until: float, now: float) -> None:
        with self._lock:
            self._slots = self._slots.believed(now).held(until, now)

    def held_until(self, now: float) -> float:
        return self._slots.believed(now).held_until


class SharedBudget(Budget):
    """Slots of every process that names the same folder, connection and origin.

    Raises  StoreError naming the file where it cannot be opened.
    """

    _FORM = struct.Struct("<ddd")

    def __init__(
        self,
        folder: Path,
        connection: str,
        origin: str,
        requests_per_second: float | None,
        concurrency: int | None = None,
    ) -> None:
        super().__init__(requests_per_second)
        digest = hashlib.sha256(f"{connection}\n{origin}".encode()).hexdigest()[:16]
        self.path = folder / f"{digest}.slots"
        self._lock = Lock()  # flock tells processes apart, not threads
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StoreError(f"{self.path}: cannot be opened ({error.strerror})") from error
        self._places = Places(folder, digest, concurrency) if concurrency else None

    @property
    def places(self) -> Places | None:
        return self._places

    def reserve(self, now: float, latest: float) -> float:
        if not self.space_s:
            return max(now, self.held_until(now))
        with self._alone():
            slot, left = self._read(now).taken(now, self.space_s, latest)
            self._write(left)
            return slot

    def hold(self, until: float, now: float) -> None:
        with self._alone():
            self._write(self._read(now).held(until, now))

    def held_until(self, now: float) -> float:
        return self._read(now).held_until

    def close(self) -> None:
        os.close(self._file)
        if self._places is not None:
            self._places.close()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self._lock:
            fcntl.flock(self._file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def _read(self, now: float) -> Slots:
        content = os.pread(self._file, self._FORM.size, 0)
        if len(content) < self._FORM.size:
            return Slots()
        return Slots(*self._FORM.unpack(content)).believed(now)

    def _write(self, slots: Slots) -> None:
        os.pwrite(self._file, self._FORM.pack(slots.free_at, slots.held_until, slots.written_at), 0)
