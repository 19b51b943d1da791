"""The machine this process runs on, and its other processes."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")  # Linux; see random(4)


@cache
def boot_id() -> str:
    """Return what identifies the time since the machine was started; "" where the system does not tell."""
    try:
        return _BOOT_ID.read_text("ascii").strip()
    except OSError:
        return ""


def is_process_alive(pid: int) -> bool:
    """Return whether a process has this id, which may be another one than the process that had it before."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # of another user
        return True
    return True
