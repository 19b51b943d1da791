"""The staged rows of a load in the columns of their table: a view over the staged Parquet files.

Of rows with the same key the view has the newest one. Rows that the source has deleted are not in it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, field

from unify.engine.connection import quote_literal
from unify.engine.types import quote_identifier as quoted
from unify.engine.widening import conversion_sql
from unify.errors import LoadFailed
from unify.publish.schema_evolution import TargetColumn

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

STAGED_VIEW = "temp.main.staged"  # the staged rows in the columns of the table
TOMBSTONES_TABLE = "temp.main.staged_tombstones"  # rows of ``deleted.where``
SUPERSEDED_TABLE = (
    "temp.main.staged_losers"  # (file_index, file_row_number) of rows a younger one of the same key beats
)


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


def parquet_files_sql(paths: Sequence[Path]) -> str:
    names = ", ".join(quote_literal(os.fspath(path)) for path in paths)
    return f"read_parquet([{names}], union_by_name = true)"


def create_staged_view(connection: DuckDBPyConnection, source: StagedSource, removed: Sequence[str]) -> int:
    """Create the view of the staged rows to store; return the number of duplicates that it leaves out.

    ``removed``  see ``create_removed_tables``.
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


def create_removed_tables(
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
    return fetch_count(connection, f"SELECT count(*) FROM {SUPERSEDED_TABLE}")


def fetch_count(connection: DuckDBPyConnection, sql: str) -> int:
    row = connection.execute(sql).fetchone()
    return int(row[0]) if row else 0
