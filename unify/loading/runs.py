"""A job under way, as this start of the daemon sees it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime

from unify.loading.task import Progress
from unify.model import JobState, LoaderJob, LoaderStatus, LoadRecord


@dataclass(slots=True)
class Run:
    """One attempt of a job, from its claim to its end.

    ``since``    monotonic; clocks on the wall are set, this one is not.
    ``publishing``  whether it is with the publisher; ``blocked_by`` who else writes to the lake meanwhile,
                or why a queued one is not begun.
    ``every_s``  how often its configuration wants the table refreshed, once the worker has said.
    """

    job: LoaderJob
    progress: Progress
    since: float = field(default_factory=time.monotonic)
    cancelled: bool = False
    every_s: float | None = None
    publishing: bool = False
    blocked_by: str = ""

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.since

    def status(self, state: JobState, error: str = "", until: datetime | None = None) -> LoaderStatus:
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
            elapsed_s=self.seconds,
            waiting_until=until or progress.waiting_until,
            error=error,
            blocked_by=self.blocked_by,
        )

    def failed_record(self, error: str, now: datetime) -> LoadRecord:
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
            seconds=self.seconds,
            error=error,
            started_at=self.job.started_at,
            finished_at=now,
        )
