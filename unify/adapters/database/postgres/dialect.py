"""How PostgreSQL writes constants and compares texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from unify.adapters.database.columns import DatabaseColumn, ValueKind
from unify.adapters.database.conditions import ConditionDialect
from unify.adapters.relation import SortOrder
from unify.engine.connection import quote_literal
from unify.engine.types import quote_identifier as quoted

_TYPED_LITERALS: Mapping[ValueKind, str] = {
    ValueKind.DATE: "date",
    ValueKind.TIMESTAMP: "timestamp",
    ValueKind.UUID: "uuid",
    ValueKind.DOUBLE: "float8",
}


def _sorted(column: DatabaseColumn, order: SortOrder) -> str:
    return f"{column.sort} {'DESC' if order.descending else 'ASC'}"


class PostgresDialect(ConditionDialect):
    """PostgreSQL's constants; texts are compared as bytes by the collation C."""

    def literal(self, kind: ValueKind, text: str) -> str:
        match kind:
            case ValueKind.INTEGER | ValueKind.DECIMAL | ValueKind.BOOLEAN:
                return text
            case ValueKind.TIMESTAMPTZ:
                return f"timestamptz {quote_literal(f'{text}+00')}"
            case _ if kind in _TYPED_LITERALS:
                return f"{_TYPED_LITERALS[kind]} {quote_literal(text)}"
            case _:
                return quote_literal(text)

    def compare_text(self, column: DatabaseColumn, operator: str, text: str) -> str | None:
        return f"{column.sort} {operator} {quote_literal(text)}" if column.sort else None

    def starts_with(self, column: DatabaseColumn, prefix: str) -> str | None:
        if not column.same_text:  # PostgreSQL has no LIKE for such a collation
            return None
        pattern = prefix.replace("\\", "\\\\") + "%"
        return f"{column.compare} LIKE {quote_literal(pattern)}"

    def order(self, column: DatabaseColumn, order: SortOrder) -> str:
        nulls = f" NULLS {'FIRST' if order.nulls_first else 'LAST'}" if column.has_null else ""
        return f"{_sorted(column, order)}{nulls}"

    def index_order(self, column: DatabaseColumn, order: SortOrder) -> str:
        """PostgreSQL's indexes have NULL as the greatest value, DuckDB's order has it last."""
        is_usual = order.descending == order.nulls_first
        return "" if is_usual or not column.is_indexed or not column.has_null else _sorted(column, order)

    def value_text(self, column: DatabaseColumn) -> str:
        return f"{quoted(column.source_name)}::text"

    def row_text(self, columns: Sequence[DatabaseColumn]) -> str:
        names = ", ".join(quoted(column.source_name) for column in columns)
        return f"row_to_json((SELECT r FROM (SELECT {names}) AS r))::text"
