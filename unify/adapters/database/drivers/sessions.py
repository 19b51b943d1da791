"""DriverSession: a connection to the database; DriverSessionPool: those of one adapter."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from unify.adapters.database.columns import DatabaseTable
from unify.adapters.database.drivers.dialect import DriverDialect
from unify.config.connection_tables import TableSettings

if TYPE_CHECKING:
    import pyarrow

MAX_IDLE_S = 60.0  # servers and firewalls close connections that are idle for longer


class TableId(NamedTuple):
    """A table of a database; ``schema`` is "" if the database has no schemas."""

    schema: str
    table: str
    description: str = ""


class DriverSession(ABC):
    """One connection to a database, for one statement at a time. Errors are those of the driver."""

    dialect: DriverDialect

    @abstractmethod
    def default_schema(self) -> str:
        """Return the schema whose tables need no schema; "" if the database does not tell."""

    @abstractmethod
    def tables(self, schema: str = "", table: str = "") -> Sequence[TableId]:
        """Return the tables and views of a schema, or of all, and those called ``table`` only, if given."""

    @abstractmethod
    def describe(self, table: TableId, name: str, settings: TableSettings) -> DatabaseTable:
        """Return a table, whose canonical name is ``name``, with columns and key. Raises ConfigError."""

    @abstractmethod
    def describe_query(self, sql: str) -> DatabaseTable:
        """Return the columns of a SELECT of a user, as a table of it."""

    @abstractmethod
    def batches(
        self, sql: str, schema: pyarrow.Schema, names: Sequence[str]
    ) -> Iterator[pyarrow.RecordBatch]:
        """Run a SELECT and yield its rows in the types of ``schema``. ``names``: of the columns, for errors.

        Raises SourceError for a value that is not of the type of its column.
        """

    @abstractmethod
    def identity(self) -> str:
        """Return the version of the database, and the user."""

    @abstractmethod
    def rollback(self) -> None:
        """End the transaction of the statements so far."""

    @abstractmethod
    def cancel(self) -> None:
        """End the statement that runs, from another thread."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection."""


class DriverSessionPool:
    """The connections of one adapter. ``connect`` opens one; ``errors`` are those of the driver."""

    def __init__(self, connect: Callable[[], DriverSession]) -> None:
        self._connect = connect
        self._lock = Lock()
        self._idle: list[tuple[float, DriverSession]] = []
        self._busy: list[DriverSession] = []

    @contextmanager
    def use(self) -> Iterator[DriverSession]:
        """Lend a connection. After an error it is closed, and so are those that are idle."""
        session = self._take() or self._connect()
        with self._lock:
            self._busy.append(session)
        try:
            yield session
            session.rollback()
        except BaseException:  # also GeneratorExit: DuckDB needs no more rows
            self._release(session)
            session.close()
            self.close_idle()
            raise
        self._release(session)
        with self._lock:
            self._idle.append((time.monotonic(), session))

    def cancel(self) -> int:
        """End the statements that run; return how many connections are in use."""
        with self._lock:
            busy = list(self._busy)
        for session in busy:
            session.cancel()
        return len(busy)

    def close_idle(self) -> None:
        """Close the connections that are not in use."""
        with self._lock:
            idle, self._idle = self._idle, []
        for _, session in idle:
            session.close()

    def _take(self) -> DriverSession | None:
        with self._lock:
            old = [one for one in self._idle if time.monotonic() - one[0] > MAX_IDLE_S]
            self._idle = [one for one in self._idle if one not in old]
            found = self._idle.pop()[1] if self._idle else None
        for _, session in old:
            session.close()
        return found

    def _release(self, session: DriverSession) -> None:
        with self._lock:
            self._busy.remove(session)
