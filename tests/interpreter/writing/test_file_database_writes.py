"""Writing to SQLite and DuckDB files: every type comes back as it was; what a file cannot hold is refused."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

import unify
from tests.adapters.database.test_sqlite import SETUP
from tests.support.stores import create_home
from unify.api.session import PythonSession
from unify.errors import QueryError, SourceError

pytestmark = [pytest.mark.lake]

DUCKDB_TABLE = """
create type mood as enum ('sad', 'ok');
create table source(id int primary key, m mood, i interval, s struct(a int, b varchar[]), h hugeint, u uuid,
  d decimal(38,10), l int[][], mp map(varchar, int), t timestamp_ns, z timestamptz,
  b blob, n varchar not null);
insert into source values (1, 'ok', interval '1 month 2 days', {'a': 1, 'b': ['x', null]},
  -9999999999999999999999999999999999999, uuid(), 1.0123456789, [[1], null, []], map {'k': 1},
  '2024-01-01 00:00:00.123456789', now(), '\\x00', ''),
  (2, null, null, null, null, null, null, null, null, null, null, null, 'n');
create table copied as from source limit 0;
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files")


@pytest.fixture(scope="module")
def session(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PythonSession]:
    with closing(sqlite3.connect(folder / "lite.db")) as database:
        database.executescript(SETUP + "create table copied as select * from kinds limit 0;")
        kinds = database.execute("select sql from sqlite_schema where name = 'kinds'").fetchone()[0]
        database.executescript(f"drop table copied; {kinds.replace('kinds', 'copied', 1)}")
    with duckdb.connect(str(folder / "duck.db")) as other:
        other.execute(DUCKDB_TABLE)
    path = folder / "connections.yaml"
    path.write_text(
        "lite: {adapter: sqlite, options: {path: lite.db}, writable: true}\n"
        "duck: {adapter: duckdb, options: {path: duck.db}, writable: true}\n"
    )
    path.chmod(0o600)
    home = create_home(tmp_path_factory.mktemp("home")).home
    with unify.open(home, connections=path, environment={}) as opened:
        yield opened


def test_every_type_of_sqlite_is_written_as_it_was_read(session: PythonSession, folder: Path) -> None:
    session.execute("export (select * from lite.kinds where id <> 2) to lite.copied append")
    shown = "select id, i, big, r, dec, t, hex(b), d, ts, ok, j, typeof(i), typeof(r), typeof(b) from"
    with closing(sqlite3.connect(folder / "lite.db")) as database:
        expected = database.execute(f"{shown} kinds where id <> 2").fetchall()
        assert database.execute(f"{shown} copied").fetchall() == expected


@pytest.mark.parametrize(
    ("table", "value", "reason"),
    [
        ("kinds (id, r)", "9, 'nan'::double", "is NaN, which SQLite stores as NULL"),
        ("kinds (id, d)", "9, date '-44-03-15'", "is out of range"),
        ("kinds (id, dec)", "9, 0.12345678901234567891", "would be rounded"),
        ("kinds (id, i)", "9, 9223372036854775808", "is out of range"),
        ("kinds (id, ok)", "9, 2", "is no boolean"),
        ("v", "9, 1", "is a view"),
        ("kinds (id)", "1", "UNIQUE constraint failed: kinds.id; nothing was written"),
    ],
)
def test_a_value_that_sqlite_cannot_hold_is_refused(
    session: PythonSession, table: str, value: str, reason: str
) -> None:
    with pytest.raises(QueryError) as error:
        session.execute(f"insert into lite.{table} select {value}")
    assert reason in error.value.message


def test_a_file_that_another_program_writes_is_waited_for(
    session: PythonSession, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unify.adapters.database.sqlite.writer.BUSY_TIMEOUT_S", 0.1)
    with closing(sqlite3.connect(folder / "lite.db", isolation_level=None)) as other:
        other.execute("begin immediate")
        with pytest.raises(QueryError, match="database is locked; nothing was written"):
            session.execute("insert into lite.orders (id) values (1000)")
        other.execute("rollback")
    session.execute("insert into lite.orders (status) values ('new')")  # SQLite gives the number
    assert session.execute("select count(*) from lite.orders").fetchall() == [(1,)]


def test_every_type_of_duckdb_is_written_as_it_was_read(session: PythonSession, folder: Path) -> None:
    session.execute("export (select * from duck.source) to duck.copied append")
    session.execute("create table duck.made as select * from duck.source")
    with duckdb.connect(str(folder / "duck.db"), read_only=True) as database:
        for table in ("copied", "made"):
            texts = f"select columns(*)::varchar from {table} order by id"
            found = database.execute(texts).fetchall()
            assert found == database.execute(texts.replace(table, "source")).fetchall()


def test_a_duckdb_file_that_another_process_writes_is_refused(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "connections.yaml"
    path.write_text("duck: {adapter: duckdb, options: {path: none.db}, writable: true}\n")
    path.chmod(0o600)
    with (
        unify.open(create_home(tmp_path).home, connections=path, environment={}) as session,
        pytest.raises(SourceError, match=r"duck: .*none\.db"),
    ):
        session.execute("create table duck.t as select 1 as i")
