"""A scheduled script at work: the command line in a process of its own, as a person would start it.

It has no terminal, so it asks nothing. It holds one end of a pipe whose other end is the daemon's alone:
when the daemon dies, however it dies, the pipe breaks and the script ends.
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

from unify.loading.capture import Capture
from unify.settings import Settings
from unify.store.scripts import Ending, RunStatus, Script

COMMAND = "unify"  # by name: this layer may start the command line, not know it
LIFELINE = "UNIFY_LIFELINE"  # the descriptor of the pipe that breaks when we die
OUTPUT_BYTES = 64 * 1024  # kept of stdout: thousands of lines
ERROR_BYTES = 16 * 1024
KILL_S = 1.5  # between the polite signal and the other one; rolling back takes milliseconds
GLANCE_S = 1.0  # how often we look whether a process has ended whose pipes somebody else holds open

# What our caller says by options; the daemon's own must not count.
_SAID = ("UNIFY_HOME", "UNIFY_TENANT", "UNIFY_SPECS", "UNIFY_CONNECTIONS")


class ScriptProcess:
    """One run's process. ``wake`` is called, from another thread, when it has ended.

    Raises  OSError where it cannot be started: no folder to run in, no memory.
    """

    def __init__(
        self,
        settings: Settings,
        script: Script,
        environment: Mapping[str, str],
        wake: Callable[[], None],
        command: str = COMMAND,
    ) -> None:
        self._wake = wake
        self._output = Capture(OUTPUT_BYTES // 2)
        self._error = Capture(ERROR_BYTES // 2)
        self._why_ended: tuple[RunStatus, str] | None = None
        self._kill_at: float | None = None
        self._began = time.monotonic()
        theirs, self._lifeline = os.pipe()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", command, *arguments(settings, script)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=script.folder,
                env=_environment(environment, script, theirs),
                start_new_session=True,
                pass_fds=(theirs,),
            )
        except BaseException:
            os.close(self._lifeline)
            raise
        finally:
            os.close(theirs)
        self._listener = threading.Thread(target=self._listen, name="script", daemon=True)
        self._listener.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def seconds(self) -> float:
        """For how long it has been running, whatever the clock on the wall did meanwhile."""
        return time.monotonic() - self._began

    @property
    def has_ended(self) -> bool:
        return not self._listener.is_alive()

    def end(self, status: RunStatus, why: str) -> None:
        """Make it end, politely now and surely in a moment (``press``); the first reason is the one told."""
        if self._why_ended is None:
            self._why_ended = (status, why)
            self._kill_at = time.monotonic() + KILL_S
            self._signal(signal.SIGINT)

    def press(self) -> None:
        """Kill it if it was asked to end and has not."""
        if self._kill_at is not None and self._kill_at <= time.monotonic():
            self._signal(signal.SIGKILL)

    def wait_s(self) -> float | None:
        """In how many seconds ``press`` has something to do."""
        return None if self._kill_at is None else max(0.0, self._kill_at - time.monotonic())

    def wait(self, within_s: float) -> None:
        self._listener.join(within_s)

    def ending(self) -> Ending:
        """How it ended. Call when it ``has_ended``."""
        os.close(self._lifeline)
        code = self._process.returncode
        error = self._error.text
        if self._why_ended is not None:
            status, why = self._why_ended
        else:
            status, why = (RunStatus.FAILED, _killed(code)) if code else (RunStatus.SUCCESS, "")
            if code and code > 0 and not error:
                why = f"it ended with status {code} and said nothing"
        told = "\n".join(filter(None, [error.rstrip("\n"), why]))
        return Ending(status, code if code >= 0 else None, self._output.text, told)

    def _listen(self) -> None:
        """Read what it writes until it has ended."""
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        with selectors.DefaultSelector() as open_pipes:
            open_pipes.register(self._process.stdout, selectors.EVENT_READ, self._output)
            open_pipes.register(self._process.stderr, selectors.EVENT_READ, self._error)
            while open_pipes.get_map():
                over = self._process.poll() is not None
                ready = open_pipes.select(0 if over else GLANCE_S)
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
        threading.Thread(target=self._tell, name="script ended", daemon=True).start()

    def _tell(self) -> None:
        self._listener.join()
        self._wake()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


def arguments(settings: Settings, script: Script) -> list[str]:
    """What follows ``unify``: everything that decides where a script's tables are, and the script."""
    return [
        *("--home", str(settings.root), "--tenant", script.tenant),
        *(word for folder in script.origin.specs for word in ("--specs", folder)),
        *("--quiet", "-f", script.path),
    ]


def missing(script: Script) -> str:
    """Why a script cannot be begun; "" if its file and its folder are there."""
    try:
        with Path(script.path).open("rb"):
            pass
    except OSError as error:
        return f"{script.path}: the script cannot be read any more: {error.strerror}"
    if not Path(script.folder).is_dir():
        return f"{script.folder}: the folder it is to run in is not there any more"
    return ""


def _environment(given: Mapping[str, str], script: Script, lifeline: int) -> dict[str, str]:
    kept = {name: value for name, value in given.items() if name not in _SAID}
    return {**kept, "UNIFY_CONNECTIONS": script.origin.connections, LIFELINE: str(lifeline), "NO_COLOR": "1"}


def _killed(code: int) -> str:
    if code >= 0:
        return ""
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"it was killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
