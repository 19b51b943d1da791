"""Real drivers: psycopg 3 and 2, asyncpg, pg8000, SQLAlchemy."""

from __future__ import annotations

import asyncio
import datetime as dt
import threading
import uuid
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import asyncpg
import pg8000.dbapi
import psycopg
import psycopg2
import psycopg2.extras
import pytest
import sqlalchemy
from psycopg.rows import dict_row

from tests.support.postgres_clients import LOADER, PASSWORD, READER, PostgresHome

pytestmark = [pytest.mark.process, pytest.mark.socket, pytest.mark.lake]

VALUES: Sequence[tuple[str, Any]] = (
    ("true", True),
    ("1::tinyint", 1),
    ("(-32768)::smallint", -32768),
    ("(-2147483648)::integer", -(2**31)),
    ("9223372036854775807::bigint", 2**63 - 1),
    ("18446744073709551615::ubigint", Decimal(2**64 - 1)),
    ("(-170141183460469231731687303715884105728)::hugeint", Decimal(-(2**127))),
    ("12345.6700::decimal(12,4)", Decimal("12345.6700")),
    ("(-0.0001)::decimal(38,10)", Decimal("-0.0001")),
    ("0::decimal(5,2)", Decimal(0)),
    ("1.5::float", 1.5),
    ("1e300::double", 1e300),
    ("'infinity'::double", float("inf")),
    ("'ä\\ \" ''x'", "ä\\ \" 'x"),
    ("''", ""),
    ("'\\x00\\xFF'::blob", b"\x00\xff"),
    ("date '2026-03-01'", dt.date(2026, 3, 1)),
    ("date '0001-01-01'", dt.date(1, 1, 1)),
    ("time '23:59:59.000001'", dt.time(23, 59, 59, 1)),
    ("timestamp '2026-03-01 10:00:00.123456'", dt.datetime(2026, 3, 1, 10, 0, 0, 123456)),
    ("timestamp_s '1999-12-31 23:59:59'", dt.datetime(1999, 12, 31, 23, 59, 59)),
    ("timestamptz '2026-03-01 12:00:00+02'", dt.datetime(2026, 3, 1, 10, tzinfo=dt.UTC)),
    ("interval '3 days 04:05:06.5'", dt.timedelta(days=3, hours=4, minutes=5, seconds=6.5)),
    ("'30a1f35f-0ec9-4411-ae70-7438e347565c'::uuid", uuid.UUID("30a1f35f-0ec9-4411-ae70-7438e347565c")),
    ("[1, null, 3]", [1, None, 3]),
    ("['a,\"b\\', null, '', 'NULL']", ['a,"b\\', None, "", "NULL"]),
    ("[date '2026-01-01']", [dt.date(2026, 1, 1)]),
    ("[]::integer[]", []),
    ("{'a': 1, 'b': [1, 2]}", {"a": 1, "b": [1, 2]}),
    ("[[1], [2, 3]]", [[1], [2, 3]]),
    ("null", None),
    ("null::date[]", None),
)


@pytest.fixture(scope="module")
def connection(pg: PostgresHome) -> Iterator[psycopg.Connection[Any]]:
    with pg.connect() as opened:
        yield opened


@pytest.mark.parametrize("binary", [False, True])
def test_psycopg_reads_values_exactly(connection: psycopg.Connection[Any], binary: bool) -> None:
    sql = ", ".join(f"{sql} as c{number}" for number, (sql, _) in enumerate(VALUES))
    row = connection.execute(f"select {sql}", binary=binary).fetchone()
    assert row is not None
    for (sql, expected), found in zip(VALUES, row, strict=True):
        assert found == expected, (sql, found)
        assert type(found) is type(expected), (sql, found)


def test_values_beyond_python_are_texts_of_postgresql(connection: psycopg.Connection[Any]) -> None:
    sql = (
        "select date 'infinity', date '0044-03-15 (BC)', timestamp '-infinity', 'nan'::double, "
        "timestamptz 'infinity', interval '14 months 3 days', timestamp_ns '2026-01-01 00:00:00.123456789'"
    )
    cursor = connection.cursor()
    row = cursor.execute(sql).pgresult
    assert row is not None
    assert [row.get_value(0, number) for number in range(7)] == [
        b"infinity",
        b"0044-03-15 BC",
        b"-infinity",
        b"NaN",
        b"infinity",
        b"1 year 2 mons 3 days",
        b"2026-01-01 00:00:00.123456789",
    ]
    binary = connection.execute("select date 'infinity', timestamp '-infinity'", binary=True).pgresult
    assert binary is not None
    assert binary.get_value(0, 0) == (2**31 - 1).to_bytes(4, "big")
    assert binary.get_value(0, 1) == (-(2**63)).to_bytes(8, "big", signed=True)


@pytest.mark.parametrize("format", ["s", "t", "b"])
def test_psycopg_sends_parameters(connection: psycopg.Connection[Any], format: str) -> None:
    given = [
        True,
        7,
        2**40,
        1.5,
        Decimal("12.340"),
        "a 'text'",
        b"\x00\xff",
        dt.date(2026, 3, 1),
        dt.time(1, 2, 3),
        dt.datetime(2026, 3, 1, 10, 0, 0, 5),
        dt.datetime(2026, 3, 1, 10, tzinfo=dt.UTC),
        dt.timedelta(days=2, seconds=3),
        uuid.UUID(int=5),
        [1, 2, None],
        [Decimal("1.5"), Decimal("0.000000000001")],
        None,
    ]
    marks = ", ".join(f"%{format}" for _ in given)
    row = connection.execute(f"select {marks}", given).fetchone()
    assert row == tuple(given)


def test_parameters_compare_with_columns_of_any_type(connection: psycopg.Connection[Any]) -> None:
    sql = "select count(*) from t where a = %s and b = %s and d = %s and d > %s"
    assert connection.execute(sql, ["1", "x", "2026-01-02", dt.date(2020, 1, 1)]).fetchone() == (1,)
    sql = "select count(*) from shop.orders where id = any(%s) and name <> any(%s)"
    assert connection.execute(sql, [[1, 3], ["x"]]).fetchone() == (2,)


def test_psycopg_prepares_statements_and_pipelines(connection: psycopg.Connection[Any]) -> None:
    for number in range(8):
        row = connection.execute("select %s::int + 1", [number], prepare=True).fetchone()
        assert row == (number + 1,)
    with connection.pipeline():
        cursors = [connection.execute("select %s::int", [number]) for number in range(5)]
        assert [cursor.fetchone() for cursor in cursors] == [(number,) for number in range(5)]
    with connection.pipeline() as pipeline:
        failing = connection.execute("select nope from t")
        connection.execute("select 1")
        with pytest.raises(psycopg.errors.UndefinedColumn):
            pipeline.sync()
        assert failing.rownumber is None
    assert connection.execute("select 1").fetchone() == (1,)


def test_a_server_side_cursor_reads_in_parts_while_others_run(pg: PostgresHome) -> None:
    with pg.connect(autocommit=False) as connection, connection.cursor("parts") as cursor:
        cursor.itersize = 1000
        cursor.execute("select range as n from range(10000)")
        assert cursor.fetchmany(3) == [(0,), (1,), (2,)]
        assert connection.execute("select count(*) from shop.orders").fetchone() == (5,)
        assert sum(1 for _ in cursor) == 9997
    with pg.connect() as connection, connection.cursor("kept", withhold=True) as cursor:
        cursor.execute("select 1 as a union all select 2 order by 1")
        assert cursor.fetchall() == [(1,), (2,)]


def test_transactions_as_clients_expect_them(pg: PostgresHome) -> None:
    with pg.connect(autocommit=False) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
        with pytest.raises(psycopg.errors.UndefinedColumn):
            connection.execute("select nope from t")
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            connection.execute("select 1")
        connection.rollback()
        with pytest.raises(psycopg.errors.SyntaxError), connection.transaction():
            connection.execute("selekt")
        with connection.transaction():
            assert connection.execute("select 2").fetchone() == (2,)
        connection.commit()
        assert connection.info.transaction_status.name == "IDLE"


def test_errors_have_their_sqlstates(connection: psycopg.Connection[Any]) -> None:
    for sql, state in (
        ("select * from nowhere", "42P01"),
        ("select nope from t", "42703"),
        ("select abs(1, 2)", "42883"),
        ("selekt 1", "42601"),
        ("select 'x'::int", "22P02"),
        ("insert into t values (1)", "0A000"),
        ("create table x (a int)", "0A000"),
        ("select * from read_text('/etc/passwd')", "0A000"),
        ("set nosuch = 1", "42704"),
        ("show nosuch", "42704"),
        ("select current_database(), count(*) from shop.orders", "0A000"),
        ("fetch 1 from nosuch", "34000"),
        ("load table shop.orders", "42501"),
    ):
        with pytest.raises(psycopg.Error) as caught:
            connection.execute(sql)
        assert caught.value.sqlstate == state, (sql, caught.value)


def test_functions_of_postgresql_are_translated(connection: psycopg.Connection[Any]) -> None:
    sql = (
        "select to_char(d, 'YYYY-MM'), to_timestamp('2026-01-02 03:04:05', 'YYYY-MM-DD HH24:MI:SS'), "
        "to_date('20260102', 'YYYYMMDD'), b !~* 'Y' from t where a = %s"
    )
    row = connection.execute(sql, [1]).fetchone()
    assert row == ("2026-01", dt.datetime(2026, 1, 2, 3, 4, 5), dt.date(2026, 1, 2), True)
    with pytest.raises(psycopg.errors.FeatureNotSupported, match="the function to_"):
        connection.execute("select to_nosuch(d), to_char(d, 'YYYY') from t")


def test_settings_are_set_and_shown(pg: PostgresHome) -> None:
    with pg.connect(options="-c statement_timeout=1234 -c max_age=none") as connection:

        def show(name: str) -> str:
            row = connection.execute(f"show {name}").fetchone()
            assert row is not None
            return str(row[0])

        assert show("statement_timeout") == "1234"
        assert show("max_age") == "none"
        connection.execute("set max_age = '5 minutes'")
        connection.execute("set application_name to 'tests'")
        assert (show("max_age"), show("application_name")) == ("5 minutes", "tests")
        connection.execute("reset max_age")
        assert show("max_age") == "none"
        assert show("transaction isolation level") == "read committed"
        assert show("time zone") == "UTC"
        with pytest.raises(psycopg.errors.InvalidParameterValue):
            connection.execute("set client_encoding = latin1")
        with pytest.raises(psycopg.errors.InvalidParameterValue):
            connection.execute("set max_age = 'soon'")
        assert connection.info.parameter_status("server_version") == show("server_version")


def test_a_statement_ends_on_time_and_on_request(pg: PostgresHome) -> None:
    slow = "select count(*) from range(100000) a, range(100000) b where a.range + b.range = 1"
    with pg.connect() as connection:
        connection.execute("set statement_timeout = 300")
        with pytest.raises(psycopg.errors.QueryCanceled, match="statement timeout"):
            connection.execute(slow)
        connection.execute("reset statement_timeout")
        timer = threading.Timer(0.3, connection.cancel_safe)
        timer.start()
        with pytest.raises(psycopg.errors.QueryCanceled, match="user request"):
            connection.execute(slow)
        timer.join()
        assert connection.execute("select 1").fetchone() == (1,)


def test_copy_to_stdout(connection: psycopg.Connection[Any]) -> None:
    def copy(options: str) -> bytes:
        rows_sql = "select 1 as a, 'x\ty' as b, null as c union all select 2, ',\"', 'z' order by 1"
        sql = f"copy ({rows_sql}) to stdout {options}"
        with connection.cursor().copy(sql) as rows:
            return b"".join(bytes(data) for data in rows)

    assert copy("") == b'1\tx\\ty\t\\N\n2\t,"\tz\n'
    assert copy("with (format csv, header)") == b'a,b,c\n1,x\ty,\n2,",""",z\n'
    assert copy("csv delimiter ';' null 'N'") == b'1;x\ty;N\n2;",""";z\n'
    binary = copy("(format binary)")
    assert binary.startswith(b"PGCOPY\n\xff\r\n\0")
    assert binary.endswith(b"\xff\xff")
    with connection.cursor().copy("copy shop.orders (id, name) to stdout") as rows:
        assert list(rows.rows())[4] == ("4", "order 4")
    with pytest.raises(psycopg.errors.FeatureNotSupported):
        connection.execute("copy t from stdin")


def test_psycopg2(pg: PostgresHome) -> None:
    with psycopg2.connect(**pg.parameters(), dbname="unify") as connection:
        with connection.cursor() as cursor:
            cursor.execute("select * from t where a = %s and d = %s", (1, dt.date(2026, 1, 2)))
            assert cursor.fetchall() == [(1, "x", dt.date(2026, 1, 2))]
            assert [column.name for column in cursor.description] == ["a", "b", "d"]
        with connection.cursor("named") as cursor:
            cursor.itersize = 100
            cursor.execute("select range from range(1000)")
            assert sum(1 for _ in cursor) == 1000
        with connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
            cursor.execute("select [1, 2] as l, {'a': 1} as s")
            assert cursor.fetchone() == {"l": [1, 2], "s": {"a": 1}}
    connection.close()


def test_asyncpg(pg: PostgresHome) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(**pg.parameters(), database="unify")
        try:
            row = await connection.fetchrow(
                "select * from t where a = $1 and d = $2 and b = any($3)", 1, dt.date(2026, 1, 2), ["x"]
            )
            assert dict(row) == {"a": 1, "b": "x", "d": dt.date(2026, 1, 2)}
            values = ", ".join(sql for sql, expected in VALUES if not isinstance(expected, dict))
            found = await connection.fetchrow(f"select {values}")
            expected = [one for _, one in VALUES if not isinstance(one, dict)]
            assert list(found[:24]) == expected[:24]
            assert await connection.fetchval("select $1::int + 1", 41) == 42
            assert await connection.fetchval("select count(*) from shop.orders limit $1", 5) == 5
            async with connection.transaction():
                numbers = [one["n"] async for one in connection.cursor("select range as n from range(300)")]
            assert numbers == list(range(300))
            with pytest.raises(asyncpg.UndefinedTableError):
                await connection.fetch("select * from nowhere")
            tables = await connection.fetch(
                "select table_name from information_schema.tables where table_schema = $1 order by 1", "shop"
            )
            assert [one["table_name"] for one in tables] == ["large", "orders"]
            listed = await connection.fetch("show tables from shop")
            assert [one["table"] for one in listed] == ["large", "orders"]
        finally:
            await connection.close()

    asyncio.run(run())


def test_pg8000(pg: PostgresHome) -> None:
    connection = pg8000.dbapi.connect(**pg.parameters(), database="unify")
    try:
        cursor = connection.cursor()
        cursor.execute("select * from t where a = %s and d = %s", (1, dt.date(2026, 1, 2)))
        assert list(cursor.fetchone()) == [1, "x", dt.date(2026, 1, 2)]
        cursor.execute("select [1, 2], 1.50::decimal(5,2), timestamptz '2026-01-01 00:00:00+00'")
        assert list(cursor.fetchone()) == [[1, 2], Decimal("1.50"), dt.datetime(2026, 1, 1, tzinfo=dt.UTC)]
        with pytest.raises(pg8000.dbapi.DatabaseError, match="42P01"):
            cursor.execute("select * from nowhere")
        connection.rollback()
    finally:
        connection.close()


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2", "pg8000"])
def test_sqlalchemy_reflects_tables(pg: PostgresHome, driver: str) -> None:
    url = sqlalchemy.URL.create(f"postgresql+{driver}", database="unify", **_url_parts(pg))
    engine = sqlalchemy.create_engine(url)
    try:
        inspector = sqlalchemy.inspect(engine)
        assert {"main", "shop", "unify"} <= set(inspector.get_schema_names())
        assert inspector.get_table_names(schema="shop") == ["orders"]
        assert inspector.get_view_names(schema="shop") == ["large"]
        columns = inspector.get_columns("orders", schema="shop")
        assert [(one["name"], str(one["type"])) for one in columns] == [
            ("id", "BIGINT"),
            ("name", "VARCHAR" if driver == "x" else "TEXT"),
            ("price", "NUMERIC(21, 1)"),
        ]
        assert columns[0]["comment"] == "number of the order"
        table = sqlalchemy.Table("orders", sqlalchemy.MetaData(), autoload_with=engine, schema="shop")
        with engine.connect() as connection:
            query = sqlalchemy.select(table.c.id, table.c.name).where(table.c.id > 2).order_by(table.c.id)
            assert connection.execute(query.limit(1)).all() == [(3, "order 3")]
    finally:
        engine.dispose()


def test_users_see_their_schemas_only(pg: PostgresHome) -> None:
    with pg.connect("cyd", row_factory=dict_row) as connection:
        found = connection.execute(
            "select nspname from pg_namespace where nspname in ('shop', 'main', 'unify')"
        )
        assert {one["nspname"] for one in found} == {"main", "shop"}
        tables = connection.execute("select tablename from pg_tables where schemaname = 'main'").fetchall()
        assert tables == []
        assert connection.execute("select count(*) as n from shop.orders").fetchone() == {"n": 5}
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select * from t")


def test_wrong_passwords_and_users_get_the_same_error(pg: PostgresHome) -> None:
    for user, password in ((READER, "wrong"), ("nobody", PASSWORD), ("nobody", "wrong")):
        with pytest.raises(psycopg.OperationalError, match="password authentication failed") as caught:
            psycopg.connect(host="127.0.0.1", port=pg.port, user=user, password=password, dbname="unify")
        assert PASSWORD not in str(caught.value)


def test_listings_and_commands(pg: PostgresHome) -> None:
    with pg.connect(LOADER) as connection:
        tables = connection.execute("show tables from shop").fetchall()
        assert [row[1] for row in tables] == ["large", "orders"]
        assert connection.execute("count shop.orders").fetchone() == (5,)
        assert connection.execute("describe shop.orders").fetchall()[0][:2] == ("id", "BIGINT")
        plan = connection.execute("explain select * from t").fetchall()
        assert plan[0][0] == "physical_plan"
        assert connection.execute("").statusmessage is None


def _url_parts(pg: PostgresHome) -> dict[str, Any]:
    parameters = pg.parameters()
    return {"username": parameters.pop("user"), **parameters}
