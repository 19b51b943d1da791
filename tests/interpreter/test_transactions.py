"""What ROLLBACK undoes, and which commands a transaction refuses because it could not undo them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.shop import SPEC_WITHOUT_TOKEN
from unify.api.session import PythonSession
from unify.errors import QueryError, UnknownName

import unify  # isort: skip

REFUSED = [
    "refresh table c.orders every 5 minutes",
    "refresh table c.orders never",
    "run 'report.sql' every 1 day",
    "run 'report.sql' at '2099-01-01 08:00'",
    "unschedule report",
    "pause c",
    "resume c.orders",
    "accept table c.orders",
    "connect shop as d with base_url = 'http://127.0.0.1:9'",
    "disconnect c",
    "approve write 1",
    "retry write 1",
    "cancel write 1",
]


@pytest.fixture
def session(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PythonSession]:
    monkeypatch.chdir(home)
    (home / "report.sql").write_text("select 1", encoding="utf-8")
    (home / "specs").mkdir()
    (home / "specs" / "shop.yaml").write_text(
        SPEC_WITHOUT_TOKEN + "  - {name: orders, request: GET /orders}\n", encoding="utf-8"
    )
    (home / "connections.yaml").write_text(
        "c: {adapter: shop, options: {base_url: 'http://127.0.0.1:9'}}\n", encoding="utf-8"
    )
    (home / "connections.yaml").chmod(0o600)
    with unify.open(home=home, specs=[home / "specs"]) as opened:
        yield opened


def run(session: PythonSession, *statements: str) -> None:
    for statement in statements:
        session.execute(statement)


def rows(session: PythonSession, statement: str) -> list[tuple[object, ...]]:
    return session.execute(statement).fetchall()


@pytest.mark.parametrize("command", REFUSED)
def test_a_command_that_rollback_could_not_undo_is_refused(session: PythonSession, command: str) -> None:
    run(session, "begin", "create table t as select 1 as a")
    with pytest.raises(QueryError, match="inside a transaction, because rollback would not undo it"):
        session.execute(command)
    run(session, "commit")
    assert rows(session, "from t") == [(1,)]
    assert rows(session, "show schedules") == []
    assert rows(session, "select name from unify.connections") == [("c",)]


class TestVariables:
    def test_of_the_session_are_restored_by_rollback(self, session: PythonSession) -> None:
        run(session, "$value = 1", "$rows = select 1 as a", "$gone = 3")
        run(session, "begin", "$value = select 2 as b", "$rows = 2", "unset $gone", "$new = 4")
        assert rows(session, "$value") == [(2,)]
        run(session, "rollback")
        assert rows(session, "select $value, $gone, $rows.a from $rows") == [(1, 3, 1)]
        with pytest.raises(UnknownName, match="is not set"):
            session.execute("$new")

    def test_in_capitals_are_kept_with_the_commit(self, session: PythonSession, home: Path) -> None:
        run(session, "$OLD = 1", "$GONE = 2", "begin", "$OLD = 3", "$ROWS = select 4 as a", "unset $GONE")
        assert rows(session, "select $OLD, a from $ROWS") == [(3, 4)]
        assert [row[0] for row in rows(session, "show variables")] == ["$OLD", "$ROWS"]
        with unify.open(home=home) as other:
            assert rows(other, "select $OLD, $GONE") == [(1, 2)]
        run(session, "commit")
        with unify.open(home=home) as other:
            assert rows(other, "select $OLD, a from $ROWS") == [(3, 4)]
        assert sorted(path.name for path in (home / "variables").iterdir()) == ["OLD.parquet", "ROWS.parquet"]

    @pytest.mark.parametrize("end", ["rollback", "select error('x')", None])
    def test_in_capitals_are_unchanged_without_commit(
        self, session: PythonSession, home: Path, end: str | None
    ) -> None:
        run(session, "$OLD = 1", "$GONE = 2", "begin", "$OLD = select 3 as a", "unset $GONE", "$NEW = 4")
        if end == "rollback":
            session.execute(end)
        elif end is not None:
            with pytest.raises(QueryError, match="x"):
                session.execute(end)
            with pytest.raises(QueryError, match="failed, so it was rolled back"):
                session.execute("commit")
        else:
            session.close()
        with unify.open(home=home) as other:
            assert rows(other, "select $OLD, $GONE") == [(1, 2)]
        assert sorted(path.name for path in (home / "variables").iterdir()) == ["GONE.parquet", "OLD.parquet"]


def test_imports_of_a_transaction_are_listed_with_all_their_files(session: PythonSession, home: Path) -> None:
    for name in ("a", "b"):
        (home / f"{name}.csv").write_text("id\n1\n", encoding="utf-8")
    run(session, "begin", "import 'a.csv' into t", "import 'b.csv' into t append")
    files = [(str(home / "a.csv"), 1), (str(home / "b.csv"), 1)]
    assert [row[2:4] for row in rows(session, "show files")] == files
    run(session, "commit")
    assert [row[2:4] for row in rows(session, "show files")] == files
    run(session, "begin", "import 'a.csv' into t overwrite", "rollback")
    assert rows(session, "count t") == [(2,)]


def test_a_comment_of_a_transaction_is_described_in_it(session: PythonSession) -> None:
    run(session, "create table t as select 1 as a", "begin", "comment on column t.a is 'new'")
    assert rows(session, "describe t") == [("a", "INTEGER", "new")]


class TestVersions:
    def test_changes_of_a_table_made_in_a_transaction_are_its_rows(self, session: PythonSession) -> None:
        run(session, "begin", "create table t as select 1 as a")
        assert rows(session, "changes t since 1 day") == [("insert", 1)]

    def test_a_version_of_a_changed_table_is_refused(self, session: PythonSession) -> None:
        run(session, "create table t as select 1 as a", "create table other as select 2 as b")
        [(now,)] = rows(session, "select now()::varchar")
        version = f"from t at (timestamp => timestamptz '{now}')"
        run(session, f"prepare p as {version}", f"create macro m() as table {version}")
        run(session, "begin", "insert into other values (3)")
        assert rows(session, version) == [(1,)]
        run(session, "delete from T")
        for statement in (version, f"changes t since '{now}'", "execute p", "from m()"):
            with pytest.raises(QueryError, match="this transaction has changed t;"):
                session.execute(statement)
        run(session, "rollback")
        assert rows(session, version) == [(1,)]
