"""The status line of the prompt, and messages about loads that have ended."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from unify.config.settings import Settings
from unify.model import Action, ConfigPaths, JobState, LoaderStatus, Priority, TableName
from unify.queue.queue import Queue
from unify.queue.rows import NewJob
from unify.shell.activity import Activity, ActivityMonitor, QueueActivityProbe, render_toolbar


def status(table: str, state: JobState = JobState.RUNNING, rows: int = 1300) -> LoaderStatus:
    return LoaderStatus(
        1, TableName("github", table), Action.LOAD, state, rows=rows, pages=13, pages_total=40
    )


def line(activity: Activity, width: int = 200) -> str:
    return "".join(piece[1] for piece in render_toolbar(activity, width, "vi keys"))


def test_two_loads_are_shown_and_the_others_counted() -> None:
    running = tuple(status(f"t{number}") for number in range(5))

    assert line(Activity(running)).startswith(
        " github.t0 1,300 rows 13/40 · github.t1 1,300 rows 13/40 · +3 · Tab completes"
    )


def test_problems_of_connections_are_shown() -> None:
    broken = {"jira": "no such adapter\x1b[2J", "odd\x1b[2J": ""}

    assert "connection jira +1 cannot be used" in line(Activity(problems=broken))
    assert "\x1b" not in line(Activity(problems={"odd\x1b[2J": ""}))


@pytest.mark.parametrize("width", range(1, 130, 7))
def test_hints_are_left_out_on_narrow_terminals(width: int) -> None:
    shown = line(Activity((status("pulls"), status("repos", JobState.QUEUED))), width)

    assert len(shown) <= width
    assert ("searches" in shown) <= ("completes" in shown) <= ("repos queued" in shown)


class FakeProbe:
    """Returns the activities in turn and then the last one; ``seen`` is set when all were returned."""

    def __init__(self, activities: Iterable[Activity]) -> None:
        self.left = list(activities)
        self.seen = threading.Event()
        self.closed = False

    def __call__(self) -> Activity:
        if len(self.left) > 1:
            return self.left.pop(0)
        self.seen.set()
        return self.left[0]

    def close(self) -> None:
        self.closed = True


def test_an_ended_load_is_reported_once_and_the_toolbar_repainted() -> None:
    done = status("pulls", JobState.DONE)
    probe = FakeProbe([Activity((status("pulls"),)), Activity(ended=(done,)), Activity()])
    ended: list[LoaderStatus] = []
    painted: list[int] = []
    watch = ActivityMonitor(
        probe, on_ended=ended.append, on_changed=lambda: painted.append(1), on_internal_error=_unexpected
    )

    watch.resume()
    assert probe.seen.wait(30)
    watch.close()

    assert ended == [done]
    assert len(painted) == 3
    assert probe.closed


def test_an_error_of_the_probe_is_reported_once() -> None:
    errors: list[BaseException] = []
    reported = threading.Event()

    class Broken(FakeProbe):
        def __call__(self) -> Activity:
            raise RuntimeError("cannot look")

    def record_error(error: BaseException) -> None:
        errors.append(error)
        reported.set()

    watch = ActivityMonitor(
        Broken([]), on_ended=_unexpected, on_changed=lambda: None, on_internal_error=record_error
    )
    watch.resume()
    assert reported.wait(30)
    watch.close()

    assert [str(error) for error in errors] == ["cannot look"]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", connections=tmp_path / "connections.yaml")


def test_the_probe_creates_no_home(settings: Settings) -> None:
    look = QueueActivityProbe(settings, {}, set)

    assert look() == Activity()
    look.close()

    assert not settings.home.exists()


def test_the_probe_reports_running_and_ended_loads(settings: Settings) -> None:
    settings.create_folders()
    origin = ConfigPaths(connections=str(settings.connections), specs=())
    waited_for: set[int] = set()
    with Queue(settings.queue) as queue:
        look = QueueActivityProbe(settings, {}, lambda: waited_for)
        jobs = [
            queue.enqueue(NewJob("default", Action.LOAD, TableName("github", table), origin, priority))
            for table, priority in (
                ("mine", Priority.INTERACTIVE),
                ("scheduled", Priority.SCHEDULED),
                ("seen", Priority.INTERACTIVE),
            )
        ]
        assert [one.table.table for one in look().running] == ["mine", "scheduled", "seen"]

        waited_for.add(jobs[2].id)
        for job in jobs:
            queue.cancel(job.id, datetime.now(UTC))
        first, second = look(), look()
        look.close()

    assert [(one.table.table, one.state) for one in first.ended] == [("mine", JobState.CANCELLED)]
    assert second == Activity()


def test_an_invalid_connection_is_a_problem_until_it_is_corrected(settings: Settings) -> None:
    settings.connections.write_text("odd:\n  adapter: nosuch\n")
    settings.connections.chmod(0o600)
    look = QueueActivityProbe(settings, {}, set)

    assert list(look().problems) == ["odd"]
    settings.connections.write_text("{}\n")
    assert list(look().problems) == []
    look.close()


def _unexpected(error: object) -> None:
    raise AssertionError(error)
