"""The lake's catalog: loaded tables, tables and views of users, and their columns."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace
from msgspec.structs import replace as replace_fields

from unify.engine.types import qualified_name
from unify.engine.types import quote_identifier as quoted
from unify.engine.widening import Place, has_value_sql, text_places, with_untyped
from unify.lake import discards, ledger, table_layouts, type_changes
from unify.lake.protocols import METADATA, SCHEMA
from unify.model import Column, LoadRecord, TableName

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from unify.lake.lake import Lake

# If there is no table lake.x.csv, DuckDB looks for a file of that name and, without one, aborts the
# transaction.
_FILE_SUFFIXES = frozenset(
    ["csv", "tsv", "txt", "parquet", "json", "jsonl", "ndjson", "gz", "zst", "xlsx", "avro", "db", "duckdb"]
)
_COLUMNS_SQL = (
    "SELECT column_name, data_type FROM duckdb_columns() WHERE database_name = 'lake' "
    "AND lower(schema_name) = lower(?) AND lower(table_name) = lower(?) ORDER BY column_index"
)
# duckdb_tables() opens every table to estimate its size: 3 s with 2,000 tables; this takes 4 ms.
_RELATIONS_SQL = (
    f"SELECT s.schema_name, t.table_name, 'table' AS kind, t.table_id AS id FROM {METADATA}.ducklake_table t "
    f"JOIN {METADATA}.ducklake_schema s USING (schema_id) WHERE t.end_snapshot IS NULL UNION ALL "
    f"SELECT s.schema_name, v.view_name, 'view', v.view_id FROM {METADATA}.ducklake_view v "
    f"JOIN {METADATA}.ducklake_schema s USING (schema_id) WHERE v.end_snapshot IS NULL"
)
# The same with what an open transaction has made.
_VISIBLE_RELATIONS_SQL = (
    "SELECT schema_name, table_name, 'table' AS kind, coalesce(comment, '') FROM duckdb_tables() "
    "WHERE database_name = 'lake' AND schema_name <> $1 UNION ALL "
    "SELECT schema_name, view_name, 'view', coalesce(comment, '') FROM duckdb_views() "
    "WHERE database_name = 'lake' AND schema_name <> $1 ORDER BY 1, 2"
)
_COMMENTS_SQL = (
    f"SELECT c.column_name, tag.value FROM {METADATA}.ducklake_schema s "
    f"JOIN {METADATA}.ducklake_table t ON t.schema_id = s.schema_id AND t.end_snapshot IS NULL "
    f"JOIN {METADATA}.ducklake_column c ON c.table_id = t.table_id AND c.end_snapshot IS NULL "
    f"JOIN {METADATA}.ducklake_column_tag tag ON tag.table_id = t.table_id AND tag.column_id = c.column_id "
    "WHERE tag.end_snapshot IS NULL AND tag.key = 'comment' AND c.parent_column IS NULL "
    "AND lower(s.schema_name) = lower(?) AND lower(t.table_name) = lower(?)"
)
_VISIBLE_COMMENTS_SQL = (
    "SELECT column_name, comment FROM duckdb_columns() WHERE database_name = 'lake' AND comment IS NOT NULL "
    "AND lower(schema_name) = lower(?) AND lower(table_name) = lower(?)"
)
# DuckLake has a minimum for a column or nested field only if it has a value.
_COLUMN_STATISTICS_SQL = (
    "SELECT c.column_id, c.parent_column, c.column_name, parent.column_type = 'list', "
    "stats.min_value IS NOT NULL "
    f"FROM {METADATA}.ducklake_schema s "
    f"JOIN {METADATA}.ducklake_table t ON t.schema_id = s.schema_id AND t.end_snapshot IS NULL "
    f"JOIN {METADATA}.ducklake_column c ON c.table_id = t.table_id AND c.end_snapshot IS NULL "
    f"LEFT JOIN {METADATA}.ducklake_column parent ON parent.table_id = t.table_id "
    "AND parent.column_id = c.parent_column AND parent.end_snapshot IS NULL "
    f"LEFT JOIN {METADATA}.ducklake_table_column_stats stats "
    "ON stats.table_id = t.table_id AND stats.column_id = c.column_id "
    "WHERE lower(s.schema_name) = lower(?) AND lower(t.table_name) = lower(?) ORDER BY c.column_id"
)


class StoredTable(Struct, frozen=True):
    """A loaded table.

    ``read_since``  when the load that stored its rows began to read.
    ``cursor``      its incremental state by scope.
    """

    name: TableName
    rows_total: int
    loaded_at: datetime
    read_since: datetime
    cursor: Mapping[str, str]
    uid: str
    reason: str = ""
    rows_discarded: int = 0


class UserTable(Struct, frozen=True):
    """A table or view made by a user. ``rows`` is None for a view."""

    name: TableName
    kind: str  # table or view
    rows: int | None = None
    comment: str = ""


def stored_tables(lake: Lake) -> Mapping[TableName, StoredTable]:
    """Return every loaded table by name, from the ledger."""
    return {name: _stored_table(load) for name, load in ledger.latest_loads(lake).items()}


def table_columns(lake: Lake, table: TableName) -> tuple[Column, ...]:
    """Return the columns of a table or view in order; empty if it does not exist. Names ignore case."""
    with lake.visible_connection() as connection:
        types = column_types_in_transaction(connection, table)
    comments = _column_comments(lake, table) if types else {}
    return tuple(Column(name, kind, comments.get(name) or "") for name, kind in types.items())


def _column_comments(lake: Lake, table: TableName) -> Mapping[str, str]:
    sql = _VISIBLE_COMMENTS_SQL if lake.in_transaction else _COMMENTS_SQL
    return dict(_visible_rows(lake, sql, [table.schema, table.table]))


def columns_in_transaction(connection: DuckDBPyConnection, table: TableName) -> tuple[Column, ...]:
    """Like ``columns``, within the transaction open on ``connection``; descriptions as committed."""
    types = column_types_in_transaction(connection, table)
    if not types:
        return ()
    rows = connection.execute(_COMMENTS_SQL, [table.schema, table.table]).fetchall()
    comments: dict[str, str] = dict(rows)
    return tuple(Column(name, kind, comments.get(name) or "") for name, kind in types.items())


def column_types_in_transaction(connection: DuckDBPyConnection, table: TableName) -> Mapping[str, str]:
    """Return names and types only; empty if there is no such table or view."""
    from unify.engine import duckdb

    if table.table.rpartition(".")[2].lower() in _FILE_SUFFIXES:
        found = connection.execute(_COLUMNS_SQL, [table.schema, table.table]).fetchall()
        return dict(found)
    try:
        rows = connection.execute(f"DESCRIBE {qualified_name(table.schema, table.table)}").fetchall()
    except duckdb.CatalogException:  # the only check for a free name that does not open all tables
        return {}
    return {row[0]: row[1] for row in rows}


def places_with_values(lake: Lake, table: TableName) -> frozenset[tuple[str, Place]]:
    """Return the columns and nested fields that are known to have a value, from statistics.

    No rows are read. Other fields may have values too.
    """
    places: dict[int, tuple[str, Place]] = {}
    found = set()
    for number, parent, name, is_element, has_value in lake.read(
        _COLUMN_STATISTICS_SQL, [table.schema, table.table]
    ):
        if parent is None:
            places[number] = name, ()
        elif parent in places:
            column, place = places[parent]
            places[number] = column, (*place, None if is_element else name)
        if has_value and number in places:
            found.add(places[number])
    return frozenset(found)


def value_types(
    run: Callable[[str], list[tuple[Any, ...]]],
    table: TableName,
    columns: Sequence[Column],
    known: Collection[tuple[str, Place]] = (),
) -> tuple[Column, ...]:
    """Return the columns with types that are untyped wherever no row has a value; "" for an empty column.

    ``run``    executes a query.
    ``known``  columns and nested fields that have a value.
    """
    places = {
        column.name: [place for place in text_places(column.type) if (column.name, place) not in known]
        for column in columns
    }
    tested = [
        (name, place)
        for name, unsure in places.items()
        if unsure
        for place in {(): None, **dict.fromkeys(unsure)}
    ]
    if not tested:
        return tuple(columns)
    name = qualified_name(table.schema, table.table)
    tests = ", ".join(
        f"EXISTS (SELECT 1 FROM {name} WHERE {has_value_sql(quoted(column), place)})"
        for column, place in tested
    )
    [row] = run(f"SELECT {tests}")
    empty = {place for place, has_value in zip(tested, row, strict=True) if not has_value}
    return tuple(
        replace_fields(
            column,
            type=""
            if (column.name, ()) in empty
            else with_untyped(
                column.type, [place for place in places[column.name] if (column.name, place) in empty]
            ),
        )
        for column in columns
    )


def table_comment(lake: Lake, table: TableName) -> str:
    """Return the comment of a table, as the user's statements see it."""
    rows = _visible_rows(
        lake,
        "SELECT comment FROM duckdb_tables() WHERE database_name = 'lake' AND lower(schema_name) = lower(?) "
        "AND lower(table_name) = lower(?)",
        [table.schema, table.table],
    )
    return str(rows[0][0] or "") if rows else ""


def comment_in_transaction(connection: DuckDBPyConnection, table: TableName) -> str:
    """Return the comment of a table, as committed."""
    found = connection.execute(
        f"SELECT tag.value FROM ({_RELATIONS_SQL}) e "
        f"JOIN {METADATA}.ducklake_tag tag ON tag.object_id = e.id "
        "AND tag.end_snapshot IS NULL AND tag.key = 'comment' WHERE e.schema_name = ? AND e.table_name = ?",
        [table.schema, table.table],
    ).fetchone()
    return str(found[0] or "") if found else ""


def all_columns(lake: Lake) -> Mapping[TableName, tuple[Column, ...]]:
    """Return the columns of every table and view, ordered by name."""
    if lake.in_transaction:
        return _read_all_columns(lake)
    return lake.read_cached("catalog.all_columns", lambda: _read_all_columns(lake))


def schemas(lake: Lake) -> tuple[str, ...]:
    """Return the schemas of users, ordered by name."""
    rows = (
        _visible_rows(
            lake, "SELECT schema_name FROM duckdb_schemas() WHERE database_name = 'lake' ORDER BY 1"
        )
        if lake.in_transaction
        else lake.read(
            f"SELECT schema_name FROM {METADATA}.ducklake_schema WHERE end_snapshot IS NULL ORDER BY 1"
        )
    )
    return tuple(name for (name,) in rows if name != SCHEMA)


def is_schema(lake: Lake, name: str) -> bool:
    """Return whether ``name`` is a schema or an attached catalog; ignores case."""
    rows = _visible_rows(
        lake,
        "SELECT 1 FROM duckdb_schemas() WHERE lower(schema_name) = lower(?) "
        "UNION ALL SELECT 1 FROM duckdb_databases() WHERE lower(database_name) = lower(?)",
        [name, name],
    )
    return bool(rows)


def user_tables(lake: Lake) -> tuple[UserTable, ...]:
    """Return tables and views that no load created, ordered by name."""
    loaded = ledger.latest_loads(lake)
    rows = (
        _visible_rows(lake, _VISIBLE_RELATIONS_SQL, [SCHEMA])
        if lake.in_transaction
        else lake.read(
            f"SELECT e.schema_name, e.table_name, e.kind, coalesce(tag.value, '') FROM ({_RELATIONS_SQL}) e "
            f"LEFT JOIN {METADATA}.ducklake_tag tag ON tag.object_id = e.id "
            "AND tag.end_snapshot IS NULL AND tag.key = 'comment' WHERE e.schema_name <> ? ORDER BY 1, 2",
            [SCHEMA],
        )
    )
    found = [UserTable(TableName(schema, table), kind, None, note) for schema, table, kind, note in rows]
    own = [table for table in found if table.name not in loaded]
    sizes = _count_rows(lake, [table.name for table in own if table.kind == "table"])
    return tuple(replace(table, rows=sizes.get(table.name)) for table in own)


def _read_all_columns(lake: Lake) -> Mapping[TableName, tuple[Column, ...]]:
    found: dict[TableName, list[Column]] = {}
    for schema, table, name, kind, comment in _visible_rows(
        lake,
        "SELECT schema_name, table_name, column_name, data_type, coalesce(comment, '') FROM duckdb_columns() "
        "WHERE database_name = 'lake' AND NOT internal AND schema_name <> ? "
        "ORDER BY schema_name, table_name, column_index",
        [SCHEMA],
    ):
        found.setdefault(TableName(schema, table), []).append(Column(name, kind, comment))
    return {table: tuple(columns) for table, columns in found.items()}


def _visible_rows(lake: Lake, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
    """Return rows as the user's statements see them; see ``Lake.visible_connection``."""
    if not lake.in_transaction:
        return lake.read(sql, parameters)
    with lake.visible_connection() as connection:
        return connection.execute(sql, list(parameters)).fetchall()


def _count_rows(lake: Lake, tables: Sequence[TableName]) -> Mapping[TableName, int]:
    """Return the number of rows of each table, in one query."""
    if not tables:
        return {}
    counts = [f"(SELECT count(*) FROM {qualified_name(name.schema, name.table)})" for name in tables]
    [row] = _visible_rows(lake, f"SELECT {', '.join(counts)}")
    return dict(zip(tables, row, strict=True))


CLEAR_TIMEOUT_S = 60.0  # as for statements: a publish takes seconds, another session's transaction any time


def clear_table(lake: Lake, table: TableName, now: datetime | None = None) -> bool:
    """Drop the stored rows of ``table``; the next query loads it. Return False if it had none."""
    with lake.write_transaction(CLEAR_TIMEOUT_S) as connection:
        stored = ledger.latest_load_in_transaction(connection, table)
        connection.execute(f"DROP TABLE IF EXISTS {qualified_name(table.schema, table.table)}")
        discards.delete_discards(connection, table)
        type_changes.delete_type_changes(connection, table)
        table_layouts.delete_layout(connection, table)
        if stored is not None:
            ledger.insert_load(connection, _clear_record(stored, now or datetime.now(UTC)))
    return stored is not None


def _stored_table(load: LoadRecord) -> StoredTable:
    loaded_at = load.finished_at or datetime.fromtimestamp(0, UTC)
    return StoredTable(
        load.table,
        load.rows_total,
        loaded_at,
        load.started_at or loaded_at,
        load.cursor,
        load.uid,
        load.reason,
        load.rows_discarded,
    )


def _clear_record(stored: LoadRecord, now: datetime) -> LoadRecord:
    return LoadRecord(
        job=stored.job,
        uid=f"{stored.uid}/{ledger.CLEAR_ACTION}",
        action=ledger.CLEAR_ACTION,
        table=stored.table,
        status="success",
        rows_deleted=stored.rows_total,
        started_at=now,
        finished_at=now,
    )
