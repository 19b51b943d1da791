"""Which places of the rows are wanted as columns: what ``exclude``, ``only`` and declared columns say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import translate
from itertools import accumulate

from unify.adapters.spec.model import ColumnDef
from unify.model import Column


@dataclass(frozen=True, slots=True)
class ColumnRules:
    """What a spec says of a table's columns.

    ``exclude``/``only``  names or globs of columns; one that names an object speaks for all below it.
    ``flatten``           levels of nested objects that become columns; None: all.
    ``cursor``            the incremental column, or None.
    ``key``               columns that identify a row; they are kept whatever ``exclude`` says.
    """

    columns: tuple[ColumnDef, ...] = ()
    exclude: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    flatten: int | None = None
    cursor: str | None = None
    key: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FieldSelection:
    """What is wanted of one place in the rows.

    ``skip``      nothing here or below is ever looked at.
    ``excluded``  it makes no column of its own name, and nothing below it does; ``chosen`` by ``only``.
    ``whole``     a declared or stored column takes it as one value, objects too.
    ``is_column_source``   a declared column takes its value from here.
    ``known``     it comes from an earlier load.
    """

    skip: bool = False
    excluded: bool = False
    included: bool = False
    is_single_column: bool = False
    is_column_source: bool = False
    is_stored: bool = False

    @property
    def makes_own_column(self) -> bool:
        """It becomes a column under its own name."""
        return self.included and not self.excluded


ROOT_SELECTION = FieldSelection()
STORED_SELECTION = FieldSelection(is_stored=True)


class ColumnSelector:
    """Answers for one table's shape; names are compared in lower case."""

    def __init__(self, rules: ColumnRules, stored_columns: Sequence[Column] = ()) -> None:
        self.rules = rules
        self._exclude = [_Glob(glob) for glob in rules.exclude]
        self._only = [_Glob(glob) for glob in rules.only]
        self._key_names = frozenset(name.lower() for name in rules.key)
        self._required_names = self._key_names | ({rules.cursor.lower()} if rules.cursor else frozenset())
        self._single_column_names = {
            c.name.lower() for c in rules.columns if c.source is None and c.type is not None
        }
        self._single_column_names |= {
            column.name.lower() for column in stored_columns if column.type == "JSON"
        }
        self._source_paths = frozenset(filter(None, map(source_path, rules.columns)))
        self.root = replace(ROOT_SELECTION, included=not rules.only)

    def select_field(self, parent: FieldSelection, path: tuple[str, ...]) -> FieldSelection:
        """What is wanted of ``path``, whose parent object was chosen so."""
        name = default_column_name(path).lower()
        excluded = parent.excluded or any(glob.matches(name) for glob in self._exclude)
        chosen = parent.included or not self._only or any(glob.matches(name) for glob in self._only)
        if name in self._key_names:
            excluded, chosen = False, True
        sourced = path in self._source_paths
        possible = chosen or any(glob.may_match_prefix(name + "_") for glob in self._only)
        wanted = (possible and not excluded) or self._is_required(path, name)
        whole = sourced or name in self._single_column_names or parent.is_single_column
        return FieldSelection(not wanted, excluded, chosen, whole, sourced)

    def should_flatten(self, path: tuple[str, ...]) -> bool:
        """An object at ``path`` becomes columns."""
        return self.rules.flatten is None or len(path) <= self.rules.flatten

    def includes_column(self, name: str) -> bool:
        """A column of this final name is part of the table."""
        folded = name.lower()
        if folded in self._key_names:
            return True
        return not any(glob.matches(folded) for glob in self._exclude)

    def includes_declared_column(self, column: ColumnDef) -> bool:
        """A declared column is part of the table though no row has it."""
        if column.source is not None or not self._only or column.name.lower() in self._key_names:
            return self.includes_column(column.name)
        names = list(accumulate(column.name.lower().split("_"), "{}_{}".format))
        return self.includes_column(column.name) and any(
            glob.matches(name) for glob in self._only for name in names
        )

    def _is_required(self, path: tuple[str, ...], name: str) -> bool:
        """Something is read from here whatever ``exclude`` and ``only`` say."""
        if any(needed == name or needed.startswith(name + "_") for needed in self._required_names):
            return True
        return any(path[: len(source)] == source[: len(path)] for source in self._source_paths)


class _Glob:
    """A name or glob of ``exclude`` or ``only``."""

    def __init__(self, glob: str) -> None:
        folded = glob.lower()
        self.matches = re.compile(translate(folded)).match
        found = re.search(r"[*?\[]", folded)
        self._literal_prefix = folded[: found.start()] if found else folded
        self._has_wildcard = found is not None

    def may_match_prefix(self, prefix: str) -> bool:
        """A name that starts with ``prefix`` could match."""
        return self._literal_prefix.startswith(prefix) or (
            self._has_wildcard and prefix.startswith(self._literal_prefix)
        )


def source_path(column: ColumnDef) -> tuple[str, ...] | None:
    """Where in the row a declared column's value is, if it says so; None also for what the page brings."""
    if column.source is None or is_page_value(column):
        return None
    return tuple(column.source.split("."))


def is_page_value(column: ColumnDef) -> bool:
    """The page brings the value beside its rows: ``{variable}``, or ``$.path`` in the enclosing body."""
    return column.source is not None and ("{" in column.source or column.source.startswith("$"))


def default_column_name(path: tuple[str, ...]) -> str:
    """The column name of a place, before names that meet are told apart."""
    return "_".join(path).replace("\0", "") or "_"
