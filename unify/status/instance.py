"""One daemon, provably: who holds the lock is the daemon, whatever files others left behind.

The kernel frees an ``flock`` when its holder ends, however it ends; descriptors are not inherited
by the processes a daemon starts. Pid files and sockets prove nothing and are not asked.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from unify.errors import StoreError

PROBE_S = 0.5  # somebody may hold the lock for the instant it takes to ask who has it


def is_locked(path: Path) -> bool:
    """Whether a living process holds the lock ``path``. Leaves it as it was."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise StoreError(f"{path}: cannot be opened ({error.strerror})") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


@contextmanager
def holding(path: Path, within_s: float = PROBE_S) -> Iterator[bool]:
    """Hold the lock ``path`` for the length of the block; gives False where another one keeps it.

    The file stays when the lock goes: removing it would let two processes lock two files.
    """
    handle = _lock_within(path, within_s, fcntl.LOCK_EX)
    try:
        yield handle is not None
    finally:
        if handle is not None:
            os.close(handle)


def wait_until_free(path: Path, within_s: float) -> bool:
    """Wait for the holder of ``path`` to let go; False if it still holds it after ``within_s``."""
    if not path.exists():
        return True
    handle = _lock_within(path, within_s, fcntl.LOCK_SH)
    if handle is None:
        return False
    os.close(handle)
    return True


def _lock_within(path: Path, within_s: float, kind: int) -> int | None:
    """A descriptor that holds the lock, or None when the time is over.

    ``flock`` knows no deadline, so a thread waits in it; one that comes too late gives the lock back.
    """
    handle = _open(path)
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return _Waiting(handle, kind).result(within_s)
    return handle


class _Waiting:
    """A thread inside ``flock`` that may be left alone."""

    def __init__(self, handle: int, kind: int) -> None:
        self._handle = handle
        self._deciding = threading.Lock()
        self._held = threading.Event()
        self._abandoned = False
        threading.Thread(target=self._wait, args=(kind,), name="waiting for a lock", daemon=True).start()

    def result(self, within_s: float) -> int | None:
        self._held.wait(within_s)
        with self._deciding:
            if self._held.is_set():
                return self._handle
            self._abandoned = True
            return None

    def _wait(self, kind: int) -> None:
        fcntl.flock(self._handle, kind)
        with self._deciding:
            if self._abandoned:
                os.close(self._handle)
            else:
                self._held.set()


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(
            f"{path}: cannot be locked ({error.strerror}); choose another folder with --home"
        ) from error
