"""Requests for a live table, and the selection of its parent rows (``for_each``).

A parent is omitted only if none of its rows can meet WHERE. DuckDB evaluates WHERE again, so an unnecessary
parent costs a request and does not change the result.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from unify.language.sql.refs import Condition, Constant

if TYPE_CHECKING:
    from unify.adapters.base import ParentRow, Scalar
    from unify.adapters.spec.model import TableSpec


@dataclass(frozen=True, slots=True)
class LiveRequest:
    """The filters of one request for a live table.

    ``filters``        filter name → value as sent to the API.
    ``column_values``  column → its value if the responses lack the column; None: they have it.
    """

    filters: Mapping[str, str] = field(default_factory=dict)
    column_values: Mapping[str, Constant | None] = field(default_factory=dict)

    @property
    def key(self) -> tuple[object, ...]:
        return tuple(sorted(self.filters.items())), tuple(sorted(self.column_values, key=str))


@dataclass(frozen=True, slots=True)
class LiveRead:
    """All requests of a statement for one live table.

    ``parents``             the rows of ``for_each``; None: the table has none.
    ``limit``               number of rows needed; None: all.
    ``referenced_columns``  columns of an empty relation if no row was fetched.
    """

    requests: Sequence[LiveRequest]
    parents: Sequence[ParentRow] | None = None
    limit: int | None = None
    referenced_columns: Sequence[str] = ()

    @property
    def unlimited(self) -> LiveRead:
        return replace(self, limit=None)

    @property
    def key(self) -> tuple[object, ...]:
        """Identifies equal reads of the same table."""
        from unify.adapters.rest.read_plan import scope_key

        parents = None if self.parents is None else tuple(scope_key(parent) for parent in self.parents)
        return (*(request.key for request in self.requests), parents, self.limit)


@dataclass(frozen=True, slots=True)
class LiveRelation:
    """The fetched rows. ``is_truncated``: the limit was reached, so there may be more."""

    name: str
    rows: int
    is_truncated: bool
    fetched_monotonic_s: float


_INTEGER_TYPES = frozenset({"", "TINYINT", "SMALLINT", "INTEGER", "INT", "BIGINT"})


def filter_parents(
    parents: Sequence[ParentRow], table: TableSpec, conditions: Sequence[Condition]
) -> Sequence[ParentRow]:
    """Return the parents whose rows may meet WHERE, in their order."""
    if table.for_each is None or table.for_each.batch is not None:
        return parents  # rows of a batch do not identify their parent
    parent_conditions = list(_parent_conditions(table, conditions))
    return [
        parent
        for parent in parents
        if not any(
            variable in parent and _cannot_match(parent[variable], condition, type_)
            for variable, type_, condition in parent_conditions
        )
    ]


def parent_columns(table: TableSpec) -> Sequence[str]:
    """Return the columns that hold a variable of ``for_each``; WHERE can restrict the parents by them."""
    each = table.for_each
    variables = {f"{{{name}}}" for name in each.columns or ()} if each is not None else set()
    return [column.name for column in table.columns if column.source in variables]


def _parent_conditions(
    table: TableSpec, conditions: Sequence[Condition]
) -> Iterator[tuple[str, str, Condition]]:
    """Yield variable, declared type and condition of columns whose source is a single variable."""
    for column in table.columns:
        source = column.source or ""
        if source.startswith("{") and source.endswith("}"):
            for condition in conditions:
                if condition.column == column.name.lower() and condition.operator in ("=", "in"):
                    yield source[1:-1], (column.type or "").upper(), condition


def _cannot_match(value: Scalar, condition: Condition, type_: str) -> bool:
    """Whether a column with this value cannot meet the condition; NULL never does."""
    return value is None or all(_differs(value, constant, type_) for constant in condition.values)


def _differs(value: Scalar, constant: Constant, type_: str) -> bool:
    from unify.adapters.spec.moments import parse_timestamp

    match value:
        case bool() | float() | None:
            return False
        case int():
            return constant.type == "BIGINT" and type_ in _INTEGER_TYPES and value != int(constant.text)
        case str():
            same_kind = constant.type == "VARCHAR" and type_ in ("", "VARCHAR")
            plain = (
                type_ == "VARCHAR" or parse_timestamp(value) is None
            )  # a load may convert such texts to timestamps
            return same_kind and plain and value != constant.text
