"""``system …``: shows and controls background work."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from unify.config.settings import Settings
from unify.errors import DaemonUnreachable, UnknownName
from unify.interpreter import state
from unify.interpreter.query.load_client import LoadClient
from unify.interpreter.results import Message, TextOutput
from unify.model import Action, JobState, LoaderJob, LoaderStatus, TableName
from unify.queue.queue import Queue
from unify.queue.scripts import RunStatus
from unify.text import format_count

MAX_STATUS_LINES = 50  # about one screen; keeps the status fast with 10,000 queued jobs
MAX_NAMED_JOBS = 10
STATUS_TIMEOUT_S = 3.0  # afterwards the status comes from the queue alone
ACTION_VERBS = {
    Action.LOAD: "Loading",
    Action.REFRESH: "Refreshing",
    Action.RELOAD: "Reloading",
    Action.WRITE: "Writing",
}


class SystemCommands:
    """Shows and controls the daemon and its jobs.

    The status is complete without the daemon, and has progress with it. ZeroMQ is imported on first use.
    """

    def __init__(
        self,
        settings: Settings,
        queue: Queue,
        load_client: LoadClient,
        find_stored_name: Callable[[TableName], TableName] | None = None,
    ) -> None:
        self.settings = settings
        self.queue = queue
        self.load_client = load_client
        self._find_stored_name = find_stored_name

    def status(self) -> TextOutput:
        from unify.status.launch import is_daemon_running

        running = is_daemon_running(self.settings)
        jobs, count = self.queue.next_active_jobs(MAX_STATUS_LINES)
        note, live = self._fetch_daemon_status(bool(jobs)) if running else ("", {})
        lines = [f"Data loading daemon is {'running' if running else 'not running'}"]
        lines += [note] if note else []
        now = datetime.now(UTC)
        pauses = self.queue.pauses.list(self.settings.tenant)
        tasks = task_lines(
            [state.mark_paused(live.get(job.id) or _status_from_queue(job), pauses) for job in jobs],
            now,
        )
        if count > len(jobs):
            tasks.append(
                f"   and {format_count(count - len(jobs), 'load')} more, queued (show jobs lists them)"
            )
        tasks += self._script_lines(now) if running else []
        lines += ["Tasks:", *tasks] if tasks else ["No tasks"]
        if pauses:
            lines.append(f"Paused: {', '.join(map(str, pauses))} (resume NAME)")
        return TextOutput("\n".join(lines))

    def start(self) -> Message:
        from unify.status.launch import ensure_daemon, is_daemon_running

        already = is_daemon_running(self.settings)
        ensure_daemon(self.settings)
        return Message(f"the daemon {'was running already' if already else 'is running'}")

    def stop(self) -> Message:
        from unify.status.launch import stop_daemon

        stopped = stop_daemon(self.settings)
        return Message("the daemon has stopped" if stopped else "the daemon was not running")

    def restart(self) -> Message:
        from unify.status.launch import ensure_daemon, stop_daemon

        self.queue.recent_jobs(1)  # a home that a newer version has taken over keeps its daemon
        stop_daemon(self.settings)
        ensure_daemon(self.settings)
        return Message("the daemon was restarted")

    def cancel(self, id: int) -> Message:
        job = self.load_client.cancel(id)
        if job is None:
            raise UnknownName(f"job {id} does not exist (show jobs lists them)")
        if job.state is JobState.CANCELLED:
            return Message(f"job {id} ({job.table}) is cancelled")
        if job.state.active:
            return Message(f"job {id} ({job.table}) is being cancelled")
        return Message(f"job {id} ({job.table}) had ended already: {job.state.value}")

    def cancel_client(self, id: int) -> Message:
        """Ask the server to end the statement of a client; its loads go on."""
        from unify.activity.store import ActivityStore

        with ActivityStore(self.settings.activity) as activity:
            found = activity.ask_cancel(id)
        if found is None:
            raise UnknownName(f"client {id} does not exist, or its statement has ended (show clients)")
        return Message(f"the statement of client {id} ({found.user}) is being cancelled")

    def retry(self, id: int) -> Message:
        job = self.queue.find(id)
        if job is None:
            raise UnknownName(f"job {id} does not exist (show jobs lists them)")
        again = self.load_client.retry(id)
        if again is None:
            return Message(
                f"job {id} ({job.table}) succeeded; {job.action.value} table {job.table} loads it again"
            )
        return Message(f"job {again.id} ({again.table}) is {again.state.value}")

    def retry_all(self) -> Message:
        """Queue every table again whose last load failed."""
        jobs = self.load_client.retry_all()
        if not jobs:
            return Message("no load to retry: no table's last load failed")
        names = ", ".join(f"{job.table} (job {job.id})" for job in jobs[:MAX_NAMED_JOBS])
        more = f" and {len(jobs) - MAX_NAMED_JOBS:,} more" if len(jobs) > MAX_NAMED_JOBS else ""
        return Message(f"{format_count(len(jobs), 'load')} queued again: {names}{more}")

    def pause(self, target: TableName) -> Message:
        """Pause the loads of a connection or table; a load in progress goes on."""
        name = self._canonical_target(target)
        new = self.queue.pauses.pause(self.settings.tenant, name.schema, name.table, datetime.now(UTC))
        shown = _target_text(name)
        if not new:
            return Message(f"{shown} is paused already; resume {shown} ends the pause")
        running = [
            job
            for job in self.queue.active_jobs()
            if job.state is not JobState.QUEUED and name.table in ("", job.table.table)
            if job.table.schema == name.schema and job.tenant == self.settings.tenant
        ]
        still = "".join(f"; job {job.id} ({job.table}) is running and goes on" for job in running)
        return Message(f"{shown} is paused: no load of it starts until resume {shown}{still}")

    def resume(self, target: TableName) -> Message:
        """End a pause. Raises UnknownName if neither the connection nor the table is paused."""
        name = self._canonical_target(target)
        if not self.load_client.resume(name):
            pauses = self.queue.pauses
            covering = pauses.find(self.settings.tenant, name) if name.table else None
            hint = f"; its connection is: resume {covering}" if covering else ""
            raise UnknownName(f"{_target_text(name)} is not paused{hint}")
        return Message(f"{_target_text(name)} is resumed")

    def _canonical_target(self, target: TableName) -> TableName:
        """Return the names as connections.yaml and the adapter spell them; table "": the connection.

        A name that is paused needs no connection: it may have been removed from connections.yaml.
        """
        paused = [
            TableName(one.connection, one.table) for one in self.queue.pauses.list(self.settings.tenant)
        ]
        if target in paused:
            return target
        connections = self.load_client.connections
        if target.table:
            find = self._find_stored_name or connections.require_stored
            return find(target)
        return TableName(connections.connection(target.schema).name, "")

    def _script_lines(self, now: datetime) -> list[str]:
        """One line per running script, with its error if there is one."""
        running = [run for run in self.queue.scripts.latest_runs() if run.status is RunStatus.RUNNING]
        return [
            "  ".join(
                [
                    f"   Running script: {run.name}",
                    elapsed_text((now - run.started_at).total_seconds()),
                    run.error,
                ]
            ).rstrip()
            for run in running
        ]

    def _fetch_daemon_status(self, has_jobs: bool) -> tuple[str, dict[int, LoaderStatus]]:
        """Return why the daemon starts no work or does not respond, and the progress of each job."""
        from unify.status.client import StatusClient
        from unify.status.launch import is_daemon_suspended, unresponsive_message

        if is_daemon_suspended(self.settings):
            return unresponsive_message(self.settings), {}
        try:
            with StatusClient(self.settings.socket_folder, STATUS_TIMEOUT_S) as client:
                reason = client.ping().waiting
                progress = {status.job: status for status in client.snapshot()} if has_jobs else {}
        except DaemonUnreachable:
            return unresponsive_message(self.settings), {}
        return f"waiting: {reason}; work resumes automatically" if reason else "", progress


def _target_text(target: TableName) -> str:
    return str(target) if target.table else target.schema


MIN_EXPLAINED_WAIT = timedelta(seconds=5)  # of a script; shorter ones are usual


def task_lines(tasks: list[LoaderStatus], now: datetime) -> list[str]:
    """Return one aligned line per task: table, rows, pages, elapsed time."""
    titles = [f"{ACTION_VERBS[task.action]} table: {task.table}" for task in tasks]
    width = max(map(len, titles), default=0)
    return [
        f"   {title:<{width}}  {progress_text(task, now)}".rstrip()
        for title, task in zip(titles, tasks, strict=True)
    ]


def progress_text(task: LoaderStatus, now: datetime) -> str:
    """``1,300 rows  13 of 40 pages  0:00:09``, ``1,300 rows of about 5,200 (25%)``; no unknown parts."""
    if task.state is JobState.QUEUED:
        return f"queued  {state.wait_reason(task)}" if task.blocked_by else _queued_text(task, now)
    parts = [f"{format_count(task.rows, 'row'):>12}"]
    if task.pages_total:
        parts.append(f"{task.pages:,} of {task.pages_total:,} pages")
    if task.rows_total:
        share = min(99, 100 * task.rows // task.rows_total)
        parts[0] += f" of about {task.rows_total:,} ({share}%)"
    parts.append(elapsed_text(task.elapsed_s))
    if task.resumed:
        parts.append(f"resumed after {task.resumed}")
    if task.waiting_until is not None and task.waiting_until > now:
        left_s = (task.waiting_until - now).total_seconds()
        parts.append(f"rate limited, resumes in {max(1, round(left_s))} s")
    if task.blocked_by:
        parts.append(state.wait_reason(task))
    elif task.state is JobState.PUBLISHING:
        parts.append("publishing")
    return "  ".join(parts)


def waiting_text(task: LoaderStatus, now: datetime) -> str:
    """Return why a load does not go on, in a text that stays the same meanwhile; "" if it does."""
    if task.blocked_by:
        return state.wait_reason(task)
    until = task.waiting_until
    if until is None or until <= now + MIN_EXPLAINED_WAIT:
        return ""
    moment = f"{until.astimezone():%Y-%m-%d %H:%M:%S}"
    if task.state is JobState.QUEUED:
        error = task.error.removeprefix(f"{task.table}: ").partition("\n")[0]
        return f"tried again at {moment}: {error}" if error else ""
    return f"rate limited, the load continues at {moment}"


def _queued_text(task: LoaderStatus, now: datetime) -> str:
    """``queued``, or for a job that failed: ``queued  again in 4 s: GET … returned 503``."""
    if not task.error or task.waiting_until is None:
        return "queued"
    left_s = (task.waiting_until - now).total_seconds()
    error = task.error.removeprefix(f"{task.table}: ").partition("\n")[0]
    return f"queued  again in {max(1, round(left_s))} s: {error}" if left_s > 0 else f"queued  again: {error}"


def rate_text(task: LoaderStatus, now: datetime) -> str:
    """``144 rows/s  0:00:18 left``; the time left only if the number of pages or rows is known.

    Empty in the first second and while the load is rate limited.
    """
    is_waiting = task.waiting_until is not None and task.waiting_until > now
    if task.state is not JobState.RUNNING or is_waiting or task.elapsed_s < 1 or not task.rows:
        return ""
    parts = [f"{task.rows / task.elapsed_s:,.0f} rows/s"]
    if task.pages_total and 0 < task.pages < task.pages_total:
        left_s = task.elapsed_s * (task.pages_total - task.pages) / task.pages
        parts.append(f"{elapsed_text(left_s + 0.5)} left")
    elif task.rows_total and task.rows < task.rows_total:
        left_s = task.elapsed_s * (task.rows_total - task.rows) / task.rows
        parts.append(f"{elapsed_text(left_s + 0.5)} left")
    return "  ".join(parts)


def elapsed_text(seconds: float) -> str:
    """``0:00:09``: hours, minutes, seconds."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def _status_from_queue(job: LoaderJob) -> LoaderStatus:
    """Return the status of a job without progress, if the daemon does not report it."""
    elapsed_s = (datetime.now(UTC) - job.started_at).total_seconds() if job.started_at else 0.0
    status = LoaderStatus(job.id, job.table, job.action, job.state, elapsed_s=elapsed_s)
    queued = job.state is JobState.QUEUED
    return replace(status, waiting_until=job.start_at, error=job.error) if queued else status
