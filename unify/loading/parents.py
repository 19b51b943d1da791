"""The rows a table is loaded for each of: a spec's SELECT, run where it can reach nothing else.

``unify.adapters.specsql`` has read the SELECT before and refused whatever is not one over the
connection's own tables; here it also runs on a connection that cannot open a file, load an
extension, attach a database or take any of that back.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from unify.adapters.base import ParentRow
from unify.errors import LoadFailed
from unify.model import TableName
from unify.store.duck import literal, quoted
from unify.store.lake import Lake

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

PLAIN = ("BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "FLOAT", "DOUBLE", "VARCHAR")


def lock_down(lake: Lake) -> None:
    """Take from this lake's DuckDB everything but reading the lake's own files. There is no way back."""
    connection = lake.connection
    own = ", ".join(literal(os.fspath(folder)) for folder in _own_folders(lake))
    connection.execute(f"SET allowed_directories = [{own}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def read_parents(lake: Lake, table: TableName, query: str) -> Sequence[ParentRow]:
    """The distinct rows of ``query`` over the tables of ``table``'s connection, in a fixed order.

    Values are numbers, truth values and texts; anything else comes as DuckDB's text of it.
    Raises LoadFailed naming the table where DuckDB refuses the query.
    """
    import duckdb

    cursor = lake.cursor()
    try:
        cursor.execute(f"USE lake.{quoted(table.schema)}")
        return _rows(cursor, query)
    except duckdb.Error as error:
        raise LoadFailed(f"{table}: its for_each cannot be run: {error}") from error
    finally:
        cursor.close()


def _rows(cursor: DuckDBPyConnection, query: str) -> Sequence[ParentRow]:
    described = cursor.execute(f"DESCRIBE SELECT * FROM (\n{query}\n) AS parents").fetchall()
    names = [str(row[0]) for row in described]
    chosen = ", ".join(_plain(str(row[0]), str(row[1])) for row in described)
    found = cursor.execute(f"SELECT DISTINCT {chosen} FROM (\n{query}\n) AS parents ORDER BY ALL")
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _plain(name: str, kind: str) -> str:
    column = f"parents.{quoted(name)}"
    return column if kind in PLAIN else f"CAST({column} AS VARCHAR) AS {quoted(name)}"


def _own_folders(lake: Lake) -> Sequence[os.PathLike[str]]:
    return (lake.settings.data_path, lake.settings.cache)
