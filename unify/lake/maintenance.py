"""The lake's upkeep: history ends, small files become large ones, files nobody reads any more go.

For a quiet moment of the daemon. Each step is short and takes the writers' lock for itself, so that a
load waits for one table's files at most.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from unify.config.settings import DEFAULT_HISTORY_RETENTION_S
from unify.lake import ledger
from unify.model import TableName

if TYPE_CHECKING:
    from unify.lake.lake import Lake

# Cleaning a file away under a reader ends that reader's process (design.md): no read lasts this long.
FILE_RETENTION = timedelta(hours=24)
MIN_SMALL_FILES = 8
SMALL_FILE_BYTES = 8_000_000
DELETE_THRESHOLD = 0.3  # of a table's stored rows: reading past them costs more than writing the rest anew

_METADATA_CATALOG = "__ducklake_metadata_lake"
_FILES_SQL = f"""
SELECT s.schema_name, t.table_name, count(*) AS files, sum(f.file_size_bytes) AS bytes,
       sum(f.record_count) AS rows, coalesce(sum(d.delete_count), 0) AS deleted
FROM {_METADATA_CATALOG}.ducklake_data_file f
JOIN {_METADATA_CATALOG}.ducklake_table t ON t.table_id = f.table_id AND t.end_snapshot IS NULL
JOIN {_METADATA_CATALOG}.ducklake_schema s ON s.schema_id = t.schema_id
LEFT JOIN {_METADATA_CATALOG}.ducklake_delete_file d ON d.data_file_id = f.data_file_id AND d.end_snapshot IS NULL
WHERE f.end_snapshot IS NULL
GROUP BY ALL
"""


@dataclass(frozen=True, slots=True)
class LakeMaintenanceResult:
    """What was done: snapshots ended, tables whose files were put together, files removed.

    ``complete`` is False where it was cut short.
    """

    expired_snapshots: int
    compacted_tables: tuple[TableName, ...]
    removed_files: int
    complete: bool = True


def run_maintenance(
    lake: Lake,
    now: datetime,
    retention: timedelta = timedelta(seconds=DEFAULT_HISTORY_RETENTION_S),
    should_continue: Callable[[], bool] = lambda: True,
) -> LakeMaintenanceResult:
    """Do what there is to do. ``keep`` is how far back ``at (timestamp => …)`` and ``changes`` reach.

    ``should_continue`` is asked before each step: somebody may need the lake, or this thread, for something better.
    Raises StoreError; what was done before stays done, and nothing that is visible changes either way.
    """
    _flush_ledger(lake)
    compacted = tuple(
        name for name in _fragmented_tables(lake) if should_continue() and _compact_table(lake, name)
    )
    if not should_continue():
        return LakeMaintenanceResult(0, compacted, 0, complete=False)
    expired = _expire_snapshots(lake, now - retention)
    return LakeMaintenanceResult(expired, compacted, _remove_unused_files(lake, now - FILE_RETENTION))


def _flush_ledger(lake: Lake) -> None:
    """The ledger's latest rows, kept in the catalog, become a file."""
    with lake.write_transaction() as connection:
        connection.execute("CALL ducklake_flush_inlined_data('lake', schema_name => ?)", [ledger.SCHEMA])


def _fragmented_tables(lake: Lake) -> list[TableName]:
    """Tables of many small files, or with many deleted rows in them."""
    rows = lake.read(
        f"SELECT schema_name, table_name FROM ({_FILES_SQL}) "
        "WHERE (files > ? AND bytes < files * ?) OR deleted > rows * ? ORDER BY ALL",
        [MIN_SMALL_FILES, SMALL_FILE_BYTES, DELETE_THRESHOLD],
    )
    return [TableName(schema, table) for schema, table in rows]


def _compact_table(lake: Lake, name: TableName) -> bool:
    with lake.write_transaction() as connection:
        calls = (
            "CALL ducklake_rewrite_data_files('lake', $table, schema => $schema, delete_threshold => $much)",
            "CALL ducklake_merge_adjacent_files('lake', $table, schema => $schema)",
        )
        place = {"table": name.table, "schema": name.schema}
        done = connection.execute(calls[0], {**place, "much": DELETE_THRESHOLD}).fetchall()
    with lake.write_transaction() as connection:
        done += connection.execute(calls[1], place).fetchall()
    return bool(done)


def _expire_snapshots(lake: Lake, before: datetime) -> int:
    with lake.write_transaction() as connection:
        return len(
            connection.execute(
                "CALL ducklake_expire_snapshots('lake', older_than => CAST(? AS TIMESTAMPTZ))", [before]
            ).fetchall()
        )


def _remove_unused_files(lake: Lake, before: datetime) -> int:
    """Files no snapshot needs, and those a crash left behind; both long enough ago."""
    removed = 0
    for call in ("ducklake_cleanup_old_files", "ducklake_delete_orphaned_files"):
        with lake.lock():
            removed += len(lake.read(f"CALL {call}('lake', older_than => CAST(? AS TIMESTAMPTZ))", [before]))
    return removed
