"""The jobs in progress: carries out the transitions of what workers and the publisher report.

A transition changes the queue, which ignores an attempt that is no longer active; then it writes the log
event and publishes the status.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from datetime import UTC, datetime

import msgspec
from msgspec.structs import replace

from unify.daemon.jobs import policies
from unify.daemon.jobs.running_job import RunningJob, job_log_fields
from unify.daemon.jobs.transitions import JobAction, JobEvent, Transition, find_transition
from unify.daemon.log import DaemonLog
from unify.daemon.notifier import Notifier
from unify.daemon.publisher import (
    DiscardStaged,
    Publisher,
    PublisherResult,
    PublishStaged,
    RecordFailure,
    RecoverOrphan,
)
from unify.errors import StoreError, UnknownName
from unify.fs.failpoints import failpoint
from unify.fs.machine import boot_id
from unify.load.protocol import Failure, LoadProgress, TaskResult, TaskStatus
from unify.load.staging import StagingArea
from unify.model import Action, JobState, LoaderJob, LoaderStatus, TableName
from unify.publish.plausibility import VersionHeld
from unify.queue.queue import Queue
from unify.queue.rows import NewJob
from unify.sender.pending_writes import PendingWrites

MAX_PAUSE_NOTICES = 50  # queued loads whose status says why they wait: as many as `system status` shows


class RunningJobs:
    """The jobs this daemon works on. What workers and the publisher report becomes a transition."""

    def __init__(
        self,
        queue: Queue,
        publisher: Publisher,
        log: DaemonLog,
        publish_status: Callable[[LoaderStatus], None],
        notifier: Notifier | None = None,
        *,
        staging: StagingArea,
        writes: PendingWrites,
    ) -> None:
        self.queue = queue
        self.writes = writes
        self.publisher = publisher
        self.log = log
        self._publish_status = publish_status
        self._notifier = notifier
        self._staging = staging
        self.by_id: dict[int, RunningJob] = {}
        self._rng = random.Random()

    def __len__(self) -> int:
        return len(self.by_id)

    @property
    def is_publishing(self) -> bool:
        return any(run.state is JobState.PUBLISHING for run in self.by_id.values())

    def tables_to_claim_later(self) -> list[tuple[str, TableName]]:
        """The tables, each with its tenant, whose loads will read the responses of a running load."""
        reading = (run for run in self.by_id.values() if run.state is not JobState.PUBLISHING)
        return [(run.job.tenant, table) for run in reading for table in run.shared_tables]

    def add(self, job: LoaderJob, state: JobState) -> RunningJob:
        run = self.by_id[job.id] = RunningJob(job, LoadProgress(job.id, job.attempt), state)
        return run

    def find_attempt(self, job: int, attempt: int) -> RunningJob | None:
        """Return the run of this attempt, unless it is over."""
        run = self.by_id.get(job)
        return run if run is not None and run.job.attempt == attempt else None

    def retain(self, jobs: Collection[int]) -> None:
        """Drop every run except those of ``jobs``."""
        self.by_id = {id: run for id, run in self.by_id.items() if id in jobs}

    # Reports

    def update_progress(self, run: RunningJob, progress: LoadProgress) -> None:
        run.progress = progress
        self.publish_status(run, run.state)

    def handle_result(self, run: RunningJob, result: TaskResult) -> None:
        """Handle what a worker reports at the end of its task."""
        run.progress = result.progress
        run.refresh_every_s = result.every_s
        if run.is_cancelled:
            self.apply(run, JobEvent.CANCELLED, "cancelled")
            return
        match result.ending:
            case TaskStatus.STAGED:
                failpoint("daemon.sealed")
                self.apply(run, JobEvent.STAGED)
            case TaskStatus.WRITTEN:
                run.refresh = result.refresh
                self.apply(run, JobEvent.WRITTEN, rows=result.progress.rows)
            case TaskStatus.MISSING_PARENTS:
                parents = ",".join(map(str, result.missing))
                self.apply(
                    run,
                    JobEvent.PARENTS_MISSING,
                    missing=result.missing,
                    parents_action=result.parents_action,
                    parents=parents,
                )
            case TaskStatus.FAILED:
                assert result.failure is not None
                self.handle_failure(run, result.failure)

    def handle_crash(self, run: RunningJob, reason: str) -> None:
        """Handle the death of the attempt's worker while the daemon lives: the job is the likely cause."""
        if run.is_cancelled:
            self.apply(run, JobEvent.CANCELLED, "cancelled")
            return
        self._check_progress(run)
        crashes = 0 if run.progressed else run.job.crashes
        decision = policies.decide_after_crash(crashes + 1, reason, _now())
        self._apply_decision(run, decision, JobEvent.CRASHED)

    def handle_daemon_death(self, run: RunningJob, reason: str = "the daemon ended during the load") -> None:
        """Handle the death of the daemon of an attempt; a restart of the machine does not count."""
        run.daemon_died = True
        if run.is_cancelled:
            self.apply(run, JobEvent.CANCELLED, "cancelled")
        elif run.job.boot and run.job.boot != boot_id():
            self.apply(run, JobEvent.INTERRUPTED, "the machine was restarted during the load")
        else:
            self._check_progress(run)
            deaths = 0 if run.progressed else run.job.deaths
            decision = policies.decide_after_daemon_death(deaths + 1, reason, _now())
            self._apply_decision(run, decision, JobEvent.CRASHED)

    def handle_failure(self, run: RunningJob, failure: Failure) -> None:
        """Handle an error of the source, of the configuration, or a bug."""
        if failure.kind == UnknownName.__name__:
            policies.remove_schedule(self.queue, run.job)
        if failure.bug:
            fields = job_log_fields(run.job)
            self.log.write_event("load.internal_error", **fields, error=failure.message, trace=failure.trace)
            error = f"internal error: {failure.message}; the traceback is in {self.log.path}"
            self.apply(run, JobEvent.FAILED, error)
        else:
            self._check_progress(run)
            job = msgspec.structs.replace(run.job, failures=0) if run.progressed else run.job
            decision = policies.decide_after_failure(job, failure, _now(), self._rng)
            self._apply_decision(run, decision, JobEvent.POSTPONED)

    def _check_progress(self, run: RunningJob) -> None:
        """Find out whether the failure of this attempt counts: not if it has got further than those before.

        Each attempt of a write that gets further gives a row its outcome, so that they end.
        """
        if run.job.action is Action.WRITE:
            run.progressed = self.writes.has_progress(run.job)
            return
        run.progressed = run.job.attempt < policies.MAX_ATTEMPTS_WITH_PROGRESS and self._staging.has_progress(
            run.job
        )

    def handle_published(self, run: RunningJob, result: PublisherResult) -> None:
        """Handle what the publisher reports of a load."""
        failpoint("daemon.published")
        run.blocked_by = ""
        if result.record is not None:
            rows, seconds = result.record.rows_read, round(result.record.seconds, 3)
            run.progress = replace(run.progress, rows=rows)
            policies.schedule_next_refresh(self.queue, run.job, run.refresh_every_s, _now())
            self.apply(run, JobEvent.PUBLISHED, rows=rows, seconds=seconds)
            self.queue.scripts.trigger_after_load(run.job.tenant, run.job.table, _now())
        elif isinstance(result.command, RecoverOrphan) and _is_incomplete(result.failure):
            if run.daemon_died:
                self.handle_daemon_death(run)
            else:
                self.apply(run, JobEvent.INTERRUPTED)
        elif result.failure is not None and result.failure.kind == VersionHeld.__name__:
            policies.schedule_next_refresh(self.queue, run.job, run.refresh_every_s, _now())
            self.apply(run, JobEvent.HELD_BACK, result.failure.message)
        elif result.failure is not None:
            self.handle_failure(run, result.failure)
        else:
            self.handle_crash(run, "the staged files are missing or belong to another attempt")

    def _apply_decision(
        self, run: RunningJob, decision: policies.RetryLater | policies.EndJob, retry_event: JobEvent
    ) -> None:
        if isinstance(decision, policies.RetryLater):
            self.apply(run, retry_event, decision.error, start_at=decision.start_at)
        else:
            ended = JobEvent.GIVEN_UP if decision.state is JobState.DEAD else JobEvent.FAILED
            self.apply(run, ended, decision.error)

    # Transitions

    def apply(
        self,
        run: RunningJob,
        event: JobEvent,
        error: str = "",
        *,
        start_at: datetime | None = None,
        missing: Sequence[TableName] = (),
        parents_action: Action = Action.LOAD,
        **fields: object,
    ) -> None:
        """Carry out the transition of ``event``. Raises TransitionRefused and StoreError."""
        error = self.log.redact(error)
        transition = find_transition(run.state, event)
        releases = event in (JobEvent.PUBLISHED, JobEvent.HELD_BACK)
        released = self.queue.held_versions(run.job) if releases else ()
        job = self._change_queue(
            run,
            event,
            transition,
            error=error,
            start_at=start_at or _now(),
            missing=missing,
            parents_action=parents_action,
        )
        if job is None:  # another attempt has the job
            self.by_id.pop(run.job.id, None)
            return
        if job.state is not transition.state:  # the queue decides between a cancellation and a new request
            outcome = JobEvent.CANCELLED if job.state is JobState.CANCELLED else JobEvent.CANCEL_WITHDRAWN
            transition = find_transition(run.state, outcome)
        run.state = transition.state
        self._finish_transition(run, transition, error)
        for replaced in released:
            self.publisher.submit(DiscardStaged(replaced))
        until = start_at if transition.state is JobState.QUEUED else None
        self.log.write_event(
            transition.log_event,
            **job_log_fields(run.job),
            **fields,
            until=until.isoformat() if until else None,
            error=error or job.error if not transition.state.active or until else "",
        )
        self.publish_status(run, job.state, job.error, until)
        self._notify(run.job.table, transition, error or job.error)

    def _notify(self, table: TableName, transition: Transition, error: str) -> None:
        if self._notifier is None:
            return
        if transition.state is JobState.DONE:
            self._notifier.report_success(str(table), _now())
        elif transition.state in (JobState.FAILED, JobState.DEAD):
            error = error.removeprefix(f"{table}: ")
            self._notifier.report_failure(transition.log_event, str(table), error, _now())

    def _change_queue(
        self,
        run: RunningJob,
        event: JobEvent,
        transition: Transition,
        *,
        error: str,
        start_at: datetime,
        missing: Sequence[TableName],
        parents_action: Action,
    ) -> LoaderJob | None:
        """Write the transition to the queue; return the job as it is now. None: another attempt has it."""
        match transition.action:
            case JobAction.START:
                return run.job
            case JobAction.STOP_WORKER:
                run.is_cancelled = True
                return run.job
            case JobAction.PUBLISH:
                if self.queue.mark_publishing(run.job):
                    return msgspec.structs.replace(run.job, state=JobState.PUBLISHING)
                return self.queue.finish(run.job, JobState.CANCELLED, "cancelled", _now())
            case JobAction.LOAD_PARENTS:
                return self._requeue_after_parents(run.job, missing, parents_action)
            case JobAction.REQUEUE:
                died = event is JobEvent.CRASHED and run.daemon_died
                crashed = event is JobEvent.CRASHED and not died
                return self.queue.requeue(
                    run.job,
                    start_at,
                    error,
                    failed=crashed or event is JobEvent.POSTPONED,
                    crashed=crashed,
                    died=died,
                    progressed=run.progressed,
                )
            case JobAction.HOLD:
                return self.queue.hold(run.job, error, _now())
            case JobAction.FINISH | JobAction.RECORD_FAILURE:
                return self.queue.finish(run.job, transition.state, error, _now())
            case JobAction.QUEUE:
                raise ValueError(f"{event}: the queue carries out this transition")

    def _requeue_after_parents(
        self, job: LoaderJob, missing: Sequence[TableName], action: Action
    ) -> LoaderJob | None:
        """Queue the loads of the parents with the priority of ``job``, and ``job`` behind the first."""
        parents = [
            self.queue.enqueue(NewJob(job.tenant, action, table, job.origin, job.priority), _now())
            for table in missing
        ]
        return self.queue.requeue_after_parent(job, parents[0].id)

    def _finish_transition(self, run: RunningJob, transition: Transition, error: str) -> None:
        if transition.state is JobState.PUBLISHING:
            self.publisher.submit(PublishStaged(run.job, run.progress.bytes))
        elif transition.state is not JobState.RUNNING:
            self.by_id.pop(run.job.id, None)
        if run.job.action is Action.WRITE:
            if not transition.state.active:
                self.writes.job_ended(run.job, transition.state, error, _now(), refresh=run.refresh)
                self.publisher.submit(DiscardStaged(run.job))
            return
        if transition.action is JobAction.RECORD_FAILURE:
            self._keep_checkpoint(run.job)
        if not transition.state.active and transition.action is not JobAction.HOLD:
            self.publisher.submit(DiscardStaged(run.job))
        if transition.action in (JobAction.RECORD_FAILURE, JobAction.HOLD):
            self.publisher.submit(RecordFailure(run.job, run.make_failed_record(error, _now())))

    def _keep_checkpoint(self, job: LoaderJob) -> None:
        """Keep what the job has read for ``system retry``; without it, the retry reads everything."""
        try:
            self._staging.keep_checkpoint(job)
        except StoreError as error:
            self.log.write_event("staging.keep_failed", **job_log_fields(job), error=error.message)

    def publish_accepted_versions(self) -> None:
        """Publish the held versions that were accepted.

        A load whose staged rows are gone, or whose publication fails for a time, reads another version, which
        is checked again.
        """
        for job in self.queue.accepted_jobs():
            if job.id not in self.by_id:
                self.add(job, JobState.PUBLISHING)
                self.publisher.submit(RecoverOrphan(job))

    # Status

    def remove_replaced_staging(self) -> None:
        """Remove what a job had staged before ``system retry``, which gives it another uid."""
        kept = {job.uid for job in (*self.queue.active_jobs(), *self.queue.held_jobs())}
        for folder in self._staging.remove_other_jobs(kept):
            self.log.write_event("staging.removed", folder=folder)

    def record_failures(self) -> None:
        """Write failures to the ledger that a daemon died before it could record."""
        for job in self.queue.unrecorded_jobs():
            run = RunningJob(job, LoadProgress(job.id, job.attempt), job.state)
            record = run.make_failed_record(job.error, job.finished_at or _now())
            self.publisher.submit(RecordFailure(job, record))

    def publish_status(
        self, run: RunningJob, state: JobState, error: str = "", until: datetime | None = None
    ) -> None:
        self._publish_status(run.make_status(state, error, until))

    def publish_lock_holder(self, holder: str) -> None:
        """Publish which process holds the lake's lock while loads wait to be published; "" is none."""
        for run in self.by_id.values():
            if run.state is JobState.PUBLISHING and run.blocked_by != holder:
                run.blocked_by = holder
                self.publish_status(run, JobState.PUBLISHING)

    def publish_pause_reason(self, reason: str) -> None:
        """Publish why queued loads do not start; "" is that they do again."""
        with suppress(StoreError):  # only a hint, and the queue itself may be what cannot be read
            jobs, _ = self.queue.next_active_jobs(MAX_PAUSE_NOTICES)
            for job in jobs:
                if job.id not in self.by_id:
                    run = RunningJob(job, LoadProgress(job.id, job.attempt), job.state, blocked_by=reason)
                    self.publish_status(run, JobState.QUEUED, job.error)


def _is_incomplete(failure: Failure | None) -> bool:
    """Whether an older daemon left no complete load, so that it has to be fetched again."""
    return failure is None or failure.kind == StoreError.__name__


def _now() -> datetime:
    return datetime.now(UTC)
