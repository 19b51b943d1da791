"""Versions that are held back: accepted, replaced, read again."""

from __future__ import annotations

from tests.support.jobs import MINUTE, NOON, claim_job, new_job
from unify.model import Hold, JobState, LoaderJob, TableName
from unify.queue.queue import Queue

PULLS = TableName("github", "pulls")


def hold_version(queue: Queue) -> LoaderJob:
    queue.enqueue(new_job(), NOON)
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


def test_an_accepted_version_that_fails_is_no_longer_held(queue: Queue) -> None:
    hold_version(queue)
    failed = queue.finish(accept(queue), JobState.FAILED, "disk full", NOON)
    assert failed is not None
    assert failed.held is Hold.NONE
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
