"""The store of what clients and agents have run: a log, kept apart from everything that is needed."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from unify.activity.records import AgentCall, NewStatement, StatementRecord, call_from_row, statement_from_row
from unify.errors import StoreError
from unify.fs import durable
from unify.fs.machine import is_process_alive
from unify.fs.sqlite import error_text, migrate, read_sql_sections, to_micros

SCHEMA_FILE = Path(__file__).with_name("activity_schema.sql")
STATEMENTS_FILE = Path(__file__).with_name("activity.sql")
BUSY_TIMEOUT_S = 5.0
KEPT = 10_000  # statements, and calls
FORGET_EVERY = 100  # statements between two deletions of old ones
MAX_SQL_CHARS = 10_000


class ActivityStore:
    """The activity of one home. Threads may share it; the file is made by the first record.

    Raises StoreError: the file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._sql = read_sql_sections(STATEMENTS_FILE)

    def __enter__(self) -> ActivityStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def begin(self, new: NewStatement, now: datetime) -> int:
        """Record a statement that begins; return its number."""
        values = {
            "user": new.user,
            "application": new.application,
            "address": new.address,
            "protocol": new.protocol,
            "sql": new.sql[:MAX_SQL_CHARS],
            "pid": new.pid,
            "now": to_micros(now),
        }
        [row] = self._run("begin", values)
        id = int(row["id"])
        if id % FORGET_EVERY == 0:
            self._run("forget_statements", {"kept": KEPT})
        return id

    def end(
        self, id: int, state: str, now: datetime, *, rows: int = 0, loads: int = 0, error: str = ""
    ) -> None:
        """Record how a statement ended."""
        values = {"id": id, "state": state, "rows": rows, "loads": loads, "error": error}
        self._run("end", {**values, "now": to_micros(now)})

    def recent(self, count: int = KEPT) -> Sequence[StatementRecord]:
        """Return the last statements, newest first."""
        return [statement_from_row(row) for row in self._read("recent", {"count": count})]

    def running(self) -> Sequence[StatementRecord]:
        """Return the statements that run now. Those of a server that was killed are ended."""
        found = [statement_from_row(row) for row in self._read("running", {})]
        lost = {one.pid for one in found if not is_process_alive(one.pid)}
        for pid in lost:
            self._run("end_lost", {"pid": pid, "now": to_micros(datetime.now(UTC))})
        return [one for one in found if one.pid not in lost]

    def ask_cancel(self, id: int) -> StatementRecord | None:
        """Ask the server of a running statement to cancel it. None: there is no such statement."""
        rows = self._run("ask_cancel", {"id": id}) if self.path.exists() else ()
        return statement_from_row(rows[0]) if rows else None

    def cancel_asked(self, pid: int) -> Sequence[int]:
        """Return the statements of a server that are to be cancelled."""
        return [int(row["id"]) for row in self._read("cancel_asked", {"pid": pid})]

    def add_call(self, call: AgentCall) -> None:
        """Record a call of an agent."""
        values = {name: getattr(call, name) for name in call.__struct_fields__}
        statement = call.statement[:MAX_SQL_CHARS]
        self._run("add_call", {**values, "statement": statement, "at": to_micros(call.at)})
        self._run("forget_calls", {"kept": KEPT})

    def recent_calls(self, count: int = KEPT) -> Sequence[AgentCall]:
        """Return the last calls of agents, newest first."""
        return [call_from_row(row) for row in self._read("recent_calls", {"count": count})]

    def _read(self, name: str, values: Mapping[str, object]) -> Sequence[sqlite3.Row]:
        return self._run(name, values) if self.path.exists() else ()

    def _run(self, name: str, values: Mapping[str, object]) -> Sequence[sqlite3.Row]:
        with self._lock:
            try:
                return self._open().execute(self._sql[name], values).fetchall()
            except sqlite3.DatabaseError as error:
                raise StoreError(f"{self.path}: {error_text(error)}") from error

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            durable.create_private_file(self.path)
            connection = sqlite3.connect(
                self.path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = OFF")  # a log
            migrate(connection, SCHEMA_FILE)
            self._connection = connection
        return self._connection
