"""The foreman: hands queued jobs to workers, and what workers and publisher say to ``transitions``.

Knows no sockets and never waits. The daemon calls ``turn`` when something may have happened, and
sleeps for at most ``wait_s`` in between.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from unify.adapters.http.request_log import RequestLog
from unify.config.settings import Settings
from unify.daemon.disk_space import DiskSpaceMonitor
from unify.daemon.maintenance import MaintenanceSchedule
from unify.daemon.publisher import PublisherResult, PublishStaged, RecoverOrphan, RunMaintenance, Warmup
from unify.daemon.scripts import ScriptSupervisor
from unify.daemon.transitions import JobTransitions, RunningJob, job_log_fields, recover_jobs
from unify.daemon.worker_pool import LostWorker, Worker, WorkerPool
from unify.engine.errors import is_disk_full_message
from unify.errors import StoreError, UnifyError, UnknownName
from unify.fs.failpoints import failpoint
from unify.fs.locks import FileLock
from unify.lake.maintenance import LakeMaintenanceResult
from unify.load.environment import Environment, find_connection
from unify.load.protocol import (
    Failure,
    LoadProgress,
    RequestBatch,
    TaskResult,
    WorkerMessage,
    make_failure,
    make_task,
)
from unify.load.staging import StagingArea
from unify.model import JobState, LoaderJob

QUEUE_POLL_INTERVAL_S = 5.0  # a shell killed between its enqueue and its kick has its job seen after this
JOB_RETENTION = timedelta(days=30)  # how long an ended job can be seen in `show jobs`
LOCK_CHECK_INTERVAL_S = (
    0.5  # how often we look who else writes to the lake while a load waits to; a look costs 0.05 ms
)
MIN_QUEUE_WAIT_S = 0.05  # a job put off into the next instant is not looked for without a pause


class Dispatcher:
    """One start of the daemon's work."""

    def __init__(
        self,
        settings: Settings,
        epoch: int,
        *,
        worker_pool: WorkerPool,
        transitions: JobTransitions,
        environment: Environment,
        script_supervisor: ScriptSupervisor,
        disk_space: DiskSpaceMonitor | None = None,
    ) -> None:
        self.settings = settings
        self.epoch = epoch
        self.worker_pool = worker_pool
        self.transitions = transitions
        self.environment = environment
        self.script_supervisor = script_supervisor
        self.queue = transitions.queue
        self.publisher = transitions.publisher
        self.log = transitions.log
        self.disk_space = disk_space or DiskSpaceMonitor(settings, self.log)
        self._is_queue_synced = False  # whether `runs` are the jobs that the queue says are under way
        self._staging = StagingArea(settings.staging)
        self._request_log = RequestLog(settings.request_log)
        self._maintenance = MaintenanceSchedule(settings.lake)
        self._lake_lock = FileLock(settings.lake_lock)  # to see who holds it, never to take it
        self._lock_check_at = 0.0  # monotonic; when we look again
        self._poll_at = 0.0  # monotonic; when the queue may hold something new
        self._last_active_at = time.monotonic()  # when there was last something to do

    @property
    def running_count(self) -> int:
        """How many loads and scripts are under way."""
        return len(self.transitions.running_jobs) + self.script_supervisor.running_count

    def start(self) -> None:
        """Have a worker and the lake ready; the first turn takes over what an older daemon left behind."""
        self.worker_pool.warm_up()
        self.publisher.submit(Warmup())

    def schedule_poll(self) -> None:
        """See what the queue holds at the next turn: somebody has put something in."""
        self._poll_at = 0.0
        self._last_active_at = time.monotonic()

    def run_once(self) -> None:
        """Do everything there is to do now; on a full disk, what can be done without it."""
        with self._handle_full_disk():
            self._process_reports()
            if self.disk_space.can_start_work():
                self._start_work()

    def _process_reports(self) -> None:
        """Take in what workers, publisher and scripts have to say."""
        for worker in self.worker_pool.workers:
            for report in worker.read_messages():
                self._handle_message(worker, report)
        for lost in self.worker_pool.reap_lost_workers():
            self._handle_lost_worker(lost)
        for done in self.publisher.take_results():
            self._handle_publish_result(done)
        self.worker_pool.enforce_deadlines()
        if self.script_supervisor.collect_ended(_now()):
            self.schedule_poll()
        self._report_lock_holder()

    def _start_work(self) -> None:
        """Begin what there is to begin."""
        if not self._is_queue_synced:
            self._recover_jobs()
        if self.disk_space.pause_reason or self._poll_at <= time.monotonic():
            self._poll_queue()
        if self.disk_space.pause_reason:
            self.disk_space.resume()
            self.transitions.publish_pause_reason("")
        if self.running_count:
            self._last_active_at = time.monotonic()
        if self._maintenance.is_due(self._idle_s()):
            self._maintenance.mark_started()
            overdue = self._maintenance.is_overdue
            self.publisher.submit(RunMaintenance(lambda: overdue or not self.running_count))

    def wait_s(self) -> float:
        """How long nothing will happen by itself."""
        waits = [
            self.worker_pool.wait_s(),
            self.script_supervisor.wait_s(),
            LOCK_CHECK_INTERVAL_S if self._is_publishing else None,
        ]
        if self.disk_space.pause_reason:
            waits.append(self.disk_space.wait_s())
        else:
            waits += [self._poll_at - time.monotonic(), self._idle_left_s()]
            waits.append(self._maintenance.wait_s(self._idle_s()))
        return max(0.0, min(wait for wait in waits if wait is not None))

    def has_idle_timed_out(self) -> bool:
        """Whether a daemon that is to end without work has had none for long enough.

        A schedule keeps it no more than a load that may be asked for: the next start makes up for it.
        """
        left_s = self._idle_left_s()
        if left_s is not None and left_s <= 0 and not self.disk_space.pause_reason:
            with self._handle_full_disk():
                return not self.queue.active_jobs()
        return False

    def cancel(self, id: int) -> None:
        """End a job wherever it is; one that is being published is let finish."""
        job = self.queue.cancel(id, _now())
        if job is None:
            raise UnknownName(f"there is no job {id}")
        self._stop_cancelled_job(job)
        if job.state is JobState.CANCELLED:
            self.transitions.publish_status(
                RunningJob(job, LoadProgress(job.id, job.attempt)), job.state, job.error
            )

    def stop(self, within_s: float) -> bool:
        """End the workers, let the publisher finish, and make what is left ready again.

        False if the publisher has not finished ``within_s``: a load still on its way into the lake
        stays marked so, and the next daemon asks the ledger what became of it.
        """
        deadline = time.monotonic() + within_s
        self.script_supervisor.terminate_all()
        self.worker_pool.close()
        with self._handle_full_disk():  # what a full disk leaves as it is, the next daemon takes over
            self.script_supervisor.close(_now())
        finished = self.publisher.close(deadline - time.monotonic())
        with self._handle_full_disk():
            self._requeue_running_jobs()
        return finished

    def _requeue_running_jobs(self) -> None:
        for done in self.publisher.take_results():
            self._handle_publish_result(done)
        for run in list(self.transitions.running_jobs.values()):
            current = self.queue.find(run.job.id)
            if current is not None and current.state is not JobState.PUBLISHING:
                self.transitions.requeue_job(run)

    @contextmanager
    def _handle_full_disk(self) -> Iterator[None]:
        """A full disk ends the block, not us: when there is room, the queue tells what was left undone."""
        try:
            yield
        except (StoreError, OSError) as error:
            if not self.disk_space.is_disk_full_error(error):
                raise
            self._is_queue_synced = False
            self._pause_for_disk_space(str(error))

    def _pause_for_disk_space(self, reason: str) -> None:
        """Begin nothing for now."""
        if self.disk_space.pause(reason):
            self.transitions.publish_pause_reason(self.disk_space.pause_reason)

    def _check_for_full_disk(self, failure: Failure | None) -> None:
        """One load has found the disk full; the next ones need not."""
        if (
            failure is not None
            and failure.kind == StoreError.__name__
            and is_disk_full_message(failure.message)
        ):
            self._pause_for_disk_space(failure.message)

    def _recover_jobs(self) -> None:
        """Know what the queue says is under way, whoever began it."""
        self.queue.delete_old_jobs(_now() - JOB_RETENTION)
        self.script_supervisor.interrupt_orphans(_now())
        recover_jobs(self.epoch, self.transitions, self.worker_pool, self._staging)
        self._is_queue_synced = True

    def _idle_s(self) -> float:
        return time.monotonic() - self._last_active_at

    def _idle_left_s(self) -> float | None:
        exit_s = self.settings.idle_timeout_s
        return None if exit_s is None else exit_s - self._idle_s()

    def _poll_queue(self) -> None:
        """Queue what is due, end what was cancelled, start what is ready."""
        now = _now()
        for job in self.queue.enqueue_due(now):
            self.log.write_event("refresh due", **job_log_fields(job))
        for run in list(self.transitions.running_jobs.values()):
            current = self.queue.find(run.job.id)
            if current is not None:
                self._stop_cancelled_job(current)
        self.script_supervisor.start_due_runs(now)
        while self.worker_pool.has_capacity and (claimed := self.queue.claim(self.epoch, now)) is not None:
            self._start_job(claimed)
        self._poll_at = time.monotonic() + self._queue_wait_s(now)

    def _queue_wait_s(self, now: datetime) -> float:
        """How long the queue will have nothing new, as far as it knows."""
        due = [self.queue.next_start_at(now), self.queue.next_due_at(), self.queue.scripts.next_due_at(now)]
        waits = [(moment - now).total_seconds() for moment in due if moment is not None]
        return min([QUEUE_POLL_INTERVAL_S, *(max(MIN_QUEUE_WAIT_S, wait) for wait in waits)])

    @property
    def _is_publishing(self) -> bool:
        return any(run.is_publishing for run in self.transitions.running_jobs.values())

    def _report_lock_holder(self) -> None:
        """A transaction that a shell leaves open keeps loads from being published; people are told so."""
        if self._is_publishing and self._lock_check_at <= time.monotonic():
            self._lock_check_at = time.monotonic() + LOCK_CHECK_INTERVAL_S
            holder = self._lake_lock.holder()
            ours = holder.startswith(f"process {os.getpid()} ")
            self.transitions.set_lock_holder("" if ours else holder)

    def _start_job(self, job: LoaderJob) -> None:
        run = self.transitions.add_running_job(job)
        failpoint("daemon.claimed")
        try:
            environment = self._job_environment(job)
            folder = self._staging.create_attempt_folder(job)
        except UnifyError as error:
            if isinstance(error, StoreError) and self.disk_space.is_disk_full_error(error):
                raise  # no fault of the load's: it is put back when there is room
            self.transitions.handle_failure(run, make_failure(error))
            return
        self.worker_pool.assign(make_task(job, self.settings.home, folder, environment))
        self.transitions.mark_started(run)

    def _job_environment(self, job: LoaderJob) -> Mapping[str, str]:
        values = self.environment.values_for_connection(find_connection(job.origin, job.table))
        self.log.add_secrets(values.values())
        return values

    def _handle_message(self, worker: Worker, message: WorkerMessage) -> None:
        if isinstance(message, RequestBatch):
            self._append_requests(message)
            return
        run = self.transitions.find_attempt(message.job, message.attempt)
        if isinstance(message, TaskResult):
            self._check_for_full_disk(message.failure)
            worker.task = None
            self.schedule_poll()
        if run is None:
            return
        if isinstance(message, LoadProgress):
            self.transitions.update_progress(run, message)
        else:
            self.transitions.handle_result(run, message)

    def _append_requests(self, batch: RequestBatch) -> None:
        """A batch that cannot be kept costs its rows, not the load."""
        redacted = self.log.redact
        shown = [
            replace(request, address=redacted(request.address), error=redacted(request.error))
            for request in batch.requests
        ]
        try:
            self._request_log.append(shown)
        except StoreError as error:
            self.log.write_event("requests not kept", rows=len(shown), error=error.message)

    def _handle_lost_worker(self, lost: LostWorker) -> None:
        self.schedule_poll()
        if lost.task is None:
            self.log.write_event("worker ended", reason=lost.reason)
            return
        run = self.transitions.find_attempt(lost.task.job, lost.task.attempt)
        if run is not None:
            self.transitions.handle_crash(run, lost.reason)

    def _handle_publish_result(self, result: PublisherResult) -> None:
        self._check_for_full_disk(result.failure)
        if result.maintenance is not None:
            self._handle_maintenance_result(result.maintenance)
        run = self._find_running_job(result)
        if run is not None:
            self.schedule_poll()
            self.transitions.handle_published(run, result)
        elif result.failure is not None:
            order, failure = type(result.command).__name__.lower(), result.failure
            self.log.write_event("publisher failed", order=order, error=failure.message, trace=failure.trace)

    def _handle_maintenance_result(self, result: LakeMaintenanceResult) -> None:
        compacted = ",".join(map(str, result.compacted_tables))
        what = "lake tended" if result.complete else "lake tended in part"
        self.log.write_event(
            what, snapshots=result.expired_snapshots, files=result.removed_files, compacted=compacted
        )
        if result.complete:
            self._maintenance.mark_completed()

    def _find_running_job(self, result: PublisherResult) -> RunningJob | None:
        """The run an order was about that decides its fate."""
        if isinstance(result.command, PublishStaged | RecoverOrphan):
            return self.transitions.find_attempt(result.command.job.id, result.command.job.attempt)
        return None

    def _stop_cancelled_job(self, job: LoaderJob) -> None:
        run = self.transitions.running_jobs.get(job.id)
        worker = self.worker_pool.find_worker(job.id)
        if run is not None and worker is not None and job.cancel_asked and not run.is_cancelled:
            run.is_cancelled = True
            worker.terminate("cancelled")
            self.log.write_event("load is being cancelled", **job_log_fields(job))


def _now() -> datetime:
    return datetime.now(UTC)
