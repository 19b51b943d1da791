"""Statements that write to a database, the same ones on PostgreSQL, MariaDB, SQLite and DuckDB files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb
import pytest

import unify
from tests.support.mysql_server import MySQLServer
from tests.support.postgres_server import PostgresServer
from tests.support.stores import create_home
from unify.api.session import PythonSession
from unify.errors import ConfigError, QueryError, UnifyError, UnknownName, UsageError

pytestmark = [pytest.mark.lake, pytest.mark.process, pytest.mark.socket]

ADAPTERS = ("postgres", "mysql", "sqlite", "duckdb")


@pytest.fixture(scope="module", params=ADAPTERS)
def connections(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A connections.yaml with the writable connection ``shop`` and the same database as ``reader``."""
    folder = tmp_path_factory.mktemp(request.param)
    options = _options(request, folder)
    path = folder / "connections.yaml"
    shop = f"adapter: {request.param}\n  options: {json.dumps(options)}\n"
    path.write_text(f"shop:\n  {shop}  writable: true\nreader:\n  {shop}")
    path.chmod(0o600)
    return path


def _options(request: pytest.FixtureRequest, folder: Path) -> dict[str, str]:
    if request.param == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres_server")
        return server.options(server.create_database("writes"))
    if request.param == "mysql":
        mysql: MySQLServer = request.getfixturevalue("mysql_server")
        return mysql.options(mysql.create_database())
    file = folder / "shop.db"
    if request.param == "sqlite":
        file.touch()
    else:
        duckdb.connect(str(file)).close()
    return {"path": str(file)}


@pytest.fixture(scope="module")
def open_session(connections: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PythonSession]:
    home = create_home(tmp_path_factory.mktemp("home")).home
    with unify.open(home, connections=connections, environment={}, max_deletes=2, yes=True) as opened:
        yield opened


@pytest.fixture
def session(open_session: PythonSession) -> PythonSession:
    """A session in which shop.orders has three rows with a key."""
    session = open_session
    try:
        is_there = rows(session) == THREE
    except UnknownName:
        is_there = False
    if not is_there:
        session.execute("drop table if exists shop.orders")
        session.execute(
            "export (select 1 as id, 'Ada' as name, 10.50::decimal(10,2) as amount, "
            "timestamp '2024-01-01 10:00:00' as placed union all select 2, 'Bob', 0.01, null "
            "union all select 3, 'Cy', 7, null) to shop.orders upsert by id"
        )
    return session


def rows(
    session: PythonSession, sql: str = "select id, name from shop.orders order by id"
) -> list[tuple[object, ...]]:
    return list(session.execute(sql).fetchall())


def message(session: PythonSession, sql: str) -> str:
    return session.execute(sql).message


THREE = [(1, "Ada"), (2, "Bob"), (3, "Cy")]


TWO = "export (select 3 as id, 'Cyd' as name union all select 4, 'Di') to shop.orders"
MERGED = [(1, "Ada"), (2, "Bob"), (3, "Cyd"), (4, "Di")]
CASES = [
    ("insert into shop.orders (id, name) values (4, 'Di')", "1 row inserted", [*THREE, (4, "Di")]),
    ("insert into shop.orders by name select 'Di' as name, 4 as id", "1 row inserted", [*THREE, (4, "Di")]),
    ("insert into shop.orders select 4, 'Di', 1, null", "1 row inserted", [*THREE, (4, "Di")]),
    (
        "update shop.orders set name = upper(name) from (values (2), (9)) as u(n) where id = u.n",
        "1 row updated",
        [(1, "Ada"), (2, "BOB"), (3, "Cy")],
    ),
    (
        "update shop.orders as o set name = o.name || '!' where o.id <> 2",
        "2 rows updated",
        [(1, "Ada!"), (2, "Bob"), (3, "Cy!")],
    ),
    ("update shop.orders set name = 'x' where id = 9", "no rows to write", THREE),
    ("delete from shop.orders where name like 'B%' or id = 3", "2 rows deleted", [(1, "Ada")]),
    (f"{TWO} upsert by id", "1 row inserted, 1 updated", MERGED),
    (f"{TWO} merge", "1 row inserted, 1 updated", MERGED),
    (f"{TWO} update by id", "1 row updated, 1 not found", [(1, "Ada"), (2, "Bob"), (3, "Cyd")]),
    (f"{TWO} mirror by id", "1 row inserted, 1 updated, 2 deleted", [(3, "Cyd"), (4, "Di")]),
    (
        "export (select 3 as id, 'x' as name where false) to shop.orders mirror by id",
        "a mirror of none deletes nothing",
        THREE,
    ),
    (
        "export (select 1 as id, 'New' as name) to shop.orders replace",
        "1 row inserted, 3 deleted",
        [(1, "New")],
    ),
    (
        "export (select id + 3 as id, name from shop.orders where id = 1) to shop.orders append",
        "1 row inserted",
        [*THREE, (4, "Ada")],
    ),
    (
        "export (select 1 as id, 'x' as name where false) to shop.orders replace",
        "3 rows deleted",
        [],
    ),
    ("truncate shop.orders", "3 rows deleted", []),
]


@pytest.mark.parametrize(("sql", "said", "left"), CASES)
def test_statements_change_the_table_and_say_how_many_rows(
    session: PythonSession, sql: str, said: str, left: Sequence[tuple[object, ...]]
) -> None:
    assert said in message(session, sql)
    assert rows(session) == left


def test_a_table_is_created_replaced_and_dropped(session: PythonSession) -> None:
    session.execute("drop table if exists shop.made")
    assert (
        message(session, "create table shop.made as from range(3) r(i)")
        == "shop.made was created with 3 rows"
    )
    with pytest.raises(QueryError, match=r"shop\.made exists already; create or replace"):
        session.execute("create table shop.made as select 1 as i")
    assert "exists already" in message(session, "create table if not exists shop.made as select 1 as i")
    replaced = message(session, "create or replace table shop.made as select 'a' as t")
    assert replaced == "shop.made was replaced with 1 row"
    assert rows(session, "from shop.made") == [("a",)]
    session.execute("drop table shop.made")
    with pytest.raises(UnknownName):
        session.execute("from shop.made")


REFUSED = [
    ("insert into reader.orders (id) values (9)", "reader.writable: reader is read-only; writable: true"),
    ("insert into shop.order (id) values (9)", "connection shop has no table order; did you mean orders"),
    ("insert into shop.orders (id, nam) values (9, 'x')", "shop.orders has no column nam; did you mean name"),
    ("insert into shop.orders values (9, 'x')", "4 columns but 2 values"),
    ("insert into shop.orders (id, id) values (9, 9)", "the column id is written twice"),
    ("insert into shop.orders (name) values ('x')", "id must have a value"),
    ("insert into shop.orders (id) values (4), (null)", "row 2: id"),
    ("insert into shop.orders (id) values ('x')", "row 1: id"),
    ("insert into shop.orders (id, placed) values (9, '2024-01-01 10:00:00+02')", "has a time zone"),
    ("insert into shop.orders (id, name) values (9, {'a': 1})", "to_json"),
    ("insert into shop.orders (id, name) values (9, 'x'::blob)", "is a blob, and no varchar"),
    ("insert into shop.orders (id) values (1)", "nothing was written"),
    ("insert into shop.orders (id) values (9) returning *", "returning is for APIs"),
    ("update shop.orders set id = 9 where id = 1", "id is part of the key"),
    ("update shop.orders set nam = 'x'", "has no column nam"),
    (
        "update shop.orders set name = u.t from (values (1, 'a'), (1, 'b')) as u(n, t) where id = u.n",
        "have the same key: id = 1",
    ),
    (
        "export (select 1 as id, 'a' as name union all select 1, 'b') to shop.orders upsert by id",
        "have the same key: id = 1",
    ),
    ("export (select null::int as id, 'a' as name) to shop.orders update by id", "id"),
    ("export (select 'a' as name) to shop.orders upsert by id", "id must have a value"),
    ("export (select 1 as id) to shop.orders", "exists already; end with append"),
    ("export (select 1 as id) to shop.orders append by id", "by KEY goes with update"),
    ("export (select 1 as id) to shop.nothing insert", "has no table nothing"),
    ("export (select 1 as id) to shop.orders upsert by id delta", "delta applies to APIs"),
    ("create table shop.made (id int)", "create table shop.made as select"),
    ("alter table shop.orders add column x int", "takes insert, update, delete"),
    ("drop table shop.nothing", "has no table nothing"),
]


def test_what_cannot_be_written_is_said_and_nothing_is(session: PythonSession) -> None:
    said = [(sql, expected, error_of(session, sql)) for sql, expected in REFUSED]
    assert [one for one in said if one[1] not in one[2] or "unify " in one[2]] == []
    assert rows(session) == THREE


def error_of(session: PythonSession, sql: str) -> str:
    """Run a statement that fails; return its message."""
    with pytest.raises(UnifyError) as error:
        session.execute(sql)
    return error.value.message


def test_more_deletions_than_allowed_are_refused_with_the_count(session: PythonSession) -> None:
    with pytest.raises(UsageError, match="deletes 3 rows; nothing was written"):
        session.execute("delete from shop.orders")
    with pytest.raises(UsageError, match="deletes 3 rows of 3"):
        session.execute("export (select 9 as id, 'x' as name) to shop.orders mirror by id")
    assert rows(session) == THREE


def test_a_transaction_of_the_lake_writes_to_no_database(session: PythonSession) -> None:
    session.execute("begin")
    try:
        with pytest.raises(QueryError, match="inside a transaction of the lake"):
            session.execute("insert into shop.orders (id) values (9)")
    finally:
        session.execute("rollback")
    assert rows(session) == THREE


def test_explain_sends_nothing(session: PythonSession) -> None:
    for sql, said in (
        ("explain insert into shop.orders (id) values (9)", "1 row to insert into shop.orders"),
        ("explain delete from shop.orders where id = 1", "1 row to delete from shop.orders"),
        ("explain create table shop.made as select 1 as i", "create shop.made with 1 row"),
        ("explain drop table shop.orders", "drop shop.orders"),
    ):
        [(_, plan)] = rows(session, sql)
        assert said in str(plan)
        assert "__unify" not in str(plan)
    assert rows(session) == THREE


def test_a_query_in_the_language_of_the_database_stays_read_only(
    session: PythonSession, connections: Path
) -> None:
    with pytest.raises(UnifyError):
        session.execute("query shop 'delete from orders'").fetchall()
    assert rows(session) == THREE


def test_a_connection_that_is_not_writable_is_a_mistake_of_configuration(session: PythonSession) -> None:
    with pytest.raises(ConfigError, match=r"connections\.yaml:\d+: reader\.writable"):
        session.execute("export (select 1 as id) to reader.new")
