"""A home whose daemon is a process with fake workers; queue, lake, staging and sockets are real.

A worker does what the name of the table says (``tests.support.fake_runners``).
"""

from __future__ import annotations

import itertools
import os
import time
from contextlib import suppress
from pathlib import Path

from msgspec.structs import replace

from tests.support.stores import create_home
from tests.support.waiting import scaled_limit_s, wait_until
from unify.errors import DaemonUnreachable
from unify.lake import catalog
from unify.lake.lake import Lake
from unify.model import Action, ConfigPaths, JobState, LoaderJob, LoaderStatus, Priority, TableName
from unify.queue.queue import Queue
from unify.queue.rows import NewJob
from unify.status.client import StatusClient
from unify.status.launch import ensure_daemon, is_daemon_running, stop_daemon

TIMEOUT_S = 30.0


class DaemonHome:
    """A home with an empty lake in ``folder``, its queue, and the daemon once it is started."""

    def __init__(self, folder: Path) -> None:
        self.settings = replace(create_home(folder), workers=3)
        self.settings.create_folders()
        self.settings.connections.write_text(
            "test: {adapter: test}\n"
            "other: {adapter: test}\n"
            "vault: {adapter: test, options: {token: '${TEST_TOKEN}'}}\n"
        )
        self.settings.connections.chmod(0o600)
        self.queue = Queue(self.settings.queue)
        self._numbers = itertools.count(1)
        os.mkfifo(self.settings.home / "gate")

    def start_daemon(self) -> int:
        """Start the daemon unless it runs; return its process id."""
        return ensure_daemon(self.settings).pid

    def client(self) -> StatusClient:
        return StatusClient(self.settings.socket_folder)

    def enqueue_load(
        self,
        table: str,
        action: Action = Action.LOAD,
        schema: str = "test",
        priority: int = Priority.INTERACTIVE,
        specs: Path | None = None,
    ) -> LoaderJob:
        """Put a load into the queue and notify the daemon if it runs."""
        origin = ConfigPaths(str(self.settings.connections), (str(specs),) if specs else ())
        job = self.queue.enqueue(NewJob("default", action, TableName(schema, table), origin, priority))
        if is_daemon_running(self.settings):
            client = StatusClient(self.settings.socket_folder, timeout_s=1.0)
            with client, suppress(DaemonUnreachable):  # killed just now: the next daemon reads the queue
                client.poll_queue()
        return job

    def enqueue_new_table(self, action: str) -> LoaderJob:
        """Put a load of a table that no test of this home has used into the queue; workers do ``action``."""
        return self.enqueue_load(f"{action}{next(self._numbers)}")

    def wait_for_state(self, job: LoaderJob, *states: JobState, within_s: float = TIMEOUT_S) -> LoaderJob:
        """Wait until ``job`` is in one of ``states``."""
        deadline = time.monotonic() + scaled_limit_s(within_s)
        with StatusClient(self.settings.socket_folder, timeout_s=0.2) as client:
            while (current := self.queue.get(job.id)).state not in states:
                assert time.monotonic() < deadline, current
                try:
                    client.events(0.05)
                except DaemonUnreachable:
                    continue
        return current

    def wait_for_end(self, job: LoaderJob) -> LoaderJob:
        return self.wait_for_state(job, JobState.DONE, JobState.FAILED, JobState.DEAD, JobState.CANCELLED)

    def wait_for_progress(self, job: LoaderJob) -> LoaderStatus:
        """Wait for the first progress of a job that has rows; runners report their process id as rows."""
        deadline = time.monotonic() + scaled_limit_s(TIMEOUT_S)
        with self.client() as client:
            statuses = list(client.subscribe())
            while not (found := [status for status in statuses if status.job == job.id and status.rows]):
                assert time.monotonic() < deadline, statuses
                statuses = list(client.events(1))
        return found[0]

    def open_gate(self) -> None:
        """Release every worker that waits at the gate."""
        with open(self.settings.home / "gate", "wb"):
            pass

    def keep_gate_open(self, job: LoaderJob) -> LoaderJob:
        """Wait until a job has ended, and release the worker of each attempt that waits at the gate."""

        def has_ended() -> bool:
            with suppress(OSError):  # no worker waits
                os.close(os.open(self.settings.home / "gate", os.O_WRONLY | os.O_NONBLOCK))
            return not self.queue.get(job.id).state.active

        wait_until(has_ended)
        return self.queue.get(job.id)

    def count_rows(self, table: str, schema: str = "test") -> int:
        with Lake(self.settings, read_only=True) as lake:
            [(count,)] = lake.read(f"select count(distinct id) from lake.{schema}.{table}")
            [(all_rows,)] = lake.read(f"select count(*) from lake.{schema}.{table}")
        assert count == all_rows
        return int(str(count))

    def stored_tables(self) -> set[TableName]:
        with Lake(self.settings, read_only=True) as lake:
            return set(catalog.stored_tables(lake))

    def cancel_jobs(self) -> None:
        """Cancel every job that has not ended."""
        for job in self.queue.active_jobs():
            self.queue.cancel(job.id)
        with self.client() as client, suppress(DaemonUnreachable):
            client.poll_queue()

    def log_text(self) -> str:
        return (self.settings.logs / "daemon.log").read_text("utf-8")

    def close(self) -> None:
        self.queue.close()
        stop_daemon(self.settings)
        assert not is_daemon_running(self.settings)
