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

from unify.config.settings import create_private_folder
from unify.engine.connection import quote_literal
from unify.engine.types import quote_identifier as quoted
from unify.errors import Interrupted, QueryError
from unify.interpreter import adapter_access
from unify.interpreter.connections import ConnectionCatalog
from unify.interpreter.live.requests import LiveRead, LiveRelation, LiveRequest
from unify.interpreter.results import StagedRows, Stager, Watcher
from unify.lake import lake as lake_lake
from unify.lake.lake import Lake
from unify.model import Column, TableName
from unify.text import format_count

if TYPE_CHECKING:
    from unify.adapters.base import Page
    from unify.adapters.spec.model import TableSpec

_REQUEST_COLUMN = "unify_ask"  # the column that says which request a row came from, while rows are staged
_CacheKey = tuple[TableName, tuple[object, ...]]
_PLACEHOLDER_COLUMN = "no_rows_yet BOOLEAN"  # a table needs a column even where no row told of any


class LiveTables:
    """Fetches, and keeps what was fetched for as long as the spec's ``live.cache`` allows."""

    def __init__(self, lake: Lake, connections: ConnectionCatalog, watcher: Watcher, stager: Stager) -> None:
        self.lake = lake
        self.connections = connections
        self.watcher = watcher
        self.stager = stager
        self._relation_numbers = count(1)
        self._cache: dict[_CacheKey, LiveRelation] = {}
        self._uncached_relations: list[str] = []  # relations of the last statement that nobody may use again

    def drop_uncached(self) -> None:
        """Drop what was fetched for the statement before only."""
        for relation in self._uncached_relations:
            lake_lake.fetch_session_rows(self.lake, f"DROP TABLE IF EXISTS {relation}")
        self._uncached_relations.clear()

    def fetch(self, name: TableName, table: TableSpec, live_read: LiveRead) -> LiveRelation:
        """The rows of ``table`` that are wanted, from the API or as fetched not long ago.

        Raises  SourceError where a page could not be had; QueryError where the answers do not tell a column.
        """
        if (known := self.find_cached(name, table, live_read)) is not None:
            return known
        fetched = self._fetch_from_api(name, table, live_read)
        cache_s = table.live.cache_s if table.live and fetched.rows else 0.0
        if cache_s and not self.lake.in_transaction:  # a rollback would take the table away
            self._cache[name, live_read.key] = fetched
        else:
            self._uncached_relations.append(fetched.name)
        return fetched

    def find_cached(self, name: TableName, table: TableSpec, live_read: LiveRead) -> LiveRelation | None:
        """What was fetched not long ago for the same: all of it, or up to the same limit."""
        keys = ((name, live_read.unlimited.key), (name, live_read.key))
        return next((known for key in keys if (known := self._find_unexpired(key, table)) is not None), None)

    def create_empty_relation(
        self, table: TableSpec, live_read: LiveRead, staged: Sequence[Column] = ()
    ) -> str:
        """A relation without rows, of the columns that are known: for plans, and where no row came."""
        relation = self._new_relation_name()
        types = {column.name.lower(): (column.name, column.type) for column in staged}
        types.pop(_REQUEST_COLUMN, None)
        for column in table.columns:
            types.setdefault(column.name.lower(), (column.name, column.type or "VARCHAR"))
        for each in table.filters:
            given = next(
                (
                    value
                    for ask in live_read.requests
                    if (value := ask.column_values.get(each.column)) is not None
                ),
                None,
            )
            types.setdefault(each.column.lower(), (each.column, given.type if given else "VARCHAR"))
        for name in live_read.referenced_columns:
            types.setdefault(name.lower(), (name, "VARCHAR"))
        fields = ", ".join(f"{quoted(name)} {type}" for name, type in types.values()) or _PLACEHOLDER_COLUMN
        lake_lake.fetch_session_rows(self.lake, f"CREATE OR REPLACE TEMP TABLE {relation} ({fields})")
        return relation

    def _new_relation_name(self) -> str:
        return f"temp.main.{quoted(f'unify live {next(self._relation_numbers)}')}"

    def _find_unexpired(self, key: _CacheKey, table: TableSpec) -> LiveRelation | None:
        known = self._cache.get(key)
        if known is None:
            return None
        if table.live is not None and time.monotonic() - known.fetched_monotonic_s < table.live.cache_s:
            return known
        self._uncached_relations.append(self._cache.pop(key).name)
        return None

    def _fetch_from_api(self, name: TableName, table: TableSpec, live_read: LiveRead) -> LiveRelation:
        adapter_access.ensure_signed_in(self.connections, self.watcher, name.schema)
        at = time.monotonic()
        marked = _with_request_column(table)
        create_private_folder(self.connections.settings.cache)
        with tempfile.TemporaryDirectory(prefix="live-", dir=self.connections.settings.cache) as folder:
            try:
                staged = self.stager(Path(folder), marked, self._read_pages(name, live_read))
            except KeyboardInterrupt:
                raise Interrupted(f"stopped asking for {name}") from None
            relation = (
                self._create_relation(name, table, staged, live_read.requests)
                if staged.rows
                else self.create_empty_relation(table, live_read, staged.columns)
            )
        if staged.discarded:
            self.watcher.notice(
                f"{name}: {format_count(staged.discarded, 'row')} left out, because a value does not fit its type"
            )
        cut = live_read.limit is not None and staged.rows >= live_read.limit
        return LiveRelation(relation, staged.rows, cut, at)

    def _read_pages(self, name: TableName, live_read: LiveRead) -> Iterator[Page]:
        """The pages of each ask, one after the other, marked with its number."""
        from unify.adapters.base import Read

        if live_read.parents is not None and not live_read.parents:
            return
        left = live_read.limit
        with adapter_access.open_recorded_adapter(self.connections, name.schema) as adapter:
            for number, ask in enumerate(live_read.requests):
                read = Read(parents=live_read.parents or (), limit=left, filters=ask.filters)
                for page in adapter.pages(name.table, read):
                    left = None if left is None else left - len(page.rows)
                    yield replace(page, variables={**page.variables, _REQUEST_COLUMN: number})
                if left is not None and left <= 0:
                    return

    def _create_relation(
        self, name: TableName, table: TableSpec, staged: StagedRows, requests: Sequence[LiveRequest]
    ) -> str:
        """The temporary table of what was staged."""
        relation = self._new_relation_name()
        columns = {column.name.lower(): column.name for column in staged.columns}
        files = ", ".join(quote_literal(glob.escape(os.fspath(path))) for path in staged.files)
        source = f"read_parquet([{files}])"
        filtered = list(dict.fromkeys(column for ask in requests for column in ask.column_values))
        told = self._columns_with_values(
            source, [columns[one.lower()] for one in filtered if one.lower() in columns]
        )
        values = {
            column.lower(): (column, _requested_value_sql(name, column, columns, requests, table))
            for column in filtered
            if column.lower() not in told
        }
        kept = [
            quoted(one) for lower, one in columns.items() if lower not in values and lower != _REQUEST_COLUMN
        ]
        made = [f"{value} AS {quoted(column)}" for column, value in values.values()]
        chosen = ", ".join([*kept, *made]) or "CAST(NULL AS BOOLEAN) AS no_rows_yet"
        lake_lake.fetch_session_rows(
            self.lake, f"CREATE OR REPLACE TEMP TABLE {relation} AS SELECT {chosen} FROM {source}"
        )
        return relation

    def _columns_with_values(self, source: str, columns: Sequence[str]) -> frozenset[str]:
        """Those of ``columns``, in lower case, that have a value in some row: the answers tell them."""
        if not columns:
            return frozenset()
        names = list(dict.fromkeys(columns))
        counts = ", ".join(f"count({quoted(column)})" for column in names)
        [row] = lake_lake.fetch_session_rows(self.lake, f"SELECT {counts} FROM {source}")
        return frozenset(name.lower() for name, values in zip(names, row, strict=True) if values)


def _with_request_column(table: TableSpec) -> TableSpec:
    """``table`` with the mark as a column that nothing leaves out."""
    from unify.adapters.spec.model import ColumnDef

    mark = ColumnDef(_REQUEST_COLUMN, type="BIGINT", source=f"{{{_REQUEST_COLUMN}}}")
    return structs.replace(table, columns=(*table.columns, mark), key=(*table.key, _REQUEST_COLUMN))


def _requested_value_sql(
    name: TableName,
    column: str,
    columns: Mapping[str, str],
    requests: Sequence[LiveRequest],
    table: TableSpec,
) -> str:
    """SQL of a column that no answer tells: what was asked for."""
    declared = next((one.type for one in table.columns if one.name.lower() == column.lower()), None)
    given = [ask.column_values.get(column) for ask in requests]
    if column.lower() not in columns and None in given:
        raise QueryError(
            f"{name} gives no column {column}, so it can only be asked for single values: "
            f"where {column} = '...'"
        )
    whens = " ".join(
        f"WHEN {number} THEN CAST({quote_literal(one.text)} AS {declared or one.type})"
        for number, one in enumerate(given)
        if one is not None
    )
    kind = declared or next((one.type for one in given if one is not None), "VARCHAR")
    return f"CAST(CASE {_REQUEST_COLUMN} {whens} END AS {kind})" if whens else f"CAST(NULL AS {kind})"
