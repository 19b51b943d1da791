"""What is stored: tables loaded from connections, tables people made, and the columns of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from unify.model import Column, LoadRecord, TableName
from unify.store import ledger
from unify.store.duck import quoted

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from unify.store.lake import Lake

_HIDDEN = (ledger.SCHEMA,)  # schemas of Unify's own
_COLUMNS = (
    "SELECT schema_name, table_name, column_name, data_type, coalesce(comment, '') FROM duckdb_columns() "
    "WHERE database_name = 'lake' AND NOT internal AND schema_name <> ?"
)


@dataclass(frozen=True, slots=True)
class StoredTable:
    """A table of a connection with its rows in the lake. ``cursor`` is its incremental state, by scope."""

    name: TableName
    rows_total: int
    loaded_at: datetime
    cursor: Mapping[str, str]
    uid: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class UserTable:
    """A table or view somebody made in the lake; ``rows`` is None for a view."""

    name: TableName
    kind: str  # table or view
    rows: int | None = None
    comment: str = ""


def stored_tables(lake: Lake) -> Mapping[TableName, StoredTable]:
    """Every table whose loaded rows are there, by name, from the ledger."""
    return {load.table: _stored(load) for load in ledger.latest(lake)}


def columns(lake: Lake, table: TableName) -> tuple[Column, ...]:
    """The columns of a table or view in their order; empty where there is none. Names match without case."""
    rows = lake.read(
        f"{_COLUMNS} AND lower(schema_name) = lower(?) AND lower(table_name) = lower(?) "
        "ORDER BY column_index",
        [ledger.SCHEMA, table.schema, table.table],
    )
    return tuple(Column(str(name), str(kind), str(comment)) for _, _, name, kind, comment in rows)


def columns_within(connection: DuckDBPyConnection, table: TableName) -> tuple[Column, ...]:
    """The columns of exactly this table, seen by the transaction that is open on ``connection``."""
    rows = connection.execute(
        f"{_COLUMNS} AND schema_name = ? AND table_name = ? ORDER BY column_index",
        [ledger.SCHEMA, table.schema, table.table],
    ).fetchall()
    return tuple(Column(name, kind, comment) for _, _, name, kind, comment in rows)


def kind_within(connection: DuckDBPyConnection, table: TableName) -> str:
    """ "table" or "view", whichever has this name, or ""; seen by the transaction open on ``connection``."""
    found = connection.execute(
        "SELECT 'table' FROM duckdb_tables() WHERE database_name = 'lake' AND schema_name = $1 AND "
        "table_name = $2 UNION ALL SELECT 'view' FROM duckdb_views() WHERE database_name = 'lake' AND "
        "schema_name = $1 AND view_name = $2",
        [table.schema, table.table],
    ).fetchone()
    return str(found[0]) if found else ""


def all_columns(lake: Lake) -> Mapping[TableName, tuple[Column, ...]]:
    """The columns of everything in the lake, in the order of names."""
    found: dict[TableName, list[Column]] = {}
    for schema, table, name, kind, comment in lake.read(
        f"{_COLUMNS} ORDER BY schema_name, table_name, column_index", [ledger.SCHEMA]
    ):
        column = Column(str(name), str(kind), str(comment))
        found.setdefault(TableName(str(schema), str(table)), []).append(column)
    return {table: tuple(columns) for table, columns in found.items()}


def schemas(lake: Lake) -> tuple[str, ...]:
    """The schemas of the lake people may use, in the order of their names."""
    rows = lake.read(
        "SELECT schema_name FROM duckdb_schemas() WHERE database_name = 'lake' AND NOT internal ORDER BY 1"
    )
    return tuple(str(name) for (name,) in rows if name not in _HIDDEN)


def is_schema(lake: Lake, name: str) -> bool:
    """Whether DuckDB knows ``name`` as a schema or as an attached catalog; without case."""
    rows = lake.read(
        "SELECT 1 FROM duckdb_schemas() WHERE lower(schema_name) = lower(?) "
        "UNION ALL SELECT 1 FROM duckdb_databases() WHERE lower(database_name) = lower(?)",
        [name, name],
    )
    return bool(rows)


def user_tables(lake: Lake) -> tuple[UserTable, ...]:
    """Tables and views that no load made, in the order of their names."""
    loaded = set(stored_tables(lake))
    rows = lake.read(
        "SELECT schema_name, table_name, 'table', coalesce(comment, '') FROM duckdb_tables() "
        "WHERE database_name = 'lake' AND schema_name <> $1 UNION ALL "
        "SELECT schema_name, view_name, 'view', coalesce(comment, '') FROM duckdb_views() "
        "WHERE database_name = 'lake' AND NOT internal AND schema_name <> $1 ORDER BY 1, 2",
        [ledger.SCHEMA],
    )
    found = [
        UserTable(TableName(str(schema), str(table)), str(kind), None, str(comment))
        for schema, table, kind, comment in rows
    ]
    own = [table for table in found if table.name not in loaded]
    sizes = _counted(lake, [table.name for table in own if table.kind == "table"])
    return tuple(replace(table, rows=sizes.get(table.name)) for table in own)


def _counted(lake: Lake, tables: Sequence[TableName]) -> Mapping[TableName, int]:
    """The number of rows of each table, in one query."""
    if not tables:
        return {}
    counts = [f"(SELECT count(*) FROM lake.{quoted(name.schema)}.{quoted(name.table)})" for name in tables]
    [row] = lake.read(f"SELECT {', '.join(counts)}")
    return {name: int(str(count)) for name, count in zip(tables, row, strict=True)}


def clear(lake: Lake, table: TableName, now: datetime | None = None) -> bool:
    """Forget the rows of ``table``: the next query loads it anew. False if it had none."""
    with lake.writing() as connection:
        stored = ledger.last_within(connection, table)
        connection.execute(f"DROP TABLE IF EXISTS lake.{quoted(table.schema)}.{quoted(table.table)}")
        if stored is not None:
            ledger.record(connection, _cleared(stored, now or datetime.now(UTC)))
    return stored is not None


def _stored(load: LoadRecord) -> StoredTable:
    loaded_at = load.finished_at or datetime.fromtimestamp(0, UTC)
    return StoredTable(load.table, load.rows_total, loaded_at, load.cursor, load.uid, load.reason)


def _cleared(stored: LoadRecord, now: datetime) -> LoadRecord:
    return LoadRecord(
        job=stored.job,
        uid=f"{stored.uid}/{ledger.CLEARED}",
        action=ledger.CLEARED,
        table=stored.table,
        status="success",
        rows_deleted=stored.rows_total,
        started_at=now,
        finished_at=now,
    )
