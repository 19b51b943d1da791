"""The ``unify`` command in a home of its own: run in this process, or as a process."""

from __future__ import annotations

import csv
import fcntl
import io
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from unify.cli.bootstrap import SessionFactory, open_interpreter, run_command
from unify.config.settings import Settings
from unify.status.launch import stop_daemon

UNIFY_COMMAND = (sys.executable, "-m", "unify")
COMMAND_TIMEOUT_S = 90.0  # longer than any load on the sample API takes on a busy machine
INHERITED_VARIABLES = ("PATH", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH", "PYTHONDEVMODE")


def clean_environment(home: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return an environment that names the home and has no other setting of the user who runs the tests."""
    inherited = {name: os.environ[name] for name in INHERITED_VARIABLES if name in os.environ}
    return {**inherited, "HOME": str(home.parent), "UNIFY_HOME": str(home), "TERM": "dumb", **(extra or {})}


@dataclass(frozen=True, slots=True)
class CommandResult:
    """Output and exit status of one run of the command."""

    stdout: str
    stderr: str
    exit_status: int

    @property
    def rows(self) -> list[list[str]]:
        """Standard output read as CSV, header included."""
        return list(csv.reader(io.StringIO(self.stdout)))

    @property
    def single_value(self) -> str:
        """The only value of the only row."""
        assert self.exit_status == 0, self
        rows = self.rows
        assert [len(row) for row in rows] == [1, 1], self
        return rows[1][0]


class UnifyCommand:
    """The ``unify`` command as a process, in a home of its own."""

    def __init__(self, home: Path, command: Sequence[str] = UNIFY_COMMAND) -> None:
        self.home = home
        self.folder = home  # where it runs
        self.command = tuple(command)
        self.environment = clean_environment(home)

    def __call__(self, *statements: str, args: Sequence[str] = (), stdin: str = "") -> CommandResult:
        """Run ``statements``, each as one ``-c``; ``args`` come before them."""
        return self.run(*args, *(word for statement in statements for word in ("-c", statement)), stdin=stdin)

    def run(self, *arguments: str, stdin: str = "", timeout_s: float = COMMAND_TIMEOUT_S) -> CommandResult:
        """Run ``unify`` with exactly these arguments and wait for its end."""
        done = subprocess.run(
            [*self.command, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            encoding="utf-8",
            env=self.environment,
            cwd=self.folder,
            timeout=timeout_s,
        )
        return CommandResult(done.stdout, done.stderr, done.returncode)

    @contextmanager
    def start(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Start ``unify`` as a process with pipes on all three streams; kill it when the block ends."""
        process = subprocess.Popen(
            [*self.command, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=self.environment,
            cwd=self.folder,
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
        """Stop the daemon of this home, as ``unify daemon stop`` does."""
        if is_daemon_running(self.home):
            stop_daemon(Settings(self.home, self.home / "connections.yaml"))
        assert not is_daemon_running(self.home), f"the daemon of {self.home} is still running"


class InProcessCommand(UnifyCommand):
    """The ``unify`` command run in this process, which takes a fifth of the time.

    ``run`` replaces the environment, the working directory and the standard streams for the call, so only
    one call can run at a time. ``start`` and ``command`` are a process, as in the base class. Use
    ``UnifyCommand`` where the process is the subject: signals, closed pipes, locale, imports, memory.
    """

    _running = threading.Lock()

    def __init__(
        self,
        home: Path,
        command: Sequence[str] = UNIFY_COMMAND,
        session_factory: SessionFactory = open_interpreter,
    ) -> None:
        super().__init__(home, command)
        self._session_factory = session_factory

    def run(self, *arguments: str, stdin: str = "", timeout_s: float = COMMAND_TIMEOUT_S) -> CommandResult:
        """Run ``unify`` with exactly these arguments; the time limit is that of the test."""
        stdout, stderr = _text_stream(), _text_stream()
        assert self._running.acquire(blocking=False), "another command runs in this process"
        try:
            with (
                mock.patch.dict(os.environ, self.environment, clear=True),
                mock.patch.object(sys, "stdin", _text_stream(stdin)),
                redirect_stdout(stdout),
                redirect_stderr(stderr),
                chdir(self.folder),
            ):
                exit_status = run_command(arguments, self._session_factory)
        finally:
            self._running.release()
        return CommandResult(_written_text(stdout), _written_text(stderr), exit_status)


def _text_stream(text: str = "") -> io.TextIOWrapper[io.BytesIO]:
    return io.TextIOWrapper(io.BytesIO(text.encode()), "utf-8", write_through=True)


def _written_text(stream: io.TextIOWrapper[io.BytesIO]) -> str:
    return stream.buffer.getvalue().decode()


def is_daemon_running(home: Path) -> bool:
    """Return whether a daemon of this home, of any tenant, holds its lock."""
    return any(_is_locked(lock) for lock in home.rglob("daemon.lock"))


def _is_locked(path: Path) -> bool:
    with path.open("rb") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
