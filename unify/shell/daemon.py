"""``unify daemon run|start|stop|status``."""

from __future__ import annotations

import sys

from unify.settings import Settings
from unify.shell.cli import Task
from unify.text import counted

NOT_RUNNING = 1  # exit status of ``unify daemon status``


def run_daemon_task(task: Task, settings: Settings) -> int:
    """Carry out one of the four; gives the exit status. Raises DaemonUnreachable."""
    match task:
        case "daemon run":
            return _run(settings)
        case "daemon start":
            return _start(settings)
        case "daemon stop":
            return _stop(settings)
        case _:
            return _status(settings)


def _run(settings: Settings) -> int:
    """Be the daemon, in the foreground, until a signal or ``system stop daemon``."""
    from unify.loading import daemon

    return daemon.main(settings)


def _start(settings: Settings) -> int:
    from unify.status.launch import daemon_running, ensure_daemon

    already = daemon_running(settings)
    about = ensure_daemon(settings)
    return _say(f"the daemon {'was running already' if already else 'is running'} (pid {about.pid})")


def _stop(settings: Settings) -> int:
    from unify.status.launch import stop_daemon

    stopped = stop_daemon(settings)
    return _say("the daemon has stopped" if stopped else "the daemon was not running")


def _status(settings: Settings) -> int:
    from unify.status.client import StatusClient
    from unify.status.launch import daemon_running

    if not daemon_running(settings):
        _say("the daemon is not running")
        return NOT_RUNNING
    with StatusClient(settings.run) as client:
        about = client.ping()
    _say(f"the daemon is running (pid {about.pid}, version {about.version}), {counted(about.busy, 'task')}")
    if about.waiting:
        _say(f"waiting: {about.waiting}")
    return _say(f"since {about.started_at:%Y-%m-%d %H:%M:%S} UTC; its log is {settings.logs / 'daemon.log'}")


def _say(line: str) -> int:
    sys.stdout.write(line + "\n")
    return 0
