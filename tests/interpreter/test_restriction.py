"""Statements from outside a shell: the check of statements, and the restricted lake, each by itself."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest
from msgspec import Struct

from tests.support.escapes import COMMANDS, ESCAPES
from tests.support.monitored_home import load_record, record_loads
from tests.support.stores import create_home
from unify.cli.bootstrap import stage_pages
from unify.config.settings import Settings
from unify.engine import duckdb
from unify.errors import QueryError, UnifyError
from unify.interpreter.interpreter import Interpreter
from unify.interpreter.quiet_watcher import QuietWatcher
from unify.interpreter.restriction import Restriction
from unify.interpreter.results import Rows
from unify.lake.lake import Lake
from unify.language.sql.untrusted import select_tables

pytestmark = [pytest.mark.lake]
SECRET = "the content of a foreign file"


class Places(Struct, frozen=True):
    """Files outside the lake, and a home with tables."""

    settings: Settings
    names: Mapping[str, str]

    def fill(self, sql: str) -> str:
        return sql.format(**self.names)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Places:
    folder = tmp_path_factory.mktemp("foreign")
    text, file = folder / "secret.csv", folder / "other.db"
    text.write_text(f"a\n{SECRET}\n")
    with closing(sqlite3.connect(file)) as other:
        other.execute("create table t (a)")
        other.execute("insert into t values (?)", [SECRET])
        other.commit()
    settings = create_home(tmp_path_factory.mktemp("home"))
    with Lake(settings) as lake:
        lake.execute("create table t as select 1 as a")
        lake.execute("create schema shop")
        lake.execute("create table shop.orders as select 2 as b")
        lake.execute("create view v as select b from shop.orders")
        lake.execute("create macro twice(x) as x * 2")
    return Places(settings, {"file": str(file), "text": str(text), "folder": str(folder)})


@pytest.fixture(scope="module")
def restricted(places: Places) -> Iterator[Interpreter]:
    with open_restricted(places, Restriction(may_load=True)) as opened:
        yield opened


def open_restricted(places: Places, restriction: Restriction) -> Interpreter:
    watcher = QuietWatcher([])
    return Interpreter(places.settings, watcher, environment={}, stager=stage_pages, restriction=restriction)


def rows_of(interpreter: Interpreter, sql: str) -> list[tuple[object, ...]]:
    result = interpreter.run(sql)
    assert isinstance(result, Rows)
    return [row for batch in result.batches for row in batch]


@pytest.mark.parametrize("sql", [*ESCAPES, *COMMANDS])
def test_the_check_refuses_what_leaves_the_tables(places: Places, restricted: Interpreter, sql: str) -> None:
    before = sorted(Path(places.names["folder"]).iterdir())
    with pytest.raises(UnifyError) as caught:
        restricted.run(places.fill(sql))
    assert SECRET not in caught.value.message
    assert sorted(Path(places.names["folder"]).iterdir()) == before


@pytest.mark.parametrize("sql", [sql for sql in ESCAPES if "{" in sql.replace("{{", "")])
def test_the_lake_alone_reaches_no_other_file(places: Places, sql: str, lake_alone: Lake) -> None:
    try:
        found = lake_alone.connection.execute(places.fill(sql)).fetchall()
    except duckdb.Error:
        return
    assert SECRET not in str(found)
    assert not list(Path(places.names["folder"]).glob("out*"))


@pytest.fixture(scope="module")
def lake_alone(places: Places) -> Iterator[Lake]:
    """A restricted lake without the check of statements."""
    with Lake(places.settings, restricted=True) as opened:
        yield opened


@pytest.mark.parametrize("sql", ESCAPES)
def test_a_spec_cannot_leave_its_tables_either(places: Places, sql: str) -> None:
    try:
        tables = select_tables(places.fill(sql))
    except ValueError:
        return
    assert [table for table in tables if table.schema] != []  # refused as a table of another connection


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("select a, twice(a) from t", [(1, 2)]),
        ("from v", [(2,)]),
        ("select b from shop.orders", [(2,)]),
        ("with t2 as (select a + 1 as a from t) select * from t2", [(2,)]),
        ("select row_number() over (order by a), sum(a) over () from t", [(1, 1)]),
        ("select * from range(2)", [(0,), (1,)]),
        ("select [x + 1 for x in [1, 2]], {'a': 1}.a, 'x' || 'y', cast('1' as int)", [([2, 3], 1, "xy", 1)]),
        ("pivot t on a in (1) using count(*)", [(1,)]),
        ("select count(*) from unify.tables where schema = 'main'", [(2,)]),
        ("count shop.orders", [(1,)]),
    ],
)
def test_ordinary_queries_run(restricted: Interpreter, sql: str, rows: list[tuple[object, ...]]) -> None:
    assert rows_of(restricted, sql) == rows


def test_explain_shows_the_plan_of_a_select(restricted: Interpreter) -> None:
    assert "SCAN" in str(rows_of(restricted, "explain select * from t"))


def test_later_commits_are_seen(places: Places, restricted: Interpreter) -> None:
    assert rows_of(restricted, "select count(*) from shop.orders") == [(1,)]
    with Lake(places.settings) as lake:
        lake.execute("create table added as select 7 as a")
    assert rows_of(restricted, "from added") == [(7,)]
    with Lake(places.settings) as lake:
        lake.execute("drop table added")


def test_rows_in_the_catalog_are_read_too(places: Places) -> None:
    record_loads(places.settings, load_record("shop.orders", requests=1, seconds=1.5, rows_total=7))
    with Lake(places.settings, restricted=True) as lake, Lake(places.settings) as original:
        assert lake.read("select seconds from lake._unify.loads") == [(1.5,)]
        for sql in ("from lake._unify.loads", "select * from lake._unify.table_layouts"):
            assert lake.read(sql) == original.read(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "select * from t",
        "from v",  # its owner may read more than the reader of the view
        "select * from lake.main.t",
        "with x as (from t) from x",
        "with t as (select 1) select * from t, (from t)",
        "describe t",
        "count t",
        "show tables",
        "show tables from main",
        "select * from unify.jobs",
        "load table github.pulls",
    ],
)
def test_other_schemas_cannot_be_read(places: Places, sql: str) -> None:
    restriction = Restriction(may_load=True, schemas=frozenset({"shop"}))
    with open_restricted(places, restriction) as interpreter:
        with pytest.raises(QueryError):
            rows_of(interpreter, sql)
        assert rows_of(interpreter, "from shop.orders") == [(2,)]


def test_a_reader_loads_nothing(places: Places) -> None:
    with open_restricted(places, Restriction()) as interpreter:
        with pytest.raises(QueryError, match="needs the role loader"):
            interpreter.run("load table github.pulls")
        assert rows_of(interpreter, "from t") == [(1,)]


def test_a_variable_of_the_home_is_not_read(places: Places, restricted: Interpreter) -> None:
    with pytest.raises(QueryError, match="no such parameter"):
        restricted.run("select $SAVED")
    result = restricted.run("select $given as x", parameters={"given": 3})
    assert isinstance(result, Rows)
    assert [row for batch in result.batches for row in batch] == [(3,)]
