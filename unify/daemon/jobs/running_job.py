"""One attempt of a job as the daemon knows it: its status, and its row in the ledger if it fails."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec import Struct, field

from unify.load.protocol import LoadProgress
from unify.model import Action, JobState, LoaderJob, LoaderStatus, LoadRecord, TableName


class RunningJob(Struct):
    """One attempt of a job, from its claim to its end.

    ``state``            where the attempt is, as this daemon knows it.
    ``refresh_every_s``  the refresh interval of the table's configuration; None until the worker reports it.
    ``blocked_by``       which process holds the lake's lock, or why a queued job does not start.
    ``daemon_died``      the attempt belongs to a daemon that ended without recording its result.
    ``shared_tables``    tables that read the responses of this load.
    ``progressed``       the attempt failed after it had read pages that the next one need not read.
    ``refresh``          after a write: how the stored table is loaded again, if it is.
    """

    job: LoaderJob
    progress: LoadProgress
    state: JobState
    started_at_monotonic: float = field(default_factory=time.monotonic)
    is_cancelled: bool = False
    refresh_every_s: float | None = None
    blocked_by: str = ""
    daemon_died: bool = False
    progressed: bool = False
    shared_tables: Sequence[TableName] = ()
    refresh: Action | None = None

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self.started_at_monotonic

    def make_status(self, state: JobState, error: str = "", until: datetime | None = None) -> LoaderStatus:
        """Return the status to publish. ``until`` is when a postponed load starts again."""
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
            resumed=progress.resumed,
            rows_total=progress.rows_total,
        )

    def make_failed_record(self, error: str, now: datetime) -> LoadRecord:
        """Return the ledger's row of a load that failed."""
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


def job_log_fields(job: LoaderJob) -> Mapping[str, object]:
    return {"job": job.id, "table": job.table, "action": job.action.value}
