"""Random queries have the same result live, with conditions applied by the server, and over stored rows."""

from __future__ import annotations

import os

import duckdb
import pytest

from tests.adapters.database.conftest import open_adapter
from tests.adapters.database.random_queries import differing_queries
from tests.support.mysql_server import MySQLServer
from tests.support.postgres_server import PostgresServer
from unify.adapters.relation import RelationalAdapter

SEED = int(os.environ.get("UNIFY_TEST_SEED", "13"))
_TEXT_VALUES = ("a", "A", "a ", "", "Ä", "ab", "AB", "abc", "o'x", "b\\c", "ss", "ß", "é", "é", None)
COLUMNS = {
    "id": "number",
    "small": "number",
    "big": "number",
    "amount": "number",
    "wide": "number",
    "f": "number",
    "r": "number",
    "note": "text",
    "folded": "text",
    "code": "text",
    "day": "date",
    "at": "time",
    "ats": "time",
}
POSTGRES_COLUMNS = COLUMNS | {"ok": "boolean", "u": "uuid", "mood": "text", "dom": "number", "cs": "text"}
POSTGRES_TABLE = """
create extension if not exists citext;
create collation if not exists folding (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
create type feeling as enum ('a', 'ab', 'zz');
create domain amount as numeric(12,3);
create table orders(id int primary key, small smallint, big bigint, amount numeric(10,2), wide numeric(38,10),
  f float8, r real, note text, folded text collate folding, code char(4), day date, at timestamp,
  ats timestamptz, ok boolean, u uuid, mood feeling, dom amount, cs citext)
"""
MYSQL_TABLE = """
create table orders(id int primary key, small smallint, big bigint, amount decimal(10,2), wide decimal(38,10),
  f double, r float, note varchar(20), folded varchar(20) collate utf8mb4_bin,
  code char(4) character set latin1, day date, at datetime(6), ats timestamp(6) null)
"""


def _literal(value: object) -> str:
    if value is None:
        return "NULL"
    return "'" + str(value).replace("'", "''") + "'"


def _rows() -> list[list[object]]:
    """Rows around the constants of the queries; every column has NULLs."""
    texts = _TEXT_VALUES
    rows: list[list[object]] = []
    for n in range(90):
        text = texts[n % len(texts)]
        plain = text if text is None or text.isascii() else "é"
        moment = f"2024-01-{n % 28 + 1:02} {n % 24:02}:00:00{'.5' if n % 3 == 0 else ''}"
        rows.append(
            [
                n,
                n % 11 - 1 if n % 7 else None,
                (9007199254740990 + n if n % 2 else n) if n % 5 else None,
                n / 4 if n % 6 else None,
                f"{n}.{n:010}" if n % 8 else "0.1000000000",
                n / 2 if n % 9 else 0.1,
                n / 2 if n % 9 else 0.1,
                text,
                texts[(n * 7) % len(texts)],
                plain[:4] if plain is not None else None,
                f"2024-01-{n % 28 + 1:02}" if n % 10 else None,
                moment if n % 10 else None,
                moment if n % 12 else None,
            ]
        )
    return rows


@pytest.fixture(scope="module")
def postgres_orders(
    postgres_server: PostgresServer, database: str, shop: RelationalAdapter
) -> RelationalAdapter:
    values = []
    for row in _rows():
        n = int(str(row[0]))
        more = ["true" if n % 2 else "false", f"00000000-0000-0000-0000-{n:012x}"]
        more += [("a", "ab", "zz")[n % 3], f"{n}.125", ("a", "A", "ab", "AB")[n % 4]]
        values.append("(" + ", ".join(map(_literal, [*row, *more])) + ")")
    special = (
        "(900, null, null, 'NaN', null, 'NaN', 'NaN', null, null, null, 'infinity', 'infinity', '-infinity')"
    )
    columns = ", ".join(COLUMNS)
    postgres_server.run(
        f"{POSTGRES_TABLE}; insert into orders values {', '.join(values)};"
        f"insert into orders({columns}) values {special}",
        database,
    )
    return shop


@pytest.fixture(scope="module")
def mysql_orders(mysql_server: MySQLServer, duck: duckdb.DuckDBPyConnection) -> RelationalAdapter:
    name = mysql_server.create_database()
    values = [
        "(" + ", ".join(_literal(value).replace("\\", "\\\\") for value in row) + ")" for row in _rows()
    ]
    zeros = "(900, null, null, null, null, null, null, null, null, null, '0000-00-00', '2024-00-10 10:00', 0)"
    mysql_server.run(
        f"{MYSQL_TABLE}; set sql_mode = ''; insert into orders values {', '.join(values)}, {zeros}", name
    )
    adapter = open_adapter("mysql", mysql_server.options(name), name="mine")
    adapter.attach(duck)
    return adapter


def test_random_queries_of_postgresql_are_the_same_live_and_stored(
    postgres_orders: RelationalAdapter, duck: duckdb.DuckDBPyConnection
) -> None:
    differences, pushed = differing_queries(duck, postgres_orders, "orders", POSTGRES_COLUMNS, SEED, 120)
    assert differences == []
    assert pushed > 30


def test_random_queries_of_mysql_are_the_same_live_and_stored(
    mysql_orders: RelationalAdapter, duck: duckdb.DuckDBPyConnection
) -> None:
    differences, pushed = differing_queries(duck, mysql_orders, "orders", COLUMNS, SEED, 120)
    assert differences == []
    assert pushed > 30


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_many_random_queries_are_the_same_live_and_stored(
    postgres_orders: RelationalAdapter,
    mysql_orders: RelationalAdapter,
    duck: duckdb.DuckDBPyConnection,
    seed: int,
) -> None:
    for adapter, columns in ((postgres_orders, POSTGRES_COLUMNS), (mysql_orders, COLUMNS)):
        differences, _ = differing_queries(duck, adapter, "orders", columns, 1000 + seed, 1000)
        assert differences == []
