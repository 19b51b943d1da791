"""Statements over a PostgreSQL server: freshness, changes of tables, Ctrl-C, transactions, secrets."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import unify
from tests.support.database_session import open_shop_session, write_shop
from tests.support.postgres_server import PASSWORD, PostgresServer
from tests.support.stores import create_home
from tests.support.waiting import wait_until
from unify.api.session import PythonSession
from unify.errors import Interrupted, QueryError, UnifyError
from unify.lake import ledger
from unify.model import LoadRecord, TableName

pytestmark = [pytest.mark.lake, pytest.mark.process, pytest.mark.socket]

TABLES = """
create table orders(id int primary key, customer text, amount numeric(10, 2), free numeric);
insert into orders select i, 'c' || i % 3, i * 1.5, i from generate_series(0, 999) i;
create schema sales;
create table sales.lines(id int primary key, order_id int, note text);
insert into sales.lines values (1, 5, 'a'), (2, 7, null);
create table changing(a int, b int default 7);
insert into changing values (1), (2);
create sequence numbers;
create table events(id int primary key, kind text);
insert into events select i, 'k' || i % 100 from generate_series(0, 19999) i;
analyze events;
create view slow as select id, pg_sleep(0.005)::text as waited from orders;
"""


@pytest.fixture(scope="module")
def database(postgres_server: PostgresServer) -> str:
    name = postgres_server.create_database("statements")
    postgres_server.run(TABLES, name)
    return name


@pytest.fixture(scope="module")
def session(
    postgres_server: PostgresServer, database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PythonSession]:
    folder = tmp_path_factory.mktemp("postgres")
    path = write_shop(folder, "postgres", postgres_server.options(database, schemas="public, sales"))
    with open_shop_session(folder, path) as opened:
        yield opened


def rows(session: PythonSession, sql: str) -> list[tuple[object, ...]]:
    return list(session.execute(sql).fetchall())


def load_record(name: TableName, at: datetime) -> LoadRecord:
    return LoadRecord(
        job=1,
        uid=str(name),
        action="load",
        table=name,
        status="success",
        rows_total=1,
        started_at=at,
        finished_at=at,
    )


@pytest.fixture
def stored_lines(session: PythonSession) -> Iterator[None]:
    """Rows of sales.lines in the lake, loaded ten minutes ago; the server has others."""
    lake = session._interpreter.session.lake
    loaded_at = datetime.now(UTC) - timedelta(minutes=10)
    name = TableName("shop", "sales.lines")
    with lake.write_transaction() as connection:
        connection.execute("create schema if not exists lake.shop")
        connection.execute("create table lake.shop.\"sales.lines\" as select 9 as id, 'old' as note")
        ledger.insert_load(connection, load_record(name, loaded_at))
    yield
    session.execute("set max_age = default")
    session.execute("clear table shop.sales.lines")


def test_max_age_decides_between_stored_and_live(session: PythonSession, stored_lines: None) -> None:
    count = "select count(*) from shop.sales.lines"
    for max_age, expected in (("default", 1), ("0", 2), ("'5 minutes'", 2), ("'1 hour'", 1), ("none", 1)):
        session.execute(f"set max_age = {max_age}")
        assert rows(session, count) == [(expected,)], max_age
    assert ("shop", "sales.lines", 1, "10 min ago", "stored", None) in rows(session, "show tables from shop")


def test_views_and_prepared_statements_follow_max_age(session: PythonSession, stored_lines: None) -> None:
    session.execute("create view follow as select note from shop.sales.lines order by id")
    session.execute("prepare follow as select note from shop.sales.lines where id < ? order by id")
    assert rows(session, "from follow") == [("old",)]
    session.execute("set max_age = 0")
    assert rows(session, "from follow") == [("a",), (None,)]
    assert rows(session, "execute follow(2)") == [("a",)]
    session.execute("set max_age = default")
    assert rows(session, "execute follow(10)") == [("old",)]


def test_stored_rows_are_read_while_the_server_is_down(
    postgres_server: PostgresServer, tmp_path: Path
) -> None:
    options = postgres_server.options("postgres") | {"port": "1"}
    path = write_shop(tmp_path, "postgres", options)
    with unify.open(create_home(tmp_path).home, connections=path, environment={}) as session:
        with pytest.raises(UnifyError) as error:
            session.execute("from shop.orders")
        assert error.value.message.startswith("shop: ")
        assert "Connection refused" in error.value.message
        lake = session._interpreter.session.lake
        with lake.write_transaction() as connection:
            connection.execute("create schema lake.shop")
            connection.execute("create table lake.shop.orders as select 1 as id")
            now = datetime.now(UTC)
            name = TableName("shop", "orders")
            ledger.insert_load(connection, load_record(name, now))
        assert rows(session, "from shop.orders") == [(1,)]
        assert rows(session, "from shop.public.orders") == [(1,)]


def test_a_changed_table_is_read_as_it_is_now(
    session: PythonSession, postgres_server: PostgresServer, database: str
) -> None:
    session.execute("create view cv as from shop.changing")
    session.execute("prepare cp as from shop.changing order by a")
    assert rows(session, "from shop.changing order by a") == [(1, 7), (2, 7)]
    for change, expected in (
        ("alter table changing alter a type bigint", [(1, 7), (2, 7)]),
        ("alter table changing add c text default 'new'", [(1, 7, "new"), (2, 7, "new")]),
        ("alter table changing alter b type text", [(1, "7", "new"), (2, "7", "new")]),
        ("alter table changing drop c", [(1, "7"), (2, "7")]),
    ):
        postgres_server.run(change, database)
        for sql in ("from shop.changing order by a", "from cv order by a", "execute cp"):
            assert rows(session, sql) == expected, (change, sql)


def test_a_transaction_sees_one_version_of_the_server(
    session: PythonSession, postgres_server: PostgresServer, database: str
) -> None:
    session.execute("begin")
    try:
        before = rows(session, "select count(*) from shop.orders")
        postgres_server.run("insert into orders values (1000, 'new', 0, 0)", database)
        assert rows(session, "select count(*) from shop.orders") == before
    finally:
        session.execute("commit")
    assert rows(session, "select count(*) from shop.orders") == [(1001,)]


def test_the_server_applies_conditions_orders_limits_and_counts(
    session: PythonSession, postgres_server: PostgresServer, database: str
) -> None:
    for sql, sent in (
        ("select customer from shop.orders where id = 5", 'WHERE ("id" = 5)'),
        (
            "select * from shop.orders order by id desc limit 2 offset 1",
            'ORDER BY "id" DESC LIMIT 3',
        ),
        ("select count(*) from shop.orders", "count(*)"),
    ):
        assert rows(session, sql)
        assert any(sent in line for line in postgres_server.statements(database)[-6:]), sql


def test_keys_of_a_small_table_limit_what_the_server_sends(
    session: PythonSession, postgres_server: PostgresServer, database: str
) -> None:
    session.execute(
        "create table few as select * from (values (5, 'k5'), (70, 'k1'), (null, null)) v(id, kind)"
    )
    for sql, expected, sent in (
        (
            "select e.kind from few f join shop.events e on e.id = f.id order by 1",
            ["k5", "k70"],
            '"id" IN (5, 70)',
        ),
        ("select e.id from shop.events e join few f on e.kind = f.kind where f.id = 5 limit 1", [5], "'k5'"),
        (
            "select e.id from few f left join shop.events e on e.id = f.id order by 1",
            [5, 70, None],
            "IN (5, 70)",
        ),
        ("select count(*) from shop.events e left join few f on e.id = f.id", [20_000], "FROM"),
        ("select count(*) from shop.events e join few f on e.id::text = f.kind", [0], "FROM"),
    ):
        assert [row[0] for row in rows(session, sql)] == expected, sql
        assert any(sent in line for line in postgres_server.statements(database)[-8:]), sql


def test_a_query_of_the_database_itself(session: PythonSession) -> None:
    assert rows(session, "query shop 'select count(*) from orders where id < 10'") == [(10,)]
    session.execute("$n = (select * from query('shop', 'select max(id) from sales.lines'))")
    assert rows(
        session, "select note is null from query('SHOP', 'select * from sales.lines') where id = $n"
    ) == [(True,)]
    for sql, expected in (
        ("query shop 'select nothing'", 'column "nothing" does not exist'),
        ("query shop 'delete from orders'", "SELECT"),
        ("query shop 'with d as (delete from orders returning id) table d'", "data-modifying statement"),
        ("query shop 'select nextval(''numbers'')'", "read-only transaction"),
        ("create view direct as from query('shop', 'select 1')", "cannot be part of a view"),
        ("from query('lake', 'select 1')", "no connection lake"),
    ):
        with pytest.raises(UnifyError) as error:
            rows(session, sql)
        assert expected in error.value.message


@pytest.mark.parametrize(
    "sql",
    [
        "from query('shop', 'select pg_sleep(5)::text')",
        "select count(*) from shop.slow where waited <> 'x'",
        "$x = select * from shop.slow",
        "create table copied as select * from shop.slow order by id",
    ],
)
def test_ctrl_c_ends_the_statement_on_the_server(
    session: PythonSession, postgres_server: PostgresServer, database: str, sql: str
) -> None:
    active = (
        f"select count(*) from pg_stat_activity where datname = '{database}' and state = 'active' "
        "and application_name like 'unify%' and now() - query_start > interval '0.3 s'"
    )
    interrupted_at: list[float] = []

    def interrupt() -> None:
        wait_until(lambda: postgres_server.run(active) != "0\n")
        interrupted_at.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(Interrupted):
            rows(session, sql)
        assert time.monotonic() - interrupted_at[0] < 10  # they take 20 seconds and more
    finally:
        thread.join()
    assert postgres_server.run(active) == "0\n"
    assert rows(session, "select count(*) from shop.sales.lines") == [(2,)]


def test_no_secret_is_shown(session: PythonSession) -> None:
    shown: list[object] = []
    for sql in (
        "explain select * from shop.orders",
        "select * from duckdb_databases()",
        "select * from duckdb_secrets()",
        "show databases",
        "select sql from duckdb_views()",
        "from unify.connections",
        "show settings",
    ):
        shown += rows(session, sql)
    for sql in (
        "from shop.nothing",
        "query shop 'select 1/0'",
        "detach shop",
    ):
        with pytest.raises(UnifyError) as error:
            rows(session, sql)
        shown += [error.value.message, repr(error.value.__cause__)]
    shown += session.notices
    assert PASSWORD not in str(shown)
    assert "canary" not in str(shown)
    assert "__unify" not in str(rows(session, "show databases")) + str(rows(session, "show all tables"))


def test_a_wrong_password_is_refused_without_showing_it(
    postgres_server: PostgresServer, tmp_path: Path
) -> None:
    path = write_shop(tmp_path, "postgres", postgres_server.options("postgres", password="wrong-canary"))
    with unify.open(create_home(tmp_path).home, connections=path, environment={}) as session:
        with pytest.raises(UnifyError, match="password authentication failed") as error:
            session.execute("from shop.orders")
        assert "canary" not in str(error.value) + repr(error.value.__cause__)


def test_an_unknown_table_is_an_error_that_keeps_the_session(session: PythonSession) -> None:
    with pytest.raises(QueryError):
        rows(session, "select nothing from shop.orders")
    assert rows(session, "select id from shop.orders where id = 1") == [(1,)]


def connect_statement(server: PostgresServer, database: str, password: str) -> str:
    options = server.options(database) | {"password": password.replace("'", "''")}
    given = ", ".join(f"{name} = '{value}'" for name, value in options.items())
    return f"connect postgres as warehouse with {given}"


def test_connect_tests_a_database_before_it_is_saved(
    postgres_server: PostgresServer, database: str, tmp_path: Path
) -> None:
    path = tmp_path / "connections.yaml"
    path.touch(mode=0o600)
    with unify.open(create_home(tmp_path).home, connections=path, environment={}) as session:
        with pytest.raises(UnifyError, match="password authentication failed") as error:
            session.execute(connect_statement(postgres_server, database, "wrong-canary"))
        assert error.value.message.startswith("warehouse is not saved: ")
        assert "canary" not in error.value.message
        assert path.read_text() == ""
        message = session.execute(connect_statement(postgres_server, database, PASSWORD)).message
        assert "warehouse is saved in" in message
        assert "PostgreSQL 15" in message
        assert rows(session, "select id from warehouse.orders where id = 1") == [(1,)]
        with pytest.raises(UnifyError, match="has no option hosst; did you mean host"):
            session.execute("connect postgres as other with hosst = 'x'")
        with pytest.raises(UnifyError, match="unknown adapter postgrs; did you mean postgres"):
            session.execute("connect postgrs as other with host = 'x'")


def test_domains_and_rounded_numerics_have_every_digit(
    session: PythonSession, postgres_server: PostgresServer, database: str
) -> None:
    postgres_server.run(
        "create domain price as numeric(30,10); create table priced(a price, b numeric(5,-2));"
        "insert into priced values (12345678901234567890.0123456789, 12345)",
        database,
    )
    digits = [("12345678901234567890.0123456789", "12300")]
    assert rows(session, "select a::varchar, b::varchar from shop.priced") == digits
    assert rows(session, "select sum(a)::varchar, max(b)::varchar from shop.priced") == digits
