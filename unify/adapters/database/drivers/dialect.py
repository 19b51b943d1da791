"""Conditions and limits that most databases understand: comparisons of integers, decimals, dates and times.

Texts are left to DuckDB: their order and equality are those of the database's collation.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from unify.adapters.database.columns import DatabaseColumn, ValueKind
from unify.adapters.database.conditions import ConditionDialect
from unify.adapters.database.statement import SourceSelect
from unify.adapters.relation import SortOrder

_STANDARD_LITERALS = {ValueKind.DATE: "DATE '{}'", ValueKind.TIMESTAMP: "TIMESTAMP '{}'"}
_ODBC_LITERALS = {ValueKind.DATE: "{{d '{}'}}", ValueKind.TIMESTAMP: "{{ts '{}'}}"}


class DriverDialect(ConditionDialect):
    """The SQL of one database.

    ``quote``   the character around names.
    ``limit``   what ends a SELECT of the first {} rows; "": none is sent.
    ``escapes`` whether the driver reads dates in ODBC's form, whatever the database's is.
    """

    def __init__(self, quote: str, limit: str = "", *, escapes: bool = False) -> None:
        self._quote = quote
        self._limit = limit
        self._literals = _ODBC_LITERALS if escapes else _STANDARD_LITERALS

    @property
    def has_limit(self) -> bool:
        """Whether a limit can be sent."""
        return bool(self._limit)

    def name(self, *parts: str) -> str:
        """Return a name in quotes; empty parts are left out."""
        quote = self._quote
        if not quote.strip():
            return ".".join(part for part in parts if part)
        return ".".join(f"{quote}{part.replace(quote, quote * 2)}{quote}" for part in parts if part)

    def select_sql(self, select: SourceSelect) -> str:
        """Return the SELECT for the database."""
        if select.limit is None:
            return select.sql
        return f"{replace(select, limit=None).sql} {self._limit.format(select.limit)}"

    def literal(self, kind: ValueKind, text: str) -> str:
        return self._literals[kind].format(text) if kind in self._literals else text

    def compare_text(self, column: DatabaseColumn, operator: str, text: str) -> str | None:
        return None

    def starts_with(self, column: DatabaseColumn, prefix: str) -> str | None:
        return None

    def order(self, column: DatabaseColumn, order: SortOrder) -> str:
        raise NotImplementedError  # no column has ``sort``: databases differ in where NULL is

    def value_text(self, column: DatabaseColumn) -> str:
        raise NotImplementedError  # no column has ``read_as_null``

    def row_text(self, columns: Sequence[DatabaseColumn]) -> str:
        raise NotImplementedError  # as above: it shows the rows of such columns
