"""Temporary files that are removed when the process is terminated.

SIGTERM, and SIGHUP when a terminal closes, end a process without running any ``finally``. SIGKILL leaves the
files; the next process that writes into the folder removes them. Each process locks its files, so that a file
without a lock has none that uses it.
"""

from __future__ import annotations

import fcntl
import os
import re
import signal
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGHUP)
_paths: set[Path] = set()
# Of this machine only: some network file systems have locks within one machine.
_PREFIX = f".unify-{zlib.crc32(os.uname().nodename.encode()):08x}-"
_NAME = re.compile(_PREFIX + "[0-9a-f]{12}-.*", re.DOTALL)
_KEPT_CHARS = 40  # of the name of the target, with its suffixes: names have at most 255 bytes
_LOCK_TIME_S = 60.0  # between the creation of a file and its lock, at most


def temporary_path(target: Path) -> Path:
    """Return a free name beside ``target``; see ``lock_temporary``."""
    return target.with_name(f"{_PREFIX}{os.urandom(6).hex()}-{target.name[-_KEPT_CHARS:]}")


def lock_temporary(descriptor: int) -> None:
    """Lock an open temporary file or folder until it is closed, so that no other process removes it."""
    with suppress(OSError):  # the file system has no locks: nothing is removed there
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def remove_leftovers(folder: Path) -> None:
    """Remove temporary files and folders in ``folder`` whose processes have ended without removing them."""
    with suppress(OSError):
        for name in os.listdir(folder):
            if _NAME.fullmatch(name):
                with suppress(OSError):  # another process removes it, or uses it
                    _remove_leftover(folder / name)


def _remove_leftover(path: Path) -> None:
    """Raises OSError if a process uses ``path``."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if status.st_uid == os.getuid() and status.st_ctime < time.time() - _LOCK_TIME_S:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(path)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir():
        import shutil  # 2 ms at the start of each process

        shutil.rmtree(path)
    else:
        path.unlink()


def remove_at_termination(path: Path) -> None:
    """Remove ``path``, a file or a folder, if SIGTERM or SIGHUP ends this process.

    A process that handles or ignores the signal itself does not end by it, and keeps its files.
    """
    _paths.add(path)
    if threading.current_thread() is not threading.main_thread():
        return  # Python sets handlers in the main thread only
    for number in _SIGNALS:
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _remove_and_end)


def keep_at_termination(path: Path) -> None:
    """Undo ``remove_at_termination``."""
    _paths.discard(path)


@contextmanager
def removed_at_termination(path: Path) -> Iterator[None]:
    """Remove ``path`` if a signal ends the process within the block."""
    remove_at_termination(path)
    try:
        yield
    finally:
        keep_at_termination(path)


def _remove_and_end(number: int, _frame: FrameType | None) -> None:
    for path in tuple(_paths):
        with suppress(OSError):
            _remove(path)
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
