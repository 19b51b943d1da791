"""What a table was at an earlier time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from unify.errors import QueryError
from unify.lake.protocols import METADATA
from unify.model import TableName

if TYPE_CHECKING:
    from unify.lake.lake import Lake

from unify.lake.catalog import table_columns, user_tables

# Columns of a table now and at a time in microseconds; the oldest version for earlier times. Then, also of
# tables that have its name now: one of them may be the same table, renamed.
_COLUMNS_AT_SQL = (
    f"WITH points AS (SELECT 'now' AS version, max(snapshot_id) AS id FROM {METADATA}.ducklake_snapshot "
    "UNION ALL SELECT 'then', coalesce(max(snapshot_id) FILTER (epoch_us(snapshot_time::TIMESTAMPTZ) <= $3), "
    f"min(snapshot_id)) FROM {METADATA}.ducklake_snapshot) "
    "SELECT p.version, t.table_id, t.table_name, c.column_id, c.column_name FROM points p "
    f"JOIN {METADATA}.ducklake_schema s ON lower(s.schema_name) = lower($1) "
    "AND s.begin_snapshot <= p.id AND coalesce(s.end_snapshot > p.id, true) "
    f"JOIN {METADATA}.ducklake_table t ON t.schema_id = s.schema_id "
    "AND t.begin_snapshot <= p.id AND coalesce(t.end_snapshot > p.id, true) "
    "AND (lower(t.table_name) = lower($2) OR (p.version = 'then' AND t.table_id IN (SELECT table_id "
    f"FROM {METADATA}.ducklake_table WHERE end_snapshot IS NULL AND lower(table_name) = lower($2)))) "
    f"JOIN {METADATA}.ducklake_column c ON c.table_id = t.table_id AND c.parent_column IS NULL "
    "AND c.begin_snapshot <= p.id AND coalesce(c.end_snapshot > p.id, true)"
)


class EarlierTable(Struct, frozen=True):
    """A table at an earlier time. ``columns``: their names then, by the current name in lower case."""

    name: TableName
    columns: Mapping[str, str]


def table_at(lake: Lake, table: TableName, moment: datetime) -> EarlierTable | None:
    """Return the name and the column names of ``table`` at ``moment``.

    None if the table did not exist then. A renamed table or column keeps its id. A table that was created
    again, and its columns, have new ids and are matched by name.

    Raises QueryError for a table that the open transaction may have renamed: its id is not known yet.
    """
    moment_us = round(moment.timestamp() * 1_000_000)
    rows = lake.read(_COLUMNS_AT_SQL, [table.schema, table.table, moment_us])
    current = {(table_id, column): name for version, table_id, _, column, name in rows if version == "now"}
    is_new = not current and _is_created_in_transaction(lake, table)
    if is_new and lake.statements.has_renamed:
        raise QueryError(
            f"this transaction has renamed a table; the changes of {table.table} are known after commit"
        )
    if not current and not is_new:  # a view: no history
        columns = {column.name.lower(): column.name for column in table_columns(lake, table)}
        return EarlierTable(table, columns)
    tables = {table_id: name for version, table_id, name, _, _ in rows if version == "then"}
    if not tables:
        return None
    same_id = next((table_id for table_id, _ in current if table_id in tables), next(iter(tables)))
    previous = {
        (table_id, column): name
        for version, table_id, _, column, name in rows
        if version == "then" and table_id == same_id
    }
    renamed = {current[key].lower(): name for key, name in previous.items() if key in current}
    by_name = {name.lower(): name for key, name in previous.items() if key not in current}
    return EarlierTable(TableName(table.schema, tables[same_id]), {**by_name, **renamed})


def _is_created_in_transaction(lake: Lake, table: TableName) -> bool:
    return lake.in_transaction and any(
        one.kind == "table" and str(one.name).lower() == str(table).lower() for one in user_tables(lake)
    )
