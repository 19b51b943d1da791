"""Fixtures of adapters of databases: a DuckDB as that of a session, and opened adapters."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from tests.support.postgres_server import PostgresServer
from unify.adapters.registry import open_relational
from unify.adapters.relation import RelationalAdapter
from unify.config.connection_tables import TableSettings
from unify.config.connections import Connection
from unify.engine.connection import connect


@pytest.fixture(scope="module")
def duck() -> Iterator[duckdb.DuckDBPyConnection]:
    connection = connect()
    connection.execute("SET TimeZone = 'Asia/Kathmandu'")  # of the user; the rows must not depend on it
    with connection:
        yield connection


def open_adapter(
    adapter: str, options: dict[str, str], tables: dict[str, TableSettings] | None = None, name: str = "shop"
) -> RelationalAdapter:
    """Open the adapter of a connection."""
    return open_relational(Connection(name, adapter, options, tables=tables or {}), {})


@pytest.fixture(scope="module")
def database(postgres_server: PostgresServer) -> str:
    """An empty database on the PostgreSQL server for the tests of one module."""
    return postgres_server.create_database()


@pytest.fixture(scope="module")
def shop(
    postgres_server: PostgresServer, database: str, duck: duckdb.DuckDBPyConnection
) -> RelationalAdapter:
    """The adapter of that database, attached."""
    adapter = open_adapter("postgres", postgres_server.options(database))
    adapter.attach(duck)
    return adapter
