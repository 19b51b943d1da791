"""Asking for loads and waiting for them. The queue holds the truth; status events only hurry us."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from unify.errors import DaemonUnreachable, LoadFailed, StoppedWaiting, UnifyError
from unify.interpreter import signingin
from unify.interpreter.results import Watcher
from unify.interpreter.sources import Sources
from unify.model import Action, JobState, LoaderJob, LoaderStatus, Priority, TableName
from unify.settings import Settings
from unify.status import instance
from unify.store.duetimes import Timing
from unify.store.queue import NewJob, Queue, Schedule
from unify.store.scripts import Script

if TYPE_CHECKING:
    from unify.status.client import StatusClient

Written = TypeVar("Written")

LOOK_S = 0.25  # how often the queue is asked, whatever events say: the bound on a lost event
SHOW_S = 0.1  # progress is shown at most ten times a second


@dataclass(frozen=True, slots=True)
class Wanted:
    """A load somebody waits for.

    ``seen_at``  when the table was seen to lack what it brings; None: it is wanted whatever is there.
    """

    table: TableName
    action: Action
    seen_at: datetime | None = None


class Loads:
    """The interpreter's only way to the daemon: jobs into the queue, hints out of the status channel."""

    def __init__(self, settings: Settings, queue: Queue, sources: Sources, watcher: Watcher) -> None:
        self.settings = settings
        self.queue = queue
        self.sources = sources
        self.watcher = watcher
        self._client: StatusClient | None = None
        self._left: list[int] = []  # jobs that Ctrl-C stopped waiting for

    def revive(self) -> None:
        """Have a new daemon go on where one was killed; the watcher is told."""
        try:
            self._offer()
        except UnifyError as error:
            self.watcher.notice(f"the daemon has died, and its loads rest: {error}")
        else:
            self.watcher.notice("the daemon had died; a new one goes on with what was under way")

    def request(self, wanted: Wanted, priority: int = Priority.PERSON) -> LoaderJob:
        """Put a load into the queue, or join the one that is there, and see that a daemon works on it."""
        self.sources.require_secrets(wanted.table.schema)
        signingin.ensure(self.sources, self.watcher, wanted.table.schema)
        new = NewJob(
            tenant=self.settings.tenant,
            action=wanted.action,
            table=wanted.table,
            origin=self.sources.origin,
            priority=priority,
            seen_at=wanted.seen_at,
        )
        return self._written(lambda: self.queue.enqueue(new, datetime.now(UTC)))

    def wait(self, jobs: Sequence[LoaderJob], *, telling: bool = False) -> Sequence[LoaderJob]:
        """Wait until every job has ended, showing progress. Gives the jobs as they ended.

        ``telling``  whoever asks says how they ended well.
        Raises LoadFailed naming table and reason if one did not end well; StoppedWaiting on Ctrl-C,
        and then the loads go on.
        """
        self._left = []
        told: set[int] = set()
        try:
            ended = self._wait(jobs)
            failed = next((job for job in ended if job.state is not JobState.DONE), None)
            told.update(job.id for job in ended if telling or job is failed)
        except KeyboardInterrupt:
            self._left = [job.id for job in jobs]
            raise StoppedWaiting(_goes_on(jobs)) from None
        finally:
            self.watcher.settled(told)
        if failed is not None:
            raise LoadFailed(_reason(failed))
        return ended

    def schedule(self, wanted: Schedule) -> None:
        """Set when a table is refreshed by itself, and see that a daemon does it."""
        self._written(lambda: self.queue.schedule(wanted))

    def schedule_script(self, path: Path, folder: Path, timing: Timing) -> Script:
        """Put a script on a schedule, and see that a daemon runs it."""
        tenant, origin = self.settings.tenant, self.sources.origin
        return self._written(lambda: self.queue.scripts.put(tenant, path, folder, origin, timing))

    def unschedule_script(self, tenant: str, name: str) -> None:
        """Take a script off its schedule; a daemon that runs it ends the run."""
        self.queue.scripts.drop(tenant, name)
        if instance.is_locked(self.settings.daemon_lock):
            with suppress(DaemonUnreachable):  # it looks by itself every few seconds
                self._connected().kick()

    def wait_ended(self, job: LoaderJob) -> None:
        """Wait until a job has ended, however it ends."""
        try:
            self.wait([job])
        except LoadFailed:
            return  # cancelled, most likely: that is what was asked

    def retry(self, id: int) -> LoaderJob | None:
        """Queue an ended job again, its failures forgotten. None: no such job, or it ended well."""
        return self._written(lambda: self.queue.retry(id, datetime.now(UTC)))

    def cancel_waited(self) -> str | None:
        """Cancel what the last Ctrl-C stopped waiting for; gives the sentence that says so."""
        cancelled = [job for id in self._left if (job := self.cancel(id)) is not None]
        self._left = []
        return f"cancelled: {', '.join(str(job.table) for job in cancelled)}" if cancelled else None

    def cancel(self, job: int) -> LoaderJob | None:
        """Cancel a job wherever it is: in the queue here, at a worker through the daemon."""
        cancelled = self.queue.cancel(job, datetime.now(UTC))
        if cancelled is not None and cancelled.state.active and instance.is_locked(self.settings.daemon_lock):
            self._connected().cancel(job)
        return cancelled

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _wait(self, jobs: Sequence[LoaderJob]) -> Sequence[LoaderJob]:
        client = self._connected()
        latest: dict[int, LoaderStatus] = {status.job: status for status in client.subscribe()}
        followed = {job.id: job for job in jobs}
        while True:
            followed = self._looked_up(followed)
            self.watcher.progress([_status(job, latest) for job in followed.values()])
            asked = [followed[job.id] for job in jobs]
            if not any(job.state.active for job in asked):
                return asked
            self._keep_daemon_alive()
            self._listen(client, followed, latest)

    def _looked_up(self, followed: Mapping[int, LoaderJob]) -> dict[int, LoaderJob]:
        """These jobs as the queue has them now, and before them those they wait for."""
        current = {id: self.queue.get(id) for id in followed}
        parents = {job.waits_for for job in current.values() if job.waits_for is not None} - current.keys()
        return {id: self.queue.get(id) for id in sorted(parents)} | current

    def _listen(
        self, client: StatusClient, followed: Mapping[int, LoaderJob], latest: dict[int, LoaderStatus]
    ) -> None:
        """Take in events for a while, showing them; back at once when one says that a job has ended."""
        until = time.monotonic() + LOOK_S
        while (left_s := until - time.monotonic()) > 0:
            heard = client.events(min(left_s, SHOW_S))
            latest.update((status.job, status) for status in heard)
            if any(status.job in followed and not status.state.active for status in heard):
                return
            self.watcher.progress([_status(job, latest) for job in followed.values()])

    def _written(self, write: Callable[[], Written]) -> Written:
        """Write a wish into the queue, and have a daemon look that knows our variables before it can see it.

        A wish is kept whatever becomes of the daemon meanwhile: one that died is followed by another,
        and where none can be started, the wish waits for it and the error says why.
        """
        try:
            self._offer()
        except DaemonUnreachable:
            write()
            raise
        written = write()
        try:
            self._keep_daemon_alive()
            self._connected().kick()
        except DaemonUnreachable:
            self._offer()  # a daemon that starts, or takes our variables, looks into the queue
        return written

    def _offer(self) -> None:
        """See that a daemon runs and knows the variables our connections name."""
        from unify.status.launch import ensure_daemon

        variables = self.sources.secrets_by_name()
        ensure_daemon(self.settings, variables=variables)
        try:
            self._connected().offer_environment(variables)
        except DaemonUnreachable:  # it has died since it answered: its successor is told
            ensure_daemon(self.settings, variables=variables)
            self._connected().offer_environment(variables)

    def _keep_daemon_alive(self) -> None:
        """A daemon that was killed is started again by whoever waits for it."""
        if not instance.is_locked(self.settings.daemon_lock):
            self._offer()  # the client finds the new daemon, and its events, by itself

    def _connected(self) -> StatusClient:
        if self._client is None:
            from unify.status.client import StatusClient

            self._client = StatusClient(self.settings.run)
        return self._client


def _status(job: LoaderJob, latest: Mapping[int, LoaderStatus]) -> LoaderStatus:
    """How far a job is, as far as anybody told; that it has ended is the queue's word."""
    told = latest.get(job.id) or LoaderStatus(job.id, job.table, job.action, job.state)
    return told if job.state.active else replace(told, state=job.state, error=job.error)


def _goes_on(jobs: Sequence[LoaderJob]) -> str:
    tables = ", ".join(str(job.table) for job in jobs)
    return f"stopped waiting; loading {tables} goes on in the background (system status shows it)"


def _reason(job: LoaderJob) -> str:
    own = str(job.table)  # most say themselves whose they are, and for which parent
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
