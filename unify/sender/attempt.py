"""One attempt of a write in a worker: sends its rows in order, one request after the other.

A request whose response is lost is never repeated blindly. In this order: the API carries out a request with
a known key once; the row can be looked for; the request names its row and sets absolute values; else nobody
knows, and the row is ``unknown``.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby, takewhile
from typing import cast

from msgspec import Struct
from msgspec.structs import replace

from unify.adapters.base import LostResponse, TableWriter
from unify.adapters.spec.write import RowOperation, WriteLimits
from unify.errors import BatchRefused, Interrupted, ResponseLost, SourceError, UnifyError
from unify.fs.failpoints import failpoint
from unify.load.worker import Reporter
from unify.model import PlannedRow, RowOutcome, RowState, WriteState
from unify.writes.records import Write, WriteRow
from unify.writes.store import WriteStore

MAX_ROWS_READ = 10_000  # rows considered for one request, as many as a batch may have
CANCEL_CHECK_S = 0.5  # between two looks at whether the write is to end, while waiting
SEND_AGAIN_DELAYS_S = (1.0, 4.0, 15.0)  # between attempts to send a request whose response was lost
MAX_LOSSES = 3  # of a row, before the write waits for a later attempt
LOOK_DELAYS_S = (2.0, 10.0)  # before each look: an index of the API may be behind
CLOCK_TOLERANCE_S = 60.0  # a request that is younger than this by less than nothing is a new one


class WriteTiming(Struct, frozen=True):
    """The clock of an attempt; tests replace it."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    sleep: Callable[[float], None] = time.sleep
    send_again_delays_s: Sequence[float] = SEND_AGAIN_DELAYS_S
    look_delays_s: Sequence[float] = LOOK_DELAYS_S


class WriteCancelled(Exception):
    """The write is to end."""


class WriteAttempt:
    """Sends the rows of ``write``, which this attempt has started."""

    def __init__(
        self,
        store: WriteStore,
        write: Write,
        writer: TableWriter,
        reporter: Reporter,
        *,
        limits: WriteLimits,
        timing: WriteTiming,
    ) -> None:
        self._store = store
        self._write = write
        self._writer = writer
        self._reporter = reporter
        self._limits = limits
        self._timing = timing
        self._losses: Counter[int] = Counter()  # of rows by number, which the API then did not have

    def run(self) -> None:
        """Give every row an outcome.

        Raises:
            UnifyError: some rows have none yet. If it is retryable, the next attempt goes on; else the write
                has failed, and its other rows are not sent.
        """
        try:
            self._settle_lost_rows()
            while rows := self._next_rows():
                self._wait_for_limits()
                key = f"{self._write.uid}-{rows[0].planned.number}-{rows[0].attempts}"
                self._send(_operation(rows[0]), [row.planned for row in rows], key)
            self._store.finish(self._write, WriteState.DONE, self._timing.now())
        except (WriteCancelled, Interrupted):
            self._store.finish(self._write, WriteState.CANCELLED, self._timing.now())
        except UnifyError as error:
            if not error.retryable:
                message = self._reporter.redactor.redact(error.message)
                self._store.finish(self._write, WriteState.FAILED, self._timing.now(), message)
            raise

    def _next_rows(self) -> Sequence[WriteRow]:
        """Return the rows of the next request."""
        self._check_cancelled()
        rows = self._store.planned_rows(self._write, MAX_ROWS_READ)
        if not rows:
            return ()
        action = rows[0].planned.action
        same = list(takewhile(lambda row: row.planned.action == action, rows))
        fitting = self._writer.fit(_operation(rows[0]), [row.planned for row in same])
        return same[: len(fitting)]

    def _send(self, operation: RowOperation, planned: Sequence[PlannedRow], key: str) -> None:
        sent_at = self._timing.now()
        self._store.mark_sent(self._write, planned, key, sent_at)
        failpoint("write.marked")
        try:
            outcomes = self._writer.send(operation, planned, key)
        except ResponseLost as error:
            self._settle_lost(operation, planned, key, sent_at, error)
        except BatchRefused:
            self._store.release(self._write, planned)
            self._send_halves(operation, planned, key)
            return
        except (SourceError, Interrupted):
            self._store.release(self._write, planned)  # it was not carried out
            raise
        else:
            failpoint("write.answered")
            self._settle(operation, planned, outcomes)
        self._count(len(planned))

    def _send_halves(self, operation: RowOperation, rows: Sequence[PlannedRow], key: str) -> None:
        """Send the rows of a refused batch in two requests, to find the row that was refused."""
        half = len(rows) // 2
        for part, number in ((rows[:half], 1), (rows[half:], 2)):
            self._check_cancelled()
            self._wait_for_limits()
            self._send(operation, part, f"{key}-{number}")

    def _settle(
        self, operation: RowOperation, rows: Sequence[PlannedRow], outcomes: Sequence[RowOutcome]
    ) -> None:
        """Record outcomes; rows of which the response says nothing are looked for, if that is possible."""
        unclear = {outcome.number for outcome in outcomes if outcome.state is RowState.UNKNOWN}
        can_look = self._writer.lost_response(operation, rows, 0.0) is LostResponse.LOOK
        if unclear and can_look:
            known = [outcome for outcome in outcomes if outcome.number not in unclear]
            self._record(known)
            self._look_for([row for row in rows if row.number in unclear], operation)
        else:
            self._record(outcomes)

    def _settle_lost_rows(self) -> None:
        """Settle the rows that an earlier attempt has sent."""
        for key, group in groupby(self._store.sent_rows(self._write), key=lambda row: row.batch):
            rows = list(group)
            sent_at = rows[0].sent_at or self._timing.now()
            error = ResponseLost("the worker ended before the response arrived")
            planned = [row.planned for row in rows]
            self._settle_lost(_operation(rows[0]), planned, key, sent_at, error)
            self._count(len(rows))

    def _settle_lost(
        self,
        operation: RowOperation,
        rows: Sequence[PlannedRow],
        key: str,
        sent_at: datetime,
        error: ResponseLost,
    ) -> None:
        """Find out what became of a request whose response is not known."""
        match self._writer.lost_response(operation, rows, self._age_s(sent_at)):
            case LostResponse.SEND_AGAIN:
                self._send_again(operation, rows, key, sent_at, error)
            case LostResponse.LOOK:
                self._look_for(rows, operation)
            case LostResponse.UNKNOWN:
                reason = f"sent, and nothing tells what became of it: {error.message}"
                self._settle_unknown(rows, self._reporter.redactor.redact(reason))

    def _age_s(self, sent_at: datetime) -> float:
        """How long ago a request was sent; infinite if the clock was set back since: nothing tells."""
        age_s = (self._timing.now() - sent_at).total_seconds()
        return age_s if age_s > -CLOCK_TOLERANCE_S else math.inf

    def _send_again(
        self,
        operation: RowOperation,
        rows: Sequence[PlannedRow],
        key: str,
        sent_at: datetime,
        error: ResponseLost,
    ) -> None:
        """Send the same request again. Raises UnsettledWrite if its response is lost, too."""
        for delay_s in self._timing.send_again_delays_s:
            self._sleep(delay_s)
            self._wait_for_limits()
            decision = self._writer.lost_response(operation, rows, self._age_s(sent_at))
            if decision is not LostResponse.SEND_AGAIN:  # its key has expired meanwhile
                break
            self._store.mark_sent(self._write, rows, key, self._timing.now())
            try:
                outcomes = self._writer.send(operation, rows, key)
            except ResponseLost as again:
                error = again
            except BatchRefused:  # as a whole, so that it was not carried out before either
                self._store.release(self._write, rows)
                self._send_halves(operation, rows, key)
                return
            else:
                self._record(outcomes)
                return
        raise UnsettledWrite(f"{error.message}; it is sent again later")

    def _look_for(self, rows: Sequence[PlannedRow], operation: RowOperation) -> None:
        """Look for each row; what the API does not have after the last look is sent again.

        Raises UnsettledWrite if a row was lost several times.
        """
        missing = list(rows)
        for delay_s in self._timing.look_delays_s:
            if missing:
                self._sleep(delay_s)
            missing = [row for row in missing if not self._settle_found(row, operation)]
        self._store.release(self._write, missing)
        self._losses.update(row.number for row in missing)
        if any(self._losses[row.number] >= MAX_LOSSES for row in missing):
            raise UnsettledWrite(
                f"row {missing[0].number}: its response was lost {MAX_LOSSES} times, and the API does not "
                "have the row; it is sent again later"
            )

    def _settle_found(self, row: PlannedRow, operation: RowOperation) -> bool:
        """Settle a row that the API has; one that another row of the plan has become is not it."""
        for outcome in self._writer.find(operation, row):
            is_other = outcome.created and self._store.is_other_row(self._write, row.number, outcome.created)
            if not is_other:
                self._record([outcome])
                return True
        return False

    def _settle_unknown(self, rows: Iterable[PlannedRow], reason: str) -> None:
        outcomes = [RowOutcome(row.number, RowState.UNKNOWN, message=reason) for row in rows]
        self._record(outcomes)

    def _record(self, outcomes: Sequence[RowOutcome]) -> None:
        transient = self._writer.transient_columns
        self._store.settle(self._write, outcomes, self._timing.now(), transient=transient)

    def _check_cancelled(self) -> None:
        if self._store.is_cancel_asked(self._write):
            raise WriteCancelled

    def _sleep(self, seconds: float) -> None:
        """Sleep unless the write is to end. Raises WriteCancelled."""
        left_s = seconds  # not until a time of day: the clock may be set back
        while left_s > 0:
            self._check_cancelled()
            self._timing.sleep(min(left_s, CANCEL_CHECK_S))
            left_s -= CANCEL_CHECK_S
        self._check_cancelled()

    def _wait_for_limits(self) -> None:
        """Wait until the table's own limits of writes allow a request; those of the API the client keeps."""
        for maximum, span in (
            (self._limits.requests_per_minute, timedelta(minutes=1)),
            (self._limits.requests_per_hour, timedelta(hours=1)),
        ):
            while maximum is not None:
                now = self._timing.now()
                sent, first_at = self._store.requests_since(self._write, now - span, now)
                if sent < maximum or first_at is None:
                    break
                self._report_wait(first_at + span)
                left_s = (first_at + span - now).total_seconds()
                self._timing.sleep(max(0.01, min(left_s, CANCEL_CHECK_S)))
                self._check_cancelled()
        self._report_wait(None)

    def _report_wait(self, until: datetime | None) -> None:
        if self._reporter.progress.waiting_until != until:
            self._reporter.update(lambda progress: replace(progress, waiting_until=until), urgent=True)

    def _count(self, rows: int) -> None:
        self._reporter.update(lambda progress: replace(progress, rows=progress.rows + rows))


class UnsettledWrite(SourceError):
    """The responses to a request were lost several times; a later attempt settles it."""

    retryable = True


def _operation(row: WriteRow) -> RowOperation:
    return cast("RowOperation", row.planned.action)
