"""Unify's own tables and the options of DuckLake, created with a new lake."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unify.lake import discards, ledger, table_layouts, type_changes
from unify.lake.protocols import CATALOG, SCHEMA

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# Row groups of this many rows make `limit 100` and point queries 3-6 times faster than the default
# of 122,880 at the same size (design.md). Small inserts must not be kept in the catalog instead of
# Parquet: DuckLake 1.0 keeps them as text there and loses quotes inside a STRUCT ('x''y' came back
# as xy; tests/test_lake.py). The plain columns of INLINED_TABLES are safe and would be a file a load.
DUCKLAKE_OPTIONS = {
    "parquet_row_group_size": 20_000,
    "target_file_size": "128MB",
    "data_inlining_row_limit": 0,
}
INLINED_TABLES = ("loads", "table_layouts")  # of the schema _unify
INLINED_ROWS = 1000


def create_tables(connection: DuckDBPyConnection) -> None:
    """Create Unify's own tables in one commit, while DuckLake also creates their tables of inlined rows.

    DuckLake 1.5.5 would otherwise create those with the first row, in that commit. In the commit of a load
    this would hide the load's own table from AT: readers cache the older catalog for its version.

    A row is inserted into each table and deleted again, which leaves statistics: without them DuckLake reads
    the statistics of a table twice for each column of each query, 55 ms of CPU for the ledger.
    """
    connection.execute("BEGIN")
    connection.execute(f"CALL {CATALOG}.set_option('data_inlining_row_limit', {INLINED_ROWS})")
    ledger.create_table(connection)
    discards.create_table(connection)
    type_changes.create_table(connection)
    table_layouts.create_table(connection)
    for table in (ledger.TABLE, discards.TABLE, type_changes.TABLE, table_layouts.TABLE):
        connection.execute(f"INSERT INTO {table} DEFAULT VALUES")
        connection.execute(f"DELETE FROM {table} WHERE connection IS NULL")
    connection.execute("COMMIT")


def set_options(connection: DuckDBPyConnection) -> None:
    """Set the lake's options, in one commit; those of a table only once it is committed."""
    connection.execute("BEGIN")
    for table in INLINED_TABLES:
        connection.execute(
            f"CALL {CATALOG}.set_option('data_inlining_row_limit', {INLINED_ROWS}, "
            "schema => ?, table_name => ?)",
            [SCHEMA, table],
        )
    for name, value in DUCKLAKE_OPTIONS.items():
        connection.execute(f"CALL {CATALOG}.set_option(?, ?)", [name, value])
    connection.execute("COMMIT")
