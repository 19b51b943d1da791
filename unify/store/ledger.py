"""The ledger: one row a load, inside the lake, so that rows, cursor and proof are one transaction.

The incremental cursor lives here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from unify.model import LoadRecord, TableName

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from unify.store.lake import Lake

SCHEMA = "_unify"
TABLE = f"lake.{SCHEMA}.loads"
CLEARED = "clear"  # the action of a row that says: the table's rows were forgotten

_FIELDS = (
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
# Which row is the latest is a matter of order, not of clocks, which go back now and then.
_NEXT = f"(SELECT coalesce(max(position), 0) + 1 FROM {TABLE})"
_NAMES = ", ".join(name for name, _ in _FIELDS)
_READ = ", ".join(f"epoch_us({name}) AS {name}" if name.endswith("_at") else name for name, _ in _FIELDS)
_QUERY = f"SELECT position, {_READ} FROM {TABLE} WHERE status IN ('success', 'partial')"  # those published


def create(connection: DuckDBPyConnection) -> None:
    """Make the ledger where there is none. Call under the writers' lock."""
    fields = ", ".join(f"{name} {kind}" for name, kind in _FIELDS)
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS lake.{SCHEMA}")
    connection.execute(f"CREATE TABLE IF NOT EXISTS {TABLE} (position BIGINT, {fields})")
    connection.execute(
        "CALL lake.set_option('data_inlining_row_limit', 1000, schema => ?, table_name => 'loads')", [SCHEMA]
    )


def record(connection: DuckDBPyConnection, load: LoadRecord) -> None:
    """Write a row, in the transaction that is open on ``connection``."""
    marks = ", ".join(
        "make_timestamptz(CAST(? AS BIGINT))" if name.endswith("_at") else "?" for name, _ in _FIELDS
    )
    connection.execute(f"INSERT INTO {TABLE} (position, {_NAMES}) SELECT {_NEXT}, {marks}", _row(load))


def find(lake: Lake, uid: str) -> LoadRecord | None:
    """How the load ``uid`` was published, or None if it was not. A failed attempt is no publication."""
    return _youngest(lake.read(f"{_QUERY} AND uid = ?", [uid]))


def last(lake: Lake, table: TableName) -> LoadRecord | None:
    """The latest published load of ``table`` whose rows are still there."""
    return latest(lake).get(table)


def latest(lake: Lake) -> Mapping[TableName, LoadRecord]:
    """The latest published load of every table whose rows are still there, in the order of names."""
    return lake.remembered("ledger.latest", lambda: _latest(lake))


def last_within(connection: DuckDBPyConnection, table: TableName) -> LoadRecord | None:
    """The same as ``last``, seen by the transaction that is open on ``connection``."""
    rows = connection.execute(
        f"{_QUERY} AND connection = ? AND table_name = ?", [table.schema, table.table]
    ).fetchall()
    found = _youngest(rows)
    return None if found is None or found.action == CLEARED else found


def _latest(lake: Lake) -> Mapping[TableName, LoadRecord]:
    rows = lake.read(
        f"SELECT unnest(arg_max(load, position)) FROM ({_QUERY}) AS load "
        "GROUP BY connection, table_name ORDER BY connection, table_name"
    )
    return {load.table: load for load in map(_record, rows) if load.action != CLEARED}


def _youngest(rows: Sequence[tuple[Any, ...]]) -> LoadRecord | None:
    """Chosen here: DuckDB reads the table twice for ORDER BY … LIMIT, 15 ms instead of 9."""
    return _record(max(rows, key=lambda row: int(row[0]))) if rows else None


def _row(load: LoadRecord) -> list[object]:
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
        _micros(load.started_at),
        _micros(load.finished_at),
    ]


def _record(row: tuple[Any, ...]) -> LoadRecord:
    values = dict(zip((name for name, _ in _FIELDS), row[1:], strict=True))
    table = TableName(values.pop("connection"), values.pop("table_name"))
    values["cursor"] = msgspec.json.decode(values["cursor"] or "{}", type=dict[str, str])
    for name in ("started_at", "finished_at"):
        values[name] = _moment(values[name])
    return LoadRecord(table=table, **values)


def _micros(moment: datetime | None) -> int | None:
    return None if moment is None else round(moment.timestamp() * 1_000_000)


def _moment(micros: int | None) -> datetime | None:
    return None if micros is None else datetime.fromtimestamp(micros / 1_000_000, UTC)
