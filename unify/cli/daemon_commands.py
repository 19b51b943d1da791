"""``unify daemon run|start|stop|status``."""

from __future__ import annotations

from typing import Literal

from unify.config.settings import Settings
from unify.errors import DaemonUnreachable
from unify.render.stdout import print_line
from unify.text import format_count

EXIT_NOT_RUNNING = 1  # exit status of ``unify daemon status``

DaemonTask = Literal["daemon run", "daemon start", "daemon stop", "daemon status"]


def run_daemon_task(task: DaemonTask, settings: Settings) -> int:
    """Run one of the four commands and return the exit status. Raises DaemonUnreachable."""
    match task:
        case "daemon run":
            from unify.daemon import main

            return main.main(settings)
        case "daemon start":
            return _start_daemon(settings)
        case "daemon stop":
            from unify.status.launch import stop_daemon

            stopped = stop_daemon(settings)
            return _print_line("the daemon has stopped" if stopped else "the daemon was not running")
        case "daemon status":
            return _print_daemon_status(settings)


def _start_daemon(settings: Settings) -> int:
    from unify.status.launch import ensure_daemon, is_daemon_running

    already = is_daemon_running(settings)
    about = ensure_daemon(settings)
    return _print_line(f"the daemon is {'already ' if already else ''}running (pid {about.pid})")


def _print_daemon_status(settings: Settings) -> int:
    from unify.status.client import StatusClient
    from unify.status.launch import is_daemon_running, unresponsive_message

    if not is_daemon_running(settings):
        _print_line("the daemon is not running")
        return EXIT_NOT_RUNNING
    try:
        with StatusClient(settings.socket_folder) as client:
            about = client.ping()
    except DaemonUnreachable:
        raise DaemonUnreachable(unresponsive_message(settings)) from None
    busy = format_count(about.busy, "task")
    _print_line(f"the daemon is running (pid {about.pid}, version {about.version}), {busy}")
    if about.waiting:
        _print_line(f"waiting: {about.waiting}")
    started = f"{about.started_at:%Y-%m-%d %H:%M:%S}"
    return _print_line(f"started: {started} UTC; log: {settings.logs / 'daemon.log'}")


def _print_line(line: str) -> int:
    print_line(line)
    return 0
