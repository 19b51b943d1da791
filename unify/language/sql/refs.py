"""A table as a SQL statement names it.

A constant of a statement, as what reads conditions and what asks a source for them both know it.
"""

from __future__ import annotations

from dataclasses import dataclass

from unify.model import TableName


@dataclass(frozen=True, slots=True, eq=False)
class TableRef:
    """``[[catalog.]schema.]table`` in the spelling of the statement; parts that were left out are "".

    ``written``  the statement changes the table: its rows, its definition, or whether it exists.
    ``read``     the statement needs its rows; updating, deleting and merging do, inserting does not.
    Two are equal where DuckDB would see one table: the case of letters, reading and writing do not count.
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
    """Each table once, in the order and spelling of its first mention; read or written if any mention is."""
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


@dataclass(frozen=True, slots=True)
class Constant:
    """A value as its text; ``type`` is DuckDB's: VARCHAR, BIGINT, DOUBLE, BOOLEAN, DATE, TIMESTAMP …"""

    text: str
    type: str = "VARCHAR"
