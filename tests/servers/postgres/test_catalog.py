"""Catalog queries: those that real clients have sent, and the tables that they show."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support.paths import CHECKOUT
from tests.support.postgres_clients import PostgresHome
from tests.support.waiting import wait_until
from unify.errors import UnifyError
from unify.lake.lake import Lake
from unify.servers.postgres.catalog import server as catalog_server
from unify.servers.postgres.catalog.fallback import FallbackCatalog
from unify.servers.postgres.catalog.queries import CatalogParameters, HomeTables, is_catalog_query
from unify.servers.postgres.catalog.server import CatalogServer, find_programs
from unify.servers.postgres.catalog.tables import ShownColumn, ShownTable

pytestmark = [pytest.mark.process, pytest.mark.socket, pytest.mark.lake]

# Recorded from psql 15, JDBC 42.5, psqlODBC 13, SQLAlchemy 2.1, asyncpg 0.32, Superset 6.1; {client, sql}.
RECORDED = json.loads((CHECKOUT / "tests" / "golden" / "catalog_statements.json").read_text(encoding="utf-8"))
ORDERS = ShownTable("shop", "orders", False, "orders", (ShownColumn("id", "int8", 20, "key"),), ("id",))


class KnownTables(HomeTables):
    """Tables without a home."""

    def __init__(self, *tables: ShownTable) -> None:
        self._known = tables

    def read(self) -> tuple[ShownTable, ...]:
        return self._known


@pytest.fixture(scope="module")
def connection(pg: PostgresHome) -> Iterator[psycopg.Connection[Any]]:
    with pg.connect() as opened:
        yield opened


def test_statements_of_real_clients_are_answered(connection: psycopg.Connection[Any]) -> None:
    """All 153, as sent; PostgreSQL itself answers them."""
    assert len(RECORDED) > 150
    for one in RECORDED:
        sql = one["sql"]
        assert is_catalog_query(sql), sql
        count = max((number for number in range(1, 20) if f"${number}" in sql), default=0)
        result = connection.pgconn.exec_params(sql.encode(), [None] * count or None)
        assert result.status == psycopg.pq.ExecStatus.TUPLES_OK, (one, result.error_message.decode())


def test_duckdbs_catalog_answers_the_simpler_ones() -> None:
    catalog = FallbackCatalog(KnownTables(ORDERS))
    sql = "select column_name, data_type from information_schema.columns where table_name = $1"
    given = CatalogParameters((25,), (b"orders",), ())
    rows = catalog.run(sql, given, ()).take()
    assert rows == [b"\0\2\0\0\0\2id\0\0\0\6BIGINT"]
    assert catalog.describe(sql, ()).oids == (25,)
    answered = 0
    for one in RECORDED:
        try:
            catalog.run(one["sql"], CatalogParameters(), ()).take()
        except UnifyError:  # each is one for the client
            continue
        answered += 1
    catalog.close()
    assert answered >= 10


@pytest.mark.parametrize(
    ("sql", "is_catalog"),
    [
        ("select 1", False),
        ("select * from shop.orders", False),
        ("select version()", True),
        ("select version from releases", False),
        ("select current_user", True),
        ("select user_login as current_role from t", False),
        ("select o.current_user from t o", False),
        ("select * from pg_class", True),
        ("select pg_size from t", False),
        ("select 'pg_class'", False),
        ("select 'shop.orders'::regclass", True),
        ("select id as oid from t", False),
        ("select pg_backend_pid()", True),
        ('select * from "pg_catalog"."pg_class"', True),
        ("with x as (select * from information_schema.tables) select * from x", True),
        ("show tables", False),
        ("drop table pg_class", False),
        ("", False),
    ],
)
def test_catalog_queries_are_recognised(sql: str, is_catalog: bool) -> None:
    assert is_catalog_query(sql) is is_catalog


@pytest.mark.parametrize(
    "sql",
    [
        "select count(*) from shop.orders, pg_class",
        "select current_database(), count(*) from shop.orders",
        "select * from shop.large where id in (select oid::bigint from pg_class)",
        "select 'shop.orders'::regclass, id from shop.orders",
        "with x as (select * from shop.orders) select *, current_user from x",
        "select (select count(*) from t), version()",
        "select exists(select 1 from t), current_schema()",
        "select a, pg_typeof(a) from t union all select 1, null from pg_class where false",
    ],
)
def test_catalog_and_rows_are_not_mixed(connection: psycopg.Connection[Any], sql: str) -> None:
    """The empty PostgreSQL would see no rows."""
    with pytest.raises(psycopg.Error) as caught:
        connection.execute(sql)
    assert caught.value.sqlstate in ("0A000", "42P01", "42703")


@pytest.mark.parametrize(
    "sql",
    [
        "select pg_read_file('/etc/passwd')",
        "select pg_ls_dir('.')",
        "select pg_stat_file('/etc/passwd')",
        "select pg_read_binary_file('PG_VERSION')",
        "select * from pg_authid",
        "select rolpassword from pg_catalog.pg_authid",
        "select pg_reload_conf(), version()",
        "select pg_terminate_backend(pid), 1/0 from pg_stat_activity where usename <> current_user",
        "select pg_create_restore_point('x')",
        "select pg_catalog.lo_import('/etc/passwd')",
        "select pg_catalog.lo_create(1)",
        "select set_config('default_transaction_read_only', 'off', false), pg_catalog.lo_create(1)",
        "select set_config('role', 'Unify catalog', false)",
        "select set_config('session_authorization', 'Unify catalog', false)",
        "select pg_catalog.query_to_xml('select * from shop.orders', true, true, '')",
        "select pg_sleep(60)",
        "select set_config('statement_timeout', '0', false), pg_sleep(60)",
        "select count(*) from pg_class a, pg_class b, pg_class c, pg_class d",
        "select 1 from pg_class; drop schema shop",
        "select * into shop.made from pg_class",
        "select pg_catalog.pg_logical_emit_message(false, 'a', 'b')",
        "select * from pg_catalog.pg_hba_file_rules",
        "select pg_catalog.pg_rotate_logfile()",
        "select pg_export_snapshot(), nextval('s')",
    ],
)
def test_the_catalog_is_all_that_can_be_reached(pg: PostgresHome, sql: str) -> None:
    with pg.connect() as connection:
        connection.execute("set statement_timeout = '1s'")
        with pytest.raises(psycopg.Error):
            connection.execute(sql)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("has_table_privilege('shop.orders', 'SELECT')", True),
        ("pg_catalog.has_table_privilege(current_user, 'shop.large'::regclass, 'insert, Select')", True),
        ("has_table_privilege('shop.orders', 'INSERT')", False),
        ("has_table_privilege('pg_class', 'SELECT')", True),
        ("has_table_privilege('pg_authid', 'SELECT')", False),
        ("has_any_column_privilege('shop.orders', 'select')", True),
        ("has_column_privilege('shop.orders', 'id', 'SELECT')", True),
        ("has_any_column_privilege('shop.orders', 'update')", False),
    ],
)
def test_tables_are_shown_as_readable_only(
    connection: psycopg.Connection[Any], call: str, expected: bool
) -> None:
    """Clients such as Metabase list the tables with the privilege SELECT."""
    assert connection.execute(f"select {call}").fetchone() == (expected,)


def test_new_tables_appear_and_oids_stay(pg: PostgresHome) -> None:
    def find(connection: psycopg.Connection[Any], table: str) -> object:
        row = connection.execute("select to_regclass(%s)::oid", [table]).fetchone()
        assert row is not None
        return row[0]

    with pg.connect() as connection:
        orders = find(connection, "shop.orders")
        with Lake(pg.settings) as lake:
            lake.execute("create table appeared as select 1 as a")
        wait_until(lambda: find(connection, "main.appeared") is not None)
        assert find(connection, "shop.orders") == orders
        with Lake(pg.settings) as lake:
            lake.execute("drop table appeared")
        wait_until(lambda: find(connection, "main.appeared") is None)


def test_keys_and_comments_of_tables_are_shown() -> None:
    programs = find_programs()
    if programs is None:
        pytest.skip("PostgreSQL cannot be run here: nothing was tested")
    server = CatalogServer(programs)
    try:
        long = ShownTable("s", "x" * 63, False, "it's", (), ())
        view = ShownTable("s", "v", True, "", (ShownColumn('a"b', "_int4", 1007),), ())
        server.start()
        server.set_tables([ORDERS, long, view])
        connection = server.connect("pg_reserved")
        result = connection.exec_(
            b"select obj_description('shop.orders'::regclass), "
            b"(select count(*) from pg_constraint where conrelid = 'shop.orders'::regclass and contype = 'p')"
        )
        assert (result.get_value(0, 0), result.get_value(0, 1)) == (b"orders", b"1")
        connection.finish()
        folder = server.folder
    finally:
        server.stop()
    assert folder is not None
    assert not folder.exists()


def test_postgresql_ends_with_the_server_however_it_ends() -> None:
    """Its watcher sees the end of the process by its standard input."""
    programs = find_programs()
    if programs is None:
        pytest.skip("PostgreSQL cannot be run here: nothing was tested")
    server = CatalogServer(programs)
    server.start()
    folder = server.folder
    assert folder is not None
    assert server.watcher is not None
    assert server.watcher.stdin is not None
    server.watcher.stdin.close()  # what the kernel does when a process is killed
    wait_until(lambda: not folder.exists())
    server.stop()


def test_without_programs_there_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(catalog_server, "_program_folders", lambda: [tmp_path])
    assert find_programs() is None
