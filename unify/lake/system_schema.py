"""The schema ``unify``: system tables in an in-memory catalog beside the lake.

``unify.loads`` and ``unify.discarded`` are views of lake tables. The others are snapshots. Each is created,
and filled, when a query names it. DuckDB never attaches queue.db: two SQLite libraries on one file in one
process drop each other's locks.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from unify.engine.connection import quote_literal
from unify.engine.types import quote_identifier as quoted

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SYSTEM_CATALOG = "unify"


# Views of the lake's own tables; creating both takes 6 ms, for which DuckDB resolves their columns.
LAKE_VIEWS = {
    "loads": """SELECT job, uid, connection, table_name AS "table", action, status, reason,
            rows_read, rows_written, rows_inserted, rows_updated, rows_deleted, rows_discarded,
            rows_total, requests, bytes, seconds, cursor, error, started_at, finished_at
        FROM lake._unify.loads""",
    "discarded": """SELECT job, uid, connection, table_name AS "table", scope, "column", "value", reason,
            "row"
        FROM lake._unify.discarded""",
}


def attach_system_schema(connection: DuckDBPyConnection) -> None:
    """Attach the catalog ``unify``, which is empty."""
    connection.execute(f"ATTACH ':memory:' AS {SYSTEM_CATALOG}")


def create_lake_view(connection: DuckDBPyConnection, name: str) -> None:
    """Create the view ``unify.NAME``, one of LAKE_VIEWS, if it does not exist; see ``create_table``."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE VIEW IF NOT EXISTS {SYSTEM_CATALOG}.main.{quoted(name)} AS {LAKE_VIEWS[name]}"
        )


def create_table(connection: DuckDBPyConnection, name: str, columns: Sequence[tuple[str, str]]) -> None:
    """Create the table ``unify.NAME`` if it does not exist: a view of the rows in a variable of the session.

    A transaction of the user sees it only if it is created before the transaction begins.
    """
    casts = ", ".join(
        f"CAST(row ->> {position} AS {kind}) AS {quoted(column)}"
        for position, (column, kind) in enumerate(columns)
    )
    variable = quote_literal(_variable_name(name))
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE VIEW IF NOT EXISTS {SYSTEM_CATALOG}.main.{quoted(name)} AS "
            f"SELECT {casts} FROM (SELECT unnest(CAST(getvariable({variable}) AS JSON[])) AS row)"
        )


def replace_rows(connection: DuckDBPyConnection, name: str, rows: Sequence[Sequence[object]]) -> None:
    """Replace the rows of ``unify.NAME`` for the user's session, also within a transaction.

    A transaction sees the tables as they were when it began, and writes to one database only; variables are
    not part of it.
    """
    connection.execute(f"SET VARIABLE {quoted(_variable_name(name))} = ?", [_rows_to_json(rows)])


def _variable_name(table: str) -> str:
    return f"{SYSTEM_CATALOG}.{table}"  # no variable of the user has a dot


def _rows_to_json(rows: Sequence[Sequence[object]]) -> str:
    """Encode rows as JSON arrays of strings, numbers, booleans and nulls; timestamps in ISO 8601."""
    plain = [[_json_cell(value) for value in row] for row in rows]
    return msgspec.json.encode(plain).decode()


def _json_cell(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)
