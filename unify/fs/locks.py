"""Locks between processes: flock(2) on a file, released by the kernel when the holder ends.

The content of the file names the holder, for messages only. Descriptors are not inherited by child
processes, so that a lock never outlives its holder.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from unify.errors import LockTimeout, StoreError
from unify.fs.durable import read_regular_file

SIGNATURE_BYTES = 64  # constant: rewriting a truncated file would flush it on close


class FileLock:
    """A lock on a file, which is opened on first use.

    Reentrant within a thread; other threads of the process wait.
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
        """Whether this object holds the lock."""
        return self._depth > 0

    @property
    def depth(self) -> int:
        """The number of times that the holding thread has acquired it."""
        return self._depth

    @contextmanager
    def hold(self, timeout_s: float | None = None) -> Iterator[None]:
        """Hold the lock for the block. Raises an error naming the holder after ``timeout_s``."""
        self.acquire(timeout_s)
        try:
            yield
        finally:
            self.release()

    def acquire(self, timeout_s: float | None = None) -> None:
        """Acquire the lock, waiting at most ``timeout_s`` (None: no limit)."""
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
        """Acquire the lock if it is free."""
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
        """Undo one ``acquire``; the last one releases the lock."""
        self._depth -= 1
        if self._depth == 0 and self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)  # closing the only descriptor releases the flock
        self._thread_lock.release()

    def holder(self) -> str:
        """Return the holder's signature, such as ``process 4711 (daemon)``; "" if the lock is free."""
        if self.is_held:
            return _signature_text(self.purpose)
        if is_unlocked(self.path):
            return ""
        try:
            return read_regular_file(self.path).decode("utf-8", "replace").strip() or "another process"
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
            return  # e.g. a full disk; only messages need the signature

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
    """Open a lock file, creating it if necessary. Raises StoreError naming it."""
    return _open_descriptor(path, os.O_RDWR | os.O_CREAT)


def acquire_flock(descriptor: int, mode: int = EXCLUSIVE, timeout_s: float | None = None) -> bool:
    """Lock a descriptor and return whether that succeeded within ``timeout_s`` (None: no limit).

    On failure or Ctrl-C the descriptor is closed, at the latest when a late lock arrives.
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
    """Return whether no process holds the lock exclusively; a missing file counts as unlocked."""
    if not path.exists():
        return True
    handle = _open_descriptor(path, os.O_RDONLY)
    try:
        return _try_flock(handle, SHARED)
    finally:
        os.close(handle)


def _open_descriptor(path: Path, flags: int) -> int:
    try:
        return os.open(path, flags | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
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
    """A thread that waits in flock(2), which has no timeout; it can be abandoned."""

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
        """Return whether the lock is acquired; if not, abandon the wait."""
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
