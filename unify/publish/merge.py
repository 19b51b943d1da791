"""Writes staged Parquet files into a table of the lake: replace, append, or merge by key.

Everything runs within the caller's transaction, in DuckDB, from file to file.

A reload registers the staged files as the table's own if their columns are the table's: they are hard-linked
into the lake's folder. The staged names stay, so a crash before the commit loses nothing; maintenance removes
the links that it leaves. Otherwise the rows are copied.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from unify.engine.connection import quote_literal
from unify.engine.types import qualified_name
from unify.engine.types import quote_identifier as quoted
from unify.engine.widening import Place, conversion_sql, inexact_integer_sql
from unify.errors import LoadFailed
from unify.fs.failpoints import failpoint
from unify.lake.catalog import column_types_in_transaction
from unify.model import TableName
from unify.publish.schema_evolution import TargetColumn

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


STAGED_VIEW = "temp.main.staged"  # the staged rows in the columns of the table
CHANGES_TABLE = "temp.main.staged_changes"  # staged rows that are new or differ
TOMBSTONES_TABLE = "temp.main.staged_tombstones"  # rows of ``deleted.where``
REMOVED_TABLE = "temp.main.staged_removed"  # prefix of tables with the values of ``removed``
REPLACED_TABLE = "temp.main.staged_replaced"  # the same for ``replaced``
IS_STORED_COLUMN = '"a row of this key is stored"'  # a column of CHANGES; no source has one of this name
IS_MATCHED_COLUMN = '"found in the table"'
SUPERSEDED_TABLE = (
    "temp.main.staged_losers"  # (file_index, file_row_number) of rows a younger one of the same key beats
)


class RowCounts(Struct, frozen=True):
    """Counts of rows. ``duplicates`` are staged rows that another one of the same key replaced."""

    inserted: int
    updated: int
    deleted: int
    total: int
    duplicates: int = 0


class StagedSource(Struct, frozen=True):
    """Staged files and their target columns; ``key`` and ``cursor_column`` in the spelling of the load."""

    paths: Sequence[Path]
    target_columns: Sequence[TargetColumn]
    key: Sequence[str]
    cursor_column: str
    data_path: Path  # of the lake: where its files are
    tombstones: Mapping[str, Sequence[str]] = field(default_factory=dict)  # values by column
    removed: Sequence[Mapping[str, str]] = ()  # texts by column: rows with all of them are not kept
    replaced: Sequence[Mapping[str, str]] = ()  # the same for stored rows only
    key_path: Path | None = None  # Parquet with the keys of all rows of the source

    @property
    def files_sql(self) -> str:
        return parquet_files_sql(self.paths)

    @property
    def stored_key(self) -> tuple[str, ...]:
        """Return the key in the table's spelling; empty if the rows do not have it."""
        names = {
            column.loaded_name.lower(): column.name for column in self.target_columns if column.loaded_name
        }
        found = [names.get(name.lower(), "") for name in self.key]
        return tuple(found) if all(found) else ()


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
    ``anew``      a reload makes the table again instead of emptying it.
    """
    removed = _create_removed_tables(connection, source.target_columns, source.removed, REMOVED_TABLE)
    twice = _create_staged_view(connection, source, removed)
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS lake.{quoted(table.schema)}")
    failpoint("publish.schema")
    if strategy == "reload":
        return _reload(connection, table, source, twice, recreate=recreate)
    _evolve_table(connection, table, source.target_columns)
    deleted = _delete_tombstoned_rows(connection, table, source)
    replaced = _create_removed_tables(connection, source.target_columns, source.replaced, REPLACED_TABLE)
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


def parquet_files_sql(paths: Sequence[Path]) -> str:
    names = ", ".join(quote_literal(os.fspath(path)) for path in paths)
    return f"read_parquet([{names}], union_by_name = true)"


def _create_staged_view(connection: DuckDBPyConnection, source: StagedSource, removed: Sequence[str]) -> int:
    """Create the view of the staged rows to store; return the number of duplicates that it leaves out.

    ``removed``  see ``_create_removed_tables``.
    """
    if not source.paths:
        columns = ", ".join(
            f"CAST(NULL AS {column.type}) AS {quoted(column.name)}" for column in source.target_columns
        )
        connection.execute(f"CREATE OR REPLACE TEMP VIEW {STAGED_VIEW} AS SELECT {columns} WHERE false")
        return 0
    columns = ", ".join(
        f"{_staged_value_sql(column)} AS {quoted(column.name)}" for column in source.target_columns
    )
    twice = _find_superseded_rows(connection, source)
    newest = (
        f" WHERE (file_index, file_row_number) NOT IN (SELECT file, row FROM {SUPERSEDED_TABLE})"
        if twice
        else ""
    )
    select = f"SELECT {columns} FROM {source.files_sql}{newest}"
    if source.tombstones:
        is_tombstone = _is_tombstone_sql(source)
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE {TOMBSTONES_TABLE} AS SELECT * FROM ({select}) WHERE "
            f"{is_tombstone}"
        )
        select = f"SELECT * FROM ({select}) WHERE NOT {is_tombstone}"
    for is_removed in removed:
        select = f"SELECT * FROM ({select}) AS old WHERE NOT {is_removed}"
    connection.execute(f"CREATE OR REPLACE TEMP VIEW {STAGED_VIEW} AS {select}")
    return twice


def _is_tombstone_sql(source: StagedSource) -> str:
    stored = {column.loaded_name: column.name for column in source.target_columns}
    tests = [
        f"coalesce(lower(CAST({quoted(stored[name])} AS VARCHAR)) IN "
        f"({', '.join(quote_literal(text.lower()) for text in texts)}), false)"
        for name, texts in source.tombstones.items()
    ]
    return f"({' AND '.join(tests)})"


def _delete_tombstoned_rows(connection: DuckDBPyConnection, table: TableName, source: StagedSource) -> int:
    key = source.stored_key
    if not source.tombstones or not source.paths or not key:
        return 0
    return _fetch_count(
        connection,
        f"DELETE FROM {_qualified_name(table)} AS old WHERE EXISTS "
        f"(FROM {TOMBSTONES_TABLE} AS new WHERE {_same_key_sql(key)} AND NOT ({_key_is_null_sql(key)}))",
    )


def _create_removed_tables(
    connection: DuckDBPyConnection,
    target_columns: Sequence[TargetColumn],
    removed: Sequence[Mapping[str, str]],
    prefix: str,
) -> Sequence[str]:
    """Create a table of ``removed`` for each set of columns; return SQL conditions on a row ``old``."""
    columns = {column.name.lower(): column for column in target_columns}
    by_names: dict[tuple[str, ...], list[Mapping[str, str]]] = {}
    for texts in removed:
        by_names.setdefault(tuple(texts), []).append(texts)
    tests: list[str] = []
    for names, rows in by_names.items():
        if any(name.lower() not in columns for name in names):
            continue
        found = [columns[name.lower()] for name in names]
        relation = f"{prefix}_{len(tests)}"
        lists = ", ".join(f"unnest(${number + 1}::VARCHAR[]) AS v{number}" for number in range(len(names)))
        values = ", ".join(
            f"TRY_CAST(v{number} AS {column.type}) AS v{number}" for number, column in enumerate(found)
        )
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE {relation} AS SELECT {values} FROM (SELECT {lists})",
            [[row[name] for row in rows] for name in names],
        )
        equal = " AND ".join(
            f"old.{quoted(column.name)} = removed.v{number}" for number, column in enumerate(found)
        )
        tests.append(f"EXISTS (FROM {relation} AS removed WHERE {equal})")
    return tests


def _delete_removed_rows(connection: DuckDBPyConnection, table: TableName, removed: Sequence[str]) -> int:
    name = _qualified_name(table)
    return sum(
        _fetch_count(connection, f"DELETE FROM {name} AS old WHERE {is_removed}") for is_removed in removed
    )


def _staged_value_sql(column: TargetColumn) -> str:
    if not column.loaded_name:
        return f"CAST(NULL AS {column.type})"
    return conversion_sql(quoted(column.loaded_name), column.loaded_type, column.type)


def _find_superseded_rows(connection: DuckDBPyConnection, source: StagedSource) -> int:
    """Find the staged rows that a newer one of the same key replaces. Rows without a key stay."""
    names = {
        column.loaded_name.lower(): column.loaded_name
        for column in source.target_columns
        if column.loaded_name
    }
    key = [quoted(names[name.lower()]) for name in source.key if name.lower() in names]
    if not key:
        return 0
    keys = ", ".join(key)
    known = " OR ".join(f"{name} IS NOT NULL" for name in key)
    double = connection.execute(
        f"SELECT 1 FROM {source.files_sql} WHERE {known} GROUP BY {keys} HAVING count(*) > 1 LIMIT 1"
    ).fetchone()
    if double is None:
        return 0
    if clash := {"file_index", "file_row_number"} & names.keys():
        raise LoadFailed(
            f"rows of one key came twice, and the column {min(clash)} hides their order; exclude it"
        )
    cursor = names.get(source.cursor_column.lower())
    younger = f"{quoted(cursor)} DESC NULLS LAST, " if cursor else ""
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {SUPERSEDED_TABLE} AS SELECT file_index AS file, file_row_number "
        "AS row "
        f"FROM {source.files_sql} WHERE {known} QUALIFY row_number() OVER "
        f"(PARTITION BY {keys} ORDER BY {younger}file_index DESC, file_row_number DESC) > 1"
    )
    return _fetch_count(connection, f"SELECT count(*) FROM {SUPERSEDED_TABLE}")


def _reload(
    connection: DuckDBPyConnection, table: TableName, source: StagedSource, duplicates: int, *, recreate: bool
) -> RowCounts:
    exists = bool(column_types_in_transaction(connection, table))
    deleted = _fetch_count(connection, f"SELECT count(*) FROM {_qualified_name(table)}") if exists else 0
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
    total = _fetch_count(connection, f"SELECT count(*) FROM {_qualified_name(table)}")
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
    inserted = _fetch_count(connection, f"INSERT INTO {name} BY NAME SELECT * FROM {STAGED_VIEW} AS new{new}")
    return RowCounts(inserted, 0, 0, _fetch_count(connection, f"SELECT count(*) FROM {name}"), duplicates)


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
    total = _fetch_count(connection, f"SELECT count(*) FROM {name}")
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
    return _fetch_count(
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
    return _fetch_count(connection, f"DELETE FROM {name} AS old WHERE {unseen}")


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


def _fetch_count(connection: DuckDBPyConnection, sql: str) -> int:
    row = connection.execute(sql).fetchone()
    return int(row[0]) if row else 0


MAX_REGISTERED_FILES = 8
SMALL_FILE_BYTES = 1_000_000  # many files below this size make queries slow: copying puts them together

_PLAIN_FOLDER_NAME = re.compile(r"[A-Za-z0-9_-]+")  # names that DuckLake uses as folder names


def register_staged_files(
    connection: DuckDBPyConnection,
    table: TableName,
    target_columns: Sequence[TargetColumn],
    paths: Sequence[Path],
    data_path: Path,
) -> bool:
    """Add the staged files unchanged to an empty ``table``; False, with nothing done, if they do not fit."""
    if not _can_register(connection, table, target_columns, paths):
        return False
    folder = data_path / table.schema / table.table
    linked = _hard_link_files(paths, folder)
    if not linked:
        return False
    failpoint("publish.linked")
    for path in linked:
        connection.execute(
            f"CALL ducklake_add_data_files('lake', {quote_literal(table.table)}, "
            f"{quote_literal(os.fspath(path))}, "
            f"schema => {quote_literal(table.schema)})"
        )
    return True


def _can_register(
    connection: DuckDBPyConnection,
    table: TableName,
    target_columns: Sequence[TargetColumn],
    paths: Sequence[Path],
) -> bool:
    """Return whether the files have exactly the target columns, and are not too many or too small."""
    if not paths or not all(_PLAIN_FOLDER_NAME.fullmatch(name) for name in (table.schema, table.table)):
        return False
    if len(paths) > MAX_REGISTERED_FILES and sum(
        path.stat().st_size for path in paths
    ) < SMALL_FILE_BYTES * len(paths):
        return False
    wanted = {column.name: column.type for column in target_columns}
    return all(_file_columns(connection, path) == wanted for path in paths)


def _file_columns(connection: DuckDBPyConnection, path: Path) -> dict[str, str]:
    rows = connection.execute(f"DESCRIBE FROM read_parquet({quote_literal(os.fspath(path))})").fetchall()
    return {row[0]: row[1] for row in rows}


def _hard_link_files(paths: Sequence[Path], folder: Path) -> list[Path]:
    """Hard-link the files into the lake's folder; return no links if the file systems do not allow it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    linked: list[Path] = []
    try:
        for path in paths:
            link = folder / f"unify-{uuid.uuid4()}.parquet"
            link.hardlink_to(path)
            linked.append(link)
    except OSError:  # another file system, or one without links
        for link in linked:
            link.unlink()
        return []
    return linked
