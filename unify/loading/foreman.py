"""The foreman: hands queued jobs to workers, and what workers and publisher say to ``outcomes``.

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

from unify.errors import StoreError, UnifyError, UnknownName
from unify.loading.environment import Environment, connection_of
from unify.loading.outcomes import Outcomes, about
from unify.loading.publisher import Done, Orphan, Prepare, Sealed, Tend
from unify.loading.room import Room
from unify.loading.runs import Run
from unify.loading.scripting import Scripting
from unify.loading.takeover import take_over
from unify.loading.task import Failure, Outcome, Progress, Report, Requested, failure_of, make_task
from unify.loading.upkeep import Upkeep
from unify.loading.workers import Crew, Lost, Worker
from unify.model import JobState, LoaderJob
from unify.settings import Settings
from unify.store.duckerrors import says_full_disk
from unify.store.failpoints import failpoint
from unify.store.locks import FileLock
from unify.store.requestlog import RequestLog
from unify.store.staging import Staging
from unify.store.upkeep import Tended

LOOK_S = 5.0  # a shell killed between its enqueue and its kick has its job seen after this
KEPT = timedelta(days=30)  # how long an ended job can be seen in `show jobs`
BLOCKED_S = 0.5  # how often we look who else writes to the lake while a load waits to; a look costs 0.05 ms
SHORTEST_S = 0.05  # a job put off into the next instant is not looked for without a pause


class Foreman:
    """One start of the daemon's work."""

    def __init__(
        self,
        settings: Settings,
        epoch: int,
        *,
        crew: Crew,
        outcomes: Outcomes,
        environment: Environment,
        scripting: Scripting,
        room: Room | None = None,
    ) -> None:
        self.settings = settings
        self.epoch = epoch
        self.crew = crew
        self.outcomes = outcomes
        self.environment = environment
        self.scripting = scripting
        self.queue = outcomes.queue
        self.publisher = outcomes.publisher
        self.log = outcomes.log
        self.room = room or Room(settings, self.log)
        self._knows_queue = False  # whether `runs` are the jobs that the queue says are under way
        self._staging = Staging(settings.staging)
        self._requests = RequestLog(settings.requests)
        self._upkeep = Upkeep(settings.lake)
        self._lake_lock = FileLock(settings.lake_lock)  # to see who holds it, never to take it
        self._blocked_at = 0.0  # monotonic; when we look again
        self._look_at = 0.0  # monotonic; when the queue may hold something new
        self._active_at = time.monotonic()  # when there was last something to do

    @property
    def busy(self) -> int:
        """How many loads and scripts are under way."""
        return len(self.outcomes.runs) + self.scripting.busy

    def start(self) -> None:
        """Have a worker and the lake ready; the first turn takes over what an older daemon left behind."""
        self.crew.warm_up()
        self.publisher.submit(Prepare())

    def look(self) -> None:
        """See what the queue holds at the next turn: somebody has put something in."""
        self._look_at = 0.0
        self._active_at = time.monotonic()

    def turn(self) -> None:
        """Do everything there is to do now; on a full disk, what can be done without it."""
        with self._minding_room():
            self._listen()
            if self.room.may_try():
                self._go_on()

    def _listen(self) -> None:
        """Take in what workers, publisher and scripts have to say."""
        for worker in self.crew.workers:
            for report in worker.reports():
                self._heard(worker, report)
        for lost in self.crew.collect_lost():
            self._lost(lost)
        for done in self.publisher.collect():
            self._done(done)
        self.crew.press()
        if self.scripting.turn(_now()):
            self.look()
        self._see_who_blocks()

    def _go_on(self) -> None:
        """Begin what there is to begin."""
        if not self._knows_queue:
            self._take_over()
        if self.room.why or self._look_at <= time.monotonic():
            self._look()
        if self.room.why:
            self.room.is_back()
            self.outcomes.held_up("")
        if self.busy:
            self._active_at = time.monotonic()
        if self._upkeep.due(self._quiet_for_s()):
            self._upkeep.began()
            overdue = self._upkeep.overdue
            self.publisher.submit(Tend(lambda: overdue or not self.busy))

    def wait_s(self) -> float:
        """How long nothing will happen by itself."""
        waits = [self.crew.wait_s(), self.scripting.wait_s(), BLOCKED_S if self._publishes else None]
        if self.room.why:
            waits.append(self.room.wait_s())
        else:
            waits += [self._look_at - time.monotonic(), self._idle_left_s()]
            waits.append(self._upkeep.wait_s(self._quiet_for_s()))
        return max(0.0, min(wait for wait in waits if wait is not None))

    def has_idled_enough(self) -> bool:
        """Whether a daemon that is to end without work has had none for long enough.

        A schedule keeps it no more than a load that may be asked for: the next start makes up for it.
        """
        left_s = self._idle_left_s()
        if left_s is not None and left_s <= 0 and not self.room.why:
            with self._minding_room():
                return not self.queue.active()
        return False

    def cancel(self, id: int) -> None:
        """End a job wherever it is; one that is being published is let finish."""
        job = self.queue.cancel(id, _now())
        if job is None:
            raise UnknownName(f"there is no job {id}")
        self._end_cancelled(job)
        if job.state is JobState.CANCELLED:
            self.outcomes.tell(Run(job, Progress(job.id, job.attempt)), job.state, job.error)

    def stop(self, within_s: float) -> bool:
        """End the workers, let the publisher finish, and make what is left ready again.

        False if the publisher has not finished ``within_s``: a load still on its way into the lake
        stays marked so, and the next daemon asks the ledger what became of it.
        """
        deadline = time.monotonic() + within_s
        self.scripting.ask_to_end()
        self.crew.close()
        with self._minding_room():  # what a full disk leaves as it is, the next daemon takes over
            self.scripting.close(_now())
        finished = self.publisher.close(deadline - time.monotonic())
        with self._minding_room():
            self._put_back()
        return finished

    def _put_back(self) -> None:
        for done in self.publisher.collect():
            self._done(done)
        for run in list(self.outcomes.runs.values()):
            current = self.queue.find(run.job.id)
            if current is not None and current.state is not JobState.PUBLISHING:
                self.outcomes.put_back(run)

    @contextmanager
    def _minding_room(self) -> Iterator[None]:
        """A full disk ends the block, not us: when there is room, the queue tells what was left undone."""
        try:
            yield
        except (StoreError, OSError) as error:
            if not self.room.is_lack(error):
                raise
            self._knows_queue = False
            self._lacks_room(str(error))

    def _lacks_room(self, reason: str) -> None:
        """Begin nothing for now."""
        if self.room.lacks(reason):
            self.outcomes.held_up(self.room.why)

    def _mind_failure(self, failure: Failure | None) -> None:
        """One load has found the disk full; the next ones need not."""
        if failure is not None and failure.kind == StoreError.__name__ and says_full_disk(failure.message):
            self._lacks_room(failure.message)

    def _take_over(self) -> None:
        """Know what the queue says is under way, whoever began it."""
        self.queue.forget(_now() - KEPT)
        self.scripting.start(_now())
        take_over(self.epoch, self.outcomes, self.crew, self._staging)
        self._knows_queue = True

    def _quiet_for_s(self) -> float:
        return time.monotonic() - self._active_at

    def _idle_left_s(self) -> float | None:
        exit_s = self.settings.idle_exit_s
        return None if exit_s is None else exit_s - self._quiet_for_s()

    def _look(self) -> None:
        """Queue what is due, end what was cancelled, start what is ready."""
        now = _now()
        for job in self.queue.enqueue_due(now):
            self.log.fact("refresh due", **about(job))
        for run in list(self.outcomes.runs.values()):
            current = self.queue.find(run.job.id)
            if current is not None:
                self._end_cancelled(current)
        self.scripting.look(now)
        while self.crew.has_room and (claimed := self.queue.claim(self.epoch, now)) is not None:
            self._start(claimed)
        self._look_at = time.monotonic() + self._quiet_s(now)

    def _quiet_s(self, now: datetime) -> float:
        """How long the queue will have nothing new, as far as it knows."""
        due = [self.queue.next_start(now), self.queue.next_due(), self.queue.scripts.next_due(now)]
        waits = [(moment - now).total_seconds() for moment in due if moment is not None]
        return min([LOOK_S, *(max(SHORTEST_S, wait) for wait in waits)])

    @property
    def _publishes(self) -> bool:
        return any(run.publishing for run in self.outcomes.runs.values())

    def _see_who_blocks(self) -> None:
        """A transaction that a shell leaves open keeps loads from being published; people are told so."""
        if self._publishes and self._blocked_at <= time.monotonic():
            self._blocked_at = time.monotonic() + BLOCKED_S
            holder = self._lake_lock.holder()
            ours = holder.startswith(f"process {os.getpid()} ")
            self.outcomes.blocked("" if ours else holder)

    def _start(self, job: LoaderJob) -> None:
        run = self.outcomes.begin(job)
        failpoint("daemon.claimed")
        try:
            environment = self._environment_of(job)
            folder = self._staging.begin(job)
        except UnifyError as error:
            if isinstance(error, StoreError) and self.room.is_lack(error):
                raise  # no fault of the load's: it is put back when there is room
            self.outcomes.failed(run, failure_of(error))
            return
        self.crew.assign(make_task(job, self.settings.home, folder, environment))
        self.outcomes.started(run)

    def _environment_of(self, job: LoaderJob) -> Mapping[str, str]:
        values = self.environment.named_by(connection_of(job.origin, job.table))
        self.log.hide(values.values())
        return values

    def _heard(self, worker: Worker, report: Report) -> None:
        if isinstance(report, Requested):
            self._keep_requests(report)
            return
        run = self.outcomes.attempt(report.job, report.attempt)
        if isinstance(report, Outcome):
            self._mind_failure(report.failure)
            worker.task = None
            self.look()
        if run is None:
            return
        if isinstance(report, Progress):
            self.outcomes.progressed(run, report)
        else:
            self.outcomes.came_home(run, report)

    def _keep_requests(self, report: Requested) -> None:
        """A batch that cannot be kept costs its rows, not the load."""
        redacted = self.log.redacted
        shown = [
            replace(request, address=redacted(request.address), error=redacted(request.error))
            for request in report.requests
        ]
        try:
            self._requests.append(shown)
        except StoreError as error:
            self.log.fact("requests not kept", rows=len(shown), error=error.message)

    def _lost(self, lost: Lost) -> None:
        self.look()
        if lost.task is None:
            self.log.fact("worker ended", reason=lost.reason)
            return
        run = self.outcomes.attempt(lost.task.job, lost.task.attempt)
        if run is not None:
            self.outcomes.crashed(run, lost.reason)

    def _done(self, done: Done) -> None:
        self._mind_failure(done.failure)
        if done.tended is not None:
            self._tended(done.tended)
        run = self._run_of(done)
        if run is not None:
            self.look()
            self.outcomes.published(run, done)
        elif done.failure is not None:
            order, failure = type(done.order).__name__.lower(), done.failure
            self.log.fact("publisher failed", order=order, error=failure.message, trace=failure.trace)

    def _tended(self, tended: Tended) -> None:
        compacted = ",".join(map(str, tended.compacted))
        what = "lake tended" if tended.complete else "lake tended in part"
        self.log.fact(what, snapshots=tended.expired, files=tended.removed, compacted=compacted)
        if tended.complete:
            self._upkeep.ended()

    def _run_of(self, done: Done) -> Run | None:
        """The run an order was about that decides its fate."""
        if isinstance(done.order, Sealed | Orphan):
            return self.outcomes.attempt(done.order.job.id, done.order.job.attempt)
        return None

    def _end_cancelled(self, job: LoaderJob) -> None:
        run = self.outcomes.runs.get(job.id)
        worker = self.crew.working_on(job.id)
        if run is not None and worker is not None and job.cancel_asked and not run.cancelled:
            run.cancelled = True
            worker.end("cancelled")
            self.log.fact("load is being cancelled", **about(job))


def _now() -> datetime:
    return datetime.now(UTC)
