"""The schema ``unify``: system tables in an in-memory catalog beside the lake.

``unify.loads`` and ``unify.discarded`` are views of lake tables. The others are snapshots, filled when a
query names them. DuckDB never attaches queue.db: two SQLite libraries on one file in one process drop
each other's locks.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from unify.engine.types import quote_identifier as quoted

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SYSTEM_CATALOG = "unify"


def attach_system_schema(connection: DuckDBPyConnection) -> None:
    """Attach the catalog ``unify`` with its views."""
    connection.execute(f"ATTACH ':memory:' AS {SYSTEM_CATALOG}")
    connection.execute(
        f"""CREATE VIEW {SYSTEM_CATALOG}.main.loads AS
            SELECT job, uid, connection, table_name AS "table", action, status, reason,
                   rows_read, rows_written, rows_inserted, rows_updated, rows_deleted, rows_discarded,
                   rows_total, requests, bytes, seconds, cursor, error, started_at, finished_at
            FROM lake._unify.loads"""
    )
    connection.execute(
        f"""CREATE VIEW {SYSTEM_CATALOG}.main.discarded AS
            SELECT job, uid, connection, table_name AS "table", scope, "column", "value", reason, "row"
            FROM lake._unify.discarded"""
    )


def replace_table(
    connection: DuckDBPyConnection,
    name: str,
    columns: Sequence[tuple[str, str]],
    rows: Sequence[Sequence[object]],
) -> None:
    """Replace the table ``unify.NAME``, on a separate connection: the user's may be in a transaction."""
    table = f"{SYSTEM_CATALOG}.main.{quoted(name)}"
    fields = ", ".join(f"{quoted(column)} {kind}" for column, kind in columns)
    casts = ", ".join(f"CAST(row ->> {position} AS {kind})" for position, (_, kind) in enumerate(columns))
    cursor = connection.cursor()
    try:
        cursor.execute("BEGIN")
        cursor.execute(f"CREATE OR REPLACE TABLE {table} ({fields})")
        if rows:
            cursor.execute(
                f"INSERT INTO {table} SELECT {casts} FROM (SELECT unnest(CAST(? AS JSON[])) AS row)",
                [_rows_to_json(rows)],
            )
        cursor.execute("COMMIT")
    finally:
        cursor.close()


def _rows_to_json(rows: Sequence[Sequence[object]]) -> str:
    """Encode rows as JSON arrays of strings, numbers, booleans and nulls; timestamps in ISO 8601."""
    plain = [[_json_cell(value) for value in row] for row in rows]
    return msgspec.json.encode(plain).decode()


def _json_cell(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)
