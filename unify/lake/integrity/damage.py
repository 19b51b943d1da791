"""Damaged data files: which table a file belongs to, and how to get its rows back."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from unify.engine import errors
from unify.errors import DamagedFile
from unify.fs import durable
from unify.lake import ledger
from unify.lake.protocols import METADATA, SCHEMA
from unify.model import TableName

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MAX_CHECKED_BYTES = 1_000_000_000  # read when an error names no file: a few seconds
PARQUET_MAGIC = b"PAR1"

_READ_ALL_SQL = "SELECT bit_xor(hash(row)) FROM read_parquet(?) row"  # a count would not decode the values

_DISABLED = "disabled by configuration"  # SET enable_external_access = false
_FILE = re.compile(r"""["']([^"'\n]+\.parquet)["']""")
_UNNAMED = re.compile(  # of the reader of Parquet's metadata, in which any bytes can be changed
    r"don't know what type|thrift|TProtocolException|invalid TType|out of buffer|Invalid Input: .*parquet",
    re.IGNORECASE,
)
_TABLES_SQL = f"""
SELECT s.schema_name, t.table_name, f.path
FROM (SELECT table_id, path FROM {METADATA}.ducklake_data_file
      UNION ALL SELECT table_id, path FROM {METADATA}.ducklake_delete_file) f
JOIN {METADATA}.ducklake_table t ON t.table_id = f.table_id
JOIN {METADATA}.ducklake_schema s ON s.schema_id = t.schema_id
WHERE parse_filename(f.path) = ? ORDER BY t.begin_snapshot DESC LIMIT 1
"""
_FILES_SQL = (
    "SELECT s.path || t.path || f.path "
    f"FROM {METADATA}.ducklake_data_file f "
    f"JOIN {METADATA}.ducklake_table t ON t.table_id = f.table_id AND t.end_snapshot IS NULL "
    f"JOIN {METADATA}.ducklake_schema s ON s.schema_id = t.schema_id "
    f"WHERE f.end_snapshot IS NULL AND f.path_is_relative "
    "QUALIFY sum(f.file_size_bytes) OVER (ORDER BY f.file_size_bytes, f.data_file_id) < ?"
)


def explain_damaged_file(
    connection: DuckDBPyConnection, error: BaseException, data_path: Path
) -> DamagedFile | None:
    """Return an error that names table, file and remedy if ``error`` is about a data file of the lake.

    ``connection``  a connection to the lake without an open transaction.
    """
    from unify.engine import duckdb

    text = str(error)
    named = [Path(path) for path in _FILE.findall(text) if Path(path).is_relative_to(data_path)]
    if errors.is_disk_full(error) or _DISABLED in text or not (named or _UNNAMED.search(text)):
        return None
    try:
        path = named[0] if named else _find_damaged_file(connection, data_path)
        table = None if path is None else _table_of(connection, path)
        if path is None or table is None:
            return None
        return DamagedFile(
            f"{table}: its data file {path} {_fault(path, error)}; {_remedy(connection, table)}"
        )
    except duckdb.Error:
        return None  # the catalog is damaged, too: the first error says so


def _find_damaged_file(connection: DuckDBPyConnection, data_path: Path) -> Path | None:
    """Return the first data file that cannot be read; DuckDB does not name it."""
    for (relative,) in connection.execute(_FILES_SQL, [MAX_CHECKED_BYTES]).fetchall():
        path = data_path / str(relative)
        if not can_be_read(connection, path):
            return path
    return None


def can_be_read(connection: DuckDBPyConnection, path: Path) -> bool:
    """Whether all values of a Parquet file can be read."""
    from unify.engine import duckdb

    try:
        with durable.open_regular_file(path) as file:
            head = file.read(len(PARQUET_MAGIC))
            file.seek(-len(PARQUET_MAGIC), os.SEEK_END)
            if not head == file.read() == PARQUET_MAGIC:
                return False
        connection.execute(_READ_ALL_SQL, [str(path)]).fetchall()
    except (OSError, duckdb.Error):
        return False
    return True


def _table_of(connection: DuckDBPyConnection, path: Path) -> TableName | None:
    rows = connection.execute(_TABLES_SQL, [path.name]).fetchall()
    return TableName(rows[0][0], rows[0][1]) if rows else None


def _fault(path: Path, error: BaseException) -> str:
    if not path.exists():
        return "is missing"
    reason = errors.clean_message(error).replace(f'"{path}"', "it").replace(f"'{path}'", "it").strip(" :")
    return f"cannot be read ({reason})"


def _remedy(connection: DuckDBPyConnection, table: TableName) -> str:
    if table.schema == SCHEMA:
        return remedy(table, is_loaded=False)
    loads = connection.execute(
        f"SELECT 1 FROM {ledger.TABLE} WHERE connection = ? AND table_name = ? LIMIT 1",
        [table.schema, table.table],
    ).fetchall()
    return remedy(table, is_loaded=bool(loads))


def remedy(table: TableName, *, is_loaded: bool) -> str:
    """Return how a table gets rows again that a damaged file had."""
    if table.schema == SCHEMA:
        return "restore it from a backup"
    if is_loaded:
        return f"reload table {table} fetches all rows again"
    return f"restore it from a backup, or drop table {table} and create it again"
