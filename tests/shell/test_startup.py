"""A SELECT of constants runs without a session; every other statement opens it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command import InProcessCommand, UnifyCommand
from tests.support.fake_session import FakeSession
from unify.errors import QueryError
from unify.interpreter.results import Rows
from unify.shell.startup import LazySession, is_constant_select

CONSTANTS = [
    "select 1",
    "SELECT 1 AS a, 2.50 as \"B\"\"b\", 'it''s' as c, null, true /* why */, false -- not",
    "select 12345678901234567890123456789012345678, 1e5, .5, 1_000, e'\\x41', $$a;b$$",
]
MORE = [
    "select",
    "select 1 + 1",
    "select -1",
    "select 1 one",
    "select (1)",
    "select [1]",
    "select abs(1)",
    "select current_schema()",
    "select current_date",
    "select a",
    'select "a"',
    "select date '2020-01-01'",
    "select 1::text",
    "select $a",
    "select ?",
    "select *",
    "select 1 from t",
    "select 1, ",
    "select distinct 1",
    "select 1 where true",
    "from t",
    "create table t(a int)",
    "$a = 1",
    "help",
]


@pytest.mark.parametrize("statement", CONSTANTS)
def test_constants_need_no_session(statement: str) -> None:
    session = LazySession(_refuse)

    answer = session.run(statement)

    assert isinstance(answer, Rows)
    assert len(list(answer.batches)) == 1
    session.close()


@pytest.mark.parametrize("statement", MORE)
def test_statements_that_depend_on_the_lake_open_a_session(statement: str) -> None:
    assert not is_constant_select(statement)


def test_an_invalid_constant_is_explained_by_the_session() -> None:
    fake = FakeSession()
    session = LazySession(lambda: fake)

    with pytest.raises(QueryError, match="syntax error"):
        session.run("select 1.2.3 as version")
    session.close()

    assert fake.closed


def test_constants_have_the_same_values_in_the_lake(unify: UnifyCommand) -> None:
    statements = [statement for statement in CONSTANTS for _ in "ab"]

    alone, in_lake = unify(*statements), unify("begin", *statements, "commit")

    assert alone.exit_status == 0, alone
    assert alone.stdout == in_lake.stdout


def test_constants_do_not_change_the_home(new_home: Path) -> None:
    assert InProcessCommand(new_home)("select 1 as a").stdout == "a\n1\n"

    assert list(new_home.iterdir()) == []


def test_a_macro_of_the_lake_is_used_at_once(unify: UnifyCommand) -> None:
    unify('create macro "+"(a, b) as 42', "create macro abs(a) as 43")

    assert unify("select 1 + 1 as a", "select abs(-1) as a", args=["--no-header"]).stdout == "42\n43\n"


def _refuse() -> FakeSession:
    raise AssertionError("no session is needed")
