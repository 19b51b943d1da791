"""What tests hold in their hands: the command line, the sample API, and what they answered."""

from __future__ import annotations

import csv
import fcntl
import io
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from unify.settings import Settings
from unify.status.launch import stop_daemon

ANSWER_S = 90.0  # longer than any load on the sample API takes on a busy machine
INHERITED = ("PATH", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH", "PYTHONDEVMODE")


def clean_environment(home: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """An environment that tells Unify where its home is, and nothing else of whoever runs the tests."""
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return {**inherited, "HOME": str(home.parent), "UNIFY_HOME": str(home), "TERM": "dumb", **(extra or {})}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one run of the command line ended."""

    stdout: str
    stderr: str
    status: int

    @property
    def rows(self) -> list[list[str]]:
        """Standard output read as CSV, header included."""
        return list(csv.reader(io.StringIO(self.stdout)))

    @property
    def value(self) -> str:
        """The only value of the only row, as text."""
        assert self.status == 0, self
        rows = self.rows
        assert [len(row) for row in rows] == [1, 1], self
        return rows[1][0]


class Unify:
    """The ``unify`` command in a home of its own, run as people run it: a process."""

    def __init__(self, home: Path, command: Sequence[str] = (sys.executable, "-m", "unify")) -> None:
        self.home = home
        self.command = tuple(command)
        self.environment = clean_environment(home)

    def __call__(self, *statements: str, args: Sequence[str] = (), stdin: str = "") -> Outcome:
        """Run ``statements``, each as one ``-c``; ``args`` come before them."""
        return self.run(*args, *(word for statement in statements for word in ("-c", statement)), stdin=stdin)

    def run(self, *arguments: str, stdin: str = "", timeout_s: float = ANSWER_S) -> Outcome:
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
        return Outcome(done.stdout, done.stderr, done.returncode)

    @contextmanager
    def started(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
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

    def connect(self, connections: str) -> Path:
        """Write ``connections.yaml`` into the home, readable by its owner only."""
        path = self.home / "connections.yaml"
        path.write_text(connections, encoding="utf-8")
        path.chmod(0o600)
        return path

    def stop_daemon(self) -> None:
        """End this home's daemon, as ``unify daemon stop`` does, and make sure that it is gone."""
        if daemon_lives(self.home):
            stop_daemon(Settings(self.home, self.home / "connections.yaml"))
        assert not daemon_lives(self.home), f"the daemon of {self.home} is still there"


def wait_until(true: Callable[[], bool], within_s: float = 60.0) -> None:
    """For a file, a lock, a row or an answer of another process: nobody tells us of those."""
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, f"not within {within_s:.0f} s"
        time.sleep(0.01)


def daemon_lives(home: Path) -> bool:
    """Whether a daemon of this home, of whatever tenant, holds its lock."""
    return any(_locked(lock) for lock in home.rglob("daemon.lock"))


def _locked(path: Path) -> bool:
    with path.open("rb") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@dataclass(frozen=True, slots=True)
class DemoAPI:
    """A running sample API. ``log`` gets one line a request: method, path with query, status."""

    url: str
    token: str
    log: Path
    process: subprocess.Popen[str]

    def connection(self, name: str = "github") -> str:
        """A connections.yaml entry for it."""
        return f"{name}:\n  adapter: github\n  options:\n    token: {self.token}\n    base_url: {self.url}\n"

    def requests(self) -> list[str]:
        """What was asked so far, oldest first, such as ``GET /user/repos?page=2 200``."""
        return self.log.read_text(encoding="utf-8").splitlines()


@contextmanager
def serving_demo(folder: Path, *arguments: str, token: str = "demo") -> Iterator[DemoAPI]:
    """The sample API as a process of its own; the end of its standard input ends it."""
    log = folder / "requests.log"
    process = subprocess.Popen(
        [sys.executable, "-m", "unify.demo.server", "--token", token, "--log", str(log), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=clean_environment(folder),
        cwd=folder,
    )
    with process:
        try:
            yield DemoAPI(_announced(process.stdout), token, log, process)
        finally:
            if process.stdin is not None and not process.stdin.closed:
                process.stdin.close()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


def _announced(stdout: IO[str] | None) -> str:
    assert stdout is not None
    line = stdout.readline()
    assert line.startswith("listening on http://127.0.0.1:"), f"the sample API did not start: {line!r}"
    return line.removeprefix("listening on ").strip()
