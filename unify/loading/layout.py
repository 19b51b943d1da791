"""The columns a load will have, as far as its rows are known: what is read from where, as which type."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Origin(Enum):
    """Where a column's values come from."""

    ROW = "row"  # a member of the row, at ``path``
    PAGE = "page"  # what the page says of its rows
    WHOLE = "whole"  # the row itself, being no object
    NOTHING = "nothing"  # an earlier load or the spec knows it, these rows do not


@dataclass(frozen=True, slots=True)
class Planned:
    """A column as it will be.

    ``strict``      its type is declared, and a value may not fit: then it is discarded with its row.
    ``tried``       its type is an earlier load's and unusual: a value that does not fit widens it.
    ``has_digits``  numbers have to be read as they were written.
    ``kinds``       what its values are.
    """

    name: str
    type: str
    origin: Origin
    path: tuple[str, ...] = ()
    format: str | None = None
    strict: bool = False
    tried: bool = False
    has_digits: bool = False
    kinds: int = 0

    @property
    def identity(self) -> tuple[object, ...]:
        """What its values depend on. How closely they are looked at is right for the rows known."""
        return self.name, self.type, self.origin, self.path, self.format


@dataclass(frozen=True, slots=True)
class Way:
    """How DuckDB gets to read the rows: as they came, unless they have to be made readable first.

    ``quoted``     keys whose numbers are put in quotes, so that their digits survive.
    ``rewritten``  the rows are taken apart in Python.
    """

    quoted: tuple[str, ...] = ()
    rewritten: bool = False


@dataclass(frozen=True, slots=True)
class Cursor:
    """The column whose greatest value is remembered, to be read as text."""

    column: Planned
    way: Way


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of one moment. ``cursor`` need not be among ``columns``.

    ``version``  of the structure it was made from.
    ``places``   every place in the rows that was known; a row read until then has no other.
    """

    columns: tuple[Planned, ...]
    cursor: Cursor | None
    way: Way
    version: int
    places: frozenset[tuple[str, ...]]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def is_same(self, final: Layout) -> bool:
        """A file of this layout has the same columns, with the same values, as one of ``final``."""
        ours = {column.identity for column in self.columns}
        return self._has_same_cursor(final) and ours == {column.identity for column in final.columns}

    def is_part(self, final: Layout) -> bool:
        """A file of this layout is one of ``final`` but for columns its rows have no values for."""
        if not self._has_same_cursor(final):
            return False
        wanted = {column.name: column for column in final.columns}
        kept = [self._holds_for(column, wanted.pop(column.name, None)) for column in self.columns]
        return all(kept) and all(map(self._lacks, wanted.values()))

    def _holds_for(self, column: Planned, final: Planned | None) -> bool:
        """What was written for ``column`` is what ``final`` wants."""
        if final is None or column.origin is not Origin.NOTHING:
            return final is not None and final.identity == column.identity
        return final.type == column.type and (final.origin is Origin.NOTHING or self._lacks(final))

    def _lacks(self, column: Planned) -> bool:
        """The rows known to this layout have no value for ``column``."""
        if column.origin is Origin.ROW:
            return column.path not in self.places
        return column.origin is Origin.NOTHING

    def _has_same_cursor(self, final: Layout) -> bool:
        """The greatest cursor found by this layout is the greatest by ``final``."""
        if self.cursor is None or final.cursor is None:
            return final.cursor is None or self._lacks(final.cursor.column)
        return self.cursor.column.identity == final.cursor.column.identity
