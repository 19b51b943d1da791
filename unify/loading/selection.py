"""Which places of the rows are wanted as columns: what ``exclude``, ``only`` and declared columns say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import translate
from itertools import accumulate

from unify.adapters.spec import ColumnDef
from unify.model import Column


@dataclass(frozen=True, slots=True)
class Shape:
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
class Choice:
    """What is wanted of one place in the rows.

    ``skip``      nothing here or below is ever looked at.
    ``excluded``  it makes no column of its own name, and nothing below it does; ``chosen`` by ``only``.
    ``whole``     a declared or stored column takes it as one value, objects too.
    ``sourced``   a declared column takes its value from here.
    ``known``     it comes from an earlier load.
    """

    skip: bool = False
    excluded: bool = False
    chosen: bool = False
    whole: bool = False
    sourced: bool = False
    known: bool = False

    @property
    def natural(self) -> bool:
        """It becomes a column under its own name."""
        return self.chosen and not self.excluded


ROOT = Choice()
KNOWN = Choice(known=True)


class Selection:
    """Answers for one table's shape; names are compared in lower case."""

    def __init__(self, shape: Shape, known: Sequence[Column] = ()) -> None:
        self.shape = shape
        self._exclude = [_Glob(glob) for glob in shape.exclude]
        self._only = [_Glob(glob) for glob in shape.only]
        self._kept = frozenset(name.lower() for name in shape.key)
        self._needed = self._kept | ({shape.cursor.lower()} if shape.cursor else frozenset())
        self._typed = {c.name.lower() for c in shape.columns if c.source is None and c.type is not None}
        self._typed |= {column.name.lower() for column in known if column.type == "JSON"}
        self._sources = frozenset(filter(None, map(source_path, shape.columns)))
        self.root = replace(ROOT, chosen=not shape.only)

    def choose(self, parent: Choice, path: tuple[str, ...]) -> Choice:
        """What is wanted of ``path``, whose parent object was chosen so."""
        name = base_name(path).lower()
        excluded = parent.excluded or any(glob.matches(name) for glob in self._exclude)
        chosen = parent.chosen or not self._only or any(glob.matches(name) for glob in self._only)
        if name in self._kept:
            excluded, chosen = False, True
        sourced = path in self._sources
        possible = chosen or any(glob.reaches(name + "_") for glob in self._only)
        wanted = (possible and not excluded) or self._is_needed(path, name)
        whole = sourced or name in self._typed or parent.whole
        return Choice(not wanted, excluded, chosen, whole, sourced)

    def flattens(self, path: tuple[str, ...]) -> bool:
        """An object at ``path`` becomes columns."""
        return self.shape.flatten is None or len(path) <= self.shape.flatten

    def keeps(self, name: str) -> bool:
        """A column of this final name is part of the table."""
        folded = name.lower()
        if folded in self._kept:
            return True
        return not any(glob.matches(folded) for glob in self._exclude)

    def keeps_declared(self, column: ColumnDef) -> bool:
        """A declared column is part of the table though no row has it."""
        if column.source is not None or not self._only or column.name.lower() in self._kept:
            return self.keeps(column.name)
        names = list(accumulate(column.name.lower().split("_"), "{}_{}".format))
        return self.keeps(column.name) and any(glob.matches(name) for glob in self._only for name in names)

    def _is_needed(self, path: tuple[str, ...], name: str) -> bool:
        """Something is read from here whatever ``exclude`` and ``only`` say."""
        if any(needed == name or needed.startswith(name + "_") for needed in self._needed):
            return True
        return any(path[: len(source)] == source[: len(path)] for source in self._sources)


class _Glob:
    """A name or glob of ``exclude`` or ``only``."""

    def __init__(self, glob: str) -> None:
        folded = glob.lower()
        self.matches = re.compile(translate(folded)).match
        found = re.search(r"[*?\[]", folded)
        self._plain = folded[: found.start()] if found else folded
        self._open = found is not None

    def reaches(self, prefix: str) -> bool:
        """A name that starts with ``prefix`` could match."""
        return self._plain.startswith(prefix) or (self._open and prefix.startswith(self._plain))


def source_path(column: ColumnDef) -> tuple[str, ...] | None:
    """Where in the row a declared column's value is, if it says so; None also for what the page brings."""
    if column.source is None or from_page(column):
        return None
    return tuple(column.source.split("."))


def from_page(column: ColumnDef) -> bool:
    """The page brings the value beside its rows: ``{variable}``, or ``$.path`` in the enclosing body."""
    return column.source is not None and ("{" in column.source or column.source.startswith("$"))


def base_name(path: tuple[str, ...]) -> str:
    """The column name of a place, before names that meet are told apart."""
    return "_".join(path).replace("\0", "") or "_"
