"""Writes staged Parquet files into a table of the lake: replace, append, or merge by key.

Everything runs within the caller's transaction, in DuckDB, from file to file.

A reload registers the staged files as the table's own if their columns are the table's (``registration``).
Otherwise the rows are copied.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from unify.engine.connection import quote_literal
from unify.engine.types import qualified_name
from unify.engine.types import quote_identifier as quoted
from unify.engine.widening import Place, conversion_sql, inexact_integer_sql
from unify.fs.failpoints import failpoint
from unify.lake.catalog import column_types_in_transaction
from unify.model import TableName
from unify.publish.registration import register_staged_files
from unify.publish.schema_evolution import TargetColumn
from unify.publish.staged_rows import (
    STAGED_VIEW,
    TOMBSTONES_TABLE,
    StagedSource,
    create_removed_tables,
    create_staged_view,
    fetch_count,
)

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


CHANGES_TABLE = "temp.main.staged_changes"  # staged rows that are new or differ
REMOVED_TABLE = "temp.main.staged_removed"  # prefix of tables with the values of ``removed``
REPLACED_TABLE = "temp.main.staged_replaced"  # the same for ``replaced``
IS_STORED_COLUMN = '"a row of this key is stored"'  # a column of CHANGES; no source has one of this name
IS_MATCHED_COLUMN = '"found in the table"'


class RowCounts(Struct, frozen=True):
    """Counts of rows. ``duplicates`` are staged rows that another one of the same key replaced."""

    inserted: int
    updated: int
    deleted: int
    total: int
    duplicates: int = 0


def store_rows(
    connection: DuckDBPyConnection,
    table: TableName,
    source: StagedSource,
    strategy: str,
    *,
    complete: bool,
    recreate: bool,
) -> RowCounts:
    """Write the staged rows into ``table`` by ``strategy``. Of rows with the same key the newest counts.

    ``source.removed`` deletes stored rows and leaves out staged ones: the list of deletions is read after the
    rows, so a staged row may have been deleted since. It has no moment to compare, so the deletion also wins
    over a row that was created again; such a row is stored by a load that reads it and whose list of
    deletions does not name it, or by a reload, which reads no list.

    ``complete``  the staged rows are all rows of the source: others may be deleted.
    ``recreate``  a reload makes the table again instead of emptying it.
    """
    removed = create_removed_tables(connection, source.target_columns, source.removed, REMOVED_TABLE)
    twice = create_staged_view(connection, source, removed)
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS lake.{quoted(table.schema)}")
    failpoint("publish.schema")
    if strategy == "reload":
        return _reload(connection, table, source, twice, recreate=recreate)
    _evolve_table(connection, table, source.target_columns)
    deleted = _delete_tombstoned_rows(connection, table, source)
    replaced = create_removed_tables(connection, source.target_columns, source.replaced, REPLACED_TABLE)
    deleted += _delete_removed_rows(connection, table, [*removed, *replaced])
    if strategy == "append":
        counts = _append(connection, table, source, twice)
    else:
        unseen = strategy == "merge_delete" and complete
        counts = _merge(connection, table, source, twice, delete_unseen=unseen)
    return replace(counts, deleted=counts.deleted + deleted)


def has_inexact_integers(connection: DuckDBPyConnection, relation: str, column: str, place: Place) -> bool:
    """Return whether an integer of a column at ``place`` differs from its nearest double."""
    test = inexact_integer_sql(quoted(column), place)
    return connection.execute(f"SELECT 1 FROM {relation} WHERE {test} LIMIT 1").fetchone() is not None


def _delete_tombstoned_rows(connection: DuckDBPyConnection, table: TableName, source: StagedSource) -> int:
    key = source.stored_key
    if not source.tombstones or not source.paths or not key:
        return 0
    return fetch_count(
        connection,
        f"DELETE FROM {_qualified_name(table)} AS old WHERE EXISTS "
        f"(FROM {TOMBSTONES_TABLE} AS new WHERE {_same_key_sql(key)} AND NOT ({_key_is_null_sql(key)}))",
    )


def _delete_removed_rows(connection: DuckDBPyConnection, table: TableName, removed: Sequence[str]) -> int:
    name = _qualified_name(table)
    return sum(
        fetch_count(connection, f"DELETE FROM {name} AS old WHERE {is_removed}") for is_removed in removed
    )


def _reload(
    connection: DuckDBPyConnection, table: TableName, source: StagedSource, duplicates: int, *, recreate: bool
) -> RowCounts:
    exists = bool(column_types_in_transaction(connection, table))
    deleted = fetch_count(connection, f"SELECT count(*) FROM {_qualified_name(table)}") if exists else 0
    if recreate:
        columns = ", ".join(f"{quoted(column.name)} {column.type}" for column in source.target_columns)
        connection.execute(f"CREATE OR REPLACE TABLE {_qualified_name(table)} ({columns})")
    else:
        connection.execute(f"DELETE FROM {_qualified_name(table)}")
    failpoint("publish.emptied")
    if (
        duplicates
        or source.tombstones
        or source.removed
        or not register_staged_files(connection, table, source.target_columns, source.paths, source.data_path)
    ):
        connection.execute(f"INSERT INTO {_qualified_name(table)} BY NAME SELECT * FROM {STAGED_VIEW}")
    total = fetch_count(connection, f"SELECT count(*) FROM {_qualified_name(table)}")
    return RowCounts(total, 0, deleted, total, duplicates)


def _evolve_table(
    connection: DuckDBPyConnection, table: TableName, target_columns: Sequence[TargetColumn]
) -> None:
    """Change the stored table to the target columns; every stored value is kept."""
    if any(column.is_type_changed for column in target_columns):
        columns = ", ".join(
            f"{_stored_value_sql(column)} AS {quoted(column.name)}" for column in target_columns
        )
        connection.execute(
            f"CREATE OR REPLACE TABLE {_qualified_name(table)} AS SELECT {columns} FROM "
            f"{_qualified_name(table)}"
        )
    else:
        for column in target_columns:
            if column.is_added:
                connection.execute(
                    f"ALTER TABLE {_qualified_name(table)} ADD COLUMN {quoted(column.name)} {column.type}"
                )
    failpoint("publish.widened")


def _stored_value_sql(column: TargetColumn) -> str:
    if column.is_added:
        return f"CAST(NULL AS {column.type})"
    return conversion_sql(quoted(column.name), column.stored_type, column.type)


def _append(
    connection: DuckDBPyConnection, table: TableName, source: StagedSource, duplicates: int
) -> RowCounts:
    """Append the staged rows; with a key only those not stored yet, as cursors are inclusive."""
    name, key = _qualified_name(table), source.stored_key
    new = (
        f" WHERE {_key_is_null_sql(key)} OR NOT EXISTS (FROM {name} AS old WHERE {_same_key_sql(key)})"
        if key
        else ""
    )
    inserted = fetch_count(connection, f"INSERT INTO {name} BY NAME SELECT * FROM {STAGED_VIEW} AS new{new}")
    return RowCounts(inserted, 0, 0, fetch_count(connection, f"SELECT count(*) FROM {name}"), duplicates)


def _merge(
    connection: DuckDBPyConnection,
    table: TableName,
    source: StagedSource,
    duplicates: int,
    *,
    delete_unseen: bool,
) -> RowCounts:
    """Update rows that differ, insert new ones, and delete unseen ones if ``delete_unseen``."""
    name, key = _qualified_name(table), source.stored_key
    updated, inserted = _find_changes(connection, name, source)
    columns = [column.name for column in source.target_columns]
    sets = ", ".join(
        f"{quoted(c.name)} = new.{quoted(c.name)}" for c in source.target_columns if c.loaded_name
    )
    if updated:
        connection.execute(
            f"MERGE INTO {name} AS old USING (SELECT * FROM {CHANGES_TABLE} WHERE {IS_STORED_COLUMN}) "
            f"AS new ON {_same_key_sql(key)} "
            f"WHEN MATCHED THEN UPDATE SET {sets}"
        )
    if inserted:
        new = ", ".join(map(quoted, columns))
        connection.execute(
            f"INSERT INTO {name} ({new}) SELECT {new} FROM {CHANGES_TABLE} WHERE NOT {IS_STORED_COLUMN}"
        )
    failpoint("publish.merged")
    inserted += _insert_keyless_rows(connection, name, key)
    deleted = _delete_unseen_rows(connection, name, source) if delete_unseen else 0
    total = fetch_count(connection, f"SELECT count(*) FROM {name}")
    return RowCounts(inserted, updated, deleted, total, duplicates)


def _find_changes(connection: DuckDBPyConnection, name: str, source: StagedSource) -> tuple[int, int]:
    """Find the staged rows that are new or differ from stored ones; return the numbers of changed and new.

    Only this step reads all columns of the stored rows; later ones read keys.
    """
    key = source.stored_key
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {CHANGES_TABLE} AS "
        f"SELECT new.*, old.{IS_MATCHED_COLUMN} IS NOT NULL AS {IS_STORED_COLUMN} FROM (SELECT * FROM "
        f"{STAGED_VIEW} AS new "
        f"WHERE NOT ({_key_is_null_sql(key)})) AS new LEFT JOIN (SELECT *, true AS {IS_MATCHED_COLUMN} "
        f"FROM {name}) AS old "
        f"ON {_same_key_sql(key)} WHERE old.{IS_MATCHED_COLUMN} IS NULL OR {_row_differs_sql(source)}"
    )
    row = connection.execute(
        f"SELECT count(*) FILTER ({IS_STORED_COLUMN}), count(*) FILTER (NOT {IS_STORED_COLUMN}) FROM "
        f"{CHANGES_TABLE}"
    ).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


def _insert_keyless_rows(connection: DuckDBPyConnection, name: str, key: Sequence[str]) -> int:
    """Insert rows without a key, except those that are stored with the same values."""
    return fetch_count(
        connection,
        f"INSERT INTO {name} BY NAME SELECT * FROM {STAGED_VIEW} AS new WHERE {_key_is_null_sql(key)} "
        f"EXCEPT SELECT * FROM {name} AS new WHERE {_key_is_null_sql(key)}",
    )


def _delete_unseen_rows(connection: DuckDBPyConnection, name: str, source: StagedSource) -> int:
    """Delete the stored rows whose key is neither staged nor among the keys of all rows."""
    same = _same_key_sql(source.stored_key)
    unseen = f"NOT EXISTS (FROM {STAGED_VIEW} AS new WHERE {same})"
    if source.key_path is not None:
        keys = f"read_parquet({quote_literal(os.fspath(source.key_path))})"
        unseen += f" AND NOT EXISTS (FROM {keys} AS new WHERE {same})"
    return fetch_count(connection, f"DELETE FROM {name} AS old WHERE {unseen}")


def _same_key_sql(key: Sequence[str]) -> str:
    return " AND ".join(f"old.{quoted(name)} IS NOT DISTINCT FROM new.{quoted(name)}" for name in key)


def _key_is_null_sql(key: Sequence[str]) -> str:
    return " AND ".join(f"new.{quoted(name)} IS NULL" for name in key)


def _row_differs_sql(source: StagedSource) -> str:
    """Compare the columns of the load only: other columns keep their stored values."""
    compared = [quoted(column.name) for column in source.target_columns if column.loaded_name]
    return " OR ".join(f"old.{name} IS DISTINCT FROM new.{name}" for name in compared)


def _qualified_name(table: TableName) -> str:
    return qualified_name(table.schema, table.table)
