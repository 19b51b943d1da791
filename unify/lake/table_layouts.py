"""The source of each stored table's rows and columns, so that a later load finds the same ones.

Names alone do not identify a field: ``id`` and ``Id`` are two fields, ``a.b`` and ``a_b`` are two more.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from unify.lake.protocols import Reader
from unify.model import TableName

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

TABLE = "lake._unify.table_layouts"
_SELECT_SQL = f"SELECT layout FROM {TABLE} WHERE connection = ? AND table_name = ?"


class TableLayout(msgspec.Struct, frozen=True):
    """The origin of a stored table; empty for a table that an earlier version loaded.

    ``paths``          the field of the rows that each column holds, by column name.
    ``rows_location``  where the rows are in a response, in the adapter's own words.
    """

    paths: Mapping[str, tuple[str, ...]] = {}
    rows_location: str = ""


def create_table(connection: DuckDBPyConnection) -> None:
    """Create the table if it does not exist. Call under the writer lock, after the ledger's schema."""
    connection.execute(
        f"CREATE TABLE IF NOT EXISTS {TABLE} (connection VARCHAR, table_name VARCHAR, layout VARCHAR)"
    )


def read_layout(lake: Reader, table: TableName) -> TableLayout:
    return _decode_layout(lake.read(_SELECT_SQL, [table.schema, table.table]))


def update_layout(
    connection: DuckDBPyConnection, table: TableName, new: TableLayout, columns: Collection[str]
) -> None:
    """Add ``new`` to the layout of ``table`` in the open transaction; only paths of ``columns`` remain."""
    stored = _decode_layout(connection.execute(_SELECT_SQL, [table.schema, table.table]).fetchall())
    paths = {name: path for name, path in {**stored.paths, **new.paths}.items() if name in columns}
    layout = replace(new, paths=paths, rows_location=new.rows_location or stored.rows_location)
    if layout == stored:
        return
    if stored != TableLayout():
        delete_layout(connection, table)
    encoded = msgspec.json.encode(layout).decode()
    connection.execute(f"INSERT INTO {TABLE} VALUES (?, ?, ?)", [table.schema, table.table, encoded])


def delete_layout(connection: DuckDBPyConnection, table: TableName) -> None:
    """Delete the layout of ``table`` in the open transaction."""
    connection.execute(
        f"DELETE FROM {TABLE} WHERE connection = ? AND table_name = ?", [table.schema, table.table]
    )


def _decode_layout(rows: list[tuple[str]]) -> TableLayout:
    return msgspec.json.decode(rows[0][0], type=TableLayout) if rows else TableLayout()
