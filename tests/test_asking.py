"""A load asked for reaches a daemon that knows our variables, or waits in the queue: never neither."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest

from tests.test_daemon import Home
from unify.errors import DaemonUnreachable, LoadFailed
from unify.interpreter.loads import Loads, Wanted
from unify.interpreter.sources import Sources
from unify.model import Action, JobState, LoaderJob, LoaderStatus, TableName
from unify.settings import Settings
from unify.status.launch import daemon_running
from unify.store.queue import NewJob, Queue

SPEC = """
name: test
base_url: "http://127.0.0.1:9"
options:
  token: {description: A token, secret: true}
tables:
  - {name: rows, request: GET /rows}
"""
REFUSED = TableName("vault", "refused")  # its error says which values came with the task


class Silent:
    """Nobody in front."""

    def notice(self, text: str) -> None:
        del text

    def progress(self, statuses: Sequence[LoaderStatus]) -> None:
        del statuses

    def settled(self, told: Collection[int] = ()) -> None:
        """Nothing was shown."""

    def ask(self, question: str, *, secret: bool = False) -> str | None:
        del question, secret
        return None

    def person(self) -> None:
        return None


class Observed(Queue):
    """A queue in which something happens in the very moment after a job is in it."""

    def __init__(self, path: Path, then: Callable[[LoaderJob], None]) -> None:
        super().__init__(path)
        self._then = then

    def enqueue(self, new: NewJob, now: datetime | None = None) -> LoaderJob:
        job = super().enqueue(new, now)
        self._then(job)
        return job


@pytest.fixture
def place(place: Home) -> Home:
    specs = place.settings.home / "specs"
    specs.mkdir()
    (specs / "test.yaml").write_text(SPEC, encoding="utf-8")
    return place


def asker(place: Home, queue: Queue) -> Loads:
    known = place.settings
    settings = Settings(known.home, known.connections, (known.home / "specs",), workers=known.workers)
    environment = {"TEST_TOKEN": "t0ken-of-the-shell"}
    return Loads(settings, queue, Sources(settings, environment, lambda _text: None), Silent())


def test_a_daemon_that_looks_at_once_knows_the_variables_already(place: Home) -> None:
    place.start()

    def look(job: LoaderJob) -> None:
        with place.client() as client:
            client.kick()
        place.ended(job)

    with Observed(place.settings.queue, look) as queue, closing(asker(place, queue)) as loads:
        job = loads.request(Wanted(REFUSED, Action.LOAD))
    assert place.queue.get(job.id).error == "api: 401 for ***"


def test_a_daemon_killed_just_after_a_job_is_queued_costs_nothing(place: Home) -> None:
    pid = place.start()

    def kill(_job: LoaderJob) -> None:
        os.kill(pid, signal.SIGKILL)
        while daemon_running(place.settings):
            time.sleep(0.01)  # the kernel frees the lock; nobody tells us

    with Observed(place.settings.queue, kill) as queue, closing(asker(place, queue)) as loads:
        job = loads.request(Wanted(TableName("test", "rows"), Action.LOAD))
        assert [ended.state for ended in loads.wait([job])] == [JobState.DONE]
    assert place.rows("rows") == 100


def test_its_successor_knows_the_variables_too(place: Home) -> None:
    pid = place.start()

    def kill(_job: LoaderJob) -> None:
        os.kill(pid, signal.SIGKILL)
        while daemon_running(place.settings):
            time.sleep(0.01)  # as above

    with Observed(place.settings.queue, kill) as queue, closing(asker(place, queue)) as loads:
        job = loads.request(Wanted(REFUSED, Action.LOAD))
        with pytest.raises(LoadFailed, match=r"401 for \*\*\*"):
            loads.wait([job])


def test_where_no_daemon_starts_the_job_waits_for_one(place: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unify.status.launch.COMMAND", "tests.no_such_module")
    with (
        closing(asker(place, place.queue)) as loads,
        pytest.raises(DaemonUnreachable, match="does not start"),
    ):
        loads.request(Wanted(TableName("test", "rows"), Action.LOAD))
    assert [(job.table.table, job.state) for job in place.queue.active()] == [("rows", JobState.QUEUED)]
    monkeypatch.setattr("unify.status.launch.COMMAND", "tests.daemon_process")
    place.start()
    assert place.ended(place.queue.active()[0]).state is JobState.DONE
