"""Statements over a database: a DuckDB file as a connection."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

import unify
from tests.support.stores import create_home
from unify.api.session import PythonSession
from unify.errors import QueryError, SourceError, UnifyError, UnknownName

pytestmark = pytest.mark.lake

CONNECTIONS = """shop:
  adapter: duckdb
  options: {path: shop.duckdb, schemas: [main, sales]}
"""


def create_database(path: Path) -> None:
    with duckdb.connect(str(path)) as database:
        database.execute(
            "create table orders as select i as id, 'c' || (i % 3) as customer, "
            "cast(i * 1.5 as decimal(10, 2)) as amount from range(100) t(i)"
        )
        database.execute("create schema sales")
        database.execute("create table sales.lines(id int primary key, order_id int, note varchar)")
        database.execute("insert into sales.lines values (1, 5, 'a'), (2, 7, null)")
        database.execute('create table "a.b"(x int)')


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PythonSession]:
    folder = tmp_path_factory.mktemp("statements")
    create_database(folder / "shop.duckdb")
    path = folder / "connections.yaml"
    path.write_text(CONNECTIONS)
    path.chmod(0o600)
    with unify.open(create_home(folder).home, connections=path, environment={}) as opened:
        yield opened


def rows(session: PythonSession, sql: str) -> list[tuple[object, ...]]:
    return list(session.execute(sql).fetchall())


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select id, customer from shop.orders where id = 5", [(5, "c2")]),
        ("select O.id from SHOP.Orders O order by id desc limit 1", [(99,)]),
        ("select count(*) from shop.orders where customer = 'c1'", [(33,)]),
        ("count shop.sales.lines", [(2,)]),
        ("select shop.sales.lines.note from shop.sales.lines", [("a",), (None,)]),
        (
            "select l.note from shop.sales.lines l join shop.orders o on o.id = l.order_id where o.id = 5",
            [("a",)],
        ),
        (
            "with a as (from shop.orders) select count(*), (select max(id) from shop.sales.lines) from a",
            [(100, 2)],
        ),
        ('select count(*) from shop."a.b"', [(0,)]),
        (
            "from (pivot (select id % 2 as p, customer from shop.orders) on customer) order by p limit 1",
            [(0, 17, 16, 17)],
        ),
        ("show schemas from shop", [("main", "shop"), ("sales", "shop")]),
        ("show tables from shop.sales", [("shop", "sales.lines", None, None, "live", None)]),
        (
            "select schema, \"table\" from unify.tables where schema = 'shop' order by 2",
            [("shop", '"a.b"'), ("shop", "orders"), ("shop", "sales.lines")],
        ),
        (
            "describe shop.sales.lines",
            [("id", "INTEGER", None), ("order_id", "INTEGER", None), ("note", "VARCHAR", None)],
        ),
        ("peek shop.sales.lines 1", [(1, 5, "a")]),
    ],
)
def test_a_statement_reads_the_database(session: PythonSession, sql: str, expected: list[object]) -> None:
    assert rows(session, sql) == expected


def test_rows_become_variables_and_tables(session: PythonSession) -> None:
    session.execute("$few = select * from shop.orders where id < 3")
    session.execute("$last = (select max(id) from shop.orders)")
    assert rows(session, "select count(*) from $few") == [(3,)]
    assert rows(session, "select id from shop.orders where id = $last") == [(99,)]
    session.execute("create table mine as select * from shop.orders where id < 10")
    assert rows(session, "select count(*) from mine join shop.orders using (id)") == [(10,)]


def test_views_macros_and_prepared_statements_read_the_database_when_they_are_used(
    session: PythonSession,
) -> None:
    session.execute("create schema reports")
    session.execute("create view reports.v as select customer, count(*) as n from shop.orders group by all")
    session.execute("create view w as from shop.sales.lines")
    session.execute("create temp view t as from shop.orders limit 3")
    session.execute("create macro m(x, y := 2) as table select id from shop.orders where id = x")
    session.execute("create macro s(x) as (select max(id) from shop.sales.lines where id < x)")
    session.execute("prepare p as select id from shop.orders where id = ?")
    assert rows(session, "from reports.v order by all") == [("c0", 34), ("c1", 33), ("c2", 33)]
    assert rows(session, "select count(*) from w join t on true") == [(6,)]
    assert rows(session, "from m(7)") == [(7,)]
    assert rows(session, "select s(2)") == [(1,)]
    assert rows(session, "execute p(8)") == [(8,)]
    assert rows(session, "execute p(9)") == [(9,)]
    assert rows(session, "describe w")[0][:2] == ("id", "INTEGER")
    assert rows(session, "peek w 1") == [(1, 5, "a")]


def test_the_search_path_may_be_a_database(session: PythonSession) -> None:
    session.execute("use shop")
    try:
        assert rows(session, "select count(*) from orders") == [(100,)]
        assert rows(session, "describe orders")[0][0] == "id"
    finally:
        session.execute("use main")


def test_a_transaction_reads_the_database(session: PythonSession) -> None:
    session.execute("begin")
    try:
        assert rows(session, "select count(*) from shop.orders") == [(100,)]
    finally:
        session.execute("rollback")


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        (
            "from shop.ordres",
            "connection shop has no table ordres; did you mean orders? (show tables from shop",
        ),
        ("from shop.sales.line", "connection shop has no table sales.line; did you mean sales.lines?"),
        ("show tables from shop.sale", "shop has no schema sale; did you mean sales?"),
        ("load table shop.nothing", "connection shop has no table nothing"),
    ],
)
def test_what_the_database_does_not_have_is_named(session: PythonSession, sql: str, expected: str) -> None:
    with pytest.raises(UnknownName) as error:
        session.execute(sql)
    assert expected in error.value.message


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        (
            "insert into shop.orders values (1)",
            "writable: true allows statements to change it. Or work on a copy: create table orders as select",
        ),
        ("drop table shop.sales.lines", "create table lines as select * from shop.sales.lines"),
        ("create table shop.x as select 1", "Or create it in the lake: create table x"),
        ("alter table shop.orders add column x int", "takes insert, update, delete, truncate, drop table"),
        ("query shop 'select 1'", "shop is a DuckDB file"),
        ("attach 'host=x' as pg (type postgres)", "connect postgres, then select"),
        ("from postgres_scan('', 'a', 'b')", "pip install 'unify-sql[postgres]'"),
        ("attach 'mysql:host=x' as my", "connect mysql, then select"),
        ("from query('shop', 'select 1')", "shop is a DuckDB file"),
    ],
)
def test_what_a_database_cannot_do_is_said(session: PythonSession, sql: str, expected: str) -> None:
    with pytest.raises(UnifyError) as error:
        session.execute(sql)
    assert expected in error.value.message


def test_explain_says_what_is_live(session: PythonSession) -> None:
    [(_, sources), (_, plan)] = rows(session, "explain select * from shop.orders where id = 5")
    assert str(sources).startswith("shop.orders: live\n")
    assert "__unify" not in str(plan)


def test_max_age_none_reads_stored_rows_only(session: PythonSession) -> None:
    session.execute("set max_age = none")
    try:
        with pytest.raises(
            QueryError, match=r"no rows of shop\.orders are stored, .*load table shop\.orders"
        ):
            session.execute("from shop.orders")
    finally:
        session.execute("set max_age = default")


def test_a_database_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    path = tmp_path / "connections.yaml"
    path.write_text(CONNECTIONS)
    path.chmod(0o600)
    with unify.open(create_home(tmp_path).home, connections=path, environment={}) as session:
        with pytest.raises(SourceError, match=r"shop: .*shop\.duckdb"):
            session.execute("from shop.orders")
        assert rows(session, "show tables from shop") == []
        assert any("shop.duckdb" in notice for notice in session.notices)
        create_database(tmp_path / "shop.duckdb")
        assert rows(session, "select count(*) from shop.orders") == [(100,)]
