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

from unify.adapters.base import ParentRow, Read, TableConfig
from unify.adapters.rest.incremental import may_replace_cursor
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
