"""Writing to PostgreSQL: every type arrives as the server's own text; refusals, concurrency, lost servers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

import unify
from tests.adapters.database.test_postgres_types import CASES, SETUP
from tests.support.cut_connection import cutting_proxy
from tests.support.postgres_server import PASSWORD, PostgresServer
from tests.support.stores import create_home
from tests.support.waiting import wait_until
from unify.api.session import PythonSession
from unify.errors import QueryError, UnifyError

pytestmark = [pytest.mark.lake, pytest.mark.process, pytest.mark.socket]


@pytest.fixture(scope="module")
def database(postgres_server: PostgresServer) -> str:
    return postgres_server.create_database("writes")


def write_connections(folder: Path, options: dict[str, str]) -> Path:
    path = folder / "connections.yaml"
    path.write_text(f"shop:\n  adapter: postgres\n  options: {json.dumps(options)}\n  writable: true\n")
    path.chmod(0o600)
    return path


@pytest.fixture(scope="module")
def session(
    postgres_server: PostgresServer, database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PythonSession]:
    folder = tmp_path_factory.mktemp("postgres")
    path = write_connections(folder, postgres_server.options(database, schemas="public, sales"))
    with unify.open(create_home(folder).home, connections=path, environment={}) as opened:
        yield opened


def test_every_type_is_written_as_it_was_read(
    session: PythonSession, postgres_server: PostgresServer, database: str
) -> None:
    columns = ", ".join(f"c{number} {type}" for number, type in enumerate(CASES))
    tables = [f"create table {table}(id int primary key, {columns})" for table in ("source", "copied")]
    statements = [SETUP, *tables]
    count = max(len(values) for _, values in CASES.values()) + 1  # the last row is NULL
    for row in range(count):
        values = [values[row] if row < len(values) else "NULL" for _, values in CASES.values()]
        statements.append(f"insert into source values ({row}, {', '.join(values)})")
    postgres_server.run(";".join(statements), database)
    session.execute("export (select * from shop.source order by id) to shop.copied append")
    expected, found = (
        postgres_server.rows(f"select * from {table} order by id", database) for table in ("source", "copied")
    )
    assert len(found) == count
    for want, have in zip(expected, found, strict=True):
        assert list(zip(CASES, have[1:], strict=True)) == list(zip(CASES, want[1:], strict=True))


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("varchar(3)", "'abcd'", "more than 3 characters"),
        ("char(3)", "'abcd'", "more than 3 characters"),
        ("smallint", "32768", "out of range"),
        ("integer", "1.5", "would be rounded"),
        ("numeric(5,2)", "1000", "out of range"),
        ("numeric(5,2)", "'1.005'", "is no decimal"),
        ("numeric(5,-2)", "150", "would be rounded"),
        ("numeric(50,2)", "'1.005'", "is no such value"),
        ("numeric", "'12,5'", "is no such value"),
        ("real", "0.123456789::double", "more digits than a float"),
        ("timestamp(0)", "timestamp '2024-01-01 10:00:00.5'", "would be rounded"),
        ("timestamptz", "'2024-01-01 10:00:00'", "has no time zone"),
        ("timestamptz", "timestamp '2024-01-01 10:00:00'", "write … at time zone 'UTC'"),
        ("date", "timestamp '2024-01-01 10:00:00'", "would be rounded"),
        ("bytea", "'abc'", "write encode(…)"),
        ("json", "'{'", "is no JSON"),
        ("integer[]", "[1, 2.5]", "an element would be rounded"),
        ("uuid", "'x'", "is no uuid"),
        ("kind", "'c'", "none of the labels"),
        ("text", "chr(0)", "contains the character 0"),
        ("text", "[1]", "write to_json(…)"),
        ("interval", "'soon'", "row 1: v: invalid input syntax for type interval"),
        ("int check (v > 0)", "-1", 'row 1: new row for relation "one" violates check constraint'),
        ("int not null", "null::int", "is NULL"),
        ("int references source", "-7", "violates foreign key constraint"),
        ("int generated always as (1) stored", "1", "computed by the database"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_row_and_column(
    session: PythonSession,
    postgres_server: PostgresServer,
    database: str,
    column: str,
    value: str,
    reason: str,
) -> None:
    postgres_server.run(
        "create table if not exists source(id int primary key); drop table if exists one; "
        "drop type if exists kind; create type kind as enum ('a', 'b'); "
        f"create table one(v {column})",
        database,
    )
    with pytest.raises(QueryError) as error:
        session.execute(f"insert into shop.one (v) select {value}")
    assert reason in error.value.message
    assert postgres_server.run("select count(*) from one", database) == "0\n"


def test_new_columns_have_the_types_that_hold_the_values(
    session: PythonSession, postgres_server: PostgresServer, database: str
) -> None:
    session.execute(
        "create or replace table shop.made as select sum(i) as total, 1.50::decimal(5,2) as price, "
        "[1, 2] as list, '{\"a\": 1.10}'::json as j, now() as at, 'ab'::blob as b, uuid() as u, "
        "interval 1 day as span, 18446744073709551615::ubigint as big, 'x\\y\t\\.' || chr(10) || '\\.' as t "
        "from range(3) r(i)"
    )
    types = "select string_agg(format_type(atttypid, atttypmod), ' ' order by attnum) from pg_attribute "
    found = postgres_server.run(f"{types} where attrelid = 'made'::regclass and attnum > 0", database)
    assert found == (
        "numeric(38,0) numeric(5,2) integer[] json timestamp with time zone bytea uuid interval "
        "numeric(20,0) text\n"
    )
    values = "select total, price, list, j, b, span, big, t = E'x\\\\y\\t\\\\.\\n\\\\.' from made"
    assert postgres_server.run(values, database) == (
        '3|1.50|{1,2}|{"a": 1.10}|\\x6162|1 day|18446744073709551615|t\n'
    )


def test_tables_of_every_kind_are_written(
    session: PythonSession, postgres_server: PostgresServer, database: str
) -> None:
    postgres_server.run(
        'create schema sales; create table sales."Odd.Name"("Key" int primary key, "a b" text default \'d\');'
        "create table numbered(id int generated always as identity primary key, v int);"
        "create table parts(id int, v text) partition by list (id); "
        "create table part1 partition of parts default;"
        "create view seen as select 1 as id; create table guarded(id int); alter table guarded "
        "enable row level security; alter table guarded force row level security",
        database,
    )
    session.execute('export (select 1 as key) to shop.sales."Odd.Name" upsert')
    session.execute('export (select 1 as key, \'x\' as "A B") to shop.sales."Odd.Name" upsert by key')
    session.execute("insert into shop.numbered (v) values (5), (6)")
    session.execute("export (select 2 as id, 7 as v) to shop.numbered upsert")
    session.execute("insert into shop.parts values (1, 'a')")
    session.execute("insert into shop.guarded values (1)")
    shown = (
        'select * from sales."Odd.Name"; select id, v from numbered order by 1; table part1; table guarded'
    )
    assert postgres_server.run(shown, database) == "1|x\n1|5\n2|7\n1|a\n1\n"
    with pytest.raises(QueryError, match=r"shop\.seen is a view"):
        session.execute("insert into shop.seen values (1)")


def test_rows_that_others_change_meanwhile_are_not_overwritten(
    session: PythonSession, postgres_server: PostgresServer, database: str
) -> None:
    postgres_server.run(
        "create table stock(id int primary key, n int); insert into stock values (1, 5)", database
    )
    options = postgres_server.options(database)
    with (
        psycopg.connect(
            host="127.0.0.1", port=options["port"], dbname=database, user="postgres", password=PASSWORD
        ) as other,
        ThreadPoolExecutor(1) as pool,
    ):
        other.execute("update stock set n = 3")
        writing = pool.submit(_message_of, session, "update shop.stock set n = n - 5 where n >= 5")
        waits = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
        wait_until(lambda: postgres_server.run(waits, database) == "1\n")
        other.commit()
        assert "1 row changed since the statement read the table; nothing was written" in writing.result(30)
    assert postgres_server.run("table stock", database) == "1|3\n"


def _message_of(session: PythonSession, sql: str) -> str:
    """Run a statement; return its message, or that of its error."""
    try:
        return session.execute(sql).message
    except UnifyError as error:
        return error.message


@pytest.mark.parametrize("passes_on", [True, False])
def test_a_connection_lost_at_commit_is_followed_by_the_question_what_became_of_it(
    postgres_server: PostgresServer, database: str, tmp_path: Path, passes_on: bool
) -> None:
    postgres_server.run("drop table if exists lost; create table lost(id int)", database)
    with cutting_proxy(postgres_server.port, b"COMMIT", after=b"txid_current", passes_on=passes_on) as proxy:
        path = write_connections(tmp_path, postgres_server.options(database, port=str(proxy.port)))
        with unify.open(create_home(tmp_path).home, connections=path, environment={}) as session:
            found = _message_of(session, "insert into shop.lost values (1), (2)")
        assert proxy.was_cut.is_set()
    count = postgres_server.run("select count(*) from lost", database)
    if passes_on:
        assert (found, count) == ("shop.lost: 2 rows inserted", "2\n")
    else:
        assert found.endswith("nothing was written")
        assert count == "0\n"


def test_a_server_that_ends_the_session_leaves_nothing(
    session: PythonSession, postgres_server: PostgresServer, database: str
) -> None:
    postgres_server.run(
        "create table ended(id int); create function stop() returns trigger language plpgsql as "
        "'begin perform pg_terminate_backend(pg_backend_pid()); return new; end';"
        "create trigger stop before insert on ended for each row when (new.id = 3) execute function stop()",
        database,
    )
    found = _message_of(session, "insert into shop.ended from range(5)")
    assert found == "shop: terminating connection due to administrator command; nothing was written"
    assert postgres_server.run("select count(*) from ended", database) == "0\n"
    assert "1 row inserted" in _message_of(session, "insert into shop.ended values (1)")
