"""Retry delays and refresh intervals."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path

import pytest

from tests.support.stores import NOW, TABLE
from unify.daemon import policies
from unify.errors import RateLimited, Unauthorized, Unreachable
from unify.load.protocol import Failure, make_failure
from unify.model import Action, ConfigPaths, JobState, LoaderJob, Priority, TableName
from unify.queue.queue import Queue
from unify.queue.rows import NewJob, Schedule


def job(failures: int = 0, priority: int = Priority.INTERACTIVE, table: TableName = TABLE) -> LoaderJob:
    return LoaderJob(
        id=1,
        uid="u",
        tenant="default",
        action=Action.LOAD,
        table=table,
        origin=ConfigPaths("/c.yaml"),
        priority=priority,
        state=JobState.RUNNING,
        attempt=failures + 1,
        epoch=1,
        created_at=NOW,
        start_at=NOW,
        failures=failures,
    )


def decided(
    failure: Failure, failures: int = 0, priority: int = Priority.INTERACTIVE
) -> policies.RetryLater | policies.EndJob:
    return policies.decide_after_failure(job(failures, priority), failure, NOW, random.Random(7))


class TestAfterAFailure:
    def test_what_cannot_get_better_ends_at_once(self) -> None:
        assert decided(make_failure(Unauthorized("401"))) == policies.EndJob(JobState.FAILED, "401")

    def test_waits_grow_and_end(self) -> None:
        failure = make_failure(Unreachable("no connection"))
        waits = []
        for failures in range(policies.MAX_ATTEMPTS_SCHEDULED - 1):
            again = decided(failure, failures, Priority.SCHEDULED)
            assert isinstance(again, policies.RetryLater)
            waits.append((again.start_at - NOW).total_seconds())
        assert waits == sorted(waits)
        assert 1 < waits[0] < 3
        assert waits[-1] <= 1.25 * policies.MAX_BACKOFF_S
        last = decided(failure, policies.MAX_ATTEMPTS_SCHEDULED - 1, Priority.SCHEDULED)
        assert last == policies.EndJob(JobState.DEAD, "no connection")

    def test_a_person_is_not_kept_waiting_as_long(self) -> None:
        failure = make_failure(Unreachable("no connection"))
        assert isinstance(decided(failure, 1), policies.RetryLater)
        assert isinstance(decided(failure, 2), policies.EndJob)

    @pytest.mark.parametrize("asked_s", [0.0, 2.0, 3600.0])
    def test_never_earlier_than_the_source_asked(self, asked_s: float) -> None:
        again = decided(make_failure(RateLimited("429", retry_after_s=asked_s)), failures=10)
        assert isinstance(again, policies.RetryLater)
        wait_s = (again.start_at - NOW).total_seconds()
        assert max(asked_s, policies.MIN_RETRY_AFTER_S) <= wait_s <= max(1.1 * asked_s, 0.3)

    def test_a_third_crash_is_the_last(self) -> None:
        outcomes = [policies.decide_after_crash(crashes, "killed by SIGSEGV", NOW) for crashes in (1, 2, 3)]
        assert [type(outcome) for outcome in outcomes] == [
            policies.RetryLater,
            policies.RetryLater,
            policies.EndJob,
        ]
        assert outcomes[2] == policies.EndJob(JobState.DEAD, "killed by SIGSEGV, 3 times")
        soonest = outcomes[1]
        assert isinstance(soonest, policies.RetryLater)
        assert soonest.start_at - NOW < timedelta(seconds=2)


class TestTheSchedule:
    @pytest.fixture
    def queue(self, tmp_path: Path) -> Queue:
        return Queue(tmp_path / "queue.db")

    def test_a_load_sets_when_its_table_is_due_and_the_next_moves_it(self, queue: Queue) -> None:
        with queue:
            policies.schedule_next_refresh(queue, job(), 900, NOW)
            [first] = queue.schedules()
            policies.schedule_next_refresh(queue, job(), 900, NOW + timedelta(minutes=5))
            [second] = queue.schedules()
            assert first.next_at
            assert second.next_at
            assert second.next_at - first.next_at == timedelta(minutes=5)
            policies.schedule_next_refresh(queue, job(), None, NOW)
            assert list(queue.schedules()) == []

    def test_what_a_person_has_said_stays(self, queue: Queue) -> None:
        for every_s, next_at in ((60.0, NOW), (None, None)):
            own = Schedule("default", TABLE, ConfigPaths("/c.yaml"), every_s, next_at)
            queue.set_schedule(own)
            policies.schedule_next_refresh(queue, job(), 900, NOW)
            assert list(queue.schedules()) == [own]
        queue.close()

    def test_a_hundred_tables_are_not_due_in_one_second_and_none_is_late(self) -> None:
        tables = [TableName("github", f"table_{number}") for number in range(100)]
        due = sorted(policies.next_refresh_at(job(table=name), 900, NOW) for name in tables)
        assert NOW + timedelta(seconds=800) < due[0]
        assert due[-1] <= NOW + timedelta(seconds=900)
        busiest = max(sum(abs((other - moment).total_seconds()) < 0.5 for other in due) for moment in due)
        assert busiest < 10

    def test_three_days_asleep_one_refresh_each(self, queue: Queue) -> None:
        with queue:
            policies.schedule_next_refresh(queue, job(), 900, NOW)
            later = NOW + timedelta(days=3)
            assert len(queue.enqueue_due(later)) == 1
            assert len(queue.enqueue_due(later)) == 0

    def test_a_table_that_is_gone_is_forgotten(self, queue: Queue) -> None:
        with queue:
            policies.schedule_next_refresh(queue, job(), 900, NOW)
            policies.remove_schedule(queue, job())
            assert list(queue.schedules()) == []
            assert queue.enqueue(NewJob("default", Action.LOAD, TABLE, ConfigPaths("/c.yaml"))).id == 1
