"""Adapter `postgres` on a server: names, pushdown, changes of tables, its own SQL, errors and secrets."""

from __future__ import annotations

from threading import Thread
from time import process_time

import duckdb
import pytest

from tests.adapters.database.conftest import open_adapter
from tests.support.postgres_server import PASSWORD, PostgresServer, run_postgres
from tests.support.waiting import wait_until
from unify.adapters.database.attachment import translate_source_errors
from unify.adapters.relation import RelationalAdapter, RelationRead, SortOrder
from unify.errors import (
    Forbidden,
    Interrupted,
    NotFound,
    QueryError,
    SourceError,
    Unauthorized,
    UnifyError,
    Unreachable,
)
from unify.language.sql.refs import Condition, Constant, Operator

SETUP = """
create schema sales;
create schema "Odd.Schema";
create table orders(
  id int primary key, note text, amount numeric(10,2), n numeric, at timestamp, ats timestamptz, d date,
  f float8, r real, u uuid, ok bool, c char(5), big bigint
);
comment on table orders is 'Orders of customers';
comment on column orders.note is 'What the customer wrote';
create index on orders(note);
insert into orders select i, 'note ' || i % 100, i / 4.0, i, timestamp '2024-01-01' + i * interval '1 hour',
  timestamptz '2024-01-01 00:00+00' + i * interval '1 hour', date '2024-01-01' + i, i / 8.0, i / 8.0,
  ('00000000-0000-0000-0000-' || lpad(to_hex(i), 12, '0'))::uuid, i % 2 = 0, 'c' || i % 3, i * 10000000000
  from generate_series(1, 1000) as g(i);
insert into orders(id, amount) values (0, 'NaN');
analyze orders;
create table sales.orders(id int);
create table sales."Dotted.Name" ("a.b" int, "quo""te" int);
create table sales."Twin"(a int); create table sales."TWIN"(b int);
create view sales.v as select id, note from orders;
create materialized view sales.mv as select 1 as one;
create table "Odd.Schema".t(a int);
create table parts(id int) partition by range (id);
create table parts_1 partition of parts for values from (0) to (10);
insert into parts values (1);
create table no_columns();
create role clerk login password 'clerk-canary';
grant select (id, note) on orders to clerk;
grant usage on schema sales to clerk;
grant select on sales.orders to clerk;
"""


@pytest.fixture(scope="module", autouse=True)
def tables(postgres_server: PostgresServer, database: str) -> None:
    postgres_server.run(SETUP, database)


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


# -- names -------------------------------------------------------------------------------------------


def test_tables_are_found_by_name_in_any_case(
    shop: RelationalAdapter, duck: duckdb.DuckDBPyConnection
) -> None:
    names = {
        "ORDERS": "orders",
        "sales.orders": "sales.orders",
        "Sales.ORDERS": "sales.orders",
        'sales."dotted.name"': 'sales."Dotted.Name"',
        '"odd.schema".T': '"Odd.Schema".t',
        "public.orders": "orders",
        "sales.v": "sales.v",
        "parts_1": "parts_1",
        "sales.Twin": "sales.Twin",
    }
    found = {name: shop.find_table(duck, name) for name in names}
    assert {name: table.name for name, table in found.items() if table is not None} == names
    assert shop.find_table(duck, "nothing") is None
    assert shop.find_table(duck, "a.b.c") is None
    with pytest.raises(
        QueryError, match=r"sales\.TWIN and sales\.Twin differ only in case|Twin and sales.TWIN"
    ):
        shop.find_table(duck, "sales.twin")


def test_a_table_has_its_key_descriptions_and_number_of_rows(
    shop: RelationalAdapter, duck: duckdb.DuckDBPyConnection
) -> None:
    table = shop.find_table(duck, "orders")
    assert table is not None
    assert (table.key, table.description, table.approximate_rows) == (("id",), "Orders of customers", 1001)
    assert table.columns[1].description == "What the customer wrote"
    odd = shop.find_table(duck, 'sales."Dotted.Name"')
    assert odd is not None
    assert [column.name for column in odd.columns] == ["a.b", 'quo"te']


def test_schemas_and_tables_are_listed_without_system_tables_and_partitions(
    shop: RelationalAdapter, duck: duckdb.DuckDBPyConnection
) -> None:
    assert list(shop.list_schemas(duck)) == ["public", "Odd.Schema", "sales"]
    assert [table.name for table in shop.list_tables(duck)] == ["no_columns", "orders", "parts"]
    expected = ['sales."Dotted.Name"', "sales.TWIN", "sales.Twin", "sales.mv", "sales.orders", "sales.v"]
    assert sorted(table.name for table in shop.list_tables(duck, "sales")) == sorted(expected)
    assert shop.list_tables(duck)[1].description == "Orders of customers"


def test_views_partitioned_tables_and_odd_names_are_read(
    shop: RelationalAdapter, duck: duckdb.DuckDBPyConnection
) -> None:
    assert run(duck, shop, "sales.mv", RelationRead()) == [(1,)]
    assert run(duck, shop, "parts", RelationRead()) == [(1,)]
    assert run(duck, shop, 'sales."Dotted.Name"', RelationRead()) == []
    assert len(run(duck, shop, "sales.v", RelationRead(columns=("ID",)))) == 1001
    with pytest.raises(SourceError, match=r"shop\.no_columns has no column that this user may read"):
        run(duck, shop, "no_columns", RelationRead())


def test_a_role_sees_only_what_it_may_read(
    postgres_server: PostgresServer, database: str, duck: duckdb.DuckDBPyConnection
) -> None:
    options = postgres_server.options(
        database, user="clerk", password="clerk-canary", schemas="public, sales"
    )
    clerk = open_adapter("postgres", options, name="clerk")
    clerk.attach(duck)
    assert [table.name for table in clerk.list_tables(duck)] == ["orders", "sales.orders"]
    table = clerk.find_table(duck, "orders")
    assert table is not None
    assert [column.name for column in table.columns] == ["id", "note"]
    assert len(run(duck, clerk, "orders", RelationRead())) == 1001
    assert "clerk at " in clerk.check(duck).identity
    assert "read-only" in clerk.check(duck).identity
    with pytest.raises(Forbidden, match="clerk: permission denied for table orders"):
        clerk.query(duck, "select amount from orders")


# -- pushdown ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "sent", "rows"),
    [
        (where("note", "=", "note 7"), "\"note\" = 'note 7'", 10),
        (where("note", "in", "note 7", "note 8", "o'x"), "\"note\" IN ('note 7', 'note 8', 'o''x')", 20),
        (where("note", "like", "note 1%"), "\"note\" LIKE 'note 1%'", 110),
        (where("note", ">", "note 98"), '"note" COLLATE "C" > \'note 98\'', 10),
        (where("id", "=", Constant("7", "BIGINT")), '"id" = 7', 1),
        (where("id", "<", Constant("2.5", "DOUBLE")), '"id" < 2.5', 3),
        (where("amount", ">=", Constant("249.75", "DOUBLE")), '"amount" >= 249.75 AND NOT', 2),
        (where("big", ">", Constant("9990000000000", "BIGINT")), '"big" > 9990000000000', 1),
        (where("f", "=", Constant("0.125", "DOUBLE")), "\"f\" = float8 '0.125'", 1),
        (where("u", "=", "00000000-0000-0000-0000-00000000000A"), '"u" = uuid', 1),
        (where("ok", "=", Constant("true", "BOOLEAN")), '"ok" = true', 500),
        (where("d", ">=", "2026-09-26"), "\"d\" >= date '2026-09-26'", 2),
        (where("at", "<", Constant("2024-01-01 02:00", "TIMESTAMP")), "timestamp '2024-01-01 02:00:00'", 1),
        (where("ats", "<=", "2024-01-01 07:45"), "timestamptz '2024-01-01 02:00:00+00'", 2),
        (where("c", "=", "c1"), "\"c\" = 'c1'", 334),
    ],
)
def test_a_condition_is_applied_by_the_server(
    shop: RelationalAdapter, duck: duckdb.DuckDBPyConnection, condition: Condition, sent: str, rows: int
) -> None:
    table = shop.find_table(duck, "orders")
    assert table is not None
    relation = shop.relation(duck, table, RelationRead(columns=("id",), conditions=(condition,)))
    assert sent in relation.sent[0]
    assert len(duck.execute(relation.sql).fetchall()) == rows


@pytest.mark.parametrize(
    "condition",
    [
        where("note", "=", Constant("7", "BIGINT")),  # DuckDB refuses the comparison
        where("id", "=", "7.4"),
        where("id", "=", Constant("9007199254740993.0", "DOUBLE")),
        where("f", "=", Constant("1e3", "DOUBLE")),
        where("r", "=", Constant("0.1", "DOUBLE")),
        where("n", ">", Constant("5", "BIGINT")),
        where("d", "=", "2024-02-30"),
        where("ats", "=", Constant("10:00", "TIME")),
        where("u", ">", "00000000-0000-0000-0000-000000000001"),
        where("c", ">", "c1"),
        where("id", "in", *(Constant(str(n), "BIGINT") for n in range(1001))),
        where("nothing", "=", "x"),
        where("note", "like", "%7"),
    ],
)
def test_a_condition_that_might_change_the_result_is_left_to_duckdb(
    shop: RelationalAdapter, duck: duckdb.DuckDBPyConnection, condition: Condition
) -> None:
    table = shop.find_table(duck, "orders")
    assert table is not None
    read = RelationRead(conditions=(condition,), order_by=(SortOrder("id"),), limit=3)
    [sent] = shop.relation(duck, table, read).sent
    assert "WHERE" not in sent
    assert "LIMIT" not in sent


def test_an_order_with_a_limit_is_applied_by_the_server(
    shop: RelationalAdapter, duck: duckdb.DuckDBPyConnection
) -> None:
    table = shop.find_table(duck, "orders")
    assert table is not None
    for orders, clause, expected in (
        ((SortOrder("at", descending=True),), '"at" DESC NULLS LAST', [(1000,), (999,)]),
        (
            (SortOrder("amount", descending=True),),
            "nullif(\"amount\", 'NaN') DESC NULLS LAST",
            [(1000,), (999,)],
        ),
        (
            (SortOrder("at", nulls_first=True), SortOrder("id")),
            '"at" ASC NULLS FIRST, "id" ASC',
            [(0,), (1,)],
        ),
        ((SortOrder("note"), SortOrder("id")), '"note" COLLATE "C" ASC NULLS LAST', [(100,), (200,)]),
    ):
        read = RelationRead(columns=("id",), order_by=orders, limit=2)
        relation = shop.relation(duck, table, read)
        assert clause in relation.sent[0]
        assert duck.execute(relation.sql).fetchall() == expected


def test_the_log_of_the_server_has_the_condition_on_a_text_key_and_the_limit(
    shop: RelationalAdapter, duck: duckdb.DuckDBPyConnection, postgres_server: PostgresServer, database: str
) -> None:
    read = RelationRead(("id",), (where("note", "=", "note 42"),), (SortOrder("id"),), 3)
    assert run(duck, shop, "orders", read) == [(42,), (142,), (242,)]
    expected = 'WHERE ("note" = \'note 42\') ORDER BY "id" ASC LIMIT 3'
    assert any("COPY" in line and expected in line for line in postgres_server.statements(database))
    plan = postgres_server.run("explain select id from orders where note = 'note 42'", database)
    assert "Index" in plan


def test_counting_reads_one_row(shop: RelationalAdapter, duck: duckdb.DuckDBPyConnection) -> None:
    table = shop.find_table(duck, "orders")
    assert table is not None
    relation = shop.relation(duck, table, RelationRead(count_only=True))
    assert relation.sent == ('SELECT count(*) AS n FROM "public"."orders"',)
    assert duck.execute(f"SELECT count(*) FROM ({relation.sql})").fetchall() == [(1001,)]


def test_a_collation_of_the_session_keeps_conditions_on_text_with_duckdb(
    shop: RelationalAdapter, duck: duckdb.DuckDBPyConnection
) -> None:
    table = shop.find_table(duck, "orders")
    assert table is not None
    with duck.cursor() as cursor:
        cursor.execute("SET default_collation = 'nocase'")
        try:
            read = RelationRead(conditions=(where("note", "=", "NOTE 7"),))
            assert "WHERE" not in shop.relation(cursor, table, read).sent[0]
        finally:
            cursor.execute("RESET default_collation")


# -- changes of tables -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "change", "expected"),
    [
        ("int", "alter a type bigint", "1"),
        ("bigint", "alter a type int", "1"),
        ("text", "alter a type int using a::int", "1"),
        ("int", "alter a type text", "1"),
        ("real", "alter a type float8", "1.0"),
        ("date", "alter a type timestamp", "2024-01-01 00:00:00"),
        ("smallint", "alter a type int", "1"),
        ("int", "alter a type numeric(5,1)", "1.0"),
        ("int", "add c int default 3", "1"),
        ("int", "drop b", "1"),
        ("int", "rename b to x", "1"),
    ],
)
def test_a_change_of_columns_is_seen_by_the_next_statement(
    shop: RelationalAdapter,
    duck: duckdb.DuckDBPyConnection,
    postgres_server: PostgresServer,
    database: str,
    before: str,
    change: str,
    expected: str,
) -> None:
    value = "2024-01-01" if before == "date" else "1"
    postgres_server.run(
        f"drop table if exists changing; create table changing(a {before}, b int default 7);"
        f"insert into changing values ('{value}')",
        database,
    )
    assert len(run(duck, shop, "changing", RelationRead())) == 1
    postgres_server.run(f"alter table changing {change}", database)
    table = shop.find_table(duck, "changing")
    assert table is not None
    columns = postgres_server.run(
        "select attname from pg_attribute where attrelid = 'changing'::regclass and attnum > 0 "
        "and not attisdropped order by attnum",
        database,
    ).split()
    assert [column.name for column in table.columns] == columns
    sql = shop.relation(duck, table, RelationRead()).sql
    assert duck.execute(f"SELECT CAST(a AS VARCHAR) FROM ({sql})").fetchall() == [(expected,)]
    others = [name for name in columns if name != "a"]
    if others:
        assert duck.execute(f'SELECT min("{others[0]}") FROM ({sql})').fetchall() == [(7,)]


def test_columns_are_asked_again_if_the_server_says_that_the_table_has_changed(
    shop: RelationalAdapter, duck: duckdb.DuckDBPyConnection, postgres_server: PostgresServer, database: str
) -> None:
    postgres_server.run(
        "create type mood as enum ('sad'); create table watched(id int not null, note text);"
        "grant select on watched to clerk",
        database,
    )
    options = postgres_server.options(database, user="clerk", password="clerk-canary")
    clerk = open_adapter("postgres", options, name="watcher")
    clerk.attach(duck)
    for change in (
        "analyze watched",  # nothing has changed
        "alter table watched add primary key (id)",
        "comment on column watched.note is 'A note'",
        "comment on table watched is 'A table'",
        "revoke select on watched from clerk; grant select (note) on watched to clerk",
        "grant select (id) on watched to clerk",
        "alter table watched rename note to text",
        "alter table watched alter text type varchar(9)",
        "insert into watched values (1, 'a'), (2, 'b'); analyze watched",
        "alter table watched drop constraint watched_pkey",
        "alter table watched add feeling mood",
        "grant select (feeling) on watched to clerk",
        "alter type mood add value 'glad'",
        "drop table watched; create table watched(id int); grant select on watched to clerk",
    ):
        postgres_server.run(change, database)
        fresh = open_adapter("postgres", options, name="watcher")
        assert clerk.find_table(duck, "watched") == fresh.find_table(duck, "watched"), change
    assert clerk.find_table(duck, "watched") is clerk.find_table(duck, "watched")


def test_a_table_that_is_dropped_or_made_again_is_seen(
    shop: RelationalAdapter, duck: duckdb.DuckDBPyConnection, postgres_server: PostgresServer, database: str
) -> None:
    postgres_server.run("create schema later; create table later.t(a int)", database)
    table = shop.find_table(duck, "later.t")
    assert table is not None
    postgres_server.run("drop table later.t", database)
    assert shop.find_table(duck, "later.t") is None
    with (
        pytest.raises(NotFound, match=r'shop: relation "later.t" does not exist'),
        translate_source_errors("shop"),
    ):
        duck.execute(shop.relation(duck, table, RelationRead()).sql).fetchall()


# -- its own SQL -------------------------------------------------------------------------------------


def test_a_query_in_its_own_sql_is_exact(shop: RelationalAdapter, duck: duckdb.DuckDBPyConnection) -> None:
    sql = """select sum(big) as "Sum", 1.25::numeric(6,3) as n, count(*) filter (where ok) as k,
      array_agg(id order by id) filter (where id < 3) as ids, '{"a":1}'::jsonb -> 'a' as j, 1.5 as plain
      from orders -- all of them
      ;"""
    relation = shop.query(duck, sql)
    types = ["VARCHAR", "DECIMAL(6,3)", "BIGINT", "INTEGER[]", "JSON", "VARCHAR"]
    assert [(column.name, column.type) for column in relation.columns] == list(
        zip(["Sum", "n", "k", "ids", "j", "plain"], types, strict=True)
    )
    [row] = duck.execute(f"SELECT COLUMNS(*)::VARCHAR FROM ({relation.sql})").fetchall()
    assert row == ("5005000000000000", "1.250", "500", "[0, 1, 2]", "1", "1.5")


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("selec 1", 'shop: syntax error at or near "selec"'),
        ("select nothing from orders", 'shop: column "nothing" does not exist'),
        ("delete from orders", "the query must be a SELECT statement"),
        ("select 1; select 2", "cannot insert multiple commands"),
        ("select 1 as a, 2 as a", 'two columns are called "a"; give each its own name with as'),
        (
            "with d as (delete from orders returning id) select * from d",
            "WITH clause containing a data-modif",
        ),
        ("show server_version", "syntax error|only SELECT"),
    ],
)
def test_a_query_that_the_server_refuses_says_why(
    shop: RelationalAdapter, duck: duckdb.DuckDBPyConnection, sql: str, message: str
) -> None:
    with pytest.raises(QueryError, match=message) as caught:
        duck.execute(shop.query(duck, sql).sql)
    assert "postgres_query" not in caught.value.message
    assert "__unify" not in caught.value.message


# -- errors, cancellation, secrets -------------------------------------------------------------------


def test_a_running_statement_is_cancelled_at_the_server(
    shop: RelationalAdapter, duck: duckdb.DuckDBPyConnection, postgres_server: PostgresServer, database: str
) -> None:
    relation = shop.query(duck, "select pg_sleep(300)::text as slept, 1 as mark")
    errors: list[BaseException] = []

    def wait() -> None:
        try:
            with translate_source_errors("shop"):
                duck.cursor().execute(relation.sql).fetchall()
        except UnifyError as error:
            errors.append(error)

    thread = Thread(target=wait)
    thread.start()
    running = "select count(*) from pg_stat_activity where state = 'active' and query like 'COPY%pg_sleep%'"
    wait_until(lambda: postgres_server.run(running) == "1\n")
    shop.cancel(duck)
    thread.join(60)
    assert [type(error) for error in errors] == [Interrupted]
    assert postgres_server.run(running) == "0\n"
    assert run(duck, shop, "sales.mv", RelationRead()) == [(1,)]


def test_the_name_of_the_session_says_which_connection_it_serves(
    shop: RelationalAdapter, postgres_server: PostgresServer, database: str
) -> None:
    names = postgres_server.run(
        f"select distinct application_name from pg_stat_activity where datname = '{database}'"
    )
    assert "unify shop " in names


def test_check_says_version_user_rights_and_encryption(
    shop: RelationalAdapter, duck: duckdb.DuckDBPyConnection, database: str
) -> None:
    check = shop.check(duck)
    assert check.accepted
    assert check.identity.startswith(f"postgres at {database}, PostgreSQL ")
    assert check.identity.endswith(", may write, no TLS")


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"password": "wrong-canary"}, Unauthorized, "password authentication failed for user"),
        ({"user": "nobody-here"}, Unauthorized, "authentication failed for user"),
        ({"database": "nothing"}, NotFound, 'database "nothing" does not exist'),
        ({"port": "1"}, Unreachable, "Connection refused"),
        ({"host": "no-such-host.invalid"}, Unreachable, "could not translate host name"),
        ({"sslmode": "verify-full"}, SourceError, "server does not support SSL"),
        ({"sslmode": "sometimes"}, SourceError, "invalid sslmode value"),
    ],
)
def test_a_connection_that_fails_says_why_without_the_password(
    postgres_server: PostgresServer,
    database: str,
    duck: duckdb.DuckDBPyConnection,
    changes: dict[str, str],
    error: type[SourceError],
    message: str,
) -> None:
    adapter = open_adapter("postgres", postgres_server.options(database) | changes, name="failing")
    with pytest.raises(error, match=message) as caught:
        adapter.attach(duck)
    assert caught.value.message.startswith("failing: ")
    assert "canary" not in str(caught.value) + repr(caught.value.__cause__)


def test_a_statement_that_takes_too_long_is_ended_by_the_server(
    postgres_server: PostgresServer, database: str, duck: duckdb.DuckDBPyConnection
) -> None:
    adapter = open_adapter(
        "postgres", postgres_server.options(database, statement_timeout="200ms"), name="hasty"
    )
    adapter.attach(duck)
    relation = adapter.query(duck, "select pg_sleep(60)::text as slept")
    with (
        pytest.raises(SourceError, match="statement timeout; narrow the query, or set the option"),
        translate_source_errors("hasty"),
    ):
        duck.execute(relation.sql).fetchall()


def test_no_listing_error_or_setting_shows_a_password(
    shop: RelationalAdapter, duck: duckdb.DuckDBPyConnection
) -> None:
    shown = [
        duck.execute(sql).fetchall()
        for sql in (
            "from duckdb_databases()",
            "from duckdb_secrets()",
            "pragma database_list",
            "from duckdb_settings()",
            "show databases",
            "explain " + shop.query(duck, "select 1 as one").sql,
        )
    ]
    assert "canary" not in str(shown)
    assert PASSWORD not in str(shown)
    with pytest.raises(duckdb.Error) as caught:
        duck.execute("select * from postgres_query('__unify_source_shop', 'select 1/0 as x')").fetchall()
    assert "canary" not in str(caught.value)


def test_a_server_that_comes_back_is_used_again(duck: duckdb.DuckDBPyConnection) -> None:
    with run_postgres() as server:
        adapter = open_adapter("postgres", server.options("postgres"), name="restarted")
        adapter.attach(duck)
        server.run("create table t as select 1 as a")
        server.run("checkpoint")  # in one call, it would come before the commit
        assert run(duck, adapter, "t", RelationRead()) == [(1,)]
        server.stop("immediate")
        with pytest.raises(Unreachable) as caught:
            run(duck, adapter, "t", RelationRead())
        assert caught.value.retryable
        assert "canary" not in str(caught.value)
        server.start()
        wait_until(lambda: _is_readable(duck, adapter))
        assert run(duck, adapter, "t", RelationRead()) == [(1,)]


def _is_readable(duck: duckdb.DuckDBPyConnection, adapter: RelationalAdapter) -> bool:
    try:
        return run(duck, adapter, "t", RelationRead()) == [(1,)]
    except Unreachable:
        return False


def test_text_of_a_database_in_another_encoding_is_read(
    postgres_server: PostgresServer, duck: duckdb.DuckDBPyConnection
) -> None:
    database = postgres_server.create_database(
        "latin", "encoding 'LATIN1' lc_collate 'C' lc_ctype 'C' template template0"
    )
    postgres_server.run("create table t(\"größe\" text); insert into t values ('naïve'), ('é')", database)
    adapter = open_adapter("postgres", postgres_server.options(database), name="latin")
    adapter.attach(duck)
    assert run(duck, adapter, "t", RelationRead(conditions=(where("größe", "=", "naïve"),))) == [("naïve",)]
    table = adapter.find_table(duck, "t")
    assert table is not None
    sorted_read = RelationRead(order_by=(SortOrder("größe"),), limit=1)
    assert "LIMIT" not in adapter.relation(duck, table, sorted_read).sent[0]  # its bytes are not UTF-8


def test_an_encrypted_connection_checks_the_certificate(
    duck: duckdb.DuckDBPyConnection,
) -> None:
    with run_postgres() as server:
        authority = server.enable_tls()
        options = server.options("postgres", sslmode="verify-full", sslrootcert=str(authority))
        adapter = open_adapter("postgres", options, name="safe")
        adapter.attach(duck)
        assert "TLSv1" in adapter.check(duck).identity
        options["host"] = "localhost"  # the certificate is for 127.0.0.1
        other = open_adapter("postgres", options, name="other")
        with pytest.raises(SourceError, match="does not match host name"):
            other.attach(duck)


@pytest.mark.slow
def test_ten_thousand_tables_are_listed_in_half_a_second_of_processor_time(
    postgres_server: PostgresServer, duck: duckdb.DuckDBPyConnection
) -> None:
    database = postgres_server.create_database("many")
    for first in range(0, 10_000, 1000):  # a transaction can lock only so many tables
        tables = (
            f"create table t{number}(id int primary key, a text);" for number in range(first, first + 1000)
        )
        postgres_server.run("".join(tables), database)
    adapter = open_adapter("postgres", postgres_server.options(database), name="many")
    adapter.attach(duck)
    began = process_time()
    assert len(adapter.list_tables(duck)) == 10_000
    assert adapter.find_table(duck, "T5000") is not None
    assert process_time() - began < 0.5
