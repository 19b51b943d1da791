"""What tests hold in their hands: the command line, the sample API, and what they answered."""

from __future__ import annotations

import csv
import fcntl
import io
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from unify.config.settings import Settings
from unify.status.launch import stop_daemon

COMMAND_TIMEOUT_S = 90.0  # longer than any load on the sample API takes on a busy machine
INHERITED_VARIABLES = ("PATH", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH", "PYTHONDEVMODE")


def clean_environment(home: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """An environment that tells Unify where its home is, and nothing else of whoever runs the tests."""
    inherited = {name: os.environ[name] for name in INHERITED_VARIABLES if name in os.environ}
    return {**inherited, "HOME": str(home.parent), "UNIFY_HOME": str(home), "TERM": "dumb", **(extra or {})}


@dataclass(frozen=True, slots=True)
class CommandResult:
    """How one run of the command line ended."""

    stdout: str
    stderr: str
    exit_status: int

    @property
    def rows(self) -> list[list[str]]:
        """Standard output read as CSV, header included."""
        return list(csv.reader(io.StringIO(self.stdout)))

    @property
    def single_value(self) -> str:
        """The only value of the only row, as text."""
        assert self.exit_status == 0, self
        rows = self.rows
        assert [len(row) for row in rows] == [1, 1], self
        return rows[1][0]


class UnifyCommand:
    """The ``unify`` command in a home of its own, run as people run it: a process."""

    def __init__(self, home: Path, command: Sequence[str] = (sys.executable, "-m", "unify")) -> None:
        self.home = home
        self.command = tuple(command)
        self.environment = clean_environment(home)

    def __call__(self, *statements: str, args: Sequence[str] = (), stdin: str = "") -> CommandResult:
        """Run ``statements``, each as one ``-c``; ``args`` come before them."""
        return self.run(*args, *(word for statement in statements for word in ("-c", statement)), stdin=stdin)

    def run(self, *arguments: str, stdin: str = "", timeout_s: float = COMMAND_TIMEOUT_S) -> CommandResult:
        """Run ``unify`` with exactly these arguments, to its end."""
        done = subprocess.run(
            [*self.command, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            encoding="utf-8",
            env=self.environment,
            cwd=self.home,
            timeout=timeout_s,
        )
        return CommandResult(done.stdout, done.stderr, done.returncode)

    @contextmanager
    def start(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """``unify`` left running with pipes on all three streams; killed, if need be, when the block ends."""
        process = subprocess.Popen(
            [*self.command, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=self.environment,
            cwd=self.home,
        )
        with process:
            try:
                yield process
            finally:
                process.kill()

    def write_connections(self, connections: str) -> Path:
        """Write ``connections.yaml`` into the home, readable by its owner only."""
        path = self.home / "connections.yaml"
        path.write_text(connections, encoding="utf-8")
        path.chmod(0o600)
        return path

    def stop_daemon(self) -> None:
        """End this home's daemon, as ``unify daemon stop`` does, and make sure that it is gone."""
        if is_daemon_running(self.home):
            stop_daemon(Settings(self.home, self.home / "connections.yaml"))
        assert not is_daemon_running(self.home), f"the daemon of {self.home} is still there"


def is_daemon_running(home: Path) -> bool:
    """Whether a daemon of this home, of whatever tenant, holds its lock."""
    return any(_is_locked(lock) for lock in home.rglob("daemon.lock"))


def _is_locked(path: Path) -> bool:
    with path.open("rb") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
