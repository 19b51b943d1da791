"""What becomes of a job under way: published, put off, put behind its parents, ended.

Every change goes through the queue, which ignores what belongs to an older attempt; then the log
gets a line and whoever listens an event.

A job under way, as this start of the daemon sees it.

Taking over what the queue says is under way and nobody works on.

An older daemon left it, or this one had no room on the disk to write down what became of it. The publisher
asks the ledger, then the staging folder; what is in neither is fetched again. Can be done any number of
times: all orders about a job go through the one publisher, and what was decided first counts.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from unify.daemon import policies
from unify.daemon.log import DaemonLog
from unify.daemon.publisher import (
    DiscardStaged,
    Publisher,
    PublisherResult,
    PublishStaged,
    RecordFailure,
    RecoverOrphan,
)
from unify.daemon.worker_pool import WorkerPool
from unify.errors import StoreError, UnknownName
from unify.fs.failpoints import failpoint
from unify.load.protocol import Failure, LoadProgress, TaskResult, TaskStatus
from unify.load.staging import StagingArea
from unify.model import Action, JobState, LoaderJob, LoaderStatus, LoadRecord, TableName
from unify.queue.queue import Queue
from unify.queue.rows import NewJob

MAX_PAUSE_NOTICES = 50  # queued loads that are told why they wait: as many as `system status` shows


class JobTransitions:
    """The jobs this daemon is busy with, and the ways out."""

    def __init__(
        self,
        queue: Queue,
        publisher: Publisher,
        log: DaemonLog,
        publish_status: Callable[[LoaderStatus], None],
    ) -> None:
        self.queue = queue
        self.publisher = publisher
        self.log = log
        self._publish_status = publish_status
        self.running_jobs: dict[int, RunningJob] = {}
        self._rng = random.Random()

    def add_running_job(self, job: LoaderJob) -> RunningJob:
        """From now on we are busy with ``job``."""
        run = self.running_jobs[job.id] = RunningJob(job, LoadProgress(job.id, job.attempt))
        return run

    def find_attempt(self, job: int, attempt: int) -> RunningJob | None:
        """The run of this attempt, unless it is over."""
        run = self.running_jobs.get(job)
        return run if run is not None and run.job.attempt == attempt else None

    def retain_jobs(self, jobs: Collection[int]) -> None:
        """Know of no other run than those of ``jobs``."""
        self.running_jobs = {id: run for id, run in self.running_jobs.items() if id in jobs}

    def publish_pause_reason(self, reason: str) -> None:
        """Let it be known why no load is begun; "" is: they are again. Only what the status shows is told."""
        with suppress(StoreError):  # a hint; where not even the queue can be read, they do without
            jobs, _ = self.queue.next_active_jobs(MAX_PAUSE_NOTICES)
            for job in jobs:
                if job.id not in self.running_jobs:
                    run = RunningJob(job, LoadProgress(job.id, job.attempt), blocked_by=reason)
                    self.publish_status(run, JobState.QUEUED, job.error)

    def mark_started(self, run: RunningJob) -> None:
        self.log.write_event("load started", **job_log_fields(run.job), attempt=run.job.attempt)
        self.publish_status(run, JobState.RUNNING)

    def update_progress(self, run: RunningJob, progress: LoadProgress) -> None:
        run.progress = progress
        self.publish_status(run, JobState.RUNNING)

    def handle_result(self, run: RunningJob, result: TaskResult) -> None:
        """A worker is done with it, one way or another."""
        run.progress = result.progress
        run.refresh_every_s = result.every_s
        if run.is_cancelled:
            self.finish_job(run, JobState.CANCELLED, "cancelled")
            return
        match result.ending:
            case TaskStatus.STAGED:
                self._submit_publish(run)
            case TaskStatus.MISSING_PARENTS:
                self._wait_for_parents(run, result.missing)
            case TaskStatus.FAILED:
                assert result.failure is not None
                self.handle_failure(run, result.failure)

    def handle_crash(self, run: RunningJob, reason: str) -> None:
        """Its worker has died."""
        if run.is_cancelled:
            self.finish_job(run, JobState.CANCELLED, "cancelled")
            return
        self.log.write_event("load crashed", **job_log_fields(run.job), reason=reason)
        self._apply_decision(
            run, policies.decide_after_crash(run.job.crashes + 1, reason, _now()), crashed=True
        )

    def handle_failure(self, run: RunningJob, failure: Failure) -> None:
        """The source, the configuration or a fault of ours stood in the way."""
        if failure.kind == UnknownName.__name__:
            policies.remove_schedule(self.queue, run.job)
        if failure.bug:
            self.log.write_event(
                "fault in Unify", **job_log_fields(run.job), error=failure.message, trace=failure.trace
            )
            reason = f"a fault in Unify ({failure.message}); the log has its place: {self.log.path}"
            self._apply_decision(run, policies.EndJob(JobState.FAILED, reason))
        else:
            self._apply_decision(run, policies.decide_after_failure(run.job, failure, _now(), self._rng))

    def handle_published(self, run: RunningJob, result: PublisherResult) -> None:
        """The publisher is done with it: published, or not."""
        failpoint("daemon.published")
        run.is_publishing, run.blocked_by = False, ""
        if result.record is not None:
            rows, seconds = result.record.rows_read, round(result.record.seconds, 3)
            run.progress = replace(run.progress, rows=rows)
            self.finish_job(run, JobState.DONE, rows=rows, seconds=seconds)
        elif isinstance(result.command, RecoverOrphan) and _is_incomplete(result.failure):
            self.requeue_job(run)
        elif result.failure is not None:
            self.handle_failure(run, result.failure)
        else:
            self.handle_crash(run, "what was staged is gone, or belongs to another attempt")

    def finish_job(self, run: RunningJob, state: JobState, error: str = "", **details: object) -> None:
        """End a job, unless another attempt has it; its schedule first, so that no crash loses it."""
        if state is JobState.DONE:
            policies.schedule_next_refresh(self.queue, run.job, run.refresh_every_s, _now())
        ended = self.queue.finish(run.job, state, error, _now())
        if ended is None:
            del self.running_jobs[run.job.id]
        else:
            self._record_end(run, ended, **details)

    def requeue_job(self, run: RunningJob) -> None:
        """Ready again, now; being interrupted is no failure of the job."""
        back = self.queue.requeue(run.job, _now(), failed=False)
        del self.running_jobs[run.job.id]
        self.log.write_event("load ready again", **job_log_fields(run.job))
        self.publish_status(run, back.state if back is not None else JobState.QUEUED)

    def publish_status(
        self, run: RunningJob, state: JobState, error: str = "", until: datetime | None = None
    ) -> None:
        """Let whoever listens know how far it is."""
        self._publish_status(run.make_status(state, error, until))

    def set_lock_holder(self, holder: str) -> None:
        """Let it be known who holds the lake that loads are to be published into; "" is nobody but us."""
        for run in self.running_jobs.values():
            if run.is_publishing and run.blocked_by != holder:
                run.blocked_by = holder
                self.publish_status(run, JobState.PUBLISHING)

    def _submit_publish(self, run: RunningJob) -> None:
        failpoint("daemon.sealed")
        if not self.queue.mark_publishing(run.job):
            self.finish_job(run, JobState.CANCELLED, "cancelled")
            return
        run.is_publishing = True
        self.publish_status(run, JobState.PUBLISHING)
        self.publisher.submit(PublishStaged(run.job))

    def _wait_for_parents(self, run: RunningJob, missing: tuple[TableName, ...]) -> None:
        """Put the parents' loads into the queue, as urgent as this one, and this one behind them."""
        job = run.job
        parents = [
            self.queue.enqueue(NewJob(job.tenant, Action.LOAD, table, job.origin, job.priority), _now())
            for table in missing
        ]
        self.queue.requeue_after_parent(job, parents[0].id)
        self.log.write_event("load waits", **job_log_fields(job), parents=",".join(map(str, missing)))
        self.publish_status(run, JobState.QUEUED)
        del self.running_jobs[job.id]

    def _apply_decision(
        self, run: RunningJob, decision: policies.RetryLater | policies.EndJob, *, crashed: bool = False
    ) -> None:
        error = self.log.redact(decision.error)
        if isinstance(decision, policies.EndJob):
            self.finish_job(run, decision.state, error)
            self.publisher.submit(RecordFailure(run.job, run.make_failed_record(error, _now())))
            return
        back = self.queue.requeue(run.job, decision.start_at, error, crashed=crashed)
        if back is not None and back.state is JobState.CANCELLED:
            self._record_end(run, back)
            return
        self.log.write_event(
            "load put off", **job_log_fields(run.job), until=decision.start_at.isoformat(), error=error
        )
        self.publish_status(run, JobState.QUEUED, error, decision.start_at)
        del self.running_jobs[run.job.id]

    def _record_end(self, run: RunningJob, job: LoaderJob, **details: object) -> None:
        """Say how a job ended; one that somebody wanted again meanwhile is in the queue again."""
        del self.running_jobs[run.job.id]
        if not job.state.active:
            self.publisher.submit(DiscardStaged(job))
        self.log.write_event(f"load {job.state.value}", **job_log_fields(job), **details, error=job.error)
        self.publish_status(run, job.state, job.error)


def _is_incomplete(failure: Failure | None) -> bool:
    """Whether what an older daemon left is no whole load, so that it has to be fetched again."""
    return failure is None or failure.kind == StoreError.__name__


def job_log_fields(job: LoaderJob) -> Mapping[str, object]:
    """What every line of the log says of a job."""
    return {"job": job.id, "table": job.table, "action": job.action.value}


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class RunningJob:
    """One attempt of a job, from its claim to its end.

    ``since``    monotonic; clocks on the wall are set, this one is not.
    ``publishing``  whether it is with the publisher; ``blocked_by`` who else writes to the lake meanwhile,
                or why a queued one is not begun.
    ``refresh_every_s``  how often its configuration wants the table refreshed, once the worker has said.
    """

    job: LoaderJob
    progress: LoadProgress
    started_at_monotonic: float = field(default_factory=time.monotonic)
    is_cancelled: bool = False
    refresh_every_s: float | None = None
    is_publishing: bool = False
    blocked_by: str = ""

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self.started_at_monotonic

    def make_status(self, state: JobState, error: str = "", until: datetime | None = None) -> LoaderStatus:
        """What people are told. ``until`` is when a load put off starts again."""
        progress = self.progress
        return LoaderStatus(
            job=self.job.id,
            table=self.job.table,
            action=self.job.action,
            state=state,
            rows=progress.rows,
            pages=progress.pages,
            pages_total=progress.pages_total,
            bytes=progress.bytes,
            elapsed_s=self.elapsed_s,
            waiting_until=until or progress.waiting_until,
            error=error,
            blocked_by=self.blocked_by,
        )

    def make_failed_record(self, error: str, now: datetime) -> LoadRecord:
        """The ledger's row for a load that ends without rows."""
        return LoadRecord(
            job=self.job.id,
            uid=self.job.uid,
            action=self.job.action.value,
            table=self.job.table,
            status="failed",
            rows_read=self.progress.rows,
            requests=self.progress.requests,
            bytes=self.progress.bytes,
            seconds=self.elapsed_s,
            error=error,
            started_at=self.job.started_at,
            finished_at=now,
        )


def recover_jobs(
    epoch: int, transitions: JobTransitions, worker_pool: WorkerPool, staging: StagingArea
) -> None:
    """Find an owner for every job under way, of this epoch too, that no worker has. Raises StoreError."""
    under_way = transitions.queue.orphaned_jobs(epoch + 1)
    orphans = [job for job in under_way if not _has_worker(job, worker_pool)]
    transitions.retain_jobs({job.id for job in under_way} - {job.id for job in orphans})
    for folder in staging.remove_orphaned_attempts([(job.uid, job.attempt) for job in under_way]):
        transitions.log.write_event("staging swept", folder=folder)
    _recover_orphans(orphans, transitions)


def _recover_orphans(orphans: Sequence[LoaderJob], transitions: JobTransitions) -> None:
    for job in orphans:
        transitions.log.write_event(
            "orphan found", **job_log_fields(job), state=job.state.value, attempt=job.attempt
        )
        run = transitions.add_running_job(job)
        if job.cancel_asked and job.state is JobState.RUNNING:
            transitions.finish_job(run, JobState.CANCELLED, "cancelled")
        else:
            transitions.publisher.submit(RecoverOrphan(job))


def _has_worker(job: LoaderJob, worker_pool: WorkerPool) -> bool:
    worker = worker_pool.find_worker(job.id)
    return worker is not None and worker.task is not None and worker.task.attempt == job.attempt
