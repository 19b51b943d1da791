"""A table as a SQL statement names it."""

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
    written: bool = False
    read: bool = True

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


def merged(refs: list[TableRef]) -> tuple[TableRef, ...]:
    """Each table once, in the order and spelling of its first mention; read or written if any mention is."""
    found: dict[TableRef, TableRef] = {}
    for ref in refs:
        known = found.get(ref, ref)
        found[ref] = TableRef(
            known.schema, known.table, known.catalog, known.written or ref.written, known.read or ref.read
        )
    return tuple(found.values())
