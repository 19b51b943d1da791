"""A scheduled script at work: the command line in a process of its own, as a person would start it.

It has no terminal, so it asks nothing. It holds one end of a pipe whose other end is the daemon's alone:
when the daemon dies, however it dies, the pipe breaks and the script ends.

What a process writes, kept within bounds: its beginning and its end, however much lies between.
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

COMMAND_MODULE = "unify"  # by name: this layer may start the command line, not know it
PARENT_PIPE_VARIABLE = "UNIFY_LIFELINE"  # the descriptor of the pipe that breaks when we die
MAX_OUTPUT_BYTES = 64 * 1024  # kept of stdout: thousands of lines
MAX_ERROR_BYTES = 16 * 1024
KILL_AFTER_S = 1.5  # between the polite signal and the other one; rolling back takes milliseconds
EXIT_POLL_INTERVAL_S = (
    1.0  # how often we look whether a process has ended whose pipes somebody else holds open
)

# What our caller says by options; the daemon's own must not count.
_OPTION_VARIABLES = ("UNIFY_HOME", "UNIFY_TENANT", "UNIFY_SPECS", "UNIFY_CONNECTIONS")


class ScriptProcess:
    """One run's process. ``wake`` is called, from another thread, when it has ended.

    Raises  OSError where it cannot be started: no folder to run in, no memory.
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
        """For how long it has been running, whatever the clock on the wall did meanwhile."""
        return time.monotonic() - self._started_at

    @property
    def has_ended(self) -> bool:
        return not self._reader.is_alive()

    def terminate(self, status: RunStatus, reason: str) -> None:
        """Make it end, politely now and surely in a moment (``press``); the first reason is the one told."""
        if self._end_reason is None:
            self._end_reason = (status, reason)
            self._kill_at = time.monotonic() + KILL_AFTER_S
            self._send_signal(signal.SIGINT)

    def kill_if_due(self) -> None:
        """Kill it if it was asked to end and has not."""
        if self._kill_at is not None and self._kill_at <= time.monotonic():
            self._send_signal(signal.SIGKILL)

    def wait_s(self) -> float | None:
        """In how many seconds ``press`` has something to do."""
        return None if self._kill_at is None else max(0.0, self._kill_at - time.monotonic())

    def wait(self, within_s: float) -> None:
        self._reader.join(within_s)

    def take_result(self) -> ScriptRunResult:
        """How it ended. Call when it ``has_ended``."""
        os.close(self._parent_pipe)
        code = self._process.returncode
        error = self._error.text
        if self._end_reason is not None:
            status, why = self._end_reason
        else:
            status, why = (RunStatus.FAILED, _kill_reason(code)) if code else (RunStatus.SUCCESS, "")
            if code and code > 0 and not error:
                why = f"it ended with status {code} and said nothing"
        told = "\n".join(filter(None, [error.rstrip("\n"), why]))
        return ScriptRunResult(status, code if code >= 0 else None, self._output.text, told)

    def _read_output(self) -> None:
        """Read what it writes until it has ended."""
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        with selectors.DefaultSelector() as open_pipes:
            open_pipes.register(self._process.stdout, selectors.EVENT_READ, self._output)
            open_pipes.register(self._process.stderr, selectors.EVENT_READ, self._error)
            while open_pipes.get_map():
                over = self._process.poll() is not None
                ready = open_pipes.select(0 if over else EXIT_POLL_INTERVAL_S)
                if over and not ready:
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
    """What follows ``unify``: everything that decides where a script's tables are, and the script."""
    return [
        *("--home", str(settings.root), "--tenant", script.tenant),
        *(word for folder in script.origin.specs for word in ("--specs", folder)),
        *("--quiet", "-f", script.path),
    ]


def missing_reason(script: ScheduledScript) -> str:
    """Why a script cannot be begun; "" if its file and its folder are there."""
    try:
        with Path(script.path).open("rb"):
            pass
    except OSError as error:
        return f"{script.path}: the script cannot be read any more: {error.strerror}"
    if not Path(script.folder).is_dir():
        return f"{script.folder}: the folder it is to run in is not there any more"
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
    return f"it was killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")


class OutputCapture:
    """Keeps ``half`` bytes of the beginning and as many of the end of what it is fed."""

    def __init__(self, half_bytes: int) -> None:
        self._half_bytes = half_bytes
        self._head = bytearray()
        self._tail = bytearray()
        self._total_bytes = 0

    def feed(self, data: bytes) -> None:
        self._total_bytes += len(data)
        room = self._half_bytes - len(self._head)
        self._head += data[:room]
        self._tail += data[room:] if room > 0 else data
        if len(self._tail) > 2 * self._half_bytes:
            del self._tail[: -self._half_bytes]

    @property
    def text(self) -> str:
        """As UTF-8; where something is left out, whole lines are, and a line in their place says how much."""
        first, last = bytes(self._head), bytes(self._tail[-self._half_bytes :])
        if len(first) + len(last) < self._total_bytes:
            first = first[: first.rfind(b"\n") + 1]  # no half of anything, a secret's least of all
            last = last[last.find(b"\n") + 1 or len(last) :]
            left_out = self._total_bytes - len(first) - len(last)
            first += f"… {left_out:,} bytes are left out …\n".encode()
        return (first + last).decode("utf-8", errors="replace")
