"""Rows a load could not store, with the value that did not fit its declared type: ``unify.discarded``.

Nothing a source sent is lost silently: it is counted in the ledger and kept here as it came.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from unify.engine.connection import quote_literal
from unify.model import TableName

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

TABLE = "lake._unify.discarded"
# Whether it ever had a row: 3 ms, where a DELETE of none takes 30.
_HAS_ROWS_SQL = (
    "SELECT 1 FROM __ducklake_metadata_lake.ducklake_table_stats "
    "JOIN __ducklake_metadata_lake.ducklake_table t USING (table_id) "
    "JOIN __ducklake_metadata_lake.ducklake_schema s USING (schema_id) "
    "WHERE s.schema_name = '_unify' AND t.table_name = 'discarded' AND t.end_snapshot IS NULL "
    "AND record_count > 0"
)
_STAGED_COLUMNS = (
    '"scope" VARCHAR, "column" VARCHAR, "value" VARCHAR, reason VARCHAR, "row" VARCHAR'  # as staged
)


def create_table(connection: DuckDBPyConnection) -> None:
    """Make the table where there is none. Call under the writers' lock, after the ledger's schema."""
    connection.execute(
        f"CREATE TABLE IF NOT EXISTS {TABLE} "
        f"(job BIGINT, uid VARCHAR, connection VARCHAR, table_name VARCHAR, {_STAGED_COLUMNS})"
    )


def insert_discards(
    connection: DuckDBPyConnection, table: TableName, job: int, uid: str, staged: Path
) -> None:
    """Keep the staged rows, in the transaction that is open on ``connection``."""
    source = f"read_parquet({quote_literal(os.fspath(staged))})"
    connection.execute(
        f"INSERT INTO {TABLE} BY NAME SELECT CAST(? AS BIGINT) AS job, ? AS uid, ? AS connection, "
        f"? AS table_name, * FROM {source}",
        [job, uid, table.schema, table.table],
    )


def delete_discards(connection: DuckDBPyConnection, table: TableName) -> None:
    """Drop what earlier loads of ``table`` left: all its rows are replaced, or gone."""
    if connection.execute(_HAS_ROWS_SQL).fetchone() is None:
        return
    connection.execute(
        f"DELETE FROM {TABLE} WHERE connection = ? AND table_name = ?", [table.schema, table.table]
    )
