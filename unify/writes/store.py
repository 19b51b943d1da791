"""The store of writes: plans, approvals, and the state of each row.

A plan is sealed in one transaction: what is sent is what was shown. A row is ``sent`` on the disk before its
request leaves, and has an outcome on the disk before the next one does; after a crash, the rows that are
``sent`` are those of which nobody knows. Every change by a worker names the attempt, so one that was
suspended and replaced changes nothing.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType

from unify.errors import StoreError
from unify.fs.sqlite import from_micros, from_micros_or_none, to_micros
from unify.model import (
    ConfigPaths,
    PlannedRow,
    RowOutcome,
    RowState,
    TableName,
    WriteState,
    WriteTarget,
)
from unify.writes.database import Parameters, WriteDatabase
from unify.writes.ended_writes import EndedWrites
from unify.writes.records import (
    NewWrite,
    Write,
    WriteRow,
    decode_origin,
    encode_origin,
    encode_row,
    encode_target,
    encode_values,
    row_from_row,
    write_from_row,
)
from unify.writes.seal import Seal, check_seal
from unify.writes.written_rows import SUCCESSES, WrittenRows

_NAME_COLUMNS = ("tenant", "connection", "table_name", "name")
_NO_WRITES = "0/0/0"


class AttemptReplaced(StoreError):
    """Another worker has the write, or it was ended: this one must stop."""


class NameInUse(StoreError):
    """A write of the same name is under way: what it will have written is not known yet."""


class PlanOutdated(StoreError):
    """Rows were written since those of the plan were compared with them: it has to be planned again."""


class WriteStore:
    """The writes of one home. Threads may share it; the file is made by the first plan."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._database = WriteDatabase(path)
        self.written = WrittenRows(self._database)
        self.ended = EndedWrites(self._database)
        self._transaction = self._database.transaction
        self._fetch_all = self._database.fetch_all
        self._fetch_one = self._database.fetch_one
        self._execute = self._database.execute

    def __enter__(self) -> WriteStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._database.close()

    def plan(self, new: NewWrite, rows: Iterable[PlannedRow], now: datetime) -> Write:
        """Seal a plan of ``rows``, in one transaction. Memory: one row at a time.

        A plan with the same name that waits for approval is cancelled. Raises NameInUse, PlanOutdated.
        """
        values = {
            "uid": uuid.uuid4().hex,
            "tenant": new.tenant,
            "connection": new.table.schema,
            "table_name": new.table.table,
            "mode": new.mode,
            "origin": encode_origin(new.origin),
            "name": new.name,
            "requested_by": new.requested_by,
            "undo_of": new.undo_of,
            "refreshes": new.refreshes,
            "target": encode_target(new.target),
            "baseline": new.baseline,
            "is_matched": new.is_matched,
            "now": to_micros(now),
        }
        with self._transaction():
            if new.name:
                self._replace_planned(values, now)
            self._check_baseline(values)
            write = self._fetch_one("insert", values)
            count, seal = 0, Seal()
            for count, row in enumerate(rows, start=1):  # noqa: B007 - the last one is the number of rows
                encoded = encode_row(write["id"], row)
                self._execute("insert_row", encoded)
                seal.add(encoded)
            sealed = {"id": write["id"], "rows": count, "digest": seal.digest()}
            return write_from_row(self._fetch_one("seal", sealed))

    def baseline(self, tenant: str, table: TableName, name: str, *, is_matched: bool) -> str:
        """Return a text that differs once a write of the name, or a matched table's, was sent.

        It is taken before the rows of a plan are compared with those that were written.
        """
        if not self.path.exists():
            return _NO_WRITES
        values = {**_table_values(tenant, table), "name": name, "is_matched": is_matched}
        return str(self._fetch_one("baseline", values)["baseline"])

    def _check_baseline(self, planned: Parameters) -> None:
        """Raise PlanOutdated if other writes were sent since the rows of a plan were compared."""
        current = _only(planned, *_NAME_COLUMNS, "is_matched")
        if planned["baseline"] and planned["baseline"] != self._fetch_one("baseline", current)["baseline"]:
            table = f"{planned['connection']}.{planned['table_name']}"
            raise PlanOutdated(
                f"{table}: another write was sent since the rows of this one were chosen; plan it again"
            )

    def _replace_planned(self, named: Parameters, now: datetime) -> None:
        self._refuse_active(_only(named, *_NAME_COLUMNS))
        for row in self._fetch_all("replace_planned", _only(named, *_NAME_COLUMNS, "now")):
            self._end_rows(row["id"], now)

    def approve(self, id: int, by: str, now: datetime) -> Write | None:
        """Let a planned write be sent. None: it does not wait for approval. Raises PlanOutdated."""
        with self._transaction():
            for planned in self._fetch_all("get", {"id": id}):
                if planned["state"] == WriteState.PLANNED:
                    self._check_baseline(dict(planned))
            rows = self._fetch_all("approve", {"id": id, "by": by, "now": to_micros(now)})
        return write_from_row(rows[0]) if rows else None

    def cancel(self, id: int, now: datetime) -> Write | None:
        """Cancel a write that has not started, or ask a running one to end. None: it has ended."""
        with self._transaction():
            rows = self._fetch_all("cancel_waiting", {"id": id, "now": to_micros(now)})
            if rows:
                self._end_rows(id, now)
            rows = rows or self._fetch_all("ask_cancel", {"id": id})
        return write_from_row(rows[0]) if rows else None

    def reopen(
        self, id: int, states: Sequence[RowState], target: WriteTarget, by: str, now: datetime
    ) -> Write | None:
        """Plan again the rows of an ended write that are in ``states``, and approve it.

        None: it is active, was never approved, or there is no such write.
        Raises NameInUse; PlanOutdated if later writes of the same name have written all of these rows.
        """
        with self._transaction():
            values = {"id": id, "by": by, "now": to_micros(now), "target": encode_target(target)}
            rows = self._fetch_all("reopen", values)
            if not rows:
                return None
            reopened = write_from_row(rows[0])
            if reopened.name:
                self._refuse_active(_only(dict(rows[0]), *_NAME_COLUMNS), id)
            for state in states:
                self._execute("reset_rows", {"write": id, "state": state.value})
                if state is RowState.UNKNOWN:
                    self.written.drop_unknown(id)
            if not self.planned_rows(reopened, 1):
                raise PlanOutdated(f"write {id}: later writes of {reopened.name} have written these rows")
        return reopened

    def _refuse_active(self, named: Parameters, own: int = 0) -> None:
        """Raise NameInUse if another write than ``own`` of the name is approved or running."""
        for row in self._fetch_all("active_of_name", named):
            if row["id"] != own:
                raise NameInUse(f"write {row['id']} of {row['name']} is under way; wait until it has ended")

    # Reading

    def find(self, id: int) -> Write | None:
        if not self.path.exists() or abs(id) >= 2**63:
            return None
        rows = self._fetch_all("get", {"id": id})
        return write_from_row(rows[0]) if rows else None

    def recent(self, tenant: str, count: int) -> Sequence[Write]:
        """Return the last ``count`` writes, newest first."""
        if not self.path.exists():
            return ()
        return [write_from_row(row) for row in self._fetch_all("recent", {"tenant": tenant, "count": count})]

    def rows(self, id: int) -> Sequence[WriteRow]:
        return [row_from_row(row) for row in self._fetch_all("rows", {"write": id})]

    def all_rows(self, tenant: str) -> Iterator[WriteRow]:
        if self.path.exists():
            yield from map(row_from_row, self._fetch_all("all_rows", {"tenant": tenant}))

    def rows_taken_back(self, id: int) -> frozenset[int]:
        """Return the numbers of the rows of a write that undo has taken back."""
        return frozenset(row["number"] for row in self._fetch_all("taken_back", {"id": id}))

    def counts(self, id: int) -> Mapping[RowState, int]:
        """Return the number of rows by state, in the order of the states."""
        if own := self.ended.counts(id):
            return own
        counted = {row["state"]: row["rows"] for row in self._fetch_all("counts", {"write": id})}
        return {state: counted[state] for state in RowState if state in counted}

    def last_sent_at(self, tenant: str, table: TableName, now: datetime) -> datetime | None:
        """Return when the last write of a table ended, ``now`` if one is being sent; None: there is none."""
        values = {**_table_values(tenant, table), "now": to_micros(now)}
        row = self._fetch_one("last_sent", values) if self.path.exists() else {"at": None}
        return from_micros_or_none(row["at"])

    def open_tables(self) -> Sequence[tuple[str, TableName, ConfigPaths]]:
        """Return tenant, table and configuration of the writes that are to be sent."""
        rows = self._fetch_all("open_tables", {}) if self.path.exists() else ()
        return [
            (row["tenant"], TableName(row["connection"], row["table_name"]), decode_origin(row["origin"]))
            for row in rows
        ]

    def has_settled_rows(self, tenant: str, table: TableName, since: datetime) -> bool:
        """Whether a row of the open writes of a table got its outcome after ``since``."""
        values = {**_table_values(tenant, table), "since": to_micros(since)}
        return self.path.exists() and bool(self._fetch_all("settled_since", values))

    def has_changed_rows(self, tenant: str, table: TableName, since: datetime, now: datetime) -> bool:
        """Whether a write that was open after ``since`` has sent rows of a stored table."""
        values = {**_table_values(tenant, table), "since": to_micros(since), "now": to_micros(now)}
        return self.path.exists() and bool(self._fetch_all("changed_stored", values))

    def requests_since(self, write: Write, since: datetime, now: datetime) -> tuple[int, datetime | None]:
        """Return how many requests were sent to the table after ``since``, and when the first of them was."""
        values = {
            **_table_values(write.tenant, write.table),
            "since": to_micros(since),
            "now": to_micros(now),
        }
        row = self._fetch_one("requests_since", values)
        return row["requests"], from_micros_or_none(row["first_at"])

    def note_change(self, table: str, now: datetime) -> None:
        """Note that a statement has changed a table of a database."""
        with self._transaction():
            self._execute("note_change", {"name": table, "now": to_micros(now)})

    def changed_at(self, table: str) -> datetime | None:
        """Return when a statement has changed a table of a database last; None: never."""
        if not self.path.exists():
            return None
        rows = self._fetch_all("change", {"name": table})
        return from_micros(rows[0]["changed_at"]) if rows else None

    # For the worker

    def next_open(self, tenant: str, table: TableName) -> Write | None:
        """Return the oldest write of a table that is to be sent."""
        if not self.path.exists():
            return None
        rows = self._fetch_all("next_open", _table_values(tenant, table))
        return write_from_row(rows[0]) if rows else None

    def start(self, write: Write, now: datetime) -> Write:
        """Begin an attempt; every earlier one is replaced.

        Raises AttemptReplaced if the write has ended, StoreError if its plan is not the one that was sealed.
        """
        with self._transaction():
            rows = self._fetch_all("start", {"id": write.id, "now": to_micros(now)})
            if not rows:
                raise AttemptReplaced(f"write {write.id} has ended")
            started = write_from_row(rows[0])
            if started.attempt == 1 and (sealed := rows[0]["digest"]):
                check_seal(
                    self._fetch_all("rows", {"write": write.id}), sealed, f"{self.path}: write {write.id}"
                )
        return started

    def is_other_row(self, write: Write, number: int, created: Mapping[str, object]) -> bool:
        """Whether what the API returned for a row is known to be another row that was written."""
        values = {"write": write.id, "number": number, "created": encode_values(created)}
        return bool(self._fetch_all("same_created", {**_table_values(write.tenant, write.table), **values}))

    def is_cancel_asked(self, write: Write) -> bool:
        """Whether the write is to end. Raises AttemptReplaced."""
        return bool(self._check_attempt(write)["cancel_asked"])

    def planned_rows(self, write: Write, count: int) -> Sequence[WriteRow]:
        """Return the first ``count`` rows that are to be sent."""
        rows = self._fetch_all("planned_rows", {"write": write.id, "count": count})
        return [row_from_row(row) for row in rows]

    def sent_rows(self, write: Write) -> Sequence[WriteRow]:
        """Return the rows whose response is not known."""
        return [row_from_row(row) for row in self._fetch_all("sent_rows", {"write": write.id})]

    def mark_sent(self, write: Write, rows: Sequence[PlannedRow], batch: str, now: datetime) -> None:
        """Record that ``rows`` are about to be sent, in one request. Raises AttemptReplaced."""
        with self._transaction():
            self._check_attempt(write)
            for row in rows:
                values = {"write": write.id, "number": row.number, "batch": batch, "now": to_micros(now)}
                self._execute("send", values)
            self._execute("count_request", {"id": write.id})
            self._execute("insert_request", {"id": write.id, "now": to_micros(now)})

    def settle(
        self, write: Write, outcomes: Sequence[RowOutcome], now: datetime, *, transient: Sequence[str] = ()
    ) -> None:
        """Record the outcomes of rows that were sent. Raises AttemptReplaced.

        ``transient``  columns whose values are deleted of the rows that are written.
        """
        with self._transaction():
            self._check_attempt(write)
            for outcome in outcomes:
                values = {
                    "write": write.id,
                    "number": outcome.number,
                    "state": outcome.state.value,
                    "status": outcome.status,
                    "created": encode_values(outcome.created),
                    "message": outcome.message,
                    "now": to_micros(now),
                }
                self._execute("settle", values)
                self.written.track(write, outcome)
                for column in transient if outcome.state in SUCCESSES else ():
                    forgotten = {"write": write.id, "number": outcome.number, "path": f'$."{column}"'}
                    self._execute("forget_values", forgotten)
            self.written.put_unknown(write.id)

    def release(self, write: Write, rows: Sequence[PlannedRow]) -> None:
        """Record that ``rows`` were not carried out and are to be sent again. Raises AttemptReplaced."""
        with self._transaction():
            self._check_attempt(write)
            for row in rows:
                self._execute("release", {"write": write.id, "number": row.number})

    def finish(self, write: Write, state: WriteState, now: datetime, error: str = "") -> None:
        """End a write; its open rows become ``not sent`` or ``unknown``. Raises AttemptReplaced."""
        with self._transaction():
            self._check_attempt(write)
            self._end_rows(write.id, now)
            values = {"id": write.id, "attempt": write.attempt, "state": state.value, "error": error}
            self._execute("finish", {**values, "now": to_micros(now)})

    def fail_open(
        self, tenant: str, table: TableName, error: str, *, approved_until: datetime, now: datetime
    ) -> None:
        """End the writes of a job that was given up: the running one, and those approved before its start."""
        with self._transaction():
            values = {**_table_values(tenant, table), "before": to_micros(approved_until)}
            for row in self._fetch_all("open_before", values):
                self._end_rows(row["id"], now)
                self._execute("fail", {"id": row["id"], "error": error, "now": to_micros(now)})

    def _end_rows(self, id: int, now: datetime) -> None:
        self._execute("end_rows", {"write": id, "now": to_micros(now)})
        self._execute("forget_sent", {"write": id, "now": to_micros(now)})
        self.written.put_unknown(id)

    def delete_old(self, before: datetime) -> int:
        """Delete the writes that ended before ``before``; return how many."""
        if not self.path.exists():
            return 0
        with self._transaction():
            ids = [row["id"] for row in self._fetch_all("old_writes", {"before": to_micros(before)})]
            for id in ids:
                self._execute("delete_rows", {"id": id})
                self._execute("delete_requests", {"id": id})
                self._execute("delete", {"id": id})
        return len(ids)

    def _check_attempt(self, write: Write) -> sqlite3.Row:
        rows = self._fetch_all("holds", {"id": write.id, "attempt": write.attempt})
        if not rows:
            raise AttemptReplaced(f"write {write.id}: another worker has taken it over")
        return rows[0]


def _table_values(tenant: str, table: TableName) -> dict[str, object]:
    return {"tenant": tenant, "connection": table.schema, "table_name": table.table}


def _only(values: Parameters, *names: str) -> dict[str, object]:
    return {name: values[name] for name in names}
