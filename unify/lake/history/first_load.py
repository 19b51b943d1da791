"""The history of lakes made before DuckLake's tables of inlined rows were created with the lake.

DuckLake 1.5.5 names such a table after the version of the catalog that it was created in. In those lakes it
was created by the commit of the first load, and a reader of the ledger caches an older catalog for that
version: AT does not find the tables of that load.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from unify.engine.types import qualified_name
from unify.engine.types import quote_identifier as quoted
from unify.lake.protocols import METADATA, SCHEMA

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# Unify's tables whose inlined rows are named after a version in which a table of a load was created.
_HIDING_TABLES_SQL = f"""
SELECT DISTINCT own.table_name
FROM {METADATA}.ducklake_inlined_data_tables inlined
JOIN {METADATA}.ducklake_table own ON own.table_id = inlined.table_id AND own.end_snapshot IS NULL
JOIN {METADATA}.ducklake_schema unify ON unify.schema_id = own.schema_id AND unify.schema_name = ?
JOIN {METADATA}.ducklake_snapshot made ON made.schema_version = inlined.schema_version
JOIN {METADATA}.ducklake_table loaded
  ON loaded.begin_snapshot = made.snapshot_id AND loaded.schema_id <> own.schema_id
ORDER BY ALL
"""


def repair_history(connection: DuckDBPyConnection) -> bool:
    """Copy the tables that hide the first load from AT. Requires the writers' lock.

    Returns whether there were any; then the lake has to be attached again, because its catalog is cached.
    """
    rows = connection.execute(_HIDING_TABLES_SQL, [SCHEMA]).fetchall()
    _copy_tables(connection, [str(name) for (name,) in rows])
    return bool(rows)


def _copy_tables(connection: DuckDBPyConnection, tables: Sequence[str]) -> None:
    """Replace each table by a copy, whose inlined rows are named after a version of its own."""
    for table in tables:
        name, copy = qualified_name(SCHEMA, table), qualified_name(SCHEMA, f"{table}_copy")
        connection.execute("BEGIN")
        connection.execute(f"CREATE TABLE {copy} AS FROM {name}")
        connection.execute(f"DROP TABLE {name}")
        connection.execute(f"ALTER TABLE {copy} RENAME TO {quoted(table)}")
        connection.execute("COMMIT")
