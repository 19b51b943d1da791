"""Column layout: the columns of the current schema, and how DuckDB reads the rows into them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum
from itertools import pairwise

from msgspec import Struct

from unify.convert.infer import InferredSchema, SchemaNode
from unify.engine.types import parse_type


class ColumnOrigin(Enum):
    """The source of a column's values."""

    ROW = "row"  # a member of the row, at ``path``
    PAGE = "page"  # a value of the page
    WHOLE_ROW = "whole"  # the row itself, if it is not an object
    ABSENT = "nothing"  # these rows do not have it; the spec or an earlier load has


class ColumnPlan(Struct, frozen=True):
    """A column of the layout.

    ``is_strict``            its type is declared; a row with a value that does not fit is discarded.
    ``may_widen``            its stored type cannot be inferred; a value that does not fit widens it.
    ``needs_exact_numbers``  numbers are read digit by digit.
    ``type_flags``           the kinds of its values.
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
        """Everything that its values depend on."""
        return self.name, self.type, self.origin, self.path, self.format


class ReadMethod(Struct, frozen=True):
    """The form in which DuckDB reads the rows: unchanged by default.

    ``quoted_keys``    keys whose numbers are put in quotes, to keep their digits.
    ``rewrites_rows``  Python rewrites the rows as flat objects.
    """

    quoted_keys: tuple[str, ...] = ()
    rewrites_rows: bool = False


class CursorColumn(Struct, frozen=True):
    """The cursor column, read as text."""

    column: ColumnPlan
    read_method: ReadMethod


class ColumnLayout(Struct, frozen=True):
    """The columns of one version of the schema. The cursor may be a column that is not in ``columns``.

    ``known_paths``  all fields of the rows; a row that was read before has no others.
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
        """Return whether files of both layouts have the same columns with the same values."""
        ours = {column.identity for column in self.columns}
        return self._has_same_cursor(final) and ours == {column.identity for column in final.columns}

    def is_subset_of(self, final: ColumnLayout) -> bool:
        """Return whether a file of this layout lacks only columns for which its rows have no values."""
        if not self._has_same_cursor(final):
            return False
        wanted = {column.name: column for column in final.columns}
        kept = [self._has_same_values(column, wanted.pop(column.name, None)) for column in self.columns]
        return all(kept) and all(map(self._has_no_values_for, wanted.values()))

    def _has_same_values(self, column: ColumnPlan, final: ColumnPlan | None) -> bool:
        """Return whether the values written for ``column`` are those of ``final``."""
        if final is None or column.origin is not ColumnOrigin.ABSENT:
            return final is not None and final.identity == column.identity
        return final.type == column.type and (
            final.origin is ColumnOrigin.ABSENT or self._has_no_values_for(final)
        )

    def _has_no_values_for(self, column: ColumnPlan) -> bool:
        """Return whether the rows of this layout have no value for ``column``."""
        if column.origin is ColumnOrigin.ROW:
            return column.path not in self.known_paths
        return column.origin is ColumnOrigin.ABSENT

    def _has_same_cursor(self, final: ColumnLayout) -> bool:
        """Return whether the greatest cursors of this layout are those of ``final``."""
        if self.cursor is None or final.cursor is None:
            return final.cursor is None or self._has_no_values_for(final.cursor.column)
        return self.cursor.column.identity == final.cursor.column.identity


MAX_NESTED_FIELDS = 500  # of one nested object: DuckDB's planning grows with their square

_PLAIN_KEY = re.compile(r"[\w .$@:/+-]+", re.ASCII)  # JSON writes it without escapes


def choose_read_method(schema: InferredSchema, columns: Sequence[ColumnPlan]) -> ReadMethod:
    """Return how DuckDB reads rows of this schema into these columns."""
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
    """Return whether two columns read the same field, or one reads a field within another's."""
    return any(after[: len(before)] == before for before, after in pairwise(sorted(paths)))


def _is_directly_readable(node: SchemaNode, paths: Sequence[tuple[str, ...]], depth: int = 0) -> bool:
    """Return whether every path leads through objects whose members DuckDB can distinguish."""
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
    """Return whether numbers of the column may be put in quotes."""
    plain = column.origin is ColumnOrigin.ROW and _PLAIN_KEY.fullmatch(column.path[-1]) is not None
    return plain and not parse_type(column.type).nested
