"""One statement of a client: its request, its state and its result."""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from msgspec import Struct

from unify.errors import Interrupted
from unify.interpreter.freshness import DEFAULT_MAX_AGE, MaxAge
from unify.interpreter.parameters import Parameters
from unify.interpreter.restriction import Restriction
from unify.model import LoaderStatus
from unify.servers.statements.chunks import ChunkPipe
from unify.servers.statements.formats import ResultFormat
from unify.servers.statements.limits import StatementLimits
from unify.servers.statements.sessions import RestrictedSession


class StatementCancelled(Interrupted):
    """The statement was cancelled, or reached a limit; the message says why."""


class StatementRequest(Struct, frozen=True):
    """A statement as a client sends it. ``user``, ``application`` and ``address`` are for the log.

    ``is_recorded``  it gets a row of ``unify.statements``.
    """

    sql: str
    restriction: Restriction
    parameters: Parameters | None = None
    format: ResultFormat = ResultFormat.JSON
    max_age: MaxAge = DEFAULT_MAX_AGE
    limits: StatementLimits = StatementLimits()
    user: str = ""
    application: str = ""
    address: str = ""
    protocol: str = "http"
    is_recorded: bool = True


class ClientStatement:
    """A statement that was accepted.

    ``id``       part of the address of its result; nobody can guess it.
    ``number``   its row of ``unify.statements``; 0 if it is not recorded.
    ``message``  of a statement without rows; ``note`` is the age of the rows.
    """

    def __init__(self, request: StatementRequest, loop: asyncio.AbstractEventLoop) -> None:
        self.request = request
        self.id = secrets.token_urlsafe(16)
        self.number = 0
        self.pipe = ChunkPipe(loop, request.limits.bytes)
        self.started_at = datetime.now(UTC)
        self.deadline_s = time.monotonic() + request.limits.seconds  # of the monotonic clock
        self.message: str | None = None
        self.note = ""
        self.notices: Sequence[str] = ()
        self.rows = 0
        self.jobs: frozenset[int] = frozenset()
        self.progress: Sequence[LoaderStatus] = ()
        self.cancel_reason = ""
        self.ended = threading.Event()
        self.ended_at_s: float | None = None  # of the monotonic clock
        self._session: RestrictedSession | None = None
        self._is_claimed = False

    def claim(self) -> bool:
        """Take the result, which can be read once. False: another one has it. Call it on the event loop."""
        is_first, self._is_claimed = not self._is_claimed, True
        return is_first

    def attach(self, session: RestrictedSession) -> None:
        """Follow the loads of a session that begins to run the statement."""
        self._session = session
        session.on_progress = self._report_progress
        self.check()

    def detach(self) -> None:
        self._session = None

    def cancel(self, reason: str) -> None:
        """End the statement; the loads that it waits for go on."""
        self.cancel_reason = self.cancel_reason or reason
        self.pipe.abandon()
        self.interrupt()

    def interrupt(self) -> None:
        """End the query of a cancelled statement, if it runs now."""
        session = self._session
        if session is not None and not self.ended.is_set():
            session.interrupt()

    def check(self) -> None:
        """Raise StatementCancelled if it was cancelled."""
        if self.cancel_reason:
            raise StatementCancelled(self.cancel_reason)

    def _report_progress(self, statuses: Sequence[LoaderStatus]) -> None:
        self.progress = tuple(statuses)
        self.jobs |= {status.job for status in statuses}
        self.check()
