"""DB-API 2.0, rule by rule of PEP 249, on a real lake."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest

import unify
from tests.support.command import InProcessCommand
from tests.support.fault_server import FaultServer, MockResponse
from tests.support.shop import SPEC_WITHOUT_TOKEN, connect_shop
from unify.api import dbapi
from unify.api.dbapi import DatabaseConnection
from unify.errors import LoadFailed, UnifyError
from unify.model import LoaderStatus

SPEC = SPEC_WITHOUT_TOKEN + "  - {name: orders, request: GET /orders, key: id}\n"


@pytest.fixture(scope="module")
def shared_connection(module_home: Path) -> Iterator[DatabaseConnection]:
    with unify.connect(module_home, environment={}) as opened:
        yield opened


@pytest.fixture
def connection(shared_connection: DatabaseConnection) -> DatabaseConnection:
    """A connection with an empty table ``t`` (i INTEGER, s VARCHAR)."""
    shared_connection.rollback()
    shared_connection.execute("create or replace table t (i integer, s varchar)")
    return shared_connection


def test_the_module_has_the_globals_and_exceptions_of_the_standard() -> None:
    assert (unify.apilevel, unify.threadsafety, unify.paramstyle) == ("2.0", 1, "qmark")
    database = ("DataError", "OperationalError", "IntegrityError", "InternalError", "ProgrammingError",
                "NotSupportedError")  # fmt: skip
    for module in (unify, dbapi):
        assert issubclass(module.Error, Exception)
        assert issubclass(module.Warning, Exception)
        assert not issubclass(module.Warning, module.Error)
        assert issubclass(module.InterfaceError, module.Error)
        assert issubclass(module.DatabaseError, module.Error)
        assert all(issubclass(getattr(module, name), module.DatabaseError) for name in database)
        assert all(getattr(DatabaseConnection, name) is getattr(module, name) for name in database)
    assert inspect.isfunction(unify.connect)


def test_a_cursor_before_and_after_a_query(connection: DatabaseConnection) -> None:
    assert connection.cursor().description is None
    cursor = connection.cursor()
    assert (cursor.rowcount, cursor.arraysize) == (-1, 1)
    with pytest.raises(unify.ProgrammingError, match="no rows to fetch"):
        cursor.fetchone()
    assert cursor.execute("select 1 as a, 'x' as b") is cursor
    assert cursor.description == [
        ("a", "INTEGER", None, None, None, None, None),
        ("b", "VARCHAR", None, None, None, None, None),
    ]
    assert cursor.connection is connection
    cursor.execute("insert into t values (1, 'a'), (2, 'b')")
    assert (cursor.rowcount, cursor.message) == (2, "2 rows inserted")
    assert connection.execute("drop table t").description is None
    with pytest.raises(unify.ProgrammingError, match="no rows to fetch"):
        cursor.fetchall()


def test_rows_are_fetched_one_some_and_all(connection: DatabaseConnection) -> None:
    cursor = connection.cursor()
    cursor.execute("select range as i from range(10) order by i")
    assert cursor.fetchone() == (0,)
    assert cursor.fetchmany() == [(1,)]
    cursor.arraysize = 2
    assert cursor.fetchmany() == [(2,), (3,)]
    assert cursor.fetchmany(3) == [(4,), (5,), (6,)]
    assert next(cursor) == (7,)
    assert list(cursor) == [(8,), (9,)]
    assert (cursor.fetchone(), cursor.fetchmany(5), cursor.fetchall()) == (None, [], [])


def test_large_results_are_read_while_the_query_runs(connection: DatabaseConnection) -> None:
    cursor = connection.execute("select range as i from range(1_000_000_000_000)")
    assert cursor.fetchone() == (0,)
    assert len(cursor.fetchmany(5000)) == 5000
    cursor.close()


def test_cursors_of_a_connection_do_not_disturb_each_other(connection: DatabaseConnection) -> None:
    first = connection.execute("select range as i from range(5000)")
    assert first.fetchone() == (0,)
    second = connection.execute("select 'x' as s")
    assert connection.sql("select 1").rows() == [(1,)]
    assert second.fetchall() == [("x",)]
    assert len(first.fetchall()) == 4999


@pytest.mark.parametrize(
    "value",
    [
        None, True, False, 0, -1, 2**31, 2**63, -(2**127), 1.5, -0.0, 1e300, float("inf"), "",
        "it's ? :x $y", "ö\U0001f600", b"", b"\x00\xff'", Decimal("1.50"), Decimal("-0.001"), Decimal("1E+3"),
        date(1, 1, 1),
        date(9999, 12, 31), datetime(2026, 3, 1, 12, 0, 0, 123456), datetime(2026, 3, 1, 12, tzinfo=UTC),
        time(23, 59, 59, 999999), timedelta(days=-1, microseconds=5), UUID(int=7), [1, None, 3], ["a", "b"],
        {"a": 1, "b": "x"},
    ],
)  # fmt: skip
def test_a_parameter_comes_back_as_it_was(connection: DatabaseConnection, value: object) -> None:
    assert connection.execute("select ? as v", [value]).fetchone() == (value,)
    assert connection.execute("select :v as v", {"v": value}).fetchone() == (value,)
    assert connection.execute("select $v as v", {"v": value}).fetchone() == (value,)


@pytest.mark.parametrize(
    ("value", "type"),
    [
        (1, "INTEGER"),
        (2**31, "BIGINT"),
        (2**63, "HUGEINT"),
        (True, "BOOLEAN"),
        (1.0, "DOUBLE"),
        (Decimal("1.50"), "DECIMAL(3,2)"),
        (date(2026, 1, 1), "DATE"),
        (datetime(2026, 1, 1, tzinfo=UTC), "TIMESTAMP WITH TIME ZONE"),
        (b"x", "BLOB"),
    ],
)
def test_a_parameter_has_its_own_type(connection: DatabaseConnection, value: object, type: str) -> None:
    assert connection.execute("select typeof(?)", [value]).fetchone() == (type,)


def test_placeholders_in_texts_comments_and_names_are_left_alone(connection: DatabaseConnection) -> None:
    sql = """select '?' as "a?", ? /* ? */ as b, $$ ? $$ as c -- ?\n"""
    assert connection.execute(sql, (7,)).fetchall() == [("?", 7, " ? ")]
    named = "select ':x' as \":x\", [10, 20, 30][1:x] as s, :x + x as sum, '5'::int as c from (select 2 as x)"
    assert connection.execute(named, {"x": 1}).fetchall() == [(":x", [10, 20], 3, 5)]


def test_parameters_are_values_and_never_sql(connection: DatabaseConnection) -> None:
    attack = "x'); drop table t; --"
    connection.execute("insert into t values (?, ?)", (1, attack))
    assert connection.execute("select i from t where s = ?", (attack,)).fetchall() == [(1,)]


def test_a_parameter_hides_a_variable_for_its_statement_only(connection: DatabaseConnection) -> None:
    connection.execute("$low = 5")
    assert connection.execute("select $low", {"low": 1}).fetchall() == [(1,)]
    assert connection.execute("select $low").fetchall() == [(5,)]
    connection.execute("unset $low")


@pytest.mark.parametrize(
    ("sql", "parameters", "message"),
    [
        ("select ?", [], r"has 1 placeholders \(\?\), and there are 0 parameters"),
        ("select 1", [1], "has 0 placeholders"),
        ("select :missing", {"other": 1}, "missing"),
        ("select ?", "x", "parameters are a sequence or a mapping, not str"),
        ("select ?", 5, "not int"),
        ("select ?", [object()], "a parameter of type object has no type of SQL"),
        ("select ?", [2**127], "more than 127 bits"),
        ("select ?", [Decimal("NaN")], "pass it as a float"),
        ("select 1; select ?", [1], "parameters are for one statement"),
    ],
)
def test_a_mistake_in_parameters_is_a_programming_error(
    connection: DatabaseConnection, sql: str, parameters: Sequence[object], message: str
) -> None:
    with pytest.raises(unify.ProgrammingError, match=message):
        connection.execute(sql, parameters)


def test_executemany_inserts_all_rows_in_one_transaction(connection: DatabaseConnection) -> None:
    cursor = connection.cursor()
    cursor.executemany("insert into t (i, s) values (?, ?)", ((n, f"s{n}") for n in range(1200)))
    assert cursor.rowcount == 1200
    assert connection.execute("select count(*), sum(i), max(s) from t").fetchone() == (1200, 719400, "s999")
    with pytest.raises(unify.DataError):
        cursor.executemany("insert into t (i, s) values (?, ?)", [(1, "x")] * 600 + [("no number", "y")])
    assert connection.execute("select count(*) from t").fetchone() == (1200,)


def test_executemany_runs_other_statements_for_each_row(connection: DatabaseConnection) -> None:
    cursor = connection.cursor()
    cursor.executemany("insert into t values (:i, upper(:s))", [{"i": 1, "s": "a"}, {"i": 2, "s": "b"}])
    cursor.executemany("update t set s = s || ? where i = ?", [("x", 1), ("y", 2), ("z", 2)])
    assert cursor.rowcount == 3
    assert connection.execute("select i, s from t order by i").fetchall() == [(1, "Ax"), (2, "Byz")]
    cursor.executemany("insert into t values (?, ?)", [])
    assert connection.execute("select count(*) from t").fetchone() == (2,)


def test_statements_commit_by_themselves_and_begin_opens_a_transaction(
    connection: DatabaseConnection,
) -> None:
    connection.commit()  # nothing to do
    connection.rollback()
    connection.execute("insert into t values (1, 'a')")
    connection.rollback()
    assert connection.execute("select count(*) from t").fetchone() == (1,)
    for end, expected in ((connection.rollback, 1), (connection.commit, 2)):
        connection.execute("begin")
        connection.execute("insert into t values (2, 'b')")
        end()
        assert connection.execute("select count(*) from t").fetchone() == (expected,)


def test_a_block_commits_or_rolls_back_and_closes(module_home: Path, connection: DatabaseConnection) -> None:
    with unify.connect(module_home, environment={}) as other:
        other.execute("begin; insert into t values (1, 'kept')")
    with suppress(ZeroDivisionError), unify.connect(module_home, environment={}) as other:
        other.execute("begin; insert into t values (2, 'lost')")
        raise ZeroDivisionError
    assert connection.execute("select s from t").fetchall() == [("kept",)]
    with pytest.raises(unify.InterfaceError, match="the connection is closed"):
        other.cursor()
    with pytest.raises(unify.InterfaceError, match="the connection is closed"):
        other.commit()
    other.close()  # twice is no error


def test_a_closed_cursor_is_an_error(connection: DatabaseConnection) -> None:
    with connection.cursor() as cursor:
        cursor.execute("select 1")
    for call in (cursor.fetchone, cursor.fetchall, lambda: cursor.execute("select 1")):
        with pytest.raises(unify.InterfaceError, match="the cursor is closed"):
            call()
    cursor.close()


@pytest.mark.parametrize(
    ("sql", "error", "message"),
    [
        ("selct 1", unify.ProgrammingError, "syntax error"),
        ("select * from nothing", unify.ProgrammingError, "table nothing does not exist"),
        ("select nothing from t", unify.ProgrammingError, "nothing"),
        ("show tables frm x", unify.ProgrammingError, ""),
        ("select 'x'::int", unify.DataError, "Could not convert string"),
        ("select 200::tinyint", unify.DataError, "out of range"),
        ("create table t as select 1", unify.ProgrammingError, "already exists"),
        ("load table nothing.at_all", unify.ProgrammingError, "nothing"),
        ("copy t to '/no/such/folder/t.csv'", unify.OperationalError, ""),
        ("", unify.ProgrammingError, "there is no statement here"),
    ],
)
def test_errors_are_those_of_the_standard_and_of_unify(
    connection: DatabaseConnection, sql: str, error: type[dbapi.Error], message: str
) -> None:
    with pytest.raises(error, match=message or None) as caught:
        connection.execute(sql).fetchall()
    assert isinstance(caught.value, UnifyError)
    assert caught.value.message == str(caught.value)
    assert isinstance(caught.value.__cause__, UnifyError)


def test_an_error_while_rows_are_read_is_one_of_the_standard(connection: DatabaseConnection) -> None:
    sql = "select if(range < 4000, '1', 'x')::int from range(10_000)"
    with pytest.raises(unify.DataError, match="Could not convert"):
        connection.execute(sql).fetchall()
    assert connection.execute("select 1").fetchone() == (1,)


def test_types_of_columns_equal_the_type_objects(connection: DatabaseConnection) -> None:
    sql = "select 'a' as s, 'a'::blob as b, 1.5::decimal(9,2) as n, true as t, now() as m, "
    sql += "interval 1 day as d, [1] as l"
    codes = {column[0]: column[1] for column in connection.execute(sql).description or ()}
    kinds = (unify.STRING, unify.BINARY, unify.NUMBER, unify.DATETIME, unify.ROWID)
    found = {name: [repr(kind) for kind in kinds if kind == code] for name, code in codes.items()}
    assert found == {
        "s": ["STRING"], "b": ["BINARY"], "n": ["NUMBER"], "t": ["NUMBER"], "m": ["DATETIME"],
        "d": ["DATETIME"], "l": [],
    }  # fmt: skip
    assert unify.STRING != unify.NUMBER
    assert len({unify.STRING, unify.NUMBER, unify.STRING}) == 2


def test_constructors_of_values() -> None:
    assert unify.Date(2026, 3, 1) == date(2026, 3, 1)
    assert unify.TimestampFromTicks(0) == datetime(1970, 1, 1, tzinfo=UTC)
    assert (unify.DateFromTicks(86_400), unify.TimeFromTicks(3600)) == (date(1970, 1, 2), time(1))
    assert unify.Binary(b"x") == b"x"


def test_each_thread_has_a_connection_of_its_own(module_home: Path, connection: DatabaseConnection) -> None:
    found: list[object] = []

    def run(number: int) -> None:
        with unify.connect(module_home, environment={}) as own:
            own.execute("insert into t values (?, 'x')", [number])
            found.extend(own.execute("select i from t where i = ?", [number]).fetchall())

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, found)) == ["(0,)", "(1,)", "(2,)", "(3,)"]
    assert connection.execute("select count(*) from t").fetchone() == (4,)


@pytest.mark.parametrize(
    ("max_age", "shown"),
    [("5m", "5 minutes"), (0, "0 seconds"), (90, "1 minute 30 seconds"), (timedelta(hours=2), "2 hours"),
     (timedelta(days=30), "30 days"), (1_234_567.5, "14 days 6 hours 56 minutes 7.5 seconds"),
     (None, "default")],
)  # fmt: skip
def test_the_maximum_age_is_a_text_a_number_or_a_duration(
    empty_home: Path, max_age: object, shown: str
) -> None:
    with unify.connect(empty_home, max_age=max_age, environment={}) as opened:  # type: ignore[arg-type]
        rows = {row[0]: row[1] for row in opened.execute("show settings").fetchall()}
    assert rows["max_age"] == shown


def test_an_invalid_option_is_a_programming_error(empty_home: Path) -> None:
    with pytest.raises(unify.ProgrammingError, match="max_age = soon"):
        unify.connect(empty_home, max_age="soon", environment={})


class TestLoads:
    @pytest.fixture
    def opened(self, home: Path, api: FaultServer, monkeypatch: pytest.MonkeyPatch) -> FaultServer:
        """The environment of a home with a connection ``shop``."""
        command = InProcessCommand(home)
        connect_shop(command, api, SPEC)
        for name in ("UNIFY_HOME", "UNIFY_SPECS"):
            monkeypatch.setenv(name, command.environment[name])
        monkeypatch.chdir(home)
        api.serve("/orders", MockResponse.json([{"id": 1}, {"id": 2}]))
        return api

    def test_a_query_loads_its_tables_and_reports_progress(self, opened: FaultServer) -> None:
        statuses: list[LoaderStatus] = []
        with unify.connect(on_progress=statuses.extend) as connection:
            assert connection.execute("select count(*) from shop.orders").fetchone() == (2,)
        assert {str(status.table) for status in statuses} <= {"shop.orders"}
        assert len(opened.requests) == 1

    def test_load_and_tables_need_no_connection(self, opened: FaultServer) -> None:
        [table] = unify.tables("shop")
        assert (str(table.name), table.state, table.rows) == ("shop.orders", "not loaded", None)
        record = unify.load("shop.orders")
        assert (str(record.table), record.status, record.rows_total) == ("shop.orders", "success", 2)
        [table] = unify.tables("shop")
        assert (table.state, table.rows) == ("stored", 2)

    def test_a_load_that_fails_is_an_operational_error(self, opened: FaultServer) -> None:
        opened.serve("/orders", MockResponse.error(422))
        with unify.connect() as connection:
            with pytest.raises(unify.OperationalError, match=r"shop\.orders: GET .*422") as caught:
                connection.execute("from shop.orders")
            assert isinstance(caught.value.__cause__, LoadFailed)
            with pytest.raises(unify.ProgrammingError, match=r"must be CONNECTION\.TABLE"):
                connection.load("orders")

    def test_without_waiting_the_load_goes_on(self, opened: FaultServer) -> None:
        with (
            unify.connect(wait=False) as connection,
            pytest.raises(unify.OperationalError, match="not loaded yet"),
        ):
            connection.execute("from shop.orders")


def test_values_that_python_cannot_hold_are_texts(connection: DatabaseConnection) -> None:
    sql = (
        "select 'infinity'::date, date '0044-03-15 (BC)', timestamp_ns '2026-01-01 00:00:00.123456789', "
        "interval 14 month, timestamp '20000-01-01 00:00:00'"
    )
    assert connection.execute(sql).fetchone() == (
        "infinity",
        "0044-03-15 (BC)",
        "2026-01-01 00:00:00.123456789",
        "1 year 2 months",
        "20000-01-01 00:00:00",
    )


def test_dates_and_times_within_lists_structs_and_maps_are_values(connection: DatabaseConnection) -> None:
    sql = (
        "select [date '2026-01-01', null], {'at': timestamp '2026-01-01 01:02:03', 'n': 1}, "
        "map {'x': interval 25 hour}"
    )
    assert connection.execute(sql).fetchone() == (
        [date(2026, 1, 1), None],
        {"at": datetime(2026, 1, 1, 1, 2, 3), "n": 1},
        {"x": timedelta(hours=25)},
    )
