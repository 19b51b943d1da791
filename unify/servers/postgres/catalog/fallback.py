"""DuckDB's own catalog, where PostgreSQL cannot be run: it answers the simpler catalog queries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from unify.engine.types import quote_identifier as quoted
from unify.errors import QueryError
from unify.servers.postgres.catalog.queries import CatalogParameters, PreparedCatalogQuery
from unify.servers.postgres.catalog.tables import ShownTable
from unify.servers.postgres.parameters import (
    UNKNOWN_OIDS,
    decode_parameters,
    number_parameters,
    parameter_names,
    sample_values,
)
from unify.servers.postgres.portals import PortalRows
from unify.servers.postgres.wire_types import TEXT, WireProjection, wire_column

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from unify.servers.postgres.catalog.queries import HomeTables

FALLBACK_VERSION = ("15.0", 150_000)
_BATCH_ROWS = 2048


class FallbackCatalog:
    """An empty DuckDB with the tables of the home, for one client."""

    def __init__(self, tables: HomeTables) -> None:
        self._home_tables = tables
        self._tables: Sequence[ShownTable] = ()
        self._connection: DuckDBPyConnection | None = None

    def describe(self, sql: str, oids: Sequence[int]) -> PreparedCatalogQuery:
        """Return types of parameters and columns. Raises QueryError."""
        numbered, count = number_parameters(sql)
        given = [*oids, *[0] * (count - len(oids))]
        types = [TEXT.oid if oid in UNKNOWN_OIDS else oid for oid in given]
        names = parameter_names(sample_values(types))
        columns = self._describe(numbered, names)
        return PreparedCatalogQuery(tuple(types), tuple(wire_column(*one) for one in columns))

    def run(self, sql: str, query: CatalogParameters, result_formats: Sequence[int]) -> PortalRows:
        """Run a statement. Raises QueryError."""
        numbered, count = number_parameters(sql)
        oids = [*query.oids, *[0] * (count - len(query.oids))]
        names = parameter_names(decode_parameters(query.values, query.formats, oids))
        columns = self._describe(numbered, names)
        projection = WireProjection(result_formats)
        cells = ", ".join(projection.expressions(columns))
        aliases = ", ".join(f"c{number}" for number in range(len(columns)))
        rows = self._execute(f"SELECT {cells} FROM (\n{numbered}\n) AS rows({aliases})", names)

        def batches() -> Iterator[list[bytes]]:
            while batch := rows.fetchmany(_BATCH_ROWS):
                yield projection.encode_rows(batch)

        return PortalRows([wire_column(*one) for one in columns], batches())

    def configure(self, search_path: str, timeout_s: float | None) -> None:
        """Do nothing: the statements are short, and name schemas."""
        del search_path, timeout_s

    def cancel(self) -> None:
        if self._connection is not None:
            self._connection.interrupt()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _describe(self, sql: str, parameters: object) -> Sequence[tuple[str, str]]:
        found = self._execute(f"DESCRIBE {sql}", parameters).fetchall()
        return [(str(row[0]), str(row[1])) for row in found]

    def _execute(self, sql: str, parameters: object) -> DuckDBPyConnection:
        from unify.engine import duckdb

        connection = self._connect()
        try:
            return connection.execute(sql, parameters or None)
        except duckdb.Error as error:
            raise QueryError(f"{str(error).splitlines()[0]} (the catalog here is that of DuckDB)") from error

    def _connect(self) -> DuckDBPyConnection:
        """Return a connection with the tables of now, which can reach nothing else."""
        tables = self._home_tables.read()
        if self._connection is None or tables != self._tables:
            self.close()
            self._connection, self._tables = _make_database(tables), tables
        return self._connection


def _make_database(tables: Sequence[ShownTable]) -> DuckDBPyConnection:
    from unify.engine import duckdb

    connection = duckdb.connect(":memory:", config={"threads": "1"})
    for schema in {table.schema for table in tables} - {"main"}:
        connection.execute(f"CREATE SCHEMA {quoted(schema)}")
    for table in tables:
        if table.columns:
            columns = ", ".join(f"{quoted(one.name)} {_duckdb_type(one.type)}" for one in table.columns)
            connection.execute(f"CREATE TABLE {table.sql_name} ({columns})")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def _duckdb_type(name: str) -> str:
    return f"{name[1:]}[]" if name.startswith("_") else name
