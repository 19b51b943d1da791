"""States, priorities and leases of jobs."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.jobs import MINUTE, NOON, ORIGIN, claim_job, new_job
from unify.model import Action, JobState, Priority, TableName
from unify.queue.queue import Queue

# Enqueueing


def test_a_queued_job_has_the_requested_properties(queue: Queue) -> None:
    job = queue.enqueue(new_job(action=Action.RELOAD), NOON)
    assert (job.table, job.action, job.origin) == (TableName("github", "pulls"), Action.RELOAD, ORIGIN)
    assert (job.state, job.attempt, job.created_at, job.start_at) == (JobState.QUEUED, 0, NOON, NOON)
    assert queue.get(job.id) == job


def test_the_same_load_requested_twice_is_one_job(queue: Queue) -> None:
    first = queue.enqueue(new_job(priority=Priority.SCHEDULED), NOON)
    again = queue.enqueue(new_job(priority=Priority.INTERACTIVE), NOON + MINUTE)
    assert (again.id, again.uid) == (first.id, first.uid)
    assert again.priority == Priority.INTERACTIVE
    assert queue.enqueue(new_job(action=Action.REFRESH), NOON).id != first.id
    assert queue.enqueue(new_job("jira.pulls"), NOON).id != first.id


def test_a_second_request_does_not_advance_a_job_postponed_after_a_failure(queue: Queue) -> None:
    queue.enqueue(new_job(), NOON)
    queue.requeue(claim_job(queue), NOON + 10 * MINUTE, "429")
    assert queue.enqueue(new_job(), NOON).start_at == NOON + 10 * MINUTE


def test_a_second_request_advances_a_job_scheduled_for_later(queue: Queue) -> None:
    queue.enqueue(new_job(start_at=NOON + 10 * MINUTE), NOON)
    assert queue.claim(1, NOON) is None
    assert queue.enqueue(new_job(), NOON).start_at == NOON
    assert claim_job(queue).attempt == 1


def test_a_load_requested_after_the_end_of_its_job_is_a_new_job(queue: Queue) -> None:
    first = queue.enqueue(new_job(), NOON)
    queue.finish(claim_job(queue), JobState.DONE, now=NOON)
    second = queue.enqueue(new_job(), NOON)
    assert second.id != first.id
    assert second.uid != first.uid
    assert [job.id for job in queue.recent_jobs(10)] == [second.id, first.id]
    assert [job.id for job in queue.active_jobs()] == [second.id]


# Claiming


def test_jobs_of_tables_to_claim_later_are_skipped(queue: Queue) -> None:
    for table in ("dns.records", "dns.zone", "dns.zones"):
        queue.enqueue(new_job(table), NOON)
    later = [("default", TableName("dns", "records")), ("other", TableName("dns", "zones"))]
    claimed = [queue.claim(1, NOON, [*later, ("default", TableName("dns", "zon"))]) for _ in range(3)]
    assert [job and job.table.table for job in claimed] == ["zone", "zones", None]
    assert claim_job(queue).table == TableName("dns", "records")


def test_claiming_counts_the_attempt_and_records_the_epoch(queue: Queue) -> None:
    queue.enqueue(new_job(), NOON)
    job = claim_job(queue, NOON + MINUTE, epoch=7)
    assert (job.state, job.attempt, job.epoch, job.started_at) == (JobState.RUNNING, 1, 7, NOON + MINUTE)
    assert queue.claim(7, NOON + MINUTE) is None


def test_interactive_loads_run_before_scheduled_ones(queue: Queue) -> None:
    for number in range(20):
        queue.enqueue(new_job(f"jira.t{number}", Action.REFRESH, priority=Priority.SCHEDULED), NOON)
    person = queue.enqueue(new_job(), NOON + MINUTE)
    assert claim_job(queue, NOON + MINUTE).id == person.id


def test_a_load_that_finished_since_the_table_was_seen_is_not_repeated(queue: Queue) -> None:
    queue.enqueue(new_job(), NOON)
    first = claim_job(queue)
    queue.finish(first, JobState.DONE, now=NOON + MINUTE)
    late = NOON + 2 * MINUTE
    assert queue.enqueue(new_job(seen_at=NOON + MINUTE), late).id == first.id, "it came in the same moment"
    assert queue.enqueue(new_job("github.repos", seen_at=NOON), late).id != first.id
    assert queue.enqueue(new_job(seen_at=NOON + MINUTE * 1.5), late).id != first.id, "it was gone again"


def test_a_load_that_failed_since_the_table_was_seen_is_repeated(queue: Queue) -> None:
    queue.enqueue(new_job(), NOON)
    first = claim_job(queue)
    queue.finish(first, JobState.FAILED, "404", now=NOON + MINUTE)
    assert queue.enqueue(new_job(seen_at=NOON), NOON + MINUTE).id != first.id


def test_jobs_of_connections_alternate(queue: Queue) -> None:
    for number in range(4):
        queue.enqueue(new_job(f"busy.t{number}"), NOON)
    queue.enqueue(new_job("quiet.t"), NOON + MINUTE)
    order = [claim_job(queue, NOON + MINUTE).table.schema for _ in range(5)]
    assert order == ["busy", "quiet", "busy", "busy", "busy"]


def test_the_older_of_equal_jobs_is_claimed_first(queue: Queue) -> None:
    ids = [queue.enqueue(new_job(f"github.t{number}"), NOON).id for number in range(5)]
    assert [claim_job(queue).id for _ in ids] == ids


def test_two_jobs_of_one_table_never_run_at_the_same_time(queue: Queue) -> None:
    queue.enqueue(new_job(action=Action.LOAD), NOON)
    queue.enqueue(new_job(action=Action.RELOAD), NOON)
    first = claim_job(queue)
    assert queue.claim(1, NOON) is None
    assert queue.mark_publishing(first)
    assert queue.claim(1, NOON) is None
    queue.finish(first, JobState.DONE)
    assert claim_job(queue).action is Action.RELOAD


def test_a_postponed_job_waits_for_its_start_time(queue: Queue) -> None:
    queue.enqueue(new_job(), NOON)
    queue.requeue(claim_job(queue), NOON + MINUTE, "429")
    assert queue.claim(1, NOON) is None
    assert queue.next_start_at(NOON) == NOON + MINUTE
    again = claim_job(queue, NOON + MINUTE)
    assert (again.attempt, again.failures) == (2, 1)
    assert queue.next_start_at(NOON) is None


def test_an_interruption_is_not_counted_as_a_failure(queue: Queue) -> None:
    queue.enqueue(new_job(), NOON)
    back = queue.requeue(claim_job(queue), NOON, failed=False)
    assert back is not None
    assert (back.state, back.failures) == (JobState.QUEUED, 0)


def test_progress_resets_the_counts_of_failures_and_crashes(queue: Queue) -> None:
    queue.enqueue(new_job(), NOON)
    queue.requeue(claim_job(queue), NOON, crashed=True)
    back = queue.requeue(claim_job(queue), NOON, crashed=True, progressed=True)
    assert back is not None
    assert (back.attempt, back.failures, back.crashes) == (2, 0, 0)


# Waiting for parents


def test_a_job_waits_until_the_other_has_ended(queue: Queue) -> None:
    queue.enqueue(new_job("github.pulls"), NOON)
    child = claim_job(queue)
    parent = queue.enqueue(new_job("github.repos"), NOON)
    waiting = queue.requeue_after_parent(child, parent.id)
    assert waiting is not None
    assert (waiting.state, waiting.waits_for) == (JobState.QUEUED, parent.id)

    running = claim_job(queue)
    assert running.id == parent.id
    assert queue.claim(1, NOON) is None
    queue.finish(running, JobState.DONE)
    assert claim_job(queue).id == child.id


@pytest.mark.parametrize(
    ("end", "message"),
    [
        (JobState.FAILED, "it needs github.repos, whose load failed: 401"),
        (JobState.DEAD, "it needs github.repos, whose load was given up: 401"),
        (JobState.CANCELLED, "it needs github.repos, whose load was cancelled: 401"),
    ],
)
def test_a_job_whose_parent_job_fails_names_it(queue: Queue, end: JobState, message: str) -> None:
    queue.enqueue(new_job("github.comments"), NOON)
    grandchild = claim_job(queue)
    queue.enqueue(new_job("github.pulls"), NOON)
    child = claim_job(queue)
    queue.requeue_after_parent(grandchild, child.id)
    parent = queue.enqueue(new_job("github.repos"), NOON)
    queue.requeue_after_parent(child, parent.id)

    running = claim_job(queue)
    if end is JobState.CANCELLED:
        queue.cancel(running.id, NOON)
    queue.finish(running, end, "401", NOON)

    assert (queue.get(child.id).state, queue.get(child.id).error) == (JobState.FAILED, message)
    assert queue.get(grandchild.id).error == f"it needs github.pulls, whose load failed: {message}"
    assert queue.active_jobs() == []


def test_a_job_whose_parent_job_has_failed_before_ends_at_the_next_claim(queue: Queue) -> None:
    parent = queue.enqueue(new_job("github.repos"), NOON)
    queue.finish(claim_job(queue), JobState.FAILED, "403")
    queue.enqueue(new_job("github.pulls"), NOON)
    child = claim_job(queue)
    queue.requeue_after_parent(child, parent.id)
    assert queue.claim(1, NOON) is None
    assert queue.get(child.id).state is JobState.FAILED


# Fencing


def test_a_replaced_attempt_changes_nothing(queue: Queue) -> None:
    queue.enqueue(new_job(), NOON)
    dead = claim_job(queue)
    queue.requeue(dead, NOON)
    current = claim_job(queue)

    assert not queue.is_current_attempt(dead)
    assert not queue.mark_publishing(dead)
    assert queue.finish(dead, JobState.DONE) is None
    assert queue.requeue(dead, NOON) is None
    assert queue.requeue_after_parent(dead, 1) is None
    assert queue.get(current.id) == current
    assert queue.is_current_attempt(current)


def test_fifty_resumed_workers_publish_nothing_twice(queue: Queue) -> None:
    published = 0
    for number in range(50):
        queue.enqueue(new_job(f"github.t{number}"), NOON)
        stopped = claim_job(queue)
        queue.requeue(stopped, NOON)
        successor = claim_job(queue)
        published += sum(queue.mark_publishing(job) for job in (stopped, successor, stopped))
        assert queue.finish(successor, JobState.DONE) is not None
    assert published == 50


def test_each_start_of_the_daemon_is_a_new_epoch_that_finds_orphaned_jobs(
    queue: Queue, tmp_path: Path
) -> None:
    first = queue.start_epoch()
    queue.enqueue(new_job(), NOON)
    job = claim_job(queue, epoch=first)
    with Queue(tmp_path / "queue.db") as other:
        second = other.start_epoch()
        assert second > first
        assert [orphan.id for orphan in other.orphaned_jobs(second)] == [job.id]
    assert queue.orphaned_jobs(first) == []


# Cancelling and retrying


def test_a_queued_job_is_cancelled_at_once_and_a_running_one_is_marked(queue: Queue) -> None:
    waiting = queue.enqueue(new_job("github.a"), NOON)
    cancelled = queue.cancel(waiting.id, NOON)
    assert cancelled is not None
    assert (cancelled.state, cancelled.finished_at) == (JobState.CANCELLED, NOON)

    queue.enqueue(new_job("github.b"), NOON)
    running = claim_job(queue)
    marked = queue.cancel(running.id, NOON)
    assert marked is not None
    assert (marked.state, marked.cancel_asked) == (JobState.RUNNING, True)
    assert not queue.mark_publishing(running)
    ended = queue.finish(running, JobState.CANCELLED)
    assert ended is not None
    assert ended.state is JobState.CANCELLED
    assert queue.cancel(999) is None


def test_a_load_requested_during_its_cancellation_is_not_lost(queue: Queue) -> None:
    queue.enqueue(new_job(), NOON)
    running = claim_job(queue)
    queue.cancel(running.id, NOON)
    again = queue.enqueue(new_job(), NOON)
    assert (again.id, again.cancel_asked) == (running.id, False)
    back = queue.finish(running, JobState.CANCELLED, now=NOON)
    assert back is not None
    assert back.state is JobState.QUEUED


def test_a_job_requeued_during_its_cancellation_is_cancelled(queue: Queue) -> None:
    queue.enqueue(new_job(), NOON)
    running = claim_job(queue)
    queue.cancel(running.id, NOON)
    back = queue.requeue(running, NOON)
    assert back is not None
    assert back.state is JobState.CANCELLED


def test_retry_queues_an_ended_job_as_a_new_load(queue: Queue) -> None:
    queue.enqueue(new_job(priority=Priority.SCHEDULED), NOON)
    job = claim_job(queue)
    queue.finish(job, JobState.DEAD, "killed by SIGSEGV", NOON)

    again = queue.retry(job.id, NOON + MINUTE)
    assert again is not None
    assert (again.id, again.state, again.failures, again.error) == (job.id, JobState.QUEUED, 0, "")
    assert again.uid != job.uid
    assert claim_job(queue, NOON + MINUTE).attempt == 2


def test_retry_returns_the_same_load_if_it_was_requested_before(queue: Queue) -> None:
    queue.enqueue(new_job(), NOON)
    failed = claim_job(queue)
    queue.finish(failed, JobState.FAILED, "500", NOON)
    newer = queue.enqueue(new_job(), NOON)
    again = queue.retry(failed.id, NOON)
    assert again is not None
    assert again.id == newer.id
    assert queue.retry(999) is None


# Schedules


# The file


def test_old_jobs_are_deleted_and_active_and_latest_ones_kept(queue: Queue) -> None:
    for number in range(6):
        queue.enqueue(new_job(f"github.t{number}"), NOON)
        queue.finish(claim_job(queue), JobState.DONE, now=NOON + number * MINUTE)
    waiting = queue.enqueue(new_job(), NOON)
    queue.delete_old_jobs(NOON + 10 * MINUTE, keep_last=3)
    assert [job.id for job in queue.recent_jobs(100)] == [waiting.id, waiting.id - 1, waiting.id - 2]


def test_threads_can_share_a_queue(queue: Queue) -> None:
    with ThreadPoolExecutor(8) as pool:
        jobs = list(pool.map(lambda n: queue.enqueue(new_job(f"github.t{n % 40}"), NOON), range(200)))
    assert len({job.id for job in jobs}) == 40
    with ThreadPoolExecutor(8) as pool:
        taken = [job for job in pool.map(lambda _: queue.claim(1, NOON), range(60)) if job is not None]
    assert len(taken) == len({job.id for job in taken}) == 40


def test_a_claim_behind_ten_thousand_jobs_is_quick(queue: Queue) -> None:
    with queue._database.transaction():  # one transaction, so one fsync
        for number in range(10_000):
            queue.enqueue(
                new_job(f"c{number % 50}.t{number}", Action.REFRESH, priority=Priority.SCHEDULED), NOON
            )
    person = queue.enqueue(new_job(), NOON)
    began = time.perf_counter()
    job = claim_job(queue)
    claim_s = time.perf_counter() - began
    print(f"claim among 10,000: {claim_s * 1000:.1f} ms")
    assert job.id == person.id
    assert claim_s < 0.5


# Processes
