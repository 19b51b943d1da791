"""A scheduled script as a process: the command line without a terminal.

The process holds one end of a pipe whose other end only the daemon has: when the daemon dies, the pipe
breaks and the script ends. Its output is kept within bounds: the beginning and the end.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from unify.config.settings import Settings
from unify.queue.scripts import RunStatus, ScheduledScript, ScriptRunResult

COMMAND_MODULE = "unify"  # by name: this layer starts the command line, but must not import it
PARENT_PIPE_VARIABLE = "UNIFY_LIFELINE"  # the descriptor of the pipe
MAX_OUTPUT_BYTES = 64 * 1024  # kept of stdout: thousands of lines
MAX_ERROR_BYTES = 16 * 1024
KILL_AFTER_S = 1.5  # between SIGINT and SIGKILL; rolling back takes milliseconds
EXIT_POLL_INTERVAL_S = 1.0  # for a process that has ended while a child of it keeps its pipes open

# Given to the script as options; the daemon's own values must not count.
_OPTION_VARIABLES = ("UNIFY_HOME", "UNIFY_TENANT", "UNIFY_SPECS", "UNIFY_CONNECTIONS")


class ScriptProcess:
    """The process of one run. ``wake`` is called from another thread when it has ended.

    Raises  OSError where it cannot be started.
    """

    def __init__(
        self,
        settings: Settings,
        script: ScheduledScript,
        environment: Mapping[str, str],
        wake: Callable[[], None],
        command: str = COMMAND_MODULE,
    ) -> None:
        self._wake = wake
        self._output = OutputCapture(MAX_OUTPUT_BYTES // 2)
        self._error = OutputCapture(MAX_ERROR_BYTES // 2)
        self._end_reason: tuple[RunStatus, str] | None = None
        self._kill_at: float | None = None
        self._started_at = time.monotonic()
        theirs, self._parent_pipe = os.pipe()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", command, *command_arguments(settings, script)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=script.folder,
                env=_process_environment(environment, script, theirs),
                start_new_session=True,
                pass_fds=(theirs,),
            )
        except BaseException:
            os.close(self._parent_pipe)
            raise
        finally:
            os.close(theirs)
        self._reader = threading.Thread(target=self._read_output, name="script", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._started_at

    @property
    def has_ended(self) -> bool:
        return not self._reader.is_alive()

    def terminate(self, status: RunStatus, reason: str) -> None:
        """Send SIGINT now, and SIGKILL later (``kill_if_due``). The first reason counts."""
        if self._end_reason is None:
            self._end_reason = (status, reason)
            self._kill_at = time.monotonic() + KILL_AFTER_S
            self._send_signal(signal.SIGINT)

    def kill_if_due(self) -> None:
        """Send SIGKILL if KILL_AFTER_S has passed since ``terminate``."""
        if self._kill_at is not None and self._kill_at <= time.monotonic():
            self._send_signal(signal.SIGKILL)

    def wait_s(self) -> float | None:
        """Seconds until ``kill_if_due`` kills it; None: it is not ending."""
        return None if self._kill_at is None else max(0.0, self._kill_at - time.monotonic())

    def wait(self, within_s: float) -> None:
        self._reader.join(within_s)

    def take_result(self) -> ScriptRunResult:
        """Return how it ended. Call once, when ``has_ended``."""
        os.close(self._parent_pipe)
        code = self._process.returncode
        error = self._error.text
        if self._end_reason is not None:
            status, reason = self._end_reason
        else:
            status, reason = (RunStatus.FAILED, _kill_reason(code)) if code else (RunStatus.SUCCESS, "")
            if code and code > 0 and not error:
                reason = f"the script exited with status {code} without a message"
        text = "\n".join(filter(None, [error.rstrip("\n"), reason]))
        return ScriptRunResult(status, code if code >= 0 else None, self._output.text, text)

    def _read_output(self) -> None:
        """Read its output until it has ended."""
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        with selectors.DefaultSelector() as open_pipes:
            open_pipes.register(self._process.stdout, selectors.EVENT_READ, self._output)
            open_pipes.register(self._process.stderr, selectors.EVENT_READ, self._error)
            while open_pipes.get_map():
                ended = self._process.poll() is not None
                ready = open_pipes.select(0 if ended else EXIT_POLL_INTERVAL_S)
                if ended and not ready:
                    break
                for key, _ in ready:
                    if data := os.read(key.fd, 65536):
                        key.data.feed(data)
                    else:
                        open_pipes.unregister(key.fileobj)
        self._process.wait()
        self._process.stdout.close()
        self._process.stderr.close()
        threading.Thread(target=self._notify_ended, name="script ended", daemon=True).start()

    def _notify_ended(self) -> None:
        self._reader.join()
        self._wake()

    def _send_signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


def command_arguments(settings: Settings, script: ScheduledScript) -> list[str]:
    """Return the arguments of ``unify``: home, tenant and specs of the script, and its file."""
    return [
        *("--home", str(settings.root), "--tenant", script.tenant),
        *(word for folder in script.origin.specs for word in ("--specs", folder)),
        *("--quiet", *(("-c", script.statement) if script.statement else ("-f", script.path))),
    ]


def missing_reason(script: ScheduledScript) -> str:
    """Return why a script cannot be started; "" if its file and folder exist."""
    try:
        if not script.statement:
            with Path(script.path).open("rb"):
                pass
    except OSError as error:
        return f"{script.path}: the script cannot be read: {error.strerror}"
    if not Path(script.folder).is_dir():
        return f"{script.folder}: the working folder of the script does not exist"
    return ""


def _process_environment(
    given: Mapping[str, str], script: ScheduledScript, parent_pipe: int
) -> dict[str, str]:
    kept = {name: value for name, value in given.items() if name not in _OPTION_VARIABLES}
    return {
        **kept,
        "UNIFY_CONNECTIONS": script.origin.connections,
        PARENT_PIPE_VARIABLE: str(parent_pipe),
        "NO_COLOR": "1",
    }


def _kill_reason(code: int) -> str:
    if code >= 0:
        return ""
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"the script was killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")


class OutputCapture:
    """Keeps the first and the last ``half_bytes`` of its input."""

    def __init__(self, half_bytes: int) -> None:
        self._half_bytes = half_bytes
        self._head = bytearray()
        self._tail = bytearray()
        self._total_bytes = 0

    def feed(self, data: bytes) -> None:
        self._total_bytes += len(data)
        free = self._half_bytes - len(self._head)
        self._head += data[:free]
        self._tail += data[free:] if free > 0 else data
        if len(self._tail) > 2 * self._half_bytes:
            del self._tail[: -self._half_bytes]

    @property
    def text(self) -> str:
        """The output as UTF-8; a line replaces the whole lines that are left out."""
        first, last = bytes(self._head), bytes(self._tail[-self._half_bytes :])
        if len(first) + len(last) < self._total_bytes:
            first = first[: first.rfind(b"\n") + 1]  # whole lines: half a secret could not be redacted
            last = last[last.find(b"\n") + 1 or len(last) :]
            left_out = self._total_bytes - len(first) - len(last)
            first += f"… {left_out:,} bytes omitted …\n".encode()
        return (first + last).decode("utf-8", errors="replace")
