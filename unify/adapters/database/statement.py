"""The statement that reads a table: one SELECT for the database, within one SELECT for DuckDB."""

from __future__ import annotations

from msgspec import Struct

from unify.adapters.database.columns import DatabaseColumn, DatabaseTable
from unify.engine.connection import quote_literal
from unify.engine.types import quote_identifier as quoted


class SourceSelect(Struct, frozen=True):
    """What the database is asked for, in its own SQL. The columns are called c0, c1 and so on."""

    table: DatabaseTable
    columns: tuple[DatabaseColumn, ...]
    conditions: tuple[str, ...] = ()
    order_by: tuple[str, ...] = ()
    limit: int | None = None

    @property
    def sql(self) -> str:
        """The SELECT with its columns."""
        chosen = ", ".join(f"{column.fetch} AS c{number}" for number, column in enumerate(self.columns))
        return f"SELECT {chosen}{self.tail}"

    @property
    def count_sql(self) -> str:
        """The SELECT that counts the rows, as ``n``."""
        return f"SELECT count(*) AS n{self.tail}"

    @property
    def tail(self) -> str:
        """FROM and what follows."""
        parts = [f" FROM {self.table.sql_name}"]
        if self.conditions:
            parts.append(" WHERE " + " AND ".join(f"({condition})" for condition in self.conditions))
        if self.order_by:
            parts.append(" ORDER BY " + ", ".join(self.order_by))
        if self.limit is not None:
            parts.append(f" LIMIT {self.limit}")
        return "".join(parts)


def read_sql(function: str, alias: str, select: SourceSelect, prefix: str = "") -> str:
    """Return the SELECT in DuckDB's SQL.

    ``function``  the table function that sends SQL to the source. ``prefix``: what precedes that SQL.
    """
    values = ", ".join(_value_sql(column, number) for number, column in enumerate(select.columns))
    return f"SELECT {values} FROM {call_sql(function, alias, prefix + select.sql)}"


def count_rows_sql(function: str, alias: str, select: SourceSelect, prefix: str = "") -> str:
    """Return a SELECT with as many rows as the source counts; the values are NULL."""
    values = ", ".join(f"CAST(NULL AS {column.type}) AS {quoted(column.name)}" for column in select.columns)
    count = call_sql(function, alias, prefix + select.count_sql)
    return f"SELECT {values} FROM range((SELECT CAST(n AS BIGINT) FROM {count}))"


def call_sql(function: str, alias: str, sql: str) -> str:
    """Return the call of the table function that sends ``sql`` to an attached database.

    With its full name: DuckDB would look a short one up in the lake first, which reads the lake's catalog.
    """
    return f"system.main.{function}({quote_literal(alias)}, {quote_literal(sql)})"


def _value_sql(column: DatabaseColumn, number: int) -> str:
    value = f"{column.function}(c{number})"
    value = f"CAST({value} AS {column.cast_to})" if column.cast_to else value
    return f"{value} AS {quoted(column.name)}"
