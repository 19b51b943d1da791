"""Columns whose type a later load widened: the previous types in ``unify.columns``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from unify.lake.protocols import Reader
from unify.model import TableName

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

TABLE = "lake._unify.widened"


class ColumnTypeChange(Struct, frozen=True):
    """A change of a column's type; its values were kept."""

    column: str
    old_type: str
    new_type: str


def create_table(connection: DuckDBPyConnection) -> None:
    """Create the table if it does not exist. Requires the writers' lock and the ledger's schema."""
    connection.execute(
        f"CREATE TABLE IF NOT EXISTS {TABLE} (connection VARCHAR, table_name VARCHAR, "
        "column_name VARCHAR, was VARCHAR, became VARCHAR, changed_at BIGINT)"  # microseconds since 1970
    )


def insert_type_changes(
    connection: DuckDBPyConnection, table: TableName, changes: Iterable[ColumnTypeChange], now: datetime
) -> None:
    """Insert the changes in the transaction open on ``connection``."""
    at = round(now.timestamp() * 1_000_000)
    for change in changes:
        connection.execute(
            f"INSERT INTO {TABLE} VALUES (?, ?, ?, ?, ?, ?)",
            [table.schema, table.table, change.column, change.old_type, change.new_type, at],
        )


def delete_type_changes(connection: DuckDBPyConnection, table: TableName) -> None:
    """Delete the changes of a table whose rows are deleted."""
    connection.execute(
        f"DELETE FROM {TABLE} WHERE connection = ? AND table_name = ?", [table.schema, table.table]
    )


def latest_type_changes(lake: Reader) -> Mapping[tuple[TableName, str, str], tuple[str, datetime]]:
    """Return by table, column and new type: the previous type, and when it changed."""
    return lake.read_cached("widenings.latest", lambda: _read_latest_type_changes(lake))


def _read_latest_type_changes(lake: Reader) -> Mapping[tuple[TableName, str, str], tuple[str, datetime]]:
    rows = lake.read(f"FROM {TABLE} ORDER BY changed_at")
    return {
        (TableName(schema, table), column, became): (was, datetime.fromtimestamp(at / 1_000_000, UTC))
        for schema, table, column, was, became, at in rows
    }
