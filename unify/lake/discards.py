"""``unify.discarded``: rows a load could not store, with the value that did not fit its declared type.

They are counted in the ledger and kept here as the source sent them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from unify.engine.connection import quote_literal
from unify.lake.protocols import METADATA
from unify.model import TableName

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

TABLE = "lake._unify.discarded"
# Checks for a row first: 3 ms; a DELETE without matching rows takes 30 ms.
_HAS_ROWS_SQL = (
    f"SELECT 1 FROM {METADATA}.ducklake_table_stats "
    f"JOIN {METADATA}.ducklake_table t USING (table_id) "
    f"JOIN {METADATA}.ducklake_schema s USING (schema_id) "
    "WHERE s.schema_name = '_unify' AND t.table_name = 'discarded' AND t.end_snapshot IS NULL "
    "AND record_count > 0"
)
_STAGED_COLUMNS = (
    '"scope" VARCHAR, "column" VARCHAR, "value" VARCHAR, reason VARCHAR, "row" VARCHAR'  # as staged
)


def create_table(connection: DuckDBPyConnection) -> None:
    """Create the table if it does not exist. Requires the writers' lock and the ledger's schema."""
    connection.execute(
        f"CREATE TABLE IF NOT EXISTS {TABLE} "
        f"(job BIGINT, uid VARCHAR, connection VARCHAR, table_name VARCHAR, {_STAGED_COLUMNS})"
    )


def insert_discards(
    connection: DuckDBPyConnection, table: TableName, job: int, uid: str, staged: Path
) -> None:
    """Insert the staged rows in the transaction open on ``connection``."""
    source = f"read_parquet({quote_literal(os.fspath(staged))})"
    connection.execute(
        f"INSERT INTO {TABLE} BY NAME SELECT CAST(? AS BIGINT) AS job, ? AS uid, ? AS connection, "
        f"? AS table_name, * FROM {source}",
        [job, uid, table.schema, table.table],
    )


def delete_discards(connection: DuckDBPyConnection, table: TableName) -> None:
    """Delete the rows of earlier loads of ``table``, because the table is replaced or cleared."""
    if connection.execute(_HAS_ROWS_SQL).fetchone() is None:
        return
    connection.execute(
        f"DELETE FROM {TABLE} WHERE connection = ? AND table_name = ?", [table.schema, table.table]
    )
