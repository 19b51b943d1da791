"""Live tables: each statement fetches its rows from the API.

The rows are read and typed in this process, not by a job of the daemon, because only this session uses them.
The caller passes in the ``Stager`` that types them, because this package must not import ``load``. The rows
become a temporary table, which needs no lock of the lake, spills to disk, and ends with the session.
"""

from __future__ import annotations

import glob
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import structs

from unify.config.settings import create_private_folder
from unify.engine.connection import quote_literal
from unify.engine.types import quote_identifier as quoted
from unify.errors import Interrupted, NotPermitted, QueryError
from unify.interpreter import adapter_access
from unify.interpreter.connections import ConnectionCatalog
from unify.interpreter.live.requests import LiveRead, LiveRelation, LiveRequest
from unify.interpreter.results import StagedRows, Stager, Watcher
from unify.lake import session_rows
from unify.lake.lake import Lake
from unify.model import Column, TableName
from unify.text import format_count

if TYPE_CHECKING:
    from unify.adapters.base import Page
    from unify.adapters.spec.model import TableSpec

_REQUEST_COLUMN = "unify_ask"  # number of the request that a staged row came from
_CacheKey = tuple[TableName, tuple[object, ...]]
_PLACEHOLDER_COLUMN = "no_rows_yet BOOLEAN"  # a table requires a column even if none is known


class LiveTables:
    """Fetches rows and caches them for the duration of the spec's ``live.cache``."""

    def __init__(
        self,
        lake: Lake,
        connections: ConnectionCatalog,
        watcher: Watcher,
        stager: Stager,
        *,
        may_fetch: bool = True,
    ) -> None:
        self.may_fetch = may_fetch
        self.lake = lake
        self.connections = connections
        self.watcher = watcher
        self.stager = stager
        self._relation_numbers = count(1)
        self._cache: dict[_CacheKey, LiveRelation] = {}
        self._uncached_relations: list[str] = []  # relations of the last statement only

    def drop_uncached(self) -> None:
        """Drop the uncached relations of the previous statement."""
        for relation in self._uncached_relations:
            session_rows.fetch_session_rows(self.lake, f"DROP TABLE IF EXISTS {relation}")
        self._uncached_relations.clear()

    def fetch(self, name: TableName, table: TableSpec, live_read: LiveRead) -> LiveRelation:
        """Return the rows of ``live_read``, from the API or the cache.

        Raises SourceError for a failed request; QueryError if the responses lack a column of the statement.
        """
        if (cached := self.find_cached(name, table, live_read)) is not None:
            return cached
        if not self.may_fetch:
            raise NotPermitted(f"{name} is read from its API by each statement, which needs the role loader")
        fetched = self._fetch_from_api(name, table, live_read)
        cache_s = table.live.cache_s if table.live and fetched.rows else 0.0
        if cache_s and not self.lake.in_transaction:  # a rollback would drop the table
            self._cache[name, live_read.key] = fetched
        else:
            self._uncached_relations.append(fetched.name)
        return fetched

    def find_cached(self, name: TableName, table: TableSpec, live_read: LiveRead) -> LiveRelation | None:
        """Return the cached relation of the same read, without a limit or with the same one."""
        keys = ((name, live_read.unlimited.key), (name, live_read.key))
        return next((one for key in keys if (one := self._find_unexpired(key, table)) is not None), None)

    def create_empty_relation(
        self, table: TableSpec, live_read: LiveRead, staged: Sequence[Column] = ()
    ) -> str:
        """Create a relation of the known columns without rows: for plans and for empty responses."""
        relation = self._new_relation_name()
        types = {column.name.lower(): (column.name, column.type) for column in staged}
        types.pop(_REQUEST_COLUMN, None)
        for column in table.columns:
            types.setdefault(column.name.lower(), (column.name, column.type or "VARCHAR"))
        for each in table.filters:
            values = [request.column_values.get(each.column) for request in live_read.requests]
            type = next((value.type for value in values if value is not None), "VARCHAR")
            types.setdefault(each.column.lower(), (each.column, type))
        for name in live_read.referenced_columns:
            types.setdefault(name.lower(), (name, "VARCHAR"))
        columns = [f"{quoted(name)} {type}" for name, type in types.values()]
        fields = ", ".join(columns) or _PLACEHOLDER_COLUMN
        session_rows.fetch_session_rows(self.lake, f"CREATE OR REPLACE TEMP TABLE {relation} ({fields})")
        return relation

    def _new_relation_name(self) -> str:
        return f"temp.main.{quoted(f'unify live {next(self._relation_numbers)}')}"

    def _find_unexpired(self, key: _CacheKey, table: TableSpec) -> LiveRelation | None:
        cached = self._cache.get(key)
        if cached is None:
            return None
        if table.live is not None and time.monotonic() - cached.fetched_monotonic_s < table.live.cache_s:
            return cached
        self._uncached_relations.append(self._cache.pop(key).name)
        return None

    def _fetch_from_api(self, name: TableName, table: TableSpec, live_read: LiveRead) -> LiveRelation:
        adapter_access.ensure_signed_in(self.connections, self.watcher, name.schema)
        fetched_monotonic_s = time.monotonic()
        create_private_folder(self.connections.settings.cache)
        with tempfile.TemporaryDirectory(prefix="live-", dir=self.connections.settings.cache) as folder:
            try:
                staged = self.stager(
                    Path(folder), _with_request_column(table), self._read_pages(name, live_read)
                )
            except KeyboardInterrupt:
                raise Interrupted(f"stopped reading {name}") from None
            relation = (
                self._create_relation(name, table, staged, live_read.requests)
                if staged.rows
                else self.create_empty_relation(table, live_read, staged.columns)
            )
        if staged.discarded:
            self.watcher.notice(
                f"{name}: {format_count(staged.discarded, 'row')} left out, "
                "because a value does not fit its type"
            )
        is_truncated = live_read.limit is not None and staged.rows >= live_read.limit
        return LiveRelation(relation, staged.rows, is_truncated, fetched_monotonic_s)

    def _read_pages(self, name: TableName, live_read: LiveRead) -> Iterator[Page]:
        """Yield the pages of each request in turn, with the number of the request."""
        from unify.adapters.base import Read

        if live_read.parents is not None and not live_read.parents:
            return
        left = live_read.limit
        connection = self.connections.connection(name.schema)
        with adapter_access.open_adapter(self.connections, connection) as adapter:
            for number, request in enumerate(live_read.requests):
                read = Read(parents=live_read.parents or (), limit=left, filters=request.filters)
                for page in adapter.pages(name.table, read):
                    left = None if left is None else left - len(page.rows)
                    yield structs.replace(page, variables={**page.variables, _REQUEST_COLUMN: number})
                if left is not None and left <= 0:
                    return

    def _create_relation(
        self, name: TableName, table: TableSpec, staged: StagedRows, requests: Sequence[LiveRequest]
    ) -> str:
        """Create the temporary table of the staged rows."""
        relation = self._new_relation_name()
        columns = {column.name.lower(): column.name for column in staged.columns}
        files = ", ".join(quote_literal(glob.escape(os.fspath(path))) for path in staged.files)
        source = f"read_parquet([{files}])"
        filtered = list(dict.fromkeys(column for request in requests for column in request.column_values))
        returned = self._columns_with_values(
            source, [columns[one.lower()] for one in filtered if one.lower() in columns]
        )
        values = {
            column.lower(): (column, _requested_value_sql(name, column, columns, requests, table))
            for column in filtered
            if column.lower() not in returned
        }
        kept = [
            quoted(one) for lower, one in columns.items() if lower not in values and lower != _REQUEST_COLUMN
        ]
        constants = [f"{value} AS {quoted(column)}" for column, value in values.values()]
        chosen = ", ".join([*kept, *constants]) or "CAST(NULL AS BOOLEAN) AS no_rows_yet"
        session_rows.fetch_session_rows(
            self.lake, f"CREATE OR REPLACE TEMP TABLE {relation} AS SELECT {chosen} FROM {source}"
        )
        return relation

    def _columns_with_values(self, source: str, columns: Sequence[str]) -> frozenset[str]:
        """Return those of ``columns``, in lower case, that have a value in a row."""
        if not columns:
            return frozenset()
        names = list(dict.fromkeys(columns))
        counts = ", ".join(f"count({quoted(column)})" for column in names)
        [row] = session_rows.fetch_session_rows(self.lake, f"SELECT {counts} FROM {source}")
        return frozenset(name.lower() for name, values in zip(names, row, strict=True) if values)


def _with_request_column(table: TableSpec) -> TableSpec:
    """Return ``table`` with the request number as a column, part of the key so that ``exclude`` keeps it."""
    from unify.adapters.spec.table_keys import ColumnDef

    mark = ColumnDef(_REQUEST_COLUMN, type="BIGINT", source=f"{{{_REQUEST_COLUMN}}}")
    return structs.replace(table, columns=(*table.columns, mark), key=(*table.key, _REQUEST_COLUMN))


def _requested_value_sql(
    name: TableName,
    column: str,
    columns: Mapping[str, str],
    requests: Sequence[LiveRequest],
    table: TableSpec,
) -> str:
    """SQL of a column that the responses lack: the value of the filter."""
    declared = next((one.type for one in table.columns if one.name.lower() == column.lower()), None)
    values = [request.column_values.get(column) for request in requests]
    if column.lower() not in columns and None in values:
        raise QueryError(
            f"the responses of {name} lack the column {column}; filter it by single values: "
            f"where {column} = '...'"
        )
    whens = " ".join(
        f"WHEN {number} THEN CAST({quote_literal(one.text)} AS {declared or one.type})"
        for number, one in enumerate(values)
        if one is not None
    )
    type = declared or next((one.type for one in values if one is not None), "VARCHAR")
    return f"CAST(CASE {_REQUEST_COLUMN} {whens} END AS {type})" if whens else f"CAST(NULL AS {type})"
