"""The ledger: one row for each load, in the lake, committed with the rows and the cursor of the load.

The incremental cursor is stored nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from unify.engine.types import quote_identifier as quoted
from unify.lake.protocols import METADATA, SCHEMA, FileReader, Reader
from unify.model import LoadRecord, TableName

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

TABLE = f"lake.{SCHEMA}.loads"
CLEAR_ACTION = "clear"  # the action of a row that says: the table's rows were forgotten

_COLUMNS = (
    ("job", "BIGINT"),
    ("uid", "VARCHAR"),
    ("connection", "VARCHAR"),
    ("table_name", "VARCHAR"),
    ("action", "VARCHAR"),
    ("status", "VARCHAR"),
    ("reason", "VARCHAR"),
    ("rows_read", "BIGINT"),
    ("rows_written", "BIGINT"),
    ("rows_inserted", "BIGINT"),
    ("rows_updated", "BIGINT"),
    ("rows_deleted", "BIGINT"),
    ("rows_discarded", "BIGINT"),
    ("rows_total", "BIGINT"),
    ("requests", "BIGINT"),
    ("bytes", "BIGINT"),
    ("seconds", "DOUBLE"),
    ("cursor", "VARCHAR"),
    ("error", "VARCHAR"),
    ("started_at", "TIMESTAMP WITH TIME ZONE"),
    ("finished_at", "TIMESTAMP WITH TIME ZONE"),
)
# Rows are ordered by position: clocks may go back.
_NEXT_POSITION_SQL = f"(SELECT coalesce(max(position), 0) + 1 FROM {TABLE})"
_COLUMN_NAMES = ", ".join(name for name, _ in _COLUMNS)
_SELECT_LIST = ", ".join(
    f"epoch_us({name}) AS {name}" if name.endswith("_at") else name for name, _ in _COLUMNS
)
_IS_PUBLISHED = "status IN ('success', 'partial')"
_PUBLISHED_LOADS_SQL = f"SELECT position, {_SELECT_LIST} FROM {TABLE} WHERE {_IS_PUBLISHED}"

# Every table, and the table of DuckLake's catalog with its rows that are in no file yet. Its specification
# describes it: https://ducklake.select/docs/stable/specification/tables/ducklake_inlined_data_tables
_TABLES_SQL = (
    f"SELECT s.schema_name, t.table_name, i.table_name FROM {METADATA}.ducklake_table t "
    f"JOIN {METADATA}.ducklake_schema s USING (schema_id) "
    f"LEFT JOIN {METADATA}.ducklake_inlined_data_tables i USING (table_id) WHERE t.end_snapshot IS NULL"
)
# The files with the other rows, as a path below the lake's folder or an absolute one.
_FILES_SQL = (
    "SELECT list(CASE WHEN NOT f.path_is_relative THEN f.path ELSE "
    "CASE WHEN t.path_is_relative AND s.path_is_relative THEN s.path ELSE '' END || t.path || f.path END) "
    f"AS files FROM {METADATA}.ducklake_data_file f JOIN {METADATA}.ducklake_table t USING (table_id) "
    f"JOIN {METADATA}.ducklake_schema s USING (schema_id) WHERE f.end_snapshot IS NULL "
    f"AND t.end_snapshot IS NULL AND t.table_name = 'loads' AND s.schema_name = '{SCHEMA}'"
)
_TYPED_LIST = ", ".join(
    f"epoch_us(CAST({name} AS {kind})) AS {name}"
    if name.endswith("_at")
    else f"CAST({name} AS {kind}) AS {name}"
    for name, kind in _COLUMNS
)


def create_table(connection: DuckDBPyConnection) -> None:
    """Create the ledger if it does not exist. Requires the writers' lock."""
    fields = ", ".join(f"{name} {kind}" for name, kind in _COLUMNS)
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS lake.{SCHEMA}")
    connection.execute(f"CREATE TABLE IF NOT EXISTS {TABLE} (position BIGINT, {fields})")


def insert_load(connection: DuckDBPyConnection, load: LoadRecord) -> None:
    """Insert a row in the transaction open on ``connection``."""
    marks = ", ".join(
        "make_timestamptz(CAST(? AS BIGINT))" if name.endswith("_at") else "?" for name, _ in _COLUMNS
    )
    connection.execute(
        f"INSERT INTO {TABLE} (position, {_COLUMN_NAMES}) SELECT {_NEXT_POSITION_SQL}, {marks}",
        _record_to_row(load),
    )


def has_failure(connection: DuckDBPyConnection, load: LoadRecord) -> bool:
    """Whether the ledger has a row of this failure."""
    sql = f"SELECT 1 FROM {TABLE} WHERE uid = ? AND status = 'failed' AND error = ? LIMIT 1"
    return connection.execute(sql, [load.uid, load.error]).fetchone() is not None


def find_load(lake: FileReader, uid: str) -> LoadRecord | None:
    """Return the published load ``uid``, or None. Failed attempts are not published."""

    def select(source: str) -> str:
        return f"SELECT position, {_TYPED_LIST} FROM {source} AND {_IS_PUBLISHED} AND uid = ?"

    inlined = _inlined_tables(lake.read(_TABLES_SQL))
    if len(inlined) != 1:
        return _latest_record(lake.read(f"{_PUBLISHED_LOADS_SQL} AND uid = ?", [uid]))
    return _latest_record(_read_rows(lake, inlined[0], select, [uid]))


def read_ahead(lake: Reader) -> None:
    """Let DuckLake read what it needs for the rows of the ledger, before a transaction waits for it."""
    lake.read(f"SELECT 1 FROM {TABLE} WHERE uid = ''")


def latest_load(lake: FileReader, table: TableName) -> LoadRecord | None:
    """Return the latest published load of ``table`` whose rows are stored."""
    return latest_loads(lake).get(table)


def latest_reload_at(lake: Reader, table: TableName) -> datetime | None:
    """Return when the latest published load that read everything ended."""
    rows = lake.read(
        f"SELECT epoch_us(max(finished_at)) FROM {TABLE} WHERE status IN ('success', 'partial') "
        "AND action IN ('load', 'reload') AND connection = ? AND table_name = ?",
        [table.schema, table.table],
    )
    return _from_micros(rows[0][0])


def latest_loads(lake: FileReader) -> Mapping[TableName, LoadRecord]:
    """Return the latest published load of every table whose rows are stored, ordered by name.

    A table that a statement has dropped, which is possible without its connection, is not stored any more.
    """
    return lake.read_cached("ledger.latest", lambda: _read_existing_loads(lake))


def recorded_loads(lake: Reader) -> Mapping[TableName, LoadRecord]:
    """Return the latest published load of every table that the ledger has, whether or not it exists."""
    rows = lake.read(
        f"SELECT unnest(arg_max(load, position)) FROM ({_PUBLISHED_LOADS_SQL}) AS load "
        "GROUP BY connection, table_name ORDER BY connection, table_name"
    )
    return _stored_loads(rows)


def latest_load_in_transaction(connection: DuckDBPyConnection, table: TableName) -> LoadRecord | None:
    """Like ``latest_load``, within the transaction open on ``connection``."""
    rows = connection.execute(
        f"{_PUBLISHED_LOADS_SQL} AND connection = ? AND table_name = ?", [table.schema, table.table]
    ).fetchall()
    found = _latest_record(rows)
    return None if found is None or found.action == CLEAR_ACTION else found


def _read_existing_loads(lake: FileReader) -> Mapping[TableName, LoadRecord]:
    tables = lake.read(_TABLES_SQL)
    inlined = _inlined_tables(tables)
    if len(inlined) == 1:
        rows = _read_rows(lake, inlined[0], _latest_sql)
        loads = _stored_loads(sorted(rows, key=lambda row: (*row[3:5], row[0])))
    else:
        loads = recorded_loads(lake)
    existing = {TableName(schema, table) for schema, table, _ in tables}
    return {table: load for table, load in loads.items() if table in existing}


def _inlined_tables(tables: Iterable[tuple[Any, ...]]) -> Sequence[str]:
    """Return the tables with the ledger's inlined rows, from the rows of _TABLES_SQL; usually one."""
    return [name for schema, table, name in tables if (schema, table) == (SCHEMA, "loads") and name]


def _read_rows(
    lake: FileReader, inlined: str, select: Callable[[str], str], parameters: Sequence[object] = ()
) -> list[tuple[Any, ...]]:
    """Return rows of the ledger from DuckLake's own table ``inlined`` and from the files.

    To read inlined rows, DuckLake reads the whole catalog once more, as it was when the ledger was created:
    20 ms of CPU in each process, more with many tables. Rows of the ledger are never deleted, and its files
    are kept for days, so that the rows and files of one statement are all rows.

    ``select``  makes the query of a source, which ends with a condition.
    """
    query = select(f"{METADATA}.{quoted(inlined)} WHERE end_snapshot IS NULL")
    joined = f"SELECT files, loads.* FROM ({_FILES_SQL}) LEFT JOIN ({query}) AS loads ON true"
    found = lake.read(joined, parameters)
    rows = [row[1:] for row in found if row[1] is not None]
    if files := found[0][0]:
        paths = [str(lake.settings.data_path / path) for path in files]
        rows += lake.read(select("read_parquet(?) WHERE true"), [paths, *parameters])
    return rows


def _latest_sql(source: str) -> str:
    """The latest published load of each table; ``source`` ends with a condition."""
    return (
        f"SELECT unnest(arg_max(load, position)) FROM (SELECT position, {_TYPED_LIST} FROM {source} "
        f"AND {_IS_PUBLISHED}) AS load GROUP BY connection, table_name ORDER BY connection, table_name"
    )


def _stored_loads(rows: Iterable[tuple[Any, ...]]) -> Mapping[TableName, LoadRecord]:
    """Return the last of the loads of each table, unless it says that the rows were forgotten."""
    latest = {load.table: load for load in map(_row_to_record, rows)}
    return {table: load for table, load in latest.items() if load.action != CLEAR_ACTION}


def _latest_record(rows: Sequence[tuple[Any, ...]]) -> LoadRecord | None:
    """Return the latest record. Chosen in Python: ORDER BY … LIMIT reads the table twice (15 ms, not 9)."""
    return _row_to_record(max(rows, key=lambda row: int(row[0]))) if rows else None


def _record_to_row(load: LoadRecord) -> list[object]:
    return [
        load.job,
        load.uid,
        load.table.schema,
        load.table.table,
        str(load.action),
        load.status,
        load.reason,
        load.rows_read,
        load.rows_written,
        load.rows_inserted,
        load.rows_updated,
        load.rows_deleted,
        load.rows_discarded,
        load.rows_total,
        load.requests,
        load.bytes,
        load.seconds,
        msgspec.json.encode(dict(load.cursor), order="deterministic").decode(),
        load.error,
        _to_micros(load.started_at),
        _to_micros(load.finished_at),
    ]


def _row_to_record(row: tuple[Any, ...]) -> LoadRecord:
    values = dict(zip((name for name, _ in _COLUMNS), row[1:], strict=True))
    table = TableName(values.pop("connection"), values.pop("table_name"))
    values["cursor"] = msgspec.json.decode(values["cursor"] or "{}", type=dict[str, str])
    for name in ("started_at", "finished_at"):
        values[name] = _from_micros(values[name])
    return LoadRecord(table=table, **values)


def _to_micros(moment: datetime | None) -> int | None:
    return None if moment is None else round(moment.timestamp() * 1_000_000)


def _from_micros(micros: int | None) -> datetime | None:
    return None if micros is None else datetime.fromtimestamp(micros / 1_000_000, UTC)
