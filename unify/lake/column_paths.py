"""The field of the rows that each stored column holds, so that a later load finds the same column.

Names alone do not identify a field: ``id`` and ``Id`` are two fields, ``a.b`` and ``a_b`` are two more.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import msgspec

from unify.lake.protocols import Reader
from unify.model import TableName

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

TABLE = "lake._unify.column_paths"

ColumnPaths = Mapping[str, tuple[str, ...]]
_SELECT_SQL = f"SELECT paths FROM {TABLE} WHERE connection = ? AND table_name = ?"


def create_table(connection: DuckDBPyConnection) -> None:
    """Create the table if it does not exist. Call under the writer lock, after the ledger's schema."""
    connection.execute(
        f"CREATE TABLE IF NOT EXISTS {TABLE} (connection VARCHAR, table_name VARCHAR, paths VARCHAR)"
    )
    connection.execute(
        "CALL lake.set_option('data_inlining_row_limit', 1000, schema => '_unify', table_name => 'column_paths')"
    )


def read_paths(lake: Reader, table: TableName) -> ColumnPaths:
    """Return the paths by column name; empty for a table that an earlier version loaded."""
    return _decode_paths(lake.read(_SELECT_SQL, [table.schema, table.table]))


def read_paths_in_transaction(connection: DuckDBPyConnection, table: TableName) -> ColumnPaths:
    """The same, as the transaction that is open on ``connection`` sees them."""
    return _decode_paths(connection.execute(_SELECT_SQL, [table.schema, table.table]).fetchall())


def update_paths(
    connection: DuckDBPyConnection, table: TableName, new: ColumnPaths, columns: Collection[str]
) -> None:
    """Add ``new`` to the paths of ``table`` in the open transaction and delete those not of ``columns``."""
    stored = read_paths_in_transaction(connection, table)
    paths = {name: path for name, path in {**stored, **new}.items() if name in columns}
    if paths == stored:
        return
    if stored:
        delete_paths(connection, table)
    encoded = msgspec.json.encode(paths).decode()
    connection.execute(f"INSERT INTO {TABLE} VALUES (?, ?, ?)", [table.schema, table.table, encoded])


def delete_paths(connection: DuckDBPyConnection, table: TableName) -> None:
    """Delete the paths of ``table`` in the open transaction."""
    connection.execute(
        f"DELETE FROM {TABLE} WHERE connection = ? AND table_name = ?", [table.schema, table.table]
    )


def _decode_paths(rows: list[tuple[str]]) -> ColumnPaths:
    return msgspec.json.decode(rows[0][0], type=dict[str, tuple[str, ...]]) if rows else {}
