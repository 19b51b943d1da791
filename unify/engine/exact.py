"""Exact values in Parquet: the lake's own files and files that a statement exports.

Parquet has no 128-bit integer: a HUGEINT column is stored as doubles. Its intervals end at milliseconds,
a TIME WITH TIME ZONE loses its zone, and writing TIME_NS invalidates DuckDB's database
(DuckDB 1.5.5; tests/lake/test_exactness.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from unify.engine.tokens import TableStatement, parse_table_statement
from unify.engine.types import DuckDBType, nested_type_text, parse_type
from unify.engine.types import quote_identifier as quoted
from unify.errors import QueryError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


INTEGER_DECIMAL = "DECIMAL(38,0)"
_HUGE_INTEGERS = frozenset({"HUGEINT", "UHUGEINT"})
_LAKE_ADVICE = {
    "HUGEINT": f"use {INTEGER_DECIMAL} or BIGINT",
    "UHUGEINT": f"use {INTEGER_DECIMAL} or UBIGINT",
    "INTERVAL": "cast it to VARCHAR, or store its seconds: epoch(…)",
    "TIME WITH TIME ZONE": "cast it to TIME or VARCHAR",
    "TIME_NS": "cast it to TIME or VARCHAR",
}
_FILE_ADVICE = {
    **dict.fromkeys(_HUGE_INTEGERS, f"cast it to {INTEGER_DECIMAL}[] or the like"),
    **dict.fromkeys(("BIGNUM", "BIT", "UNION", "VARIANT"), "cast it to VARCHAR"),
    "INTERVAL": "cast it to VARCHAR, or take its seconds: epoch(…)",
    "TIME WITH TIME ZONE": "cast it to TIME or VARCHAR",
    "TIME_NS": "cast it to TIME or VARCHAR",
}


def exact_lake_statement(connection: DuckDBPyConnection, sql: str, parameters: object = None) -> str:
    """Cast sums of integers in CREATE TABLE … AS to DECIMAL(38,0); return other statements unchanged.

    A number of more than 38 digits is a conversion error, never rounded.

    Raises:
        QueryError: the query has a type the lake cannot hold.
    """
    from unify.engine import duckdb

    statement = parse_table_statement(sql)
    if statement is None or statement.query is None or not _lake_table_name(connection, statement):
        return sql
    begin, end = statement.query
    query = sql[begin:end].strip()
    try:
        columns = describe_query(connection, query, parameters)
    except duckdb.Error:
        return sql  # the statement fails in the same way, with a message about the user's own text
    _check_columns_exact({name: parse_type(_exact_lake_type(type)) for name, type in columns})
    exact = _cast_query(query, columns, [_exact_lake_type(type) for _, type in columns])
    return sql if exact == query else f"{sql[:begin]} {exact} {sql[end:]}"


def check_table_exact(connection: DuckDBPyConnection, sql: str) -> None:
    """Check a table before the commit of CREATE or ALTER TABLE. Raises QueryError if it is not exact."""
    from unify.engine import duckdb

    statement = parse_table_statement(sql)
    name = _lake_table_name(connection, statement) if statement is not None else ""
    if not name:
        return
    try:
        _check_columns_exact(dict(describe_query(connection, name)))
    except duckdb.CatalogException:
        return  # renamed by the statement itself: a rename changes no type


def exact_parquet_query(connection: DuckDBPyConnection, query: str, parameters: object = None) -> str:
    """Cast 128-bit integers of ``query`` to DECIMAL(38,0), for COPY to a Parquet file.

    Raises:
        QueryError: names the column of a type that Parquet would change. DuckDB's errors pass.
    """
    columns = describe_query(connection, query, parameters)
    for name, type in columns:
        bad = _first_type_in(type, _FILE_ADVICE) if type.name not in _HUGE_INTEGERS else None
        if bad is not None:
            raise QueryError(f"column {name}: a Parquet file cannot hold {bad} exactly; {_FILE_ADVICE[bad]}")
    types = [INTEGER_DECIMAL if type.name in _HUGE_INTEGERS else type.text for _, type in columns]
    return _cast_query(query, columns, types)


def describe_query(
    connection: DuckDBPyConnection, query: str, parameters: object = None
) -> list[tuple[str, DuckDBType]]:
    """Return name and type of each column of a query or table. DuckDB's errors pass."""
    rows = connection.execute(f"DESCRIBE {query}", parameters).fetchall()
    return [(str(row[0]), parse_type(str(row[1]))) for row in rows]


def _cast_query(query: str, columns: Sequence[tuple[str, DuckDBType]], types: Sequence[str]) -> str:
    """Cast the columns of ``query`` to ``types``; return it unchanged if no type differs."""
    if list(types) == [type.text for _, type in columns]:
        return query
    names = [f"c{number}" for number in range(len(columns))]
    values = [
        f"{column if target == type.text else f'CAST({column} AS {target})'} AS {quoted(name)}"
        for column, (name, type), target in zip(names, columns, types, strict=True)
    ]
    return f"SELECT {', '.join(values)} FROM (\n{query}\n) AS exact({', '.join(names)})"


def _check_columns_exact(columns: Mapping[str, DuckDBType]) -> None:
    for name, type in columns.items():
        if (bad := _first_type_in(type, _LAKE_ADVICE)) is not None:
            raise QueryError(
                f"column {name}: the lake cannot hold {bad} exactly in its Parquet files; {_LAKE_ADVICE[bad]}"
            )


def _first_type_in(type: DuckDBType, names: Mapping[str, str]) -> str | None:
    """Return the first of the types ``names`` in ``type``, at any depth."""
    if type.name in names:
        return type.name
    return next((bad for part in type.children if (bad := _first_type_in(part, names)) is not None), None)


def _exact_lake_type(type: DuckDBType) -> str:
    """Return ``type`` with DECIMAL(38,0) in place of 128-bit integers, at any depth."""
    if type.name in _HUGE_INTEGERS:
        return INTEGER_DECIMAL
    parts = [_exact_lake_type(part) for part in type.children]
    if parts == [part.text for part in type.children]:
        return type.text
    return nested_type_text(type, parts) or type.text


def _lake_table_name(connection: DuckDBPyConnection, statement: TableStatement) -> str:
    """Return the full name of a table of the lake; "" for a temporary or attached one."""
    if statement.temporary:
        return ""
    *qualifiers, table = statement.name
    row = connection.execute("SELECT current_database(), current_schema()").fetchone()
    assert row is not None
    catalog, schema = row
    match qualifiers:
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
