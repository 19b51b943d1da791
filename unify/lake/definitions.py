"""The SQL of views and macros that a statement may use: those of the lake, and those of the session."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from unify.engine.types import quote_identifier as quoted
from unify.lake.protocols import Definition
from unify.lake.system_schema import SYSTEM_CATALOG
from unify.language.sql.refs import TableRef
from unify.model import Column, TableName

if TYPE_CHECKING:
    from unify.lake.lake import Lake

_METADATA = "__ducklake_metadata_lake"
# duckdb_functions() takes 60 ms; DuckLake's own tables take 3.
_STORED_SQL = (
    "SELECT s.schema_name, v.view_name, 'view', if(v.column_aliases = '', v.sql, "
    "'CREATE VIEW v (' || v.column_aliases || ') AS ' || v.sql) "
    f"FROM {_METADATA}.ducklake_view v "
    f"JOIN {_METADATA}.ducklake_schema s USING (schema_id) WHERE v.end_snapshot IS NULL "
    f"UNION ALL SELECT s.schema_name, m.macro_name, i.type, i.sql FROM {_METADATA}.ducklake_macro m "
    f"JOIN {_METADATA}.ducklake_macro_impl i USING (macro_id) "
    f"JOIN {_METADATA}.ducklake_schema s USING (schema_id) WHERE m.end_snapshot IS NULL"
)
_VISIBLE_SQL = (
    "SELECT schema_name, view_name, 'view', sql FROM duckdb_views() "
    f"WHERE NOT internal AND database_name <> '{SYSTEM_CATALOG}' "
    "UNION ALL SELECT schema_name, function_name, function_type, macro_definition FROM duckdb_functions() "
    "WHERE NOT internal AND macro_definition IS NOT NULL"
)


def definitions(lake: Lake) -> Sequence[Definition]:
    """Every view and macro that the session sees, Unify's own excepted."""
    stored = lake.read_cached("definitions", lambda: _to_definitions(lake.read(_STORED_SQL)))
    return (*_session_definitions(lake), *stored)


def find_view(lake: Lake, name: TableName) -> Definition | None:
    """The user's view called ``name``; its tables may be missing."""
    folded = (name.schema.lower(), name.table.lower())
    return next(
        (
            one
            for one in definitions(lake)
            if one.is_view and (one.schema.lower(), one.name.lower()) == folded
        ),
        None,
    )


def certain_view(lake: Lake, ref: TableRef) -> Definition | None:
    """The user's view that ``ref`` means; None if it may mean something else."""
    if lake.statements.has_own_path or ref.catalog or ref.schema.lower() in ("temp", "lake"):
        return None
    folded = ((ref.schema or "main").lower(), ref.table.lower())
    found = [one for one in definitions(lake) if (one.schema.lower(), one.name.lower()) == folded]
    bodies = {
        one.sql.partition(" AS ")[2] if one.sql.startswith("CREATE VIEW ") else one.sql for one in found
    }
    if len({body.strip().removesuffix(";") for body in bodies}) != 1 or not all(one.is_view for one in found):
        return None
    is_hidden = not ref.schema and _is_visible(lake, f"temp.main.{quoted(ref.table)}")
    return found[0] if not is_hidden or _is_temporary_view(lake, ref.table) else None


def _is_temporary_view(lake: Lake, name: str) -> bool:
    sql = "SELECT 1 FROM duckdb_views() WHERE database_name = 'temp' AND lower(view_name) = lower(?)"
    return lake.statements.selects.execute(sql, [name]).fetchone() is not None


def prepared_statement(lake: Lake, name: str) -> str:
    """The SQL of a prepared statement of the session; "" where there is none of that name."""
    rows = lake.statements.selects.execute(
        "SELECT statement FROM duckdb_prepared_statements() WHERE lower(name) = lower(?)", [name]
    ).fetchall()
    return str(rows[0][0]) if rows else ""


def temporary_table(lake: Lake, name: TableName) -> TableName | None:
    """The temporary table or view called ``name``, which hides one of ``main``; None if there is none."""
    if name.schema.lower() not in ("main", "temp") or not _is_visible(
        lake, f"temp.main.{quoted(name.table)}"
    ):
        return None
    return TableName("temp", name.table)


def attached_table(lake: Lake, name: TableName) -> TableName | None:
    """A table of an attached database: ``database.table``, or a name of one part after USE."""
    if _is_visible(lake, f"{quoted(name.schema)}.{quoted(name.table)}"):
        return name
    if name.schema == "main" and lake.statements.has_own_path and _is_visible(lake, quoted(name.table)):
        row = lake.statements.selects.execute("SELECT current_database()").fetchone()
        return TableName(str(row[0]), name.table) if row else None
    return None


def visible_columns(lake: Lake, table: TableName) -> tuple[Column, ...]:
    """The columns of a table that the session sees outside the lake."""
    rows = lake.statements.selects.execute(
        f"DESCRIBE {quoted(table.schema)}.{quoted(table.table)}"
    ).fetchall()
    return tuple(Column(str(row[0]), str(row[1])) for row in rows)


def _is_visible(lake: Lake, name: str) -> bool:
    from unify.engine import duckdb

    try:
        lake.connection.execute(f"DESCRIBE {name}")
    except duckdb.Error:
        return False
    return True


def search_path(lake: Lake) -> Sequence[str]:
    """The schemas of the lake in which the session looks for a name of one part, in order."""
    if not lake.statements.has_own_path:
        return ("main",)
    row = lake.statements.selects.execute("SELECT current_setting('search_path')").fetchone()
    return [schema for catalog, schema in _parse_path(str(row[0] if row else "")) if catalog in ("lake", "")]


def _parse_path(text: str) -> Sequence[tuple[str, str]]:
    from unify.engine.tokens import tokenize

    words = [token.word.strip('"').replace('""', '"') for token in tokenize(text)]
    entries: list[list[str]] = [[]]
    for word in words:
        if word == ",":
            entries.append([])
        elif word != ".":
            entries[-1].append(word)
    return [("", *entry)[-2:] for entry in entries if entry]  # type: ignore[misc]


def _session_definitions(lake: Lake) -> Sequence[Definition]:
    """Temporary ones, those of an open transaction and those of attached databases."""
    state = lake.statements
    if not state.has_own_definitions:
        return ()
    if state.definition_cache is None or state.definition_cache[0] != state.definition_version:
        rows = lake.statements.selects.execute(_VISIBLE_SQL).fetchall()
        state.definition_cache = state.definition_version, _to_definitions(rows)
    return state.definition_cache[1]


def _to_definitions(rows: Sequence[Sequence[object]]) -> tuple[Definition, ...]:
    return tuple(
        Definition(
            str(schema),
            str(name),
            kind == "view",
            f"SELECT {sql}" if kind in ("scalar", "macro") else str(sql),
        )
        for schema, name, kind, sql in rows
    )
