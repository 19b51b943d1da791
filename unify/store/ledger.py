"""The ledger: one row a load, inside the lake, so that rows, cursor and proof are one transaction.

The incremental cursor lives here and nowhere else.
"""

from __future__ import annotations

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
_READ = ", ".join(f"epoch_us({name})" if name.endswith("_at") else name for name, _ in _FIELDS)
_PUBLISHED = "status IN ('success', 'partial')"


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
    return _one(lake, f"uid = ? AND {_PUBLISHED}", [uid])


def last(lake: Lake, table: TableName) -> LoadRecord | None:
    """The latest published load of ``table`` whose rows are still there."""
    found = _one(lake, f"connection = ? AND table_name = ? AND {_PUBLISHED}", [table.schema, table.table])
    return None if found is None or found.action == CLEARED else found


def latest(lake: Lake) -> list[LoadRecord]:
    """The latest published load of every table whose rows are still there."""
    rows = lake.read(
        f"SELECT {_READ} FROM {TABLE} WHERE {_PUBLISHED} "
        "QUALIFY row_number() OVER (PARTITION BY connection, table_name ORDER BY position DESC) = 1 "
        "ORDER BY connection, table_name"
    )
    return [load for load in map(_record, rows) if load.action != CLEARED]


def find_within(connection: DuckDBPyConnection, uid: str) -> LoadRecord | None:
    """The same as ``find``, seen by the transaction that is open on ``connection``."""
    row = connection.execute(f"SELECT {_READ} FROM {TABLE} WHERE uid = ? AND {_PUBLISHED}", [uid]).fetchone()
    return _record(row) if row else None


def last_within(connection: DuckDBPyConnection, table: TableName) -> LoadRecord | None:
    """The same as ``last``, seen by the transaction that is open on ``connection``."""
    row = connection.execute(
        f"SELECT {_READ} FROM {TABLE} WHERE connection = ? AND table_name = ? AND {_PUBLISHED} "
        "ORDER BY position DESC LIMIT 1",
        [table.schema, table.table],
    ).fetchone()
    found = _record(row) if row else None
    return None if found is None or found.action == CLEARED else found


def _one(lake: Lake, condition: str, values: list[object]) -> LoadRecord | None:
    rows = lake.read(f"SELECT {_READ} FROM {TABLE} WHERE {condition} ORDER BY position DESC LIMIT 1", values)
    return _record(rows[0]) if rows else None


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
    values = dict(zip((name for name, _ in _FIELDS), row, strict=True))
    table = TableName(values.pop("connection"), values.pop("table_name"))
    values["cursor"] = msgspec.json.decode(values["cursor"] or "{}", type=dict[str, str])
    for name in ("started_at", "finished_at"):
        values[name] = _moment(values[name])
    return LoadRecord(table=table, **values)


def _micros(moment: datetime | None) -> int | None:
    return None if moment is None else round(moment.timestamp() * 1_000_000)


def _moment(micros: int | None) -> datetime | None:
    return None if micros is None else datetime.fromtimestamp(micros / 1_000_000, UTC)
