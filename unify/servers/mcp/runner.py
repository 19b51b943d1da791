"""Runs the work of tools in threads, with a time limit, and records each call."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TypeVar

from msgspec import Struct

from unify.activity.records import AgentCall
from unify.activity.store import ActivityStore
from unify.adapters.http.request_log import RequestLog
from unify.config.settings import Settings
from unify.errors import NotPermitted, StoreError, UnifyError
from unify.interpreter.restriction import Restriction
from unify.lake import ledger
from unify.lake.lake import Lake
from unify.load.protocol import make_bug_failure
from unify.model import LoaderStatus
from unify.queue.queue import Queue
from unify.servers.event_log import EventLog
from unify.servers.mcp.limits import MAX_ERROR_CHARS, AgentLimits, CallBudget
from unify.servers.statements.sessions import RestrictedSession, SessionPool
from unify.servers.statements.statement import StatementCancelled

MAX_THREADS = 4
INTERRUPT_INTERVAL_S = 0.1

Work = TypeVar("Work")
ProgressListener = Callable[[Sequence[LoaderStatus]], None]


class CallFailed(UnifyError):
    """The message of a failed call, as the agent sees it: bounded, without paths."""


class CalledTool(Struct, frozen=True):
    """A call: who calls which tool with what. ``restriction``: what the user of the agent may do."""

    agent: str
    tool: str
    statement: str
    restriction: Restriction


class AgentRunner:
    """The sessions, the budget and the log of one server."""

    def __init__(
        self, settings: Settings, environment: Mapping[str, str], limits: AgentLimits, log: EventLog
    ) -> None:
        self.settings = settings
        self.limits = limits
        self.budget = CallBudget(limits.calls)
        self._log = log
        self._activity = ActivityStore(settings.activity)
        self._sessions = SessionPool(settings, environment)
        self._threads = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="agent")
        self._lock = threading.Lock()
        self._uncounted: set[int] = set()  # jobs of agents whose requests are not in the budget yet

    def warm_up(self) -> None:
        """Open a session for the first call, in a thread: that takes most of a second."""
        self._threads.submit(self._open_session)

    def _open_session(self) -> None:
        try:
            with self._sessions.use(self.limits.restriction()) as session:
                session.interpreter.session.lake.refresh()
        except StoreError as error:
            self._log.write_limited("agents.home_unreadable", error=error.message)

    def close(self) -> None:
        self._threads.shutdown(wait=True)
        self._sessions.close()
        self._activity.close()

    async def run(
        self,
        call: CalledTool,
        work: Callable[[RestrictedSession], Work],
        on_progress: ProgressListener = lambda _statuses: None,
    ) -> Work:
        """Run ``work`` on a session within the time limit, and record the call. Raises CallFailed."""
        running = _RunningCall(on_progress, self._follow)
        started_s = time.monotonic()
        future = asyncio.get_running_loop().run_in_executor(
            self._threads, self._run_counted, call.restriction, work, running
        )
        try:
            result = await self._await_result(future, running)
        except Exception as error:
            failure = self._explain(error, running)
            decision = "refused" if isinstance(error, NotPermitted) else "failed"
            self._record(call, running, decision, started_s, failure.message)
            raise failure from error
        if isinstance(result, dict) and isinstance(result.get("rows"), list):
            running.rows = len(result["rows"])
        self._record(call, running, "allowed", started_s)
        return result

    def follow_job(self, job: int) -> None:
        """Count the requests of a job in the budget when it has ended."""
        self._follow([job])

    async def _await_result(self, future: asyncio.Future[Work], running: _RunningCall) -> Work:
        limit_s = self.limits.seconds
        try:
            return await asyncio.wait_for(asyncio.shield(future), limit_s)
        except TimeoutError:
            await _end(future, running, f"no answer within {limit_s:g} s; loads go on: job shows them")
            raise StatementCancelled(running.reason) from None
        except asyncio.CancelledError:
            await asyncio.shield(_end(future, running, "the agent has cancelled the call"))
            raise

    def _run_counted(
        self, restriction: Restriction, work: Callable[[RestrictedSession], Work], running: _RunningCall
    ) -> Work:
        with self._sessions.use(restriction) as session:
            running.attach(session)
            before, began_at = self.budget.used, datetime.now(UTC)
            try:
                self._settle(session)
                return work(session)
            finally:
                self._settle(session)
                self.budget.add(self._count_live_requests(began_at))
                running.calls = self.budget.used - before
                running.detach()

    def _follow(self, jobs: Sequence[int]) -> None:
        with self._lock:
            self._uncounted.update(jobs)

    def _settle(self, session: RestrictedSession) -> None:
        """Add the requests of jobs that have ended to the budget."""
        with self._lock:
            jobs, self._uncounted = self._uncounted, set()
        if not jobs:
            return
        inner = session.interpreter.session
        inner.lake.refresh()
        left = {job for job in jobs if not self._count_job(job, inner.queue, inner.lake)}
        self._follow(list(left))

    def _count_job(self, id: int, queue: Queue, lake: Lake) -> bool:
        """Add the requests of a job; False if it has not ended."""
        job = queue.find(id)
        if job is None:
            return True
        record = ledger.find_load(lake, job.uid)
        if record is None and (job.state.active or job.unrecorded):
            return False
        self.budget.add(record.requests if record is not None else 1)
        return True

    def _count_live_requests(self, since: datetime) -> int:
        """Return the requests without a job since then: those of live tables, of other sessions too."""
        log = RequestLog(self.settings.request_log)
        return sum(one.job is None and one.at >= since for one in log.read_recent(datetime.now(UTC)))

    def _explain(self, error: Exception, running: _RunningCall) -> CallFailed:
        if running.reason:
            text = running.reason
        elif isinstance(error, UnifyError):
            text = error.message
        else:
            fault = make_bug_failure(error, self._log.redactor)
            self._log.write_limited("server.internal_error", error=fault.message, trace=fault.trace)
            text = "internal error; the log of the server has the details"
        text = self._log.redactor.redact(text.replace(str(self.settings.home), "HOME"))
        return CallFailed(text if len(text) <= MAX_ERROR_CHARS else f"{text[:MAX_ERROR_CHARS]}…")

    def _record(
        self, call: CalledTool, running: _RunningCall, decision: str, started_s: float, error: str = ""
    ) -> None:
        statement = self._log.redactor.redact(call.statement)
        seconds = time.monotonic() - started_s
        record = AgentCall(
            call.agent,
            call.tool,
            statement,
            decision,
            running.rows,
            running.calls,
            seconds,
            error,
            datetime.now(UTC),
        )
        try:
            self._activity.add_call(record)
        except StoreError as failure:
            self._log.write_limited("server.activity_unwritable", error=failure.message)


class _RunningCall:
    """A call while it runs."""

    def __init__(self, on_progress: ProgressListener, follow: Callable[[Sequence[int]], None]) -> None:
        self.reason = ""  # why it was cancelled
        self.rows = 0
        self.calls = 0
        self._on_progress = on_progress
        self._follow = follow
        self._session: RestrictedSession | None = None

    def attach(self, session: RestrictedSession) -> None:
        self._session = session
        session.on_progress = self._report
        self._check()

    def detach(self) -> None:
        self._session = None

    def cancel(self, reason: str) -> None:
        self.reason = self.reason or reason
        if (session := self._session) is not None:
            session.interrupt()

    def _check(self) -> None:
        if self.reason:
            raise StatementCancelled(self.reason)

    def _report(self, statuses: Sequence[LoaderStatus]) -> None:
        self._follow([status.job for status in statuses])
        self._on_progress(statuses)
        self._check()


async def _end(future: asyncio.Future[Work], running: _RunningCall, reason: str) -> None:
    """Cancel a call and wait until its thread has ended."""
    while not future.done():
        running.cancel(reason)
        await asyncio.wait([future], timeout=INTERRUPT_INTERVAL_S)
    if not future.cancelled():
        future.exception()  # it has been reported
