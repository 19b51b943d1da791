"""Limits of request rate of a connection, shared by all worker processes.

Requests get evenly spaced slots, reserved in a small file under ``flock``; without a folder, in memory. A
rate limit that one worker meets pauses all. ``concurrency`` limits the number of concurrent requests.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from unify.adapters.http.concurrency import ConcurrencySlots
from unify.adapters.http.retry import MAX_WAIT_S
from unify.errors import Interrupted, RateLimited, StoreError

# Slots are 10 % further apart than the rate: requests reach the server with different delays, and still no
# second in its log has too many. A slot may be used up to MAX_SLOT_LATENESS_S late, half of
# that at 1 request per second.
SPACING_FACTOR = 1.1
MAX_SLOT_LATENESS_S = 0.05
MAX_PAUSE_S = 86400.0  # of longer pauses that an API demands, each day is checked again
MIN_REPORTED_WAIT_S = 1.0


class RateLimiterState(Struct, frozen=True):
    """The time of the next request. All times are in seconds since 1970, as they outlive a process.

    ``next_slot_at``  the first free slot.
    ``resume_at``     the end of a rate limit.
    ``written_at``    if it is later than now, the clock was set back and the state is not valid.
    """

    next_slot_at: float = 0.0
    resume_at: float = 0.0
    written_at: float = 0.0

    def reset_on_clock_skew(self, now: float) -> RateLimiterState:
        return RateLimiterState() if self.written_at > now + 1.0 else self

    def take_slot(self, now: float, interval_s: float, latest_at: float) -> tuple[float, RateLimiterState]:
        """Return the next slot and the new state. A slot after ``latest_at`` is not reserved."""
        slot = max(now, self.next_slot_at, self.resume_at)
        if slot > latest_at:
            return slot, self
        return slot, replace(self, next_slot_at=slot + interval_s, written_at=now)

    def pause_until(self, resume_at: float, now: float) -> RateLimiterState:
        return replace(self, resume_at=max(min(resume_at, now + MAX_PAUSE_S), self.resume_at), written_at=now)


class RateLimiter:
    """Slots for the requests of one process."""

    concurrency_slots: ConcurrencySlots | None = None  # None: the caller limits concurrency

    def __init__(self, requests_per_second: float | None = None) -> None:
        self.interval_s = SPACING_FACTOR / requests_per_second if requests_per_second else 0.0
        self._lock = threading.Lock()
        self._state = RateLimiterState()

    def reserve_slot(self, now: float, latest_at: float) -> float:
        """Return when the next request may be sent. If that is after ``latest_at``, nothing is reserved."""
        if not self.interval_s:
            return max(now, self.resume_at(now))
        with self._exclusive_lock():
            slot, state = self._read_state(now).take_slot(now, self.interval_s, latest_at)
            self._write_state(state)
            return slot

    def pause_until(self, resume_at: float, now: float) -> None:
        with self._exclusive_lock():
            self._write_state(self._read_state(now).pause_until(resume_at, now))

    def resume_at(self, now: float) -> float:
        """The end of the last pause, perhaps in the past."""
        return self._read_state(now).resume_at

    def close(self) -> None:
        """Close the files."""

    @contextmanager
    def _exclusive_lock(self) -> Iterator[None]:
        with self._lock:
            yield

    def _read_state(self, now: float) -> RateLimiterState:
        return self._state.reset_on_clock_skew(now)

    def _write_state(self, state: RateLimiterState) -> None:
        self._state = state


class SharedRateLimiter(RateLimiter):
    """Slots shared by all processes with the same folder, connection and origin.

    Raises:
        StoreError: the file cannot be opened.
    """

    _STATE_STRUCT = struct.Struct("<ddd")

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
        self.path = folder / f"{digest}.rate"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StoreError(f"{self.path}: cannot be opened ({error.strerror})") from error
        self.concurrency_slots = ConcurrencySlots(folder, digest, concurrency) if concurrency else None

    def close(self) -> None:
        os.close(self._file)
        if self.concurrency_slots is not None:
            self.concurrency_slots.close()

    @contextmanager
    def _exclusive_lock(self) -> Iterator[None]:
        with self._lock:  # flock excludes other processes, not threads
            fcntl.flock(self._file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def _read_state(self, now: float) -> RateLimiterState:
        content = os.pread(self._file, self._STATE_STRUCT.size, 0)
        if len(content) < self._STATE_STRUCT.size:
            return RateLimiterState()
        return RateLimiterState(*self._STATE_STRUCT.unpack(content)).reset_on_clock_skew(now)

    def _write_state(self, state: RateLimiterState) -> None:
        content = self._STATE_STRUCT.pack(state.next_slot_at, state.resume_at, state.written_at)
        os.pwrite(self._file, content, 0)


class Clock:
    """The time, and waiting; tests replace it."""

    def time(self) -> float:
        """Seconds since 1970."""
        return time.time()

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        """Wait, or return True as soon as ``stop`` is set."""
        return stop.wait(seconds)


class Throttle:
    """Waits until a request may be sent. Each wait ends when its ``stop`` is set.

    ``listener``  receives the end of a wait when the first thread starts a longer one; None after the last
                  one.
    """

    def __init__(
        self,
        rate_limiter: RateLimiter,
        clock: Clock,
        listener: Callable[[datetime | None], None],
        origin: str,
    ) -> None:
        self.clock = clock
        self._rate_limiter = rate_limiter
        self._listener = listener
        self._origin = origin
        self._lock = threading.Lock()
        self._waiting_threads = 0

    def wait_for_slot(self, stop: threading.Event) -> None:
        """Raises RateLimited if a slot is further away than a worker should wait."""
        while True:
            if stop.is_set():
                raise interrupted_error()
            now = self.clock.time()
            slot = self._rate_limiter.reserve_slot(now, now + MAX_WAIT_S)
            if slot <= now:
                return
            self._wait_until(slot, now, stop)
            now = self.clock.time()
            if now - slot <= MAX_SLOT_LATENESS_S and self._rate_limiter.resume_at(now) <= now:
                return  # else the slot is over, or a rate limit has been met meanwhile

    @contextmanager
    def concurrency_slot(self, stop: threading.Event) -> Iterator[None]:
        """Hold one of the concurrency slots of this connection during the block."""
        slots = self._rate_limiter.concurrency_slots
        if slots is None:
            yield
            return
        now = self.clock.time()
        self._wait_until(self._rate_limiter.resume_at(now), now, stop)
        slot = slots.acquire(stop)
        try:
            yield
        finally:
            slots.release(slot)

    def cancel(self, stop: threading.Event) -> None:
        """End the waits for a concurrency slot with ``stop``, which is set."""
        if self._rate_limiter.concurrency_slots is not None:
            self._rate_limiter.concurrency_slots.cancel(stop)

    def pause(self, seconds: float) -> None:
        """Send nothing to this API for ``seconds``, in any process."""
        now = self.clock.time()
        self._rate_limiter.pause_until(now + seconds, now)

    def wait(self, seconds: float, stop: threading.Event) -> None:
        with self._report_wait(seconds):
            if self.clock.wait(stop, seconds):
                raise interrupted_error()

    def close(self) -> None:
        self._rate_limiter.close()

    def _wait_until(self, end: float, now: float, stop: threading.Event) -> None:
        if end - now > MAX_WAIT_S:
            raise RateLimited(
                f"{self._origin}: the quota is used up; it is reset in {(end - now) / 60:.0f} min",
                retry_after_s=end - now,
            )
        if end > now:
            self.wait(end - now, stop)

    @contextmanager
    def _report_wait(self, seconds: float) -> Iterator[None]:
        if seconds < MIN_REPORTED_WAIT_S:
            yield
            return
        with self._lock:
            self._waiting_threads += 1
            self._listener(datetime.fromtimestamp(self.clock.time() + seconds, UTC))
        try:
            yield
        finally:
            with self._lock:
                self._waiting_threads -= 1
                if self._waiting_threads == 0:
                    self._listener(None)


def interrupted_error() -> Interrupted:
    return Interrupted("the read was cancelled")
