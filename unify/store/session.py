"""Statements of Unify's own on the connection of the user's statements, where their temporary tables are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unify.store import duckerrors

if TYPE_CHECKING:
    from unify.store.lake import Lake


def fetch(lake: Lake, sql: str, parameters: object = None) -> list[tuple[object, ...]]:
    """All rows of a statement. Temporary tables take no lock of the lake, so this waits for nobody.

    Raises  QueryError with DuckDB's explanation; StoreError when the lake itself is in trouble.
    """
    import duckdb

    try:
        return lake.connection.execute(sql, parameters).fetchall()
    except duckdb.Error as error:
        raise duckerrors.refusal(error, lake.place) from error
