"""``peek``: a few rows of a table and the columns that tell most, without loading or storing anything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from unify.adapters.base import Read
from unify.errors import QueryError, UnknownName
from unify.interpreter import missing, signingin, systemshape, traffic
from unify.interpreter.asks import needed
from unify.interpreter.flatrows import FlatRows, flat
from unify.interpreter.results import Rows, Watcher, result_columns
from unify.interpreter.state import State
from unify.interpreter.telling import telling
from unify.model import TableName
from unify.store import catalog
from unify.store.duck import quoted
from unify.text import counted

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from unify.adapters.base import Page, ParentRow
    from unify.adapters.spec import ForEach

ROWS = 5
MOST_ROWS = 1000  # more than that is a query, not a look
_PARENT_ROWS = 1000  # of each stored table that a for_each reads
_PARENTS = 5  # asked for their rows one after the other, until there are enough


class Peek:
    """Looks at tables: into the lake where they are stored, else at their source."""

    def __init__(self, state: State, watcher: Watcher) -> None:
        self.state = state
        self.lake = state.lake
        self.sources = state.sources
        self.watcher = watcher

    def run(self, name: TableName, count: int | None) -> Rows:
        """The most telling columns of the first ``count`` rows, in the order of the source.

        Raises  UnknownName; SourceError where the source has to be asked and does not answer.
        """
        wanted = min(count or ROWS, MOST_ROWS)
        stored = bool(catalog.columns(self.lake, name))
        found = self._stored(name, wanted) if stored else self._fetched(name, wanted)
        places = telling(found.columns, found.rows)
        return Rows(
            tuple(found.columns[place] for place in places),
            iter([[tuple(row[place] for place in places) for row in found.rows]] if found.rows else []),
            _note(len(places), len(found.columns), stored=stored),
        )

    def spelled(self, table: TableName) -> TableName:
        """The table as it is stored or offered; a bare name is one of the user's own. Raises UnknownName."""
        name = table if table.schema else TableName("main", table.table)
        if self.sources.has(name.schema):
            own = name.table.lower() not in self.sources.tables(name.schema)
            return name if own and catalog.columns(self.lake, name) else self.sources.spelled(name)
        if not catalog.columns(self.lake, name):
            if systemshape.shape(name) is not None:
                raise UnknownName(f"{name} tells how things are now, and older versions of it are not kept")
            known = (found.name for found in self.state.tables())
            raise UnknownName(missing.no_table(table, known, self.state.schemas()))
        return name

    def _stored(self, name: TableName, limit: int) -> FlatRows:
        sql = f"SELECT * FROM lake.{quoted(name.schema)}.{quoted(name.table)} LIMIT {limit:d}"
        outcome = self.lake.execute(sql)
        return FlatRows(
            result_columns(outcome.columns), tuple(row for batch in outcome.batches() for row in batch)
        )

    def _fetched(self, name: TableName, limit: int) -> FlatRows:
        from unify.adapters import registry

        connection = self.sources.connection(name.schema)
        handling = registry.describe_handling(connection, self.sources.settings.specs, name.table)
        if handling is None:
            raise UnknownName(f"connection {name.schema} has no table {name.table}")
        live = self.sources.live(name)
        if live is not None and any(each.required for each in live.filters):
            raise QueryError(needed(name, live))
        read = Read(parents=self._parents(name, handling.for_each), limit=limit)
        signingin.ensure(self.sources, self.watcher, name.schema)
        pages: list[Page] = []
        with traffic.recorded(self.sources, name.schema) as adapter:
            for page in adapter.pages(name.table, read):
                pages.append(page)
                if sum(len(one.rows) for one in pages) >= limit:
                    break
        return flat(handling, pages, limit)

    def _parents(self, name: TableName, for_each: ForEach | None) -> Sequence[ParentRow]:
        """Some rows of a table's ``for_each``, from stored tables and a look at those that are not.

        The spec's SELECT runs on a DuckDB of its own that holds nothing else and reaches nothing.
        """
        if for_each is None or for_each.query is None:
            return ()
        import duckdb

        with duckdb.connect() as scratch:
            for parent in for_each.tables:
                _fill(scratch, parent, self._parent_rows(TableName(name.schema, parent)))
            scratch.execute("SET enable_external_access = false")
            scratch.execute("SET lock_configuration = true")
            try:
                return _selected(scratch, for_each.query)
            except duckdb.Error as error:
                raise QueryError(
                    f"{name} needs {', '.join(for_each.tables)} first, and a look at a few rows is not "
                    f"enough: load table {name.schema}.{for_each.tables[0]} ({error})"
                ) from error

    def _parent_rows(self, name: TableName) -> FlatRows:
        if catalog.columns(self.lake, name):
            return self._stored(name, _PARENT_ROWS)
        return self._fetched(name, MOST_ROWS)


def _fill(scratch: DuckDBPyConnection, table: str, found: FlatRows) -> None:
    """Make ``table`` of these rows, their values as JSON so that none is text within SQL."""
    fields = ", ".join(f"{quoted(column.name)} {column.type}" for column in found.columns) or "none BOOLEAN"
    scratch.execute(f"CREATE TABLE {quoted(table)} ({fields})")
    if found.rows and found.columns:
        casts = ", ".join(
            f"CAST(row ->> {place} AS {column.type})" for place, column in enumerate(found.columns)
        )
        rows = msgspec.json.encode(found.rows, enc_hook=str).decode()
        scratch.execute(
            f"INSERT INTO {quoted(table)} SELECT {casts} FROM (SELECT unnest(CAST(? AS JSON[])) AS row)",
            [rows],
        )


def _selected(scratch: DuckDBPyConnection, query: str) -> Sequence[ParentRow]:
    """The first distinct rows of ``query``: numbers, truth values and texts."""
    result = scratch.execute(
        f"SELECT DISTINCT * FROM (\n{query}\n) AS parents ORDER BY ALL LIMIT {_PARENTS:d}"
    )
    names = [str(column[0]) for column in result.description or ()]
    return [
        {name: value if isinstance(value, bool | int | float | None) else str(value) for name, value in pairs}
        for pairs in (zip(names, row, strict=True) for row in result.fetchall())
    ]


def _note(shown: int, there: int, *, stored: bool) -> str:
    left_out = f"{shown} of {counted(there, 'column')}" if shown < there else ""
    return ", ".join(filter(None, [left_out, "" if stored else "fetched now, nothing is stored"]))
