"""Rows on their way into a Parquet file of somebody's own, with every value exact or an error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from unify.duckdb_types import Type, parse_type
from unify.errors import QueryError
from unify.store.duck import quoted
from unify.store.exactness import DECIMAL

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_PARQUET_ADVICE = {
    "HUGEINT": f"cast it to {DECIMAL}[] or the like",
    "UHUGEINT": f"cast it to {DECIMAL}[] or the like",
    "BIGNUM": "cast it to VARCHAR",
    "BIT": "cast it to VARCHAR",
    "INTERVAL": "cast it to VARCHAR, or take its seconds: epoch(…)",
    "TIME WITH TIME ZONE": "cast it to TIME or VARCHAR",
    "TIME_NS": "cast it to TIME or VARCHAR",
    "UNION": "cast it to VARCHAR",
    "VARIANT": "cast it to VARCHAR",
}


def exact_for_parquet(connection: DuckDBPyConnection, query: str, parameters: object = None) -> str:
    """``query`` with its 128-bit integers as DECIMAL(38,0); Parquet would round them.

    Raises QueryError naming the column for types that Parquet would change. DuckDB's errors pass.
    """
    described = connection.execute(f"DESCRIBE {query}", parameters).fetchall()
    columns = [(str(row[0]), parse_type(str(row[1]))) for row in described]
    for name, type in columns:
        bad = _inexact_in_parquet(type) if type.name not in ("HUGEINT", "UHUGEINT") else None
        if bad is not None:
            raise QueryError(
                f"column {name}: a Parquet file cannot hold {bad} exactly; {_PARQUET_ADVICE[bad]}"
            )
    return _with_decimals(query, columns)


def _inexact_in_parquet(type: Type) -> str | None:
    """The first type in ``type`` that Parquet would change."""
    if type.name in _PARQUET_ADVICE:
        return type.name
    return next((bad for part in type.parts if (bad := _inexact_in_parquet(part)) is not None), None)


def _with_decimals(query: str, columns: Sequence[tuple[str, Type]]) -> str:
    if not any(type.name in ("HUGEINT", "UHUGEINT") for _, type in columns):
        return query
    values = ", ".join(
        f"CAST(c{place} AS {DECIMAL}) AS {quoted(name)}"
        if type.name in ("HUGEINT", "UHUGEINT")
        else f"c{place} AS {quoted(name)}"
        for place, (name, type) in enumerate(columns)
    )
    places = ", ".join(f"c{place}" for place in range(len(columns)))
    return f"SELECT {values} FROM (\n{query}\n) AS exact({places})"
