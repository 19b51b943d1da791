"""The rows a table is loaded for each of: a spec's SELECT, run where it can reach nothing else.

``unify.adapters.specsql`` has read the SELECT before and refused whatever is not one over the
connection's own tables; here it also runs on a connection that cannot open a file, load an
extension, attach a database or take any of that back.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from unify.adapters.base import ParentRow
from unify.errors import LoadFailed
from unify.model import TableName
from unify.store.duck import literal, quoted
from unify.store.lake import Lake
from unify.store.plainrows import distinct_rows


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
        return distinct_rows(cursor, query)
    except duckdb.Error as error:
        raise LoadFailed(f"{table}: its for_each cannot be run: {error}") from error
    finally:
        cursor.close()


def _own_folders(lake: Lake) -> Sequence[os.PathLike[str]]:
    return (lake.settings.data_path, lake.settings.cache)
