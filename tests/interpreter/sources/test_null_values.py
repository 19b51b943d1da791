"""NaN in decimal columns of a live table: NULL, with a notice."""

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
create table prices(id int primary key, kind text, amount numeric(10, 2), chosen numeric, whole numeric(5));
insert into prices select i, 'k' || i % 3, i / 4.0, i / 8.0, i from generate_series(1, 100) as g(i);
insert into prices values (0, 'k0', 'NaN', 'NaN', null), (101, 'k1', 'NaN', 1, 1), (102, '', null, 1, 'NaN');
analyze prices
"""


@pytest.fixture(scope="module")
def session(
    postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PythonSession]:
    database = postgres_server.create_database("null_values")
    postgres_server.run(TABLE, database)
    folder = tmp_path_factory.mktemp("null_values")
    path = folder / "connections.yaml"
    options = json.dumps(postgres_server.options(database))
    tables = "{prices: {columns: {chosen: 'decimal(9,3)'}}}"
    path.write_text(f"shop: {{adapter: postgres, options: {options}, tables: {tables}}}")
    path.chmod(0o600)
    with unify.open(create_home(folder).home, connections=path, environment={}) as opened:
        yield opened


def run(session: PythonSession, sql: str) -> tuple[list[tuple[object, ...]], str]:
    """Return the rows, and the notices."""
    before = len(session.notices)
    found = session.execute(sql)
    rows = list(found.fetchall()) if found.columns else []
    return rows, " ".join(map(str, session.notices[before:]))


@pytest.mark.parametrize(
    ("sql", "expected", "columns"),
    [
        ("select amount from shop.prices where id = 0", [(None,)], "amount"),
        ("select count(amount), count(*) from shop.prices where id in (0, 1)", [(1, 2)], "amount"),
        ("select count(amount) from shop.prices where id in (1, 2)", [(2,)], ""),
        (
            "select kind, count(amount) from shop.prices where kind = 'k0' group by all",
            [("k0", 33)],
            "amount",
        ),
        ("select amount, id from shop.prices where id = 1", [("0.25", 1)], ""),
        ("select id from shop.prices where id = 0", [(0,)], ""),
        ("select whole from shop.prices where id = 102", [(None,)], "whole"),
        ("select chosen from shop.prices where id < 1", [(None,)], "chosen"),
        ("select sum(amount) from shop.prices", [("1262.50",)], "amount"),
        (
            "select sum(amount), avg(amount), max(amount) from shop.prices",
            [("1262.50", 12.625, "25.00")],
            "amount",
        ),
        ("select min(amount) from shop.prices", [("0.25",)], "amount"),
        ("select min(amount) from shop.prices where id > 0 and id < 9", [("0.25",)], ""),
        ("select sum(amount) from shop.prices where id between 1 and 9", [("11.25",)], ""),
        ("select max(amount) from shop.prices where id > 100", [(None,)], "amount"),
        ("select amount from shop.prices where amount > 24.9", [("25.00",)], ""),
        ("select id from shop.prices order by amount desc, id limit 1", [(100,)], ""),
        (
            "select kind, sum(amount) from shop.prices where kind = 'k1' group by all",
            [("k1", "429.25")],
            "amount",
        ),
    ],
)
def test_nan_is_null_with_a_notice(
    session: PythonSession, sql: str, expected: list[tuple[object, ...]], columns: str
) -> None:
    rows, notice = run(session, sql)
    assert [tuple(str(one) if hasattr(one, "as_tuple") else one for one in row) for row in rows] == expected
    if columns:
        assert f"shop.prices: NaN in {columns} is read as NULL" in notice
    else:
        assert "NaN" not in notice


@pytest.mark.parametrize(
    ("sql", "expected", "columns"),
    [
        ("select number, price from few where number = 0", [(0, None)], "amount"),
        ("select price from few where number = 2", [("0.50",)], ""),
        ("select count(price) from few", [(10,)], "amount"),
        ("select min(amount) from every where kind = 'k1'", [("0.25",)], "amount"),
        ("select whole from every order by id desc limit 1", [(None,)], "whole"),
    ],
)
def test_views_have_the_notice(
    session: PythonSession, sql: str, expected: list[tuple[object, ...]], columns: str
) -> None:
    session.execute(
        "create or replace temp view few as select id as number, amount as price "
        "from shop.prices where id <= 10"
    )
    session.execute("create or replace temp view every as from shop.prices")
    rows, notice = run(session, sql)
    assert [tuple(str(one) if hasattr(one, "as_tuple") else one for one in row) for row in rows] == expected
    assert (f"shop.prices: NaN in {columns} is read as NULL" in notice) if columns else ("NaN" not in notice)


def test_statements_that_give_no_rows_have_the_notice(session: PythonSession) -> None:
    for sql in (
        "create temp table copied as select * from shop.prices",
        "create table kept as select * from shop.prices",
        "insert into kept select * from shop.prices where amount is null",
        "$prices = select * from shop.prices",
        "$total = (select sum(amount) from shop.prices)",
    ):
        _, notice = run(session, sql)
        assert "NaN in amount" in notice, sql


def test_a_read_only_transaction_reads_without_the_notice(session: PythonSession) -> None:
    session.execute("begin transaction read only")
    try:
        assert run(session, "select amount from shop.prices where id = 0") == ([(None,)], "")
    finally:
        session.execute("rollback")
    session.execute("begin")
    assert "NaN in amount" in run(session, "select amount from shop.prices where id = 0")[1]
    session.execute("rollback")
    assert "NaN in amount" in run(session, "select amount from shop.prices where id = 0")[1]
