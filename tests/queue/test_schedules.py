"""Schedules in the queue."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec.structs import replace

from tests.support.jobs import MINUTE, NOON, ORIGIN, claim_job
from unify.model import Action, JobState, Priority, TableName
from unify.queue.queue import Queue
from unify.queue.rows import Schedule


def every(minutes: float, next_at: datetime, table: str = "github.pulls") -> Schedule:
    schema, name = table.split(".")
    return Schedule("default", TableName(schema, name), ORIGIN, minutes * 60, next_at)


def test_a_due_schedule_queues_a_refresh_and_advances(queue: Queue) -> None:
    queue.set_schedule(every(15, NOON))
    assert queue.enqueue_due(NOON - MINUTE) == []
    [job] = queue.enqueue_due(NOON)
    assert (job.action, job.priority, job.origin) == (Action.REFRESH, Priority.SCHEDULED, ORIGIN)
    [schedule] = queue.schedules()
    assert (schedule.next_at, schedule.last_at) == (NOON + 15 * MINUTE, NOON)
    assert queue.enqueue_due(NOON) == []
    assert queue.next_due_at() == NOON + 15 * MINUTE


def test_after_three_days_of_sleep_each_table_is_refreshed_once_and_keeps_its_interval(queue: Queue) -> None:
    for number in range(10):
        queue.set_schedule(every(15, NOON, f"github.t{number}"))
    woken = NOON + timedelta(days=3, minutes=7)
    assert len(queue.enqueue_due(woken)) == 10
    assert queue.enqueue_due(woken) == []
    assert {schedule.next_at for schedule in queue.schedules()} == {woken + 8 * MINUTE}


def test_a_clock_set_forward_and_back_neither_skips_nor_doubles(queue: Queue) -> None:
    queue.set_schedule(every(15, NOON))
    ahead = NOON + timedelta(days=1)
    [first] = queue.enqueue_due(ahead)
    queue.finish(claim_job(queue, ahead), JobState.DONE, now=ahead)

    assert queue.enqueue_due(NOON) == []
    [schedule] = queue.schedules()
    assert (schedule.next_at, schedule.last_at) == (NOON + 15 * MINUTE, NOON)
    [second] = queue.enqueue_due(NOON + 15 * MINUTE)
    assert second.id != first.id


def test_a_first_run_in_the_far_future_is_waited_for(queue: Queue) -> None:
    queue.set_schedule(replace(every(15, NOON + timedelta(hours=12)), starting="00:00"))
    assert queue.enqueue_due(NOON) == []
    assert queue.next_due_at() == NOON + timedelta(hours=12)


def test_a_schedule_set_by_a_fast_clock_is_corrected(queue: Queue) -> None:
    queue.set_schedule(every(15, NOON + timedelta(days=1)))
    assert queue.enqueue_due(NOON) == []
    [schedule] = queue.schedules()
    assert (schedule.next_at, schedule.last_at) == (NOON + 15 * MINUTE, None)


def test_a_running_refresh_is_not_queued_again(queue: Queue) -> None:
    queue.set_schedule(every(15, NOON))
    [first] = queue.enqueue_due(NOON)
    [same] = queue.enqueue_due(NOON + 15 * MINUTE)
    assert same.id == first.id


def test_never_is_stored_as_a_schedule(queue: Queue) -> None:
    queue.set_schedule(
        Schedule("default", TableName("github", "pulls"), ORIGIN, None, None, starting="never")
    )
    assert queue.enqueue_due(NOON) == []
    assert queue.next_due_at() is None
    assert queue.delete_schedule("default", TableName("github", "pulls"))
    assert queue.schedules() == []
    assert not queue.delete_schedule("default", TableName("github", "pulls"))
