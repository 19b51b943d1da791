"""``unify daemon run|start|stop|status``."""

from __future__ import annotations

import sys

from unify.config.settings import Settings
from unify.shell.invocation import Task
from unify.text import format_count

EXIT_NOT_RUNNING = 1  # exit status of ``unify daemon status``


def run_daemon_task(task: Task, settings: Settings) -> int:
    """Carry out one of the four; gives the exit status. Raises DaemonUnreachable."""
    match task:
        case "daemon run":
            return _run_daemon(settings)
        case "daemon start":
            return _start_daemon(settings)
        case "daemon stop":
            return _stop_daemon_command(settings)
        case _:
            return _print_daemon_status(settings)


def _run_daemon(settings: Settings) -> int:
    """Be the daemon, in the foreground, until a signal or ``system stop daemon``."""
    from unify.daemon import main

    return main.main(settings)


def _start_daemon(settings: Settings) -> int:
    from unify.status.launch import ensure_daemon, is_daemon_running

    already = is_daemon_running(settings)
    about = ensure_daemon(settings)
    return _print_line(f"the daemon {'was running already' if already else 'is running'} (pid {about.pid})")


def _stop_daemon_command(settings: Settings) -> int:
    from unify.status.launch import stop_daemon

    stopped = stop_daemon(settings)
    return _print_line("the daemon has stopped" if stopped else "the daemon was not running")


def _print_daemon_status(settings: Settings) -> int:
    from unify.status.client import StatusClient
    from unify.status.launch import is_daemon_running

    if not is_daemon_running(settings):
        _print_line("the daemon is not running")
        return EXIT_NOT_RUNNING
    with StatusClient(settings.socket_folder) as client:
        about = client.ping()
    _print_line(
        f"the daemon is running (pid {about.pid}, version {about.version}), {format_count(about.busy, 'task')}"
    )
    if about.waiting:
        _print_line(f"waiting: {about.waiting}")
    return _print_line(
        f"since {about.started_at:%Y-%m-%d %H:%M:%S} UTC; its log is {settings.logs / 'daemon.log'}"
    )


def _print_line(line: str) -> int:
    sys.stdout.write(line + "\n")
    return 0
