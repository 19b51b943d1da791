"""Records the statements of clients in the activity of the home, and words their errors for clients."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from datetime import UTC, datetime

from unify.activity.records import NewStatement
from unify.activity.store import ActivityStore
from unify.config.settings import Settings
from unify.errors import Interrupted, StoreError, UnifyError
from unify.load.protocol import make_bug_failure
from unify.servers.event_log import EventLog


class StatementRecorder:
    """The log of one server's statements. Threads may share it. A failure to write it is logged."""

    def __init__(self, settings: Settings, log: EventLog) -> None:
        self.activity = ActivityStore(settings.activity)
        self._home = str(settings.home)
        self._log = log

    def close(self) -> None:
        self.activity.close()

    def begin(self, new: NewStatement, started_at: datetime) -> int:
        """Record a statement that begins; return its number, 0 if it cannot be recorded."""
        sql = self._log.redactor.redact(new.sql)
        recorded = NewStatement(new.user, new.application, new.address, new.protocol, sql, new.pid)
        try:
            return self.activity.begin(recorded, started_at)
        except StoreError as error:
            self._log.write_limited("server.activity_unwritable", error=error.message)
            return 0

    def end(self, number: int, error: UnifyError | None, *, rows: int, loads: int) -> None:
        """Record how a statement ended."""
        if not number:
            return
        state = "done" if error is None else "cancelled" if isinstance(error, Interrupted) else "failed"
        message = error.message if error is not None else ""
        try:
            self.activity.end(number, state, datetime.now(UTC), rows=rows, loads=loads, error=message)
        except StoreError as failure:
            self._log.write_limited("server.activity_unwritable", error=failure.message)

    def cancel_asked(self, pid: int) -> Collection[int]:
        """Return the statements of this server that ``system cancel client`` names."""
        with suppress(StoreError):  # recording it has reported the same
            return frozenset(self.activity.cancel_asked(pid))
        return frozenset()

    def is_public(self, notice: str) -> bool:
        """Whether a notice may be shown to clients: paths are not for them."""
        return self._home not in notice

    def explain(self, error: BaseException) -> UnifyError:
        """Return an error for the client, without paths; an unexpected one is logged."""
        if isinstance(error, UnifyError):
            error.message = error.message.replace(self._home, "HOME")
            return error
        known = error if isinstance(error, Exception) else RuntimeError(repr(error))
        fault = make_bug_failure(known, self._log.redactor)
        self._log.write_limited("server.internal_error", error=fault.message, trace=fault.trace)
        return StoreError("internal error; the log of the server has the details")
