"""Plan of a load from a database or store: the stored state, and whether everything has to be read again."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from unify.adapters.relation import SourceLoadRequest, SourceTable
from unify.config.connection_tables import TableSettings
from unify.errors import LoadFailed
from unify.lake import catalog, ledger
from unify.lake.lake import Lake
from unify.model import Action, Column, TableName

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MAX_READERS = min(4, os.cpu_count() or 1)  # of one load; each is a connection to the source
_MAX_NAMED_COLUMNS = 5


class StoredState(Struct, frozen=True):
    """What earlier loads have stored of a table.

    ``last_load``  uid of the last load; "" if the table is not stored.
    """

    last_load: str = ""
    rows: int = 0
    columns: tuple[Column, ...] = ()
    cursors: Mapping[str, str] = {}


def read_stored_state(lake: Lake, table: TableName) -> StoredState:
    """Read the state of a table from ledger and catalog."""
    with lake.read_transaction():
        last = ledger.latest_load(lake, table)
        if last is None:
            return StoredState()
        columns = tuple(catalog.table_columns(lake, table))
        return StoredState(last.uid, last.rows_total, columns, last.cursor)


def make_request(
    action: Action,
    table: SourceTable,
    settings: TableSettings,
    stored: StoredState,
    *,
    types: Sequence[str],
    now: datetime,
) -> tuple[SourceLoadRequest, str]:
    """Return the request, and a note if a refresh has to read everything.

    ``types``  of the columns of ``table``, as DuckDB spells them.

    If the columns differ from the stored ones, rows that did not change have other values, too: a new column
    has a default, a renamed one keeps its values.
    """
    changes = (
        "" if action is not Action.REFRESH or not stored.rows else _describe_changes(table, stored, types)
    )
    if changes or not stored.rows:
        action = Action.RELOAD if action is Action.REFRESH else action
    is_refresh = action is Action.REFRESH
    request = SourceLoadRequest(
        action,
        settings,
        now,
        stored.cursors if is_refresh else {},
        stored.columns if is_refresh else (),
        MAX_READERS,
    )
    return request, changes


def spelled_types(duck: DuckDBPyConnection, table: SourceTable) -> Sequence[str]:
    """Return the types of the columns as DuckDB spells them."""
    if not table.columns:
        return ()
    row = duck.execute(
        "SELECT " + ", ".join(f"typeof(CAST(NULL AS {column.type}))" for column in table.columns)
    ).fetchone()
    return () if row is None else [str(text) for text in row]


def _describe_changes(table: SourceTable, stored: StoredState, types: Sequence[str]) -> str:
    """Return a note if the columns differ from the stored ones; publishing names the new ones."""
    old = {column.name: column.type for column in stored.columns}
    new = {column.name: type for column, type in zip(table.columns, types, strict=True)}
    if old == new:
        return ""
    gone = [name for name in old if name not in new]
    more = f" and {len(gone) - _MAX_NAMED_COLUMNS} more" if len(gone) > _MAX_NAMED_COLUMNS else ""
    dropped = f"; gone: {', '.join(gone[:_MAX_NAMED_COLUMNS])}{more}" if gone else ""
    return f"all rows were read again because the columns have changed{dropped}"


def check_has_columns(table: SourceTable, name: TableName) -> None:
    """Raise LoadFailed for a table without columns."""
    if not table.columns:
        raise LoadFailed(f"{name}: the table has no columns, so there is nothing to store")
