"""How much memory a process holds: what the kernel says, asked twice a second while loads run.

A limit on the address space (RLIMIT_AS) is of no use here: DuckDB reserves many times what it ever touches.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")
_KIB = 1024


def resident_bytes(pids: Sequence[int]) -> Mapping[int, int]:
    """What each of these processes holds in memory; one that has ended is left out."""
    if (_PROC / "self" / "statm").exists():
        return _by_proc(pids)
    return _by_ps(pids)


def _by_proc(pids: Sequence[int]) -> Mapping[int, int]:
    """Linux: the second number of ``/proc/PID/statm`` counts pages."""
    page = os.sysconf("SC_PAGE_SIZE")
    found = {}
    for pid in pids:
        with suppress(OSError):  # it has just ended; its sentinel says so
            found[pid] = int((_PROC / str(pid) / "statm").read_bytes().split()[1]) * page
    return found


def _by_ps(pids: Sequence[int]) -> Mapping[int, int]:
    """macOS has no /proc, but every system has ps; its figures are KiB."""
    if not pids:
        return {}
    asked = ["ps", "-o", "pid=,rss=", "-p", ",".join(map(str, pids))]
    told = subprocess.run(asked, capture_output=True, text=True, check=False).stdout
    rows = [line.split() for line in told.splitlines()]
    return {int(pid): int(kib) * _KIB for pid, kib in rows}
