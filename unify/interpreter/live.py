"""Live tables: each statement asks the API, and the rows are there for that statement only.

The rows are read and typed in this process. A job of the daemon would be the other way; it would need a
kind of job of its own that publishes nothing, with its own cleaning up, for rows nobody else will see.
Who types them is handed in as a ``Stager``, because it belongs to ``loading``, which this layer does not
know: the shell, which knows both, brings them together. The rows become a temporary table, which takes
no lock of the lake, spills to disk if it has to, and is gone with the session.
"""

from __future__ import annotations

import glob
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import structs

from unify.errors import Interrupted, QueryError
from unify.interpreter import signingin, traffic
from unify.interpreter.liveasks import Ask, Fetched, Wanted
from unify.interpreter.results import StagedRows, Stager, Watcher
from unify.interpreter.sources import Sources
from unify.model import Column, TableName
from unify.settings import private_folder
from unify.store import session
from unify.store.duck import literal, quoted
from unify.store.lake import Lake
from unify.text import counted

if TYPE_CHECKING:
    from unify.adapters.base import Page
    from unify.adapters.spec import TableSpec

_MARK = "unify_ask"  # the column that says which request a row came from, while rows are staged
_Key = tuple[TableName, tuple[object, ...]]
_NO_COLUMN = "no_rows_yet BOOLEAN"  # a table needs a column even where no row told of any


class LiveTables:
    """Fetches, and keeps what was fetched for as long as the spec's ``live.cache`` allows."""

    def __init__(self, lake: Lake, sources: Sources, watcher: Watcher, stager: Stager) -> None:
        self.lake = lake
        self.sources = sources
        self.watcher = watcher
        self.stager = stager
        self._numbers = count(1)
        self._kept: dict[_Key, Fetched] = {}
        self._passing: list[str] = []  # relations of the last statement that nobody may use again

    def forget_passing(self) -> None:
        """Drop what was fetched for the statement before only."""
        for relation in self._passing:
            session.fetch(self.lake, f"DROP TABLE IF EXISTS {relation}")
        self._passing.clear()

    def fetch(self, name: TableName, table: TableSpec, wanted: Wanted) -> Fetched:
        """The rows of ``table`` that are wanted, from the API or as fetched not long ago.

        Raises  SourceError where a page could not be had; QueryError where the answers do not tell a column.
        """
        if (known := self.kept(name, table, wanted)) is not None:
            return known
        fetched = self._fetched(name, table, wanted)
        cache_s = table.live.cache_s if table.live and fetched.rows else 0.0
        if cache_s and not self.lake.in_transaction:  # a rollback would take the table away
            self._kept[name, wanted.key] = fetched
        else:
            self._passing.append(fetched.relation)
        return fetched

    def kept(self, name: TableName, table: TableSpec, wanted: Wanted) -> Fetched | None:
        """What was fetched not long ago for the same: all of it, or up to the same limit."""
        keys = ((name, wanted.whole.key), (name, wanted.key))
        return next((known for key in keys if (known := self._still_good(key, table)) is not None), None)

    def stand_empty(self, table: TableSpec, wanted: Wanted, staged: Sequence[Column] = ()) -> str:
        """A relation without rows, of the columns that are known: for plans, and where no row came."""
        relation = self._new_relation()
        types = {column.name.lower(): (column.name, column.type) for column in staged}
        types.pop(_MARK, None)
        for column in table.columns:
            types.setdefault(column.name.lower(), (column.name, column.type or "VARCHAR"))
        for each in table.filters:
            given = next(
                (value for ask in wanted.asks if (value := ask.given.get(each.column)) is not None), None
            )
            types.setdefault(each.column.lower(), (each.column, given.type if given else "VARCHAR"))
        for name in wanted.mentioned:
            types.setdefault(name.lower(), (name, "VARCHAR"))
        fields = ", ".join(f"{quoted(name)} {type}" for name, type in types.values()) or _NO_COLUMN
        session.fetch(self.lake, f"CREATE OR REPLACE TEMP TABLE {relation} ({fields})")
        return relation

    def _new_relation(self) -> str:
        return f"temp.main.{quoted(f'unify live {next(self._numbers)}')}"

    def _still_good(self, key: _Key, table: TableSpec) -> Fetched | None:
        known = self._kept.get(key)
        if known is None:
            return None
        if table.live is not None and time.monotonic() - known.at < table.live.cache_s:
            return known
        self._passing.append(self._kept.pop(key).relation)
        return None

    def _fetched(self, name: TableName, table: TableSpec, wanted: Wanted) -> Fetched:
        signingin.ensure(self.sources, self.watcher, name.schema)
        at = time.monotonic()
        marked = _marked(table)
        private_folder(self.sources.settings.cache)
        with tempfile.TemporaryDirectory(prefix="live-", dir=self.sources.settings.cache) as folder:
            try:
                staged = self.stager(Path(folder), marked, self._pages(name, wanted))
            except KeyboardInterrupt:
                raise Interrupted(f"stopped asking for {name}") from None
            relation = (
                self._made(name, table, staged, wanted.asks)
                if staged.rows
                else self.stand_empty(table, wanted, staged.columns)
            )
        if staged.discarded:
            self.watcher.notice(
                f"{name}: {counted(staged.discarded, 'row')} left out, because a value does not fit its type"
            )
        cut = wanted.limit is not None and staged.rows >= wanted.limit
        return Fetched(relation, staged.rows, cut, at)

    def _pages(self, name: TableName, wanted: Wanted) -> Iterator[Page]:
        """The pages of each ask, one after the other, marked with its number."""
        from unify.adapters.base import Read

        if wanted.parents is not None and not wanted.parents:
            return
        left = wanted.limit
        with traffic.recorded(self.sources, name.schema) as adapter:
            for number, ask in enumerate(wanted.asks):
                read = Read(parents=wanted.parents or (), limit=left, filters=ask.filters)
                for page in adapter.pages(name.table, read):
                    left = None if left is None else left - len(page.rows)
                    yield replace(page, variables={**page.variables, _MARK: number})
                if left is not None and left <= 0:
                    return

    def _made(self, name: TableName, table: TableSpec, staged: StagedRows, asks: Sequence[Ask]) -> str:
        """The temporary table of what was staged."""
        relation = self._new_relation()
        columns = {column.name.lower(): column.name for column in staged.columns}
        files = ", ".join(literal(glob.escape(os.fspath(path))) for path in staged.files)
        source = f"read_parquet([{files}])"
        filtered = list(dict.fromkeys(column for ask in asks for column in ask.given))
        told = self._told(source, [columns[one.lower()] for one in filtered if one.lower() in columns])
        values = {
            column.lower(): (column, _value(name, column, columns, asks, table))
            for column in filtered
            if column.lower() not in told
        }
        kept = [quoted(one) for lower, one in columns.items() if lower not in values and lower != _MARK]
        made = [f"{value} AS {quoted(column)}" for column, value in values.values()]
        chosen = ", ".join([*kept, *made]) or "CAST(NULL AS BOOLEAN) AS no_rows_yet"
        session.fetch(self.lake, f"CREATE OR REPLACE TEMP TABLE {relation} AS SELECT {chosen} FROM {source}")
        return relation

    def _told(self, source: str, columns: Sequence[str]) -> frozenset[str]:
        """Those of ``columns``, in lower case, that have a value in some row: the answers tell them."""
        if not columns:
            return frozenset()
        names = list(dict.fromkeys(columns))
        counts = ", ".join(f"count({quoted(column)})" for column in names)
        [row] = session.fetch(self.lake, f"SELECT {counts} FROM {source}")
        return frozenset(name.lower() for name, values in zip(names, row, strict=True) if values)


def _marked(table: TableSpec) -> TableSpec:
    """``table`` with the mark as a column that nothing leaves out."""
    from unify.adapters.spec import ColumnDef

    mark = ColumnDef(_MARK, type="BIGINT", source=f"{{{_MARK}}}")
    return structs.replace(table, columns=(*table.columns, mark), key=(*table.key, _MARK))


def _value(
    name: TableName,
    column: str,
    columns: Mapping[str, str],
    asks: Sequence[Ask],
    table: TableSpec,
) -> str:
    """SQL of a column that no answer tells: what was asked for."""
    declared = next((one.type for one in table.columns if one.name.lower() == column.lower()), None)
    given = [ask.given.get(column) for ask in asks]
    if column.lower() not in columns and None in given:
        raise QueryError(
            f"{name} gives no column {column}, so it can only be asked for single values: "
            f"where {column} = '...'"
        )
    whens = " ".join(
        f"WHEN {number} THEN CAST({literal(one.text)} AS {declared or one.type})"
        for number, one in enumerate(given)
        if one is not None
    )
    kind = declared or next((one.type for one in given if one is not None), "VARCHAR")
    return f"CAST(CASE {_MARK} {whens} END AS {kind})" if whens else f"CAST(NULL AS {kind})"
