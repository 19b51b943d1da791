"""The queue in figures, for monitoring."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.support.jobs import MINUTE, NOON, ORIGIN, claim_job, new_job
from unify.errors import StoreError
from unify.model import JobState, TableName
from unify.queue.queue import Queue
from unify.queue.rows import Schedule
from unify.queue.scripts import RunStatus, ScriptRunResult
from unify.queue.sqlite import QueueDatabase
from unify.queue.summary import QueueMonitor
from unify.queue.timing import Timing

PULLS, ISSUES = TableName("github", "pulls"), TableName("github", "issues")
LATER = NOON + 10 * MINUTE


@pytest.fixture
def monitor(queue: Queue, tmp_path: Path) -> Iterator[QueueMonitor]:
    queue.schedules()  # creates the file
    opened = QueueMonitor(tmp_path / "queue.db", "default")
    yield opened
    opened.close()


def end_job(queue: Queue, state: JobState, table: str = "github.pulls") -> None:
    queue.enqueue(new_job(table), NOON)
    queue.finish(claim_job(queue), state, "", NOON)


def test_active_jobs_are_counted_by_state(queue: Queue, monitor: QueueMonitor) -> None:
    for table in ("github.pulls", "github.issues", "github.repos"):
        queue.enqueue(new_job(table), NOON)
    queue.mark_publishing(claim_job(queue))
    claim_job(queue)

    found = monitor.read(LATER)

    assert found.jobs == {JobState.QUEUED: 1, JobState.RUNNING: 1, JobState.PUBLISHING: 1}
    assert found.oldest_ready_at == NOON


def test_a_job_that_starts_later_does_not_wait(queue: Queue, monitor: QueueMonitor) -> None:
    queue.enqueue(new_job(start_at=LATER + MINUTE), NOON)
    assert monitor.read(LATER).oldest_ready_at is None
    assert monitor.read(LATER + 2 * MINUTE).oldest_ready_at == LATER + MINUTE


def test_a_table_fails_until_a_later_load_succeeds(queue: Queue, monitor: QueueMonitor) -> None:
    end_job(queue, JobState.FAILED)
    end_job(queue, JobState.DONE, "github.issues")
    assert monitor.read(LATER).failed == {PULLS}
    queue.enqueue(new_job(), LATER)
    assert monitor.read(LATER).failed == {PULLS}  # while the next load waits
    queue.finish(claim_job(queue, LATER), JobState.DONE, "", LATER)
    assert monitor.read(LATER).failed == frozenset()
    assert set(monitor.read(LATER).ended) == {PULLS, ISSUES}


def test_a_failed_job_that_is_retried_fails_no_more(queue: Queue, monitor: QueueMonitor) -> None:
    end_job(queue, JobState.DEAD)
    assert monitor.read(LATER).failed == {PULLS}
    queue.retry_all("default", LATER)
    assert monitor.read(LATER).failed == frozenset()


def test_a_held_version_is_shown_until_it_is_released(queue: Queue, monitor: QueueMonitor) -> None:
    queue.enqueue(new_job(), NOON)
    queue.hold(claim_job(queue), "it has no rows", NOON)
    assert monitor.read(LATER).held == {PULLS}
    end_job(queue, JobState.FAILED)
    assert monitor.read(LATER).held == {PULLS}
    end_job(queue, JobState.DONE)
    assert monitor.read(LATER).held == frozenset()


def test_schedules_pauses_and_scripts_are_those_of_the_tenant(queue: Queue, monitor: QueueMonitor) -> None:
    for tenant in ("default", "other"):
        queue.set_schedule(Schedule(tenant, PULLS, ORIGIN, 900, NOON))
        queue.pauses.pause(tenant, "github", "", NOON)
        timing = Timing(3600.0, NOON, None, "", "", "")
        queue.scripts.set_script(tenant, Path(f"/{tenant}/daily.sql"), Path("/"), ORIGIN, timing)

    found = monitor.read(LATER)

    assert found.intervals == {PULLS: 900.0}
    assert [pause.tenant for pause in found.pauses] == ["default"]
    assert [(script.name, script.every_s, script.status) for script in found.scripts] == [
        ("daily", 3600.0, None)
    ]


def test_the_result_of_a_script_is_that_of_the_last_ended_run(queue: Queue, monitor: QueueMonitor) -> None:
    timing = Timing(60.0, NOON, None, "", "", "")
    queue.scripts.set_script("default", Path("/daily.sql"), Path("/"), ORIGIN, timing)
    [(_, first)] = queue.scripts.start_due_runs(1, NOON, 9)
    queue.scripts.finish_run(first, ScriptRunResult(RunStatus.FAILED, 1), NOON + MINUTE)
    queue.scripts.start_due_runs(1, NOON + 2 * MINUTE, 9)

    [script] = monitor.read(LATER).scripts

    assert (script.status, script.is_running) == (RunStatus.FAILED, True)
    assert (script.started_at, script.ended_at) == (NOON, NOON + MINUTE)


def test_a_summary_reads_only_the_jobs_that_ended_since(queue: Queue, monitor: QueueMonitor) -> None:
    end_job(queue, JobState.DONE)
    monitor.read(NOON)
    queue.enqueue(new_job("github.issues"), LATER)
    late = LATER + timedelta(hours=1)
    queue.finish(claim_job(queue, LATER), JobState.FAILED, "", late)
    assert monitor.read(late).failed == {ISSUES}
    assert monitor.read(late).ended[ISSUES].finished_at == late


def test_a_replaced_queue_is_read_anew(queue: Queue, monitor: QueueMonitor, tmp_path: Path) -> None:
    end_job(queue, JobState.FAILED)
    assert monitor.read(LATER).failed == {PULLS}
    queue.close()
    for path in tmp_path.glob("queue.db*"):
        path.unlink()
    with Queue(tmp_path / "queue.db") as other:
        end_job(other, JobState.DONE, "github.issues")
        found = monitor.read(LATER)
    assert (found.failed, set(found.ended)) == (frozenset(), {ISSUES})


def test_a_damaged_queue_is_an_error_and_is_left_alone(
    queue: Queue, monitor: QueueMonitor, tmp_path: Path
) -> None:
    queue.close()
    (tmp_path / "queue.db").write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError, match=r"queue\.db: file is not a database"):
        monitor.read(LATER)
    assert (tmp_path / "queue.db").read_bytes().startswith(b"no database")


def test_a_missing_queue_is_an_error_and_is_not_created(tmp_path: Path) -> None:
    monitor = QueueMonitor(tmp_path / "queue.db", "default")
    with pytest.raises(StoreError, match="cannot be opened"):
        monitor.read(NOON)
    assert list(tmp_path.iterdir()) == []


def test_a_queue_of_an_older_version_is_not_migrated(queue: Queue, tmp_path: Path) -> None:
    queue.schedules()
    queue.close()
    with sqlite3.connect(tmp_path / "queue.db") as connection:
        connection.execute("PRAGMA user_version = 1")
    connection.close()
    monitor = QueueMonitor(tmp_path / "queue.db", "default")
    with pytest.raises(StoreError, match="older version of Unify; start the daemon"):
        monitor.read(NOON)
    monitor.close()


def test_a_database_opened_for_reading_refuses_a_transaction(queue: Queue, tmp_path: Path) -> None:
    queue.schedules()
    database = QueueDatabase(tmp_path / "queue.db", read_only=True)
    with pytest.raises(StoreError, match="read-only"), database.transaction():
        pass
    database.close()
