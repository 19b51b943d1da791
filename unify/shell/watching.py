"""What goes on in the background while a person is at the prompt: loads that run, loads that have ended."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from unify.errors import UnifyError

if TYPE_CHECKING:
    from unify.model import LoaderJob, LoaderStatus
    from unify.settings import Settings
    from unify.store.queue import Queue

LOOK_S = 1.0  # how often the queue is asked; one small read of a local file
RECENT = 50  # jobs looked at; more do not end within a second


@dataclass(frozen=True, slots=True)
class Activity:
    """``running`` loads, those a worker has before those in the queue; ``problems`` by connection."""

    running: tuple[LoaderStatus, ...] = ()
    problems: Mapping[str, str] = field(default_factory=dict)
    ended: tuple[LoaderStatus, ...] = ()


class Look(Protocol):
    """Looks at how things stand; ``ended`` holds what has ended since the last look."""

    def __call__(self) -> Activity: ...

    def close(self) -> None: ...


class Watch:
    """Looks once a second, in a thread of its own.

    ``ended``    is told of each load that ended, once, while a prompt is up.
    ``changed``  is called when ``activity`` has.
    ``mistake``  is told of a fault of ours; then the looking is over.
    """

    def __init__(
        self,
        look: Look,
        *,
        ended: Callable[[LoaderStatus], None],
        changed: Callable[[], None],
        mistake: Callable[[BaseException], None],
    ) -> None:
        self.activity = Activity()
        self._look = look
        self._ended = ended
        self._changed = changed
        self._mistake = mistake
        self._untold: list[LoaderStatus] = []
        self._stop = threading.Event()
        self._prompt_is_up = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def resume(self) -> None:
        """A prompt is up: whoever looks at it wants to know."""
        self._prompt_is_up.set()
        if not self._thread.ident:
            self._thread.start()

    def pause(self) -> None:
        """A statement runs, and its output belongs to it."""
        self._prompt_is_up.clear()

    def close(self) -> None:
        self._stop.set()
        self._prompt_is_up.set()
        if self._thread.ident:
            self._thread.join()
        self._look.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._prompt_is_up.wait()
            try:
                self._tell(self._look())
            except UnifyError:
                self.activity = Activity()  # the next statement says what is wrong
            except Exception as error:  # noqa: BLE001 — a thread's last border: told without a traceback
                self._mistake(error)
                return
            self._stop.wait(LOOK_S)

    def _tell(self, seen: Activity) -> None:
        self._untold += seen.ended
        while self._untold and self._prompt_is_up.is_set():
            self._ended(self._untold.pop(0))
        before, self.activity = self.activity, seen
        if before != seen:
            self._changed()


class QueueLook:
    """Looks into the queue, at the daemon's loads, and into connections.yaml when it changes.

    ``told``  ids of jobs whose end somebody has seen who waited for them.
    """

    def __init__(
        self, settings: Settings, environment: Mapping[str, str], told: Callable[[], set[int]]
    ) -> None:
        self.settings = settings
        self.environment = environment
        self.told = told
        self._since = datetime.now(UTC)
        self._known: set[int] = set()  # those that have been told here
        self._queue: Queue | None = None
        self._read_at: int | None = None
        self._problems: Mapping[str, str] = {}

    def __call__(self) -> Activity:
        jobs = self._jobs()
        running = [job for job in jobs if job.state.active]
        ended = [job for job in jobs if self._is_news(job)]
        self._known.update(job.id for job in ended)
        live = self._live() if running or ended else {}
        return Activity(
            tuple(_status(job, live) for job in sorted(running, key=_order)),
            self._connection_problems(),
            tuple(_status(job, live) for job in ended),
        )

    def close(self) -> None:
        if self._queue is not None:
            self._queue.close()

    def _jobs(self) -> Sequence[LoaderJob]:
        if self._queue is None:
            if not self.settings.queue.exists():
                return ()  # looking makes no home
            from unify.store.queue import Queue

            self._queue = Queue(self.settings.queue)
        return self._queue.recent(RECENT)

    def _is_news(self, job: LoaderJob) -> bool:
        """Ended since we look, asked for by a person, and not seen to end by anybody here."""
        from unify.model import Priority

        if job.finished_at is None or job.finished_at < self._since or job.priority != Priority.PERSON:
            return False
        return job.id not in self._known and job.id not in self.told()

    def _live(self) -> Mapping[int, LoaderStatus]:
        from unify.errors import DaemonUnreachable
        from unify.status.client import StatusClient
        from unify.status.launch import daemon_running

        if not daemon_running(self.settings):
            return {}
        try:
            with StatusClient(self.settings.run, timeout_s=LOOK_S) as client:
                return {status.job: status for status in client.snapshot()}
        except DaemonUnreachable:
            return {}

    def _connection_problems(self) -> Mapping[str, str]:
        try:
            changed_at = self.settings.connections.stat().st_mtime_ns
        except OSError:
            return {}
        if changed_at != self._read_at:
            from unify.interpreter.sources import Sources

            self._read_at = changed_at
            problems = Sources(self.settings, self.environment, _unheard).problems()
            self._problems = {name: error.message for name, error in problems.items()}
        return self._problems


def _unheard(_notice: str) -> None:
    """Warnings about connections are told by the statements that use them."""


def _order(job: LoaderJob) -> tuple[bool, int]:
    from unify.model import JobState

    return job.state is JobState.QUEUED, job.id


def _status(job: LoaderJob, live: Mapping[int, LoaderStatus]) -> LoaderStatus:
    """How far a job is, as far as the daemon tells; that it has ended is the queue's word."""
    from msgspec.structs import replace

    from unify.model import LoaderStatus

    told = live.get(job.id) or LoaderStatus(job.id, job.table, job.action, job.state)
    if job.state.active:
        return told if told.state.active else replace(told, state=job.state)
    began = job.started_at or job.created_at
    elapsed_s = told.elapsed_s or ((job.finished_at or began) - began).total_seconds()
    return replace(told, state=job.state, error=job.error, elapsed_s=elapsed_s)
