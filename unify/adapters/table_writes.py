"""The contract of databases whose tables are written: one statement becomes one transaction.

The rows of a statement are in a temporary table of the session, where they are checked and converted before
the database receives the first one. See ``relation.RelationalAdapter.open_writer``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Protocol

from msgspec import Struct

from unify.model import Column

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

TableOperation = Literal["insert", "update", "upsert", "mirror", "replace", "delete"]


class WritableColumn(Struct, frozen=True):
    """A column of a table that is written.

    ``type``             the DuckDB type that a value has to have, exactly.
    ``source_type``      the database's own text, such as numeric(10,2), for messages.
    ``has_default``      a row may leave it out.
    ``is_generated``     computed by the database: it cannot be written.
    ``max_chars``        of a text; None: no limit. ``max_bytes``: of a text in UTF-8, or of bytes.
    ``fraction_digits``  of the seconds of a time; None: six.
    ``labels``           the texts that it may have; empty: any.
    ``pattern``          a regular expression of the whole text; "": any.
    ``has_null_values``  values that exist there are read as NULL, such as NaN.
    """

    name: str
    type: str
    source_type: str = ""
    is_nullable: bool = True
    has_default: bool = False
    is_generated: bool = False
    max_chars: int | None = None
    max_bytes: int | None = None
    fraction_digits: int | None = None
    labels: tuple[str, ...] = ()
    pattern: str = ""
    has_null_values: bool = False


class WritableTable(Struct, frozen=True):
    """A table that is written.

    ``name``         canonical, within the connection.
    ``sql_name``     in the SQL of the database.
    ``key``          its primary key.
    ``unique_keys``  the columns of each unique index, the primary key included.
    ``exists``       False: the write creates it. ``replaces``: it takes the place of one of that name.
    ``is_loadable``  rows can be sent to the table itself: no rule or policy is in the way.
    """

    name: str
    sql_name: str
    columns: tuple[WritableColumn, ...]
    key: tuple[str, ...] = ()
    unique_keys: tuple[frozenset[str], ...] = ()
    exists: bool = True
    replaces: bool = False
    is_loadable: bool = True

    def find(self, name: str) -> WritableColumn | None:
        """Return a column by its name in any case; one of exactly that name first."""
        same = [column for column in self.columns if column.name.lower() == name.lower()]
        return next((column for column in same if column.name == name), same[0] if same else None)


class TableWrite(Struct, frozen=True):
    """What one statement writes.

    ``columns``     of the values of a row, in their order; those of the key are among them.
    ``compared``    columns whose values at the time of reading follow in each row: a row of the table that
                    has other ones now was changed meanwhile.
    ``must_match``  each row has to find its row, or nothing is written.
    """

    operation: TableOperation
    target: WritableTable
    columns: tuple[WritableColumn, ...]
    key: tuple[str, ...] = ()
    compared: tuple[WritableColumn, ...] = ()
    must_match: bool = False
    row_count: int = 0

    @property
    def changed(self) -> tuple[WritableColumn, ...]:
        """The columns that are not of the key."""
        return tuple(column for column in self.columns if column.name not in self.key)


class ValueConversion(Struct, frozen=True):
    """How a value becomes one of a column, in DuckDB's SQL.

    ``value``     the converted value; NULL where a problem is.
    ``problems``  conditions that find values which cannot be written, each with the reason.
    """

    value: str
    problems: tuple[tuple[str, str], ...] = ()


class WriteCounts(Struct, frozen=True):
    """How many rows the database has changed. ``unmatched``: rows whose key the table does not have."""

    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    unmatched: int = 0


class RowFetcher(Protocol):
    """The checked rows of a statement, in a temporary table of the session."""

    @property
    def relation(self) -> str:
        """The table with the rows in DuckDB's SQL, for databases that DuckDB writes itself."""

    @property
    def duck(self) -> DuckDBPyConnection:
        """The connection that has that table."""

    def fetch(self, expressions: Sequence[str]) -> Iterator[Sequence[tuple[object, ...]]]:
        """Yield batches of the rows, in their order, as the values of expressions in DuckDB's SQL."""


ConfirmDeletes = Callable[[int, int], None]  # of how many rows of how many; raises to write nothing


class DatabaseWriter(ABC):
    """Writes tables of one database, each call in one transaction: all of it is written, or nothing.

    Raises QueryError if the database refuses something, and SourceError if it cannot be reached, without
    secrets and values. Leaving the block closes the connection, and ends what is open.
    """

    def __enter__(self) -> DatabaseWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Close the connection; an open transaction is rolled back."""

    @abstractmethod
    def check(self) -> None:
        """Begin and end a transaction that writes. Raises what refuses it."""

    @abstractmethod
    def find_target(self, table: str) -> WritableTable | None:
        """Return a table by its name in any case; QueryError for one that cannot be written, as a view."""

    @abstractmethod
    def plan_target(self, table: str, columns: Sequence[Column], key: Sequence[str]) -> WritableTable:
        """Return the table to create for columns of DuckDB. Raises QueryError for a type without a column."""

    @abstractmethod
    def convert(self, value: str, type: str, column: WritableColumn) -> ValueConversion:
        """Return how a value (SQL) of a DuckDB type becomes one of a column."""

    @abstractmethod
    def statements(self, write: TableWrite) -> Sequence[str]:
        """Return what ``write`` sends, for explain."""

    @abstractmethod
    def write(
        self, write: TableWrite, values: Sequence[str], rows: RowFetcher, confirm_deletes: ConfirmDeletes
    ) -> WriteCounts:
        """Write rows.

        ``values``           the values of a row in DuckDB's SQL, of ``write.columns`` and ``write.compared``.
        ``confirm_deletes``  is asked before rows are deleted that no row of the statement names.
        """

    @abstractmethod
    def truncate(self, target: WritableTable) -> int:
        """Delete all rows; return how many there were."""

    @abstractmethod
    def drop(self, target: WritableTable) -> None:
        """Drop a table. Raises QueryError if others depend on it."""
