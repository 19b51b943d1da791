"""A copy of the lake's catalog as of one commit, and the data files that it names."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from msgspec import Struct

from unify.config.settings import Settings
from unify.engine import connection as engine_connection
from unify.engine.connection import quote_literal
from unify.homes.databases import open_copy
from unify.lake.integrity.identity import LakeIdentity
from unify.lake.protocols import CATALOG
from unify.model import TableName

Value = TypeVar("Value")

# The latest row of each table and schema: a rename adds a row. SQLite takes the other columns from the row
# with the maximum.
_FILES_SQL = """
WITH tables AS (
    SELECT table_id, schema_id, table_name, path, end_snapshot, max(begin_snapshot)
    FROM ducklake_table GROUP BY table_id
), schemas AS (
    SELECT schema_id, schema_name, path, max(begin_snapshot) FROM ducklake_schema GROUP BY schema_id
), files AS (
    SELECT table_id, path, record_count AS rows, file_size_bytes AS size, end_snapshot, 0 AS is_delete,
           partial_max FROM ducklake_data_file
    UNION ALL
    SELECT table_id, path, delete_count, file_size_bytes, end_snapshot, 1,
           partial_max FROM ducklake_delete_file
)
SELECT s.schema_name, t.table_name, f.rows, f.size, f.is_delete, f.partial_max IS NULL AS is_whole,
       f.end_snapshot IS NULL AND t.end_snapshot IS NULL AS is_current,
       s.path AS schema_path, t.path AS table_path, f.path AS path
FROM files f JOIN tables t USING (table_id) JOIN schemas s USING (schema_id)
ORDER BY s.schema_name, t.table_name, f.path
"""
_TABLES_SQL = """
SELECT s.schema_name, t.table_name FROM ducklake_table t
JOIN ducklake_schema s ON s.schema_id = t.schema_id AND s.end_snapshot IS NULL
WHERE t.end_snapshot IS NULL ORDER BY 1, 2
"""
_IDENTITY_SQL = (
    "SELECT schema_uuid, (SELECT max(snapshot_id) FROM ducklake_snapshot) "
    "FROM ducklake_schema WHERE schema_id = 0"
)


class DataFile(Struct, frozen=True):
    """A file that the catalog names.

    ``rows``        that it has, or deletes.
    ``is_whole``    whether the file has just these rows.
    ``is_current``  whether the latest version of its table needs it; else only older versions do.
    """

    table: TableName
    path: Path
    rows: int
    size: int
    is_delete: bool
    is_whole: bool
    is_current: bool


class CatalogCopy(Struct, frozen=True):
    """A copy of the catalog. ``scheduled`` are files that maintenance deletes: they may be missing."""

    path: Path
    identity: LakeIdentity
    tables: tuple[TableName, ...]
    files: tuple[DataFile, ...]
    scheduled: frozenset[Path]


def read_catalog_copy(copy: Path, data_path: Path) -> CatalogCopy:
    """Read what a copied catalog names. Raises sqlite3.DatabaseError if it is not that of a lake."""
    with closing(open_copy(copy)) as connection:
        found = connection.execute(_IDENTITY_SQL).fetchone()
        if found is None:
            raise sqlite3.DatabaseError("it has no tables of a lake")
        return CatalogCopy(
            path=copy,
            identity=LakeIdentity(found[0], found[1]),
            tables=tuple(TableName(*row) for row in connection.execute(_TABLES_SQL)),
            files=tuple(_data_file(row, data_path) for row in connection.execute(_FILES_SQL)),
            scheduled=frozenset(
                data_path / row["path"]
                for row in connection.execute("SELECT path FROM ducklake_files_scheduled_for_deletion")
            ),
        )


def _data_file(row: sqlite3.Row, data_path: Path) -> DataFile:
    return DataFile(
        table=TableName(row["schema_name"], row["table_name"]),
        path=data_path / row["schema_path"] / row["table_path"] / row["path"],  # an absolute one stays
        rows=row["rows"],
        size=row["size"],
        is_delete=bool(row["is_delete"]),
        is_whole=bool(row["is_whole"]),
        is_current=bool(row["is_current"]),
    )


class CatalogReader:
    """Reads rows of the lake as of a copied catalog: the lake's ``Reader``."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def read(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = self._connection.execute(sql, list(parameters)).fetchall()
        return rows

    def read_cached(self, _name: str, read: Callable[[], Value], /) -> Value:
        return read()


@contextmanager
def open_reader(settings: Settings, copy: Path) -> Iterator[CatalogReader]:
    """Attach a copied catalog with the data files of the home, read-only. DuckDB's errors pass."""
    connection = engine_connection.connect(threads=1)
    try:
        connection.execute(
            f"ATTACH {quote_literal(f'ducklake:sqlite:{copy}')} AS {CATALOG} (READ_ONLY, "
            f"DATA_PATH {quote_literal(str(settings.data_path))}, OVERRIDE_DATA_PATH true)"
        )
        yield CatalogReader(connection)
    finally:
        connection.close()
