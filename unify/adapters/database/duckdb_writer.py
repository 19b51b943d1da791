"""DuckDBFileWriter: writes a DuckDB file with DuckDB itself, from the rows of the session.

While it writes, the file is attached for writing; no other process can have it open then.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from unify.adapters.database.attachment import show_connection_names, translate_source_errors
from unify.adapters.database.writing.conversions import convert
from unify.adapters.database.writing.sql_writer import SqlWriter
from unify.adapters.database.writing.statements import StatementBuilder
from unify.adapters.relation import SourceTable
from unify.adapters.table_writes import (
    ConfirmDeletes,
    RowFetcher,
    TableWrite,
    ValueConversion,
    WritableColumn,
    WritableTable,
    WriteCounts,
)
from unify.engine.connection import quote_literal
from unify.engine.errors import clean_message
from unify.engine.types import quote_identifier as quoted
from unify.errors import QueryError, SourceError
from unify.model import Column

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_REFUSAL = re.compile("(?:Constraint|Dependency) Error")
_RULES_SQL = (
    "SELECT column_name, is_nullable, column_default FROM duckdb_columns() "
    "WHERE database_name = $alias AND schema_name = $schema AND table_name = $table ORDER BY column_index"
)
_UNIQUE_SQL = (
    "SELECT constraint_column_names FROM duckdb_constraints() "
    "WHERE constraint_type IN ('PRIMARY KEY', 'UNIQUE') "
    "AND database_name = $alias AND schema_name = $schema AND table_name = $table"
)
_IS_VIEW_SQL = (
    "SELECT 1 FROM duckdb_views() "
    "WHERE database_name = $alias AND schema_name = $schema AND view_name = $table"
)


class DuckDBBuilder(StatementBuilder):
    """DuckDB's statements. The staged rows are a view of those of the session."""

    def create_staged(self, write: TableWrite) -> str:
        return f"CREATE TEMPORARY VIEW {self.staged} AS SELECT …"

    def drop_staged(self) -> str:
        return f"DROP VIEW {self.staged}"


class DuckDBFileWriter(SqlWriter):
    """Writes tables of one file.

    ``names_of``    returns alias, schema and table of a name. ``find_table``: a table as it is read.
    ``attach``      attaches the file read-only.
    """

    builder: DuckDBBuilder

    def __init__(
        self,
        connection: str,
        path: str,
        duck: DuckDBPyConnection,
        *,
        find_table: Callable[[str], SourceTable | None],
        names_of: Callable[[str], tuple[str, str, str]],
        attach: Callable[[DuckDBPyConnection], None],
    ) -> None:
        self.connection = connection
        self.builder = DuckDBBuilder()
        self._path = path
        self._duck = duck  # of the statement, then that of the rows
        self._find_table = find_table
        self._names_of = names_of
        self._attach = attach

    def close(self) -> None:
        """Do nothing: the file is attached within a transaction only."""

    def find_target(self, table: str) -> WritableTable | None:
        found = self._find_table(table)
        if found is None:
            return None
        alias, schema, name = self._names_of(found.name)
        values = {"alias": alias, "schema": schema, "table": name}
        with translate_source_errors(self.connection):
            if self._duck.execute(_IS_VIEW_SQL, values).fetchone():
                raise QueryError(f"{self.connection}.{found.name} is a view; write the table behind it")
            rules = {str(row[0]): row[1:] for row in self._duck.execute(_RULES_SQL, values).fetchall()}
            unique = self._duck.execute(_UNIQUE_SQL, values).fetchall()
        return WritableTable(
            name=found.name,
            sql_name=".".join(map(quoted, (alias, schema, name))),
            columns=tuple(
                WritableColumn(
                    name=one.name,
                    type=one.source_type,
                    source_type=one.source_type.lower(),
                    is_nullable=bool(rules[one.name][0]),
                    has_default=rules[one.name][1] is not None,
                )
                for one in found.columns
            ),
            key=found.key,
            unique_keys=tuple(frozenset(names) for (names,) in unique),
        )

    def plan_target(self, table: str, columns: Sequence[Column], key: Sequence[str]) -> WritableTable:
        made = [
            WritableColumn(one.name, one.type, one.type, is_nullable=one.name not in key) for one in columns
        ]
        unique = (frozenset(key),) if key else ()
        sql_name = ".".join(map(quoted, self._names_of(table)))
        return WritableTable(table, sql_name, tuple(made), tuple(key), unique, exists=False)

    def convert(self, value: str, type: str, column: WritableColumn) -> ValueConversion:
        return convert(value, type, column)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        from unify.engine import duckdb

        with translate_source_errors(self.connection), self._attached_for_writing():
            try:
                self._duck.execute("BEGIN")
                yield
                self._duck.execute("COMMIT")
            except BaseException as error:
                with suppress(duckdb.Error):
                    self._duck.execute("ROLLBACK")
                if isinstance(error, duckdb.Error) and _REFUSAL.match(str(error)):
                    text = clean_message(error).partition("\n")[0]
                    raise QueryError(f"{self.connection}: {text}; nothing was written") from error
                raise

    def execute(self, sql: str) -> int:
        row = self._duck.execute(sql).fetchone()
        return int(row[0]) if row is not None and isinstance(row[0], int) else 0

    def fetch_numbers(self, sql: str) -> Sequence[int]:
        row = self._duck.execute(sql).fetchone()
        assert row is not None
        return [int(value) for value in row]

    def write(
        self, write: TableWrite, values: Sequence[str], rows: RowFetcher, confirm_deletes: ConfirmDeletes
    ) -> WriteCounts:
        self._duck = rows.duck
        return super().write(write, values, rows, confirm_deletes)

    def create(self, write: TableWrite, values: Sequence[str], rows: RowFetcher) -> int:
        target = write.target
        created = self.builder.create_table(target, target.sql_name)
        if target.replaces:
            created = created.replace("CREATE ", "CREATE OR REPLACE ", 1)
        with self.transaction():
            self._duck.execute(created)
            return self.load(target.sql_name, write, values, rows)

    def staging_statements(self, write: TableWrite) -> Sequence[str]:
        return [self.builder.create_staged(write)]

    def statements(self, write: TableWrite) -> Sequence[str]:
        return [show_connection_names(text) for text in super().statements(write)]

    def load_rows(
        self,
        sql_name: str,
        names: Sequence[str],
        columns: Sequence[WritableColumn],
        values: Sequence[str],
        rows: RowFetcher,
    ) -> int:
        source = f"SELECT {', '.join(values)} FROM {rows.relation} ORDER BY rowid"
        return self.execute(f"{self.load_text(sql_name, names)} {source}")

    def load_text(self, sql_name: str, names: Sequence[str]) -> str:
        return f"INSERT INTO {sql_name} ({', '.join(map(quoted, names))})"

    def stage(self, write: TableWrite, values: Sequence[str], rows: RowFetcher) -> None:
        """The rows of the session are where DuckDB finds them."""
        names = self.builder.staged_names(write)
        listed = ", ".join(f"{value} AS {quoted(name)}" for value, name in zip(values, names, strict=True))
        self._duck.execute(
            f"CREATE TEMPORARY VIEW {self.builder.staged} AS SELECT {listed} FROM {rows.relation}"
        )

    @contextmanager
    def _attached_for_writing(self) -> Iterator[None]:
        """Attach the file for writing under its alias, and read-only again afterwards."""
        from unify.engine import duckdb

        alias = self._names_of("t")[0]
        try:
            self._duck.execute(f"DETACH {quoted(alias)}")
            self._duck.execute(f"ATTACH {quote_literal(self._path)} AS {quoted(alias)}")
        except duckdb.Error as error:
            self._attach(self._duck)
            if "Conflicting lock" in str(error):
                raise SourceError(
                    f"{self.connection}: {self._path} is open in another process; nothing was written"
                ) from error
            raise
        try:
            yield
        finally:
            with suppress(duckdb.Error):
                self._duck.execute(f"DETACH {quoted(alias)}")
            self._attach(self._duck)
