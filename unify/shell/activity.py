"""What goes on in the background while a person is at the prompt: loads that run, loads that have ended.

The line at the bottom: what loads, which connection has a problem, and what keys do if there is room.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from unify.errors import UnifyError
from unify.render.formats.layout import text_width, truncate_text
from unify.text import escape_text, format_count

if TYPE_CHECKING:
    from prompt_toolkit.formatted_text import StyleAndTextTuples

    from unify.config.settings import Settings
    from unify.model import LoaderJob, LoaderStatus
    from unify.queue.queue import Queue


POLL_INTERVAL_S = 1.0  # how often the queue is asked; one small read of a local file
MAX_RECENT_JOBS = 50  # jobs looked at; more do not end within a second


@dataclass(frozen=True, slots=True)
class Activity:
    """``running`` loads, those a worker has before those in the queue; ``problems`` by connection."""

    running: tuple[LoaderStatus, ...] = ()
    problems: Mapping[str, str] = field(default_factory=dict)
    ended: tuple[LoaderStatus, ...] = ()


class ActivityProbe(Protocol):
    """Looks at how things stand; ``ended`` holds what has ended since the last look."""

    def __call__(self) -> Activity: ...

    def close(self) -> None: ...


class ActivityMonitor:
    """Looks once a second, in a thread of its own.

    ``ended``    is told of each load that ended, once, while a prompt is up.
    ``changed``  is called when ``activity`` has.
    ``mistake``  is told of a fault of ours; then the looking is over.
    """

    def __init__(
        self,
        probe: ActivityProbe,
        *,
        on_ended: Callable[[LoaderStatus], None],
        on_changed: Callable[[], None],
        on_internal_error: Callable[[BaseException], None],
    ) -> None:
        self.activity = Activity()
        self._probe = probe
        self._on_ended = on_ended
        self._on_changed = on_changed
        self._on_internal_error = on_internal_error
        self._unreported: list[LoaderStatus] = []
        self._stop_requested = threading.Event()
        self._prompt_is_up = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="watch", daemon=True)

    def resume(self) -> None:
        """A prompt is up: whoever looks at it wants to know."""
        self._prompt_is_up.set()
        if not self._thread.ident:
            self._thread.start()

    def pause(self) -> None:
        """A statement runs, and its output belongs to it."""
        self._prompt_is_up.clear()

    def close(self) -> None:
        self._stop_requested.set()
        self._prompt_is_up.set()
        if self._thread.ident:
            self._thread.join()
        self._probe.close()

    def _poll(self) -> None:
        while not self._stop_requested.is_set():
            self._prompt_is_up.wait()
            try:
                self._publish(self._probe())
            except UnifyError:
                self.activity = Activity()  # the next statement says what is wrong
            except Exception as error:  # noqa: BLE001 — a thread's last border: told without a traceback
                self._on_internal_error(error)
                return
            self._stop_requested.wait(POLL_INTERVAL_S)

    def _publish(self, activity: Activity) -> None:
        self._unreported += activity.ended
        while self._unreported and self._prompt_is_up.is_set():
            self._on_ended(self._unreported.pop(0))
        before, self.activity = self.activity, activity
        if before != activity:
            self._on_changed()


class QueueActivityProbe:
    """Looks into the queue, at the daemon's loads, and into connections.yaml when it changes.

    ``told``  ids of jobs whose end somebody has seen who waited for them.
    """

    def __init__(
        self, settings: Settings, environment: Mapping[str, str], reported_jobs: Callable[[], set[int]]
    ) -> None:
        self.settings = settings
        self.environment = environment
        self.reported_jobs = reported_jobs
        self._started_at = datetime.now(UTC)
        self._seen_jobs: set[int] = set()  # those that have been told here
        self._queue: Queue | None = None
        self._connections_mtime_ns: int | None = None
        self._problems: Mapping[str, str] = {}

    def __call__(self) -> Activity:
        jobs = self._recent_jobs()
        running = [job for job in jobs if job.state.active]
        ended = [job for job in jobs if self._is_unreported(job)]
        self._seen_jobs.update(job.id for job in ended)
        live = self._live_statuses() if running or ended else {}
        return Activity(
            tuple(_job_status(job, live) for job in sorted(running, key=_running_order)),
            self._connection_problems(),
            tuple(_job_status(job, live) for job in ended),
        )

    def close(self) -> None:
        if self._queue is not None:
            self._queue.close()

    def _recent_jobs(self) -> Sequence[LoaderJob]:
        if self._queue is None:
            if not self.settings.queue.exists():
                return ()  # looking makes no home
            from unify.queue.queue import Queue

            self._queue = Queue(self.settings.queue)
        return self._queue.recent_jobs(MAX_RECENT_JOBS)

    def _is_unreported(self, job: LoaderJob) -> bool:
        """Ended since we look, asked for by a person, and not seen to end by anybody here."""
        from unify.model import Priority

        if (
            job.finished_at is None
            or job.finished_at < self._started_at
            or job.priority != Priority.INTERACTIVE
        ):
            return False
        return job.id not in self._seen_jobs and job.id not in self.reported_jobs()

    def _live_statuses(self) -> Mapping[int, LoaderStatus]:
        from unify.errors import DaemonUnreachable
        from unify.status.client import StatusClient
        from unify.status.launch import is_daemon_running

        if not is_daemon_running(self.settings):
            return {}
        try:
            with StatusClient(self.settings.socket_folder, timeout_s=POLL_INTERVAL_S) as client:
                return {status.job: status for status in client.snapshot()}
        except DaemonUnreachable:
            return {}

    def _connection_problems(self) -> Mapping[str, str]:
        try:
            changed_at = self.settings.connections.stat().st_mtime_ns
        except OSError:
            return {}
        if changed_at != self._connections_mtime_ns:
            from unify.interpreter.connections import ConnectionCatalog

            self._connections_mtime_ns = changed_at
            problems = ConnectionCatalog(self.settings, self.environment, _ignore_notice).problems()
            self._problems = {name: error.message for name, error in problems.items()}
        return self._problems


def _ignore_notice(_notice: str) -> None:
    """Warnings about connections are told by the statements that use them."""


def _running_order(job: LoaderJob) -> tuple[bool, int]:
    from unify.model import JobState

    return job.state is JobState.QUEUED, job.id


def _job_status(job: LoaderJob, live_statuses: Mapping[int, LoaderStatus]) -> LoaderStatus:
    """How far a job is, as far as the daemon tells; that it has ended is the queue's word."""
    from msgspec.structs import replace

    from unify.model import LoaderStatus

    told = live_statuses.get(job.id) or LoaderStatus(job.id, job.table, job.action, job.state)
    if job.state.active:
        return told if told.state.active else replace(told, state=job.state)
    began = job.started_at or job.created_at
    elapsed_s = told.elapsed_s or ((job.finished_at or began) - began).total_seconds()
    return replace(told, state=job.state, error=job.error, elapsed_s=elapsed_s)


MAX_TOOLBAR_LOADS = 2
KEY_HINTS = (
    "Tab completes",
    "Ctrl-R searches",
    "Alt-Enter runs",
    "Ctrl-X Ctrl-E edits",
    "F4 {keys}",
    r"\? helps",
)


def render_toolbar(activity: Activity, width: int, keys_hint: str) -> StyleAndTextTuples:
    """The pieces of the line, at most ``width`` wide. Hints go first, the last one first; then loads."""
    parts = [("class:toolbar.load", text) for text in _load_texts(activity.running)]
    if activity.problems:
        parts.append(("class:toolbar.problem", _problem_text(activity)))
    for hint in KEY_HINTS:
        piece = ("class:toolbar.hint", hint.replace("{keys}", keys_hint))
        if _toolbar_width([*parts, piece]) > width:
            break
        parts.append(piece)
    return _join_parts(parts, width)


def _load_texts(running: Sequence[LoaderStatus]) -> list[str]:
    shown = [_load_text(status) for status in running[:MAX_TOOLBAR_LOADS]]
    if len(running) > MAX_TOOLBAR_LOADS:
        shown.append(f"+{len(running) - MAX_TOOLBAR_LOADS}")
    return shown


def _load_text(status: LoaderStatus) -> str:
    """``github.pulls 1,300 rows 13/40``."""
    from unify.model import JobState

    if status.state is JobState.QUEUED:
        return escape_text(f"{status.table} queued")
    pages = f" {status.pages}/{status.pages_total}" if status.pages_total else ""
    return escape_text(f"{status.table} {format_count(status.rows, 'row')}{pages}")


def _problem_text(activity: Activity) -> str:
    names = list(activity.problems)
    more = f" +{len(names) - 1}" if len(names) > 1 else ""
    return escape_text(f"connection {names[0]}{more} cannot be used")


def _toolbar_width(parts: Sequence[tuple[str, str]]) -> int:
    return sum(text_width(text) for _, text in parts) + 3 * max(0, len(parts) - 1) + 1


def _join_parts(parts: Sequence[tuple[str, str]], width: int) -> StyleAndTextTuples:
    pieces: StyleAndTextTuples = [("class:toolbar", " ")]
    left = width - 1
    for number, (style, text) in enumerate(parts):
        between = " · " if number else ""
        room = left - len(between)
        if room < 1:
            break
        shown = truncate_text(text, room)
        pieces += [("class:toolbar", between), (style, shown)]
        left = room - text_width(shown)
    return pieces
