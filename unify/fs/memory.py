"""Resident memory of processes, a limit for a block of this process, and no core dumps.

RLIMIT_AS cannot be used: DuckDB reserves many times the address space that it uses.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from unify.errors import OutOfMemory

CHECK_INTERVAL_S = 0.25  # a reading costs 0.02 ms

_PROC = Path("/proc")
_KIB = 1024
_MIB = 1024 * 1024


def resident_bytes(pids: Sequence[int]) -> Mapping[int, int]:
    """Return the resident memory of these processes; one that has ended is left out."""
    if (_PROC / "self" / "statm").exists():
        return _read_proc(pids)
    return _run_ps(pids)


def _read_proc(pids: Sequence[int]) -> Mapping[int, int]:
    """Linux: the second number of ``/proc/PID/statm`` counts pages."""
    page = os.sysconf("SC_PAGE_SIZE")
    sizes = {}
    for pid in pids:
        with suppress(OSError):  # it has just ended
            sizes[pid] = int((_PROC / str(pid) / "statm").read_bytes().split()[1]) * page
    return sizes


def _run_ps(pids: Sequence[int]) -> Mapping[int, int]:
    """Elsewhere: ``ps`` counts KiB."""
    import subprocess

    if not pids:
        return {}
    command = ["ps", "-o", "pid=,rss=", "-p", ",".join(map(str, pids))]
    output = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    rows = [line.split() for line in output.splitlines()]
    return {int(pid): int(kib) * _KIB for pid, kib in rows}


def disable_core_dumps() -> None:
    """Let no crash write the memory of this process and its children, which has secrets, to a file."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


class _LimitExceeded(BaseException):
    """Raised in the thread of a block that took too much memory. No code within handles it."""


@contextmanager
def limit_memory(max_bytes: int, purpose: str) -> Iterator[None]:
    """Raise OutOfMemory if the block makes this process grow by more than ``max_bytes``.

    Python raises the error in the block's thread, and in threads that the block has started, as soon as they
    run Python code again.
    """
    watcher = _Watcher(max_bytes, threading.get_ident())
    watcher.start()
    try:
        try:
            yield
        finally:
            watcher.stop()
    except (_LimitExceeded, MemoryError):
        raise OutOfMemory(
            f"{purpose}: it took more than {max_bytes / _MIB:,.0f} MB of memory and was ended "
            "(UNIFY_WORKER_MEMORY); request smaller pages (paging.size) or fewer fields"
        ) from None


class _Watcher(threading.Thread):
    def __init__(self, max_bytes: int, thread: int) -> None:
        super().__init__(name="memory limit", daemon=True)
        self._pid = os.getpid()
        self._limit = self._resident_bytes() + max_bytes
        self._thread = thread
        self._others = {other.ident for other in threading.enumerate()}
        self._stopped = threading.Event()
        self._lock = threading.Lock()

    def run(self) -> None:
        while not self._stopped.wait(CHECK_INTERVAL_S):
            if self._resident_bytes() > self._limit:
                self._raise_in_threads()
                return

    def stop(self) -> None:
        with self._lock:
            self._stopped.set()

    def _resident_bytes(self) -> int:
        return resident_bytes([self._pid]).get(self._pid, 0)

    def _raise_in_threads(self) -> None:
        import ctypes

        with self._lock:
            if self._stopped.is_set():
                return
            started = {other.ident for other in threading.enumerate() if other is not self} - self._others
            for thread in {self._thread, *started}:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(thread or 0), ctypes.py_object(_LimitExceeded)
                )
