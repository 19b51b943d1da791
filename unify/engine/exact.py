"""What the lake cannot hold exactly, kept out of it.

Parquet has no 128-bit integer, so HUGEINT columns are stored as doubles: …809 came back …808. Its
intervals end at milliseconds, a TIME WITH TIME ZONE loses its zone, and TIME_NS ends the whole
DuckDB process's database (seen with DuckDB 1.5.5; tests/test_lake.py).

Rows on their way into a Parquet file of somebody's own, with every value exact or an error.
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
_INTEGER_REPLACEMENTS = {"HUGEINT": INTEGER_DECIMAL, "UHUGEINT": INTEGER_DECIMAL}
_LAKE_ADVICE = {
    "HUGEINT": f"use {INTEGER_DECIMAL} or BIGINT",
    "UHUGEINT": f"use {INTEGER_DECIMAL} or UBIGINT",
    "INTERVAL": "cast it to VARCHAR, or store its seconds: epoch(…)",
    "TIME WITH TIME ZONE": "cast it to TIME or VARCHAR",
    "TIME_NS": "cast it to TIME or VARCHAR",
}


def exact_lake_statement(connection: DuckDBPyConnection, sql: str, parameters: object = None) -> str:
    """CREATE TABLE … AS with its sums of integers as DECIMAL(38,0); any other statement as it is.

    A number beyond 38 digits is then DuckDB's own conversion error, never a rounded value.
    Raises QueryError for other types the lake cannot hold.
    """
    import duckdb

    statement = parse_table_statement(sql)
    if statement is None or statement.query is None or not _lake_table_name(connection, statement):
        return sql
    begin, end = statement.query
    query = sql[begin:end].strip()
    try:
        described = connection.execute(f"DESCRIBE {query}", parameters).fetchall()
    except duckdb.Error:
        return sql  # it will fail in the same way when it runs, with the user's own text in the message
    types = [(str(row[0]), parse_type(row[1])) for row in described]
    _check_columns_exact({name: held for name, kind in types if (held := parse_type(_exact_lake_type(kind)))})
    if all(_exact_lake_type(kind) == kind.text for _, kind in types):
        return sql
    return f"{sql[:begin]} {_cast_lake_query(query, types)} {sql[end:]}"


def check_table_exact(connection: DuckDBPyConnection, sql: str) -> None:
    """After CREATE TABLE or ALTER TABLE, before its commit: raises QueryError if the table is not exact."""
    import duckdb

    statement = parse_table_statement(sql)
    name = _lake_table_name(connection, statement) if statement is not None else ""
    if not name:
        return
    try:
        rows = connection.execute(f"DESCRIBE {name}").fetchall()
    except duckdb.CatalogException:
        return  # renamed by the statement itself: a rename changes no type
    _check_columns_exact({row[0]: parse_type(row[1]) for row in rows})


def _check_columns_exact(columns: Mapping[str, DuckDBType]) -> None:
    for name, kind in columns.items():
        if (bad := _inexact_lake_type(kind)) is not None:
            raise QueryError(
                f"column {name}: the lake cannot hold {bad} exactly in its Parquet files; {_LAKE_ADVICE[bad]}"
            )


def _inexact_lake_type(type: DuckDBType) -> str | None:
    """The first type inside ``type`` that Parquet would change."""
    if type.name in _LAKE_ADVICE:
        return type.name
    return next((bad for part in type.children if (bad := _inexact_lake_type(part)) is not None), None)


def _exact_lake_type(type: DuckDBType) -> str:
    """``type`` with DECIMAL(38,0) in place of 128-bit integers, at any depth."""
    if type.name in _INTEGER_REPLACEMENTS:
        return _INTEGER_REPLACEMENTS[type.name]
    parts = [_exact_lake_type(part) for part in type.children]
    if parts == [part.text for part in type.children]:
        return type.text
    return nested_type_text(type, parts) or type.text


def _cast_lake_query(query: str, types: list[tuple[str, DuckDBType]]) -> str:
    names = [f"c{place}" for place in range(len(types))]
    values = [
        f"{column if _exact_lake_type(kind) == kind.text else f'CAST({column} AS {_exact_lake_type(kind)})'} AS {quoted(name)}"
        for column, (name, kind) in zip(names, types, strict=True)
    ]
    return f"SELECT {', '.join(values)} FROM (\n{query}\n) AS exact({', '.join(names)})"


def _lake_table_name(connection: DuckDBPyConnection, statement: TableStatement) -> str:
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


_PARQUET_ADVICE = {
    "HUGEINT": f"cast it to {INTEGER_DECIMAL}[] or the like",
    "UHUGEINT": f"cast it to {INTEGER_DECIMAL}[] or the like",
    "BIGNUM": "cast it to VARCHAR",
    "BIT": "cast it to VARCHAR",
    "INTERVAL": "cast it to VARCHAR, or take its seconds: epoch(…)",
    "TIME WITH TIME ZONE": "cast it to TIME or VARCHAR",
    "TIME_NS": "cast it to TIME or VARCHAR",
    "UNION": "cast it to VARCHAR",
    "VARIANT": "cast it to VARCHAR",
}


def exact_parquet_query(connection: DuckDBPyConnection, query: str, parameters: object = None) -> str:
    """``query`` with its 128-bit integers as DECIMAL(38,0); Parquet would round them.

    Raises QueryError naming the column for types that Parquet would change. DuckDB's errors pass.
    """
    described = connection.execute(f"DESCRIBE {query}", parameters).fetchall()
    columns = [(str(row[0]), parse_type(str(row[1]))) for row in described]
    for name, type in columns:
        bad = _inexact_parquet_type(type) if type.name not in ("HUGEINT", "UHUGEINT") else None
        if bad is not None:
            raise QueryError(
                f"column {name}: a Parquet file cannot hold {bad} exactly; {_PARQUET_ADVICE[bad]}"
            )
    return _cast_parquet_query(query, columns)


def _inexact_parquet_type(type: DuckDBType) -> str | None:
    """The first type in ``type`` that Parquet would change."""
    if type.name in _PARQUET_ADVICE:
        return type.name
    return next((bad for part in type.children if (bad := _inexact_parquet_type(part)) is not None), None)


def _cast_parquet_query(query: str, columns: Sequence[tuple[str, DuckDBType]]) -> str:
    if not any(type.name in ("HUGEINT", "UHUGEINT") for _, type in columns):
        return query
    values = ", ".join(
        f"CAST(c{place} AS {INTEGER_DECIMAL}) AS {quoted(name)}"
        if type.name in ("HUGEINT", "UHUGEINT")
        else f"c{place} AS {quoted(name)}"
        for place, (name, type) in enumerate(columns)
    )
    places = ", ".join(f"c{place}" for place in range(len(columns)))
    return f"SELECT {values} FROM (\n{query}\n) AS exact({places})"
