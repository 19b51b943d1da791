"""Locks between processes: ``flock`` on a file, gone by itself when its holder dies.

The file's content says who holds the lock, for messages only; the truth is the kernel's.

``flock``, with a deadline: locks between processes, gone by themselves when their holder dies.

The descriptors are not inherited by child processes, so a lock never outlives who took it.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from unify.errors import LockTimeout, StoreError

SIGNATURE_BYTES = 64  # always as many: a file cut short and written again is flushed when it is closed


class FileLock:
    """One lock file, opened when first needed and never inherited by a child process.

    Reentrant: the thread that holds it may take it again; other threads of the process wait.
    Two ``FileLock`` objects on one path exclude each other, in one process too.
    """

    def __init__(self, path: Path, purpose: str = "") -> None:
        self.path = path
        self.purpose = purpose
        self._thread_lock = threading.RLock()
        self._depth = 0
        self._descriptor: int | None = None

    @property
    def is_held(self) -> bool:
        """Whether this object holds the lock now."""
        return self._depth > 0

    @contextmanager
    def hold(self, timeout_s: float | None = None) -> Iterator[None]:
        """Hold the lock for the block. Raises StoreError naming the holder when ``timeout_s`` passes."""
        self.acquire(timeout_s)
        try:
            yield
        finally:
            self.release()

    def acquire(self, timeout_s: float | None = None) -> None:
        """Take the lock, waiting as long as it takes or ``timeout_s``; ``release`` gives it back."""
        if not self._thread_lock.acquire(timeout=-1 if timeout_s is None else timeout_s):
            raise self._timeout_error(timeout_s)
        try:
            if self._depth == 0:
                self._descriptor = self._lock_file(timeout_s)
            self._depth += 1
        except BaseException:
            self._thread_lock.release()
            raise

    def try_acquire(self) -> bool:
        """Take the lock if nobody has it."""
        if not self._thread_lock.acquire(blocking=False):
            return False
        if self._depth == 0:
            descriptor = open_lock_file(self.path)
            if not acquire_flock(descriptor, timeout_s=0):
                self._thread_lock.release()
                return False
            self._descriptor = descriptor
            self._write_signature(descriptor)
        self._depth += 1
        return True

    def release(self) -> None:
        """Give back one ``acquire``; the last one frees the lock."""
        self._depth -= 1
        if self._depth == 0 and self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)  # closing the only descriptor of this open file frees its flock
        self._thread_lock.release()

    def holder(self) -> str:
        """Who holds the lock, as they signed it: ``process 4711 (daemon)``; "" when nobody does."""
        if self.is_held:
            return _signature_text(self.purpose)
        if is_unlocked(self.path):
            return ""
        try:
            return self.path.read_text("utf-8", errors="replace").strip() or "another process"
        except OSError:
            return "another process"

    def _lock_file(self, timeout_s: float | None) -> int:
        descriptor = open_lock_file(self.path)
        if not acquire_flock(descriptor, timeout_s=timeout_s):
            raise self._timeout_error(timeout_s)
        self._write_signature(descriptor)
        return descriptor

    def _write_signature(self, descriptor: int) -> None:
        signature = _signature_text(self.purpose).ljust(SIGNATURE_BYTES).encode()
        try:
            if os.pread(descriptor, SIGNATURE_BYTES, 0) != signature:
                os.pwrite(descriptor, signature, 0)
        except OSError:
            return  # a full disk must not cost us the lock; the signature only serves messages

    def _timeout_error(self, timeout_s: float | None) -> LockTimeout:
        return LockTimeout(
            f"{self.path}: still held by {self.holder() or 'another process'} after {timeout_s:g} s; "
            "try again when it has finished (an open transaction in a shell ends with commit or rollback)"
        )


def _signature_text(purpose: str) -> str:
    return f"process {os.getpid()}" + (f" ({purpose})" if purpose else "")


EXCLUSIVE = fcntl.LOCK_EX
SHARED = fcntl.LOCK_SH


def open_lock_file(path: Path) -> int:
    """A descriptor to lock; the file is made where there is none. Raises StoreError naming it."""
    return _open_descriptor(path, os.O_RDWR | os.O_CREAT)


def acquire_flock(descriptor: int, mode: int = EXCLUSIVE, timeout_s: float | None = None) -> bool:
    """Whether ``handle`` holds the lock now: at once, or ``within_s``; None waits as long as it takes.

    After False the descriptor is gone, or goes as soon as its turn comes: a late lock is given back.
    Ctrl-C gives up and leaves nothing open.
    """
    if _try_flock(descriptor, mode):
        return True
    if timeout_s is None:
        return _wait_for_flock(descriptor, mode)
    if timeout_s <= 0:
        os.close(descriptor)
        return False
    return _FlockWaiter(descriptor, mode).result(timeout_s)


def is_unlocked(path: Path) -> bool:
    """Whether no living process holds the lock alone; a missing file is free. Leaves it as it was."""
    if not path.exists():
        return True
    handle = _open_descriptor(path, os.O_RDONLY)
    try:
        return _try_flock(handle, SHARED)
    finally:
        os.close(handle)


def _open_descriptor(path: Path, flags: int) -> int:
    try:
        return os.open(path, flags | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(
            f"{path}: cannot be locked ({error.strerror}); choose another folder with --home"
        ) from error


def _try_flock(descriptor: int, mode: int) -> bool:
    try:
        fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _wait_for_flock(descriptor: int, mode: int) -> bool:
    try:
        fcntl.flock(descriptor, mode)
    except BaseException:
        os.close(descriptor)
        raise
    return True


class _FlockWaiter:
    """A thread inside ``flock``, which knows no deadline; it may be left alone."""

    def __init__(self, descriptor: int, mode: int) -> None:
        self._descriptor = descriptor
        self._state_lock = threading.Lock()
        self._acquired = threading.Event()
        self._abandoned = False
        threading.Thread(target=self._acquire, args=(mode,), name="waiting for a lock", daemon=True).start()

    def result(self, timeout_s: float) -> bool:
        try:
            self._acquired.wait(timeout_s)
        except BaseException:
            if self._claim_or_abandon():
                os.close(self._descriptor)
            raise
        return self._claim_or_abandon()

    def _claim_or_abandon(self) -> bool:
        """Whether the lock has come by now; if not, nobody wants it any more."""
        with self._state_lock:
            self._abandoned = not self._acquired.is_set()
            return not self._abandoned

    def _acquire(self, mode: int) -> None:
        fcntl.flock(self._descriptor, mode)
        with self._state_lock:
            if self._abandoned:
                os.close(self._descriptor)
            else:
                self._acquired.set()
