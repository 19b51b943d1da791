"""Whom a live table is asked for: the rows of its ``for_each`` that a statement can use.

A row is left out only where it is certain that none of the table's rows for it can meet WHERE. DuckDB checks
WHERE again, so what is not certain costs a request and never a row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from unify.language.constants import Constant
from unify.language.filters import Condition

if TYPE_CHECKING:
    from unify.adapters.base import ParentRow, Scalar
    from unify.adapters.spec import TableSpec

_INTEGERS = frozenset({"", "TINYINT", "SMALLINT", "INTEGER", "INT", "BIGINT"})


def narrowed(
    parents: Sequence[ParentRow], table: TableSpec, conditions: Sequence[Condition]
) -> Sequence[ParentRow]:
    """The ``parents`` whose rows WHERE may keep, in their order."""
    if table.for_each is None or table.for_each.batch is not None:
        return parents  # rows for several parents at once do not tell whose they are
    carried = list(_carried(table, conditions))
    return [
        parent
        for parent in parents
        if not any(
            variable in parent and _never(parent[variable], condition, type_)
            for variable, type_, condition in carried
        )
    ]


def telling_columns(table: TableSpec) -> Sequence[str]:
    """The columns that hold a variable of ``for_each``: WHERE can narrow the parents by them."""
    each = table.for_each
    own = set(each.columns or ()) if each is not None else set()
    return [column.name for column in table.columns if column.source in {f"{{{name}}}" for name in own}]


def _carried(table: TableSpec, conditions: Sequence[Condition]) -> Iterator[tuple[str, str, Condition]]:
    """Variable, declared type and condition, of columns that are one variable and nothing else."""
    for column in table.columns:
        source = column.source or ""
        if source.startswith("{") and source.endswith("}"):
            for condition in conditions:
                if condition.column == column.name.lower() and condition.operator in ("=", "in"):
                    yield source[1:-1], (column.type or "").upper(), condition


def _never(value: Scalar, condition: Condition, type_: str) -> bool:
    """Whether a column with this value certainly fails the condition; nothing equals NULL."""
    return value is None or all(_differs(value, constant, type_) for constant in condition.values)


def _differs(value: Scalar, constant: Constant, type_: str) -> bool:
    from unify.adapters.cursors import moment_of

    match value:
        case bool() | float() | None:
            return False
        case int():
            return constant.type == "BIGINT" and type_ in _INTEGERS and value != int(constant.text)
        case str():
            same_kind = constant.type == "VARCHAR" and type_ in ("", "VARCHAR")
            plain = type_ == "VARCHAR" or moment_of(value) is None  # texts of moments become moments
            return same_kind and plain and value != constant.text
