"""One daemon, provably: who holds the lock is the daemon, whatever files others left behind.

The kernel frees an ``flock`` when its holder ends, however it ends; descriptors are not inherited
by the processes a daemon starts. Pid files and sockets prove nothing of who is there, and are not asked.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from unify.fs import locks

COMMANDS_SOCKET = "commands.sock"  # of the status channel; a daemon that ends in order takes it away
LOCK_TIMEOUT_S = 0.5  # somebody may hold the lock for the instant it takes to ask who has it


def is_locked(path: Path) -> bool:
    """Whether a living process holds the lock ``path``. Leaves it as it was."""
    return not locks.is_unlocked(path)


def was_killed(lock: Path, socket: Path) -> bool:
    """Whether the last daemon ended without taking its ``socket`` away, which it does whenever it can."""
    return not is_locked(lock) and socket.exists()


@contextmanager
def hold_lock(path: Path, within_s: float = LOCK_TIMEOUT_S) -> Iterator[bool]:
    """Hold the lock ``path`` for the length of the block; gives False where another one keeps it.

    The file stays when the lock goes: removing it would let two processes lock two files.
    """
    handle = locks.open_lock_file(path)
    ours = locks.acquire_flock(handle, timeout_s=within_s)
    try:
        yield ours
    finally:
        if ours:
            os.close(handle)


def wait_until_free(path: Path, within_s: float) -> bool:
    """Wait for the holder of ``path`` to let go; False if it still holds it after ``within_s``."""
    if not path.exists():
        return True
    handle = locks.open_lock_file(path)
    if not locks.acquire_flock(handle, locks.SHARED, within_s):
        return False
    os.close(handle)
    return True
