"""Table references, constants and conditions of a SQL statement."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from unify.model import TableName

Operator = Literal["=", "in", ">", ">=", "<", "<=", "like"]


class TableRef(Struct, frozen=True, eq=False):
    """``[[catalog.]schema.]table`` as spelled in the statement; missing parts are "".

    ``written``  the statement changes the table: its rows, its definition or its existence.
    ``read``     the statement needs its rows: UPDATE, DELETE and MERGE do, INSERT does not.
    Equality ignores case, ``written`` and ``read``.
    """

    schema: str
    table: str
    catalog: str = ""
    is_written: bool = False
    is_read: bool = True

    @property
    def name(self) -> TableName:
        return TableName(self.schema, self.table)

    @property
    def key(self) -> tuple[str, str, str]:
        return (self.catalog.lower(), self.schema.lower(), self.table.lower())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TableRef) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __str__(self) -> str:
        return ".".join(part for part in (self.catalog, self.schema, self.table) if part)


def merge_refs(refs: list[TableRef]) -> tuple[TableRef, ...]:
    """Merge references to the same table: first spelling and order; read or written if any is."""
    found: dict[TableRef, TableRef] = {}
    for ref in refs:
        known = found.get(ref, ref)
        found[ref] = TableRef(
            known.schema,
            known.table,
            known.catalog,
            known.is_written or ref.is_written,
            known.is_read or ref.is_read,
        )
    return tuple(found.values())


class Constant(Struct, frozen=True):
    """A constant: its text and DuckDB type (VARCHAR, BIGINT, DOUBLE, BOOLEAN, DATE, TIMESTAMP …)."""

    text: str
    type: str = "VARCHAR"


class Condition(Struct, frozen=True):
    """A condition. ``column`` is in lower case; only ``in`` has several ``values``."""

    column: str
    operator: Operator
    values: tuple[Constant, ...]
