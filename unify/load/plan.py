"""Load plan: what one load reads, by action, spec and ledger; stored columns and parent rows.

The SELECT of ``for_each`` was checked when the spec was read. It runs on a connection that cannot open a
file, load an extension or attach a database.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from msgspec import Struct, field

from unify.adapters.base import ParentRow, Read, TableConfig
from unify.adapters.rest.incremental import is_later, may_replace_cursor
from unify.adapters.spec.model import RefreshStrategy
from unify.engine.connection import fetch_distinct_rows, quote_literal
from unify.engine.types import quote_identifier as quoted
from unify.engine.widening import text_places
from unify.errors import LoadFailed
from unify.lake import catalog
from unify.lake.lake import Lake
from unify.model import Action, Column, LoadRecord, TableName

_INCREMENTAL_STRATEGIES: tuple[RefreshStrategy, ...] = (
    "append",
    "merge",
)  # the others replace, so they need every row


class LoadPlan(Struct, frozen=True):
    """The plan of one load: what it reads of a table, and from where on.

    ``based_on``       uid of the published load whose cursor this one starts from; "" if it reads everything.
    ``cursor_column``  "" if loads are not incremental.
    ``is_full_reload``  a refresh reads everything because ``refresh.reload`` is due.
    ``cursor_limit``   rows with a later cursor do not count for the next load's start; None: all count.
    """

    strategy: RefreshStrategy
    read: Read
    based_on: str = ""
    cursor_column: str = ""
    cursor_limit: datetime | None = None
    stored_cursors: Mapping[str, str] = field(default_factory=dict)
    is_full_reload: bool = False

    def next_cursors(self, new_cursors: Mapping[str, str]) -> Mapping[str, str]:
        """Return the state for the next load: the greatest cursor of each scope, now or before."""
        furthest = dict(self.stored_cursors)
        for scope, cursor in new_cursors.items():
            if scope not in furthest or may_replace_cursor(cursor, furthest[scope]):
                furthest[scope] = cursor
        return furthest


def make_load_plan(
    action: Action,
    table: TableConfig,
    last: LoadRecord | None,
    parents: Sequence[ParentRow],
    *,
    now: datetime,
    rows_location: str = "",
    reloaded_at: datetime | None = None,
) -> LoadPlan:
    """Decide how to load ``table``, whose last published load is ``last``.

    ``reloaded_at``  when everything was last read.

    Loads do not start from a cursor later than ``now``: it would exclude every change until then.
    """
    incremental = table.incremental
    cursor = incremental.cursor if incremental else ""
    limit = now if incremental and not incremental.allow_future else None
    read = Read(parents, rows_location=rows_location)
    if action is not Action.REFRESH or last is None:
        return LoadPlan("reload", read, cursor_column=cursor, cursor_limit=limit)
    reload_s = table.refresh.reload_s
    if reload_s is not None and (reloaded_at is None or now - reloaded_at >= timedelta(seconds=reload_s)):
        return LoadPlan("reload", read, cursor_column=cursor, cursor_limit=limit, is_full_reload=True)
    strategy = table.refresh.strategy or _default_strategy(table)
    stored = {
        scope: text
        for scope, text in last.cursor.items()
        if incremental and not (limit and is_later(incremental, text, limit))
    }
    if not stored or strategy not in _INCREMENTAL_STRATEGIES:
        return LoadPlan(strategy, read, cursor_column=cursor, cursor_limit=limit)
    return LoadPlan(strategy, replace(read, since=stored), last.uid, cursor, limit, stored)


def _default_strategy(table: TableConfig) -> RefreshStrategy:
    return "merge" if table.incremental and table.key else "reload"


def read_stored_columns(lake: Lake, table: TableName, last: LoadRecord | None) -> Sequence[Column]:
    """Return the columns of the stored rows in their order; none for a table without rows.

    Types are untyped wherever no row has a value; "" means that the whole column has none.
    """
    if last is None or not last.rows_total:
        return ()
    columns = catalog.table_columns(lake, table)
    if not any(text_places(column.type) for column in columns):
        return columns
    known = catalog.places_with_values(lake, table)  # 3 ms; tests of 150 columns take 500
    return catalog.value_types(lake.read, table, columns, known)


def restrict_to_lake_files(lake: Lake) -> None:
    """Restrict this lake's DuckDB to reading the lake's own files, irrevocably."""
    own = ", ".join(quote_literal(os.fspath(folder)) for folder in _lake_folders(lake))
    connection = lake.cursor()  # one thread is enough for the ledger and for parent rows
    connection.execute(f"SET allowed_directories = [{own}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def read_parent_rows(lake: Lake, table: TableName, query: str) -> Sequence[ParentRow]:
    """Return the distinct rows of ``query`` over the tables of ``table``'s connection, in a fixed order.

    Values are numbers, booleans and texts; others are DuckDB's text. Raises LoadFailed if the query fails.
    """
    from unify.engine import duckdb

    cursor = lake.cursor()
    try:
        cursor.execute(f"USE lake.{quoted(table.schema)}")
        return fetch_distinct_rows(cursor, query)
    except duckdb.Error as error:
        raise LoadFailed(f"{table}: the query of for_each failed: {error}") from error
    finally:
        cursor.close()


def _lake_folders(lake: Lake) -> Sequence[os.PathLike[str]]:
    return (lake.settings.data_path, lake.settings.cache)
