"""The commands that wait for the publisher, shortest publication first.

Publications cannot run side by side: each is one transaction under the lake's lock. A long one that is ready
together with short ones therefore comes last, but not later than ``MAX_WAIT_S``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

MAX_WAIT_S = 60.0

CommandT = TypeVar("CommandT")


class CommandQueue(Generic[CommandT]):
    """Commands in the order in which they are to be carried out.

    ``size_of``  bytes of a publication; None for other commands, which keep their order.
    """

    def __init__(
        self, size_of: Callable[[CommandT], int | None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._size_of = size_of
        self._clock = clock
        self._waiting: list[tuple[float, CommandT]] = []
        self._is_closed = False
        self._changed = threading.Condition()

    def put(self, command: CommandT) -> None:
        with self._changed:
            self._waiting.append((self._clock(), command))
            self._changed.notify()

    def close(self) -> None:
        """Let ``get`` return None once no command waits."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def get(self) -> CommandT | None:
        """Wait for a command; None: the queue is closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closed)
            return self._waiting.pop(self._next_index())[1] if self._waiting else None

    def is_empty(self) -> bool:
        with self._changed:
            return not self._waiting

    def _next_index(self) -> int:
        """The oldest command, unless it is a publication and a shorter one waits."""
        since, oldest = self._waiting[0]
        sizes = [(self._size_of(command), index) for index, (_, command) in enumerate(self._waiting)]
        if self._size_of(oldest) is None or self._clock() - since > MAX_WAIT_S:
            return 0
        return min((size, index) for size, index in sizes if size is not None)[1]
