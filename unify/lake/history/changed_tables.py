"""Which tables have changed since a snapshot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from unify.lake.protocols import METADATA, SCHEMA
from unify.model import TableName

if TYPE_CHECKING:
    from unify.lake.protocols import Reader

# DuckLake lists the changed tables of a snapshot by their ids; a table that was created or dropped since has
# one of its own.
_CHANGES_SQL = f"""
WITH changes AS (
    SELECT snapshot_id, unnest(map_entries(changes)) AS entry
    FROM ducklake_snapshots('lake') WHERE snapshot_id > $1
), changed AS (
    SELECT snapshot_id, TRY_CAST(unnest(entry.value) AS BIGINT) AS table_id FROM changes
    WHERE entry.key IN ('tables_inserted_into', 'tables_deleted_from', 'tables_altered', 'inlined_insert',
                        'inlined_delete')
    UNION ALL SELECT begin_snapshot, table_id FROM {METADATA}.ducklake_table WHERE begin_snapshot > $1
    UNION ALL SELECT end_snapshot, table_id FROM {METADATA}.ducklake_table WHERE end_snapshot > $1
)
SELECT DISTINCT changed.snapshot_id, lower(s.schema_name), lower(t.table_name)
FROM changed
JOIN {METADATA}.ducklake_table t USING (table_id)
JOIN {METADATA}.ducklake_schema s ON s.schema_id = t.schema_id
WHERE s.schema_name <> '{SCHEMA}'
ORDER BY 1
"""
_BOUNDS_SQL = f"SELECT min(snapshot_id), max(snapshot_id) FROM {METADATA}.ducklake_snapshot"


class ChangedTables(Struct, frozen=True):
    """The tables that have changed.

    ``snapshot``  the newest one.
    ``tables``    the snapshots that changed each table, ascending; names in lower case.
    ``is_whole``  False: the history does not go back to the snapshot asked for; any table may have changed.
    """

    snapshot: int
    tables: Mapping[TableName, Sequence[int]]
    is_whole: bool = True


def newest_snapshot(lake: Reader) -> int:
    """Return the number of the newest snapshot."""
    [(_, newest)] = lake.read(_BOUNDS_SQL)
    return int(newest)


def find_changed_tables(lake: Reader, since: int) -> ChangedTables:
    """Return the tables that have changed after the snapshot ``since``."""
    [(oldest, newest)] = lake.read(_BOUNDS_SQL)
    if since >= newest:
        return ChangedTables(int(newest), {})
    tables: dict[TableName, list[int]] = {}
    for snapshot, schema, table in lake.read(_CHANGES_SQL, [since]):
        tables.setdefault(TableName(schema, table), []).append(int(snapshot))
    return ChangedTables(int(newest), tables, since + 1 >= oldest)
