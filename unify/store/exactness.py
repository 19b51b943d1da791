"""What the lake cannot hold exactly, kept out of it.

Parquet has no 128-bit integer, so HUGEINT columns are stored as doubles: …809 came back …808. Its
intervals end at milliseconds, a TIME WITH TIME ZONE loses its zone, and TIME_NS ends the whole
DuckDB process's database (seen with DuckDB 1.5.5; tests/test_lake.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from unify.duckdb_types import Type, parse_type, rebuilt
from unify.errors import QueryError
from unify.store.duck import quoted
from unify.store.tokens import TableStatement, table_statement

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

DECIMAL = "DECIMAL(38,0)"
_WHOLE = {"HUGEINT": DECIMAL, "UHUGEINT": DECIMAL}
_ADVICE = {
    "HUGEINT": f"use {DECIMAL} or BIGINT",
    "UHUGEINT": f"use {DECIMAL} or UBIGINT",
    "INTERVAL": "cast it to VARCHAR, or store its seconds: epoch(…)",
    "TIME WITH TIME ZONE": "cast it to TIME or VARCHAR",
    "TIME_NS": "cast it to TIME or VARCHAR",
}


def exact_statement(connection: DuckDBPyConnection, sql: str, parameters: object = None) -> str:
    """CREATE TABLE … AS with its sums of integers as DECIMAL(38,0); any other statement as it is.

    A number beyond 38 digits is then DuckDB's own conversion error, never a rounded value.
    Raises QueryError for other types the lake cannot hold.
    """
    import duckdb

    statement = table_statement(sql)
    if statement is None or statement.query is None or not _in_lake(connection, statement):
        return sql
    begin, end = statement.query
    query = sql[begin:end].strip()
    try:
        described = connection.execute(f"DESCRIBE {query}", parameters).fetchall()
    except duckdb.Error:
        return sql  # it will fail in the same way when it runs, with the user's own text in the message
    types = [(str(row[0]), parse_type(row[1])) for row in described]
    _refuse_inexact({name: held for name, kind in types if (held := parse_type(_exact(kind)))})
    if all(_exact(kind) == kind.text for _, kind in types):
        return sql
    return f"{sql[:begin]} {_wrapped(query, types)} {sql[end:]}"


def refuse_inexact_table(connection: DuckDBPyConnection, sql: str) -> None:
    """After CREATE TABLE or ALTER TABLE, before its commit: raises QueryError if the table is not exact."""
    import duckdb

    statement = table_statement(sql)
    name = _in_lake(connection, statement) if statement is not None else ""
    if not name:
        return
    try:
        rows = connection.execute(f"DESCRIBE {name}").fetchall()
    except duckdb.CatalogException:
        return  # renamed by the statement itself: a rename changes no type
    _refuse_inexact({row[0]: parse_type(row[1]) for row in rows})


def _refuse_inexact(columns: Mapping[str, Type]) -> None:
    for name, kind in columns.items():
        if (bad := _inexact(kind)) is not None:
            raise QueryError(
                f"column {name}: the lake cannot hold {bad} exactly in its Parquet files; {_ADVICE[bad]}"
            )


def _inexact(type: Type) -> str | None:
    """The first type inside ``type`` that Parquet would change."""
    if type.name in _ADVICE:
        return type.name
    return next((bad for part in type.parts if (bad := _inexact(part)) is not None), None)


def _exact(type: Type) -> str:
    """``type`` with DECIMAL(38,0) in place of 128-bit integers, at any depth."""
    if type.name in _WHOLE:
        return _WHOLE[type.name]
    parts = [_exact(part) for part in type.parts]
    if parts == [part.text for part in type.parts]:
        return type.text
    return rebuilt(type, parts) or type.text


def _wrapped(query: str, types: list[tuple[str, Type]]) -> str:
    names = [f"c{place}" for place in range(len(types))]
    values = [
        f"{column if _exact(kind) == kind.text else f'CAST({column} AS {_exact(kind)})'} AS {quoted(name)}"
        for column, (name, kind) in zip(names, types, strict=True)
    ]
    return f"SELECT {', '.join(values)} FROM (\n{query}\n) AS exact({', '.join(names)})"


def _in_lake(connection: DuckDBPyConnection, statement: TableStatement) -> str:
    """The table's full name if it is the lake's; "" if it is temporary or in another attached database."""
    if statement.temporary:
        return ""
    *place, table = statement.name
    row = connection.execute("SELECT current_database(), current_schema()").fetchone()
    assert row is not None
    catalog, schema = row
    match place:
        case [named, inner]:
            catalog, schema = named, inner
        case [named] if _is_database(connection, named):
            catalog, schema = named, "main"
        case [named]:
            schema = named
    return ".".join(map(quoted, ("lake", schema, table))) if catalog.lower() == "lake" else ""


def _is_database(connection: DuckDBPyConnection, name: str) -> bool:
    row = connection.execute(
        "SELECT count(*) FROM duckdb_databases() WHERE lower(database_name) = lower(?)", [name]
    ).fetchone()
    return bool(row and row[0])
