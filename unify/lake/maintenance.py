"""Maintenance of the lake: expire snapshots, merge small files, delete unused files.

A file is deleted if the catalog names it as unused. A file that the catalog does not name is set aside for
RETENTION first; after the catalog was replaced by an older copy, every file is kept as long.

The daemon runs it when no load runs. Each step is short and takes the writers' lock itself, so that a
load waits for one table at most.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from msgspec import Struct

from unify.config.settings import DEFAULT_HISTORY_RETENTION_S
from unify.errors import StoreError
from unify.lake.integrity.checksums import remove_old_checksums
from unify.lake.integrity.identity import RETENTION, read_identity
from unify.lake.protocols import METADATA, SCHEMA
from unify.model import TableName

if TYPE_CHECKING:
    from unify.lake.lake import Lake

# Deleting a file in use aborts the reader's process; no read takes this long (docs/architecture.md).
FILE_RETENTION = timedelta(hours=24)
MIN_SMALL_FILES = 8
SMALL_FILE_BYTES = 8_000_000
SET_ASIDE_FOLDER = "orphaned"  # in the lake's folder; a folder for each day, which is deleted after RETENTION
DELETE_THRESHOLD = 0.3  # of the stored rows: above it, rewriting costs less than skipping deleted rows

_FILES_SQL = f"""
SELECT s.schema_name, t.table_name, count(*) AS files, sum(f.file_size_bytes) AS bytes,
       sum(f.record_count) AS rows, coalesce(sum(d.delete_count), 0) AS deleted
FROM {METADATA}.ducklake_data_file f
JOIN {METADATA}.ducklake_table t ON t.table_id = f.table_id AND t.end_snapshot IS NULL
JOIN {METADATA}.ducklake_schema s ON s.schema_id = t.schema_id
LEFT JOIN {METADATA}.ducklake_delete_file d ON d.data_file_id = f.data_file_id AND d.end_snapshot IS NULL
WHERE f.end_snapshot IS NULL
GROUP BY ALL
"""


class LakeMaintenanceResult(Struct, frozen=True):
    """The result of a run. ``complete`` is False if it was interrupted.

    ``set_aside``    files that the catalog does not name.
    ``keeps_files``  whether no file was deleted, because the catalog was replaced by an older copy.
    """

    expired_snapshots: int
    compacted_tables: tuple[TableName, ...]
    removed_files: int
    complete: bool = True
    set_aside: int = 0
    keeps_files: bool = False


def run_maintenance(
    lake: Lake,
    now: datetime,
    retention: timedelta = timedelta(seconds=DEFAULT_HISTORY_RETENTION_S),
    should_continue: Callable[[], bool] = lambda: True,
) -> LakeMaintenanceResult:
    """Run maintenance. ``keep``: how far back ``at (timestamp => …)`` and ``changes`` reach.

    ``should_continue`` is called before each step.

    Raises:
        StoreError: finished steps stay done; visible data never changes.
    """
    lake.use_all_threads()
    _flush_ledger(lake)
    compacted = tuple(
        name for name in _fragmented_tables(lake) if should_continue() and _compact_table(lake, name)
    )
    if not should_continue():
        return LakeMaintenanceResult(0, compacted, 0, complete=False)
    expired = _expire_snapshots(lake, now - retention)
    recorded = read_identity(lake.path)
    if recorded is None or recorded.keeps_files(now):
        return LakeMaintenanceResult(expired, compacted, 0, keeps_files=True)
    removed = _remove_unused_files(lake, now - FILE_RETENTION)
    set_aside = _set_orphaned_files_aside(lake, now)
    return LakeMaintenanceResult(expired, compacted, removed, set_aside=set_aside)


def _flush_ledger(lake: Lake) -> None:
    """Write ledger rows that are inlined in the catalog to a file."""
    with lake.write_transaction() as connection:
        connection.execute("CALL ducklake_flush_inlined_data('lake', schema_name => ?)", [SCHEMA])


def _fragmented_tables(lake: Lake) -> list[TableName]:
    """Return tables with many small files, and tables outside Unify's schema with many deleted rows."""
    rows = lake.read(
        f"SELECT schema_name, table_name FROM ({_FILES_SQL}) "
        "WHERE (files > ? AND bytes < files * ?) OR (deleted > rows * ? AND schema_name <> ?) ORDER BY ALL",
        [MIN_SMALL_FILES, SMALL_FILE_BYTES, DELETE_THRESHOLD, SCHEMA],
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
    """Delete old files that no snapshot uses."""
    with lake.lock():
        removed = lake.read(
            "CALL ducklake_cleanup_old_files('lake', older_than => CAST(? AS TIMESTAMPTZ))", [before]
        )
        try:
            remove_old_checksums(lake.path, lake.settings.data_path)
        except OSError as error:
            raise StoreError(f"{error.filename}: cannot be written ({error.strerror})") from error
    return len(removed)


def _set_orphaned_files_aside(lake: Lake, now: datetime) -> int:
    """Move old files left by a crash to a folder of this day; delete what was moved before RETENTION."""
    import shutil

    data_path, set_aside = lake.settings.data_path, lake.path / SET_ASIDE_FOLDER
    try:
        with lake.lock():
            orphaned = lake.orphaned_files(now - FILE_RETENTION)
            for path in orphaned:
                target = set_aside / now.date().isoformat() / path.relative_to(data_path)
                target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                path.rename(target)
        for folder in set_aside.iterdir() if set_aside.is_dir() else ():
            with suppress(ValueError):  # not a folder of ours
                if date.fromisoformat(folder.name) < (now - RETENTION).date():
                    shutil.rmtree(folder)
    except OSError as error:
        raise StoreError(f"{error.filename}: cannot be moved or deleted ({error.strerror})") from error
    return len(orphaned)
