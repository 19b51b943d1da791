"""Databases in statements from outside a shell: read live, exactly, and nothing but the tables named."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from tests.support.escapes import ESCAPES
from tests.support.postgres_server import PostgresServer
from tests.support.stores import create_home
from unify.cli.bootstrap import stage_pages
from unify.config.settings import Settings
from unify.errors import QueryError, UnifyError
from unify.interpreter.interpreter import Interpreter
from unify.interpreter.quiet_watcher import QuietWatcher
from unify.interpreter.restriction import Restriction
from unify.interpreter.results import Rows
from unify.interpreter.sources import copied_tables
from unify.lake.lake import Lake

pytestmark = [pytest.mark.lake]
EXACT_TYPES = (
    ("99999999999999999999999999999999999999", "HUGEINT"),
    ("12345678901234567890123456789012345.678", "DECIMAL(38,3)"),
    ("'0001-01-01'", "DATE"),
    ("'infinity'", "TIMESTAMP"),
    ("'2026-03-01 08:00:00.123456+01'", "TIMESTAMPTZ"),
    ("'2026-03-01 08:00:00.123456789'", "TIMESTAMP_NS"),
    ("'NaN'", "DOUBLE"),
    ("'3 months 2 days'", "INTERVAL"),
    ("'it''s \"quoted\", {a}'", "VARCHAR"),
    ("'\\x00\\xFF'", "BLOB"),
    ("[1, NULL, 99999999999999999999999999999999999999]", "HUGEINT[]"),
    ("{'a': 1, 'b': ['x', NULL]}", "STRUCT(a INTEGER, b VARCHAR[])"),
    ("MAP {'k': 1}", "MAP(VARCHAR, INTEGER)"),
    ("'{\"a\": 1.50}'", "JSON"),
    ("'a'", "ENUM('a', 'b')"),
    ("'101'", "BIT"),
    ("'f47ac10b-58cc-4372-a567-0e02b2c3d479'", "UUID"),
)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("databases")
    with closing(sqlite3.connect(folder / "lite.db")) as lite:
        lite.execute("create table orders (id integer primary key, customer text)")
        lite.executemany("insert into orders values (?, ?)", [(i, f"c{i % 3}") for i in range(100)])
        lite.commit()
    with duckdb.connect(str(folder / "duck.db")) as duck:
        columns = ", ".join(f"c{i} {type}" for i, (_, type) in enumerate(EXACT_TYPES))
        values = ", ".join(f"CAST({value} AS {type})" for value, type in EXACT_TYPES)
        duck.execute(f"create table exact ({columns})")
        duck.execute(
            f"insert into exact select {values} union all select {', '.join(['null'] * len(EXACT_TYPES))}"
        )
        duck.execute("create schema sales; create table sales.lines as select 7 as order_id")
    settings = create_home(tmp_path_factory.mktemp("home"))
    settings.connections.write_text(
        f"lite: {{adapter: sqlite, options: {{path: '{folder / 'lite.db'}'}}}}\n"
        f"duck: {{adapter: duckdb, options: {{path: '{folder / 'duck.db'}'}}}}\n"
    )
    settings.connections.chmod(0o600)
    with Lake(settings) as lake:
        lake.execute("create table names as select 'c1' as customer, 'Ada' as name")
    return settings


def open_restricted(settings: Settings, restriction: Restriction) -> Interpreter:
    return Interpreter(
        settings, QuietWatcher([]), environment={}, stager=stage_pages, restriction=restriction
    )


@pytest.fixture(scope="module")
def loader(settings: Settings) -> Iterator[Interpreter]:
    with open_restricted(settings, Restriction(may_load=True)) as opened:
        yield opened


def rows_of(interpreter: Interpreter, sql: str) -> list[tuple[object, ...]]:
    result = interpreter.run(sql)
    assert isinstance(result, Rows)
    return [row for batch in result.batches for row in batch]


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("select id, customer from lite.orders where id = 5", [(5, "c2")]),
        ("select count(*), min(id), sum(id) from lite.orders where customer = 'c1'", [(33, 1, 1617)]),
        ("select id from lite.orders order by id desc limit 1", [(99,)]),
        ("select name, count(*) from lite.orders join names using (customer) group by all", [("Ada", 33)]),
        ("with o as (from lite.orders) select (select max(id) from o), count(*) from o", [(99, 100)]),
        ("select a.id from lite.orders a join lite.orders b on a.id = b.id + 98 order by 1", [(98,), (99,)]),
        ("select order_id from duck.sales.lines", [(7,)]),
        ("count lite.orders", [(100,)]),
    ],
)
def test_tables_are_read_live(loader: Interpreter, sql: str, rows: list[tuple[object, ...]]) -> None:
    assert rows_of(loader, sql) == rows


def test_values_of_every_type_are_exact(loader: Interpreter, settings: Settings) -> None:
    with Interpreter(settings, QuietWatcher([]), environment={}, stager=stage_pages) as shell:
        expected = rows_of(shell, "select columns(*)::varchar from duck.exact")
        types = rows_of(shell, "select column_type from (describe duck.exact)")
    assert rows_of(loader, "select columns(*)::varchar from duck.exact") == expected
    found = loader.run("from duck.exact")
    assert isinstance(found, Rows)
    assert [(column.type,) for column in found.columns] == types
    assert len(list(found.batches)) == 1


def test_tables_and_columns_are_listed(loader: Interpreter) -> None:
    assert [row[0] for row in rows_of(loader, "describe lite.orders")] == ["id", "customer"]
    assert ("orders",) in rows_of(loader, "select \"table\" from unify.tables where schema = 'lite'")


def test_an_explanation_reads_no_rows(loader: Interpreter) -> None:
    plan = rows_of(loader, "explain select * from lite.orders where id = 5")
    assert "lite.orders: live" in str(plan)


def test_nothing_is_left_of_a_statement(loader: Interpreter, settings: Settings) -> None:
    rows_of(loader, "from lite.orders")
    rows_of(loader, "select 1")
    left = rows_of(loader, "select 1 from names")
    assert left == [(1,)]
    assert list(settings.cache.glob("live-*")) == []


def test_a_reader_reads_stored_rows_alone(settings: Settings) -> None:
    with open_restricted(settings, Restriction()) as reader:
        with pytest.raises(
            QueryError, match=r"lite\.orders is read from its database .* needs the role loader"
        ):
            reader.run("from lite.orders")
        assert rows_of(reader, "from names") == [("c1", "Ada")]


def test_a_user_of_other_schemas_reads_no_database(settings: Settings) -> None:
    with open_restricted(settings, Restriction(True, frozenset(["duck"]))) as user:
        assert rows_of(user, "select order_id from duck.sales.lines") == [(7,)]
        for sql in ("from lite.orders", "from lite.main.orders", "describe lite.orders"):
            with pytest.raises(QueryError, match="lite: no permission to read this schema"):
                user.run(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "from lite.sqlite_master",
        "from duck.information_schema.tables",
        "from duck.pg_catalog.pg_class",
        'from duck."pg_catalog.pg_class"',
        'count duck."Information_Schema.tables"',
        'describe duck."information_schema.tables"',
        'load table duck."information_schema.tables"',
        "from duck.mysql.user",
        'from duck."a..b"',
        "from query('lite', 'select 1')",
        "query lite 'select 1'",
        "insert into lite.orders values (1000, 'x')",
        "delete from lite.orders",
        "attach 'x.db' as y",
        "from sqlite_scan('x.db', 'orders')",
        "load table lite.nothing",
        "from __unify_source_lite.main.orders",
        'from temp.main."lite.orders 1"',
    ],
)
def test_nothing_else_of_a_database_can_be_reached(loader: Interpreter, sql: str) -> None:
    rows_of(loader, "select count(*) from lite.orders")  # it is attached now
    with pytest.raises(UnifyError):
        loader.run(sql)
    assert rows_of(loader, "select count(*) from lite.orders") == [(100,)]


def test_no_statement_leaves_the_tables_after_a_source_was_opened(
    loader: Interpreter, tmp_path: Path
) -> None:
    rows_of(loader, "select count(*) from lite.orders")
    (tmp_path / "secret.csv").write_text("a\nforeign content\n")
    names = {"file": str(tmp_path / "no.db"), "text": str(tmp_path / "secret.csv"), "folder": str(tmp_path)}
    for sql in ESCAPES:
        with pytest.raises(UnifyError) as caught:
            rows_of(loader, sql.format(**names))
        assert "foreign content" not in str(caught.value)


def test_a_table_with_too_many_rows_is_refused(loader: Interpreter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copied_tables, "MAX_COPIED_ROWS", 99)
    with pytest.raises(QueryError, match=r"lite\.orders: the statement reads more than 99 rows of it; add"):
        loader.run("from lite.orders")
    assert len(rows_of(loader, "from lite.orders where id < 50")) == 50


@pytest.mark.process
@pytest.mark.socket
def test_literals_of_a_statement_do_not_become_sql_of_a_server(
    postgres_server: PostgresServer, tmp_path: Path
) -> None:
    database = postgres_server.create_database()
    postgres_server.run("create table guarded (id int, name text)", database)
    postgres_server.run("insert into guarded values (1, 'it''s'), (2, E'a\\\\b')", database)
    settings = create_home(tmp_path)
    options = json.dumps(postgres_server.options(database))
    settings.connections.write_text(f"pg: {{adapter: postgres, options: {options}}}\n")
    settings.connections.chmod(0o600)
    with open_restricted(settings, Restriction(may_load=True)) as loader:
        assert rows_of(loader, "select id from pg.guarded where name = 'it''s'") == [(1,)]
        assert rows_of(loader, "select id from pg.guarded where name = 'a\\b'") == [(2,)]
        for text in ("x'' or 1=1 --", "x\\'' or 1=1 --", "$$ or 1=1 --", "x''); drop table guarded; --"):
            assert rows_of(loader, f"select id from pg.guarded where name = '{text}'") == []
        assert rows_of(loader, "select count(*) from pg.guarded") == [(2,)]
        for sql in (
            'from pg."pg_catalog.pg_shadow"',
            'count pg."PG_Catalog.pg_shadow"',
            'load table pg."pg_catalog.pg_shadow"',
            'with a as (from pg."pg_catalog.pg_shadow") from a',
            "from pg.pg_shadow",
        ):
            with pytest.raises(UnifyError, match=r"is a schema of the database system|has no table"):
                loader.run(sql)
