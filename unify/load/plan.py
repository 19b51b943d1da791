"""What one load reads, and what becomes of the rows stored before: decided from action, spec and ledger.

What an earlier load says of a table's columns: the types that hold in the next one.

The rows a table is loaded for each of: a spec's SELECT, run where it can reach nothing else.

``unify.adapters.spec.sql`` has read the SELECT before and refused whatever is not one over the
connection's own tables; here it also runs on a connection that cannot open a file, load an
extension, attach a database or take any of that back.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from unify.adapters.base import ParentRow, Read, TableConfig
from unify.adapters.rest.incremental import may_replace_cursor
from unify.adapters.spec.model import RefreshStrategy
from unify.engine.connection import fetch_distinct_rows, quote_literal
from unify.engine.types import quote_identifier as quoted
from unify.errors import LoadFailed
from unify.lake import catalog
from unify.lake.lake import Lake
from unify.model import Action, Column, LoadRecord, TableName

_INCREMENTAL_STRATEGIES: tuple[RefreshStrategy, ...] = (
    "append",
    "merge",
)  # the others replace, so they need every row


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """How a table is loaded this time.

    ``based_on``  uid of the published load whose cursor we start from; "" when everything is read.
    ``cursor_column``    the cursor column; "" where loads are not incremental.
    """

    strategy: RefreshStrategy
    read: Read
    based_on: str = ""
    cursor_column: str = ""
    stored_cursors: Mapping[str, str] = field(default_factory=dict)

    def next_cursors(self, new_cursors: Mapping[str, str]) -> Mapping[str, str]:
        """The state for the next load: the furthest cursor of each scope, whether rows came now or before."""
        furthest = dict(self.stored_cursors)
        for scope, cursor in new_cursors.items():
            if scope not in furthest or may_replace_cursor(cursor, furthest[scope]):
                furthest[scope] = cursor
        return furthest


def make_load_plan(
    action: Action, table: TableConfig, last: LoadRecord | None, parents: Sequence[ParentRow]
) -> LoadPlan:
    """Decide how to load ``table``, whose last published load is ``last``."""
    cursor = table.incremental.cursor if table.incremental else ""
    if action is not Action.REFRESH or last is None:
        return LoadPlan("reload", Read(parents), cursor_column=cursor)
    strategy = table.refresh.strategy or _default_strategy(table)
    if not table.incremental or not last.cursor or strategy not in _INCREMENTAL_STRATEGIES:
        return LoadPlan(strategy, Read(parents), cursor_column=cursor)
    return LoadPlan(strategy, Read(parents, last.cursor), last.uid, cursor, last.cursor)


def _default_strategy(table: TableConfig) -> RefreshStrategy:
    return "merge" if table.incremental and table.key else "reload"


_UNTYPED_COLUMN_TYPES = ("VARCHAR", "VARCHAR[]")  # what a column gets that has not had a value yet


def read_stored_columns(lake: Lake, table: TableName, last: LoadRecord | None) -> Sequence[Column]:
    """The columns of the stored rows, in their order; of a table without rows nothing has to be kept.

    A type of "" says that the column has had no value yet, so that any type fits it.
    """
    if last is None or not last.rows_total:
        return ()
    columns = catalog.table_columns(lake, table)
    unsure = {column.name for column in columns if column.type in _UNTYPED_COLUMN_TYPES}
    if unsure:
        unsure -= catalog.columns_with_values(lake, table)  # 3 ms, where a look at 150 columns takes 500
    empty = _columns_without_values(lake, table, [column.name for column in columns if column.name in unsure])
    return [replace(column, type="") if column.name in empty else column for column in columns]


def _columns_without_values(lake: Lake, table: TableName, names: Sequence[str]) -> frozenset[str]:
    """Those of the columns in which no row has a value; the search ends at the first value."""
    if not names:
        return frozenset()
    stored = f"lake.{quoted(table.schema)}.{quoted(table.table)}"
    tests = ", ".join(f"EXISTS (SELECT 1 FROM {stored} WHERE {quoted(name)} IS NOT NULL)" for name in names)
    [found] = lake.read(f"SELECT {tests}")
    return frozenset(name for name, has_values in zip(names, found, strict=True) if not has_values)


def restrict_to_lake_files(lake: Lake) -> None:
    """Take from this lake's DuckDB everything but reading the lake's own files. There is no way back."""
    connection = lake.connection
    own = ", ".join(quote_literal(os.fspath(folder)) for folder in _lake_folders(lake))
    connection.execute(f"SET allowed_directories = [{own}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def read_parent_rows(lake: Lake, table: TableName, query: str) -> Sequence[ParentRow]:
    """The distinct rows of ``query`` over the tables of ``table``'s connection, in a fixed order.

    Values are numbers, truth values and texts; anything else comes as DuckDB's text of it.
    Raises LoadFailed naming the table where DuckDB refuses the query.
    """
    import duckdb

    cursor = lake.cursor()
    try:
        cursor.execute(f"USE lake.{quoted(table.schema)}")
        return fetch_distinct_rows(cursor, query)
    except duckdb.Error as error:
        raise LoadFailed(f"{table}: its for_each cannot be run: {error}") from error
    finally:
        cursor.close()


def _lake_folders(lake: Lake) -> Sequence[os.PathLike[str]]:
    return (lake.settings.data_path, lake.settings.cache)
