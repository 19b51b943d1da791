"""The jobs of writes end, fail and are cancelled together with their writes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.support.jobs import MINUTE, NOON, ORIGIN, claim_job
from unify.model import Action, JobState, LoaderJob, PlannedRow, TableName, WriteState
from unify.queue.queue import Queue
from unify.sender.pending_writes import PendingWrites
from unify.writes.records import NewWrite, Write
from unify.writes.store import WriteStore

PEOPLE = TableName("crm", "people")
NEW = NewWrite("default", PEOPLE, "insert", ORIGIN)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[WriteStore]:
    with WriteStore(tmp_path / "writes.db") as opened:
        yield opened


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    with Queue(tmp_path / "queue.db") as opened:
        yield opened


@pytest.fixture
def pending(store: WriteStore, queue: Queue) -> PendingWrites:
    return PendingWrites(store, queue)


def approve(store: WriteStore, *, after: timedelta = timedelta(0)) -> Write:
    write = store.plan(NEW, [PlannedRow(1, "insert", {"email": "a"}, {})], NOON)
    approved = store.approve(write.id, "ada", NOON + after)
    assert approved is not None
    return approved


def claim(pending: PendingWrites, queue: Queue) -> LoaderJob:
    pending.enqueue_open(NOON)
    return claim_job(queue)


def states(store: WriteStore) -> list[WriteState]:
    return [write.state for write in reversed(store.recent("default", 10))]


def test_a_write_whose_job_fails_before_it_begins_fails_and_is_not_queued_again(
    pending: PendingWrites, store: WriteStore, queue: Queue
) -> None:
    write = approve(store)
    job = claim(pending, queue)
    queue.finish(job, JobState.FAILED, "there is no connection crm", NOON)

    pending.job_ended(job, JobState.FAILED, "there is no connection crm", NOON, refresh=None)

    ended = store.find(write.id)
    assert ended is not None
    assert (ended.state, ended.error) == (WriteState.FAILED, "there is no connection crm")
    assert not queue.active_jobs()


def test_a_write_that_was_approved_during_a_failed_job_has_a_job_of_its_own(
    pending: PendingWrites, store: WriteStore, queue: Queue
) -> None:
    approve(store)
    job = claim(pending, queue)
    approve(store, after=60 * MINUTE)
    queue.finish(job, JobState.DEAD, "no server", NOON)

    pending.job_ended(job, JobState.DEAD, "no server", NOON, refresh=None)

    assert states(store) == [WriteState.FAILED, WriteState.APPROVED]
    assert [active.action for active in queue.active_jobs()] == [Action.WRITE]
