"""DB-API 2.0 (PEP 249): ``unify.connect()``.

Statements are those of the shell. Each one commits by itself; ``begin`` opens a transaction, in which no
table can be loaded, and ``commit()`` or ``rollback()`` ends it. Threads may share the module, but not
connections.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from types import TracebackType

from unify.api import exceptions, session
from unify.api.exceptions import (
    DatabaseError,
    DataError,
    Error,
    IntegrityError,
    InterfaceError,
    InternalError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    Warning,
    database_errors,
)
from unify.api.session import PythonSession, QueryResult
from unify.api.types import (
    BINARY,
    DATETIME,
    NUMBER,
    ROWID,
    STRING,
    Binary,
    Date,
    DateFromTicks,
    Time,
    TimeFromTicks,
    Timestamp,
    TimestampFromTicks,
)
from unify.interpreter.parameters import MAX_VALUES_ROWS, Parameters, count_positions, repeat_values
from unify.interpreter.quiet_watcher import ProgressCallback
from unify.interpreter.state import TableState
from unify.model import LoadRecord

__all__ = [
    "BINARY",
    "DATETIME",
    "NUMBER",
    "ROWID",
    "STRING",
    "Binary",
    "DataError",
    "DatabaseConnection",
    "DatabaseCursor",
    "DatabaseError",
    "Date",
    "DateFromTicks",
    "Error",
    "IntegrityError",
    "InterfaceError",
    "InternalError",
    "NotSupportedError",
    "OperationalError",
    "ProgrammingError",
    "Time",
    "TimeFromTicks",
    "Timestamp",
    "TimestampFromTicks",
    "Warning",
    "apilevel",
    "connect",
    "paramstyle",
    "threadsafety",
]

apilevel = "2.0"
threadsafety = 1  # threads may share the module, but not connections
paramstyle = "qmark"  # a mapping as parameters is for :name and $name

Description = tuple[str, str, None, None, None, None, None]


def connect(
    home: str | os.PathLike[str] | None = None,
    *,
    max_age: str | float | timedelta | None = None,
    wait: bool = True,
    on_progress: ProgressCallback | None = None,
    connections: str | os.PathLike[str] | None = None,
    specs: Sequence[str | os.PathLike[str]] = (),
    tenant: str | None = None,
    environment: Mapping[str, str] | None = None,
    yes: bool = False,
    max_writes: int | None = None,
    max_deletes: int | None = None,
) -> DatabaseConnection:
    """Open a connection. None means the default of the command line; see ``unify.open`` for the others.

    ``max_age``      how old stored rows may be: a text such as ``5m``, seconds, a timedelta; ``none``.
    ``on_progress``  called with the status of each load that a statement waits for.
    Nothing is opened before the first statement. Raises ProgrammingError for an invalid value.
    """
    with database_errors():
        opened = session.open(
            home,
            connections=connections,
            specs=specs,
            tenant=tenant,
            max_age=_age_text(max_age),
            wait=wait,
            environment=environment,
            on_progress=on_progress,
            python_values=True,
            yes=yes,
            max_writes=max_writes,
            max_deletes=max_deletes,
        )
    return DatabaseConnection(opened)


def _age_text(max_age: str | float | timedelta | None) -> str | None:
    if isinstance(max_age, timedelta):
        max_age = max_age.total_seconds()
    return f"{max_age:.6f} seconds" if isinstance(max_age, int | float) else max_age


class DatabaseConnection:
    """A connection of PEP 249, and ``sql``, ``load`` and ``tables``.

    At the end of a ``with`` block an open transaction is committed, or rolled back after an exception; then
    the connection is closed. ``notices`` are what the shell would write to stderr.
    """

    Warning = exceptions.Warning
    Error = exceptions.Error
    InterfaceError = exceptions.InterfaceError
    DatabaseError = exceptions.DatabaseError
    DataError = exceptions.DataError
    OperationalError = exceptions.OperationalError
    IntegrityError = exceptions.IntegrityError
    InternalError = exceptions.InternalError
    ProgrammingError = exceptions.ProgrammingError
    NotSupportedError = exceptions.NotSupportedError

    def __init__(self, opened: PythonSession) -> None:
        self._session = opened
        self._lock = threading.RLock()
        self._is_closed = False
        self.autocommit = False  # of SQLAlchemy: True: it begins no transactions
        self._reading: weakref.ref[DatabaseCursor] | None = None  # whose rows are not all read

    @property
    def notices(self) -> Sequence[str]:
        return self._session.notices

    def cursor(self) -> DatabaseCursor:
        """Return a new cursor."""
        self._require_open()
        return DatabaseCursor(self)

    def execute(self, sql: str, parameters: Parameters | None = None) -> DatabaseCursor:
        """Run a statement with a new cursor, and return the cursor."""
        return self.cursor().execute(sql, parameters)

    def sql(self, sql: str, parameters: Parameters | None = None) -> QueryResult:
        """Run a statement; its result has ``arrow``, ``reader``, ``df``, ``pl`` and ``rows``.

        The result is read before the next statement of the connection.
        """
        with self.running():
            return self._session.execute(sql, parameters)

    def load(self, table: str) -> LoadRecord:
        """Load a table, or refresh one that is stored, and return its row of ``unify.loads``."""
        with self.running():
            return self._session.load(table)

    def tables(self, schema: str | None = None) -> list[TableState]:
        """Return the tables that a statement can name, stored or not."""
        with self.running():
            return self._session.tables(schema)

    def schemas(self) -> frozenset[str]:
        """Return the names of all connections and schemas."""
        with self.running():
            return self._session.schemas()

    def has_transaction(self) -> bool:
        """Whether a transaction is open."""
        with self._lock:
            return self._session.has_transaction()

    def commit(self) -> None:
        """Commit the open transaction, if there is one."""
        self._end_transaction("commit")

    def rollback(self) -> None:
        """Roll back the open transaction, if there is one."""
        self._end_transaction("rollback")

    def close(self) -> None:
        """Close the connection; an open transaction is rolled back. Loads go on in the daemon."""
        with self._lock:
            if not self._is_closed:
                self._is_closed = True
                self._session.close()

    def __enter__(self) -> DatabaseConnection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None and not self._is_closed:
                self.commit()
        finally:
            self.close()

    @contextmanager
    def running(self, cursor: DatabaseCursor | None = None) -> Iterator[PythonSession]:
        """Run a statement in the block: the rows of the cursor before are read first. Raises Error."""
        with self._lock, database_errors():
            self._require_open()
            before = self._reading() if self._reading is not None else None
            if before is not None:
                before.read_remaining()
            self._reading = None
            yield self._session
            if cursor is not None:
                self._reading = weakref.ref(cursor)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Read rows in the block. Raises Error."""
        with self._lock, database_errors():
            self._require_open()
            yield

    def _end_transaction(self, statement: str) -> None:
        with self.running() as opened:
            if opened.has_transaction():
                opened.execute(statement)

    def _require_open(self) -> None:
        if self._is_closed:
            raise InterfaceError("the connection is closed")


class DatabaseCursor:
    """A cursor of PEP 249. Its rows are read while the statement runs; another statement reads them first."""

    def __init__(self, connection: DatabaseConnection) -> None:
        self.connection = connection
        self.arraysize = 1
        self.rowcount = -1
        self.lastrowid: int | None = None
        self._result: QueryResult | None = None
        self._rows: Iterator[tuple[object, ...]] = iter(())
        self._is_closed = False

    @property
    def description(self) -> Sequence[Description] | None:
        """Name and DuckDB type of each column; None without rows."""
        if self._result is None or not self._result.columns:
            return None
        return [(one.name, one.type, None, None, None, None, None) for one in self._result.columns]

    @property
    def message(self) -> str:
        """What a statement without rows did: ``3 rows inserted``."""
        return self._result.message if self._result is not None else ""

    def execute(self, sql: str, parameters: Parameters | None = None) -> DatabaseCursor:
        """Run a statement. ``parameters``: a sequence for ``?``, a mapping for ``:name`` and ``$name``."""
        self._require_open()
        self._forget()
        with self.connection.running(self) as opened:
            self._set_result(opened.execute(sql, parameters))
        return self

    def executemany(self, sql: str, rows: Iterable[Parameters]) -> DatabaseCursor:
        """Run a statement for each of ``rows``, in one transaction; an INSERT of values for many at once."""
        self._require_open()
        self._forget()
        changed = 0
        given = [row if isinstance(row, Mapping) else tuple(row) for row in rows]
        with self.connection.running(self) as opened, _transaction(opened):
            for text, parameters in _combine_rows(sql, given):
                self._set_result(opened.execute(text, parameters))
                changed += self._result.changed or 0 if self._result is not None else 0
        self.rowcount = changed
        return self

    def fetchone(self) -> tuple[object, ...] | None:
        """Return the next row; None at the end."""
        with self._reading():
            return next(self._rows, None)

    def fetchmany(self, size: int | None = None) -> list[tuple[object, ...]]:
        """Return the next rows, at most ``size``, by default ``arraysize``."""
        with self._reading():
            return [row for _, row in zip(range(size or self.arraysize), self._rows, strict=False)]

    def fetchall(self) -> list[tuple[object, ...]]:
        """Return the remaining rows."""
        with self._reading():
            return list(self._rows)

    def __iter__(self) -> DatabaseCursor:
        return self

    def __next__(self) -> tuple[object, ...]:
        row = self.fetchone()
        if row is None:
            raise StopIteration
        return row

    def read_remaining(self) -> None:
        """Read the rows that are left into memory, before another statement of the connection runs."""
        self._rows = iter(list(self._rows))

    def setinputsizes(self, sizes: Sequence[object]) -> None:
        """Do nothing, as PEP 249 allows."""

    def setoutputsize(self, size: int, column: int | None = None) -> None:
        """Do nothing, as PEP 249 allows."""

    def close(self) -> None:
        """Close the cursor; rows that are left are not read."""
        self._is_closed = True
        self._result, self._rows = None, iter(())

    def __enter__(self) -> DatabaseCursor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _forget(self) -> None:
        self._result, self._rows, self.rowcount = None, iter(()), -1

    def _set_result(self, result: QueryResult) -> None:
        self._result, self._rows = result, iter(result)
        self.rowcount = -1 if result.changed is None else result.changed

    @contextmanager
    def _reading(self) -> Iterator[None]:
        self._require_open()
        with self.connection.reading():
            if self.description is None:
                raise ProgrammingError("there are no rows to fetch: the last statement had none")
            yield

    def _require_open(self) -> None:
        if self._is_closed:
            raise InterfaceError("the cursor is closed")


@contextmanager
def _transaction(opened: PythonSession) -> Iterator[None]:
    """Run the block in one transaction, unless one is open."""
    if opened.has_transaction():
        yield
        return
    opened.execute("begin")
    try:
        yield
        opened.execute("commit")
    except BaseException:
        if opened.has_transaction():
            opened.execute("rollback")
        raise


def _combine_rows(sql: str, rows: Sequence[Parameters]) -> Iterator[tuple[str, Parameters]]:
    """Yield the statements of ``executemany``: an INSERT of values with the rows of many."""
    width = count_positions(sql)
    can_combine = width and all(not isinstance(row, Mapping) and len(row) == width for row in rows)
    if not can_combine or repeat_values(sql, 1) is None:
        yield from ((sql, row) for row in rows)
        return
    for start in range(0, len(rows), MAX_VALUES_ROWS):
        batch = rows[start : start + MAX_VALUES_ROWS]
        combined = repeat_values(sql, len(batch))
        assert combined is not None
        yield combined, [value for row in batch for value in row]
