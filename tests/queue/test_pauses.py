"""Pauses of connections and tables, and the retry of all failed loads."""

from __future__ import annotations

from pathlib import Path

from tests.support.jobs import MINUTE, NOON, ORIGIN, claim_job, new_job
from unify.model import JobState, TableName
from unify.queue.queue import Queue
from unify.queue.rows import Schedule

PULLS = TableName("github", "pulls")


def test_a_queued_load_of_a_paused_connection_waits_until_it_is_resumed(queue: Queue) -> None:
    queue.enqueue(new_job(), NOON)
    assert queue.pauses.pause("default", "github", "", NOON)
    assert queue.claim(1, NOON) is None
    assert queue.pauses.resume("default", "github", "")
    assert claim_job(queue).table == PULLS


def test_a_paused_table_leaves_the_others_of_its_connection(queue: Queue) -> None:
    queue.enqueue(new_job("github.pulls"), NOON)
    queue.enqueue(new_job("github.issues"), NOON)
    queue.pauses.pause("default", "github", "pulls", NOON)
    assert claim_job(queue).table == TableName("github", "issues")
    assert queue.claim(1, NOON) is None


def test_a_pause_of_another_tenant_pauses_nothing(queue: Queue) -> None:
    queue.enqueue(new_job(), NOON)
    queue.pauses.pause("other", "github", "", NOON)
    assert claim_job(queue).table == PULLS


def test_a_paused_schedule_is_due_once_when_it_is_resumed(queue: Queue) -> None:
    queue.set_schedule(Schedule("default", PULLS, ORIGIN, 900, NOON))
    queue.pauses.pause("default", "github", "", NOON)
    assert queue.enqueue_due(NOON + 60 * MINUTE) == []
    assert queue.next_due_at() is None
    queue.pauses.resume("default", "github", "")
    assert len(queue.enqueue_due(NOON + 60 * MINUTE)) == 1
    assert queue.enqueue_due(NOON + 61 * MINUTE) == []


def test_pausing_and_resuming_twice_changes_nothing(queue: Queue) -> None:
    assert queue.pauses.pause("default", "github", "", NOON)
    assert not queue.pauses.pause("default", "github", "", NOON + MINUTE)
    assert [pause.paused_at for pause in queue.pauses.list("default")] == [NOON]
    assert queue.pauses.resume("default", "github", "")
    assert not queue.pauses.resume("default", "github", "")


def test_the_pause_that_covers_a_table_is_that_of_its_connection_first(queue: Queue) -> None:
    queue.pauses.pause("default", "github", "pulls", NOON)
    assert str(queue.pauses.find("default", PULLS)) == "github.pulls"
    queue.pauses.pause("default", "github", "", NOON)
    assert str(queue.pauses.find("default", PULLS)) == "github"
    assert queue.pauses.find("default", TableName("jira", "issues")) is None


def test_a_running_load_of_a_paused_table_ends_as_it_would(queue: Queue) -> None:
    queue.enqueue(new_job(), NOON)
    running = claim_job(queue)
    queue.pauses.pause("default", "github", "pulls", NOON)
    ended = queue.finish(running, JobState.DONE, now=NOON)
    assert ended is not None
    assert ended.state is JobState.DONE


def test_a_pause_survives_the_loss_of_the_file(tmp_path: Path) -> None:
    notices: list[str] = []
    with Queue(tmp_path / "queue.db") as queue:
        queue.pauses.pause("default", "github", "pulls", NOON)
    for file in tmp_path.glob("queue.db*"):
        file.unlink()
    with Queue(tmp_path / "queue.db", notices.append) as queue:
        assert [(str(one), one.paused_at) for one in queue.pauses.list("default")] == [("github.pulls", NOON)]
    assert "and 1 pause" in notices[0]


def test_retry_all_queues_each_table_whose_last_load_failed(queue: Queue) -> None:
    for table, states in {
        "github.pulls": [JobState.FAILED],
        "github.issues": [JobState.DEAD],
        "github.repos": [JobState.FAILED, JobState.DONE],
        "github.teams": [JobState.FAILED, JobState.FAILED],
    }.items():
        for state in states:
            queue.enqueue(new_job(table), NOON)
            queue.finish(claim_job(queue), state, "500", now=NOON)
    queue.cancel(queue.enqueue(new_job("github.users"), NOON).id, NOON)
    again = queue.retry_all("default", NOON)
    assert [str(job.table) for job in again] == ["github.pulls", "github.issues", "github.teams"]
    assert {(job.state, job.failures, job.error) for job in again} == {(JobState.QUEUED, 0, "")}
    assert queue.retry_all("default", NOON) == []
