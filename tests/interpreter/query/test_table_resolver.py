"""Tables are found wherever a statement reaches them, and a transaction never waits for itself."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import pytest

import unify
from tests.support.shop import SPEC_WITHOUT_TOKEN
from tests.support.stores import create_home
from unify.api.session import PythonSession
from unify.errors import QueryError, UnifyError
from unify.interpreter.freshness import MaxAge
from unify.interpreter.system_columns import SYSTEM_TABLES
from unify.lake import catalog, ledger
from unify.lake.lake import Lake
from unify.model import LoadRecord, TableName

SPEC = (
    SPEC_WITHOUT_TOKEN
    + """\
  - {name: rows, request: GET /rows, key: id}
  - {name: more, request: GET /more, key: id}
views:
  - {name: both, query: select id from more}
"""
)


class _Needed(Exception):
    """Raised with the tables that a statement needs, instead of loading them."""


@contextmanager
def open_session(home: Path) -> Iterator[PythonSession]:
    """Open a session on a home with the connection ``c``, whose API does not respond."""
    (home / "specs").mkdir(exist_ok=True)
    (home / "specs/shop.yaml").write_text(SPEC, encoding="utf-8")
    path = home / "connections.yaml"
    path.write_text("c: {adapter: shop, options: {base_url: 'http://127.0.0.1:9'}}\n", encoding="utf-8")
    path.chmod(0o600)
    with unify.open(home, connections=path, specs=[home / "specs"], environment={}) as opened:
        yield opened


@pytest.fixture
def session(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PythonSession]:
    """A session on an empty lake."""
    monkeypatch.chdir(home)
    with open_session(home) as opened:
        yield opened


@pytest.fixture(scope="module")
def prepared_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the stored table c.rows and the views and macros of DEFINITIONS."""
    home = create_home(tmp_path_factory.mktemp("prepared")).home
    with open_session(home) as opened:
        store(opened, "rows")
        opened.execute(DEFINITIONS)
    return home


@pytest.fixture
def defined_session(
    prepared_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PythonSession]:
    """A session on a copy of ``prepared_home``, with definitions that only it has."""
    home = tmp_path / "copy"
    shutil.copytree(prepared_home, home)
    monkeypatch.chdir(home)
    with open_session(home) as opened:
        opened.execute(SESSION_DEFINITIONS)
        yield opened


def needed(session: PythonSession, monkeypatch: pytest.MonkeyPatch, sql: str) -> set[str]:
    """Return the tables that ``sql`` would load or refresh."""
    runner = session._interpreter.session.query
    found: set[str] = set()

    def record(names: list[TableName], max_age: MaxAge) -> NoReturn:
        found.update(map(str, names))
        raise _Needed

    monkeypatch.setattr(runner, "_check_freshness", record)
    with pytest.raises(_Needed):
        session.execute(sql)
    monkeypatch.undo()
    return found


def store(session: PythonSession, table: str) -> None:
    """Store a load of two rows, as the daemon publishes it."""
    lake = session._interpreter.session.lake
    now = datetime.now(UTC)
    name = TableName("c", table)
    with lake.write_transaction() as connection:
        connection.execute("create schema if not exists lake.c")
        connection.execute(f"create table lake.c.{table} as select i as id from range(2) r(i)")
        record = LoadRecord(
            job=1, uid=table, action="load", table=name, status="success", started_at=now, finished_at=now
        )
        ledger.insert_load(connection, record)


DEFINITIONS = (
    "create view v as select * from c.rows; create view v2 as select * from v; "
    "create macro counted() as (select count(*) from c.rows); create macro listed() as table from v2;"
    "create macro round(a, b) as (select count(*) from c.rows);"
)
SESSION_DEFINITIONS = "create temp view tv as from v2; prepare p as select count(*) from tv;"


@pytest.mark.parametrize(
    "sql",
    [
        "select count(*) from v",
        "select count(*) from main.v2",
        "select count(*) from lake.main.v2",
        "select counted()",
        "select round(1, 2)",
        "select * from listed()",
        "select (select count(*) from tv)",
        "execute p",
        "from query_table('c.rows')",
        "from query_table(['c.rows'])",
        "from query('select * from c.rows')",
        "select * from (show c.rows)",
        "select * from (describe c.rows)",
        "use c; select count(*) from rows",
        "set schema = 'c'; from rows",
        "set search_path = 'main,c'; from rows",
        "use c; count rows",
        "$x = select * from v2",
        "$t = 'c.rows'; from query_table($t)",
        "$t = 'c.rows'; select * from query('from ' || $t)",
        "$q = 'select id from c.rows'; from query($q)",
        "prepare q as from query_table($1); execute q('c.rows')",
        "create temp macro by_name(n) as table from query_table(n); from by_name('c.rows')",
    ],
)
def test_a_stored_table_is_found(
    defined_session: PythonSession, monkeypatch: pytest.MonkeyPatch, sql: str
) -> None:
    *before, last = sql.split("; ")
    for statement in before:
        defined_session.execute(statement)
    assert needed(defined_session, monkeypatch, last) == {"c.rows"}


def test_an_unqualified_name_resolves_to_the_nearest_table(
    session: PythonSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(session, "rows")
    session.execute("create table rows as select 7 as id; set search_path = 'main,c'")
    assert session.execute("from rows").fetchall() == [(7,)]
    session.execute("use c; create temp table rows as select 8 as id")
    assert session.execute("from rows").fetchall() == [(8,)]
    assert needed(session, monkeypatch, "from both") == {"c.more"}
    assert session.execute("describe rows").fetchall()[0][0] == "id"


@pytest.mark.parametrize("sql", ["describe v", "describe main.v2", "show columns from v"])
def test_a_view_without_its_table_names_it(defined_session: PythonSession, sql: str) -> None:
    catalog.clear_table(defined_session._interpreter.session.lake, TableName("c", "rows"))
    with pytest.raises(UnifyError, match=r"known once its tables are loaded: load table c\.rows"):
        defined_session.execute(sql)
    defined_session.execute("create view w1 as select 1 as a; create view w2 as from w1; drop view w1")
    with pytest.raises(UnifyError, match="w2 reads w1, which does not exist"):
        defined_session.execute("describe w2")


def test_a_table_name_from_an_expression_is_an_error(session: PythonSession) -> None:
    with pytest.raises(UnifyError, match=r"c\.rows is not loaded.*: load table c\.rows"):
        session.execute("from query_table('c.' || 'rows')")


def test_a_stored_table_that_an_expression_names_is_read_with_a_notice(session: PythonSession) -> None:
    store(session, "rows")
    before = len(session.notices)
    assert session.execute("select count(*) from query_table('c.rows')").fetchall() == [(2,)]
    assert len(session.notices) == before
    named = "select count(*) from query_table(concat('c', '.', 'rows'))"
    assert session.execute(named).fetchall() == [(2,)]
    assert "neither loaded nor refreshed by this statement" in session.notices[-1]


@pytest.mark.parametrize(
    "sql", ["select count(*) from c.more", "load table c.more", "reload table c.rows", "clear table c.rows"]
)
def test_a_transaction_does_not_wait_for_its_own_lock(session: PythonSession, sql: str) -> None:
    store(session, "rows")
    session.execute("begin")
    with pytest.raises(QueryError, match=r"inside a transaction.*commit or roll back first"):
        session.execute(sql)
    session.execute("rollback")
    assert session.execute("select count(*) from c.rows").fetchall() == [(2,)]


def test_a_transaction_sees_the_systems_tables_as_they_are_now(session: PythonSession) -> None:
    session.execute("begin")
    for name in SYSTEM_TABLES:
        assert len(session.execute(f"select count(*) from unify.{name}").fetchall()) == 1
    mine = "select schema, rows from unify.tables where \"table\" = 't'"
    assert session.execute(mine).fetchall() == []
    session.execute("create table t as select 1 as a")
    assert session.execute(mine).fetchall() == [("main", 1)]
    session.execute("commit")
    assert session.execute(mine).fetchall() == [("main", 1)]


def test_a_transaction_sees_its_own_tables(session: PythonSession, tmp_path: Path) -> None:
    session.execute("begin; create schema s; create table s.t as select 7 as i; create table x as from s.t")
    assert session.execute("select i from s.t").fetchall() == [(7,)]
    assert session.execute("describe s.t").fetchall() == [("i", "INTEGER", None)]
    assert session.execute("count x").fetchall() == [(1,)]
    assert session.execute("peek s.t").fetchall() == [(7,)]
    assert ("s", "t", 1) in [row[:3] for row in session.execute("show tables").fetchall()]
    assert ("s", "user") in session.execute("show schemas").fetchall()
    assert "s.t" in session._interpreter.names().columns
    assert session.execute(f"export s.t to '{tmp_path}/t.csv'").message.startswith("1 row written")
    session.execute("rollback")
    with pytest.raises(UnifyError):
        session.execute("describe s.t")


def test_a_version_between_two_loads_can_be_read(session: PythonSession) -> None:
    store(session, "rows")
    time.sleep(0.01)
    between = datetime.now(UTC).isoformat()
    time.sleep(0.01)
    store(session, "more")
    with Lake(session._interpreter.session.settings) as lake:
        assert ledger.latest_loads(lake)
        at = f"select count(*) from c.rows at (timestamp => timestamptz '{between}')"
        assert list(lake.execute(at).batches()) == [[(2,)]]
    assert session.execute(f"changes c.rows since '{between}'").fetchall() == []
    assert len(session.execute(f"changes c.more since '{between}'").fetchall()) == 2


def test_a_renamed_column_is_not_a_change(session: PythonSession) -> None:
    session.execute("create table o as select 1 as a, 2 as b")
    between = datetime.now(UTC).isoformat()
    session.execute("alter table o rename column a to z")
    assert session.execute(f"changes o since '{between}'").fetchall() == []
    session.execute("update o set z = 3")
    assert sorted(session.execute(f"changes o since '{between}'").fetchall()) == [
        ("delete", 1, 2),
        ("insert", 3, 2),
    ]


def test_rows_of_a_variable_go_with_their_transaction(session: PythonSession) -> None:
    session.execute("begin; $x = select 1 as i")
    assert session.execute("from $x").fetchall() == [(1,)]
    session.execute("rollback")
    with pytest.raises(UnifyError, match=r"\$x is not set"):
        session.execute("from $x")
