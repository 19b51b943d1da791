"""Counts and sums that a PostgreSQL server computes: the same results as over the rows."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

import pytest

import unify
from tests.support.postgres_server import PostgresServer
from tests.support.stores import create_home
from unify.api.session import PythonSession

pytestmark = [pytest.mark.lake, pytest.mark.process, pytest.mark.socket]

TABLE = """
create collation folding (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
create table sales(id int primary key, status text, ok boolean, small smallint, big bigint,
  amount numeric(10, 2), tiny numeric(3, 1), wide numeric(38, 4), f float8, day date, moment timestamp,
  u uuid, folded text collate folding, code char(3), free numeric);
insert into sales select i, (array['open', 'paid', 'void', null])[1 + i % 4],
  case i % 3 when 0 then true when 1 then false end,
  case when i % 7 > 0 then (i % 5000 - 2500)::smallint end, case when i % 5 > 0 then i * 90000000000000 end,
  case when i % 6 > 0 then i * 0.37 - 300 end, i % 99 / 10.0, i * 1234567890.0123, i / 3.0,
  case when i % 50 > 0 then date '2024-01-01' + i % 9 end, timestamp '2024-01-01' + i * interval '1 minute',
  ('00000000-0000-0000-0000-00000000000' || i % 3)::uuid, (array['a', 'A', 'b'])[1 + i % 3],
  (array['a', 'a ', 'b'])[1 + i % 3], (array[1, 1.0, 2])[1 + i % 3] from generate_series(1, 2000) as g(i);
analyze sales
"""
KEYS = ("status", "ok", "day", "folded", "code", "free", "u", "tiny")
VALUES = ("small", "big", "amount", "tiny", "wide", "f", "day", "moment", "status", "id", "ok")
CONDITIONS = (
    *("id < 500", "id between 10 and 1900", "status = 'paid'", "status in ('open', 'void')", "ok = true"),
    *("amount > 100.5", "big <= 9000000000000000", "day >= '2024-01-03'", "moment < '2024-01-01 12:00'"),
    *("folded = 'a'", "f < 100", "small > 0", "amount is null", "u = '00000000-0000-0000-0000-000000000001'"),
)


@pytest.fixture(scope="module")
def database(postgres_server: PostgresServer) -> str:
    name = postgres_server.create_database("aggregates")
    postgres_server.run(TABLE, name)
    return name


@pytest.fixture(scope="module")
def session(
    postgres_server: PostgresServer, database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PythonSession]:
    folder = tmp_path_factory.mktemp("aggregates")
    path = folder / "connections.yaml"
    path.write_text(f"shop: {{adapter: postgres, options: {json.dumps(postgres_server.options(database))}}}")
    path.chmod(0o600)
    with unify.open(create_home(folder).home, connections=path, environment={}) as opened:
        opened.execute("create temp table copied as select * from shop.sales")
        yield opened


def rows(session: PythonSession, sql: str) -> list[tuple[object, ...]]:
    return list(session.execute(sql).fetchall())


def sent(session: PythonSession, sql: str) -> str:
    """Return what is sent to the server for a statement."""
    [first, *_] = rows(session, f"explain {sql}")
    return str(first[1])


def random_query(source: random.Random) -> str:
    """Return a SELECT of aggregates over TABLE."""
    keys = source.sample(KEYS, source.choice((0, 1, 1, 2)))
    values: list[str] = source.sample(
        ["count(*)", *(f"{name}({value})" for name in ("count", "min", "max") for value in VALUES)], 2
    )
    summed = [value for value in VALUES if value in ("small", "big", "amount", "tiny", "wide", "id")]
    values += [
        f"{source.choice(('sum', 'avg'))}({source.choice(summed)})" for _ in range(source.choice((0, 1, 2)))
    ]
    values += source.choice(([], [], [f"sum({summed[0]}) + count(*)"], ["count(distinct status)"]))
    conditions = source.sample(CONDITIONS, source.choice((0, 0, 1, 2)))
    sql = f"select {', '.join([*keys, *values])} from TABLE"
    sql += f" where {' and '.join(conditions)}" if conditions else ""
    sql += f" group by {', '.join(keys)}" if keys else ""
    return sql + source.choice(("", " having count(*) > 10", " order by 1, 2 limit 1000"))


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 8))])
def test_random_aggregates_are_those_of_the_rows(session: PythonSession, seed: int) -> None:
    source = random.Random(seed)
    for _ in range(25):
        sql = random_query(source)
        expected, found = (
            sorted(rows(session, sql.replace("TABLE", table)), key=repr) for table in ("copied", "shop.sales")
        )
        assert list(map(repr, found)) == list(map(repr, expected)), sql
        types = [
            rows(session, f"describe {sql.replace('TABLE', table)}") for table in ("copied", "shop.sales")
        ]
        assert types[0] == types[1], sql


@pytest.mark.parametrize(
    "sql",
    [
        "select status, sum(amount) as amount from shop.sales group by status order by amount desc",
        "select status as s, count(*) from shop.sales group by all having count(*) > 1",
        "select sum(big), avg(amount), min(moment), max(moment), count(free) from shop.sales where id < 100",
        "select distinct status from shop.sales",
        "with t as (select day, max(amount) as m from shop.sales group by day) select * from t where m > 1",
        "select coalesce(status, 'none'), round(sum(amount) / count(*), 2) from shop.sales group by 1",
        "select status, ok, count(*) from shop.sales group by grouping sets ((status), (ok), ())",
    ],
)
def test_the_server_groups(session: PythonSession, sql: str) -> None:
    assert "count(*) AS n" in sent(session, sql)
    expected = rows(session, sql.replace("shop.sales", "copied"))
    assert sorted(rows(session, sql), key=repr) == sorted(expected, key=repr)


@pytest.mark.parametrize(
    "sql",
    [
        "select id, sum(amount) from shop.sales group by id",  # as many groups as rows
        "select moment, count(*) from shop.sales group by moment",
        "select folded, count(*) from shop.sales group by folded",  # the server's groups are larger
        "select code, count(*) from shop.sales group by code",
        "select free, count(*) from shop.sales group by free",
        "select sum(f) from shop.sales",  # depends on the order of the rows
        "select sum(amount) from shop.sales where amount > 5",
        "select count(distinct status) from shop.sales",
        "select sum(amount) filter (where ok) from shop.sales",
        "select status, sum(amount) over () from shop.sales",
        "select status, list(amount) from shop.sales group by status",
        "select status, count(*) from shop.sales where amount + 1 > 5 group by status",
        "select count(*) from shop.sales a join shop.sales b using (id)",
    ],
)
def test_a_statement_that_needs_rows_gets_rows(session: PythonSession, sql: str) -> None:
    assert "count(*)" not in sent(session, sql)
    expected = rows(session, sql.replace("shop.sales", "copied"))
    assert len(rows(session, sql)) == len(expected)


def test_a_macro_that_is_called_like_a_function_is_used(session: PythonSession) -> None:
    session.execute("create temp macro sum(x) as max(x) - min(x)")
    try:
        assert rows(session, "select sum(id) from shop.sales") == [(1999,)]
    finally:
        session.execute("drop macro sum")


def test_newest_rows_are_found_by_an_index_and_null_comes_last(session: PythonSession) -> None:
    assert 'ORDER BY "id" DESC LIMIT 3' in sent(session, "from shop.sales order by id desc limit 3")
    sql = "select day, id from shop.sales order by day desc, id limit 1970"
    assert "UNION ALL" not in sent(session, sql)
    found = rows(session, sql)
    assert found == rows(session, sql.replace("shop.sales", "copied"))
    assert found[-1] == (None, 500)


def test_an_index_gives_the_newest_rows_of_a_column_with_null(
    session: PythonSession, postgres_server: PostgresServer, database: str
) -> None:
    postgres_server.run("create index by_day on sales(day)", database)
    for order in ("day desc, id", "day nulls first, id desc", "day desc nulls first, id", "day, id"):
        sql = f"select day, id from shop.sales where id > 20 order by {order} limit 1950"
        is_split = order in ("day desc, id", "day nulls first, id desc")
        assert ("UNION ALL" in sent(session, sql)) == is_split, order
        assert rows(session, sql) == rows(session, sql.replace("shop.sales", "copied")), order
    sql = sent(session, "from shop.sales order by day desc limit 3").partition("live")[2]
    plan = postgres_server.run(f"explain {sql}", database)
    assert "Index Scan Backward using by_day" in plan
