"""Retry delays and refresh intervals."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path

import pytest

from tests.support.stores import NOW, TABLE
from unify.daemon.jobs import policies
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


def decide(
    failure: Failure, failures: int = 0, priority: int = Priority.INTERACTIVE
) -> policies.RetryLater | policies.EndJob:
    return policies.decide_after_failure(job(failures, priority), failure, NOW, random.Random(7))


class TestAfterAFailure:
    def test_a_permanent_error_fails_at_once(self) -> None:
        assert decide(make_failure(Unauthorized("401"))) == policies.EndJob(JobState.FAILED, "401")

    def test_delays_grow_until_the_attempts_are_used_up(self) -> None:
        failure = make_failure(Unreachable("no connection"))
        waits = []
        for failures in range(policies.MAX_ATTEMPTS_SCHEDULED - 1):
            again = decide(failure, failures, Priority.SCHEDULED)
            assert isinstance(again, policies.RetryLater)
            waits.append((again.start_at - NOW).total_seconds())
        assert waits == sorted(waits)
        assert 1 < waits[0] < 3
        assert waits[-1] <= 1.25 * policies.MAX_BACKOFF_S
        last = decide(failure, policies.MAX_ATTEMPTS_SCHEDULED - 1, Priority.SCHEDULED)
        assert last == policies.EndJob(JobState.DEAD, "no connection")

    def test_an_interactive_load_has_fewer_attempts(self) -> None:
        failure = make_failure(Unreachable("no connection"))
        assert isinstance(decide(failure, 1), policies.RetryLater)
        assert isinstance(decide(failure, 2), policies.EndJob)

    @pytest.mark.parametrize("asked_s", [0.0, 2.0, 3600.0])
    def test_a_retry_is_never_earlier_than_retry_after(self, asked_s: float) -> None:
        again = decide(make_failure(RateLimited("429", retry_after_s=asked_s)), failures=10)
        assert isinstance(again, policies.RetryLater)
        wait_s = (again.start_at - NOW).total_seconds()
        assert max(asked_s, policies.MIN_RETRY_AFTER_S) <= wait_s <= max(1.1 * asked_s, 0.3)

    def test_the_third_crash_ends_the_job(self) -> None:
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

    def test_each_load_schedules_the_next_refresh(self, queue: Queue) -> None:
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

    def test_a_schedule_set_by_a_user_is_kept(self, queue: Queue) -> None:
        for every_s, next_at in ((60.0, NOW), (None, None)):
            own = Schedule("default", TABLE, ConfigPaths("/c.yaml"), every_s, next_at)
            queue.set_schedule(own)
            policies.schedule_next_refresh(queue, job(), 900, NOW)
            assert list(queue.schedules()) == [own]
        queue.close()

    def test_refreshes_of_a_hundred_tables_are_spread_and_never_late(self) -> None:
        tables = [TableName("github", f"table_{number}") for number in range(100)]
        due = sorted(policies.next_refresh_at(job(table=name), 900, NOW) for name in tables)
        assert NOW + timedelta(seconds=800) < due[0]
        assert due[-1] <= NOW + timedelta(seconds=900)
        busiest = max(sum(abs((other - moment).total_seconds()) < 0.5 for other in due) for moment in due)
        assert busiest < 10

    def test_after_three_days_of_sleep_each_table_is_refreshed_once(self, queue: Queue) -> None:
        with queue:
            policies.schedule_next_refresh(queue, job(), 900, NOW)
            later = NOW + timedelta(days=3)
            assert len(queue.enqueue_due(later)) == 1
            assert len(queue.enqueue_due(later)) == 0

    def test_the_schedule_of_a_removed_table_is_deleted(self, queue: Queue) -> None:
        with queue:
            policies.schedule_next_refresh(queue, job(), 900, NOW)
            policies.remove_schedule(queue, job())
            assert list(queue.schedules()) == []
            assert queue.enqueue(NewJob("default", Action.LOAD, TABLE, ConfigPaths("/c.yaml"))).id == 1
