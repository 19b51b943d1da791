"""How MySQL and MariaDB write constants and compare texts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from unify.adapters.database.columns import DatabaseColumn, ValueKind
from unify.adapters.database.conditions import ConditionDialect
from unify.adapters.database.mysql.types import quote_mysql, text_bytes_sql
from unify.adapters.relation import SortOrder
from unify.engine.connection import quote_literal

_ZONE_MARGIN_S = 26 * 3600  # more than any two time zones differ, and any change of an offset
_MAX_MOMENT_S = 2**31 - 1  # of a TIMESTAMP; FROM_UNIXTIME is NULL beyond it in older versions


class MySQLDialect(ConditionDialect):
    """MySQL's constants. Texts are equal by a collation, so their bytes are compared as well.

    The comparison by the collation can use an index; that of the bytes gives DuckDB's result.
    """

    def literal(self, kind: ValueKind, text: str) -> str:
        match kind:
            case ValueKind.INTEGER | ValueKind.DECIMAL | ValueKind.BOOLEAN:
                return text
            case ValueKind.DOUBLE:
                return f"{text}e0"
            case ValueKind.DATE:
                return f"date {quote_literal(text)}"
            case ValueKind.TIMESTAMP:
                return f"timestamp {quote_literal(text)}"
            case ValueKind.TIMESTAMPTZ:
                return f"{Decimal(_epoch_us(text)).scaleb(-6):f}"
            case _:
                return quote_mysql_text(text)

    def compare_text(self, column: DatabaseColumn, operator: str, text: str) -> str | None:
        return f"{text_bytes_sql(column.compare)} {operator} {_bytes(text)}"

    def exact_text(self, column: DatabaseColumn, texts: Sequence[str]) -> str:
        literals = ", ".join(_bytes(text) for text in texts)
        return f"{text_bytes_sql(column.compare)} IN ({literals})"

    def starts_with(self, column: DatabaseColumn, prefix: str) -> str | None:
        if "\\" in prefix:
            return None
        pattern = f"{prefix}%"
        by_bytes = f"{text_bytes_sql(column.compare)} LIKE {_bytes(pattern)}"
        return f"{column.compare} LIKE {quote_mysql_text(pattern)} AND {by_bytes}"

    def index_bound(self, column: DatabaseColumn, operator: str, text: str) -> str:
        if column.kind is not ValueKind.TIMESTAMPTZ:
            return ""
        moment_s = _epoch_us(text) // 1_000_000
        low, high = moment_s - _ZONE_MARGIN_S, moment_s + _ZONE_MARGIN_S
        name = quote_mysql(column.source_name)
        bounds = []
        if operator in (">", ">=", "=", "in") and low > 0:
            bounds.append(f"{name} >= FROM_UNIXTIME({low})")
        if operator in ("<", "<=", "=", "in") and 0 < high < _MAX_MOMENT_S:
            bounds.append(f"{name} <= FROM_UNIXTIME({high})")
        return " AND ".join(bounds)

    def order(self, column: DatabaseColumn, order: SortOrder) -> str:
        """The server sorts NULL before all values."""
        direction = "DESC" if order.descending else "ASC"
        is_natural = order.nulls_first is not order.descending
        nulls = "" if is_natural or not column.has_null else f"{column.sort} IS {_null_test(order)}NULL, "
        return f"{nulls}{column.sort} {direction}"

    def value_text(self, column: DatabaseColumn) -> str:
        return f"concat({quote_mysql(column.source_name)})"

    def row_text(self, columns: Sequence[DatabaseColumn]) -> str:
        pairs = [f"{quote_mysql_text(one.name)}, {self.value_text(one)}" for one in columns]
        return f"json_object({', '.join(pairs)})"


def quote_mysql_text(text: str) -> str:
    """Quote a text; one with a backslash, whose meaning the server may be set to change, as its bytes."""
    return f"_utf8mb4 {_hex(text)}" if "\\" in text else quote_literal(text)


def _bytes(text: str) -> str:
    return _hex(text) if "\\" in text else f"CAST({quote_literal(text)} AS BINARY)"


def _hex(text: str) -> str:
    return f"X'{text.encode().hex()}'"


def _null_test(order: SortOrder) -> str:
    return "NOT " if order.nulls_first else ""


def _epoch_us(text: str) -> int:
    """Return a moment in UTC as microseconds since 1970."""
    return (datetime.fromisoformat(text) - datetime(1970, 1, 1)) // timedelta(microseconds=1)
