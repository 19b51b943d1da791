"""Tables, views and columns of a SQLite file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from unify.adapters.database.columns import DatabaseColumn, DatabaseTable, with_distinct_names
from unify.adapters.database.sqlite.types import ReadingContext, SQLiteColumn, read_columns
from unify.adapters.database.statement import call_sql
from unify.adapters.relation import join_table_name, split_table_name
from unify.config.connection_tables import TableSettings
from unify.engine.connection import quote_literal
from unify.engine.types import quote_identifier as quoted
from unify.model import TableDef

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_TABLES = (
    "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite~_%' ESCAPE '~'"
)
_UTF8 = "UTF-8"


class SQLiteCatalog:
    """Asks one attached file. It has no schemas."""

    def __init__(self, alias: str, settings_of: Callable[[str], TableSettings]) -> None:
        self._alias = alias
        self._settings_of = settings_of

    def list_schemas(self, duck: DuckDBPyConnection) -> Sequence[str]:
        """Return nothing."""
        return ()

    def list_tables(self, duck: DuckDBPyConnection, schema: str) -> Sequence[TableDef]:
        """Return all tables and views."""
        if schema:
            return []
        rows = self._fetch(duck, f"{_TABLES} ORDER BY name")
        return [TableDef(join_table_name("", str(name))) for (name,) in rows]

    def find_table(self, duck: DuckDBPyConnection, table: str) -> DatabaseTable | None:
        """Return a table as it is now, by its name in any case, which SQLite ignores."""
        try:
            schema, name = split_table_name(table)
        except ValueError:
            return None
        known = self._fetch(duck, f"{_TABLES} AND lower(name) = lower({quote_literal(name)})")
        return self._read_table(duck, str(known[0][0])) if known and not schema else None

    def describe_query(self, duck: DuckDBPyConnection, sql: str) -> DatabaseTable:
        """Return the columns of a query of a user, as a table of that query: all of them are texts."""
        described = duck.execute(f"DESCRIBE SELECT * FROM {self._call(sql)}").fetchall()
        names = [str(name) for name, *_ in described]
        context = ReadingContext(True, "'of the result'")
        fields = with_distinct_names(
            read_columns([SQLiteColumn(name, "", 0) for name in names], context, "the result")
        )
        return DatabaseTable(name="", columns=fields, sql_name=f"(\n{sql}\n)", fields=fields)

    def version(self, duck: DuckDBPyConnection) -> str:
        """Return the version of the SQLite within DuckDB."""
        return str(self._fetch(duck, "SELECT sqlite_version()")[0][0])

    def _read_table(self, duck: DuckDBPyConnection, name: str) -> DatabaseTable:
        # Column 1 of hidden: columns of a virtual table that SELECT * leaves out.
        rows = self._fetch(
            duck, f"SELECT name, type, pk FROM pragma_table_xinfo({quote_literal(name)}) WHERE hidden <> 1"
        )
        columns = [SQLiteColumn(str(column), str(type), int(key)) for column, type, key in rows]
        key = sorted((one for one in columns if one.key_position), key=lambda one: one.key_position)
        encoding = self._fetch(duck, "SELECT encoding FROM pragma_encoding")[0][0]
        canonical = join_table_name("", name)
        context = ReadingContext(
            encoding == _UTF8, _row_text(key), dict(self._settings_of(canonical).columns)
        )
        fields: tuple[DatabaseColumn, ...] = with_distinct_names(read_columns(columns, context, canonical))
        names = {field.source_name: field.name for field in fields}
        return DatabaseTable(
            name=canonical,
            columns=fields,
            key=tuple(names[one.name] for one in key),
            sql_name=quoted(name),
            fields=fields,
        )

    def _fetch(self, duck: DuckDBPyConnection, sql: str) -> list[tuple[Any, ...]]:
        return duck.execute(f"FROM {self._call(sql)}").fetchall()

    def _call(self, sql: str) -> str:
        return call_sql("sqlite_query", self._alias, sql)


def _row_text(key: Sequence[SQLiteColumn]) -> str:
    """SQL for a text that names a row by its key."""
    parts = [f"{quote_literal(f'{one.name}=')} || coalesce({quoted(one.name)}, 'NULL')" for one in key]
    return " || ', ' || ".join(parts) or "'without a key'"
