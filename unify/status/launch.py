"""Starts and stops the daemon from a shell. If several try at once, one daemon runs."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from unify import version
from unify.config.settings import Settings
from unify.errors import DaemonUnreachable
from unify.fs.durable import read_regular_file
from unify.fs.process_limits import shortage_advice
from unify.status import instance

if TYPE_CHECKING:
    from unify.status.messages import DaemonInfo

START_TIMEOUT_S = 20.0  # a cold start takes well under 2 s, on a machine under load longer
MAX_STARTS = 2  # if the first daemon dies before it replies
PING_TIMEOUT_S = 2.0  # then the instance lock is tested
STOP_TIMEOUT_S = 15.0  # the daemon itself ends within 10 s
DAEMON_MODULE = "unify.daemon"  # by name: this layer starts the daemon, but must not import it
OUTPUT_FILE = "daemon.out"  # stdout and stderr of the daemon: errors from before its log is open


def is_daemon_running(settings: Settings) -> bool:
    """Whether a daemon holds this home's instance lock."""
    return instance.is_locked(settings.daemon_lock)


def ensure_daemon(
    settings: Settings, timeout_s: float = START_TIMEOUT_S, *, variables: Mapping[str, str] | None = None
) -> DaemonInfo:
    """Start the daemon unless it is running; return when it replies.

    A daemon started here gets ``variables`` beside our environment, so that a job that is queued already
    has them; a running daemon has to be offered them. The daemon runs in a session of its own without our
    streams, so that it outlives the terminal. Raises DaemonUnreachable with the reason.
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
            reason = f"the daemon ended at once: {_last_output_line(settings)}"
        elif about.busy or not _is_older(about.version):
            return about
        else:
            stop_daemon(settings)  # an idle daemon of an older version; a newer one serves this shell, too
            reason = f"the daemon is of an older version, {about.version}; this is {version.VERSION}"
    raise DaemonUnreachable(reason)


def _is_older(other: str) -> bool:
    """Whether a version is older than this one; one that cannot be compared is."""
    try:
        return _version_parts(other) < _version_parts(version.VERSION)
    except ValueError:
        return other != version.VERSION


def _version_parts(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


def _wait_for_reply(settings: Settings, deadline: float) -> DaemonInfo | None:
    """Return the reply; None: the daemon has died. Raises DaemonUnreachable if it does not respond."""
    from unify.status.client import StatusClient

    with StatusClient(settings.socket_folder, PING_TIMEOUT_S) as client:
        while True:
            try:
                return client.ping()
            except DaemonUnreachable:
                if not is_daemon_running(settings):
                    return None
                if time.monotonic() > deadline or is_daemon_suspended(settings):
                    raise DaemonUnreachable(unresponsive_message(settings)) from None


def stop_daemon(settings: Settings, timeout_s: float = STOP_TIMEOUT_S) -> bool:
    """Stop the daemon and wait until it has ended; False if none was running. Its loads are queued again."""
    if not is_daemon_running(settings):
        return False
    from unify.status.client import StatusClient

    with StatusClient(settings.socket_folder, PING_TIMEOUT_S) as client, suppress(DaemonUnreachable):
        client.stop(has_ended=lambda: not is_daemon_running(settings))
    if instance.wait_until_free(settings.daemon_lock, 0 if is_daemon_suspended(settings) else timeout_s):
        return True
    raise DaemonUnreachable(f"the daemon did not stop: {unresponsive_message(settings)}")


def is_daemon_suspended(settings: Settings) -> bool:
    pid = instance.holder_pid(settings.daemon_lock)
    return pid is not None and instance.is_suspended(pid)


def unresponsive_message(settings: Settings) -> str:
    """Return why a running daemon does not respond, as far as known, and what to do."""
    pid = instance.holder_pid(settings.daemon_lock)
    if pid is None:
        return f"the daemon does not respond on {settings.socket_folder}"
    if instance.is_suspended(pid):
        return (
            f"the daemon (pid {pid}) is suspended; resume it with kill -CONT {pid}, or end it with "
            f"kill -KILL {pid}: the queue keeps its loads"
        )
    return (
        f"the daemon (pid {pid}) does not respond; try again, or end it with kill -KILL {pid}: the queue "
        "keeps its loads"
    )


def _start_lock_path(settings: Settings) -> Path:
    """The lock that is held while a daemon starts, so that many shells start one process."""
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
        import unify.status.client  # noqa: F401 - 20 ms, in which the daemon starts

        _wait_until_ready(ready, process, settings, deadline)
    finally:
        for descriptor in (ready, announce):
            if descriptor >= 0:
                os.close(descriptor)


def _daemon_command(settings: Settings, announce: int) -> list[str]:
    return [
        *(sys.executable, "-P", "-m", DAEMON_MODULE),  # -P: import nothing from the current folder
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
    """Open the file for the new process's stdout and stderr."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    handle = os.open(settings.logs / OUTPUT_FILE, flags, 0o600)
    try:
        yield handle
    finally:
        os.close(handle)


def _wait_until_ready(
    ready: int, process: subprocess.Popen[bytes], settings: Settings, deadline: float
) -> None:
    """Wait for the daemon's ready byte; end of file means that it has ended."""
    readable, _, _ = select.select([ready], [], [], max(0.0, deadline - time.monotonic()))
    if readable and os.read(ready, 1):
        process.returncode = 0  # not to be waited for: its lock says whether it runs
        return
    if not readable:
        process.kill()
    process.wait()
    if not is_daemon_running(settings):  # else another shell's daemon was faster
        raise DaemonUnreachable(f"the daemon did not start: {_last_output_line(settings)}")


def _last_output_line(settings: Settings) -> str:
    path = settings.logs / OUTPUT_FILE
    lines = read_regular_file(path).decode(errors="replace").strip().splitlines()
    if not lines:
        return f"see {settings.logs}"
    return f"{shortage_advice(lines[-1]) or lines[-1]} ({path})"
