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
from contextlib import closing
from datetime import datetime
from pathlib import Path
from types import TracebackType

from unify.errors import StoreError
from unify.fs.sqlite import from_micros, read_sql_sections, to_micros
from unify.model import ConfigPaths, PlannedRow, RowOutcome, RowState, TableName, WriteState
from unify.writes.database import STATEMENTS_FILE, Parameters, WriteDatabase
from unify.writes.records import (
    NewWrite,
    Write,
    WriteRow,
    WrittenRow,
    decode_origin,
    encode_origin,
    encode_values,
    row_from_row,
    write_from_row,
    written_row_from_row,
)

_SUCCESSES = frozenset([RowState.CREATED, RowState.UPDATED, RowState.DELETED, RowState.UNCHANGED])
_NAME_COLUMNS = ("tenant", "connection", "table_name", "name")


class AttemptReplaced(StoreError):
    """Another worker has the write, or it was ended: this one must stop."""


class NameInUse(StoreError):
    """A write of the same name is under way: what it will have written is not known yet."""


class WriteStore:
    """The writes of one home. Threads may share it; the file is made by the first plan."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._database = WriteDatabase(path)
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

    # Plans

    def plan(self, new: NewWrite, rows: Iterable[PlannedRow], now: datetime) -> Write:
        """Seal a plan of ``rows``, in one transaction. Memory: one row at a time.

        A plan with the same name that waits for approval is cancelled. Raises NameInUse.
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
            "now": to_micros(now),
        }
        with self._transaction():
            if new.name:
                self._replace_planned(values, now)
            write = self._fetch_one("insert", values)
            count = 0
            for count, row in enumerate(rows, start=1):  # noqa: B007 - the last one is the number of rows
                self._execute("insert_row", _row_values(write["id"], row))
            return write_from_row(self._fetch_one("seal", {"id": write["id"], "rows": count}))

    def _replace_planned(self, named: Parameters, now: datetime) -> None:
        for row in self._fetch_all("active_of_name", _only(named, *_NAME_COLUMNS)):
            raise NameInUse(f"write {row['id']} of {row['name']} is under way; wait until it has ended")
        for row in self._fetch_all("replace_planned", _only(named, *_NAME_COLUMNS, "now")):
            self._end_rows(row["id"], now)

    def approve(self, id: int, by: str, now: datetime) -> Write | None:
        """Let a planned write be sent. None: it does not wait for approval."""
        with self._transaction():
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

    def reopen(self, id: int, states: Sequence[RowState], by: str, now: datetime) -> Write | None:
        """Plan again the rows of an ended write that are in ``states``, and approve it.

        None: it is active, or there is no such write.
        """
        with self._transaction():
            rows = self._fetch_all("reopen", {"id": id, "by": by, "now": to_micros(now)})
            for state in states if rows else ():
                self._execute("reset_rows", {"write": id, "state": state.value})
                if state is RowState.UNKNOWN:
                    self._execute("drop_retried", {"write": id})
        return write_from_row(rows[0]) if rows else None

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

    def counts(self, id: int) -> Mapping[RowState, int]:
        """Return the number of rows by state, in the order of the states."""
        counted = {row["state"]: row["rows"] for row in self._fetch_all("counts", {"write": id})}
        return {state: counted[state] for state in RowState if state in counted}

    def written_rows(self, tenant: str, table: TableName, name: str) -> Mapping[str, WrittenRow]:
        """Return what the exports of this name have written, by identity."""
        if not self.path.exists():
            return {}
        values = {**_table_values(tenant, table), "name": name}
        rows = map(written_row_from_row, self._fetch_all("written_rows", values))
        return {row.identity: row for row in rows}

    def forget_name(self, tenant: str, name: str) -> None:
        """Forget what the exports of this name have written."""
        if self.path.exists():
            with self._transaction():
                self._execute("forget_name", {"tenant": tenant, "name": name})

    def open_tables(self) -> Sequence[tuple[str, TableName, ConfigPaths]]:
        """Return tenant, table and configuration of the writes that are to be sent."""
        if not self.path.exists():
            return ()
        return [
            (
                row["tenant"],
                TableName(row["connection"], row["table_name"]),
                decode_origin(row["origin"]),
            )
            for row in self._fetch_all("open_tables", {})
        ]

    def has_settled_rows(self, tenant: str, table: TableName, since: datetime) -> bool:
        """Whether a row of the open writes of a table got its outcome after ``since``."""
        values = {**_table_values(tenant, table), "since": to_micros(since)}
        return self.path.exists() and bool(self._fetch_all("settled_since", values))

    def requests_since(self, write: Write, since: datetime) -> tuple[int, datetime | None]:
        """Return how many requests were sent to the table after ``since``, and when the first of them was."""
        values = {**_table_values(write.tenant, write.table), "since": to_micros(since)}
        row = self._fetch_one("requests_since", values)
        return row["requests"], None if row["first_at"] is None else from_micros(row["first_at"])

    # Tables of databases

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
        """Begin an attempt; every earlier one is replaced. Raises AttemptReplaced if the write has ended."""
        with self._transaction():
            rows = self._fetch_all("start", {"id": write.id, "now": to_micros(now)})
        if not rows:
            raise AttemptReplaced(f"write {write.id} has ended")
        return write_from_row(rows[0])

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

    def settle(self, write: Write, outcomes: Sequence[RowOutcome], now: datetime) -> None:
        """Record the outcomes of rows that were sent. Raises AttemptReplaced."""
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
                self._track(write, outcome)
            self._execute("put_unknown", {"write": write.id})

    def _track(self, write: Write, outcome: RowOutcome) -> None:
        """Record what an export with a name has now written."""
        if not write.name or outcome.state not in _SUCCESSES:
            return
        for row in self._fetch_all("tracked_rows", {"write": write.id, "number": outcome.number}):
            named = _only(dict(row), "tenant", "connection", "table_name", "name", "identity")
            if row["leaves"]:
                self._execute("drop_written", named)
                continue
            key = {**row_from_row(row).planned.key, **outcome.created}
            values = _only(dict(row), "vals", "content", "write")
            self._execute("put_written", {**named, **values, "key": encode_values(key)})

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
        self._execute("put_unknown", {"write": id})

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


def _row_values(write: int, row: PlannedRow) -> dict[str, object]:
    return {
        "write": write,
        "number": row.number,
        "action": row.action,
        "vals": encode_values(row.values),
        "key": encode_values(row.key),
        "before": None if row.before is None else encode_values(row.before),
        "identity": row.identity,
        "content": row.content,
        "leaves": row.leaves,
    }


def _only(values: Parameters, *names: str) -> dict[str, object]:
    return {name: values[name] for name in names}


def end_open_writes(path: Path) -> None:
    """End the writes of a copy that were to be sent: the original sends them."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in ("put_unknown_rows", "cancel_open", "end_open_rows", "forget_open_rows"):
            connection.execute(read_sql_sections(STATEMENTS_FILE)[statement])
