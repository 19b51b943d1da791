"""Ctrl-C while the main thread runs code that is not Python's.

Python raises KeyboardInterrupt when such a call returns, which may be minutes later: a library that waits for
a server does not look. The byte that Python writes for each signal is read by a thread at once.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class InterruptWatch:
    """Calls ``on_interrupt`` in a thread of its own on each SIGINT within ``active``, which ends the call."""

    def __init__(self, on_interrupt: Callable[[], None]) -> None:
        self._on_interrupt = on_interrupt
        self._pipe: tuple[int, int] | None = None

    @contextmanager
    def active(self) -> Iterator[None]:
        """Watch within the block. Does nothing in other threads, which no signal interrupts."""
        is_main = threading.current_thread() is threading.main_thread()
        if not is_main or not callable(signal.getsignal(signal.SIGINT)):
            yield
            return
        before = signal.set_wakeup_fd(self._open(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)

    def close(self) -> None:
        """End the thread."""
        if self._pipe is not None:
            os.close(self._pipe[1])
            self._pipe = None

    def _open(self) -> int:
        if self._pipe is None:
            reader, writer = self._pipe = os.pipe()
            os.set_blocking(writer, False)
            threading.Thread(target=self._read, args=(reader,), name="interrupts", daemon=True).start()
        return self._pipe[1]

    def _read(self, reader: int) -> None:
        while byte := os.read(reader, 1):
            if byte[0] == signal.SIGINT:
                self._on_interrupt()
        os.close(reader)
