"""``flock``, with a deadline: locks between processes, gone by themselves when their holder dies.

The descriptors are not inherited by child processes, so a lock never outlives who took it.
"""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path

from unify.errors import StoreError

ALONE = fcntl.LOCK_EX
TOGETHER = fcntl.LOCK_SH


def opened(path: Path) -> int:
    """A descriptor to lock; the file is made where there is none. Raises StoreError naming it."""
    return _open(path, os.O_RDWR | os.O_CREAT)


def taken(handle: int, kind: int = ALONE, within_s: float | None = None) -> bool:
    """Whether ``handle`` holds the lock now: at once, or ``within_s``; None waits as long as it takes.

    After False the descriptor is gone, or goes as soon as its turn comes: a late lock is given back.
    Ctrl-C gives up and leaves nothing open.
    """
    if _taken_at_once(handle, kind):
        return True
    if within_s is None:
        return _taken_at_last(handle, kind)
    if within_s <= 0:
        os.close(handle)
        return False
    return _Waiting(handle, kind).result(within_s)


def is_free(path: Path) -> bool:
    """Whether no living process holds the lock alone; a missing file is free. Leaves it as it was."""
    if not path.exists():
        return True
    handle = _open(path, os.O_RDONLY)
    try:
        return _taken_at_once(handle, TOGETHER)
    finally:
        os.close(handle)


def _open(path: Path, flags: int) -> int:
    try:
        return os.open(path, flags | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(
            f"{path}: cannot be locked ({error.strerror}); choose another folder with --home"
        ) from error


def _taken_at_once(handle: int, kind: int) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _taken_at_last(handle: int, kind: int) -> bool:
    try:
        fcntl.flock(handle, kind)
    except BaseException:
        os.close(handle)
        raise
    return True


class _Waiting:
    """A thread inside ``flock``, which knows no deadline; it may be left alone."""

    def __init__(self, handle: int, kind: int) -> None:
        self._handle = handle
        self._deciding = threading.Lock()
        self._held = threading.Event()
        self._abandoned = False
        threading.Thread(target=self._wait, args=(kind,), name="waiting for a lock", daemon=True).start()

    def result(self, within_s: float) -> bool:
        try:
            self._held.wait(within_s)
        except BaseException:
            if self._keep():
                os.close(self._handle)
            raise
        return self._keep()

    def _keep(self) -> bool:
        """Whether the lock has come by now; if not, nobody wants it any more."""
        with self._deciding:
            self._abandoned = not self._held.is_set()
            return not self._abandoned

    def _wait(self, kind: int) -> None:
        fcntl.flock(self._handle, kind)
        with self._deciding:
            if self._abandoned:
                os.close(self._handle)
            else:
                self._held.set()
