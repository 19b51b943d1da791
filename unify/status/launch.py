"""Starting and stopping the daemon from a shell: however many try at once, one runs."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from unify import version
from unify.config.settings import Settings
from unify.errors import DaemonUnreachable
from unify.status import instance
from unify.status.client import StatusClient
from unify.status.messages import DaemonInfo

START_TIMEOUT_S = 20.0  # a cold start takes well under 2 s; a machine under load gets its time
MAX_STARTS = 2  # a daemon that dies before it answers gets a second chance
PING_TIMEOUT_S = 2.0  # without an answer for so long, we look whether it still lives
STOP_TIMEOUT_S = 15.0  # the daemon itself ends within 10 s
DAEMON_MODULE = "unify.daemon.main"  # by name: this layer may start the daemon, not know it
OUTPUT_FILE = "daemon.out"  # what the interpreter says before the daemon's own log stands


def is_daemon_running(settings: Settings) -> bool:
    """Whether a living daemon holds this home's lock."""
    return instance.is_locked(settings.daemon_lock)


def ensure_daemon(
    settings: Settings, timeout_s: float = START_TIMEOUT_S, *, variables: Mapping[str, str] | None = None
) -> DaemonInfo:
    """See that a daemon runs and answers, starting it if need be; gives who answers.

    A daemon started here knows ``variables`` beside our environment from its first moment, so that a
    job that waits in the queue already is not run without them; one that runs has to be offered them.

    The daemon gets a session of its own and none of our streams, so that closing the terminal, or a
    pipe that waits for our end, means nothing to it. Raises DaemonUnreachable with the reason.
    """
    settings.create_folders()
    deadline = time.monotonic() + timeout_s
    reason = ""
    for _ in range(MAX_STARTS):
        if not is_daemon_running(settings):
            with instance.hold_lock(_start_lock_path(settings), timeout_s) as ours:
                if ours and not is_daemon_running(settings):
                    _start_process(settings, deadline, variables or {})
        about = _wait_for_reply(settings, deadline)
        if about is None:
            reason = f"the daemon does not stay: {_last_output_line(settings)}"
        elif about.version == version.VERSION or about.busy:
            return about
        else:
            stop_daemon(settings)  # one of another version, with nothing to do, makes room for ours
            reason = f"the daemon is of another version, {about.version}; this is {version.VERSION}"
    raise DaemonUnreachable(reason)


def _wait_for_reply(settings: Settings, deadline: float) -> DaemonInfo | None:
    """Who answers; None if the daemon has died. Raises DaemonUnreachable if it lives and is silent."""
    with StatusClient(settings.socket_folder, PING_TIMEOUT_S) as client:
        while True:
            try:
                return client.ping()
            except DaemonUnreachable:
                if not is_daemon_running(settings):
                    return None
                if time.monotonic() > deadline:
                    raise


def stop_daemon(settings: Settings, timeout_s: float = STOP_TIMEOUT_S) -> bool:
    """End the daemon and wait until it has gone; False if there was none. Its jobs are ready again."""
    if not is_daemon_running(settings):
        return False
    with StatusClient(settings.socket_folder, PING_TIMEOUT_S) as client, suppress(DaemonUnreachable):
        client.stop()  # no answer: it is on its way out already, or busy; the lock will tell
    if instance.wait_until_free(settings.daemon_lock, timeout_s):
        return True
    raise DaemonUnreachable(f"the daemon was asked to stop and has not within {timeout_s:.0f} s")


def _start_lock_path(settings: Settings) -> Path:
    """Held while a daemon starts: twenty shells at once start one process, not twenty."""
    return settings.daemon_lock.with_name("daemon.start.lock")


def _start_process(settings: Settings, deadline: float, variables: Mapping[str, str]) -> None:
    """Start the process and wait for the byte that says its sockets are bound."""
    ready, announce = os.pipe()
    try:
        with _open_output(settings) as output:
            process = subprocess.Popen(
                _daemon_command(settings, announce),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=settings.home,
                env={**os.environ, **variables},
                start_new_session=True,
                pass_fds=(announce,),
            )
        os.close(announce)
        announce = -1
        _wait_until_ready(ready, process, settings, deadline)
    finally:
        for descriptor in (ready, announce):
            if descriptor >= 0:
                os.close(descriptor)


def _daemon_command(settings: Settings, announce: int) -> list[str]:
    return [
        sys.executable,
        *(
            "-P",
            "-m",
            DAEMON_MODULE,
        ),  # -P: no module is ever imported from a folder the user happens to be in
        *("--home", os.path.abspath(settings.home)),
        *("--tenant", settings.tenant),
        *("--workers", str(settings.workers)),
        *("--worker-memory", str(settings.worker_memory_bytes)),
        *("--keep-history", str(settings.history_retention_s)),
        *(() if settings.idle_timeout_s is None else ("--idle-exit", str(settings.idle_timeout_s))),
        *("--script-time", str(settings.script_timeout_s)),
        *("--announce", str(announce)),
    ]


@contextmanager
def _open_output(settings: Settings) -> Iterator[int]:
    """The file that catches what the new process writes before its log stands."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    handle = os.open(settings.logs / OUTPUT_FILE, flags, 0o600)
    try:
        yield handle
    finally:
        os.close(handle)


def _wait_until_ready(
    ready: int, process: subprocess.Popen[bytes], settings: Settings, deadline: float
) -> None:
    """Return when the daemon has announced itself. Its end without a byte is an end of file."""
    readable, _, _ = select.select([ready], [], [], max(0.0, deadline - time.monotonic()))
    if readable and os.read(ready, 1):
        process.returncode = 0  # it is nobody's child any more; whether it lives, its lock says
        return
    if not readable:
        process.kill()
    process.wait()
    if not is_daemon_running(settings):  # else another one won the race, and is as good
        raise DaemonUnreachable(f"the daemon does not start: {_last_output_line(settings)}")


def _last_output_line(settings: Settings) -> str:
    path = settings.logs / OUTPUT_FILE
    lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return f"{lines[-1]} ({path})" if lines else f"see {settings.logs}"
