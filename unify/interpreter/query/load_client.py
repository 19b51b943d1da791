"""Enqueues load jobs and waits for them. The queue is authoritative; status events only save polling."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from unify.config.settings import Settings
from unify.durations import format_duration
from unify.errors import DaemonUnreachable, LoadFailed, StoppedWaiting, UnifyError
from unify.interpreter import adapter_access
from unify.interpreter.connections import ConnectionCatalog
from unify.interpreter.query.early_start import EarlyStart
from unify.interpreter.results import Watcher
from unify.model import Action, JobState, LoaderJob, LoaderStatus, LoadRecord, Priority, TableName
from unify.queue.pauses import Pause
from unify.queue.queue import Queue
from unify.queue.rows import NewJob, Schedule
from unify.queue.scripts import ScheduledScript
from unify.queue.timing import Timing
from unify.status import instance
from unify.text import format_count

if TYPE_CHECKING:
    from unify.status.client import StatusClient


_PAST_TENSE_VERBS = {
    Action.LOAD: "loaded",
    Action.REFRESH: "refreshed",
    Action.RELOAD: "reloaded",
    Action.WRITE: "written",
}


def load_outcome_text(job: LoaderJob, record: LoadRecord | None) -> str:
    """``github.pulls: 1,204 rows loaded in 3.1 s``, from the ledger's row."""
    word = _PAST_TENSE_VERBS[job.action]
    if record is None:
        return f"{job.table}: {word}"
    stored = format_count(record.rows_read - record.rows_discarded, "row")
    return f"{job.table}: {stored} {word} in {record.seconds:.1f} s"


def discarded_text(record: LoadRecord) -> str:
    """``20 rows discarded (select * from unify.discarded)``."""
    return f"{format_count(record.rows_discarded, 'row')} discarded (select * from unify.discarded)"


Written = TypeVar("Written")

RECORD_TIMEOUT_S = 3.0  # how long a statement waits until unify.loads has the load that failed
POLL_INTERVAL_S = 0.25  # of the queue; a lost event delays the result by at most this
PROGRESS_INTERVAL_S = 0.1  # progress is shown at most ten times a second


class LoadRequest(Struct, frozen=True):
    """A load that a statement needs.

    ``seen_at``  when the table was found missing or too old; None: load it in any case.
    """

    table: TableName
    action: Action
    seen_at: datetime | None = None


class LoadClient:
    """The interpreter's only access to the daemon: enqueues jobs, and follows status events.

    ``after_wait``  called when the loads that a statement waits for have ended.
    """

    def __init__(
        self,
        settings: Settings,
        queue: Queue,
        connections: ConnectionCatalog,
        watcher: Watcher,
        *,
        early_start: EarlyStart,
        find_record: Callable[[str], LoadRecord | None] | None = None,
        wait_limit_s: float | None = None,
        after_wait: Callable[[], None] = lambda: None,
    ) -> None:
        self.settings = settings
        self.queue = queue
        self.connections = connections
        self.watcher = watcher
        self._early_start = early_start
        self._find_record = find_record
        self._wait_limit_s = wait_limit_s
        self._after_wait = after_wait
        self._client: StatusClient | None = None
        self._abandoned_jobs: list[int] = []  # jobs that Ctrl-C stopped waiting for

    def restart_killed_daemon(self) -> None:
        """Start a new daemon in place of one that was killed, and notify the watcher."""
        try:
            self._ensure_daemon()
        except UnifyError as error:
            self.watcher.notice(
                f"the daemon has stopped unexpectedly and cannot be restarted; its loads are paused: {error}"
            )
        else:
            self.watcher.notice("the daemon had stopped unexpectedly; a new one continues its loads")

    def enqueue(self, request: LoadRequest, priority: int = Priority.INTERACTIVE) -> LoaderJob:
        """Enqueue a load, or join the one that is queued, and ensure that a daemon runs."""
        if (pause := self.find_pause(request.table)) is not None:
            raise LoadFailed(
                f"{request.table}: the loads of {pause} are paused since "
                f"{pause.paused_at:%Y-%m-%d %H:%M} UTC: resume {pause}"
            )
        self.connections.require_secrets(request.table.schema)
        adapter_access.ensure_signed_in(self.connections, self.watcher, request.table.schema)
        new = NewJob(
            tenant=self.settings.tenant,
            action=request.action,
            table=request.table,
            origin=self.connections.origin,
            priority=priority,
            seen_at=request.seen_at,
        )
        return self._write_and_wake_daemon(lambda: self.queue.enqueue(new, datetime.now(UTC)))

    def enqueue_write(self, table: TableName) -> LoaderJob:
        """Enqueue a job that sends the approved writes of a table, or join the one that is queued."""
        self.connections.require_secrets(table.schema)
        new = NewJob(self.settings.tenant, Action.WRITE, table, self.connections.origin)
        return self._write_and_wake_daemon(lambda: self.queue.enqueue(new, datetime.now(UTC)))

    def find_pause(self, table: TableName) -> Pause | None:
        """Return the pause that keeps the loads of a table from starting."""
        return self.queue.pauses.find(self.settings.tenant, table)

    def wait(self, jobs: Sequence[LoaderJob], *, caller_reports: bool = False) -> Sequence[LoaderJob]:
        """Wait until every job has ended, showing progress; return the ended jobs.

        ``caller_reports``  the caller reports jobs that succeed.
        Raises LoadFailed naming table and reason if a job failed, or discarded rows in a strict
        session, or after ``wait_limit_s``; StoppedWaiting on Ctrl-C. The loads go on in the last two cases.
        """
        self._abandoned_jobs = []
        reported: set[int] = set()
        try:
            ended = self._follow(jobs)
            failed = next((job for job in ended if job.state is not JobState.DONE), None)
            reported.update(job.id for job in ended if caller_reports or job is failed)
        except KeyboardInterrupt:
            self._abandoned_jobs = [job.id for job in jobs]
            raise StoppedWaiting(_still_loading_message(jobs)) from None
        finally:
            self.watcher.end_progress(reported)
        self._after_wait()
        if failed is not None:
            raise LoadFailed(_failure_message(failed))
        for job in ended if self._find_record is not None else ():
            self._reject_partial_load(job)
        return ended

    def _reject_partial_load(self, job: LoaderJob) -> None:
        """Raise LoadFailed for a load that discarded rows, as ``--strict`` demands."""
        record = self._find_record(job.uid) if self._find_record is not None else None
        if record is not None and record.rows_discarded:
            raise LoadFailed(f"{job.table}: the load is partial: {discarded_text(record)}")

    def schedule_refresh(self, schedule: Schedule) -> None:
        """Schedule the refreshes of a table, and start a daemon that runs them."""
        self._write_and_wake_daemon(lambda: self.queue.set_schedule(schedule))

    def schedule_script(
        self, path: Path, folder: Path, timing: Timing, statement: str = ""
    ) -> ScheduledScript:
        """Schedule a script, or the statement that runs it, and start a daemon that runs it."""
        tenant, origin = self.settings.tenant, self.connections.origin
        return self._write_and_wake_daemon(
            lambda: self.queue.scripts.set_script(tenant, path, folder, origin, timing, statement=statement)
        )

    def schedule_statement(self, script: ScheduledScript) -> ScheduledScript:
        """Schedule a statement, and start a daemon that runs it."""
        return self._write_and_wake_daemon(lambda: self.queue.scripts.put_script(script), script.variable)

    def unschedule_script(self, tenant: str, name: str) -> None:
        """Remove a script's schedule; a daemon that runs it ends the run."""
        self.queue.scripts.delete_script(tenant, name)
        if instance.is_locked(self.settings.daemon_lock):
            with suppress(DaemonUnreachable):  # it looks by itself every few seconds
                self._status_client().poll_queue()

    def wait_until_ended(self, job: LoaderJob) -> None:
        """Wait until a job has ended, however it ends."""
        try:
            self.wait([job])
        except LoadFailed:
            return  # cancelled, most likely, as requested

    def retry(self, id: int) -> LoaderJob | None:
        """Queue an ended job again and reset its failures. None: no such job, or it succeeded."""
        return self._write_and_wake_daemon(lambda: self.queue.retry(id, datetime.now(UTC)))

    def accept(self, table: TableName) -> LoaderJob | None:
        """Publish the held version of a table. None: there is none, or a load of it is active."""
        return self._write_and_wake_daemon(lambda: self.queue.accept(self.settings.tenant, table))

    def retry_all(self) -> Sequence[LoaderJob]:
        """Queue again every table whose last load failed; return the jobs."""
        return self._write_and_wake_daemon(lambda: self.queue.retry_all(self.settings.tenant))

    def resume(self, target: TableName) -> bool:
        """End the pause of a connection (table "") or a table. False: there was none."""
        tenant = self.settings.tenant
        return self._write_and_wake_daemon(
            lambda: self.queue.pauses.resume(tenant, target.schema, target.table)
        )

    def cancel_awaited_loads(self) -> str | None:
        """Cancel the loads that the last Ctrl-C stopped waiting for; return a message."""
        cancelled = [job for id in self._abandoned_jobs if (job := self.cancel(id)) is not None]
        self._abandoned_jobs = []
        return f"cancelled: {', '.join(str(job.table) for job in cancelled)}" if cancelled else None

    def cancel(self, job: int) -> LoaderJob | None:
        """Cancel a job: a queued one directly, a running one through the daemon.

        With a queued job that sends writes, the write is cancelled that it was to send first; another job
        sends the others.
        """
        before = self.queue.find(job)
        cancelled = self.queue.cancel(job, datetime.now(UTC))
        if before is not None and before.state is JobState.QUEUED and before.action is Action.WRITE:
            self._cancel_waiting_write(before)
        if cancelled is not None and cancelled.state.active and instance.is_locked(self.settings.daemon_lock):
            self._status_client().cancel(job)
        return cancelled

    def _cancel_waiting_write(self, job: LoaderJob) -> None:
        from unify.writes.store import WriteStore

        with WriteStore(self.settings.writes) as store:
            write = store.next_open(job.tenant, job.table)
            if write is not None:
                store.cancel(write.id, datetime.now(UTC))
            if store.next_open(job.tenant, job.table) is not None:
                new = NewJob(job.tenant, Action.WRITE, job.table, job.origin)
                self._write_and_wake_daemon(lambda: self.queue.enqueue(new, datetime.now(UTC)))

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _follow(self, jobs: Sequence[LoaderJob]) -> Sequence[LoaderJob]:
        client = self._status_client()
        latest: dict[int, LoaderStatus] = {status.job: status for status in client.subscribe()}
        followed = {job.id: job for job in jobs}
        started = time.monotonic()
        ended_at: float | None = None  # when the last job has ended; a failed one is then recorded
        while True:
            followed = self._read_jobs(followed)
            self.watcher.show_progress([_merge_status(job, latest) for job in followed.values()])
            requested = [followed[job.id] for job in jobs]
            if not any(job.state.active for job in requested):
                ended_at = ended_at or time.monotonic()
                is_recorded = not any(job.unrecorded for job in requested)
                if is_recorded or time.monotonic() - ended_at >= RECORD_TIMEOUT_S:
                    return requested
            self._reject_paused(followed.values())
            if self._wait_limit_s is not None and time.monotonic() - started >= self._wait_limit_s:
                raise LoadFailed(
                    f"not loaded within {format_duration(self._wait_limit_s)} (--wait): "
                    f"{_still_loading_message([job for job in requested if job.state.active])}"
                )
            self._restart_daemon_if_dead()
            self._process_events(client, followed, latest)

    def _reject_paused(self, jobs: Iterable[LoaderJob]) -> None:
        """Raise LoadFailed for a queued job, or parent of one, that was paused meanwhile."""
        for job in jobs:
            if job.state is JobState.QUEUED and (pause := self.find_pause(job.table)) is not None:
                raise LoadFailed(
                    f"{job.table}: job {job.id} waits, because {pause} is paused: resume {pause}"
                )

    def _read_jobs(self, followed: Mapping[int, LoaderJob]) -> dict[int, LoaderJob]:
        """Read these jobs from the queue, after the jobs that they wait for."""
        current = {id: self.queue.get(id) for id in followed}
        parents = {job.waits_for for job in current.values() if job.waits_for is not None} - current.keys()
        return {id: self.queue.get(id) for id in sorted(parents)} | current

    def _process_events(
        self, client: StatusClient, followed: Mapping[int, LoaderJob], latest: dict[int, LoaderStatus]
    ) -> None:
        """Receive and show events for a while; return at once when a job has ended."""
        until = time.monotonic() + POLL_INTERVAL_S
        while (left_s := until - time.monotonic()) > 0:
            heard = client.events(min(left_s, PROGRESS_INTERVAL_S))
            latest.update((status.job, status) for status in heard)
            if any(status.job in followed and not status.state.active for status in heard):
                return
            self.watcher.show_progress([_merge_status(job, latest) for job in followed.values()])

    def _write_and_wake_daemon(self, write: Callable[[], Written], variable: str = "") -> Written:
        """Write to the queue and wake a daemon that has the environment variables of the connections.

        The write is kept if no daemon can be started; the error says why.
        ``variable``  another one that it gets.
        """
        try:
            self._ensure_daemon(variable)
        except DaemonUnreachable as error:
            write()
            raise DaemonUnreachable(f"{error.message}. The request is in the queue") from error
        written = write()
        try:
            self._restart_daemon_if_dead()
            self._status_client().poll_queue()
        except DaemonUnreachable:
            self._ensure_daemon()  # a daemon that starts, or takes our variables, looks into the queue
        return written

    def _ensure_daemon(self, variable: str = "") -> None:
        """Ensure that a daemon runs and has the variables that the connections refer to, and ``variable``."""
        from unify.status.launch import ensure_daemon

        self._early_start.wait()
        variables = dict(self.connections.environment_variables())
        if variable in self.connections.environment:
            variables[variable] = self.connections.environment[variable]
        ensure_daemon(self.settings, variables=variables)
        try:
            self._status_client().offer_environment(variables)
        except DaemonUnreachable:  # it has ended since; start another one
            ensure_daemon(self.settings, variables=variables)
            self._status_client().offer_environment(variables)

    def _restart_daemon_if_dead(self) -> None:
        """Start another daemon if the current one was killed."""
        if not instance.is_locked(self.settings.daemon_lock):
            self._ensure_daemon()  # the client finds the new daemon, and its events, by itself

    def _status_client(self) -> StatusClient:
        if self._client is None:
            from unify.status.client import StatusClient
            from unify.status.launch import unresponsive_message

            self._client = StatusClient(
                self.settings.socket_folder, explain=lambda: unresponsive_message(self.settings)
            )
        return self._client


def _merge_status(job: LoaderJob, latest: Mapping[int, LoaderStatus]) -> LoaderStatus:
    """Return the last reported progress of a job; an ended job has the state of the queue."""
    status = latest.get(job.id) or LoaderStatus(job.id, job.table, job.action, job.state)
    if job.state is JobState.QUEUED and job.error and not status.blocked_by:
        return replace(status, state=job.state, error=job.error, waiting_until=job.start_at)
    return status if job.state.active else replace(status, state=job.state, error=job.error)


def _still_loading_message(jobs: Sequence[LoaderJob]) -> str:
    tables = ", ".join(str(job.table) for job in jobs)
    return f"stopped waiting; loading {tables} goes on in the background (system status shows it)"


def _failure_message(job: LoaderJob) -> str:
    own = str(job.table)  # most errors start with the table, and the parent row
    error = job.error.removeprefix(f"{own}: ")
    of_parent = f"{own} for "
    if error.startswith(of_parent):
        own, _, error = error.partition(": ")
    match job.state:
        case JobState.CANCELLED:
            return f"{job.table}: the load was cancelled (job {job.id})"
        case JobState.DEAD:
            return f"{own}: given up after {job.attempt} attempts: {error} (system retry {job.id})"
        case _:
            return f"{own}: {error}"
