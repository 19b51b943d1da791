"""Adapter ``duckdb``: the tables and views of a DuckDB database file.

The file is attached read-only. DuckDB locks it while it is attached: another process can read it, and not
write to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

from unify.adapters.base import Check
from unify.adapters.database.attachment import hidden_alias, is_attached, translate_source_errors
from unify.adapters.database.bulk import cursor_condition, database_load, read_transaction
from unify.adapters.options import ListOption, PathOption, split_list
from unify.adapters.relation import (
    Relation,
    RelationalAdapter,
    RelationRead,
    SourceColumn,
    SourceLoad,
    SourceLoadRequest,
    SourceTable,
    join_table_name,
    split_table_name,
)
from unify.adapters.spec.elements import Option
from unify.adapters.table_settings import plan_refresh
from unify.config.connection_tables import TableSettings
from unify.config.secrets import Secret
from unify.engine.connection import quote_literal
from unify.engine.stored_types import stored_type
from unify.engine.types import parse_type
from unify.engine.types import quote_identifier as quoted
from unify.errors import QueryError
from unify.model import Column, TableDef

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from unify.adapters.database.duckdb_writer import DuckDBFileWriter

_SCHEMAS_SQL = "SELECT schema_name FROM duckdb_schemas() WHERE database_name = ? AND NOT internal ORDER BY 1"
_RELATIONS_SQL = (
    "SELECT schema_name, table_name, coalesce(comment, '') FROM duckdb_tables() WHERE database_name = $alias "
    "UNION ALL SELECT schema_name, view_name, coalesce(comment, '') FROM duckdb_views() "
    "WHERE database_name = $alias AND NOT internal ORDER BY 1, 2"
)
_FIND_SQL = (
    "SELECT schema_name, table_name, coalesce(comment, ''), estimated_size FROM duckdb_tables() "
    "WHERE database_name = $alias AND lower(schema_name) = lower($schema) "
    "AND lower(table_name) = lower($table) "
    "UNION ALL SELECT schema_name, view_name, coalesce(comment, ''), NULL FROM duckdb_views() "
    "WHERE database_name = $alias AND lower(schema_name) = lower($schema) "
    "AND lower(view_name) = lower($table)"
)
_COLUMNS_SQL = (
    "SELECT column_name, data_type, coalesce(comment, '') FROM duckdb_columns() "
    "WHERE database_name = $alias AND schema_name = $schema AND table_name = $table ORDER BY column_index"
)
_KEY_SQL = (
    "SELECT constraint_column_names FROM duckdb_constraints() WHERE constraint_type = 'PRIMARY KEY' "
    "AND database_name = $alias AND schema_name = $schema AND table_name = $table"
)


class DuckDBFileAdapter(RelationalAdapter):
    """The tables of one DuckDB file."""

    label = "DuckDB"
    takes: ClassVar[tuple[Option, ...]] = (
        PathOption("path", "The database file", required=True),
        ListOption("schemas", "Schemas whose tables are listed; the first one needs no name", default="main"),
    )

    def __init__(
        self,
        connection: str,
        options: Mapping[str, str | Secret | None],
        tables: Mapping[str, TableSettings],
    ) -> None:
        super().__init__(connection, options, tables)
        self._path = str(options["path"])
        self._schemas = split_list(str(options["schemas"]))
        self._alias = hidden_alias(connection)

    def attach(self, duck: DuckDBPyConnection) -> None:
        with translate_source_errors(self.connection):
            if not is_attached(duck, self._alias):
                duck.execute(f"ATTACH {quote_literal(self._path)} AS {quoted(self._alias)} (READ_ONLY)")

    def list_schemas(self, duck: DuckDBPyConnection) -> Sequence[str]:
        with translate_source_errors(self.connection):
            rows = duck.execute(_SCHEMAS_SQL, [self._alias]).fetchall()
        others = [str(name) for (name,) in rows if name not in self._schemas]
        return (*self._schemas, *others)

    def list_tables(self, duck: DuckDBPyConnection, schema: str = "") -> Sequence[TableDef]:
        wanted = {schema} if schema else set(self._schemas)
        with translate_source_errors(self.connection):
            rows = duck.execute(_RELATIONS_SQL, {"alias": self._alias}).fetchall()
        return [
            TableDef(self._canonical_name(found, table), comment)
            for found, table, comment in rows
            if found in wanted
        ]

    def find_table(self, duck: DuckDBPyConnection, table: str) -> SourceTable | None:
        try:
            schema, name = split_table_name(table)
        except ValueError:
            return None
        values = {"alias": self._alias, "schema": schema or self._schemas[0], "table": name}
        with translate_source_errors(self.connection):
            found = duck.execute(_FIND_SQL, values).fetchone()
            return None if found is None else self._read_table(duck, *found)

    def relation(self, duck: DuckDBPyConnection, table: SourceTable, read: RelationRead) -> Relation:
        """Return the table with casts only: DuckDB pushes conditions, columns and limits into it."""
        columns = tuple(Column(column.name, column.type, column.description) for column in table.columns)
        sql = f"SELECT {self._select_list(table)} FROM {self._sql_name(table.name)}"
        return Relation(sql, columns, (f"table {table.name} of {self._path}",))

    @contextmanager
    def plan_load(
        self, duck: DuckDBPyConnection, table: SourceTable, request: SourceLoadRequest
    ) -> Iterator[SourceLoad]:
        with translate_source_errors(self.connection), read_transaction(duck):
            plan = plan_refresh(table, request)
            rows = f"SELECT {self._select_list(table)} FROM {self._sql_name(table.name)}"
            yield database_load(plan, table, rows, cursor_condition(plan))

    def query(self, duck: DuckDBPyConnection, sql: str) -> Relation:
        raise QueryError(
            f"{self.connection} is a DuckDB file, whose SQL is that of Unify: "
            f"select … from {self.connection}.TABLE"
        )

    def open_writer(self, duck: DuckDBPyConnection) -> DuckDBFileWriter:
        from unify.adapters.database.duckdb_writer import DuckDBFileWriter

        return DuckDBFileWriter(
            self.connection,
            self._path,
            duck,
            find_table=lambda name: self.find_table(duck, name),
            names_of=self._parts,
            attach=self.attach,
        )

    def check(self, duck: DuckDBPyConnection) -> Check:
        tables = self.list_tables(duck)
        return Check(accepted=True, identity=f"{len(tables)} tables of {self._path}, read-only")

    def _read_table(
        self, duck: DuckDBPyConnection, schema: str, table: str, comment: str, rows: int | None
    ) -> SourceTable:
        values = {"alias": self._alias, "schema": schema, "table": table}
        columns = duck.execute(_COLUMNS_SQL, values).fetchall()
        key = duck.execute(_KEY_SQL, values).fetchone()
        return SourceTable(
            self._canonical_name(schema, table),
            tuple(
                SourceColumn(str(name), stored_type(parse_type(str(type))), str(type), str(description))
                for name, type, description in columns
            ),
            tuple(key[0]) if key else (),
            comment,
            rows,
        )

    def _select_list(self, table: SourceTable) -> str:
        return ", ".join(
            quoted(column.name)
            if column.type == column.source_type
            else f"CAST({quoted(column.name)} AS {column.type}) AS {quoted(column.name)}"
            for column in table.columns
        )

    def _sql_name(self, name: str) -> str:
        return ".".join(map(quoted, self._parts(name)))

    def _parts(self, name: str) -> tuple[str, str, str]:
        """Return alias, schema and table of a canonical name."""
        schema, table = split_table_name(name)
        return self._alias, schema or self._schemas[0], table

    def _canonical_name(self, schema: str, table: str) -> str:
        return join_table_name("" if schema == self._schemas[0] else schema, table)
