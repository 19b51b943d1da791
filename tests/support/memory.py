"""The peak memory of the command as a process."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.support.command import CommandResult, UnifyCommand

# ru_maxrss of a new process is at least that of the process that starts it, which for a process of
# tests is hundreds of megabytes. The interpreter in between is small.
_SCRIPT = """\
import pathlib, resource, subprocess, sys
status = subprocess.call(sys.argv[2:])
pathlib.Path(sys.argv[1]).write_text(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(status)
"""


def run_and_measure(unify: UnifyCommand, folder: Path, *arguments: str) -> tuple[CommandResult, int]:
    """Run ``unify`` with these arguments; return the result and the peak memory in MB."""
    file = folder / "peak_memory"
    measured = UnifyCommand(unify.home, [sys.executable, "-c", _SCRIPT, str(file), *unify.command])
    measured.environment = unify.environment
    result = measured.run(*arguments)
    return result, int(file.read_text()) // 1024
