"""Copies of the catalog: in SQLite for folders that cannot be written, in DuckDB for restricted lakes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from unify.engine.connection import quote_literal
from unify.engine.types import quote_identifier as quoted
from unify.lake.protocols import CATALOG, METADATA

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_COPY = "catalog_copy"
# Tables of rows that are kept in the catalog, each with the table of the lake to which they belong.
_INLINED_SQL = f"""
    SELECT i.table_name, s.schema_name || '.' || t.table_name
    FROM {METADATA}.ducklake_inlined_data_tables i
    LEFT JOIN {METADATA}.ducklake_table t ON t.table_id = i.table_id AND t.end_snapshot IS NULL
    LEFT JOIN {METADATA}.ducklake_schema s ON s.schema_id = t.schema_id AND s.end_snapshot IS NULL
"""


def copy_files(catalog: Path, folder: Path) -> Path:
    """Copy the files of an SQLite catalog, with the writers' lock held; return the new catalog."""
    import shutil

    for suffix in ("", "-wal"):
        source = catalog.with_name(catalog.name + suffix)
        if source.exists():
            target = folder / source.name
            shutil.copyfile(source, target)
            target.chmod(0o600)
    return folder / catalog.name


def copy_to_duckdb(connection: DuckDBPyConnection, target: Path, data_path: Path) -> None:
    """Copy the catalog attached to ``connection`` into the new DuckDB file ``target``, one snapshot of it.

    DuckLake reads such a catalog without the extension of SQLite, which opens any file. DuckLake itself makes
    the tables, with the types that it expects. 12 ms of CPU for a small catalog.
    """
    connection.execute("SET sqlite_disable_multithreaded_scans = true")  # each thread has its own snapshot
    connection.execute(
        f"ATTACH {quote_literal(f'ducklake:{target}')} AS {_COPY} (DATA_PATH {quote_literal(str(data_path))})"
    )
    connection.execute(f"DETACH {_COPY}")
    connection.execute(f"ATTACH {quote_literal(str(target))} AS {_COPY}")
    connection.execute("BEGIN")
    made = [
        str(name)
        for (name,) in connection.execute(
            f"SELECT table_name FROM duckdb_tables() WHERE database_name = '{_COPY}'"
        ).fetchall()
    ]
    for name in made:
        connection.execute(f"DELETE FROM {_COPY}.{quoted(name)}")
        connection.execute(f"INSERT INTO {_COPY}.{quoted(name)} BY NAME FROM {METADATA}.{quoted(name)}")
    for name, table in connection.execute(_INLINED_SQL).fetchall():
        _copy_inlined_rows(connection, str(name), None if table is None else str(table))
    connection.execute("COMMIT")
    connection.execute(f"DETACH {_COPY}")


def _copy_inlined_rows(connection: DuckDBPyConnection, name: str, table: str | None) -> None:
    """Copy rows of ``table`` that are kept in the catalog: in SQLite, numbers and times are text."""
    own = "" if table is None else f"{CATALOG}.{'.'.join(map(quoted, table.split('.', 1)))}"
    types = _column_types(connection, own) if own else {}
    chosen = [
        f"CAST({quoted(column)} AS {types[column]}) AS {quoted(column)}"
        if column in types
        else quoted(column)
        for column in _column_types(connection, f"{METADATA}.{quoted(name)}")
    ]
    connection.execute(
        f"CREATE TABLE {_COPY}.{quoted(name)} AS SELECT {', '.join(chosen)} FROM {METADATA}.{quoted(name)}"
    )


def _column_types(connection: DuckDBPyConnection, table: str) -> dict[str, str]:
    """Return the types of a table by column, in their order."""
    return {str(row[0]): str(row[1]) for row in connection.execute(f"DESCRIBE {table}").fetchall()}
