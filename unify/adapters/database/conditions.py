"""Conditions and orders that a database may apply without changing the result of a statement.

DuckDB applies every condition again, so a condition that is sent may keep more rows than DuckDB does, but
never fewer. ``is_exact`` says that it keeps the same rows: only then may the source apply a limit.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from msgspec import Struct

from unify.adapters.database.columns import DatabaseColumn, ValueKind
from unify.adapters.relation import SortOrder
from unify.language.sql.refs import Constant

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from unify.language.sql.refs import Condition

MAX_VALUES = 1000  # of one IN list; more are left to DuckDB

_INTEGER = re.compile(r"-?[0-9]{1,38}")
_FRACTION = re.compile(r"-?[0-9]{1,15}\.[0-9]{1,15}")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?: [0-9:.]+)?")  # not infinity, and not before Christ
_SIZES = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
_INTEGER_TYPES = frozenset([*_SIZES, *(f"U{size}" for size in _SIZES)])
_MAX_EXACT_DOUBLE = 2**53  # every smaller integer is a double
_EXACT_DIGITS = 15  # every decimal of so few digits is another double
_DOUBLE_MARGIN = Decimal("1e-14")  # more than the distance, relative, of two doubles

# Types of constants that DuckDB casts to the type of the column; a TIMESTAMP makes a date a timestamp.
_MOMENTS: Mapping[ValueKind, frozenset[str]] = {
    ValueKind.DATE: frozenset(["VARCHAR", "DATE"]),
    ValueKind.TIMESTAMP: frozenset(["VARCHAR", "DATE", "TIMESTAMP"]),
    ValueKind.TIMESTAMPTZ: frozenset(["VARCHAR", "DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE"]),
}
_MOMENT_SQL = {
    ValueKind.DATE: "CAST(CAST(CAST($1 AS {}) AS DATE) AS VARCHAR)",
    ValueKind.TIMESTAMP: "CAST(CAST(CAST($1 AS {}) AS TIMESTAMP) AS VARCHAR)",
    ValueKind.TIMESTAMPTZ: "CAST(CAST(CAST($1 AS {}) AS TIMESTAMPTZ) AT TIME ZONE 'UTC' AS VARCHAR)",
}


class SentCondition(Struct, frozen=True):
    """A condition in the SQL of the source. ``is_exact``: it keeps the rows that DuckDB keeps."""

    sql: str
    is_exact: bool = True


class SentConditions(Struct, frozen=True):
    """The conditions that are sent. ``is_exact``: all are sent, and all are exact."""

    sql: tuple[str, ...]
    is_exact: bool


class IndexOrder(Struct, frozen=True):
    """``item`` sorts by ``expression`` the rows in which it is not NULL."""

    expression: str
    item: str


class ConditionDialect(ABC):
    """How one database writes constants and compares texts."""

    @abstractmethod
    def literal(self, kind: ValueKind, text: str) -> str:
        """Return a constant; ``text`` is checked to be one of ``kind``."""

    @abstractmethod
    def compare_text(self, column: DatabaseColumn, operator: str, text: str) -> str | None:
        """Return a comparison with ``text`` in the order of the bytes of UTF-8; None if there is none."""

    def exact_text(self, column: DatabaseColumn, texts: Sequence[str]) -> str:
        """Return the condition that a text is one of ``texts``, byte by byte; "" if ``=`` says so."""
        return ""

    @abstractmethod
    def starts_with(self, column: DatabaseColumn, prefix: str) -> str | None:
        """Return the condition that a text starts with ``prefix``; None if there is none."""

    def index_bound(self, column: DatabaseColumn, operator: str, text: str) -> str:
        """Return a wider condition that an index of the server can apply; "" if it needs none."""
        return ""

    @abstractmethod
    def order(self, column: DatabaseColumn, order: SortOrder) -> str:
        """Return one item of ORDER BY; ``column.sort`` is not empty."""

    def index_order(self, column: DatabaseColumn, order: SortOrder) -> str:
        """Return the item for rows with a value, if an index gives that order only; else ""."""
        return ""

    @abstractmethod
    def value_text(self, column: DatabaseColumn) -> str:
        """Return an expression for the text of a value as the source has it."""

    @abstractmethod
    def row_text(self, columns: Sequence[DatabaseColumn]) -> str:
        """Return an expression for the texts of columns of a row as a JSON object."""


class ConditionBuilder:
    """Translates the conditions on one table."""

    def __init__(
        self, duck: DuckDBPyConnection, columns: Mapping[str, DatabaseColumn], dialect: ConditionDialect
    ) -> None:
        self._duck = duck
        self._columns = columns
        self._dialect = dialect

    def build(self, conditions: Iterable[Condition]) -> SentConditions:
        """Return those of ``conditions`` that the source can apply."""
        found = [self._translate(condition) for condition in conditions]
        sent = [one for one in found if one is not None]
        return SentConditions(
            tuple(dict.fromkeys(one.sql for one in sent)),
            len(sent) == len(found) and all(one.is_exact for one in sent),
        )

    def build_order(self, orders: Sequence[SortOrder]) -> tuple[str, ...] | None:
        """Return the items of ORDER BY; None if the source would sort in another way."""
        found = []
        for order in orders:
            column = self._columns.get(order.column.lower())
            if column is None or not column.sort or (column.kind is ValueKind.TEXT and self._is_collated()):
                return None
            found.append(self._dialect.order(column, order))
        return tuple(found)

    def index_order(self, order: SortOrder) -> IndexOrder | None:
        """Return the order of an index for the rows with a value; None if the usual order is as good."""
        column = self._columns[order.column.lower()]
        item = self._dialect.index_order(column, order)
        return IndexOrder(column.sort, item) if item else None

    def _translate(self, condition: Condition) -> SentCondition | None:
        column = self._columns.get(condition.column)
        if column is None or column.kind is ValueKind.NONE or len(condition.values) > MAX_VALUES:
            return None
        match column.kind:
            case ValueKind.TEXT | ValueKind.LABEL:
                return None if self._is_collated() else self._translate_text(column, condition)
            case ValueKind.INTEGER | ValueKind.DECIMAL | ValueKind.DOUBLE:
                return self._translate_number(column, condition)
            case _:
                return self._translate_other(column, condition)

    def _translate_text(self, column: DatabaseColumn, condition: Condition) -> SentCondition | None:
        if any(value.type != "VARCHAR" or "\0" in value.text for value in condition.values):
            return None
        texts = [value.text for value in condition.values]
        if condition.operator in ("=", "in"):
            if column.kind is ValueKind.LABEL:
                texts = [text for text in texts if text in column.labels]
            literals = [self._dialect.literal(column.kind, text) for text in texts]
            sql = _compare(column.compare, "in", literals) if literals else "1 = 0"
            exact = self._dialect.exact_text(column, texts)
            return SentCondition(f"{sql} AND {exact}" if exact else sql, column.same_text)
        if column.kind is ValueKind.LABEL:
            return None
        [text] = texts
        if condition.operator == "like":
            return self._translate_pattern(column, text)
        sql_text = self._dialect.compare_text(column, condition.operator, text)
        return None if sql_text is None else SentCondition(sql_text)

    def _translate_pattern(self, column: DatabaseColumn, pattern: str) -> SentCondition | None:
        """Send the text before the first wildcard."""
        prefix = re.split("[%_]", pattern, maxsplit=1)[0]
        sql = self._dialect.starts_with(column, prefix) if prefix else None
        return None if sql is None else SentCondition(sql, pattern == f"{prefix}%" and column.same_text)

    def _translate_number(self, column: DatabaseColumn, condition: Condition) -> SentCondition | None:
        if condition.operator == "like":
            return None
        values = [_number_bounds(column, condition.operator, value) for value in condition.values]
        known = [value for value in values if value is not None]
        if len(known) != len(values):
            return None
        is_exact = all(value.is_exact for value in known)
        if condition.operator in ("=", "in") and not is_exact:
            return None
        literals = [self._dialect.literal(column.kind, value.text) for value in known]
        sql = _compare(column.compare, condition.operator, literals)
        if column.read_as_null and condition.operator in (">", ">="):  # NaN is greater than any number
            sql = f"{sql} AND NOT {column.read_as_null}"
        return SentCondition(sql, is_exact)

    def _translate_other(self, column: DatabaseColumn, condition: Condition) -> SentCondition | None:
        if condition.operator == "like":
            return None
        if column.kind in (ValueKind.BOOLEAN, ValueKind.UUID) and condition.operator not in ("=", "in"):
            return None
        found = [self._parse_constant(column.kind, value) for value in condition.values]
        if not all(text for text, _ in found):
            return None
        literals = [self._dialect.literal(kind, text) for text, kind in found]
        sql = _compare(column.compare, condition.operator, literals)
        if column.read_as_null and condition.operator not in ("=", "in"):
            sql = f"{sql} AND NOT {column.read_as_null}"
        bounds = [self._dialect.index_bound(column, condition.operator, text) for text, _ in found]
        return SentCondition(f"{bounds[0]} AND {sql}" if len(bounds) == 1 and bounds[0] else sql)

    def _parse_constant(self, kind: ValueKind, value: Constant) -> tuple[str, ValueKind]:
        """Return a constant as the source writes it, "" if it is not one of ``kind``, and its kind."""
        match kind:
            case ValueKind.BOOLEAN:
                return (value.text if value.type == "BOOLEAN" else ""), kind
            case ValueKind.UUID:
                is_uuid = value.type in ("VARCHAR", "UUID") and _UUID.fullmatch(value.text)
                return (value.text if is_uuid else ""), kind
            case ValueKind.DATE if value.type == "TIMESTAMP":
                return self._parse_moment(ValueKind.TIMESTAMP, value), ValueKind.TIMESTAMP
            case _:
                return self._parse_moment(kind, value), kind

    def _parse_moment(self, kind: ValueKind, value: Constant) -> str:
        """Return a date or timestamp as DuckDB reads it; "" if it does not."""
        from unify.engine import duckdb

        if value.type not in _MOMENTS[kind]:
            return ""
        try:
            row = self._duck.execute(
                f"SELECT {_MOMENT_SQL[kind].format(value.type)}", [value.text]
            ).fetchone()
        except duckdb.Error:
            return ""  # DuckDB refuses the statement itself with a message
        text = str(row[0]) if row else ""
        return text if _MOMENT.fullmatch(text) else ""

    def _is_collated(self) -> bool:
        """Whether the session compares texts by a collation, so that more texts are equal."""
        row = self._duck.execute("SELECT current_setting('default_collation')").fetchone()
        return row is not None and str(row[0] or "").lower() not in ("", "binary")


class _NumberBound(Struct, frozen=True):
    text: str
    is_exact: bool = True


def _number_bounds(column: DatabaseColumn, operator: str, value: Constant) -> _NumberBound | None:
    """Return the number to compare with, moved outwards where DuckDB compares doubles; None if it is none."""
    is_integer = value.type in _INTEGER_TYPES and _INTEGER.fullmatch(value.text)
    is_decimal = value.type == "DOUBLE" or value.type.startswith("DECIMAL")
    if not is_integer and not (
        is_decimal and (_FRACTION.fullmatch(value.text) or _INTEGER.fullmatch(value.text))
    ):
        return None
    if is_integer or column.kind is ValueKind.DOUBLE or value.type.startswith("DECIMAL"):
        return _NumberBound(value.text)
    number = Decimal(value.text)
    if column.kind is ValueKind.INTEGER:
        return _NumberBound(value.text) if abs(number) < _MAX_EXACT_DOUBLE else None
    if _decimal_width(column.type) <= _EXACT_DIGITS:
        return _NumberBound(value.text)
    return _NumberBound(f"{_moved_outwards(number, operator):f}", is_exact=False)


def _moved_outwards(number: Decimal, operator: str) -> Decimal:
    margin = abs(number) * _DOUBLE_MARGIN
    return number - margin if operator in (">", ">=") else number + margin


def _decimal_width(type: str) -> int:
    found = re.match(r"DECIMAL\((\d+)", type)
    return int(found[1]) if found else 38


def _compare(expression: str, operator: str, literals: Sequence[str]) -> str:
    if len(literals) == 1:
        return f"{expression} {'=' if operator == 'in' else operator} {literals[0]}"
    return f"{expression} IN ({', '.join(literals)})"
