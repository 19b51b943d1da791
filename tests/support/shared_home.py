"""A home that many tests use one after another, so that one daemon serves them all.

Starting a daemon takes five times as long as a load. Each test starts as in a new home, except that job
numbers go on, and that the daemon still has the environment variables of earlier shells.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from tests.support.command import UnifyCommand
from tests.support.home_files import find_leaks
from tests.support.stores import create_home, drop_all_tables
from tests.support.waiting import wait_until
from unify.errors import DaemonUnreachable
from unify.queue.queue import Queue
from unify.status.client import StatusClient
from unify.status.launch import is_daemon_running

QUEUE_TABLES = ("job", "schedule", "script", "script_run", "pause")
KEPT = ("cache", "daemon.", "lake", "logs", "queue.", "run", "schedules.json", "staging", "writes.db")


class SharedHome:
    """A home with an empty lake in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.settings = create_home(folder)
        self._empty_snapshot = self._last_snapshot()

    @property
    def path(self) -> Path:
        return self.settings.home

    def clear(self) -> None:
        """End all jobs and forget what earlier tests have stored, after a search for their secrets."""
        assert find_leaks(self.path) == []
        if self.settings.queue.exists():
            self._end_jobs()
            with closing(sqlite3.connect(self.settings.queue)) as queue, queue:
                for table in QUEUE_TABLES:
                    queue.execute(f"DELETE FROM {table}")
        if self._last_snapshot() != self._empty_snapshot:
            drop_all_tables(self.settings)
            self._empty_snapshot = self._last_snapshot()
        stored = [path for path in self.path.iterdir() if not path.name.startswith(KEPT)]
        for path in (*stored, *self.settings.staging.glob("*/*")):
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def close(self) -> None:
        """Stop the daemon. The home contains no secret of the tests."""
        UnifyCommand(self.path).stop_daemon()
        assert find_leaks(self.path) == []

    def _end_jobs(self) -> None:
        with Queue(self.settings.queue) as queue:
            if not (active := queue.active_jobs()):
                return
            for job in active:
                queue.cancel(job.id)
            if is_daemon_running(self.settings):
                with StatusClient(self.settings.socket_folder) as client, suppress(DaemonUnreachable):
                    client.poll_queue()
                wait_until(lambda: not queue.active_jobs() or not is_daemon_running(self.settings))

    def _last_snapshot(self) -> int:
        with closing(sqlite3.connect(self.settings.lake / "catalog.sqlite")) as catalog:
            [(last,)] = catalog.execute("SELECT max(snapshot_id) FROM ducklake_snapshot")
            return int(last)
