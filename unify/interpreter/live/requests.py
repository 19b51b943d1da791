"""What a statement wants of a live table, and what came of it.

Whom a live table is asked for: the rows of its ``for_each`` that a statement can use.

A row is left out only where it is certain that none of the table's rows for it can meet WHERE. DuckDB checks
WHERE again, so what is not certain costs a request and never a row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from unify.language.sql.predicates import Condition
from unify.language.sql.refs import Constant

if TYPE_CHECKING:
    from unify.adapters.base import ParentRow, Scalar
    from unify.adapters.spec.model import TableSpec


@dataclass(frozen=True, slots=True)
class LiveRequest:
    """One way of asking for a live table.

    ``filters``  name of a filter → value as the API is asked for it.
    ``column_values``  column → the value of its rows where responses lack it; None: responses have it.
    """

    filters: Mapping[str, str] = field(default_factory=dict)
    column_values: Mapping[str, Constant | None] = field(default_factory=dict)

    @property
    def key(self) -> tuple[object, ...]:
        return tuple(sorted(self.filters.items())), tuple(sorted(self.column_values, key=str))


@dataclass(frozen=True, slots=True)
class LiveRead:
    """Every way of asking, in its order.

    ``parents``    the rows of ``for_each`` to ask for each of; None: the table has none.
    ``limit``      so many rows are enough; None: all.
    ``mentioned``  columns to make up, without values, where no row came that could tell any.
    """

    requests: Sequence[LiveRequest]
    parents: Sequence[ParentRow] | None = None
    limit: int | None = None
    referenced_columns: Sequence[str] = ()

    @property
    def unlimited(self) -> LiveRead:
        """The same without a limit."""
        return replace(self, limit=None)

    @property
    def key(self) -> tuple[object, ...]:
        """What makes two wishes the same, beside the table's name."""
        from unify.adapters.rest.read_plan import scope_key

        parents = None if self.parents is None else tuple(scope_key(parent) for parent in self.parents)
        return (*(ask.key for ask in self.requests), parents, self.limit)


@dataclass(frozen=True, slots=True)
class LiveRelation:
    """The rows of one read. ``is_truncated``: a limit was reached, so there may be more."""

    name: str
    rows: int
    is_truncated: bool
    fetched_monotonic_s: float


_INTEGER_TYPES = frozenset({"", "TINYINT", "SMALLINT", "INTEGER", "INT", "BIGINT"})


def filter_parents(
    parents: Sequence[ParentRow], table: TableSpec, conditions: Sequence[Condition]
) -> Sequence[ParentRow]:
    """The ``parents`` whose rows WHERE may keep, in their order."""
    if table.for_each is None or table.for_each.batch is not None:
        return parents  # rows for several parents at once do not tell whose they are
    carried = list(_parent_conditions(table, conditions))
    return [
        parent
        for parent in parents
        if not any(
            variable in parent and _cannot_match(parent[variable], condition, type_)
            for variable, type_, condition in carried
        )
    ]


def parent_columns(table: TableSpec) -> Sequence[str]:
    """The columns that hold a variable of ``for_each``: WHERE can narrow the parents by them."""
    each = table.for_each
    own = set(each.columns or ()) if each is not None else set()
    return [column.name for column in table.columns if column.source in {f"{{{name}}}" for name in own}]


def _parent_conditions(
    table: TableSpec, conditions: Sequence[Condition]
) -> Iterator[tuple[str, str, Condition]]:
    """Variable, declared type and condition, of columns that are one variable and nothing else."""
    for column in table.columns:
        source = column.source or ""
        if source.startswith("{") and source.endswith("}"):
            for condition in conditions:
                if condition.column == column.name.lower() and condition.operator in ("=", "in"):
                    yield source[1:-1], (column.type or "").upper(), condition


def _cannot_match(value: Scalar, condition: Condition, type_: str) -> bool:
    """Whether a column with this value certainly fails the condition; nothing equals NULL."""
    return value is None or all(_differs(value, constant, type_) for constant in condition.values)


def _differs(value: Scalar, constant: Constant, type_: str) -> bool:
    from unify.adapters.rest.incremental import parse_timestamp

    match value:
        case bool() | float() | None:
            return False
        case int():
            return constant.type == "BIGINT" and type_ in _INTEGER_TYPES and value != int(constant.text)
        case str():
            same_kind = constant.type == "VARCHAR" and type_ in ("", "VARCHAR")
            plain = type_ == "VARCHAR" or parse_timestamp(value) is None  # texts of moments become moments
            return same_kind and plain and value != constant.text
