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


def test_statements_are_recorded_with_their_outcome(session: PythonSession) -> None:
    session.execute("create or replace table shop.recorded as select i as id, 'a' as t from range(3) r(i)")
    session.execute("export (select 1 as id, 'b' as t union all select 7, 'c') to shop.recorded upsert by id")
    session.execute("insert into shop.children values (1)")
    with pytest.raises(QueryError, match="FOREIGN KEY"):
        session.execute("insert into shop.children values (99)")
    with pytest.raises(QueryError, match=r"nothing was written"):
        session.execute("insert into shop.children values ('x')")  # refused before the database gets it
    rows = session.execute(
        'select "table", mode, state, rows, created, updated, deleted, error is null, asked_by is not null '
        "from unify.writes where started_at is not null order by id desc limit 4"
    ).fetchall()
    assert rows[::-1] == [
        ("recorded", "create", "done", 3, 3, 0, 0, True, True),
        ("recorded", "upsert", "done", 2, 1, 1, 0, True, True),
        ("children", "insert", "done", 1, 1, 0, 0, True, True),
        ("children", "insert", "failed", 1, 0, 0, 0, False, True),
    ]
    [(number,)] = session.execute("select max(id) from unify.writes").fetchall()
    for command in ("undo", "retry"):
        with pytest.raises(QueryError, match="one transaction of a database"):
            session.execute(f"{command} write {number}")
    assert "1 created, 1 updated" in str(session.execute("show writes").fetchall())


_MERGE = "merge into shop.merged t using (values (1, 'new'), (3, 'c')) s(id, t) on t.id = s.id "


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        (
            _MERGE
            + "when matched then update set t = s.t when not matched then insert (id, t) values (s.id, s.t)",
            [(1, "new"), (2, "b"), (3, "c")],
        ),
        (_MERGE + "when matched then update set t = s.t", [(1, "new"), (2, "b")]),
        (
            "merge into shop.merged using (select 2 as id, upper('x') as t) s using (id) "
            "when not matched then insert (t, id) values (upper(s.t), (s.id)) "
            "when matched then update set t = upper( s.t ) when not matched by source then do nothing",
            [(1, "a"), (2, "X")],
        ),
        (
            "merge into shop.merged m using (select 2 as id, 'x' as t) s on (s.id = m.id) "
            "when not matched then insert (id, t) values (s.id, s.t) when matched then update set t = s.t "
            "when not matched by source then delete",
            [(2, "x")],
        ),
    ],
)
def test_merge_writes_what_an_upsert_would(
    session: PythonSession, sql: str, expected: list[tuple[int, str]]
) -> None:
    session.execute("create or replace table shop.merged as select 1 as id, 'a' as t union all select 2, 'b'")
    deletes = "by source then delete" in sql
    if deletes:
        with pytest.raises(UsageError, match="--max-deletes 1"):
            session.execute(sql)
        return
    session.execute(sql)
    assert session.execute("from shop.merged order by id").fetchall() == expected


@pytest.mark.parametrize(
    ("clauses", "reason"),
    [
        ("when matched and s.id > 1 then update set t = s.t", "a WHEN has a condition"),
        ("when matched then delete", "it is none of"),
        ("when not matched then insert (id, t) values (s.id, s.t)", "it is none of"),
        ("when matched then update set t = t.t || s.t", "the value t.t || s.t reads the table itself"),
        (
            "when matched then update set t = 'x' when not matched then insert (id, t) values (s.id, s.t)",
            "UPDATE and INSERT do not write the same values",
        ),
        (
            "when not matched then insert (id, t) values (s.id + 1, s.t) "
            "when matched then update set t = s.t",
            "it writes another value to id than it compares",
        ),
        ("when matched then update set t = s.t returning *", "returning is for APIs"),
    ],
)
def test_merge_that_is_no_upsert_is_refused(session: PythonSession, clauses: str, reason: str) -> None:
    session.execute("create or replace table shop.merged as select 1 as id, 'a' as t union all select 2, 'b'")
    with pytest.raises(QueryError) as raised:
        session.execute(_MERGE + clauses)
    assert reason in raised.value.message
    assert session.execute("select count(*) from shop.merged where t in ('a', 'b')").fetchall() == [(2,)]


def test_merge_by_another_condition_is_refused(session: PythonSession) -> None:
    with pytest.raises(QueryError, match=r"its condition is not TARGET\.COLUMN = VALUE"):
        session.execute(
            "merge into shop.folded f using (select 1 as k) s on f.k > s.k when matched then update set n = 1"
        )
