"""The instance lock: the process that holds it is the daemon.

The kernel frees an ``flock`` when its holder ends, however it ends; the processes that a daemon starts do
not inherit it. The pid in the file serves messages only.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from unify.fs import locks
from unify.fs.durable import read_regular_file

COMMANDS_SOCKET = "commands.sock"  # of the status channel; a daemon that is stopped removes it
LOCK_TIMEOUT_S = 0.5  # another process may hold the lock while it tests it
PID_BYTES = 16


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock."""
    return not locks.is_unlocked(path)


def was_killed(lock: Path, socket: Path) -> bool:
    """Whether the last daemon ended without removing its ``socket``."""
    return not is_locked(lock) and socket.exists()


@contextmanager
def hold_lock(path: Path, within_s: float = LOCK_TIMEOUT_S) -> Iterator[bool]:
    """Hold the lock for the block, and write our pid to it; yield False where another process keeps it.

    The file stays when the lock is released: removing it would let two processes lock two files.
    """
    handle = locks.open_lock_file(path)
    ours = locks.acquire_flock(handle, timeout_s=within_s)
    if ours:
        with suppress(OSError):  # a full disk
            os.pwrite(handle, str(os.getpid()).ljust(PID_BYTES).encode(), 0)
    try:
        yield ours
    finally:
        if ours:
            os.close(handle)


def wait_until_free(path: Path, within_s: float) -> bool:
    """Wait until the lock is free; False if it is still held after ``within_s``."""
    if not path.exists():
        return True
    handle = locks.open_lock_file(path)
    if not locks.acquire_flock(handle, locks.SHARED, within_s):
        return False
    os.close(handle)
    return True


def holder_pid(path: Path) -> int | None:
    """Return the pid of the process that holds the lock, as it wrote it. None: unknown, or not held."""
    try:
        return int(read_regular_file(path)) if is_locked(path) else None
    except (OSError, ValueError):
        return None


def is_suspended(pid: int) -> bool:
    """Whether the process was stopped by a signal (SIGSTOP, Ctrl-Z) or a debugger."""
    import subprocess

    stat = Path(f"/proc/{pid}/stat")
    if stat.exists():
        return stat.read_text("utf-8", errors="replace").rpartition(")")[2].split()[0] in ("T", "t")
    command = ["ps", "-o", "state=", "-p", str(pid)]  # macOS
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.startswith("T")
