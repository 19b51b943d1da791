"""What becomes of a job under way: published, put off, put behind its parents, ended.

Every change goes through the queue, which ignores what belongs to an older attempt; then the log
gets a line and whoever listens an event.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from unify.errors import StoreError, UnknownName
from unify.loading import policy, schedule
from unify.loading.log import Log
from unify.loading.publisher import Done, Ended, Failed, Orphan, Publisher, Sealed
from unify.loading.runs import Run
from unify.loading.task import Ending, Failure, Outcome, Progress
from unify.model import Action, JobState, LoaderJob, LoaderStatus, TableName
from unify.store.failpoints import failpoint
from unify.store.queue import NewJob, Queue

TOLD = 50  # queued loads that are told why they wait: as many as `system status` shows


class Outcomes:
    """The jobs this daemon is busy with, and the ways out."""

    def __init__(
        self, queue: Queue, publisher: Publisher, log: Log, tell: Callable[[LoaderStatus], None]
    ) -> None:
        self.queue = queue
        self.publisher = publisher
        self.log = log
        self._tell = tell
        self.runs: dict[int, Run] = {}
        self._rng = random.Random()

    def begin(self, job: LoaderJob) -> Run:
        """From now on we are busy with ``job``."""
        run = self.runs[job.id] = Run(job, Progress(job.id, job.attempt))
        return run

    def attempt(self, job: int, attempt: int) -> Run | None:
        """The run of this attempt, unless it is over."""
        run = self.runs.get(job)
        return run if run is not None and run.job.attempt == attempt else None

    def keep_only(self, jobs: Collection[int]) -> None:
        """Know of no other run than those of ``jobs``."""
        self.runs = {id: run for id, run in self.runs.items() if id in jobs}

    def held_up(self, why: str) -> None:
        """Let it be known why no load is begun; "" is: they are again. Only what the status shows is told."""
        with suppress(StoreError):  # a hint; where not even the queue can be read, they do without
            jobs, _ = self.queue.next_active(TOLD)
            for job in jobs:
                if job.id not in self.runs:
                    run = Run(job, Progress(job.id, job.attempt), blocked_by=why)
                    self.tell(run, JobState.QUEUED, job.error)

    def started(self, run: Run) -> None:
        self.log.fact("load started", **about(run.job), attempt=run.job.attempt)
        self.tell(run, JobState.RUNNING)

    def progressed(self, run: Run, progress: Progress) -> None:
        run.progress = progress
        self.tell(run, JobState.RUNNING)

    def came_home(self, run: Run, outcome: Outcome) -> None:
        """A worker is done with it, one way or another."""
        run.progress = outcome.progress
        run.every_s = outcome.every_s
        if run.cancelled:
            self.finish(run, JobState.CANCELLED, "cancelled")
            return
        match outcome.ending:
            case Ending.SEALED:
                self._publish(run)
            case Ending.MISSING:
                self._wait_for_parents(run, outcome.missing)
            case Ending.FAILED:
                assert outcome.failure is not None
                self.failed(run, outcome.failure)

    def crashed(self, run: Run, reason: str) -> None:
        """Its worker has died."""
        if run.cancelled:
            self.finish(run, JobState.CANCELLED, "cancelled")
            return
        self.log.fact("load crashed", **about(run.job), reason=reason)
        self._decided(run, policy.after_crash(run.job.crashes + 1, reason, _now()), crashed=True)

    def failed(self, run: Run, failure: Failure) -> None:
        """The source, the configuration or a fault of ours stood in the way."""
        if failure.kind == UnknownName.__name__:
            schedule.forget(self.queue, run.job)
        if failure.bug:
            self.log.fact("fault in Unify", **about(run.job), error=failure.message, trace=failure.trace)
            reason = f"a fault in Unify ({failure.message}); the log has its place: {self.log.path}"
            self._decided(run, policy.End(JobState.FAILED, reason))
        else:
            self._decided(run, policy.after_failure(run.job, failure, _now(), self._rng))

    def published(self, run: Run, done: Done) -> None:
        """The publisher is done with it: published, or not."""
        failpoint("daemon.published")
        run.publishing, run.blocked_by = False, ""
        if done.record is not None:
            rows, seconds = done.record.rows_read, round(done.record.seconds, 3)
            run.progress = replace(run.progress, rows=rows)
            self.finish(run, JobState.DONE, rows=rows, seconds=seconds)
        elif isinstance(done.order, Orphan) and _is_torn(done.failure):
            self.put_back(run)
        elif done.failure is not None:
            self.failed(run, done.failure)
        else:
            self.crashed(run, "what was staged is gone, or belongs to another attempt")

    def finish(self, run: Run, state: JobState, error: str = "", **details: object) -> None:
        """End a job, unless another attempt has it; its schedule first, so that no crash loses it."""
        if state is JobState.DONE:
            schedule.after_load(self.queue, run.job, run.every_s, _now())
        ended = self.queue.finish(run.job, state, error, _now())
        if ended is None:
            del self.runs[run.job.id]
        else:
            self._ended(run, ended, **details)

    def put_back(self, run: Run) -> None:
        """Ready again, now; being interrupted is no failure of the job."""
        back = self.queue.requeue(run.job, _now(), failed=False)
        del self.runs[run.job.id]
        self.log.fact("load ready again", **about(run.job))
        self.tell(run, back.state if back is not None else JobState.QUEUED)

    def tell(self, run: Run, state: JobState, error: str = "", until: datetime | None = None) -> None:
        """Let whoever listens know how far it is."""
        self._tell(run.status(state, error, until))

    def blocked(self, holder: str) -> None:
        """Let it be known who holds the lake that loads are to be published into; "" is nobody but us."""
        for run in self.runs.values():
            if run.publishing and run.blocked_by != holder:
                run.blocked_by = holder
                self.tell(run, JobState.PUBLISHING)

    def _publish(self, run: Run) -> None:
        failpoint("daemon.sealed")
        if not self.queue.publishing(run.job):
            self.finish(run, JobState.CANCELLED, "cancelled")
            return
        run.publishing = True
        self.tell(run, JobState.PUBLISHING)
        self.publisher.submit(Sealed(run.job))

    def _wait_for_parents(self, run: Run, missing: tuple[TableName, ...]) -> None:
        """Put the parents' loads into the queue, as urgent as this one, and this one behind them."""
        job = run.job
        parents = [
            self.queue.enqueue(NewJob(job.tenant, Action.LOAD, table, job.origin, job.priority), _now())
            for table in missing
        ]
        self.queue.wait_for(job, parents[0].id)
        self.log.fact("load waits", **about(job), parents=",".join(map(str, missing)))
        self.tell(run, JobState.QUEUED)
        del self.runs[job.id]

    def _decided(self, run: Run, decision: policy.Later | policy.End, *, crashed: bool = False) -> None:
        error = self.log.redacted(decision.error)
        if isinstance(decision, policy.End):
            self.finish(run, decision.state, error)
            self.publisher.submit(Failed(run.job, run.failed_record(error, _now())))
            return
        back = self.queue.requeue(run.job, decision.start_at, error, crashed=crashed)
        if back is not None and back.state is JobState.CANCELLED:
            self._ended(run, back)
            return
        self.log.fact("load put off", **about(run.job), until=decision.start_at.isoformat(), error=error)
        self.tell(run, JobState.QUEUED, error, decision.start_at)
        del self.runs[run.job.id]

    def _ended(self, run: Run, job: LoaderJob, **details: object) -> None:
        """Say how a job ended; one that somebody wanted again meanwhile is in the queue again."""
        del self.runs[run.job.id]
        if not job.state.active:
            self.publisher.submit(Ended(job))
        self.log.fact(f"load {job.state.value}", **about(job), **details, error=job.error)
        self.tell(run, job.state, job.error)


def _is_torn(failure: Failure | None) -> bool:
    """Whether what an older daemon left is no whole load, so that it has to be fetched again."""
    return failure is None or failure.kind == StoreError.__name__


def about(job: LoaderJob) -> Mapping[str, object]:
    """What every line of the log says of a job."""
    return {"job": job.id, "table": job.table, "action": job.action.value}


def _now() -> datetime:
    return datetime.now(UTC)
