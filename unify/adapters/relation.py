"""The contract of a source whose tables DuckDB reads: databases, DuckDB and SQLite files, object stores.

A RelationalAdapter turns a table, with columns, conditions, an order and a limit, into one SELECT in DuckDB's
SQL. A statement reads the SELECT in place of the table; a load copies the rows of the same SELECT to Parquet.
So live and stored rows are the same.

Names: a table of the first schema is called by its name alone (``orders``), one of another schema with the
schema before it (``sales.orders``). A part that contains a dot or a double quote is in double quotes.
``duck`` is a DuckDBPyConnection: a cursor of the session's DuckDB, or a worker's own database in memory.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar, Protocol

from msgspec import Struct

from unify.adapters.base import Check
from unify.adapters.spec.elements import Option
from unify.adapters.spec.table_keys import RefreshStrategy
from unify.config.connection_tables import DEFAULT_TABLE_SETTINGS, TableSettings
from unify.config.secrets import Secret
from unify.errors import QueryError
from unify.language.table_names import join_table_name as join_table_name  # noqa: PLC0414 - for adapters
from unify.language.table_names import split_table_name as split_table_name  # noqa: PLC0414
from unify.model import Action, Column, TableDef

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from unify.adapters.table_writes import DatabaseWriter
    from unify.language.sql.aggregates import AggregateUse
    from unify.language.sql.refs import Condition

HIDDEN_PREFIX = "__unify_"  # of the aliases of attached databases; they are not shown to users


class SourceColumn(Struct, frozen=True):
    """A column of a table, as the catalog of the source has it now.

    ``name``         as the source spells it.
    ``type``         the DuckDB type that the relation returns, which the lake stores exactly.
    ``source_type``  the source's own text, such as numeric(10,2).
    """

    name: str
    type: str
    source_type: str = ""
    description: str = ""


class SourceTable(Struct, frozen=True):
    """A table of a source. ``name`` is canonical; ``key`` is its primary key, if it has one."""

    name: str
    columns: tuple[SourceColumn, ...]
    key: tuple[str, ...] = ()
    description: str = ""
    approximate_rows: int | None = None


class SortOrder(Struct, frozen=True):
    """One column of ORDER BY."""

    column: str
    descending: bool = False
    nulls_first: bool = False


class RelationRead(Struct, frozen=True):
    """What a statement reads of a table.

    ``columns``     None: all. The relation may return more.
    ``conditions``  the source may apply them; DuckDB applies them again. ``column`` is in lower case.
    ``order_by``    applied before ``limit``, never without it.
    ``limit``       given only if ``conditions`` are the whole WHERE: the source may apply it if it applies
                    every condition, and the order, exactly as DuckDB does.
    ``count_only``  the statement needs no column: the relation has as many rows as the table, whose values
                    are not used.
    ``null_counter``  an expression of DuckDB, above 0, that is to be evaluated for each value that is read as
                    NULL because its type does not have it, such as NaN; "": they are not counted.
    ``aggregates``  the statement needs no more than counts, sums, minima and maxima of groups of rows: the
                    relation may have fewer rows that give the same ones.
    """

    columns: tuple[str, ...] | None = None
    conditions: tuple[Condition, ...] = ()
    order_by: tuple[SortOrder, ...] = ()
    limit: int | None = None
    count_only: bool = False
    aggregates: AggregateUse | None = None
    null_counter: str = ""


class ArrowStream(Protocol):
    """Rows that DuckDB reads as a table, anew for each scan, by the Arrow PyCapsule interface."""

    @property
    def name(self) -> str:
        """The name under which it is registered in a DuckDB connection, and no other stream."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Return the capsule of the rows."""


class Relation(Struct, frozen=True):
    """One SELECT in DuckDB's SQL over the attached source.

    ``sent``  what the source receives (SQL, requests), for explain; no secrets.
    ``null_columns``  those whose values the expression ``null_counter`` counts.
    ``streams``  tables that the SELECT reads as temp.main.NAME: they are registered where it runs.
    """

    sql: str
    columns: tuple[Column, ...]
    sent: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    null_columns: tuple[str, ...] = ()
    streams: tuple[ArrowStream, ...] = ()


class ParallelRead(Struct, frozen=True):
    """The rows of a table in parts that are read side by side, before a statement uses them.

    ``parts``   SELECTs in DuckDB's SQL, with the same columns.
    ``values``  the columns of the relation, in DuckDB's SQL over those of the parts.
    ``setup``   statements of each reader, first in its transaction: they take one snapshot.
    ``null_columns``  see Relation.
    """

    parts: tuple[str, ...]
    values: str
    setup: tuple[str, ...] = ()
    null_columns: tuple[str, ...] = ()


class SourceLoadRequest(Struct, frozen=True):
    """A load of a table.

    ``cursors``         the state of earlier loads; empty: none.
    ``stored_columns``  of the stored table; empty: it is not stored.
    ``parallel_parts``  how many parts are read side by side at most.
    """

    action: Action
    settings: TableSettings
    now: datetime
    cursors: Mapping[str, str] = {}
    stored_columns: tuple[Column, ...] = ()
    parallel_parts: int = 1


class LoadPart(Struct, frozen=True):
    """One SELECT whose rows are staged; the parts of a load run side by side."""

    sql: str
    scope: str = ""


class SourceLoad(Struct, frozen=True):
    """How to load a table.

    ``cursor_column``  the next cursor is its greatest staged value, but never beyond ``cursor_limit``.
    ``cursors``        state known before reading; it replaces the state of earlier loads. Of files: path ->
                       version. Of databases: column -> cursor, which a greater staged value replaces.
    ``removed``        stored rows with these texts are deleted first (of files: {"_file": path}).
    ``readers``        how many parts are read side by side, each in a transaction on a cursor of its own; 1:
                       on the cursor that ``plan_load`` got, in its transaction.
    ``setup``          statements of each further reader, first in its transaction: they take its snapshot.
    ``rejected``       SELECTs of scope, column, value, reason and row, all VARCHAR: values that the relation
                       returns as NULL because their type does not have them; ``scope`` is their column, and
                       they are read if a staged row has no value in it.
    ``key_parts``      of merge_delete: SELECTs of the keys of all rows, if the parts do not read them all.
    """

    table: SourceTable
    parts: tuple[LoadPart, ...]
    strategy: RefreshStrategy
    key: tuple[str, ...] = ()
    cursor_column: str = ""
    cursor_limit: str = ""
    cursors: Mapping[str, str] = {}
    removed: tuple[Mapping[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    readers: int = 1
    setup: tuple[str, ...] = ()
    rejected: tuple[LoadPart, ...] = ()
    key_parts: tuple[LoadPart, ...] = ()


class RelationalAdapter(ABC):
    """One database, folder or object store, configured for one connection.

    ``label``     the name of the system in messages.
    ``takes``     its options; each has a value in ``options``: None if not set, a Secret if it is secret.
                  See also ListOption and PathOption in ``options``.
    ``asks``      the options that ``connect`` asks for; empty: all of them.
    ``extra``     of the package: pip install 'unify-sql[EXTRA]'; "" needs none.
    ``requires``  modules that the extra installs, such as duckdb_extension_postgres_scanner.
    Errors of DuckDB and of the source become SourceErrors with the message of the source, without secrets.
    """

    label: ClassVar[str] = ""
    takes: ClassVar[tuple[Option, ...]] = ()
    asks: ClassVar[tuple[str, ...]] = ()
    extra: ClassVar[str] = ""
    requires: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        connection: str,
        options: Mapping[str, str | Secret | None],
        tables: Mapping[str, TableSettings],
    ) -> None:
        self.connection = connection
        self.options = options
        self.tables = tables

    def option(self, name: str) -> str:
        """Return the value of an option that is not secret; "" if it is not set."""
        value = self.options.get(name)
        return "" if value is None or isinstance(value, Secret) else value

    def secret(self, name: str) -> str:
        """Return the value of a secret option; "" if it is not set."""
        value = self.options.get(name)
        return value.reveal() if isinstance(value, Secret) else value or ""

    @abstractmethod
    def attach(self, duck: DuckDBPyConnection) -> None:
        """Make the source readable in a DuckDB: extension, secret, ATTACH under a hidden alias, read-only.

        Does nothing if ``duck`` has it already; all cursors of one DuckDB share it. The other methods that
        take ``duck`` require it.
        """

    @abstractmethod
    def list_schemas(self, duck: DuckDBPyConnection) -> Sequence[str]:
        """Return the schemas, the first one first; nothing if the source has none."""

    @abstractmethod
    def list_tables(self, duck: DuckDBPyConnection, schema: str = "") -> Sequence[TableDef]:
        """Return the tables of one schema, or of all configured ones, with canonical names."""

    @abstractmethod
    def find_table(self, duck: DuckDBPyConnection, table: str) -> SourceTable | None:
        """Return a table as it is now, by its name in any case; None if there is none.

        Raises QueryError naming both if two tables differ from ``table`` only in case.
        """

    @abstractmethod
    def relation(self, duck: DuckDBPyConnection, table: SourceTable, read: RelationRead) -> Relation:
        """Return the SELECT of ``read``. Sends nothing that reads rows."""

    def plan_parallel_read(
        self, duck: DuckDBPyConnection, table: SourceTable, read: RelationRead, readers: int
    ) -> AbstractContextManager[ParallelRead | None]:
        """Return the parts of a large table that a statement reads as a whole; None if it does not pay.

        Within the block they are those of one moment. ``duck`` is in no transaction.
        """
        del duck, table, read, readers
        return nullcontext()

    @abstractmethod
    def plan_load(
        self, duck: DuckDBPyConnection, table: SourceTable, request: SourceLoadRequest
    ) -> AbstractContextManager[SourceLoad]:
        """Return the parts of a load. Within the block they read one consistent snapshot.

        Errors of DuckDB that are raised in the block, while parts are read, become SourceErrors.
        """

    @abstractmethod
    def query(self, duck: DuckDBPyConnection, sql: str) -> Relation:
        """Return a SELECT over the rows of ``sql``, which the source runs in its own language, read-only.

        Raises QueryError if the source refuses it or has no language of its own.
        """

    @abstractmethod
    def check(self, duck: DuckDBPyConnection) -> Check:
        """Test the credentials; ``identity`` is version, user, read-only or not, and TLS."""

    def open_writer(self, duck: DuckDBPyConnection) -> DatabaseWriter:
        """Return the writer of the tables of a database, for one statement. Connects when it has to.

        ``duck``  reads the catalog. Raises QueryError if statements cannot write the tables of this source.
        """
        del duck
        raise QueryError(f"{self.connection}: tables of {self.label} cannot be written by statements")

    def cancel(self, duck: DuckDBPyConnection) -> int | None:
        """End the statements of this process that run at the source, on a connection of its own.

        Returns how many; None if DuckDB's own interrupt ends what it reads from this source.
        """
        del duck
        return None

    def close(self) -> None:  # noqa: B027 - optional
        """Close connections."""

    def secrets(self) -> Sequence[str]:
        """Values that must not be shown."""
        return [value.reveal() for value in self.options.values() if isinstance(value, Secret)]

    def settings_of(self, table: str) -> TableSettings:
        """Return the settings of a table, by its canonical name in any case."""
        folded = table.lower()
        found = (settings for name, settings in self.tables.items() if name.lower() == folded)
        return next(found, DEFAULT_TABLE_SETTINGS)
