"""Adapter `duckdb`: a database file."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from unify.adapters.registry import is_relational, open_relational
from unify.adapters.relation import RelationalAdapter, RelationRead, SourceLoadRequest
from unify.config.connection_tables import TableSettings
from unify.config.connections import Connection
from unify.errors import SourceError
from unify.model import Action, Column


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "shop.duckdb"
    with duckdb.connect(str(file)) as database:
        database.execute("create table orders(id int primary key, amount decimal(10,2), big hugeint)")
        database.execute(
            "insert into orders values (1, 1.50, 170141183460469231731687303715884105), (2, 2, 0)"
        )
        database.execute("create schema sales")
        database.execute("create type mood as enum ('sad', 'ok')")
        database.execute("create table sales.\"Odd Name\" as select 'ok'::mood as m, interval 1 day as i")
        database.execute("create view sales.v as from orders")
    return file


@pytest.fixture
def duck() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


def opened(path: Path, duck: duckdb.DuckDBPyConnection) -> RelationalAdapter:
    connection = Connection("shop", "duckdb", {"path": path.name}, path=str(path.parent / "connections.yaml"))
    assert is_relational(connection, ())
    adapter = open_relational(connection, {})
    adapter.attach(duck)
    adapter.attach(duck.cursor())
    return adapter


def test_tables_and_schemas_are_listed(path: Path, duck: duckdb.DuckDBPyConnection) -> None:
    adapter = opened(path, duck)
    assert adapter.list_schemas(duck) == ("main", "sales")
    assert [table.name for table in adapter.list_tables(duck)] == ["orders"]
    assert [table.name for table in adapter.list_tables(duck, "sales")] == ["sales.Odd Name", "sales.v"]


def test_a_table_is_found_in_any_case(path: Path, duck: duckdb.DuckDBPyConnection) -> None:
    adapter = opened(path, duck)
    table = adapter.find_table(duck, "ORDERS")
    assert table is not None
    assert (table.name, table.key) == ("orders", ("id",))
    assert [(column.name, column.type) for column in table.columns] == [
        ("id", "INTEGER"),
        ("amount", "DECIMAL(10,2)"),
        ("big", "DECIMAL(38,0)"),
    ]
    assert adapter.find_table(duck, "sales.orders") is None
    assert adapter.find_table(duck, "a.b.c") is None


def test_a_relation_gives_the_rows_in_types_of_the_lake(path: Path, duck: duckdb.DuckDBPyConnection) -> None:
    adapter = opened(path, duck)
    table = adapter.find_table(duck, "sales.odd name")
    assert table is not None
    relation = adapter.relation(duck, table, RelationRead())
    found = duck.execute(relation.sql)
    assert [(name, str(type)) for name, type, *_ in found.description or ()] == [
        ("m", "VARCHAR"),
        ("i", "VARCHAR"),
    ]
    assert found.fetchall() == [("ok", "1 day")]


def test_a_load_reads_what_the_cursor_leaves(path: Path, duck: duckdb.DuckDBPyConnection) -> None:
    adapter = opened(path, duck)
    table = adapter.find_table(duck, "orders")
    assert table is not None
    stored = tuple(Column(column.name, column.type) for column in table.columns)
    request = SourceLoadRequest(
        Action.REFRESH, TableSettings(cursor="id"), datetime.now(UTC), {"id": "2"}, stored
    )
    with adapter.plan_load(duck, table, request) as load:
        assert (load.strategy, load.key) == ("merge", ("id",))
        assert duck.execute(load.parts[0].sql).fetchall() == [(2, 2, 0)]


def test_a_file_that_does_not_exist_is_named(tmp_path: Path, duck: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(SourceError, match=r"shop: .*no\.duckdb") as error:
        opened(tmp_path / "no.duckdb", duck)
    assert "__unify" not in error.value.message
