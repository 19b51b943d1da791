"""How fast a connection may ask, all worker processes together.

Requests get evenly spaced slots. A slot is taken from a small file under ``flock``, so that workers need not
know of each other; without a folder it is taken from memory. A rate limit met by one worker holds all. How
many may ask at once is counted by ``places``.

Waiting, always so that it can be ended: for a slot of the budget, between tries, for a rate limit.

How many requests of a connection are under way at once, all worker processes together.

A place is a small file under ``flock``: whoever holds it may ask, and a process that dies gives it back. Who
waits for a place holds the door meanwhile, so that whoever had one before comes after them.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

from unify.adapters.http.retry import MAX_WAIT_S
from unify.errors import Interrupted, RateLimited, StoreError

# A tenth more than the even space: requests reach the server with delays of their own, and still no second
# of its log has one too many. LATE_S, half of it, is how late a slot may be used.
SPACING_FACTOR = 1.1
MAX_SLOT_LATENESS_S = 0.05
MAX_PAUSE_S = 86400.0  # a day; an API that asks for more is asked once a day whether it means it


@dataclass(frozen=True, slots=True)
class RateLimiterState:
    """When the next request may go. All are seconds since 1970, since they outlive a process and a boot.

    ``next_slot_at``    the first slot nobody has taken.
    ``resume_at`` a rate limit: nothing goes before.
    ``written_at`` when this was written; later than now means the clock was set back, and it is forgotten.
    """

    next_slot_at: float = 0.0
    resume_at: float = 0.0
    written_at: float = 0.0

    def reset_on_clock_skew(self, now: float) -> RateLimiterState:
        return RateLimiterState() if self.written_at > now + 1.0 else self

    def take_slot(self, now: float, interval_s: float, latest_at: float) -> tuple[float, RateLimiterState]:
        """The next slot, and what is left. A slot after ``latest`` is told, but not taken."""
        slot = max(now, self.next_slot_at, self.resume_at)
        if slot > latest_at:
            return slot, self
        return slot, replace(self, next_slot_at=slot + interval_s, written_at=now)

    def pause_until(self, resume_at: float, now: float) -> RateLimiterState:
        longest = min(resume_at, now + MAX_PAUSE_S)
        return replace(self, resume_at=max(longest, self.resume_at), written_at=now)


class RateLimiter(ABC):
    """Slots for the requests of one connection to one origin."""

    def __init__(self, requests_per_second: float | None) -> None:
        self.interval_s = SPACING_FACTOR / requests_per_second if requests_per_second else 0.0

    @abstractmethod
    def reserve_slot(self, now: float, latest_at: float) -> float:
        """The moment the next request may go. If that is after ``latest``, nothing is reserved."""

    @abstractmethod
    def pause_until(self, resume_at: float, now: float) -> None:
        """Nobody asks before ``until``."""

    @abstractmethod
    def resume_at(self, now: float) -> float:
        """Until when nobody asks; in the past when nothing holds."""

    @property
    def concurrency_slots(self) -> ConcurrencySlots | None:
        """How many requests may be under way; None: whoever asks sees to that alone."""
        return None

    def close(self) -> None:  # noqa: B027  # most have nothing to give back
        """Give the file back."""


class LocalRateLimiter(RateLimiter):
    """Slots of one process."""

    def __init__(self, requests_per_second: float | None = None) -> None:
        super().__init__(requests_per_second)
        self._lock = Lock()
        self._state = RateLimiterState()

    def reserve_slot(self, now: float, latest_at: float) -> float:
        with self._lock:
            slot, self._state = self._state.reset_on_clock_skew(now).take_slot(
                now, self.interval_s, latest_at
            )
            return slot

    def pause_until(self, resume_at: float, now: float) -> None:
        with self._lock:
            self._state = self._state.reset_on_clock_skew(now).pause_until(resume_at, now)

    def resume_at(self, now: float) -> float:
        return self._state.reset_on_clock_skew(now).resume_at


class SharedRateLimiter(RateLimiter):
    """Slots of every process that names the same folder, connection and origin.

    Raises  StoreError naming the file where it cannot be opened.
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
        self.path = folder / f"{digest}.slots"
        self._lock = Lock()  # flock tells processes apart, not threads
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StoreError(f"{self.path}: cannot be opened ({error.strerror})") from error
        self._concurrency_slots = ConcurrencySlots(folder, digest, concurrency) if concurrency else None

    @property
    def concurrency_slots(self) -> ConcurrencySlots | None:
        return self._concurrency_slots

    def reserve_slot(self, now: float, latest_at: float) -> float:
        if not self.interval_s:
            return max(now, self.resume_at(now))
        with self._exclusive_lock():
            slot, left = self._read_state(now).take_slot(now, self.interval_s, latest_at)
            self._write_state(left)
            return slot

    def pause_until(self, resume_at: float, now: float) -> None:
        with self._exclusive_lock():
            self._write_state(self._read_state(now).pause_until(resume_at, now))

    def resume_at(self, now: float) -> float:
        return self._read_state(now).resume_at

    def close(self) -> None:
        os.close(self._file)
        if self._concurrency_slots is not None:
            self._concurrency_slots.close()

    @contextmanager
    def _exclusive_lock(self) -> Iterator[None]:
        with self._lock:
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
        os.pwrite(
            self._file, self._STATE_STRUCT.pack(state.next_slot_at, state.resume_at, state.written_at), 0
        )


SLOT_POLL_S = 0.01  # how often whoever waits for a place looks for one
MIN_REPORTED_WAIT_S = 1.0  # shorter waits are no news to anybody


class Clock:
    """Time and waiting, so that tests need neither."""

    def time(self) -> float:
        """Seconds since 1970."""
        return time.time()

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        """Wait, or return True as soon as ``stop`` is set."""
        return stop.wait(seconds)


class Throttle:
    """Lets requests through as fast as the budget allows.

    ``listener`` is told until when, as the first thread begins a wait worth telling, and None after the last.
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
        """Wait for a slot. Raises RateLimited where that takes longer than a worker should be kept."""
        while True:
            if stop.is_set():
                raise interrupted_error()
            now = self.clock.time()
            slot = self._rate_limiter.reserve_slot(now, now + MAX_WAIT_S)
            if slot <= now:
                return
            self._check_wait(slot - now)
            self.wait(slot - now, stop)
            now = self.clock.time()
            if now - slot <= MAX_SLOT_LATENESS_S and self._rate_limiter.resume_at(now) <= now:
                return  # else: too late for this slot, or a limit was met meanwhile

    def _wait_for_rate_limit(self, stop: threading.Event) -> None:
        """A rate limit is waited for before a place is taken, and told of."""
        now = self.clock.time()
        left_s = self._rate_limiter.resume_at(now) - now
        if left_s > 0:
            self._check_wait(left_s)
            self.wait(left_s, stop)

    def _check_wait(self, seconds: float) -> None:
        if seconds > MAX_WAIT_S:
            raise RateLimited(
                f"{self._origin}: the quota is spent; it is full again in {seconds / 60:.0f} min",
                retry_after_s=seconds,
            )

    @contextmanager
    def concurrency_slot(self, stop: threading.Event) -> Iterator[None]:
        """One of the places of this connection, all processes together, as soon as there is one."""
        places = self._rate_limiter.concurrency_slots
        if places is None:
            yield
            return
        self._wait_for_rate_limit(stop)
        who = object()
        try:
            while (number := places.acquire(who)) is None:
                if self.clock.wait(stop, SLOT_POLL_S):
                    raise interrupted_error()
        except BaseException:
            places.cancel_wait(who)
            raise
        try:
            yield
        finally:
            places.release(number)

    def pause(self, seconds: float) -> None:
        """Nobody asks this API before ``seconds`` are over."""
        now = self.clock.time()
        self._rate_limiter.pause_until(now + seconds, now)

    def wait(self, seconds: float, stop: threading.Event) -> None:
        with self._report_wait(seconds):
            if self.clock.wait(stop, seconds):
                raise interrupted_error()

    def close(self) -> None:
        self._rate_limiter.close()

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
    return Interrupted("reading was stopped")


class ConcurrencySlots:
    """``count`` places of every process that names the same files."""

    def __init__(self, folder: Path, name: str, count: int) -> None:
        self._queue_path = folder / f"{name}.door"
        self._slot_paths = [folder / f"{name}.{number}.place" for number in range(count)]
        self._lock = Lock()  # flock tells processes apart, not threads
        self._open_files: dict[Path, int] = {}
        self._held_slots: set[int] = set()
        self._queue_head: object | None = None

    def acquire(self, waiter: object) -> int | None:
        """A place for ``who``, to be given back with ``release``; None: none is free, ask again soon."""
        with self._lock:
            if self._queue_head not in (None, waiter) or (
                self._queue_head is None and not self._try_lock(self._queue_path)
            ):
                return None
            self._queue_head = waiter
            for number, path in enumerate(self._slot_paths):
                if number not in self._held_slots and self._try_lock(path):
                    self._held_slots.add(number)
                    self._leave_queue()
                    return number
            return None

    def cancel_wait(self, waiter: object) -> None:
        """``who`` waits no longer."""
        with self._lock:
            if self._queue_head is waiter:
                self._leave_queue()

    def release(self, slot: int) -> None:
        with self._lock:
            self._held_slots.discard(slot)
            self._unlock(self._slot_paths[slot])

    def close(self) -> None:
        with self._lock:
            for file in self._open_files.values():
                os.close(file)
            self._open_files.clear()

    def _leave_queue(self) -> None:
        self._queue_head = None
        self._unlock(self._queue_path)

    def _try_lock(self, path: Path) -> bool:
        try:
            if path not in self._open_files:
                self._open_files[path] = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._open_files[path], fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            raise StoreError(f"{path}: cannot be opened ({error.strerror})") from error
        return True

    def _unlock(self, path: Path) -> None:
        if path in self._open_files:
            fcntl.flock(self._open_files[path], fcntl.LOCK_UN)
