"""Background activity at the prompt: running and ended loads, problems of connections, and the toolbar."""

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


POLL_INTERVAL_S = 1.0  # between reads of the queue, a local file
MAX_RECENT_JOBS = 50  # jobs read at a time; more do not end within a second


@dataclass(frozen=True, slots=True)
class Activity:
    """The state of background work.

    ``running``   running loads, then queued ones.
    ``problems``  error messages by connection.
    ``ended``     loads that have ended since the last poll.
    """

    running: tuple[LoaderStatus, ...] = ()
    problems: Mapping[str, str] = field(default_factory=dict)
    ended: tuple[LoaderStatus, ...] = ()


class ActivityProbe(Protocol):
    """Returns the current activity."""

    def __call__(self) -> Activity: ...

    def close(self) -> None: ...


class ActivityMonitor:
    """Polls the activity once a second in a thread.

    ``on_ended``           called once for each load that has ended, while a prompt is on screen.
    ``on_changed``         called when ``activity`` has changed.
    ``on_internal_error``  called with an unexpected error, which ends the polling.
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
        """Report activity: a prompt is on screen."""
        self._prompt_is_up.set()
        if not self._thread.ident:
            self._thread.start()

    def pause(self) -> None:
        """Stop reporting: a statement is running."""
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
                self.activity = Activity()  # the next statement reports the error
            except Exception as error:  # noqa: BLE001 — reports an unexpected error of the thread
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
    """Reads the queue, the daemon's status, and connections.yaml when it changes.

    ``reported_jobs``  returns ids of jobs whose end the user has seen.
    """

    def __init__(
        self, settings: Settings, environment: Mapping[str, str], reported_jobs: Callable[[], set[int]]
    ) -> None:
        self.settings = settings
        self.environment = environment
        self.reported_jobs = reported_jobs
        self._started_at = datetime.now(UTC)
        self._seen_jobs: set[int] = set()  # ended jobs that were returned
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
                return ()  # do not create a home folder
            from unify.queue.queue import Queue

            self._queue = Queue(self.settings.queue)
        return self._queue.recent_jobs(MAX_RECENT_JOBS)

    def _is_unreported(self, job: LoaderJob) -> bool:
        """Whether an interactive job has ended since the prompt started and its end was not shown."""
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
    """Statements that use a connection report its warnings."""


def _running_order(job: LoaderJob) -> tuple[bool, int]:
    from unify.model import JobState

    return job.state is JobState.QUEUED, job.id


def _job_status(job: LoaderJob, live_statuses: Mapping[int, LoaderStatus]) -> LoaderStatus:
    """Combine the daemon's progress of a job with its state in the queue, which is authoritative."""
    from msgspec.structs import replace

    from unify.model import LoaderStatus

    status = live_statuses.get(job.id) or LoaderStatus(job.id, job.table, job.action, job.state)
    if job.state.active:
        return status if status.state.active else replace(status, state=job.state)
    started_at = job.started_at or job.created_at
    elapsed_s = status.elapsed_s or ((job.finished_at or started_at) - started_at).total_seconds()
    return replace(status, state=job.state, error=job.error, elapsed_s=elapsed_s)


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
    """Return the toolbar in at most ``width`` columns: loads, problems, then as many key hints as fit."""
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
    texts = [_load_text(status) for status in running[:MAX_TOOLBAR_LOADS]]
    if len(running) > MAX_TOOLBAR_LOADS:
        texts.append(f"+{len(running) - MAX_TOOLBAR_LOADS}")
    return texts


def _load_text(status: LoaderStatus) -> str:
    """Return ``github.pulls 1,300 rows 13/40``."""
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
        separator = " · " if number else ""
        left -= len(separator)
        if left < 1:
            break
        shown = truncate_text(text, left)
        pieces += [("class:toolbar", separator), (style, shown)]
        left -= text_width(shown)
    return pieces
