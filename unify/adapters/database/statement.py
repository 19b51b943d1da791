"""The statement that reads a table: one SELECT for the database, within one SELECT for DuckDB."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from unify.adapters.database.columns import DatabaseColumn, DatabaseTable
from unify.adapters.database.conditions import IndexOrder
from unify.engine.connection import quote_literal
from unify.engine.types import quote_identifier as quoted


class SourceSelect(Struct, frozen=True):
    """What the database is asked for, in its own SQL. The columns are called c0, c1 and so on."""

    table: DatabaseTable
    columns: tuple[DatabaseColumn, ...]
    conditions: tuple[str, ...] = ()
    order_by: tuple[str, ...] = ()
    limit: int | None = None
    index_order: IndexOrder | None = None  # in place of the first of ``order_by``
    null_counter: str = ""  # see RelationRead

    @property
    def sql(self) -> str:
        """The SELECT with its columns."""
        chosen = ", ".join(self._fetched(column, number) for number, column in enumerate(self.columns))
        if self.index_order is None:
            return f"SELECT {chosen}{self.tail}"
        known, others = self.index_order, self.order_by[1:]
        parts = (
            self._tail((*self.conditions, f"{known.expression} IS NOT NULL"), (known.item, *others)),
            self._tail((*self.conditions, f"{known.expression} IS NULL"), others),
        )
        return " UNION ALL ".join(f"(SELECT {chosen}{part})" for part in parts)

    @property
    def values_sql(self) -> str:
        """The columns of the SELECT of DuckDB over what this one returns."""
        return ", ".join(
            column.value_sql(
                self._counted(f"c{number}", number) if self._is_counted(column) else f"c{number}"
            )
            for number, column in enumerate(self.columns)
        )

    @property
    def null_columns(self) -> tuple[str, ...]:
        """The columns whose values are counted if they are read as NULL."""
        return tuple(column.name for column in self.columns if self._is_counted(column))

    def _counted(self, value: str, number: int) -> str:
        return f"CASE WHEN n{number} THEN CASE WHEN {self.null_counter} < 0 THEN {value} END ELSE {value} END"

    def _is_counted(self, column: DatabaseColumn) -> bool:
        return bool(self.null_counter and column.raw)

    def _fetched(self, column: DatabaseColumn, number: int) -> str:
        if self._is_counted(column):
            # NULL takes fewer bytes than false, which nearly every value would have.
            flag = f"CASE WHEN {column.read_as_null} THEN true END"
            return f"{column.raw} AS c{number}, {flag} AS n{number}"
        return f"{column.fetch} AS c{number}"

    @property
    def count_sql(self) -> str:
        """The SELECT that counts the rows, as ``n``."""
        return f"SELECT count(*) AS n{self._tail(self.conditions, ())}"

    @property
    def tail(self) -> str:
        """FROM and what follows."""
        return self._tail(self.conditions, self.order_by)

    def _tail(self, conditions: Sequence[str], order_by: Sequence[str]) -> str:
        parts = [f" FROM {self.table.sql_name}"]
        if conditions:
            parts.append(" WHERE " + " AND ".join(f"({condition})" for condition in conditions))
        if order_by:
            parts.append(" ORDER BY " + ", ".join(order_by))
        if self.limit is not None:
            parts.append(f" LIMIT {self.limit}")
        return "".join(parts)


def read_sql(function: str, alias: str, select: SourceSelect, prefix: str = "") -> str:
    """Return the SELECT in DuckDB's SQL.

    ``function``  the table function that sends SQL to the source. ``prefix``: what precedes that SQL.
    """
    return f"SELECT {select.values_sql} FROM {call_sql(function, alias, prefix + select.sql)}"


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
