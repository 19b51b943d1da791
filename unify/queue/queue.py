"""The queue of load jobs and their schedules.

A job is durable when ``enqueue`` returns. At most one job is active for a table and action, and at most
one runs on a table. A claim increments the attempt; every later change names (id, attempt), so an attempt
that was given up cannot change its successor. Time is an argument, aware UTC.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from unify.errors import StoreError
from unify.fs.sqlite import from_micros_or_none, to_micros, to_micros_or_none
from unify.model import JobState, LoaderJob, Priority, TableName
from unify.queue.pauses import Pauses
from unify.queue.rows import (
    NewJob,
    Schedule,
    encode_origin,
    job_from_row,
    job_from_row_or_none,
    refresh_job,
    schedule_from_row,
    table_key,
)
from unify.queue.scripts import ScriptSchedules
from unify.queue.sqlite import QueueDatabase
from unify.queue.syncs import SyncStore
from unify.queue.timing import advance_timing, is_due
from unify.queue.watches import WatchStore

MAX_SQLITE_INTEGER = 2**63 - 1

_FAILURE_TEXTS = {
    JobState.FAILED: "failed",
    JobState.DEAD: "was given up",
    JobState.CANCELLED: "was cancelled",
}


class Queue:
    """The queue in one SQLite file. Threads may share it.

    ``notice`` is called with a sentence when a damaged or lost file was replaced.
    """

    def __init__(self, path: Path, notice: Callable[[str], None] | None = None) -> None:
        self._database = QueueDatabase(path, notice)
        self.scripts = ScriptSchedules(self._database)
        self.pauses = Pauses(self._database)
        self.syncs = SyncStore(self._database)
        self.watches = WatchStore(self._database)

    def __enter__(self) -> Queue:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._database.close()

    def set_lock_timeout(self, timeout_s: float) -> None:
        """Set how long a write waits for other processes before it raises LockTimeout."""
        self._database.lock_timeout_s = timeout_s

    # Requesting loads

    def enqueue(self, new: NewJob, now: datetime | None = None) -> LoaderJob:
        """Return the active job of this table and action, or insert one.

        With ``new.seen_at``, return a load of the table that succeeded since. Joining an active job raises
        its priority to the more urgent of the two and withdraws a requested cancellation.
        """
        at = now or datetime.now(UTC)
        with self._database.transaction():
            active = self._database.fetch_one(
                "active_of", table_key(new.tenant, new.table) | {"action": new.action}
            )
            start_at = to_micros(new.start_at or at)
            if active is not None:
                values = {"id": active["id"], "priority": new.priority, "start_at": start_at}
                return job_from_row(self._fetch_one("join", values))
            if (done := self._find_done_since(new)) is not None:
                return done
            return job_from_row(
                self._fetch_one(
                    "insert",
                    table_key(new.tenant, new.table)
                    | {
                        "uid": uuid.uuid4().hex,
                        "action": new.action,
                        "origin": encode_origin(new.origin),
                        "priority": new.priority,
                        "now": to_micros(at),
                        "start_at": start_at,
                    },
                )
            )

    def _find_done_since(self, new: NewJob) -> LoaderJob | None:
        if new.seen_at is None:
            return None
        values = table_key(new.tenant, new.table) | {"seen_at": to_micros(new.seen_at)}
        return job_from_row_or_none(self._database.fetch_one("done_since", values))

    def cancel(self, id: int, now: datetime | None = None) -> LoaderJob | None:
        """Cancel a queued job, or request the cancellation of a running one. None: no such job."""
        at = now or datetime.now(UTC)
        if self.find(id) is None:
            return None
        with self._database.transaction():
            values = {"id": id, "state": JobState.CANCELLED, "error": "cancelled", "now": to_micros(at)}
            if self._database.fetch_one("end_queued", values) is not None:
                self._fail_dependents(at)
            else:
                self._database.fetch_one("ask_cancel", {"id": id})
            return self.find(id)

    def retry(self, id: int, now: datetime | None = None) -> LoaderJob | None:
        """Queue an ended job again with its failure counts reset. None: no such job, or it succeeded.

        If the same load was requested meanwhile, return that job instead. The daemon removes what the job
        had staged, such as a held version, when it starts the job.
        """
        at = now or datetime.now(UTC)
        with self._database.transaction():
            ended = self.find(id)
            if ended is None or ended.state is JobState.DONE or ended.state.active:
                return ended if ended is not None and ended.state.active else None
            key = table_key(ended.tenant, ended.table) | {"action": ended.action}
            if (active := self._database.fetch_one("active_of", key)) is not None:
                return job_from_row(active)
            values = {
                "id": id,
                "uid": uuid.uuid4().hex,
                "now": to_micros(at),
                "priority": Priority.INTERACTIVE,
            }
            return job_from_row_or_none(self._database.fetch_one("retry", values))

    def retry_all(self, tenant: str, now: datetime | None = None) -> Sequence[LoaderJob]:
        """Queue again, with ``retry``, the failed and dead jobs whose tables have no later job."""
        with self._database.transaction():
            ended = self._database.fetch_all("ended_unsuccessfully", {"tenant": tenant})
            jobs = [self.retry(row["id"], now) for row in ended]
        return [job for job in jobs if job is not None]

    def accept(self, tenant: str, table: TableName) -> LoaderJob | None:
        """Mark the held version of a table as accepted.

        None: there is none, a later load has succeeded, or a load of the table is active.
        """
        with self._database.transaction():
            held = self._database.fetch_one("held_of", table_key(tenant, table))
            if held is None or any((job.tenant, job.table) == (tenant, table) for job in self.active_jobs()):
                return None
            return job_from_row_or_none(self._database.fetch_one("accept", {"id": held["id"]}))

    # Reading

    def get(self, id: int) -> LoaderJob:
        """Return job ``id``. Raises StoreError if it was deleted, or the queue was replaced."""
        found = self.find(id)
        if found is None:
            raise StoreError(f"{self._database.path}: there is no job {id}")
        return found

    def find(self, id: int) -> LoaderJob | None:
        known = abs(id) <= MAX_SQLITE_INTEGER
        return job_from_row_or_none(self._database.fetch_one("get", {"id": id})) if known else None

    def active_jobs(self) -> Sequence[LoaderJob]:
        """Return the jobs that have not ended, the most urgent first."""
        return [job_from_row(row) for row in self._database.fetch_all("active")]

    def next_active_jobs(self, count: int) -> tuple[Sequence[LoaderJob], int]:
        """Return the first ``count`` jobs that have not ended, running ones first, and their total number."""
        jobs = [job_from_row(row) for row in self._database.fetch_all("next_active", {"count": count})]
        return jobs, int(self._fetch_one("count_active", {})[0])

    def recent_jobs(self, count: int) -> Sequence[LoaderJob]:
        """Return the last ``count`` jobs, newest first."""
        return [job_from_row(row) for row in self._database.fetch_all("recent", {"count": count})]

    def next_start_at(self, now: datetime) -> datetime | None:
        """Return when the next postponed job may start; None: there is none."""
        row = self._database.fetch_one("next_start", {"now": to_micros(now)})
        return from_micros_or_none(row[0]) if row is not None else None

    # For the daemon

    def start_epoch(self) -> int:
        """Return the number of this start of the daemon; it grows with each start."""
        with self._database.transaction():
            return int(self._fetch_one("new_epoch", {})["value"])

    def orphaned_jobs(self, epoch: int) -> Sequence[LoaderJob]:
        """Return the jobs that a daemon of an older epoch left running or publishing."""
        return [job_from_row(row) for row in self._database.fetch_all("orphans", {"epoch": epoch})]

    def claim(
        self, epoch: int, now: datetime, later: Collection[tuple[str, TableName]] = (), *, boot: str = ""
    ) -> LoaderJob | None:
        """Claim the next job, by priority, then fewest running loads of its connection, then age.

        Skips jobs whose table is being loaded, whose start is in the future, or that wait for another job.
        A row that cannot be read ends as dead, so that it does not block the jobs behind it.

        ``later``  tables, each with its tenant, whose jobs are skipped, too.
        ``boot``   identifies the start of the machine.
        """
        with self._database.transaction():
            self._fail_dependents(now)
            names = ("\n".join(("\n", tenant, table.schema, table.table, "\n")) for tenant, table in later)
            values = {"epoch": epoch, "now": to_micros(now), "later": "".join(names), "boot": boot}
            while (row := self._database.fetch_one("claim", values)) is not None:
                try:
                    return job_from_row(row)
                except ValueError as error:
                    key = {"id": row["id"], "attempt": row["attempt"], "now": to_micros(now)}
                    reason = f"the queue's row cannot be read: {error}"
                    self._database.fetch_one("finish", key | {"state": JobState.DEAD, "error": reason})
            return None

    def is_current_attempt(self, job: LoaderJob) -> bool:
        """Whether ``job.attempt`` is still the active one: the fence before publishing."""
        return self._database.fetch_one("holds", {"id": job.id, "attempt": job.attempt}) is not None

    def mark_publishing(self, job: LoaderJob) -> bool:
        """Mark a running job as publishing. False: another attempt has it, or it is to be cancelled."""
        with self._database.transaction():
            return self._database.fetch_one("publishing", {"id": job.id, "attempt": job.attempt}) is not None

    def finish(
        self, job: LoaderJob, state: JobState, error: str = "", now: datetime | None = None
    ) -> LoaderJob | None:
        """End a job; None: another attempt has it. Jobs that wait for it fail unless it succeeded.

        A cancelled job that was requested again meanwhile is queued again.
        """
        at = now or datetime.now(UTC)
        with self._database.transaction():
            current = self.find(job.id)
            if state is JobState.CANCELLED and current is not None and not current.cancel_asked:
                return self.requeue(job, at, failed=False)
            values = {
                "id": job.id,
                "attempt": job.attempt,
                "state": state,
                "error": error,
                "now": to_micros(at),
            }
            ended = job_from_row_or_none(self._database.fetch_one("finish", values))
            if ended is not None and state is JobState.DONE:
                self._release_held(ended)
            elif ended is not None:
                self._fail_dependents(at)
            return ended

    def hold(self, job: LoaderJob, error: str, now: datetime) -> LoaderJob | None:
        """End a job as failed and keep its staged rows for ``accept``. None: another attempt has it."""
        with self._database.transaction():
            if self.finish(job, JobState.FAILED, error, now) is None:
                return None
            held = job_from_row(self._fetch_one("hold", {"id": job.id}))
            self._release_held(held)
            return held

    def _release_held(self, job: LoaderJob) -> None:
        """Release the held versions of the job's table, which its version replaces."""
        self._database.fetch_all("release_held", table_key(job.tenant, job.table) | {"id": job.id})

    def held_versions(self, job: LoaderJob) -> Sequence[LoaderJob]:
        """Return the jobs whose held versions are released when ``job`` succeeds or is held."""
        values = table_key(job.tenant, job.table) | {"id": job.id}
        return [job_from_row(row) for row in self._database.fetch_all("held_versions", values)]

    def held_jobs(self) -> Sequence[LoaderJob]:
        """Return the failed jobs whose staged rows are kept."""
        return [job_from_row(row) for row in self._database.fetch_all("held")]

    def unrecorded_jobs(self) -> Sequence[LoaderJob]:
        """Return the jobs that failed and whose failure is not in the ledger."""
        return [job_from_row(row) for row in self._database.fetch_all("unrecorded")]

    def mark_recorded(self, job: LoaderJob) -> None:
        """Record that the failure of ``job`` is in the ledger."""
        with self._database.transaction():
            self._database.fetch_one("recorded", {"id": job.id, "uid": job.uid})

    def accepted_jobs(self) -> Sequence[LoaderJob]:
        """Return the jobs whose held version is to be published."""
        return [job_from_row(row) for row in self._database.fetch_all("accepted")]

    def requeue(
        self,
        job: LoaderJob,
        start_at: datetime,
        error: str = "",
        *,
        failed: bool = True,
        crashed: bool = False,
        died: bool = False,
        progressed: bool = False,
    ) -> LoaderJob | None:
        """Queue a job again, to start at ``start_at``. None: another attempt has it.

        ``failed``, ``crashed`` and ``died`` (the daemon) increment the job's counts, which survive the
        daemon; an attempt that ``progressed`` resets them. A job whose cancellation was requested is
        cancelled instead.
        """
        with self._database.transaction():
            values = {
                "id": job.id,
                "attempt": job.attempt,
                "start_at": to_micros(start_at),
                "error": error,
                "failed": int(failed),
                "crashed": int(crashed),
                "died": int(died),
                "progressed": int(progressed),
            }
            back = job_from_row_or_none(self._database.fetch_one("requeue", values))
            return self.cancel(job.id) if back is not None and back.cancel_asked else back

    def requeue_after_parent(self, job: LoaderJob, parent_id: int) -> LoaderJob | None:
        """Queue a running job until job ``parent_id`` has ended. None: another attempt has it."""
        with self._database.transaction():
            values = {"id": job.id, "attempt": job.attempt, "parent": parent_id}
            return job_from_row_or_none(self._database.fetch_one("wait_for", values))

    def delete_old_jobs(self, before: datetime, keep_last: int = 1000) -> None:
        """Delete jobs that ended before ``before``, except the last ``keep_last``."""
        with self._database.transaction():
            self._database.fetch_all("forget", {"before": to_micros(before), "keep": keep_last})

    # Schedules

    def set_schedule(self, schedule: Schedule) -> Schedule:
        """Set or replace the schedule of a table."""
        values = table_key(schedule.tenant, schedule.table) | {
            "origin": encode_origin(schedule.origin),
            "every_s": schedule.every_s,
            "next_at": to_micros_or_none(schedule.next_at),
            "starting": schedule.starting,
            "zone": schedule.zone,
            "first": schedule.first,
        }
        with self._database.transaction():
            return schedule_from_row(self._fetch_one("put_schedule", values))

    def delete_schedule(self, tenant: str, table: TableName) -> bool:
        """Delete the schedule of a table, so that its spec's applies again. False: there was none."""
        with self._database.transaction():
            return self._database.fetch_one("drop_schedule", table_key(tenant, table)) is not None

    def schedules(self) -> Sequence[Schedule]:
        return [schedule_from_row(row) for row in self._database.fetch_all("schedules")]

    def next_due_at(self) -> datetime | None:
        """Return when the next schedule is due."""
        row = self._database.fetch_one("next_due")
        return from_micros_or_none(row[0]) if row is not None else None

    def enqueue_due(self, now: datetime) -> Sequence[LoaderJob]:
        """Queue one refresh for every schedule that is due, and advance the schedule.

        Both happen in one transaction, so no crash skips or doubles a refresh. A schedule set by a clock
        ahead of ``now`` is recalculated from ``now``.
        """
        jobs = []
        with self._database.transaction():
            for schedule in map(
                schedule_from_row, self._database.fetch_all("due_schedules", {"now": to_micros(now)})
            ):
                if is_due(schedule.timing, now):
                    jobs.append(self.enqueue(refresh_job(schedule), now))
                moved = advance_timing(schedule.timing, now)
                times = {
                    "next_at": to_micros_or_none(moved.next_at),
                    "last_at": to_micros_or_none(moved.last_at),
                }
                self._database.fetch_all("move_schedule", table_key(schedule.tenant, schedule.table) | times)
        return jobs

    def _fail_dependents(self, now: datetime) -> None:
        """Fail the jobs that wait, directly or not, for a job that did not succeed; name the first cause."""
        while rows := self._database.fetch_all("broken_waiters"):
            for row in rows:
                how = _FAILURE_TEXTS[JobState(row["awaited_state"])]
                reason = f": {row['awaited_error']}" if row["awaited_error"] else ""
                error = f"it needs {row['awaited_name']}, whose load {how}{reason}"
                values = {"id": row["id"], "state": JobState.FAILED, "error": error, "now": to_micros(now)}
                self._database.fetch_one("end_queued", values)

    def _fetch_one(self, statement: str, values: dict[str, object]) -> sqlite3.Row:
        row = self._database.fetch_one(statement, values)
        assert row is not None, statement
        return row
