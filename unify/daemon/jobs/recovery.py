"""Takes over the jobs in progress that no worker has, after a restart or an error of the disk."""

from __future__ import annotations

from unify.daemon.jobs.running_job import job_log_fields
from unify.daemon.jobs.running_jobs import RunningJobs
from unify.daemon.jobs.transitions import JobEvent
from unify.daemon.publisher import (
    RecoverOrphan,
)
from unify.daemon.worker_pool import WorkerPool
from unify.load.staging import StagingArea
from unify.model import JobState, LoaderJob


def recover_jobs(
    epoch: int, running_jobs: RunningJobs, worker_pool: WorkerPool, staging: StagingArea
) -> None:
    """Recover every job in progress that no worker has, of an older daemon or of this one.

    The publisher looks for each in the ledger, then in the staging folder; a job in neither starts again.
    Repeating this is safe: one publisher handles all commands of a job, and the first result counts.
    Raises StoreError.
    """
    in_progress = running_jobs.queue.orphaned_jobs(epoch + 1)
    orphans = [job for job in in_progress if not _has_worker(job, worker_pool)]
    running_jobs.retain({job.id for job in in_progress} - {job.id for job in orphans})
    kept = [*in_progress, *running_jobs.queue.active_jobs(), *running_jobs.queue.held_jobs()]
    for folder in staging.remove_orphaned_attempts([(job.uid, job.attempt) for job in kept]):
        running_jobs.log.write_event("staging.removed", folder=folder)
    running_jobs.record_failures()
    for job in orphans:
        running_jobs.log.write_event(
            "load.orphaned", **job_log_fields(job), state=job.state.value, attempt=job.attempt
        )
        run = running_jobs.add(job, job.state)
        run.daemon_died = job.epoch < epoch
        if job.cancel_asked and job.state is JobState.RUNNING:
            running_jobs.apply(run, JobEvent.CANCELLED, "cancelled")
        else:
            running_jobs.publisher.submit(RecoverOrphan(job))


def _has_worker(job: LoaderJob, worker_pool: WorkerPool) -> bool:
    worker = worker_pool.find_worker(job.id)
    return worker is not None and worker.task is not None and worker.task.attempt == job.attempt
