"""The daemon of a home and its workers, found with ``ps``."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_WORKER = "multiprocessing.spawn"
_DAEMON = "unify.daemon"


@dataclass(frozen=True, slots=True)
class Process:
    """One line of ``ps``."""

    pid: int
    parent: int
    command_line: str


def find_daemons(home: Path) -> list[Process]:
    """Return the running daemons of ``home``: one or none."""
    return [
        one
        for one in _list_processes()
        if _DAEMON in one.command_line and f"--home {home} " in one.command_line
    ]


def find_workers(daemon: int) -> list[Process]:
    """Return the worker processes of a daemon."""
    return [one for one in _list_processes() if one.parent == daemon and _is_worker(one)]


def surviving_workers(pids: set[int]) -> set[int]:
    """Return those of these processes that are still workers."""
    return {one.pid for one in _list_processes() if one.pid in pids and _is_worker(one)}


def kill_process(pid: int) -> None:
    """Kill a process with SIGKILL; it may have ended before."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _is_worker(one: Process) -> bool:
    return _WORKER in one.command_line and "resource_tracker" not in one.command_line


def _list_processes() -> list[Process]:
    output = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split(None, 2) for line in output.splitlines()]
    return [Process(int(row[0]), int(row[1]), row[2]) for row in rows if len(row) == 3]
