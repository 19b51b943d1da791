"""Adapter ``sqlite``: the tables and views of a SQLite database file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from unify.adapters.database.adapter import DatabaseAdapter
from unify.adapters.database.attachment import is_attached, load_wheel_extension, translate_source_errors
from unify.adapters.database.columns import DatabaseColumn, ValueKind
from unify.adapters.database.conditions import ConditionDialect
from unify.adapters.database.sqlite.catalog import SQLiteCatalog
from unify.adapters.options import PathOption
from unify.adapters.relation import SortOrder
from unify.adapters.spec.elements import Option
from unify.config.connection_tables import TableSettings
from unify.config.secrets import Secret
from unify.engine.connection import quote_literal
from unify.engine.types import quote_identifier as quoted

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from unify.adapters.database.sqlite.writer import SQLiteWriter

_PATTERN_CHARACTERS = frozenset("*?[]")


class SQLiteDialect(ConditionDialect):
    """SQLite's constants. A column may compare texts in another way than by their bytes: COLLATE NOCASE."""

    def literal(self, kind: ValueKind, text: str) -> str:
        return quote_literal(text) if kind is ValueKind.TEXT else text

    def compare_text(self, column: DatabaseColumn, operator: str, text: str) -> str | None:
        return f"{column.sort} {operator} {quote_literal(text)}" if column.sort else None

    def exact_text(self, column: DatabaseColumn, texts: Sequence[str]) -> str:
        literals = ", ".join(map(quote_literal, texts))
        return f"{column.compare} COLLATE BINARY IN ({literals})"

    def starts_with(self, column: DatabaseColumn, prefix: str) -> str | None:
        if _PATTERN_CHARACTERS.intersection(prefix):
            return None
        return f"{column.compare} GLOB {quote_literal(f'{prefix}*')}"

    def order(self, column: DatabaseColumn, order: SortOrder) -> str:
        direction = "DESC" if order.descending else "ASC"
        return f"{column.sort} {direction} NULLS {'FIRST' if order.nulls_first else 'LAST'}"

    def value_text(self, column: DatabaseColumn) -> str:
        return f"CAST({quoted(column.source_name)} AS TEXT)"

    def row_text(self, columns: Sequence[DatabaseColumn]) -> str:
        pairs = [f"{quote_literal(column.name)}, {self.value_text(column)}" for column in columns]
        return f"json_object({', '.join(pairs)})"


class SQLiteAdapter(DatabaseAdapter):
    """The tables of one SQLite file, which is attached read-only; others may write to it."""

    label = "SQLite"
    function = "sqlite_query"
    dialect = SQLiteDialect()
    takes: ClassVar[tuple[Option, ...]] = (PathOption("path", "The database file", required=True),)

    def __init__(
        self,
        connection: str,
        options: Mapping[str, str | Secret | None],
        tables: Mapping[str, TableSettings],
    ) -> None:
        super().__init__(connection, options, tables)
        self._catalog = SQLiteCatalog(self.alias, self.settings_of)

    @property
    def catalog(self) -> SQLiteCatalog:
        return self._catalog

    def attach(self, duck: DuckDBPyConnection) -> None:
        if is_attached(duck, self.alias):
            return
        load_wheel_extension(duck, self.connection, "sqlite_scanner", "")
        with translate_source_errors(self.connection):
            path = quote_literal(self.option("path"))
            duck.execute(f"ATTACH IF NOT EXISTS {path} AS {quoted(self.alias)} (TYPE sqlite, READ_ONLY)")

    def open_writer(self, duck: DuckDBPyConnection) -> SQLiteWriter:
        from unify.adapters.database.sqlite.writer import SQLiteWriter

        path = Path(self.option("path"))
        return SQLiteWriter(self.connection, path, lambda name: self.find_table(duck, name))

    def identify(self, duck: DuckDBPyConnection) -> str:
        tables = len(self._catalog.list_tables(duck, ""))
        path = self.option("path")
        return f"{tables} tables of {path}, SQLite {self._catalog.version(duck)}, read-only"
