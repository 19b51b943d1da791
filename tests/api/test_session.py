"""``unify.open``: sessions for Python programs, as docs/python.md shows them."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

import unify
from tests.support.paths import CHECKOUT
from unify.errors import QueryError, UsageError
from unify.render.columnar import to_relation


def test_the_documented_session_runs(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNIFY_HOME", str(home))
    monkeypatch.chdir(home)
    failed, tried = doctest.testfile(str(CHECKOUT / "docs/python.md"), module_relative=False)
    assert tried > 3
    assert failed == 0


def test_a_result_keeps_its_types(home: Path) -> None:
    sql = (
        "select 170141183460469231731687303715884105727::hugeint as h, 1.50::decimal(9,2) as d, "
        "timestamp_ns '2024-01-01 00:00:00.123456789' as ns, interval 14 month as m, 'infinity'::date as i, "
        "'\\xAA\\x00'::blob as b, {'a': [1, null], 'b': 'x'} as s, map {'k': 1.5} as mp, "
        "'nan'::double as f, true as t, null as n, uuid '00000000-0000-0000-0000-000000000001' as u"
    )
    with unify.open(home) as session:
        session.execute(f"create temp table wanted as {sql}")
        result = session.execute("from wanted")
        typed = to_relation(result.columns, iter([result.fetchall()]))
        assert [str(type) for type in typed.types] == [column.type for column in result.columns]
        texts = ", ".join(f"{name}::varchar" for name in typed.columns)
        assert typed.project(texts).fetchall() == session.execute(f"select {texts} from wanted").fetchall()


def test_statements_without_rows(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    with unify.open(home) as session:
        assert session.execute("begin; create table t as select 1 as i; commit").fetchall() == []
        assert session.execute("begin; insert into t values (2)").message == "1 row inserted"
        with pytest.raises(UsageError, match="no statement"):
            session.execute(" -- nothing")
    assert session.notices[-1] == "the open transaction was rolled back; commit keeps its changes"
    with unify.open(home) as session:
        assert session.execute("select i from t").fetchall() == [(1,)]


def test_an_open_result_keeps_its_rows_when_another_statement_runs(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with unify.open(home) as session:
        first, kept = session.execute("from range(5000)"), iter(session.execute("from range(4000) r(i)"))
        assert next(kept) == (0,)
        session.execute("select 1")
        assert sum(1 for _ in kept) == 3999
        assert len(first.fetchall()) == 5000

        monkeypatch.setattr("unify.api.session.MAX_KEPT_ROWS", 3000)
        cut = session.execute("from range(5000)")
        session.execute("select 1")
        with pytest.raises(QueryError, match="the session ran another statement"):
            cut.fetchall()
