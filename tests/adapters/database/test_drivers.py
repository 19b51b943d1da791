"""Adapters `odbc` and `adbc`: values, conditions, names, loads and errors; PostgreSQL and SQLite."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import duckdb
import pytest

from tests.adapters.database.conftest import open_adapter
from tests.adapters.database.server_text import server_text_sql
from tests.support.odbc_drivers import POSTGRES_DRIVER, require_odbc_driver
from tests.support.postgres_server import PASSWORD, PostgresServer
from tests.support.source_home import SourceHome
from tests.support.stores import create_home
from tests.support.waiting import wait_until
from unify.adapters.database.attachment import translate_source_errors
from unify.adapters.database.drivers.odbc_connection import (
    connection_string,
    odbc_error,
    parse_parameters,
    passwords_of,
)
from unify.adapters.relation import Relation, RelationalAdapter, RelationRead
from unify.config.connection_tables import TableSettings
from unify.errors import ConfigError, QueryError, SourceError, Unauthorized, UnifyError, Unreachable
from unify.language.sql.refs import Condition, Constant
from unify.redaction import Redactor

SETUP = """
create schema sales;
create table kinds (id int primary key, small smallint, big bigint, r real, f double precision,
  n numeric(10,2), w numeric(50,3), t text, c char(5), b bytea, d date, ts timestamp, tz timestamptz, ti time,
  ok boolean, j jsonb, u uuid, list int[], span interval);
insert into kinds values
  (1, -1, 9223372036854775807, 0.1, 0.1, 1.25, 12345678901234567890.123, 'naïve 😀' || repeat('x', 9000),
   'ab', '\\x00ff', '2024-02-29', '2024-01-01 10:00:00.123456', '2024-01-01 10:00:00+02', '10:00:00.5', true,
   '{"a": 1.10}', '00000000-0000-0000-0000-00000000000a', '{1,2}', '1 day'),
  (2, 2, -5, 'NaN', 'NaN', -0.01, 0, '', '', '', '0001-01-01', '9999-12-31 23:59:59',
   '1970-01-01 00:00:00+00', '00:00:00', false, '5', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '{}', '2 days');
insert into kinds (id) values (3);
create table no_value (id int, n numeric(10,2), d date, free numeric);
insert into no_value values (1, 'NaN', 'infinity', 1.23456789);
create table sales."Big Table" (id int primary key, changed timestamp);
insert into sales."Big Table"
  select i, timestamp '2026-01-01' + i * interval '1 hour' from generate_series(1, 50) as i;
create view sales.v_1 as select id from sales."Big Table";
create view sales."vx1" as select id from sales."Big Table";
"""


class Drivers:
    """The same database by ODBC and by ADBC."""

    def __init__(self, server: PostgresServer, database: str) -> None:
        self.server = server
        self.database = database
        self.opened: list[RelationalAdapter] = []

    def options(self, kind: str, **changed: str) -> dict[str, str]:
        own = {"user": "postgres", "password": PASSWORD, "schemas": "public, sales"}
        if kind == "adbc":
            address = f"postgresql://127.0.0.1:{self.server.port}/{self.database}"
            return {**own, "driver": "postgresql", "uri": address} | changed
        place = f"Server=127.0.0.1, Port={self.server.port}, Database={self.database}"
        return {**own, "driver": POSTGRES_DRIVER, "parameters": place} | changed

    def open(
        self, kind: str, tables: dict[str, TableSettings] | None = None, **changed: str
    ) -> RelationalAdapter:
        return self.open_with(kind, self.options(kind, **changed), tables)

    def open_with(
        self, kind: str, options: dict[str, str], tables: dict[str, TableSettings] | None = None
    ) -> RelationalAdapter:
        self.opened.append(open_adapter(kind, options, tables))
        return self.opened[-1]


@pytest.fixture(scope="module")
def drivers(postgres_server: PostgresServer) -> Drivers:
    database = postgres_server.create_database()
    postgres_server.run(SETUP, database)
    return Drivers(postgres_server, database)


@pytest.fixture(autouse=True)
def _closed(drivers: Drivers) -> Iterator[None]:
    yield
    for adapter in drivers.opened:
        adapter.close()
    drivers.opened.clear()


@pytest.fixture(scope="module", params=["odbc", "adbc"])
def kind(request: pytest.FixtureRequest) -> str:
    if request.param == "odbc":
        require_odbc_driver(POSTGRES_DRIVER)
    return str(request.param)


@pytest.fixture(scope="module")
def adapter(kind: str, drivers: Drivers) -> Iterator[RelationalAdapter]:
    opened = open_adapter(kind, drivers.options(kind))
    yield opened
    opened.close()


@contextmanager
def registered(duck: duckdb.DuckDBPyConnection, relation: Relation) -> Iterator[str]:
    for stream in relation.streams:
        duck.register(stream.name, stream)
    yield relation.sql
    for stream in relation.streams:
        duck.unregister(stream.name)


def fetch(
    duck: duckdb.DuckDBPyConnection, relation: Relation, select: str = "*", rest: str = ""
) -> list[tuple[object, ...]]:
    with translate_source_errors("shop"), registered(duck, relation) as sql:
        rows: list[tuple[object, ...]] = duck.execute(f"SELECT {select} FROM ({sql}) {rest}").fetchall()
    return rows


def read(
    duck: duckdb.DuckDBPyConnection,
    adapter: RelationalAdapter,
    table: str,
    columns: Sequence[str] | None = None,
    *conditions: Condition,
    limit: int | None = None,
) -> Relation:
    found = adapter.find_table(duck, table)
    assert found is not None
    asked = None if columns is None else tuple(columns)
    return adapter.relation(duck, found, RelationRead(columns=asked, conditions=conditions, limit=limit))


class TestValues:
    def test_are_those_that_psql_shows_live_and_stored(
        self, adapter: RelationalAdapter, drivers: Drivers, duck: duckdb.DuckDBPyConnection, tmp_path: Path
    ) -> None:
        table = adapter.find_table(duck, "KINDS")
        assert table is not None
        assert (table.name, table.key) == ("kinds", ("id",))
        expected = drivers.server.rows("select * from kinds order by id", drivers.database)
        texts = ", ".join(server_text_sql(column.name, column.type) for column in table.columns)
        relation = adapter.relation(duck, table, RelationRead())
        assert fetch(duck, relation, texts, "ORDER BY id") == expected
        file = tmp_path / "rows.parquet"
        with registered(duck, relation) as sql:
            duck.execute(f"COPY ({sql}) TO '{file}' (FORMAT parquet)")
        assert duck.execute(f"SELECT {texts} FROM '{file}' ORDER BY id").fetchall() == expected

    def test_have_these_types(self, drivers: Drivers, kind: str, adapter: RelationalAdapter) -> None:
        table = adapter.find_table(duckdb.connect(), "kinds")
        assert table is not None
        types = {column.name: column.type for column in table.columns}
        assert {"DECIMAL(10,2)": types["n"], "VARCHAR": types["w"]} == {
            "DECIMAL(10,2)": "DECIMAL(10,2)" if kind == "odbc" else "VARCHAR",
            "VARCHAR": "VARCHAR",
        }
        wanted = {"r": "FLOAT", "f": "DOUBLE", "b": "BLOB", "d": "DATE", "ts": "TIMESTAMP", "ti": "TIME"}
        wanted |= {"tz": "TIMESTAMP WITH TIME ZONE", "ok": "BOOLEAN", "j": "JSON", "u": "UUID"}
        assert {name: types[name] for name in wanted} == wanted

    def test_that_are_nan_meet_conditions_as_in_duckdb(
        self, adapter: RelationalAdapter, duck: duckdb.DuckDBPyConnection
    ) -> None:
        found = read(duck, adapter, "kinds")
        assert fetch(duck, found, "id", "WHERE f > 5 OR r >= 5") == [(2,)]

    @pytest.mark.parametrize(
        ("column", "wrong"),
        [("n", ("odbc",)), ("d", ("adbc",)), ("free", ("odbc",))],
    )
    def test_that_a_type_does_not_have_are_errors_that_name_the_column(
        self,
        adapter: RelationalAdapter,
        duck: duckdb.DuckDBPyConnection,
        kind: str,
        column: str,
        wrong: Sequence[str],
    ) -> None:
        relation = read(duck, adapter, "no_value", [column])
        if kind not in wrong:
            text = {"n": "nan", "d": "infinity", "free": "1.23456789"}[column]
            assert str(fetch(duck, relation, f"{column}::varchar")[0][0]).lower() == text
            return
        with pytest.raises(SourceError, match=rf"shop: column {column}: .*columns: {{{column}: varchar}}$"):
            fetch(duck, relation)

    def test_are_read_by_the_types_of_the_settings(
        self, drivers: Drivers, kind: str, duck: duckdb.DuckDBPyConnection
    ) -> None:
        columns = {"n": "varchar", "d": "varchar", "free": "decimal(20,8)"}
        chosen = drivers.open(kind, {"no_value": TableSettings(columns=columns)})
        relation = read(duck, chosen, "no_value")
        rows = fetch(duck, relation, "n, d, free::varchar, typeof(free)")
        assert rows == [("NaN", "infinity", "1.23456789", "DECIMAL(20,8)")]
        refused = drivers.open(kind, {"no_value": TableSettings(columns={"n": "date"})})
        with pytest.raises(ConfigError, match=r"columns.n: .* use varchar or decimal\(p,s\)"):
            refused.find_table(duck, "no_value")


class TestStatements:
    def test_have_columns_exact_conditions_and_limits(
        self, adapter: RelationalAdapter, duck: duckdb.DuckDBPyConnection
    ) -> None:
        above = Condition("id", ">", (Constant("1", "INTEGER"),))
        [sent] = read(duck, adapter, "kinds", ["t"], above, limit=1).sent
        assert sent == 'SELECT "t" AS c0 FROM "public"."kinds" WHERE ("id" > 1) LIMIT 1'
        text = Condition("t", "=", (Constant("", "VARCHAR"),))
        [sent] = read(duck, adapter, "kinds", ["id"], text, limit=1).sent
        assert sent == 'SELECT "id" AS c0 FROM "public"."kinds"'

    @pytest.mark.parametrize(
        ("column", "constant", "rows"),
        [
            ("d", Constant("2024-02-29", "DATE"), [(1,)]),
            ("ts", Constant("2024-01-01 10:00:00.123456", "TIMESTAMP"), [(1,)]),
            ("big", Constant("-5", "INTEGER"), [(2,)]),
        ],
    )
    def test_compare_dates_times_and_integers(
        self,
        adapter: RelationalAdapter,
        duck: duckdb.DuckDBPyConnection,
        column: str,
        constant: Constant,
        rows: list[tuple[int]],
    ) -> None:
        relation = read(duck, adapter, "kinds", ["id"], Condition(column, "=", (constant,)))
        assert " WHERE " in relation.sent[0]
        assert fetch(duck, relation) == rows

    def test_count_at_the_database(self, adapter: RelationalAdapter, duck: duckdb.DuckDBPyConnection) -> None:
        found = adapter.find_table(duck, "sales.Big Table")
        assert found is not None
        relation = adapter.relation(duck, found, RelationRead(count_only=True))
        assert relation.sent == ('SELECT count(*) AS n FROM "sales"."Big Table"',)
        assert fetch(duck, relation, "count(*)") == [(50,)]

    def test_of_two_mentions_run_side_by_side(
        self, adapter: RelationalAdapter, duck: duckdb.DuckDBPyConnection
    ) -> None:
        one, other = (read(duck, adapter, "sales.Big Table", ["id"]) for _ in range(2))
        with registered(duck, one) as left, registered(duck, other) as right:
            sql = f"SELECT count(*) FROM ({left}) JOIN ({right}) USING (id)"
            assert duck.execute(sql).fetchall() == [(50,)]

    def test_end_when_they_are_cancelled(
        self, adapter: RelationalAdapter, duck: duckdb.DuckDBPyConnection
    ) -> None:
        relation = adapter.query(duck, "select count(*) from generate_series(1, 1000000000)")
        errors: list[UnifyError] = []

        def run() -> None:
            try:
                fetch(duck, relation)
            except UnifyError as error:
                errors.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        wait_until(lambda: adapter.cancel(duck) is not None and not thread.is_alive())
        thread.join()
        assert "cancel" in errors[0].message
        assert fetch(duck, adapter.query(duck, "select 1 as one")) == [(1,)]

    def test_in_its_own_sql_are_one_select(
        self, adapter: RelationalAdapter, duck: duckdb.DuckDBPyConnection
    ) -> None:
        relation = adapter.query(duck, "select count(*) as n, ');' as t from kinds -- all;")
        assert fetch(duck, relation) == [(3, ");")]
        for refused in ("select 1) as q; drop table kinds; select (1", "select 1; select 2", ""):
            with pytest.raises(QueryError, match=r"^query: "):
                adapter.query(duck, refused)
        with pytest.raises(QueryError, match=r'^shop: column "nope" does not exist'):
            adapter.query(duck, "select nope from kinds")


def test_schemas_and_tables_are_listed(adapter: RelationalAdapter, duck: duckdb.DuckDBPyConnection) -> None:
    assert list(adapter.list_schemas(duck)) == ["public", "sales"]
    names = [table.name for table in adapter.list_tables(duck)]
    assert sorted(names) == ["kinds", "no_value", "sales.Big Table", "sales.v_1", "sales.vx1"]
    assert [table.name for table in adapter.list_tables(duck, "public")] == ["kinds", "no_value"]
    found = adapter.find_table(duck, "sales.v_1")  # in a pattern, _ is any character
    assert found is not None
    assert found.name == "sales.v_1"
    assert adapter.find_table(duck, "missing") is None
    assert adapter.find_table(duck, "Big Table") is None
    assert "postgres at" in adapter.check(duck).identity


def test_the_same_connection_finds_a_server_again(
    drivers: Drivers, kind: str, duck: duckdb.DuckDBPyConnection
) -> None:
    adapter = drivers.open(kind)
    assert adapter.find_table(duck, "kinds") is not None
    drivers.server.run(
        "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()"
        f" and datname = '{drivers.database}'"
    )
    with pytest.raises((SourceError, Unreachable)):
        adapter.find_table(duck, "kinds")
    assert adapter.find_table(duck, "kinds") is not None


class TestLoads:
    @pytest.fixture
    def home(self, tmp_path: Path, drivers: Drivers, kind: str) -> Iterator[SourceHome]:
        home = SourceHome(create_home(tmp_path))
        home.environment["SHOP_PASSWORD"] = PASSWORD
        options = drivers.options(kind, password="${SHOP_PASSWORD}")
        given = ", ".join(f'{name}: "{value}"' for name, value in options.items())
        tables = "sales.Big Table: {mode: stored, key: id, incremental: {cursor: changed}}"
        home.configure(f"{{adapter: {kind}, options: {{{given}}}, tables: {{{tables}}}}}")
        yield home
        home.close()

    def test_store_all_rows_and_refresh_by_cursor(self, home: SourceHome, drivers: Drivers) -> None:
        assert home.publish("sales.Big Table").rows_read == 50
        drivers.server.run(
            "insert into sales.\"Big Table\" values (51, '2027-01-01'), (52, null)", drivers.database
        )
        try:
            refreshed = home.refresh("sales.Big Table")
        finally:
            drivers.server.run('delete from sales."Big Table" where id > 50', drivers.database)
        assert refreshed.rows_read == 3  # the last one of the load is read again
        assert home.rows('select count(*), max(changed)::varchar from shop."sales.Big Table"') == [
            (52, "2027-01-01 00:00:00")
        ]


class TestErrors:
    def test_of_a_wrong_password_do_not_show_it(
        self, drivers: Drivers, kind: str, duck: duckdb.DuckDBPyConnection
    ) -> None:
        adapter = drivers.open(kind, password="wrong/password")
        result = adapter.check(duck)
        assert not result.accepted
        assert "password authentication failed" in result.reason
        assert "wrong" not in result.reason

    def test_of_a_server_that_is_down_name_no_secret(
        self, drivers: Drivers, kind: str, duck: duckdb.DuckDBPyConnection
    ) -> None:
        changed = (
            {"uri": "postgresql://postgres:pa%2Fss@127.0.0.1:1/x", "user": "", "password": ""}
            if kind == "adbc"
            else {"parameters": "Server=127.0.0.1, Port=1, Database=x"}
        )
        adapter = drivers.open_with(kind, drivers.options(kind, **changed))
        with pytest.raises(Unreachable, match=r"^shop: .*refused") as raised:
            adapter.list_tables(duck)
        assert "pa%2Fss" not in str(raised.value)
        assert PASSWORD not in str(raised.value)

    def test_of_a_whole_connection_string_show_no_password(
        self, drivers: Drivers, duck: duckdb.DuckDBPyConnection
    ) -> None:
        require_odbc_driver(POSTGRES_DRIVER)
        text = f"Driver={{{POSTGRES_DRIVER}}};Server=127.0.0.1;Port={drivers.server.port};"
        text += f"Database={drivers.database};Uid=postgres;Pwd={{{PASSWORD}}}"
        adapter = drivers.open_with("odbc", {"connection_string": text})
        assert adapter.check(duck).accepted
        assert [table.name for table in adapter.list_tables(duck)] == ["kinds", "no_value"]
        redactor = Redactor()
        redactor.add(*adapter.secrets())
        assert PASSWORD not in redactor.redact(f"error near {PASSWORD} of {text}")

    @pytest.mark.parametrize(
        ("adapter", "options", "message"),
        [
            (
                "odbc",
                {"driver": "Nope"},
                "shop: the ODBC driver or data source Nope is not installed; odbcinst",
            ),
            ("odbc", {"driver": "a", "dsn": "b"}, "shop.options: one of driver, dsn and connection_string"),
            (
                "odbc",
                {"driver": "a", "parameters": "PWD=x"},
                "parameters: PWD is secret; give it as the option",
            ),
            ("odbc", {"driver": "a", "parameters": "Server"}, "parameters: expected KEYWORD=VALUE"),
            (
                "adbc",
                {"driver": "nope"},
                "ADBC driver nope is not installed; run pip install adbc-driver-nope",
            ),
            ("adbc", {"driver": "/no/driver.so"}, "shop.options.driver: there is no file /no/driver.so"),
        ],
    )
    def test_of_the_configuration_are_sentences(
        self,
        drivers: Drivers,
        adapter: str,
        options: dict[str, str],
        message: str,
        duck: duckdb.DuckDBPyConnection,
    ) -> None:
        if adapter == "odbc":
            pytest.importorskip("pyodbc", exc_type=ImportError)
        with pytest.raises(ConfigError) as raised:
            drivers.open_with(adapter, options).list_tables(duck)
        assert message in raised.value.message


class TestSQLite:
    """Files of SQLite, which has no schemas."""

    @pytest.fixture(params=["odbc", "adbc"])
    def lite(self, drivers: Drivers, request: pytest.FixtureRequest, tmp_path: Path) -> RelationalAdapter:
        path = tmp_path / "shop.sqlite"
        with sqlite3.connect(path) as database:
            database.executescript(
                "create table orders (id integer primary key, note text);"
                "insert into orders values (1, 'ä'), (2, null)"
            )
        database.close()
        if request.param == "odbc":
            require_odbc_driver("SQLite3")
            return drivers.open_with("odbc", {"driver": "SQLite3", "parameters": f"Database={path}"})
        return drivers.open_with("adbc", {"driver": "sqlite", "uri": str(path)})

    def test_are_read_by_their_names_alone(
        self, lite: RelationalAdapter, duck: duckdb.DuckDBPyConnection
    ) -> None:
        assert list(lite.list_schemas(duck)) == []
        assert [table.name for table in lite.list_tables(duck)] == ["orders"]
        above = Condition("id", ">=", (Constant("2", "INTEGER"),))
        relation = read(duck, lite, "Orders", None, above, limit=5)
        assert relation.sent == ('SELECT "id" AS c0, "note" AS c1 FROM "orders" WHERE ("id" >= 2) LIMIT 5',)
        assert fetch(duck, relation) == [(2, None)]
        assert fetch(duck, read(duck, lite, "orders"), "*", "ORDER BY id") == [(1, "ä"), (2, None)]


class TestConnectionStrings:
    def test_quote_values(self) -> None:
        text = connection_string({"DRIVER": "SQLite3", "PWD": "a;b}c", "UID": "", "Server": "db.example.org"})
        assert text == "DRIVER=SQLite3;PWD={a;b}}c};Server=db.example.org"

    @pytest.mark.parametrize(
        ("text", "passwords"),
        [
            ("Driver={A;B};PWD=secret;Server=x", ["secret"]),
            ("dsn=a; Password = {x;}}y} ;", ["{x;}}y}", "x;}y"]),
            ("DSN=a", []),
        ],
    )
    def test_have_passwords(self, text: str, passwords: list[str]) -> None:
        assert list(passwords_of(text)) == passwords

    def test_are_made_of_parameters(self) -> None:
        assert parse_parameters("here", ["Server = a=b", "Port=1"]) == {"Server": "a=b", "Port": "1"}

    @pytest.mark.parametrize(
        ("state", "text", "error", "message"),
        [
            ("28000", "[28000] [Microsoft][ODBC Driver 18] Login failed. (18456) (SQLDriverConnect)",
             Unauthorized, "shop: Login failed."),
            ("08S01", "[08S01] [X]The link failed (1) (SQLExecDirectW)",
             Unreachable, "shop: The link failed"),
            ("HYT00", "[HYT00] [X]Query timeout expired (0) (SQLExecDirectW)", SourceError,
             "shop: Query timeout expired; narrow the query, or set statement_timeout to more"),
        ],
    )  # fmt: skip
    def test_of_drivers_have_errors_by_their_state(
        self, state: str, text: str, error: type[UnifyError], message: str
    ) -> None:
        found = odbc_error("shop", "X", Exception(state, text))
        assert (type(found), found.message) == (error, message)


def test_the_password_of_an_address_is_a_secret() -> None:
    uri = f"postgresql://a:{quote('p/w', safe='')}@b/c"
    secrets = open_adapter("adbc", {"driver": "postgresql", "uri": uri}).secrets()
    assert {uri, "p%2Fw", "p/w"} <= set(secrets)
