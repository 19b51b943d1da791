"""Assigns queued jobs to workers, and handles the reports of workers, publisher and scripts.

It knows no sockets and never blocks for long. The daemon calls ``run_once`` when something may have
happened, and sleeps for at most ``wait_s`` in between.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from unify.adapters.http.request_log import RequestLog
from unify.config.connections import Connection
from unify.config.settings import Settings
from unify.config.trust import require_trusted_origin
from unify.daemon.disk_space import DiskSpaceMonitor
from unify.daemon.faults import FaultHandler
from unify.daemon.jobs.recovery import recover_jobs
from unify.daemon.jobs.running_job import RunningJob, job_log_fields
from unify.daemon.jobs.running_jobs import RunningJobs
from unify.daemon.jobs.shared_tables import find_shared_tables
from unify.daemon.jobs.transitions import JobEvent
from unify.daemon.maintenance import MaintenanceSchedule
from unify.daemon.publisher import (
    PublisherResult,
    PublishStaged,
    RecordFailure,
    RecoverOrphan,
    RunMaintenance,
    Warmup,
)
from unify.daemon.scripts import ScriptSupervisor
from unify.daemon.watches import WatchTrigger
from unify.daemon.worker_pool import LostWorker, Worker, WorkerPool
from unify.errors import StoreError, UnifyError, UnknownName
from unify.fs.failpoints import failpoint
from unify.fs.locks import FileLock
from unify.fs.machine import boot_id
from unify.load import checkpoint
from unify.load.environment import Environment, find_connection
from unify.load.protocol import (
    Failure,
    LoadProgress,
    RequestBatch,
    TaskResult,
    WorkerMessage,
    make_task,
)
from unify.load.staging import StagingArea
from unify.model import Action, JobState, LoaderJob

QUEUE_POLL_INTERVAL_S = 5.0  # finds a job whose shell was killed before it could wake the daemon
JOB_RETENTION = timedelta(days=30)  # how long `show jobs` lists an ended job
LOCK_CHECK_INTERVAL_S = 0.5  # who holds the lake's lock while a load waits for it; a check costs 0.05 ms
KEPT_CHECK_INTERVAL_S = 600.0  # for what failed loads have read, kept for a day
MIN_QUEUE_WAIT_S = 0.05  # between two polls of the queue
CLAIM_SLICE_S = 0.2  # jobs that fail at once keep no worker busy; shells are answered between two slices


class Dispatcher:
    """The work of one start of the daemon."""

    def __init__(
        self,
        settings: Settings,
        epoch: int,
        *,
        worker_pool: WorkerPool,
        running_jobs: RunningJobs,
        environment: Environment,
        script_supervisor: ScriptSupervisor,
        disk_space: DiskSpaceMonitor | None = None,
    ) -> None:
        self.settings = settings
        self.epoch = epoch
        self.worker_pool = worker_pool
        self.running_jobs = running_jobs
        self.environment = environment
        self.script_supervisor = script_supervisor
        self.queue = running_jobs.queue
        self.publisher = running_jobs.publisher
        self.log = running_jobs.log
        self.disk_space = disk_space or DiskSpaceMonitor(settings, self.log)
        self._staging = StagingArea(settings.staging)
        self._request_log = RequestLog(settings.request_log)
        self._maintenance = MaintenanceSchedule(settings.lake)
        self._watch_trigger = WatchTrigger(self.queue, settings, self.publisher)
        self._lake_lock = FileLock(settings.lake_lock)  # read, never taken
        self._lock_check_at = 0.0  # this and the next two: monotonic
        self._poll_at = 0.0
        self._kept_check_at = 0.0  # monotonic
        self._last_active_at = time.monotonic()
        self.faults = FaultHandler(settings, running_jobs, self.disk_space, self._staging)

    @property
    def running_count(self) -> int:
        """Number of loads and scripts in progress."""
        return len(self.running_jobs) + self.script_supervisor.running_count

    def start(self) -> None:
        """Start a worker and open the lake; the first ``run_once`` takes over the jobs of an older daemon."""
        self.worker_pool.warm_up()
        self.publisher.submit(Warmup())

    def schedule_poll(self) -> None:
        """Poll the queue in the next ``run_once``."""
        self._poll_at = 0.0
        self._last_active_at = time.monotonic()

    def run_once(self) -> None:
        """Do everything that can be done now; while work is paused, what needs no writing."""
        with self.faults.pause_on_store_error():
            self._process_reports()
            if self.disk_space.can_start_work():
                self._start_work()

    def _process_reports(self) -> None:
        for worker in self.worker_pool.workers:
            for message in worker.read_messages():
                with self.faults.contain(message.job):
                    self._handle_message(worker, message)
        for lost in self.worker_pool.reap_lost_workers():
            with self.faults.contain(lost.task.job if lost.task else None):
                self._handle_lost_worker(lost)
        for result in self.publisher.take_results():
            with self.faults.contain(_job_of(result)):
                self._handle_publish_result(result)
        self.worker_pool.enforce_deadlines()
        with self.faults.contain():
            if self.script_supervisor.collect_ended(_now()):
                self.schedule_poll()
        self._check_lock_holder()

    def _start_work(self) -> None:
        if not self.faults.is_queue_synced:
            self._recover_jobs()
        if self.disk_space.pause_reason or self._poll_at <= time.monotonic():
            self._poll_queue()
        if self.disk_space.pause_reason:
            self.disk_space.resume()
            self.running_jobs.publish_pause_reason("")
        if self.running_count:
            self._last_active_at = time.monotonic()
        if self._kept_check_at <= time.monotonic():
            self._kept_check_at = time.monotonic() + KEPT_CHECK_INTERVAL_S
            self._staging.remove_kept_checkpoints(_now() - checkpoint.MAX_AGE)
        if self._maintenance.is_due(self._idle_s()):
            should_continue = self._maintenance.start() or (lambda: not self.running_count)
            self.publisher.submit(RunMaintenance(should_continue))

    def wait_s(self) -> float:
        """Seconds until ``run_once`` has something to do, if nothing happens."""
        waits = [
            self.worker_pool.wait_s(),
            self.script_supervisor.wait_s(),
            LOCK_CHECK_INTERVAL_S if self.running_jobs.is_publishing else None,
        ]
        if self.disk_space.pause_reason:
            waits.append(self.disk_space.wait_s())
        else:
            idle_left_s = self._idle_left_s()  # over: a job still waits for the next poll
            waits += [self._poll_at - time.monotonic(), idle_left_s if (idle_left_s or 0) > 0 else None]
            waits.append(self._maintenance.wait_s(self._idle_s()))
        return max(0.0, min(wait for wait in waits if wait is not None))

    def has_idle_timed_out(self) -> bool:
        """Whether there was no work for ``idle_timeout_s``. Schedules wait for the next start."""
        left_s = self._idle_left_s()
        if left_s is not None and left_s <= 0 and not self.disk_space.pause_reason:
            with self.faults.pause_on_store_error():
                return not self.queue.active_jobs()
        return False

    def cancel(self, id: int) -> None:
        """Cancel a job. One that is being published finishes."""
        job = self.queue.cancel(id, _now())
        if job is None:
            raise UnknownName(f"there is no job {id}")
        self._stop_cancelled_job(job)
        if job.state is JobState.CANCELLED:
            run = RunningJob(job, LoadProgress(job.id, job.attempt), job.state)
            self.running_jobs.publish_status(run, job.state, job.error)

    def stop(self, within_s: float, fault: Exception | None = None) -> bool:
        """End the workers, let the publisher finish, and queue the other loads again.

        ``fault``  why the daemon ends. A bug counts a crash of each job in progress: one of them may be the
                   cause; an error of the system counts as the death of a daemon.
        False if the publisher has not finished ``within_s``: the load stays ``publishing``, and the next
        daemon finds out whether it was published.
        """
        deadline = time.monotonic() + within_s
        self.script_supervisor.terminate_all()
        self.worker_pool.close()
        with self.faults.pause_on_store_error():  # what cannot be recorded now, the next daemon takes over
            self.script_supervisor.close(_now())
        finished = self.publisher.close(deadline - time.monotonic())
        with self.faults.pause_on_store_error():
            self._requeue_running_jobs(fault)
        return finished

    def _requeue_running_jobs(self, fault: Exception | None) -> None:
        for result in self.publisher.take_results():
            with self.faults.contain(_job_of(result)):
                self._handle_publish_result(result)
        for run in list(self.running_jobs.by_id.values()):
            current = self.queue.find(run.job.id)
            if current is None or current.state is JobState.PUBLISHING:
                continue
            if fault is None:
                self.running_jobs.apply(run, JobEvent.INTERRUPTED)
            elif isinstance(fault, UnifyError | OSError):
                self.running_jobs.handle_daemon_death(run, "the daemon failed during the load")
            else:
                self.running_jobs.handle_crash(run, "the daemon failed during the load")

    # The queue

    def _recover_jobs(self) -> None:
        self.queue.delete_old_jobs(_now() - JOB_RETENTION)
        self.script_supervisor.interrupt_orphans(_now())
        recover_jobs(self.epoch, self.running_jobs, self.worker_pool, self._staging)
        with self.faults.contain():
            self.running_jobs.writes.delete_old(_now())
            self.running_jobs.writes.enqueue_open(_now())
        with self.faults.contain():
            self._watch_trigger.trigger_all(_now())
        self.faults.is_queue_synced = True

    def _idle_s(self) -> float:
        return time.monotonic() - self._last_active_at

    def _idle_left_s(self) -> float | None:
        timeout_s = self.settings.idle_timeout_s
        return None if timeout_s is None else timeout_s - self._idle_s()

    def _poll_queue(self) -> None:
        """Queue due refreshes, stop cancelled jobs, start due scripts and ready jobs."""
        now = _now()
        self._poll_at = time.monotonic() + QUEUE_POLL_INTERVAL_S  # if a step fails
        with self.faults.contain():
            for due in self.queue.enqueue_due(now):
                self.log.write_event("refresh.due", **job_log_fields(due))
        for run in list(self.running_jobs.by_id.values()):
            with self.faults.contain(run.job.id):
                current = self.queue.find(run.job.id)
                if current is not None:
                    self._stop_cancelled_job(current)
        with self.faults.contain():
            self.running_jobs.publish_accepted_versions()
        with self.faults.contain():
            self._watch_trigger.check()
        with self.faults.contain():
            self.script_supervisor.start_due_runs(now)
        with self.faults.contain():
            is_complete = self._start_ready_jobs(now)
            self._poll_at = time.monotonic() + (self._queue_wait_s(now) if is_complete else 0.0)

    def _start_ready_jobs(self, now: datetime) -> bool:
        """Claim and start jobs for at most CLAIM_SLICE_S; return False if more may be ready."""
        deadline = time.monotonic() + CLAIM_SLICE_S
        while self.worker_pool.has_capacity:
            later = self.running_jobs.tables_to_claim_later()
            job = self.queue.claim(self.epoch, now, later, boot=boot_id())
            if job is None:
                break
            with self.faults.contain(job.id):
                self._start_job(job)
            if time.monotonic() >= deadline:
                return False
        return True

    def _queue_wait_s(self, now: datetime) -> float:
        """Seconds until the queue has something that starts by itself, at most QUEUE_POLL_INTERVAL_S."""
        due = [self.queue.next_start_at(now), self.queue.next_due_at(), self.queue.scripts.next_due_at(now)]
        waits = [(moment - now).total_seconds() for moment in due if moment is not None]
        return min([QUEUE_POLL_INTERVAL_S, *(max(MIN_QUEUE_WAIT_S, wait) for wait in waits)])

    def _check_lock_holder(self) -> None:
        """Publish which process keeps loads from being published by an open transaction."""
        if self.running_jobs.is_publishing and self._lock_check_at <= time.monotonic():
            self._lock_check_at = time.monotonic() + LOCK_CHECK_INTERVAL_S
            holder = self._lake_lock.holder()
            ours = holder.startswith(f"process {os.getpid()} ")
            self.running_jobs.publish_lock_holder("" if ours else holder)

    def _start_job(self, job: LoaderJob) -> None:
        run = self.running_jobs.add(job, JobState.QUEUED)
        failpoint("daemon.claimed")
        self.running_jobs.apply(run, JobEvent.CLAIMED, attempt=job.attempt)
        try:
            if job.attempt > 1:
                self.running_jobs.remove_replaced_staging()
            require_trusted_origin(self.settings, job.origin)
            connection = find_connection(job.origin, job.table)
            run.shared_tables = find_shared_tables(self.settings.cache, job, connection)
            environment = self._connection_environment(connection)
            folder = self._staging.create_attempt_folder(job)
            self.worker_pool.assign(make_task(job, self.settings.home, folder, environment))
        except OSError as error:
            if self.faults.stops_all_work(error):
                raise
            reason = f"{job.table}: no worker can be started: {error}"
            self.running_jobs.handle_failure(run, Failure(type(error).__name__, reason, retryable=True))

    def _connection_environment(self, connection: Connection) -> Mapping[str, str]:
        values = self.environment.values_for_connection(connection)
        self.log.add_secrets(values.values())
        return values

    # Reports

    def _handle_message(self, worker: Worker, message: WorkerMessage) -> None:
        if isinstance(message, RequestBatch):
            self._append_requests(message)
            return
        run = self.running_jobs.find_attempt(message.job, message.attempt)
        if isinstance(message, TaskResult):
            self.faults.check_for_full_disk(message.failure)
            worker.task = None
            self.schedule_poll()
        if run is None:
            return
        if isinstance(message, LoadProgress):
            self.running_jobs.update_progress(run, message)
        else:
            self.running_jobs.handle_result(run, message)

    def _append_requests(self, batch: RequestBatch) -> None:
        """Write to the request log; if that fails, the rows are lost, not the load."""
        redact = self.log.redact
        requests = [
            replace(request, address=redact(request.address), error=redact(request.error))
            for request in batch.requests
        ]
        try:
            self._request_log.append(requests)
        except StoreError as error:
            self.log.write_event("request_log.write_failed", rows=len(requests), error=error.message)

    def _handle_lost_worker(self, lost: LostWorker) -> None:
        self.schedule_poll()
        event = "worker.killed" if lost.killed else "worker.exited"
        job = lost.task.job if lost.task else None
        self.log.write_event(event, pid=lost.pid, job=job, reason=lost.reason)
        run = self.running_jobs.find_attempt(lost.task.job, lost.task.attempt) if lost.task else None
        if run is not None:
            self.running_jobs.handle_crash(run, lost.reason)

    def _handle_publish_result(self, result: PublisherResult) -> None:
        self.faults.check_for_full_disk(result.failure)
        if self._watch_trigger.handle(result, _now()):
            self.schedule_poll()
        if result.maintenance is not None:
            self._maintenance.record(result.maintenance, self.log)
        if isinstance(result.command, RecordFailure) and result.record is not None:
            self.queue.mark_recorded(result.command.job)
        run = self._find_running_job(result)
        if run is not None:
            self.schedule_poll()
            self.running_jobs.handle_published(run, result)
        elif result.failure is not None:
            command, failure = type(result.command).__name__, result.failure
            self.log.write_event(
                "publisher.failed", command=command, error=failure.message, trace=failure.trace
            )

    def _find_running_job(self, result: PublisherResult) -> RunningJob | None:
        """Return the run whose state the command decides."""
        if isinstance(result.command, PublishStaged | RecoverOrphan):
            return self.running_jobs.find_attempt(result.command.job.id, result.command.job.attempt)
        return None

    def _stop_cancelled_job(self, job: LoaderJob) -> None:
        if job.action is Action.WRITE:
            if job.cancel_asked:  # the worker ends by itself, after the response to its request
                self.running_jobs.writes.cancel(job, _now())
            return
        run = self.running_jobs.by_id.get(job.id)
        worker = self.worker_pool.find_worker(job.id)
        if run is not None and worker is not None and job.cancel_asked and not run.is_cancelled:
            self.running_jobs.apply(run, JobEvent.CANCEL_REQUESTED)
            worker.terminate("cancelled")


def _job_of(result: PublisherResult) -> int | None:
    command = result.command
    return command.job.id if isinstance(command, PublishStaged | RecoverOrphan) else None


def _now() -> datetime:
    return datetime.now(UTC)
