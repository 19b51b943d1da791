"""Writing to SQLite files: what other tables or collations of a file would make of it is refused."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import unify
from tests.support.stores import create_home
from unify.api.session import PythonSession
from unify.errors import QueryError, UsageError

pytestmark = pytest.mark.lake

_TABLES = """
create table parents (id integer primary key);
insert into parents values (1), (2);
create table children (p int references parents on delete cascade);
insert into children values (2);
create table folded (k text collate nocase, n int);
"""


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PythonSession]:
    folder = tmp_path_factory.mktemp("sqlite")
    with closing(sqlite3.connect(folder / "shop.db")) as shop:
        shop.executescript(_TABLES)
    path: Path = folder / "connections.yaml"
    path.write_text(f"shop: {{adapter: sqlite, writable: true, options: {{path: '{folder / 'shop.db'}'}}}}\n")
    path.chmod(0o600)
    with unify.open(create_home(folder).home, connections=path, environment={}) as opened:
        yield opened


@pytest.mark.parametrize(
    "sql",
    [
        "export (select 1 as id) to shop.parents replace",
        "create or replace table shop.parents as select 1 as id",
    ],
)
def test_a_replacement_that_would_delete_rows_of_other_tables_is_refused(
    session: PythonSession, sql: str
) -> None:
    with pytest.raises(QueryError, match=r"nothing was written: 1 foreign key would delete or change rows"):
        session.execute(sql)
    assert session.execute("select count(*) from shop.children").fetchall() == [(1,)]


def test_keys_that_are_equal_in_the_database_are_refused(session: PythonSession) -> None:
    with pytest.raises(QueryError, match=r"several rows have keys that are equal in the database"):
        session.execute("export (select unnest(['A', 'a', 'b']) as k, 1 as n) to shop.folded upsert by k")
    assert session.execute("select count(*) from shop.folded").fetchall() == [(0,)]


def test_a_replacement_by_no_rows_is_confirmed(session: PythonSession) -> None:
    with pytest.raises(UsageError, match=r"The SELECT has no rows\. Delete all rows of shop\.children\?"):
        session.execute("export (select 1 as p where false) to shop.children replace")
    assert session.execute("select count(*) from shop.children").fetchall() == [(1,)]
