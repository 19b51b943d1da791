"""The load client: a load reaches a daemon that has the variables, or stays in the queue."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest

from tests.support.daemon_home import DaemonHome
from unify.config.settings import Settings
from unify.errors import DaemonUnreachable, LoadFailed
from unify.interpreter.connections import ConnectionCatalog
from unify.interpreter.query.early_start import EarlyStart
from unify.interpreter.query.load_client import LoadClient, LoadRequest
from unify.model import Action, JobState, LoaderJob, LoaderStatus, TableName
from unify.queue.queue import Queue
from unify.queue.rows import NewJob
from unify.redaction import Redactor
from unify.status.launch import is_daemon_running

SPEC = """
name: test
base_url: "http://127.0.0.1:9"
options:
  token: {description: A token, secret: true}
tables:
  - {name: rows, request: GET /rows}
"""
REFUSED = TableName("vault", "refused")  # its error contains the values of the task


class SilentWatcher:
    """A watcher without a user."""

    def notice(self, text: str) -> None:
        del text

    @property
    def redactor(self) -> Redactor:
        return Redactor()

    def show_progress(self, statuses: Sequence[LoaderStatus]) -> None:
        del statuses

    def end_progress(self, reported_jobs: Collection[int] = ()) -> None:
        del reported_jobs

    def ask_user(self, question: str, *, secret: bool = False) -> str | None:
        del question, secret
        return None

    def user_prompt(self) -> None:
        return None


class Observed(Queue):
    """A queue that calls a function right after a job is stored."""

    def __init__(self, path: Path, then: Callable[[LoaderJob], None]) -> None:
        super().__init__(path)
        self._then = then

    def enqueue(self, new: NewJob, now: datetime | None = None) -> LoaderJob:
        job = super().enqueue(new, now)
        self._then(job)
        return job


@pytest.fixture
def daemon_home(daemon_home: DaemonHome) -> DaemonHome:
    specs = daemon_home.settings.home / "specs"
    specs.mkdir()
    (specs / "test.yaml").write_text(SPEC, encoding="utf-8")
    return daemon_home


def asker(place: DaemonHome, queue: Queue) -> LoadClient:
    known = place.settings
    settings = Settings(known.home, known.connections, (known.home / "specs",), workers=known.workers)
    environment = {"TEST_TOKEN": "t0ken-of-the-shell"}
    connections = ConnectionCatalog(settings, environment, lambda _text: None)
    return LoadClient(
        settings, queue, connections, SilentWatcher(), early_start=EarlyStart(settings, connections)
    )


def test_a_daemon_that_claims_at_once_has_the_variables(daemon_home: DaemonHome) -> None:
    daemon_home.start_daemon()

    def look(job: LoaderJob) -> None:
        with daemon_home.client() as client:
            client.poll_queue()
        daemon_home.wait_for_end(job)

    with Observed(daemon_home.settings.queue, look) as queue, closing(asker(daemon_home, queue)) as loads:
        job = loads.enqueue(LoadRequest(REFUSED, Action.LOAD))
    assert daemon_home.queue.get(job.id).error == "api: 401 for ***"


def test_a_daemon_killed_after_a_job_is_queued_is_replaced(daemon_home: DaemonHome) -> None:
    pid = daemon_home.start_daemon()

    def kill(_job: LoaderJob) -> None:
        os.kill(pid, signal.SIGKILL)
        while is_daemon_running(daemon_home.settings):
            time.sleep(0.01)  # the kernel releases the lock without an event

    with Observed(daemon_home.settings.queue, kill) as queue, closing(asker(daemon_home, queue)) as loads:
        job = loads.enqueue(LoadRequest(TableName("test", "rows"), Action.LOAD))
        assert [ended.state for ended in loads.wait([job])] == [JobState.DONE]
    assert daemon_home.count_rows("rows") == 100


def test_the_replacing_daemon_has_the_variables(daemon_home: DaemonHome) -> None:
    pid = daemon_home.start_daemon()

    def kill(_job: LoaderJob) -> None:
        os.kill(pid, signal.SIGKILL)
        while is_daemon_running(daemon_home.settings):
            time.sleep(0.01)  # as above

    with Observed(daemon_home.settings.queue, kill) as queue, closing(asker(daemon_home, queue)) as loads:
        job = loads.enqueue(LoadRequest(REFUSED, Action.LOAD))
        with pytest.raises(LoadFailed, match=r"401 for \*\*\*"):
            loads.wait([job])


def test_a_job_stays_queued_if_no_daemon_can_start(
    daemon_home: DaemonHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unify.status.launch.DAEMON_MODULE", "tests.no_such_module")
    with (
        closing(asker(daemon_home, daemon_home.queue)) as loads,
        pytest.raises(DaemonUnreachable, match="did not start"),
    ):
        loads.enqueue(LoadRequest(TableName("test", "rows"), Action.LOAD))
    assert [(job.table.table, job.state) for job in daemon_home.queue.active_jobs()] == [
        ("rows", JobState.QUEUED)
    ]
    monkeypatch.setattr("unify.status.launch.DAEMON_MODULE", "tests.support.daemon_process")
    daemon_home.start_daemon()
    assert daemon_home.wait_for_end(daemon_home.queue.active_jobs()[0]).state is JobState.DONE
