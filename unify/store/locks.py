"""Locks between processes: ``flock`` on a file, gone by itself when its holder dies.

The file's content says who holds the lock, for messages only; the truth is the kernel's.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from unify import flock
from unify.errors import StoreError

SIGNATURE_BYTES = 64  # always as many: a file cut short and written again is flushed when it is closed


class FileLock:
    """One lock file, opened when first needed and never inherited by a child process.

    Reentrant: the thread that holds it may take it again; other threads of the process wait.
    Two ``FileLock`` objects on one path exclude each other, in one process too.
    """

    def __init__(self, path: Path, purpose: str = "") -> None:
        self.path = path
        self.purpose = purpose
        self._threads = threading.RLock()
        self._depth = 0
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        """Whether this object holds the lock now."""
        return self._depth > 0

    @contextmanager
    def holding(self, timeout_s: float | None = None) -> Iterator[None]:
        """Hold the lock for the block. Raises StoreError naming the holder when ``timeout_s`` passes."""
        self.acquire(timeout_s)
        try:
            yield
        finally:
            self.release()

    def acquire(self, timeout_s: float | None = None) -> None:
        """Take the lock, waiting as long as it takes or ``timeout_s``; ``release`` gives it back."""
        if not self._threads.acquire(timeout=-1 if timeout_s is None else timeout_s):
            raise self._busy(timeout_s)
        try:
            if self._depth == 0:
                self._descriptor = self._lock(timeout_s)
            self._depth += 1
        except BaseException:
            self._threads.release()
            raise

    def try_acquire(self) -> bool:
        """Take the lock if nobody has it."""
        if not self._threads.acquire(blocking=False):
            return False
        if self._depth == 0:
            descriptor = flock.opened(self.path)
            if not flock.taken(descriptor, within_s=0):
                self._threads.release()
                return False
            self._descriptor = descriptor
            self._sign(descriptor)
        self._depth += 1
        return True

    def release(self) -> None:
        """Give back one ``acquire``; the last one frees the lock."""
        self._depth -= 1
        if self._depth == 0 and self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)  # closing the only descriptor of this open file frees its flock
        self._threads.release()

    def holder(self) -> str:
        """Who holds the lock, as they signed it: ``process 4711 (daemon)``; "" when nobody does."""
        if self.held:
            return _signature(self.purpose)
        if flock.is_free(self.path):
            return ""
        try:
            return self.path.read_text("utf-8", errors="replace").strip() or "another process"
        except OSError:
            return "another process"

    def _lock(self, timeout_s: float | None) -> int:
        descriptor = flock.opened(self.path)
        if not flock.taken(descriptor, within_s=timeout_s):
            raise self._busy(timeout_s)
        self._sign(descriptor)
        return descriptor

    def _sign(self, descriptor: int) -> None:
        signature = _signature(self.purpose).ljust(SIGNATURE_BYTES).encode()
        try:
            if os.pread(descriptor, SIGNATURE_BYTES, 0) != signature:
                os.pwrite(descriptor, signature, 0)
        except OSError:
            return  # a full disk must not cost us the lock; the signature only serves messages

    def _busy(self, timeout_s: float | None) -> StoreError:
        return StoreError(
            f"{self.path}: still held by {self.holder() or 'another process'} after {timeout_s:g} s; "
            "try again when it has finished (an open transaction in a shell ends with commit or rollback)"
        )


def _signature(purpose: str) -> str:
    return f"process {os.getpid()}" + (f" ({purpose})" if purpose else "")
