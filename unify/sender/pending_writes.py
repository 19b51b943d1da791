"""The writes that are to be sent, as jobs of the queue: one job sends every approved write of a table.

The store of writes is the truth, a job only the call to look there. So a write that is approved while the
last job of its table ends, or while no daemon runs, is found by the next look.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from unify.model import Action, JobState, LoaderJob, Priority
from unify.queue.queue import Queue
from unify.queue.rows import NewJob
from unify.writes.store import WriteStore

WRITE_RETENTION = timedelta(days=30)  # as long as `show jobs` lists an ended job


class PendingWrites:
    """Keeps the jobs of the queue and the store of writes in step."""

    def __init__(self, store: WriteStore, queue: Queue) -> None:
        self._store = store
        self._queue = queue

    def delete_old(self, now: datetime) -> None:
        """Delete the writes that ended WRITE_RETENTION ago."""
        self._store.delete_old(now - WRITE_RETENTION)

    def enqueue_open(self, now: datetime) -> None:
        """Queue a job for each table with approved writes that has none."""
        active = {(job.tenant, job.table) for job in self._queue.active_jobs() if job.action is Action.WRITE}
        for tenant, table, origin in self._store.open_tables():
            if (tenant, table) not in active:
                self._queue.enqueue(NewJob(tenant, Action.WRITE, table, origin), now)

    def has_progress(self, job: LoaderJob) -> bool:
        """Whether the current attempt of a job has given a row its outcome."""
        since = job.started_at or job.created_at
        return self._store.has_settled_rows(job.tenant, job.table, since)

    def cancel(self, job: LoaderJob, now: datetime) -> None:
        """Ask the running write of a table to end; its worker settles the request that it has sent."""
        write = self._store.next_open(job.tenant, job.table)
        if write is not None:
            self._store.cancel(write.id, now)

    def job_ended(
        self, job: LoaderJob, state: JobState, error: str, now: datetime, *, refresh: Action | None
    ) -> None:
        """End the writes of a job that was given up; refresh the table; queue what was approved meanwhile.

        A job that failed may have written rows before.
        """
        if state in (JobState.FAILED, JobState.DEAD):
            until = job.started_at or now
            if self._store.has_changed_rows(job.tenant, job.table, until, now):
                refresh = Action.RELOAD
            self._store.fail_open(job.tenant, job.table, error, approved_until=until, now=now)
        if refresh is not None:
            self._queue.enqueue(NewJob(job.tenant, refresh, job.table, job.origin, Priority.INTERACTIVE), now)
        self.enqueue_open(now)
