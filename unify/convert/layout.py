"""The columns a load will have, as far as its rows are known: what is read from where, as which type.

Whether DuckDB can read rows straight into columns, or what has to be done to them first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

from unify.convert.infer import InferredSchema, SchemaNode
from unify.engine.types import parse_type


class ColumnOrigin(Enum):
    """Where a column's values come from."""

    ROW = "row"  # a member of the row, at ``path``
    PAGE = "page"  # what the page says of its rows
    WHOLE_ROW = "whole"  # the row itself, being no object
    ABSENT = "nothing"  # an earlier load or the spec knows it, these rows do not


@dataclass(frozen=True, slots=True)
class ColumnPlan:
    """A column as it will be.

    ``is_strict``      its type is declared, and a value may not fit: then it is discarded with its row.
    ``may_widen``       its type is an earlier load's and unusual: a value that does not fit widens it.
    ``needs_exact_numbers``  numbers have to be read as they were written.
    ``type_flags``       what its values are.
    """

    name: str
    type: str
    origin: ColumnOrigin
    path: tuple[str, ...] = ()
    format: str | None = None
    is_strict: bool = False
    may_widen: bool = False
    needs_exact_numbers: bool = False
    type_flags: int = 0

    @property
    def identity(self) -> tuple[object, ...]:
        """What its values depend on. How closely they are looked at is right for the rows known."""
        return self.name, self.type, self.origin, self.path, self.format


@dataclass(frozen=True, slots=True)
class ReadMethod:
    """How DuckDB gets to read the rows: as they came, unless they have to be made readable first.

    ``quoted``     keys whose numbers are put in quotes, so that their digits survive.
    ``rewritten``  the rows are taken apart in Python.
    """

    quoted_keys: tuple[str, ...] = ()
    rewrites_rows: bool = False


@dataclass(frozen=True, slots=True)
class CursorColumn:
    """The column whose greatest value is remembered, to be read as text."""

    column: ColumnPlan
    read_method: ReadMethod


@dataclass(frozen=True, slots=True)
class ColumnLayout:
    """The columns of one moment. ``cursor`` need not be among ``columns``.

    ``schema_version``  of the structure it was made from.
    ``places``   every place in the rows that was known; a row read until then has no other.
    """

    columns: tuple[ColumnPlan, ...]
    cursor: CursorColumn | None
    read_method: ReadMethod
    schema_version: int
    known_paths: frozenset[tuple[str, ...]]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def is_same_as(self, final: ColumnLayout) -> bool:
        """A file of this layout has the same columns, with the same values, as one of ``final``."""
        ours = {column.identity for column in self.columns}
        return self._has_same_cursor(final) and ours == {column.identity for column in final.columns}

    def is_subset_of(self, final: ColumnLayout) -> bool:
        """A file of this layout is one of ``final`` but for columns its rows have no values for."""
        if not self._has_same_cursor(final):
            return False
        wanted = {column.name: column for column in final.columns}
        kept = [self._has_same_values(column, wanted.pop(column.name, None)) for column in self.columns]
        return all(kept) and all(map(self._has_no_values_for, wanted.values()))

    def _has_same_values(self, column: ColumnPlan, final: ColumnPlan | None) -> bool:
        """What was written for ``column`` is what ``final`` wants."""
        if final is None or column.origin is not ColumnOrigin.ABSENT:
            return final is not None and final.identity == column.identity
        return final.type == column.type and (
            final.origin is ColumnOrigin.ABSENT or self._has_no_values_for(final)
        )

    def _has_no_values_for(self, column: ColumnPlan) -> bool:
        """The rows known to this layout have no value for ``column``."""
        if column.origin is ColumnOrigin.ROW:
            return column.path not in self.known_paths
        return column.origin is ColumnOrigin.ABSENT

    def _has_same_cursor(self, final: ColumnLayout) -> bool:
        """The greatest cursor found by this layout is the greatest by ``final``."""
        if self.cursor is None or final.cursor is None:
            return final.cursor is None or self._has_no_values_for(final.cursor.column)
        return self.cursor.column.identity == final.cursor.column.identity


MAX_NESTED_FIELDS = 500  # of one nested object: DuckDB's planning grows with their square

_PLAIN_KEY = re.compile(r"[\w .$@:/+-]+", re.ASCII)  # written in JSON as it is, but for needless escapes


def choose_read_method(schema: InferredSchema, columns: Sequence[ColumnPlan]) -> ReadMethod:
    """How rows of this structure are made readable for these columns."""
    read = [column for column in columns if column.origin is not ColumnOrigin.ABSENT]
    if any(column.origin is ColumnOrigin.WHOLE_ROW for column in read) and schema.row.type_flags:
        return ReadMethod(rewrites_rows=True)
    paths = [column.path for column in read if column.origin is ColumnOrigin.ROW]
    if _paths_overlap(paths) or not _is_directly_readable(schema.row, paths):
        return ReadMethod(rewrites_rows=True)
    digits = [column for column in read if column.needs_exact_numbers]
    if digits and not (all(map(_is_quotable, digits)) and not any("JSON" in column.type for column in read)):
        return ReadMethod(rewrites_rows=True)
    return ReadMethod(quoted_keys=tuple(sorted({column.path[-1] for column in digits})))


def _paths_overlap(paths: Sequence[tuple[str, ...]]) -> bool:
    """Two columns read the same place, or one reads what another reads a part of."""
    return any(after[: len(before)] == before for before, after in pairwise(sorted(paths)))


def _is_directly_readable(node: SchemaNode, paths: Sequence[tuple[str, ...]], depth: int = 0) -> bool:
    """Every path leads through plain objects whose members DuckDB can tell apart."""
    if node.has_ambiguous_keys or (depth and (not node.is_flattened or len(paths) > MAX_NESTED_FIELDS)):
        return False
    below: dict[str, list[tuple[str, ...]]] = {}
    for path in paths:
        if len(path) > depth + 1:
            below.setdefault(path[depth], []).append(path)
    return all(
        key in node.members and _is_directly_readable(node.members[key], deeper, depth + 1)
        for key, deeper in below.items()
    )


def _is_quotable(column: ColumnPlan) -> bool:
    """A number under the column's key may be read from a text as well as by itself."""
    plain = column.origin is ColumnOrigin.ROW and _PLAIN_KEY.fullmatch(column.path[-1]) is not None
    return plain and not parse_type(column.type).nested
