"""Versions that are held back: accepted, replaced, read again."""

from __future__ import annotations

import msgspec
import pytest

from tests.support.jobs import MINUTE, NOON, claim_job, new_job
from unify.model import Hold, JobState, LoaderJob, TableName
from unify.queue.queue import Queue

PULLS = TableName("github", "pulls")


def hold_version(queue: Queue, table: str = "github.pulls") -> LoaderJob:
    queue.enqueue(new_job(table), NOON)
    held = queue.hold(claim_job(queue), "it has no rows", NOON)
    assert held is not None
    return held


def accept(queue: Queue) -> LoaderJob:
    accepted = queue.accept("default", PULLS)
    assert accepted is not None
    return accepted


def test_an_accepted_version_is_published_again(queue: Queue) -> None:
    held = hold_version(queue)
    assert (held.state, held.held) == (JobState.FAILED, Hold.HELD)
    accepted = accept(queue)
    assert (accepted.id, accepted.state, accepted.held) == (held.id, JobState.PUBLISHING, Hold.ACCEPTED)
    assert queue.accepted_jobs() == [accepted]
    assert queue.accept("default", PULLS) is None


def test_an_accepted_version_that_is_read_again_is_checked_again(queue: Queue) -> None:
    hold_version(queue)
    queue.requeue(accept(queue), NOON, "the lake is locked")
    assert claim_job(queue).held is Hold.NONE


@pytest.mark.parametrize("state", [JobState.FAILED, JobState.DEAD, JobState.CANCELLED])
def test_an_accepted_version_that_is_not_published_is_no_longer_held(queue: Queue, state: JobState) -> None:
    hold_version(queue)
    accepted = accept(queue)
    if state is JobState.CANCELLED:
        queue.cancel(accepted.id, NOON)
    ended = queue.finish(accepted, state, "disk full", NOON)
    assert ended is not None
    assert (ended.state, ended.held) == (state, Hold.NONE)
    assert queue.accept("default", PULLS) is None


def test_a_later_successful_load_replaces_a_held_version(queue: Queue) -> None:
    held = hold_version(queue)
    queue.enqueue(new_job(), NOON + MINUTE)
    later = claim_job(queue, NOON + MINUTE)
    assert queue.held_versions(later) == [held]
    queue.finish(later, JobState.DONE, now=NOON + MINUTE)
    assert queue.held_jobs() == []
    assert queue.accept("default", PULLS) is None


def test_a_later_held_version_replaces_the_earlier_one(queue: Queue) -> None:
    hold_version(queue)
    second = hold_version(queue)
    assert queue.held_jobs() == [second]


def test_a_held_version_waits_while_its_table_is_loaded(queue: Queue) -> None:
    hold_version(queue)
    queue.enqueue(new_job(), NOON)
    assert queue.accept("default", PULLS) is None
    assert len(queue.held_jobs()) == 1


def test_retry_all_leaves_held_versions(queue: Queue) -> None:
    held = hold_version(queue)
    assert queue.retry_all("default", NOON) == []
    assert queue.held_jobs() == [held]


def test_a_load_that_fails_or_loads_another_table_releases_nothing(queue: Queue) -> None:
    held = hold_version(queue)
    queue.enqueue(new_job(), NOON)
    queue.finish(claim_job(queue), JobState.FAILED, "500", NOON)
    queue.enqueue(new_job("github.issues"), NOON)
    queue.finish(claim_job(queue), JobState.DONE, now=NOON)
    assert queue.held_jobs() == [held]


def test_a_version_older_than_the_stored_one_cannot_be_accepted(queue: Queue) -> None:
    held = hold_version(queue)
    queue.enqueue(new_job(), NOON)
    queue.finish(claim_job(queue), JobState.DONE, now=NOON)
    with queue._database.transaction() as database:  # as a daemon that ended before the release left it
        database.fetch_all("hold", {"id": held.id})
    assert queue.held_jobs() == [held]
    assert queue.accept("default", PULLS) is None


def test_a_retry_of_a_held_version_gives_it_up(queue: Queue) -> None:
    held = hold_version(queue)
    again = queue.retry(held.id, NOON + MINUTE)
    assert again is not None
    assert (again.state, again.held) == (JobState.QUEUED, Hold.NONE)
    assert again.uid != held.uid
    assert queue.held_jobs() == []


def test_a_load_of_another_tenant_does_not_keep_a_version_from_being_accepted(queue: Queue) -> None:
    hold_version(queue)
    queue.enqueue(msgspec.structs.replace(new_job(), tenant="other"), NOON)
    assert accept(queue).held is Hold.ACCEPTED
