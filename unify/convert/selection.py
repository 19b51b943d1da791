"""Column selection: which fields of the rows become columns, by `columns`, `exclude`, `only` and `key`."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from fnmatch import translate
from itertools import accumulate

from msgspec import Struct, field

from unify.adapters.spec.table_keys import ColumnDef
from unify.model import Column

FieldPath = tuple[str, ...]


class ColumnRules(Struct, frozen=True):
    """The rules of a spec about the columns of one table.

    ``exclude``/``only``  names or globs of columns; the name of an object includes everything below it.
    ``flatten``           levels of nested objects that become columns; None: all.
    ``cursor``            the incremental column, or None; its greatest value is that of the rows that are
                          not later than ``cursor_limit``, with numbers as seconds since 1970, or a fraction
                          of them, if ``cursor_is_epoch``.
    ``key``               columns that identify a row; ``exclude`` does not apply to them.
    """

    columns: tuple[ColumnDef, ...] = ()
    exclude: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    flatten: int | None = None
    cursor: str | None = None
    key: tuple[str, ...] = ()
    cursor_limit: datetime | None = None
    cursor_is_epoch: bool = False

    @property
    def spelled_names(self) -> tuple[str, ...]:
        """The column names in the spec: a field of exactly this name precedes those of other case."""
        declared = [column.name for column in self.columns if column.source is None]
        cursor = [self.cursor] if self.cursor else []
        return (*declared, *self.key, *cursor, *self.only)


class StoredSchema(Struct, frozen=True):
    """The columns that earlier loads stored.

    ``columns``        a type of "" means that no row has a value.
    ``paths``          the field of each column, by name; earlier versions recorded none.
    ``replaces_rows``  this load replaces every stored row.
    """

    columns: tuple[Column, ...] = ()
    paths: Mapping[str, FieldPath] = field(default_factory=dict)
    replaces_rows: bool = False


NOTHING_STORED = StoredSchema()


class FieldSelection(Struct, frozen=True):
    """The result of the selection for one field of the rows.

    ``skip``              the field and everything below it is never read.
    ``excluded``          ``exclude`` names it or an object above it, in this spelling or by a glob.
    ``included``          ``only`` may name it or an object above it, in any case of letters.
    ``is_single_column``  a declared or stored column holds it as one value, also if it is an object.
    ``is_column_source``  a declared column has it as ``from``.
    """

    skip: bool = False
    excluded: bool = False
    included: bool = False
    is_single_column: bool = False
    is_column_source: bool = False


ROOT_SELECTION = FieldSelection()


class ColumnSelector:
    """Applies the rules of one table to the paths of its rows.

    A name without wildcards means the field of exactly that spelling. If the rows have none, it means the
    fields whose names differ in case only. Globs are case-insensitive.
    """

    def __init__(self, rules: ColumnRules, stored: StoredSchema = NOTHING_STORED) -> None:
        self.rules = rules
        self._exclude = [_NamePattern(pattern) for pattern in rules.exclude]
        self._only = [_NamePattern(pattern) for pattern in rules.only]
        self._key = [_NamePattern(name, is_literal=True) for name in rules.key]
        self._key_names = {name.lower() for name in rules.key}
        self._required_names = self._key_names | ({rules.cursor.lower()} if rules.cursor else set())
        self._source_paths = frozenset(filter(None, map(source_path, rules.columns)))
        self._literals = frozenset(
            pattern.literal for pattern in (*self._exclude, *self._only, *self._key) if pattern.literal
        )
        paths = stored.paths
        self._spelled_before = {default_column_name(path) for path in paths.values()} & self._literals
        self._single_column_names = {
            column.name.lower()
            for column in rules.columns
            if column.source is None and column.type is not None
        }
        self._single_column_paths = set()
        for column in stored.columns:
            if column.type == "JSON" and column.name in paths:
                self._single_column_paths.add(paths[column.name])
            elif column.type == "JSON":
                self._single_column_names.add(column.name.lower())

    def select_field(self, parent: FieldSelection, path: FieldPath) -> FieldSelection:
        """Return the selection of the field at ``path`` below an object with the selection ``parent``.

        Fields whose selection depends on the spelling of fields to come are not skipped.
        """
        name = default_column_name(path)
        folded = name.lower()
        excluded = parent.excluded or any(pattern.matches(name, self._literals) for pattern in self._exclude)
        included = parent.included or not self._only or any(pattern.matches(name) for pattern in self._only)
        if folded in self._key_names:
            excluded, included = False, True
        is_source = path in self._source_paths
        possible = included or any(pattern.may_match_prefix(folded + "_") for pattern in self._only)
        skip = not (possible and not excluded) and not self._is_required(path, folded)
        single = (
            is_source
            or parent.is_single_column
            or folded in self._single_column_names
            or path in self._single_column_paths
        )
        return FieldSelection(skip, excluded, included, single, is_source)

    def spelled_literals(self, paths: Iterable[FieldPath]) -> frozenset[str]:
        """Return the names in ``exclude``, ``only`` and ``key`` that are the exact name of a field."""
        return self._literals & (self._spelled_before | {default_column_name(path) for path in paths})

    def includes_path(self, path: FieldPath, spelled: Collection[str]) -> bool:
        """Return whether the field at ``path`` becomes a column. For ``spelled`` see `spelled_literals`."""
        names = [default_column_name(path[:length]) for length in range(1, len(path) + 1)]
        if any(pattern.matches(names[-1], spelled) for pattern in self._key):
            return True
        if any(pattern.matches(name, spelled) for pattern in self._exclude for name in names):
            return False
        return not self._only or any(
            pattern.matches(name, spelled) for pattern in self._only for name in names
        )

    def should_flatten(self, path: FieldPath) -> bool:
        """Return whether an object at ``path`` becomes columns."""
        return self.rules.flatten is None or len(path) <= self.rules.flatten

    def includes_column(self, name: str, spelled: Collection[str] = ()) -> bool:
        """Return whether a column of this final name is part of the table."""
        if name.lower() in self._key_names:
            return True
        return not any(pattern.matches(name, spelled) for pattern in self._exclude)

    def includes_declared_column(self, column: ColumnDef) -> bool:
        """Return whether a declared column is part of the table if no row has it."""
        if column.source is not None or not self._only or column.name.lower() in self._key_names:
            return self.includes_column(column.name)
        names = list(accumulate(column.name.split("_"), "{}_{}".format))
        return self.includes_column(column.name) and any(
            pattern.matches(name) for pattern in self._only for name in names
        )

    def _is_required(self, path: FieldPath, folded_name: str) -> bool:
        """Return whether key, cursor or a declared column read this field."""
        if any(name == folded_name or name.startswith(folded_name + "_") for name in self._required_names):
            return True
        return any(path[: len(source)] == source[: len(path)] for source in self._source_paths)


class _NamePattern:
    """A name or glob of ``exclude`` or ``only``; ``literal`` is "" for a glob."""

    def __init__(self, pattern: str, *, is_literal: bool = False) -> None:
        self._folded = pattern.lower()
        wildcard = None if is_literal else re.search(r"[*?\[]", pattern)
        self.literal = "" if wildcard else pattern
        self._match = re.compile(translate(self._folded)).match if wildcard else None
        self._literal_prefix = self._folded[: wildcard.start()] if wildcard else self._folded

    def matches(self, name: str, spelled: Collection[str] = ()) -> bool:
        """Return whether the pattern means ``name``. Names in ``spelled`` match in exactly their case."""
        if self._match is not None:
            return self._match(name.lower()) is not None
        return name == self.literal or (self.literal not in spelled and name.lower() == self._folded)

    def may_match_prefix(self, prefix: str) -> bool:
        """Return whether a name that starts with ``prefix`` could match."""
        return self._literal_prefix.startswith(prefix) or (
            self._match is not None and prefix.startswith(self._literal_prefix)
        )


def source_path(column: ColumnDef) -> FieldPath | None:
    """Return the path in the row of a declared column with ``from``; None for page values."""
    if column.source is None or is_page_value(column):
        return None
    return tuple(column.source.split("."))


def is_page_value(column: ColumnDef) -> bool:
    """Return whether the page supplies the value: ``{variable}``, or ``$.path`` in the enclosing body."""
    return column.source is not None and ("{" in column.source or column.source.startswith("$"))


def default_column_name(path: FieldPath) -> str:
    """Return the column name of a path, before duplicate names get a suffix."""
    return "_".join(path).replace("\0", "") or "_"
