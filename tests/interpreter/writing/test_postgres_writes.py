"""Writing to PostgreSQL: every type arrives as the server's own text; refusals, concurrency, lost servers."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

import unify
from tests.adapters.database.server_text import server_text_sql
from tests.adapters.database.test_postgres_types import CASES, SETUP
from tests.interpreter.sources.test_postgres_statements import load_record
from tests.support.command import clean_environment
from tests.support.cut_connection import cutting_proxy
from tests.support.database_session import open_shop_session, write_shop
from tests.support.postgres_server import PASSWORD, PostgresServer
from tests.support.stores import create_home
from tests.support.waiting import wait_until
from unify.api.session import PythonSession
from unify.errors import QueryError, UnifyError
from unify.lake import ledger
from unify.model import TableName

pytestmark = [pytest.mark.lake, pytest.mark.process, pytest.mark.socket]


@pytest.fixture(scope="module")
def database(postgres_server: PostgresServer) -> str:
    return postgres_server.create_database("writes")


@pytest.fixture(scope="module")
def session(
    postgres_server: PostgresServer, database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PythonSession]:
    folder = tmp_path_factory.mktemp("postgres")
    path = write_shop(
        folder, "postgres", postgres_server.options(database, schemas="public, sales"), writable=True
    )
    with open_shop_session(folder, path) as opened:
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
    for mode in ("append", "upsert by id"):  # straight into the table, and by a temporary one
        session.execute(f"export (select * from shop.source order by id) to shop.copied {mode}")
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
        "interval 1 day as span, 18446744073709551615::ubigint as big, "
        "'x\\y\t\\.\r' || chr(10) || "
        "'\\.' as t, ['x\"y', null, '\\', '{,}', ''] as ts "
        "from range(3) r(i)"
    )
    types = "select string_agg(format_type(atttypid, atttypmod), ' ' order by attnum) from pg_attribute "
    found = postgres_server.run(f"{types} where attrelid = 'made'::regclass and attnum > 0", database)
    assert found == (
        "numeric(38,0) numeric(5,2) integer[] json timestamp with time zone bytea uuid interval "
        "numeric(20,0) text text[]\n"
    )
    values = "select total, price, list, j, b, span, big, t = E'x\\\\y\\t\\\\.\\r\\n\\\\.', ts from made"
    assert postgres_server.run(values, database) == (
        '3|1.50|{1,2}|{"a": 1.10}|\\x6162|1 day|18446744073709551615|t|{"x\\"y",NULL,"\\\\","{,}",""}\n'
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
        path = write_shop(
            tmp_path, "postgres", postgres_server.options(database, port=str(proxy.port)), writable=True
        )
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


RANDOM = """
create or replace temp table drawn as select i as id,
  if(random() < 0.1, null, (random() * 2e9 - 1e9)::int) as a,
  if(random() < 0.1, null, ((random() - 0.5) * 1e18)::bigint) as b,
  if(random() < 0.1, null, ((random() - 0.5) * 1e14)::decimal(18,3)) as c,
  if(random() < 0.1, null, (random() - 0.5) * pow(10, (random() * 600 - 300)::int)) as d,
  if(random() < 0.1, null, random()::float) as e,
  if(random() < 0.1, null, list_reduce(
    list_transform(range((random() * 12)::int), lambda x: parts[1 + (random() * 11)::int]),
    lambda x, y: x || y, '')) as f,
  if(random() < 0.1, null, timestamp '1970-01-01' + to_microseconds(((random() - 0.5) * 1e17)::bigint)) as g,
  if(random() < 0.1, null, make_timestamptz(((random() - 0.5) * 1e17)::bigint)) as h,
  if(random() < 0.1, null, date '2000-01-01' + ((random() - 0.5) * 1e6)::int) as j,
  if(random() < 0.1, null, random() < 0.5) as k,
  if(random() < 0.1, null, md5(random()::varchar)::blob) as l,
  if(random() < 0.1, null, [null, (random() * 100)::int, -1]) as m,
  if(random() < 0.1, null, ['x', null, 'é']) as n,
  if(random() < 0.1, null, time '00:00:00' + to_microseconds((random() * 8e10)::bigint)) as o
from range(300) r(i), (values
  (['a', 'é', '😀', chr(9), chr(10), 'b', '\\', '''', '"', '\\.', '\\N', ' '])) as of(parts)
"""


def test_random_rows_come_back_as_the_text_of_the_server(
    session: PythonSession, postgres_server: PostgresServer, database: str
) -> None:
    seed = random.randrange(1_000_000) / 1_000_000
    print(f"seed {seed}")
    session.execute(f"select setseed({seed})").fetchall()
    session.execute(RANDOM)
    session.execute("create or replace table shop.drawn as select * from drawn order by random()")
    columns = session.execute("describe drawn").fetchall()
    shown = ", ".join(server_text_sql(str(name), str(type)) for name, type, *_ in columns)
    expected = session.execute(f"select {shown} from drawn order by id").fetchall()
    found = postgres_server.rows("select * from drawn order by id", database)
    assert list(map(_with_double, found)) == list(map(_with_double, expected))
    session.execute("export (select * exclude (b), -b as b from drawn) to shop.drawn upsert by id")
    changed = session.execute("select count(*) from shop.drawn s join drawn d using (id) where s.b + d.b = 0")
    assert changed.fetchall() == session.execute("select count(b) from drawn").fetchall()


def _with_double(row: Sequence[object]) -> list[object]:
    """The server and DuckDB write a double that lies halfway between two texts differently."""
    return [
        float(text) if number == 4 and text != "NULL" else text for number, text in enumerate(map(str, row))
    ]


def test_parameters_are_values_of_the_rows(
    session: PythonSession, postgres_server: PostgresServer, database: str
) -> None:
    postgres_server.run("create table given(id int primary key, t text)", database)
    session.execute("insert into shop.given values (?, ?)", [1, "a'); drop table given; --"])
    session.execute("update shop.given set t = $new where id = $id", {"new": "b", "id": 1})
    session.execute("delete from shop.given where id = ?", [9])
    assert postgres_server.run("table given", database) == "1|b\n"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_process_that_is_ended_leaves_nothing(
    postgres_server: PostgresServer, database: str, tmp_path: Path, number: signal.Signals
) -> None:
    postgres_server.run("drop table if exists held; create table held(id int)", database)
    options = postgres_server.options(database)
    path = write_shop(tmp_path, "postgres", options, writable=True)
    home = create_home(tmp_path).home
    command = [sys.executable, "-m", "unify", "--home", str(home), "--connections", str(path), "-c"]
    waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like 'COPY%'"
    with psycopg.connect(
        host="127.0.0.1", port=options["port"], dbname=database, user="postgres", password=PASSWORD
    ) as other:
        other.execute("lock table held in share mode")
        process = subprocess.Popen(
            [*command, "insert into shop.held from range(3)"],
            env=clean_environment(tmp_path),
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        wait_until(lambda: postgres_server.run(waiting, database) == "1\n")
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
        if number is signal.SIGINT:
            assert (process.returncode, errors) == (130, "the statement was interrupted\n")
            assert postgres_server.run(waiting, database) == "0\n"
    wait_until(lambda: postgres_server.run(waiting, database) == "0\n")
    assert postgres_server.run("select count(*) from held", database) == "0\n"


def test_a_stored_copy_is_read_from_the_database_after_a_write(
    session: PythonSession, postgres_server: PostgresServer, database: str
) -> None:
    postgres_server.run(
        "create table kept(id int primary key, n int); insert into kept values (1, 1)", database
    )
    lake, now = session._interpreter.session.lake, datetime.now(UTC)
    with lake.write_transaction() as connection:
        connection.execute("create schema if not exists lake.shop")
        connection.execute("create table lake.shop.kept as select 1 as id, 0 as n")
        ledger.insert_load(connection, load_record(TableName("shop", "kept"), now))
    assert session.execute("from shop.kept").fetchall() == [(1, 0)]
    session.execute("pause shop")  # the refresh waits
    try:
        session.execute("update shop.kept set n = n + 1 where id = 1")  # the row of the database
    finally:
        session.execute("resume shop")
    assert postgres_server.run("table kept", database) == "1|2\n"
    assert session.execute("from shop.kept").fetchall() == [(1, 2)]
    assert any("stored rows of shop.kept are those before the write" in one for one in session.notices)
    session.execute("set max_age = none")
    try:
        assert session.execute("from shop.kept").fetchall() == [(1, 0)]
    finally:
        session.execute("set max_age = default")


def test_a_replacement_that_would_delete_rows_of_other_tables_is_refused(
    session: PythonSession, postgres_server: PostgresServer, database: str
) -> None:
    postgres_server.run(
        "create table parents (id int primary key); insert into parents values (1), (2); "
        "create table children (p int references parents on delete cascade); insert into children values (2)",
        database,
    )
    with pytest.raises(QueryError, match=r"nothing was written: 1 foreign key would delete or change rows"):
        session.execute("export (select 1 as id) to shop.parents replace")
    assert session.execute("select count(*) from shop.children").fetchall() == [(1,)]
