"""Waiting, always so that it can be ended: for a slot of the budget, between tries, for a rate limit."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from unify.adapters.budget import LATE_S, Budget
from unify.adapters.retry import PATIENCE_S
from unify.errors import Interrupted, RateLimited

PLACE_S = 0.01  # how often whoever waits for a place looks for one
ANNOUNCED_S = 1.0  # shorter waits are no news to anybody


class Clock:
    """Time and waiting, so that tests need neither."""

    def time(self) -> float:
        """Seconds since 1970."""
        return time.time()

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        """Wait, or return True as soon as ``stop`` is set."""
        return stop.wait(seconds)


class Pace:
    """Lets requests through as fast as the budget allows.

    ``listener`` is told until when, as the first thread begins a wait worth telling, and None after the last.
    """

    def __init__(
        self, budget: Budget, clock: Clock, listener: Callable[[datetime | None], None], origin: str
    ) -> None:
        self.clock = clock
        self._budget = budget
        self._listener = listener
        self._origin = origin
        self._lock = threading.Lock()
        self._waiting = 0

    def take_turn(self, stop: threading.Event) -> None:
        """Wait for a slot. Raises RateLimited where that takes longer than a worker should be kept."""
        while True:
            if stop.is_set():
                raise stopped()
            now = self.clock.time()
            slot = self._budget.reserve(now, now + PATIENCE_S)
            if slot <= now:
                return
            self._refuse_long(slot - now)
            self.wait(slot - now, stop)
            now = self.clock.time()
            if now - slot <= LATE_S and self._budget.held_until(now) <= now:
                return  # else: too late for this slot, or a limit was met meanwhile

    def _await_limit(self, stop: threading.Event) -> None:
        """A rate limit is waited for before a place is taken, and told of."""
        now = self.clock.time()
        left_s = self._budget.held_until(now) - now
        if left_s > 0:
            self._refuse_long(left_s)
            self.wait(left_s, stop)

    def _refuse_long(self, seconds: float) -> None:
        if seconds > PATIENCE_S:
            raise RateLimited(
                f"{self._origin}: the quota is spent; it is full again in {seconds / 60:.0f} min",
                retry_after_s=seconds,
            )

    @contextmanager
    def place(self, stop: threading.Event) -> Iterator[None]:
        """One of the places of this connection, all processes together, as soon as there is one."""
        places = self._budget.places
        if places is None:
            yield
            return
        self._await_limit(stop)
        who = object()
        try:
            while (number := places.enter(who)) is None:
                if self.clock.wait(stop, PLACE_S):
                    raise stopped()
        except BaseException:
            places.give_up(who)
            raise
        try:
            yield
        finally:
            places.leave(number)

    def hold(self, seconds: float) -> None:
        """Nobody asks this API before ``seconds`` are over."""
        now = self.clock.time()
        self._budget.hold(now + seconds, now)

    def wait(self, seconds: float, stop: threading.Event) -> None:
        with self._announced(seconds):
            if self.clock.wait(stop, seconds):
                raise stopped()

    def close(self) -> None:
        self._budget.close()

    @contextmanager
    def _announced(self, seconds: float) -> Iterator[None]:
        if seconds < ANNOUNCED_S:
            yield
            return
        with self._lock:
            self._waiting += 1
            self._listener(datetime.fromtimestamp(self.clock.time() + seconds, UTC))
        try:
            yield
        finally:
            with self._lock:
                self._waiting -= 1
                if self._waiting == 0:
                    self._listener(None)


def stopped() -> Interrupted:
    return Interrupted("reading was stopped")
