"""The state machine of a job: each event in each state follows the table or is refused."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest

from tests.support.jobs import MINUTE, NOON, claim_job, new_job
from tests.support.paths import CHECKOUT
from unify.daemon.jobs import policies
from unify.daemon.jobs.running_jobs import RunningJobs
from unify.daemon.jobs.transitions import (
    EVENT_DESCRIPTIONS,
    TRANSITIONS,
    JobAction,
    JobEvent,
    TransitionRefused,
    find_transition,
    render_markdown,
)
from unify.daemon.log import DaemonLog
from unify.daemon.publisher import DiscardStaged, Publisher, PublisherCommand, PublishStaged, RecordFailure
from unify.load.checkpoint import CHECKPOINT, PREVIOUS, PROGRESS
from unify.load.protocol import Failure, LoadProgress, TaskResult, TaskStatus
from unify.load.staging import StagingArea
from unify.model import Action, JobState, LoaderJob, LoaderStatus, TableName
from unify.queue.queue import Queue
from unify.sender.pending_writes import PendingWrites
from unify.writes.store import WriteStore

QUEUE_EVENTS = {
    JobEvent.REQUESTED,
    JobEvent.PARENT_FAILED,
    JobEvent.CANCEL_REQUESTED,
    JobEvent.RETRIED,
    JobEvent.ACCEPTED,
}
PAIRS = [(state, event) for state in JobState for event in JobEvent]


class RecordingPublisher:
    """Records the commands and does not run them."""

    def __init__(self) -> None:
        self.commands: list[PublisherCommand] = []

    def submit(self, command: PublisherCommand) -> None:
        self.commands.append(command)


class Bench:
    """A queue, a log and running jobs; publisher commands and statuses are recorded."""

    def __init__(self, folder: Path) -> None:
        self.queue = Queue(folder / "queue.db")
        self.publisher = RecordingPublisher()
        self.log = DaemonLog(folder, 1)
        self.statuses: list[LoaderStatus] = []
        self.staging = StagingArea(folder / "staging")
        self.jobs = RunningJobs(
            self.queue,
            cast(Publisher, self.publisher),
            self.log,
            self.statuses.append,
            staging=self.staging,
            writes=PendingWrites(WriteStore(folder / "writes.db"), self.queue),
        )

    def job_in(self, state: JobState) -> LoaderJob:
        job = self.queue.enqueue(new_job(), NOON)
        if state is JobState.QUEUED:
            return job
        job = claim_job(self.queue)
        if state is JobState.PUBLISHING:
            assert self.queue.mark_publishing(job)
        elif state is JobState.CANCELLED:
            self.queue.cancel(job.id, NOON)
        if state is JobState.FAILED:
            self.queue.hold(job, "over", NOON)
        elif not state.active:
            self.queue.finish(job, state, "over", NOON)
        return self.queue.get(job.id)

    def change_in_queue(self, job: LoaderJob, event: JobEvent) -> None:
        """Apply an event that a shell or another job causes in the queue."""
        match event:
            case JobEvent.REQUESTED:
                self.queue.enqueue(new_job(), NOON)
            case JobEvent.CANCEL_REQUESTED:
                self.queue.cancel(job.id, NOON)
            case JobEvent.RETRIED:
                self.queue.retry(job.id, NOON)
            case JobEvent.ACCEPTED:
                self.queue.accept(job.tenant, job.table)
            case _:
                raise AssertionError(event)

    def apply(self, job: LoaderJob, state: JobState, event: JobEvent) -> None:
        if event is JobEvent.CLAIMED and state is JobState.QUEUED:
            job = claim_job(self.queue)
        if event is JobEvent.CANCELLED and state in (JobState.RUNNING, JobState.PUBLISHING):
            self.queue.cancel(job.id, NOON)
        run = self.jobs.add(job, state)
        missing = [TableName("github", "repos")] if event is JobEvent.PARENTS_MISSING else []
        self.jobs.apply(run, event, "why", start_at=NOON + MINUTE, missing=missing)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.queue.close()
    bench.log.close()


@pytest.mark.parametrize(("state", "event"), PAIRS)
def test_each_event_in_each_state_follows_the_table(bench: Bench, state: JobState, event: JobEvent) -> None:
    transition = TRANSITIONS[state].get(event)
    if event is JobEvent.PARENT_FAILED:
        return  # needs a parent: see the next test
    job = bench.job_in(state)
    if event in QUEUE_EVENTS:
        bench.change_in_queue(job, event)
        assert bench.queue.get(job.id).state is (transition.state if transition else state)
    elif transition is None:
        with pytest.raises(TransitionRefused, match=f"a {state} job cannot be {event}"):
            bench.apply(job, state, event)
        assert bench.queue.get(job.id) == job
    else:
        bench.apply(job, state, event)
        assert bench.queue.get(job.id).state is transition.state
        assert f" {transition.log_event} job={job.id} " in bench.log.path.read_text()
        assert bench.statuses[-1].state is transition.state
        assert (job.id in bench.jobs.by_id) is (transition.state in (JobState.RUNNING, JobState.PUBLISHING))
        assert [type(command) for command in bench.publisher.commands] == [
            *([PublishStaged] if transition.action is JobAction.PUBLISH else []),
            *([] if transition.state.active or transition.action is JobAction.HOLD else [DiscardStaged]),
            *([RecordFailure] if transition.action in (JobAction.RECORD_FAILURE, JobAction.HOLD) else []),
        ]


def test_parents_that_are_out_of_date_are_refreshed(bench: Bench) -> None:
    child = bench.job_in(JobState.RUNNING)
    run = bench.jobs.add(child, JobState.RUNNING)
    progress = LoadProgress(child.id, child.attempt)
    missing = (TableName("github", "repos"),)
    bench.jobs.handle_result(
        run,
        TaskResult(
            child.id,
            child.attempt,
            TaskStatus.MISSING_PARENTS,
            progress,
            missing=missing,
            parents_action=Action.REFRESH,
        ),
    )
    waiting = bench.queue.get(child.id)
    assert waiting.waits_for is not None
    parent = bench.queue.get(waiting.waits_for)
    assert (parent.table, parent.action) == (missing[0], Action.REFRESH)


def test_a_job_fails_with_its_parent(bench: Bench) -> None:
    child = bench.job_in(JobState.RUNNING)
    bench.apply(child, JobState.RUNNING, JobEvent.PARENTS_MISSING)
    parent = claim_job(bench.queue, datetime.now(UTC))
    bench.apply(parent, JobState.RUNNING, JobEvent.FAILED)
    assert bench.queue.get(child.id).state is TRANSITIONS[JobState.QUEUED][JobEvent.PARENT_FAILED].state


@pytest.mark.parametrize("state", [state for state in JobState if state is not JobState.QUEUED])
def test_only_a_queued_job_can_fail_with_its_parent(state: JobState) -> None:
    with pytest.raises(TransitionRefused):
        find_transition(state, JobEvent.PARENT_FAILED)


def test_a_cancelled_job_that_was_requested_again_is_queued(bench: Bench) -> None:
    job = bench.job_in(JobState.RUNNING)
    run = bench.jobs.add(job, JobState.RUNNING)
    bench.jobs.apply(run, JobEvent.CANCELLED, "cancelled")  # the queue has no cancellation request
    assert bench.queue.get(job.id).state is JobState.QUEUED
    assert " load.ready " in bench.log.path.read_text()


def test_a_postponed_job_whose_cancellation_was_requested_is_cancelled(bench: Bench) -> None:
    job = bench.job_in(JobState.PUBLISHING)
    bench.queue.cancel(job.id, NOON)
    bench.jobs.apply(bench.jobs.add(job, JobState.PUBLISHING), JobEvent.POSTPONED, "busy", start_at=NOON)
    assert bench.queue.get(job.id).state is JobState.CANCELLED
    assert " load.cancelled " in bench.log.path.read_text()


@pytest.mark.parametrize("event", [event for event in JobEvent if event not in QUEUE_EVENTS])
def test_an_event_of_an_ended_attempt_changes_nothing(bench: Bench, event: JobEvent) -> None:
    old = bench.job_in(JobState.RUNNING)
    bench.queue.requeue(old, NOON)
    current = claim_job(bench.queue)
    if event is JobEvent.CLAIMED:
        return
    state = JobState.PUBLISHING if event is JobEvent.HELD_BACK else JobState.RUNNING
    bench.jobs.apply(bench.jobs.add(old, state), event, missing=[TableName("github", "repos")])
    assert bench.queue.get(old.id) == current
    assert bench.jobs.by_id == {}


def test_each_event_has_a_description_and_a_transition() -> None:
    assert set(EVENT_DESCRIPTIONS) == set(JobEvent)
    assert {event for events in TRANSITIONS.values() for event in events} == set(JobEvent)
    assert set(TRANSITIONS) == set(JobState)


def test_the_documentation_contains_the_transition_table() -> None:
    page = (CHECKOUT / "docs" / "daemon.md").read_text("utf-8")
    begin, end = "<!-- BEGIN python -m unify.daemon.jobs.transitions -->\n", "<!-- END -->"
    assert page.partition(begin)[2].partition(end)[0] == render_markdown()


def attempt_with_progress(bench: Bench, job: LoaderJob) -> None:
    """Leave the files of an attempt that has read pages which the next one need not read."""
    folder = bench.staging.create_attempt_folder(job)
    (folder / CHECKPOINT).touch()
    (folder / PROGRESS).touch()


@pytest.mark.parametrize("fail", ["failure", "crash"])
def test_attempts_that_read_more_do_not_count_up_to_a_bound(bench: Bench, fail: str) -> None:
    job = bench.job_in(JobState.RUNNING)
    failed = Failure("ServerFault", "503", retryable=True)
    attempts = 0
    while job.state is JobState.RUNNING:
        attempts += 1
        attempt_with_progress(bench, job)
        run = bench.jobs.add(job, JobState.RUNNING)
        if fail == "crash":
            bench.jobs.handle_crash(run, "killed")
        else:
            bench.jobs.handle_failure(run, failed)
        job = bench.queue.get(job.id)
        if job.state is JobState.QUEUED:
            job = claim_job(bench.queue, NOON + timedelta(days=9999))
    assert job.state is JobState.DEAD
    assert attempts == policies.MAX_ATTEMPTS_WITH_PROGRESS - 1 + policies.MAX_CRASHES
    assert [folder.name for folder in bench.staging.folder.glob("kept/*")] != []


def test_without_progress_the_third_failure_after_progress_ends_the_job(bench: Bench) -> None:
    job = bench.job_in(JobState.RUNNING)
    failed = Failure("ServerFault", "503", retryable=True)
    states = []
    for number in range(5):
        bench.staging.create_attempt_folder(job)
        if number == 1:
            attempt_with_progress(bench, job)
        bench.jobs.handle_failure(bench.jobs.add(job, JobState.RUNNING), failed)
        states.append(bench.queue.get(job.id).state)
        if states[-1] is JobState.QUEUED:
            job = claim_job(bench.queue, NOON + timedelta(days=9999))
    assert states == [JobState.QUEUED] * 4 + [JobState.DEAD]


@pytest.mark.parametrize("event", [JobEvent.FAILED, JobEvent.GIVEN_UP, JobEvent.CANCELLED])
def test_a_failed_job_keeps_what_it_has_read_and_its_retry_gets_it(bench: Bench, event: JobEvent) -> None:
    job = bench.job_in(JobState.RUNNING)
    attempt_with_progress(bench, job)
    bench.apply(job, JobState.RUNNING, event)
    bench.staging.remove_attempts(job)  # as the publisher does
    bench.queue.retry(job.id, NOON)
    job = claim_job(bench.queue)
    folder = bench.staging.create_attempt_folder(job)
    is_kept = event is not JobEvent.CANCELLED
    assert (folder / PREVIOUS / CHECKPOINT).exists() is is_kept
    assert not list(bench.staging.folder.glob("kept/*"))


def test_what_is_kept_ends_with_its_time(bench: Bench) -> None:
    job = bench.job_in(JobState.RUNNING)
    attempt_with_progress(bench, job)
    bench.apply(job, JobState.RUNNING, JobEvent.FAILED)
    bench.staging.remove_kept_checkpoints(datetime.now(UTC) - timedelta(hours=1))
    (kept,) = bench.staging.folder.glob("kept/*")
    bench.staging.remove_kept_checkpoints(datetime.now(UTC) + timedelta(seconds=1))
    assert not kept.exists()


def test_a_load_that_succeeds_discards_the_staged_files_of_held_versions(bench: Bench) -> None:
    held = bench.job_in(JobState.FAILED)
    loaded = bench.job_in(JobState.PUBLISHING)
    bench.apply(loaded, JobState.PUBLISHING, JobEvent.PUBLISHED)
    discarded = [
        command.job.uid for command in bench.publisher.commands if isinstance(command, DiscardStaged)
    ]
    assert discarded == [loaded.uid, held.uid]
    assert bench.queue.held_jobs() == []


def test_a_version_that_is_held_back_discards_the_staged_files_of_older_ones(bench: Bench) -> None:
    older = bench.job_in(JobState.FAILED)
    newer = bench.job_in(JobState.PUBLISHING)
    bench.apply(newer, JobState.PUBLISHING, JobEvent.HELD_BACK)
    discarded = [
        command.job.uid for command in bench.publisher.commands if isinstance(command, DiscardStaged)
    ]
    assert discarded == [older.uid]
    assert [job.id for job in bench.queue.held_jobs()] == [newer.id]
