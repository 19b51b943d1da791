"""Temporary tables, tables of attached databases and views in a connection's schema, in every command."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.shop import SPEC_WITHOUT_TOKEN
from unify.api.session import PythonSession
from unify.errors import NoSuchVersion, QueryError, UnknownName

import unify  # isort: skip


@pytest.fixture
def session(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PythonSession]:
    monkeypatch.chdir(home)
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


def names(rows: list[tuple[object, ...]]) -> list[object]:
    return [row[0] for row in rows]


def test_a_temporary_table_is_described_and_hides_one_of_main(session: PythonSession) -> None:
    session.execute("create table t as select 1 as stored")
    session.execute("create temp table t as select 2 as temporary")
    session.execute("create temp view v as from t")

    for name in ("t", "temp.t", "v"):
        assert names(session.execute(f"describe {name}").fetchall()) == ["temporary"]
        assert session.execute(f"peek {name}").fetchall() == [(2,)]
        assert session.execute(f"count {name}").fetchall() == [(1,)]
    session.execute("drop view v; drop table temp.t")
    assert names(session.execute("describe t").fetchall()) == ["stored"]


def test_a_table_of_an_attached_database_is_described(session: PythonSession) -> None:
    session.execute("attach ':memory:' as other; create table other.x as select 1 as a")

    assert session.execute("describe other.x").fetchall() == [("a", "INTEGER", None)]
    assert session.execute("peek other.x").fetchall() == [(1,)]
    session.execute("use other")
    assert session.execute("describe x").fetchall() == [("a", "INTEGER", None)]
    with pytest.raises(UnknownName, match=r"other\.nope does not exist"):
        session.execute("describe other.nope")


def test_a_view_in_the_schema_of_a_connection_is_listed(session: PythonSession) -> None:
    session.execute("create schema c; create view c.mine as select 5 as a")

    assert ("c", "mine") in [row[:2] for row in session.execute("show tables from c").fetchall()]
    assert session.execute("select kind from unify.tables where \"table\" = 'mine'").fetchall() == [("view",)]


def test_a_column_of_a_connection_takes_no_comment(session: PythonSession) -> None:
    with pytest.raises(QueryError, match=r"filled by its connection and cannot be written to"):
        session.execute("comment on column c.orders.id is 'x'")


def test_a_version_before_the_table_is_no_missing_load(session: PythonSession) -> None:
    session.execute("create table t as select 1 as a; create table u as select 1 as a")

    with pytest.raises(NoSuchVersion) as refused:
        session.execute("from u at (version => 1)")

    assert "did not exist then" in refused.value.message
    assert "load table" not in refused.value.message


def test_a_setting_of_duckdb_is_no_damaged_file(session: PythonSession, home: Path) -> None:
    session.execute("create table t as select 1 as a; set enable_external_access = false")

    with pytest.raises(QueryError, match="disabled by configuration"):
        session.execute(f"from '{home}/lake/files/none.parquet'")
