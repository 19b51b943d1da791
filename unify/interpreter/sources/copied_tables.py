"""Rows of live tables for statements from outside a shell, whose DuckDB can reach nothing but the lake.

A DuckDB of its own reads what the statement needs of a table, by a SELECT that Unify has written, into a
Parquet file. The restricted DuckDB reads the file, which is then removed.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from unify.config.settings import create_private_folder
from unify.engine import connection as engine_connection
from unify.engine import errors
from unify.engine.connection import quote_literal
from unify.engine.types import DuckDBType, parse_type
from unify.engine.types import quote_identifier as quoted
from unify.errors import QueryError
from unify.lake import session_rows
from unify.lake.lake import Lake
from unify.model import TableName

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from unify.adapters.relation import Relation

MAX_COPIED_ROWS = 5_000_000  # of one table of a statement; more are for loads
_THREADS = 2
_PARQUET_SCALARS = frozenset(
    (
        *("BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT"),
        *("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "FLOAT", "DOUBLE", "DECIMAL"),
        *("VARCHAR", "BLOB", "DATE", "TIME", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "UUID"),
    )
)  # which a Parquet file keeps as they are; others are written as text


class SourceDatabase:
    """The DuckDB that reads sources for a restricted session; opened by the first statement that needs it."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._connection: DuckDBPyConnection | None = None

    def open(self) -> DuckDBPyConnection:
        """Return the connection, which has the extensions that sources need."""
        if self._connection is None:
            settings = self._lake.settings
            self._connection = engine_connection.connect(
                temp_folder=settings.cache / "duckdb", threads=_THREADS
            )
            self._connection.execute(f"SET memory_limit = '{settings.worker_memory_bytes:d}B'")
        return self._connection

    def interrupt(self) -> None:
        """End the query that runs, if one does; from another thread."""
        if self._connection is not None:
            self._connection.interrupt()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class CopiedTables:
    """The temporary tables with the rows of live tables, for the statements of one restricted session."""

    def __init__(self, lake: Lake, database: SourceDatabase) -> None:
        self._lake = lake
        self._database = database
        self._numbers = count(1)
        self._tables: list[str] = []  # of the last statement

    def copy(self, name: TableName, relation: Relation, *, is_empty: bool = False) -> str:
        """Read what ``relation`` selects into a temporary table, or its columns alone; return its name.

        Raises QueryError: the source has refused it, or there are more than MAX_COPIED_ROWS rows.
        """
        cache = self._lake.settings.cache
        create_private_folder(cache)
        table = f"temp.main.{quoted(f'{name} {next(self._numbers)}')}"
        with tempfile.TemporaryDirectory(prefix="live-", dir=cache) as folder:
            path = Path(folder) / "rows.parquet"
            columns = self._write(name, relation, path, 0 if is_empty else MAX_COPIED_ROWS + 1)
            chosen = ", ".join(_read_sql(column, type) for column, type in columns)
            source = f"read_parquet({quote_literal(os.fspath(path))})"
            session_rows.fetch_session_rows(
                self._lake, f"CREATE OR REPLACE TEMP TABLE {table} AS SELECT {chosen} FROM {source}"
            )
        self._tables.append(table)
        return table

    def drop(self) -> None:
        """Drop the tables of the previous statement."""
        tables, self._tables = self._tables, []
        for table in tables:
            session_rows.fetch_session_rows(self._lake, f"DROP TABLE IF EXISTS {table}")

    def _write(
        self, name: TableName, relation: Relation, path: Path, limit: int
    ) -> Sequence[tuple[str, DuckDBType]]:
        """Write the rows to a file; return names and types of their columns."""
        from unify.engine import duckdb

        with closing(self._database.open().cursor()) as duck:
            try:
                for stream in relation.streams:
                    duck.register(stream.name, stream)
                described = duck.execute(f"DESCRIBE {relation.sql}").fetchall()
                columns = [(str(row[0]), parse_type(str(row[1]))) for row in described]
                chosen = ", ".join(_write_sql(column, type) for column, type in columns)
                rows = f"SELECT {chosen} FROM ({relation.sql}) LIMIT {limit:d}"
                target = quote_literal(os.fspath(path))
                [[written]] = duck.execute(f"COPY ({rows}) TO {target} (FORMAT parquet)").fetchall()
            except duckdb.Error as error:
                raise errors.translate_statement_error(error, self._lake.path) from error
        if written > MAX_COPIED_ROWS:
            raise QueryError(
                f"{name}: the statement reads more than {MAX_COPIED_ROWS:,} rows of it; add conditions, "
                f"or load table {name}, which stores them"
            )
        return columns


def _write_sql(column: str, type: DuckDBType) -> str:
    return quoted(column) if _is_kept(type) else f"CAST({quoted(column)} AS VARCHAR) AS {quoted(column)}"


def _read_sql(column: str, type: DuckDBType) -> str:
    return f"CAST({quoted(column)} AS {type.text}) AS {quoted(column)}"


def _is_kept(type: DuckDBType) -> bool:
    """Whether a Parquet file has the values of a type exactly."""
    if type.name in ("LIST", "STRUCT"):
        return all(map(_is_kept, type.children))
    return type.name in _PARQUET_SCALARS
