"""Who is running: the daemon of a home, and its workers, found as anybody would find them."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_WORKER = "multiprocessing.spawn"
_DAEMON = "unify.daemon.main"


@dataclass(frozen=True, slots=True)
class Process:
    """One line of ``ps``."""

    pid: int
    parent: int
    command_line: str


def find_daemons(home: Path) -> list[Process]:
    """Every living daemon of ``place``: one, or none."""
    return [
        one
        for one in _list_processes()
        if _DAEMON in one.command_line and f"--home {home} " in one.command_line
    ]


def find_workers(daemon: int) -> list[Process]:
    """The worker processes of a daemon."""
    return [one for one in _list_processes() if one.parent == daemon and _is_worker(one)]


def surviving_workers(pids: set[int]) -> set[int]:
    """Which of these, once workers, are workers still."""
    return {one.pid for one in _list_processes() if one.pid in pids and _is_worker(one)}


def kill_process(pid: int) -> None:
    """``kill -9``; somebody may have been faster."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _is_worker(one: Process) -> bool:
    return _WORKER in one.command_line and "resource_tracker" not in one.command_line


def _list_processes() -> list[Process]:
    told = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split(None, 2) for line in told.splitlines()]
    return [Process(int(row[0]), int(row[1]), row[2]) for row in rows if len(row) == 3]
