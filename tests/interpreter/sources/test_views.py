"""Views of a live table: conditions, order and limit of a statement are sent, and change no result."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

import unify
from tests.support.postgres_server import PostgresServer
from tests.support.stores import create_home
from unify.api.session import PythonSession

pytestmark = [pytest.mark.lake, pytest.mark.process, pytest.mark.socket]

TABLE = """
create table orders(id int primary key, status text, amount numeric(10, 2), day date);
insert into orders
  select i, (array['open', 'paid', 'Paid', null])[1 + i % 4], i / 4.0, date '2026-01-01' + i % 50
  from generate_series(1, 400) as g(i);
analyze orders
"""
VIEWS = (
    "create view named as select id as number, status, amount * 2 as twice from shop.orders where id > 10",
    "create view every as from shop.orders",
    "create view odd as select * from shop.orders where id % 2 = 1",
    "create view renamed(a, b) as select id, status from shop.orders",
    "create view swapped as select id as amount, amount as id from shop.orders",
    "create view newest as select * from shop.orders order by id desc limit 3",
    "create view grouped as select status, count(*) as n from shop.orders group by all",
    "create view outside as select o.*, 1 as one from shop.orders o",
    "create view inner_view as select number from named where number < 20",
    "create view later as select id, random() as r from shop.orders",
)
# A statement, and a part of what is sent; "" if the whole table is read.
STATEMENTS = (
    ("select number, status from named where number = 12", '("id" > 10) AND ("id" = 12)'),
    ("select * from named where status = 'paid' and twice > 10 order by all", "'paid'"),
    ("select number from named order by number desc limit 2", 'ORDER BY "id" DESC LIMIT 2'),
    ("select twice from named order by twice desc limit 2", '"id" > 10)'),
    ("select n.number from named n join named m using (number) where n.number = 15", '"id" = 15'),
    ("select id, status from every where id in (3, 4) order by id", '"id" IN (3, 4)'),
    ("select count(*) from every", "SELECT count(*)"),
    ("select count(*) from every where id < 9", '"id" < 9'),
    ("select status, sum(amount) from every group by status order by status", "GROUP BY"),
    ("select * from odd where id < 6 order by id", '"id" < 6'),
    ("select id from odd order by id limit 2", ""),
    ("select a from renamed where a = 5", ""),
    ("select id from swapped where amount = 8", '"id" = 8'),
    ("select amount from swapped where id = 2", '"amount" = 2'),
    ("select id from newest where id < 399", ""),
    ("select n from grouped where status = 'open'", ""),
    ("select id, one from outside where id = 5", ""),
    ("select number from inner_view where number > 17 order by number", ""),
    ("select count(*) from later where id > 390", '"id" > 390'),
    ("with named as (select 1 as number) select number from named where number = 1", None),
    ("select v.status from every as v where v.id = 6", '"id" = 6'),
    ("select main.every.status from main.every where main.every.id = 6", '"id" = 6'),
    ("select day from every where day >= '2026-02-18' order by id limit 1", "2026-02-18"),
    ("select distinct status from every where amount > 99.5 order by all", "99.5"),
)


@pytest.fixture(scope="module")
def session(
    postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PythonSession]:
    database = postgres_server.create_database("views")
    postgres_server.run(TABLE, database)
    folder = tmp_path_factory.mktemp("views")
    path = folder / "connections.yaml"
    path.write_text(f"shop: {{adapter: postgres, options: {json.dumps(postgres_server.options(database))}}}")
    path.chmod(0o600)
    with unify.open(create_home(folder).home, connections=path, environment={}) as opened:
        opened.execute("create temp table copied as select * from shop.orders")
        for view in VIEWS:  # those of the lake take a commit each
            kept = view.startswith(("create view named", "create view every", "create view renamed"))
            opened.execute(view if kept else view.replace("create view", "create temp view"))
        for view in VIEWS:  # the same over a local table, as expected results
            opened.execute(
                view.replace("shop.orders", "copied")
                .replace("view ", "temp view local_", 1)
                .replace("from named", "from local_named")
            )
        yield opened


def rows(session: PythonSession, sql: str) -> list[tuple[object, ...]]:
    return list(session.execute(sql).fetchall())


@pytest.mark.parametrize(("sql", "sent"), STATEMENTS)
def test_a_condition_on_a_view_is_one_on_its_table(
    session: PythonSession, sql: str, sent: str | None
) -> None:
    local = sql
    for view in VIEWS:
        name = view.split()[2].partition("(")[0]
        local = local.replace(f" {name}", f" local_{name}").replace("main.every", "local_every")
    if sent is not None:
        assert rows(session, sql) == rows(session, local)
    else:
        assert rows(session, sql) == [(1,)]
        return
    [(key, statements), _] = rows(session, f"explain {sql}")
    assert key == "sources"
    if sent:
        assert sent in str(statements)
    else:
        assert "WHERE" not in str(statements)


def test_a_temporary_table_hides_a_view(session: PythonSession) -> None:
    session.execute("create view hidden as select id from shop.orders")
    session.execute("create temp table hidden as select -1 as id")
    try:
        assert rows(session, "select id from hidden where id = -1") == [(-1,)]
    finally:
        session.execute("drop table temp.hidden")
    assert rows(session, "select id from hidden where id = 7") == [(7,)]


def test_a_macro_with_the_name_of_a_function_is_used(session: PythonSession) -> None:
    session.execute("create temp macro count(x) as 42")
    try:
        assert rows(session, "select count(id) from every where id = 1") == [(42,)]
    finally:
        session.execute("drop macro temp.count")
