"""The same statements over each kind of source.

DuckDB and SQLite files, MariaDB, PostgreSQL, also through drivers of ADBC and ODBC, and a folder.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator

import duckdb
import pytest

import unify
from tests.support.mysql_server import MySQLServer
from tests.support.odbc_drivers import POSTGRES_DRIVER, has_odbc_driver
from tests.support.postgres_server import PASSWORD, PostgresServer
from tests.support.stores import create_home
from unify.api.session import PythonSession
from unify.errors import QueryError, UnifyError, UnknownName

pytestmark = [pytest.mark.lake, pytest.mark.process, pytest.mark.socket]

KINDS = ("duck", "lite", "maria", "pg", "ad", *(["od"] if has_odbc_driver(POSTGRES_DRIVER) else []), "box")
TABLES = (
    "create table orders(id integer primary key, customer varchar(10), day date)",
    "insert into orders values "
    + ", ".join(
        f"({i}, {'null' if i % 10 == 3 else repr(f'c{i % 3}')}, '2024-01-{1 + i % 28:02}')"
        for i in range(100)
    ),
    "create table order_lines(id integer primary key, order_id integer, note varchar(10))",
    "insert into order_lines values (1, 5, 'a'), (2, 7, null)",
)
# A statement, in which S is the source, and its rows.
STATEMENTS = (
    ("select id, customer from S.orders where id = 5", [(5, "c2")]),
    ("select O.id from S.Orders O order by id desc limit 1", [(99,)]),
    ("select count(*) from S.orders where customer = 'c1'", [(30,)]),
    ("select count(*) from S.orders where customer = 'C1'", [(0,)]),
    ("select count(*), count(customer), min(id), sum(id) from S.orders where id < 50", [(50, 45, 0, 1225)]),
    ("select customer, count(*) from S.orders where id < 10 group by all order by all", [
        ("c0", 3), ("c1", 3), ("c2", 3), (None, 1)]),
    ("select customer from S.orders order by customer desc, id limit 2", [("c2",), ("c2",)]),
    ("select id from S.orders where day >= date '2024-01-28' order by id", [(27,), (55,), (83,)]),
    ("count S.order_lines", [(2,)]),
    ("select S.order_lines.note from S.order_lines order by S.order_lines.id", [("a",), (None,)]),
    ("select l.note from S.order_lines l join S.orders o on o.id = l.order_id where o.id = 5", [("a",)]),
    ("with a as (from S.orders) select count(*), (select max(id) from S.order_lines) from a", [(100, 2)]),
    ("from (pivot (select id % 2 as p, customer from S.orders where id < 3) on customer) order by p", [
        (0, 1, 0, 1), (1, 0, 1, 0)]),
    ("select id from S.order_lines where note is null", [(2,)]),
    ("select count(*) from S.orders tablesample 100 percent", [(100,)]),
    ("select column_name from (describe S.order_lines) where column_name <> '_file'", [
        ("id",), ("order_id",), ("note",)]),
    ("select id from S.orders semi join (select 7 as id) using (id)", [(7,)]),
)  # fmt: skip


@pytest.fixture(scope="module")
def session(
    mysql_server: MySQLServer, postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PythonSession]:
    folder = tmp_path_factory.mktemp("each")
    maria, pg = mysql_server.create_database(), postgres_server.create_database()
    with duckdb.connect(str(folder / "shop.duckdb")) as duck, sqlite3.connect(folder / "shop.sqlite") as lite:
        for sql in TABLES:
            duck.execute(sql)
            lite.execute(sql)
        for name in ("orders", "order_lines"):
            (folder / "box").mkdir(exist_ok=True)
            duck.execute(f"copy {name} to '{folder}/box/{name}.parquet'")
    lite.close()
    mysql_server.run(";".join(TABLES), maria)
    postgres_server.run(";".join(TABLES), pg)
    connections = {
        "duck": {"adapter": "duckdb", "options": {"path": "shop.duckdb"}},
        "lite": {"adapter": "sqlite", "options": {"path": "shop.sqlite"}},
        "maria": {"adapter": "mysql", "options": mysql_server.options(maria)},
        "pg": {"adapter": "postgres", "options": postgres_server.options(pg)},
        "ad": {
            "adapter": "adbc",
            "options": {
                "driver": "postgresql",
                "uri": f"postgresql://127.0.0.1:{postgres_server.port}/{pg}",
                "user": "postgres",
                "password": PASSWORD,
            },
        },
        "od": {
            "adapter": "odbc",
            "options": {
                "driver": POSTGRES_DRIVER,
                "parameters": ["Server=127.0.0.1", f"Port={postgres_server.port}", f"Database={pg}"],
                "user": "postgres",
                "password": PASSWORD,
            },
        },
        "box": {"adapter": "files", "options": {"folder": "box"}},
    }
    path = folder / "connections.yaml"
    path.write_text(json.dumps(connections))
    path.chmod(0o600)
    with unify.open(create_home(folder).home, connections=path, environment={}) as opened:
        yield opened


def rows(session: PythonSession, sql: str) -> list[tuple[object, ...]]:
    return list(session.execute(sql).fetchall())


@pytest.mark.parametrize("kind", KINDS)
def test_statements_read_the_source(session: PythonSession, kind: str) -> None:
    for sql, expected in STATEMENTS:
        assert rows(session, sql.replace("S.", f"{kind}.")) == expected, sql


@pytest.mark.parametrize("kind", KINDS)
def test_rows_become_variables_tables_views_and_macros(session: PythonSession, kind: str) -> None:
    session.execute(f"$few = select * from {kind}.orders where id < 3")
    session.execute(f"$last = (select max(id) from {kind}.orders)")
    session.execute(f"create or replace temp table mine as select * from {kind}.orders where id < 10")
    session.execute(
        f"create or replace temp view v as select customer, count(*) as n from {kind}.orders group by all"
    )
    session.execute(f"create or replace temp macro m(x) as table select id from {kind}.orders where id = x")
    session.execute(f"prepare p as select id from {kind}.orders where id = ?")
    for sql, expected in (
        ("select count(*) from $few", [(3,)]),
        (f"select id from {kind}.orders where id = $last", [(99,)]),
        (f"select count(*) from mine join {kind}.orders using (id)", [(10,)]),
        ("from v where customer = 'c0'", [("c0", 30)]),
        ("from m(7)", [(7,)]),
        ("execute p(8)", [(8,)]),
        (f"select count(*) from {kind}.orders o join duck.order_lines l on o.id = l.order_id", [(2,)]),
    ):
        assert rows(session, sql) == expected, sql
    session.execute("deallocate p; drop view v; drop macro table m; drop table mine")


@pytest.mark.parametrize("kind", KINDS)
def test_a_transaction_and_the_search_path(session: PythonSession, kind: str) -> None:
    session.execute("begin")
    try:
        assert rows(session, f"select count(*) from {kind}.orders") == [(100,)]
    finally:
        session.execute("rollback")
    session.execute(f"use {kind}")
    try:
        assert rows(session, "select count(*) from orders") == [(100,)]
    finally:
        session.execute("use main")


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_source_does_not_have_or_allow_is_said(session: PythonSession, kind: str) -> None:
    for sql, error, expected in (
        (f"from {kind}.ordres", UnknownName, "has no table ordres; did you mean orders?"),
        (f"insert into {kind}.orders values (1)", UnifyError, "writable"),
        (f"select nothing from {kind}.orders", QueryError, "nothing"),
    ):
        with pytest.raises(error) as raised:
            rows(session, sql)
        assert expected in raised.value.message, sql
    assert rows(session, f"select id from {kind}.orders where id = 1") == [(1,)]
    assert str(rows(session, f"explain from {kind}.orders where id = 5")[0][1]).startswith(
        f"{kind}.orders: live\n"
    )
    assert {name for _, name, *_ in rows(session, f"show tables from {kind}")} >= {"orders", "order_lines"}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind in ("ad", "od")])
def test_an_error_while_a_driver_fetches_rows_is_its_message(session: PythonSession, kind: str) -> None:
    with pytest.raises(QueryError) as raised:
        rows(session, f"from query('{kind}', 'select 1 / (id - 50) as n from orders')")
    assert raised.value.message == f"{kind}: division by zero"


@pytest.mark.parametrize(
    "sql",
    [
        "from duckdb_databases()",
        "select d.* from duckdb_databases() as d where true",
        "select duckdb_schemas.* from duckdb_schemas() order by all",
        "select 1 from duckdb_tables() t join duckdb_columns() c using (database_name) where false",
        "select * from information_schema.tables",
        "select c.* from information_schema.columns c",
        "select count(*), string_agg(catalog_name, ' ') from INFORMATION_SCHEMA.Schemata",
        "select * from pg_catalog.pg_database",
        "pragma database_list",
        "pragma show_databases",
        "show databases",
        "show all tables",
    ],
)
def test_listings_have_no_database_that_unify_attaches(session: PythonSession, sql: str) -> None:
    for kind in KINDS:
        session.execute(f"select count(*) from {kind}.orders").fetchall()
    assert "__unify" not in str(rows(session, sql))
