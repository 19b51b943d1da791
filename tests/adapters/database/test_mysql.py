"""Adapter `mysql` on a MariaDB server: types, collations, pushdown, its own SQL, errors and cancellation."""

from __future__ import annotations

from pathlib import Path
from threading import Thread

import duckdb
import pytest

from tests.adapters.database.conftest import open_adapter
from tests.support.mysql_server import MySQLServer
from tests.support.waiting import wait_until
from unify.adapters.database.attachment import translate_source_errors
from unify.adapters.relation import RelationalAdapter, RelationRead, SortOrder
from unify.errors import QueryError, SourceError, Unauthorized, UnifyError, Unreachable
from unify.language.sql.refs import Condition, Constant, Operator

# Type -> the DuckDB type it is read as; values as MySQL's literals; SQL for the server's text of a value.
CASES: dict[str, tuple[str, list[str], str]] = {
    "tinyint": ("TINYINT", ["-128", "127"], "{}"),
    "tinyint(1)": ("TINYINT", ["2", "-1", "0", "1"], "{}"),
    "tinyint unsigned": ("UTINYINT", ["255"], "{}"),
    "smallint": ("SMALLINT", ["-32768"], "{}"),
    "smallint unsigned": ("USMALLINT", ["65535"], "{}"),
    "mediumint": ("INTEGER", ["-8388608"], "{}"),
    "mediumint unsigned": ("UINTEGER", ["16777215"], "{}"),
    "int": ("INTEGER", ["-2147483648"], "{}"),
    "int unsigned": ("UINTEGER", ["4294967295"], "{}"),
    "bigint": ("BIGINT", ["-9223372036854775808"], "{}"),
    "bigint unsigned": ("UBIGINT", ["18446744073709551615"], "{}"),
    "decimal(10,2)": ("DECIMAL(10,2)", ["-99999999.99", "1.5"], "{}"),
    "decimal(38,10)": ("DECIMAL(38,10)", ["1234567890123456789012345678.0123456789"], "{}"),
    "decimal(65,30)": (
        "VARCHAR",
        ["12345678901234567890123456789012345.123456789012345678901234567890"],
        "{}",
    ),
    "float": ("FLOAT", ["0.5", "16777217", "-1.25"], "{} * 1e0"),
    "double": ("DOUBLE", ["0.1", "1.7976931348623157e308", "123456789.125"], "{}"),
    "date": ("DATE", ["'2024-02-29'", "'9999-12-31'", "'1000-01-01'"], "{}"),
    "datetime": ("TIMESTAMP", ["'2024-01-01 10:00:00'", "'9999-12-31 23:59:59'"], "{}"),
    "datetime(6)": ("TIMESTAMP", ["'2024-01-01 10:00:00.123456'"], "{}"),
    "timestamp(6) null": (
        "TIMESTAMP WITH TIME ZONE",
        ["'2024-01-01 10:00:00.123456'", "'1970-01-02 00:00:00'", "'2038-01-19 03:14:07'"],
        "concat({}, '+00')",
    ),
    "time": ("VARCHAR", ["'-838:59:59'", "'838:59:59'"], "{}"),
    "time(3)": ("VARCHAR", ["'10:00:00.5'"], "{}"),
    "year": ("INTEGER", ["1901", "2155"], "{}"),
    "bit(1)": ("BOOLEAN", ["1", "0"], "elt({} + 1, 'false', 'true')"),
    "bit(8)": ("UBIGINT", ["255"], "{} + 0"),
    "bit(64)": ("UBIGINT", ["0xffffffffffffffff"], "cast({} as unsigned)"),
    "char(5)": ("VARCHAR", ["'ab'"], "{}"),
    "varchar(20)": ("VARCHAR", ["'naïve 😀'", "''", "'a\\\\b'"], "{}"),
    "varchar(21) collate utf8mb4_bin": ("VARCHAR", ["'ab'"], "{}"),
    "varchar(20) character set latin1": ("VARCHAR", ["'é'"], "{}"),
    "text": ("VARCHAR", ["'long'"], "{}"),
    "longtext collate utf8mb4_bin": ("VARCHAR", ["'long'"], "{}"),
    "enum('a','B')": ("VARCHAR", ["'B'"], "{}"),
    "set('x','y')": ("VARCHAR", ["'x,y'", "''"], "{}"),
    "json": ("VARCHAR", ["'{\"a\": 1.10}'"], "{}"),
    "uuid": ("UUID", ["'00000000-0000-0000-0000-00000000000a'"], "{}"),
    "inet6": ("VARCHAR", ["'::1'"], "{}"),
    "binary(3)": ("BLOB", ["'a'"], "hex({})"),
    "varbinary(9)": ("BLOB", ["x'00ff'"], "hex({})"),
    "blob": ("BLOB", ["x'00ff41'"], "hex({})"),
    "point": ("BLOB", ["point(1, 2)"], "hex({})"),
}


@pytest.fixture(scope="module")
def shop_database(mysql_server: MySQLServer) -> str:
    """A database with a table of every type and one of orders."""
    name = mysql_server.create_database()
    columns = ", ".join(f"c{number} {type}" for number, type in enumerate(CASES))
    count = max(len(values) for _, values, _ in CASES.values()) + 1
    rows = [
        ", ".join(
            [str(row), *(values[row] if row < len(values) else "NULL" for _, values, _ in CASES.values())]
        )
        for row in range(count)
    ]
    mysql_server.run(
        f"set time_zone = '+00:00', sql_mode = ''; create table every_type(id int primary key, {columns});"
        + "".join(f"insert into every_type values ({row});" for row in rows)
        + """
        create table orders(
          id int primary key comment 'Number', status varchar(20), note text, amount decimal(20,2) not null,
          at datetime not null, seen timestamp null, d date, f double, flag tinyint(1), key(status), key(seen)
        ) comment 'Orders of customers';
        insert into orders select seq, elt(seq % 4 + 1, 'paid', 'PAID', 'open ', 'Öpen'),
          concat('note ', seq % 10), seq / 4, timestamp '2024-01-01 00:00:00' + interval seq hour,
          timestamp '2024-01-01 00:00:00' + interval seq hour, date '2024-01-01' + interval seq day,
          seq / 8, seq % 2 from seq_1_to_1000;
        create view v as select id, status from orders;
        create table dates(id int primary key, d date, dt datetime);
        insert into dates values (1, '0000-00-00', '2024-00-10 10:00'), (2, '2024-01-01', '2024-01-01 10:00');
        """,
        name,
    )
    return name


@pytest.fixture(scope="module")
def shop_db(
    mysql_server: MySQLServer, shop_database: str, duck: duckdb.DuckDBPyConnection
) -> RelationalAdapter:
    adapter = open_adapter("mysql", mysql_server.options(shop_database), name="mine")
    adapter.attach(duck)
    return adapter


def run(
    duck: duckdb.DuckDBPyConnection, adapter: RelationalAdapter, table: str, read: RelationRead
) -> list[tuple[object, ...]]:
    found = adapter.find_table(duck, table)
    assert found is not None
    with translate_source_errors(adapter.connection):
        rows: list[tuple[object, ...]] = duck.execute(adapter.relation(duck, found, read).sql).fetchall()
    return rows


def where(column: str, operator: Operator, *values: str | Constant) -> Condition:
    return Condition(column, operator, tuple(v if isinstance(v, Constant) else Constant(v) for v in values))


def test_each_type_is_read_as_the_server_shows_it_live_and_stored(
    shop_db: RelationalAdapter,
    duck: duckdb.DuckDBPyConnection,
    mysql_server: MySQLServer,
    shop_database: str,
    tmp_path: Path,
) -> None:
    table = shop_db.find_table(duck, "every_type")
    assert table is not None
    assert [column.type for column in table.columns[1:]] == [type for type, _, _ in CASES.values()]
    live = shop_db.relation(duck, table, RelationRead()).sql
    file = tmp_path / "rows.parquet"
    duck.execute(f"COPY ({live}) TO '{file}' (FORMAT parquet)")
    shown = ", ".join(
        f"coalesce({text.format(f'c{number}')}, 'NULL')" for number, (_, _, text) in enumerate(CASES.values())
    )
    expected = [
        row.split("\t")
        for row in mysql_server.run(
            f"set time_zone = '+00:00'; select {shown} from every_type order by id", shop_database
        ).splitlines()
    ]
    for relation in (live, f"FROM '{file}'"):
        texts = ", ".join(_text_sql(f"c{n}", type) for n, (type, _, _) in enumerate(CASES.values()))
        rows = duck.execute(f"SELECT {texts} FROM ({relation}) ORDER BY id").fetchall()
        differences = [
            (type, found, wanted)
            for row, wanted_row in zip(rows, expected, strict=True)
            for type, found, wanted in zip(CASES, row, wanted_row, strict=True)
            if found != wanted
        ]
        assert differences == []


def _text_sql(column: str, type: str) -> str:
    match type:
        case "BLOB":
            text = f"hex({column})"
        case "TIMESTAMP WITH TIME ZONE":
            text = f"strftime({column} AT TIME ZONE 'UTC', '%Y-%m-%d %H:%M:%S.%f') || '+00'"
        case "FLOAT" | "DOUBLE":
            text = f"regexp_replace(replace(CAST({column} AS VARCHAR), 'e+', 'e'), '\\.0$', '')"
        case "TIMESTAMP":
            text = f"CAST({column} AS VARCHAR)"
        case _:
            text = f"CAST({column} AS VARCHAR)"
    return f"coalesce({text}, 'NULL')"


def test_a_date_that_does_not_exist_is_null(
    shop_db: RelationalAdapter, duck: duckdb.DuckDBPyConnection
) -> None:
    table = shop_db.find_table(duck, "dates")
    assert table is not None
    sql = shop_db.relation(duck, table, RelationRead()).sql
    rows = duck.execute(f"SELECT id, d::VARCHAR, dt::VARCHAR FROM ({sql}) ORDER BY id").fetchall()
    assert rows == [(1, None, None), (2, "2024-01-01", "2024-01-01 10:00:00")]
    for column in ("d", "dt"):
        read = RelationRead(("id",), (where(column, "<", "2025-01-01"),), (SortOrder("id"),), 1)
        assert run(duck, shop_db, "dates", read) == [(2,)]
        first = RelationRead(("id",), order_by=(SortOrder(column),), limit=1)
        assert run(duck, shop_db, "dates", first) == [(2,)]


def test_a_text_is_compared_as_duckdb_compares_it_whatever_the_collation(
    shop_db: RelationalAdapter, duck: duckdb.DuckDBPyConnection, mysql_server: MySQLServer
) -> None:
    for condition, rows in (
        (where("status", "=", "PAID"), 250),
        (where("status", "in", "paid", "open"), 250),
        (where("status", "=", "open "), 250),
        (where("status", "like", "Öp%"), 250),
        (where("status", ">", "paid"), 250),
        (where("status", "=", "open"), 0),
    ):
        assert len(run(duck, shop_db, "orders", RelationRead(("id",), (condition,)))) == rows
    read = RelationRead(("id",), (where("status", "=", "PAID"),), (SortOrder("id"),), 2)
    assert run(duck, shop_db, "orders", read) == [(1,), (5,)]
    expected = "`status` = 'PAID' AND CAST(CONVERT(`status` USING utf8mb4) AS BINARY) IN"
    assert any(expected in line and "LIMIT 2" in line for line in mysql_server.statements())


@pytest.mark.parametrize(
    ("condition", "sent", "rows"),
    [
        (where("id", "=", Constant("7", "BIGINT")), "`id` = 7", 1),
        (where("amount", ">=", Constant("249.75", "DOUBLE")), "`amount` >= 249.7499", 2),
        (where("f", "=", Constant("0.125", "DOUBLE")), "`f` = 0.125e0", 1),
        (where("flag", "=", Constant("1", "BIGINT")), "`flag` = 1", 500),
        (where("d", ">=", "2026-09-26"), "`d` >= date '2026-09-26'", 2),
        (where("at", "<", "2024-01-01 02:00"), "`at` < timestamp '2024-01-01 02:00:00'", 1),
        # The server has the time zone +05:45, as the session.
        (where("seen", "<=", "2024-01-01 07:45"), "`seen` <= FROM_UNIXTIME(", 2),
        (
            where("seen", "=", Constant("2024-01-01 01:00:00+00", "TIMESTAMP WITH TIME ZONE")),
            "`seen` >= FROM",
            1,
        ),
        (where("note", "=", "note 3"), "`note` = 'note 3'", 100),
        (where("note", "=", "a\\b"), "_utf8mb4 X'615c62'", 0),
    ],
)
def test_a_condition_is_applied_by_the_server(
    shop_db: RelationalAdapter, duck: duckdb.DuckDBPyConnection, condition: Condition, sent: str, rows: int
) -> None:
    table = shop_db.find_table(duck, "orders")
    assert table is not None
    relation = shop_db.relation(duck, table, RelationRead(columns=("id",), conditions=(condition,)))
    assert sent in relation.sent[0]
    assert len(duck.execute(relation.sql).fetchall()) == rows


def test_an_order_with_a_limit_is_applied_by_the_server(
    shop_db: RelationalAdapter, duck: duckdb.DuckDBPyConnection
) -> None:
    table = shop_db.find_table(duck, "orders")
    assert table is not None
    for order, clause, expected in (
        (SortOrder("id"), "ORDER BY `id` ASC LIMIT 2", [(1,), (2,)]),
        (SortOrder("f", descending=True), "ORDER BY `f` DESC LIMIT 2", [(1000,), (999,)]),
        (SortOrder("f"), "ORDER BY `f` IS NULL, `f` ASC LIMIT 2", [(1,), (2,)]),
        (SortOrder("f", descending=True, nulls_first=True), "`f` IS NOT NULL, `f` DESC", [(1000,), (999,)]),
    ):
        relation = shop_db.relation(duck, table, RelationRead(("id",), order_by=(order,), limit=2))
        assert clause in relation.sent[0]
        assert duck.execute(relation.sql).fetchall() == expected
    assert (
        "LIMIT"
        not in shop_db.relation(duck, table, RelationRead(order_by=(SortOrder("note"),), limit=2)).sent[0]
    )


def test_tables_are_found_listed_and_counted(
    shop_db: RelationalAdapter,
    duck: duckdb.DuckDBPyConnection,
    mysql_server: MySQLServer,
    shop_database: str,
) -> None:
    table = shop_db.find_table(duck, f"{shop_database.upper()}.ORDERS")
    assert table is not None
    assert (table.name, table.key, table.description) == ("orders", ("id",), "Orders of customers")
    assert table.columns[0].description == "Number"
    names = [one.name for one in shop_db.list_tables(duck)]
    assert names == ["dates", "every_type", "orders", "v"]
    assert shop_database in shop_db.list_schemas(duck)
    assert len(run(duck, shop_db, "v", RelationRead())) == 1000
    relation = shop_db.relation(duck, table, RelationRead(count_only=True))
    assert duck.execute(f"SELECT count(*) FROM ({relation.sql})").fetchall() == [(1000,)]
    assert shop_db.find_table(duck, "nothing") is None


def test_a_change_of_columns_is_seen_by_the_next_statement(
    shop_db: RelationalAdapter,
    duck: duckdb.DuckDBPyConnection,
    mysql_server: MySQLServer,
    shop_database: str,
) -> None:
    mysql_server.run("create table changing(a int, b int); insert into changing values (1, 7)", shop_database)
    for change, expected in (
        ("modify a bigint", [(1, 7)]),
        ("add c int default 3", [(1, 7, 3)]),
        ("drop b", [(1, 3)]),
        ("modify a varchar(9)", [("1", 3)]),
    ):
        mysql_server.run(f"alter table changing {change}", shop_database)
        assert run(duck, shop_db, "changing", RelationRead()) == expected


def test_a_query_in_its_own_sql_is_exact(shop_db: RelationalAdapter, duck: duckdb.DuckDBPyConnection) -> None:
    relation = shop_db.query(
        duck, "select sum(c10) as total, count(*) as n, max(c1) as t from every_type -- all\n;"
    )
    assert [column.type for column in relation.columns] == ["VARCHAR", "BIGINT", "TINYINT"]
    assert duck.execute(relation.sql).fetchall() == [("18446744073709551615", 5, 2)]
    assert ("orders",) in duck.execute(shop_db.query(duck, "show tables").sql).fetchall()
    for sql, message in (
        ("selec 1", "error in your SQL syntax"),
        ("delete from orders", "must be a SELECT|types"),
    ):
        with pytest.raises(QueryError, match=message):
            shop_db.query(duck, sql)


def test_a_running_statement_is_cancelled_at_the_server(
    shop_db: RelationalAdapter, duck: duckdb.DuckDBPyConnection, mysql_server: MySQLServer
) -> None:
    relation = shop_db.query(duck, "select sleep(300) as slept")
    errors: list[BaseException] = []

    def wait() -> None:
        try:
            with translate_source_errors("mine"):
                duck.cursor().execute(relation.sql).fetchall()
        except UnifyError as error:
            errors.append(error)

    thread = Thread(target=wait)
    thread.start()
    sleeping = "info like '%sleep(300)%' and info not like '%processlist%'"
    running = f"select count(*) from information_schema.processlist where {sleeping}"
    wait_until(lambda: mysql_server.run(running) == "1\n")
    shop_db.cancel(duck)
    thread.join(60)
    assert not thread.is_alive()
    assert mysql_server.run(running) == "0\n"
    assert len(run(duck, shop_db, "v", RelationRead())) == 1000


def test_a_statement_that_takes_too_long_is_ended_by_the_server(
    mysql_server: MySQLServer, shop_database: str, duck: duckdb.DuckDBPyConnection
) -> None:
    options = mysql_server.options(shop_database) | {"statement_timeout": "200ms"}
    adapter = open_adapter("mysql", options, name="hasty")
    adapter.attach(duck)
    assert len(run(duck, adapter, "v", RelationRead())) == 1000
    relation = adapter.query(duck, "select sleep(60) as slept")
    with pytest.raises(SourceError), translate_source_errors("hasty"):
        duck.execute(relation.sql).fetchall()


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"password": "wrong-canary"}, Unauthorized, "failing: Access denied for user"),
        ({"port": "1"}, Unreachable, "failing: Can't connect to server on '127.0.0.1'"),
        ({"host": "no-such-host.invalid"}, Unreachable, "Unknown server host"),
        ({"database": "nothing"}, SourceError, "nothing"),
        ({"ssl_mode": "required"}, SourceError, "SSL is required"),
    ],
)
def test_a_connection_that_fails_says_why_without_the_password(
    mysql_server: MySQLServer,
    shop_database: str,
    duck: duckdb.DuckDBPyConnection,
    changes: dict[str, str],
    error: type[SourceError],
    message: str,
) -> None:
    adapter = open_adapter("mysql", mysql_server.options(shop_database) | changes, name="failing")
    with pytest.raises(error, match=message) as caught:
        adapter.attach(duck)
    assert "canary" not in str(caught.value) + repr(caught.value.__cause__)


def test_check_says_version_user_and_rights_and_no_listing_shows_a_password(
    shop_db: RelationalAdapter, duck: duckdb.DuckDBPyConnection, shop_database: str
) -> None:
    check = shop_db.check(duck)
    assert check.identity.startswith(f"reader@% at {shop_database}, MariaDB ")
    assert check.identity.endswith(", may write, no TLS")
    listings = ("duckdb_databases()", "duckdb_secrets()", "duckdb_settings()")
    assert "canary" not in str([duck.execute(f"from {listing}").fetchall() for listing in listings])
