"""Rows from staged Parquet files into a table of the lake: replaced, appended, or merged by key.

Everything here happens inside the caller's transaction, in DuckDB, from file to file.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from unify.errors import LoadFailed
from unify.loading.adoption import adopt
from unify.loading.evolution import Target, conversion
from unify.model import TableName
from unify.store.catalog import types_within
from unify.store.duck import literal, quoted
from unify.store.failpoints import failpoint

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

VIEW = "temp.main.staged"  # the staged rows in the columns of the table
CHANGES = "temp.main.staged_changes"  # staged rows that are new, or differ from the stored one
STORED = '"a row of this key is stored"'  # a column of CHANGES; no source has one of this name
FOUND = '"found in the table"'
LOSERS = (
    "temp.main.staged_losers"  # (file_index, file_row_number) of rows a younger one of the same key beats
)


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the rows. ``twice`` counts staged rows that another of the same key replaced."""

    inserted: int
    updated: int
    deleted: int
    total: int
    twice: int = 0


@dataclass(frozen=True, slots=True)
class Source:
    """Staged files and the columns they go to; ``key`` and ``cursor_column`` as the load spells them."""

    paths: Sequence[Path]
    plan: Sequence[Target]
    key: Sequence[str]
    cursor_column: str
    data_path: Path  # of the lake: where its files are

    @property
    def files(self) -> str:
        return files(self.paths)

    @property
    def stored_key(self) -> tuple[str, ...]:
        """The key in the table's spelling; empty if the rows do not have it."""
        names = {column.source.lower(): column.name for column in self.plan if column.source}
        found = [names.get(name.lower(), "") for name in self.key]
        return tuple(found) if all(found) else ()


def store(
    connection: DuckDBPyConnection,
    table: TableName,
    source: Source,
    strategy: str,
    *,
    complete: bool,
    anew: bool,
) -> Counts:
    """Put the staged rows into ``table`` by ``strategy``. Of rows with one key the youngest counts.

    ``complete``  the staged rows are all there are: those not among them may be dropped.
    ``anew``      a reload makes the table again instead of emptying it.
    """
    twice = _stage_view(connection, source)
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS lake.{quoted(table.schema)}")
    failpoint("publish.schema")
    match strategy:
        case "reload":
            return _reload(connection, table, source, twice, anew=anew)
        case "append":
            _widen(connection, table, source.plan)
            return _append(connection, table, source, twice)
        case _:
            _widen(connection, table, source.plan)
            return _merge(
                connection, table, source, twice, drop_unseen=strategy == "merge_delete" and complete
            )


def columns_without_values(
    connection: DuckDBPyConnection, table: TableName, names: Sequence[str]
) -> frozenset[str]:
    """Those of the columns in which no row has a value."""
    if not names:
        return frozenset()
    counts = ", ".join(f"count({quoted(name)})" for name in names)
    row = connection.execute(f"SELECT {counts} FROM {_table(table)}").fetchone() or ()
    return frozenset(name for name, count in zip(names, row, strict=True) if not count)


def exact_as_doubles(
    connection: DuckDBPyConnection, table: TableName, paths: Sequence[Path], stored: str, found: str
) -> bool:
    """Whether every integer of a column, stored and staged, is the same number as a double."""
    sides = [(stored, _table(table))] + ([(found, files(paths))] if paths else [])
    return not any(_has_inexact(connection, quoted(name), relation) for name, relation in sides)


def files(paths: Sequence[Path]) -> str:
    names = ", ".join(literal(os.fspath(path)) for path in paths)
    return f"read_parquet([{names}], union_by_name = true)"


def _has_inexact(connection: DuckDBPyConnection, column: str, relation: str) -> bool:
    kind = connection.execute(f"SELECT typeof({column}) FROM {relation} LIMIT 1").fetchone()
    if kind is None or kind[0] in ("DOUBLE", "FLOAT"):
        return False
    back = f"TRY_CAST(CAST({column} AS DOUBLE) AS DECIMAL(38,0))"
    found = connection.execute(
        f"SELECT 1 FROM {relation} WHERE {column} IS NOT NULL AND {column} IS DISTINCT FROM {back} LIMIT 1"
    ).fetchone()
    return found is not None


def _stage_view(connection: DuckDBPyConnection, source: Source) -> int:
    """Make the view of the staged rows, without those that come twice; gives how many do."""
    if not source.paths:
        columns = ", ".join(f"CAST(NULL AS {column.type}) AS {quoted(column.name)}" for column in source.plan)
        connection.execute(f"CREATE OR REPLACE TEMP VIEW {VIEW} AS SELECT {columns} WHERE false")
        return 0
    columns = ", ".join(f"{_staged_value(column)} AS {quoted(column.name)}" for column in source.plan)
    twice = _find_losers(connection, source)
    kept = f" WHERE (file_index, file_row_number) NOT IN (SELECT file, row FROM {LOSERS})" if twice else ""
    connection.execute(f"CREATE OR REPLACE TEMP VIEW {VIEW} AS SELECT {columns} FROM {source.files}{kept}")
    return twice


def _staged_value(column: Target) -> str:
    if not column.source:
        return f"CAST(NULL AS {column.type})"
    return conversion(quoted(column.source), column.found, column.type)


def _find_losers(connection: DuckDBPyConnection, source: Source) -> int:
    """Note which staged rows a younger one of the same key beats. Rows without any key beat nobody."""
    names = {column.source.lower(): column.source for column in source.plan if column.source}
    key = [quoted(names[name.lower()]) for name in source.key if name.lower() in names]
    if not key:
        return 0
    keys = ", ".join(key)
    known = " OR ".join(f"{name} IS NOT NULL" for name in key)
    double = connection.execute(
        f"SELECT 1 FROM {source.files} WHERE {known} GROUP BY {keys} HAVING count(*) > 1 LIMIT 1"
    ).fetchone()
    if double is None:
        return 0
    if clash := {"file_index", "file_row_number"} & names.keys():
        raise LoadFailed(
            f"rows of one key came twice, and the column {min(clash)} hides which is the younger"
        )
    cursor = names.get(source.cursor_column.lower())
    younger = f"{quoted(cursor)} DESC NULLS LAST, " if cursor else ""
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {LOSERS} AS SELECT file_index AS file, file_row_number AS row "
        f"FROM {source.files} WHERE {known} QUALIFY row_number() OVER "
        f"(PARTITION BY {keys} ORDER BY {younger}file_index DESC, file_row_number DESC) > 1"
    )
    return _count(connection, f"SELECT count(*) FROM {LOSERS}")


def _reload(
    connection: DuckDBPyConnection, table: TableName, source: Source, twice: int, *, anew: bool
) -> Counts:
    exists = bool(types_within(connection, table))
    deleted = _count(connection, f"SELECT count(*) FROM {_table(table)}") if exists else 0
    if anew:
        columns = ", ".join(f"{quoted(column.name)} {column.type}" for column in source.plan)
        connection.execute(f"CREATE OR REPLACE TABLE {_table(table)} ({columns})")
    else:
        connection.execute(f"DELETE FROM {_table(table)}")
    failpoint("publish.emptied")
    if twice or not adopt(connection, table, source.plan, source.paths, source.data_path):
        connection.execute(f"INSERT INTO {_table(table)} BY NAME SELECT * FROM {VIEW}")
    total = _count(connection, f"SELECT count(*) FROM {_table(table)}")
    return Counts(total, 0, deleted, total, twice)


def _widen(connection: DuckDBPyConnection, table: TableName, plan: Sequence[Target]) -> None:
    """Give the stored table the columns of the plan; every stored value is kept."""
    if any(column.changed for column in plan):
        columns = ", ".join(f"{_stored_value(column)} AS {quoted(column.name)}" for column in plan)
        connection.execute(
            f"CREATE OR REPLACE TABLE {_table(table)} AS SELECT {columns} FROM {_table(table)}"
        )
    else:
        for column in plan:
            if column.added:
                connection.execute(
                    f"ALTER TABLE {_table(table)} ADD COLUMN {quoted(column.name)} {column.type}"
                )
    failpoint("publish.widened")


def _stored_value(column: Target) -> str:
    if column.added:
        return f"CAST(NULL AS {column.type})"
    return conversion(quoted(column.name), column.stored, column.type)


def _append(connection: DuckDBPyConnection, table: TableName, source: Source, twice: int) -> Counts:
    """Add the staged rows; with a key only those not stored yet, because a cursor's limit is inclusive."""
    name, key = _table(table), source.stored_key
    new = f" WHERE {_no_key(key)} OR NOT EXISTS (FROM {name} AS old WHERE {_same(key)})" if key else ""
    inserted = _count(connection, f"INSERT INTO {name} BY NAME SELECT * FROM {VIEW} AS new{new}")
    return Counts(inserted, 0, 0, _count(connection, f"SELECT count(*) FROM {name}"), twice)


def _merge(
    connection: DuckDBPyConnection, table: TableName, source: Source, twice: int, *, drop_unseen: bool
) -> Counts:
    """Update the rows that differ, insert the new ones, and drop those no longer seen where asked to."""
    name, key = _table(table), source.stored_key
    updated, inserted = _find_changes(connection, name, source)
    columns = [column.name for column in source.plan]
    sets = ", ".join(f"{quoted(c.name)} = new.{quoted(c.name)}" for c in source.plan if c.source)
    if updated:
        connection.execute(
            f"MERGE INTO {name} AS old USING (SELECT * FROM {CHANGES} WHERE {STORED}) AS new ON {_same(key)} "
            f"WHEN MATCHED THEN UPDATE SET {sets}"
        )
    if inserted:
        new = ", ".join(map(quoted, columns))
        connection.execute(f"INSERT INTO {name} ({new}) SELECT {new} FROM {CHANGES} WHERE NOT {STORED}")
    failpoint("publish.merged")
    inserted += _add_keyless(connection, name, key)
    deleted = _drop_unseen(connection, name, key) if drop_unseen else 0
    total = _count(connection, f"SELECT count(*) FROM {name}")
    return Counts(inserted, updated, deleted, total, twice)


def _find_changes(connection: DuckDBPyConnection, name: str, source: Source) -> tuple[int, int]:
    """Note the staged rows that are new or differ from what is stored; gives how many differ and are new.

    The stored rows are read once in their whole width here; what follows looks at keys alone.
    """
    key = source.stored_key
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {CHANGES} AS "
        f"SELECT new.*, old.{FOUND} IS NOT NULL AS {STORED} FROM (SELECT * FROM {VIEW} AS new "
        f"WHERE NOT ({_no_key(key)})) AS new LEFT JOIN (SELECT *, true AS {FOUND} FROM {name}) AS old "
        f"ON {_same(key)} WHERE old.{FOUND} IS NULL OR {_differs(source)}"
    )
    row = connection.execute(
        f"SELECT count(*) FILTER ({STORED}), count(*) FILTER (NOT {STORED}) FROM {CHANGES}"
    ).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


def _add_keyless(connection: DuckDBPyConnection, name: str, key: Sequence[str]) -> int:
    """Rows without a key cannot be told apart: one that is stored just so is not stored again."""
    return _count(
        connection,
        f"INSERT INTO {name} BY NAME SELECT * FROM {VIEW} AS new WHERE {_no_key(key)} "
        f"EXCEPT SELECT * FROM {name} AS new WHERE {_no_key(key)}",
    )


def _drop_unseen(connection: DuckDBPyConnection, name: str, key: Sequence[str]) -> int:
    return _count(
        connection,
        f"DELETE FROM {name} AS old WHERE NOT EXISTS (FROM {VIEW} AS new WHERE {_same(key)})",
    )


def _same(key: Sequence[str]) -> str:
    return " AND ".join(f"old.{quoted(name)} IS NOT DISTINCT FROM new.{quoted(name)}" for name in key)


def _no_key(key: Sequence[str]) -> str:
    return " AND ".join(f"new.{quoted(name)} IS NULL" for name in key)


def _differs(source: Source) -> str:
    """Only what the load brings is compared: a column it does not have keeps what is stored."""
    compared = [quoted(column.name) for column in source.plan if column.source]
    return " OR ".join(f"old.{name} IS DISTINCT FROM new.{name}" for name in compared)


def _table(table: TableName) -> str:
    return f"lake.{quoted(table.schema)}.{quoted(table.table)}"


def _count(connection: DuckDBPyConnection, sql: str) -> int:
    row = connection.execute(sql).fetchone()
    return int(row[0]) if row else 0
