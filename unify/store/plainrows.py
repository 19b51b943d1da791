"""The rows of a SELECT as Python's plain values: what a table is asked for each of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from unify.store.duck import quoted

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

PLAIN = ("BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "FLOAT", "DOUBLE", "VARCHAR")


def distinct_rows(
    connection: DuckDBPyConnection, query: str
) -> Sequence[Mapping[str, str | int | float | bool | None]]:
    """The distinct rows of ``query`` in a fixed order: plain values, and DuckDB's text of others."""
    described = connection.execute(f"DESCRIBE SELECT * FROM (\n{query}\n) AS parents").fetchall()
    names = [str(row[0]) for row in described]
    chosen = ", ".join(_plain(str(row[0]), str(row[1])) for row in described)
    found = connection.execute(f"SELECT DISTINCT {chosen} FROM (\n{query}\n) AS parents ORDER BY ALL")
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _plain(name: str, kind: str) -> str:
    column = f"parents.{quoted(name)}"
    return column if kind in PLAIN else f"CAST({column} AS VARCHAR) AS {quoted(name)}"
