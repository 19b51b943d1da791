"""What could come next at the cursor: decided from text and names, and taken with Tab."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.input import PipeInput
from prompt_toolkit.output import DummyOutput

from tests.fake_session import NAMES
from tests.terminal import ENTER
from unify.interpreter.results import Names
from unify.language.parser import following
from unify.shell import vocabulary
from unify.shell.completing import offers
from unify.shell.editor import Editor
from unify.shell.matching import best


@pytest.mark.parametrize(
    ("text", "after", "first"),
    [
        ("sel", "", "select"),
        ("sho", "", "show"),
        ("show ta", "", "tables"),
        ("show tables from gi", "", "github"),
        ("describe gith", "", "github.pulls"),
        ("refresh table pul", "", "github.pulls"),
        ("system st", "", "start"),
        ("select * from gi", "", "github.pulls"),
        ("select * from github.", "", "pulls"),
        ("select * from github.pu", "", "pulls"),
        ("select * from github.pulls join ji", "", "jira.issues"),
        ("select * from github.pulls, ji", "", "jira.issues"),
        ("select ti", " from github.pulls", "title"),
        ("select * from github.pulls where us", "", "user_login"),
        ("select p.nu", " from github.pulls as p", "number"),
        ("select * from github.pulls p join github.repos r on p.number = r.na", "", "name"),
        ("select 1; select * from github.re", "", "repos"),
        ("select * from github.pulls gr", "", "group"),
        ('select * from "git', "", "github.pulls"),
        ("with c as (select 1 as zeta, max(id) from github.repos) select c.", " from c", "zeta"),
        ("with c as (select 1 as zeta) select * from c where ze", "", "zeta"),
        ("with c as (select * from github.pulls) select * from c x where x.", "", "number"),
        ("with a as (select 1 as b), d as (select b + 1 as e from a) select * from a join d on d.", "", "e"),
        ("with a as (select 1 as b), d as (select * from a) select * from d where d.", "", "b"),
        ("select s.", " from (select name as nm, id from github.repos) s", "nm"),
        ("select * from (select name, id from github.repos) as s where s.na", "", "name"),
        ("select * from github.pulls where number in (select na", " from github.repos)", "name"),
        ('select * from (select 1 as "Big One") s where "Bi', "", '"Big One"'),
        ("create chart from github.pulls as ba", "", "bar_chart"),
        ("create chart from github.pulls as bar_chart where se", "", "series"),
        ("create chart from github.pulls as bar_chart where x = us", "", "user_login"),
        ("create chart from (select * from github.pulls) as bar_chart where x = us", "", "user_login"),
    ],
)
def test_completion_knows_the_place(text: str, after: str, first: str) -> None:
    found = offers(text, after, NAMES, following)

    assert found[0].text == first, [offer.text for offer in found[:5]]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("select date_tr", "date_trunc"),
        ("select regexp_rep", "regexp_replace("),
        ("select rgxrepl", "regexp_replace("),
        ("select p.", "number"),
        ("select p.usrlg", "user_login"),
        ("from github.pulls p where usrlg", "user_login"),
    ],
)
def test_completion_knows_functions_and_is_fuzzy(text: str, first: str) -> None:
    after = " from github.pulls as p" if text.startswith("select p") else ""

    found = offers(text, after, NAMES, following, functions=vocabulary.functions())

    assert found[0].text == first, [offer.text for offer in found[:5]]


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        ("import 'r", ["report.csv", "rest/"]),
        ("run '", ["it''s.sql", "report.csv", "rest/"]),
        ("run 'it''", ["it''s.sql"]),
        ("export (select 1) to 'rest/", ["rest/x.parquet"]),
        ("copy t to 'REP", ["report.csv"]),
        ("create chart from t as bar_chart where x = a and y = b to 'rep", ["report.csv"]),
        ("create chart from t as bar_chart where x = 're", []),
        ("select 1; select * from 'rest/x", ["rest/x.parquet"]),
        ("run '.h", [".hidden"]),
        ("import 'nosuch/", []),
        ("select 're", []),
    ],
)
def test_file_names_are_offered_where_a_statement_names_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, offered: list[str]
) -> None:
    (tmp_path / "rest").mkdir()
    for name in ("report.csv", "it's.sql", "rest/x.parquet", ".hidden"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)

    assert [one.text for one in offers(text, "", NAMES, following, files=vocabulary.files)] == offered


@pytest.mark.parametrize("text", ["select 'git", "-- git", "/* git", "select $$git"])
def test_nothing_is_offered_in_text_and_comments(text: str) -> None:
    assert offers(text, "", NAMES, following) == []


def test_names_are_quoted_where_sql_needs_it() -> None:
    names = Names(("x",), {"x": ("Odd name", "order")}, {})

    assert [offer.text for offer in offers("select * from x.", "", names, following)] == [
        '"Odd name"',
        '"order"',
    ]


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        ("select * from $b", ["best"]),
        ("select * from github.pulls where number > $", ["best", "LIMIT"]),
        ("unset $", ["best", "LIMIT"]),
        ("connect gi", ["github", "gitlab"]),
        ("disconnect ji", ["jira"]),
        ("help re", ["refresh", "reload"]),
        ("set k", ["keys ="]),
        ("show tables from ", ["github", "jira"]),
        ("with best as (select 1), b2 as (select 2) select * from be", ["best", "$best"]),
        (r"\d git", ["github.pulls", "github.repos", "github."]),
        (r"\dt ji", ["jira"]),
        (r"\h rel", ["reload"]),
        (".mode j", ["json", "jsonl"]),
        (".mo", [".mode"]),
        (r"\timing o", ["on", "off"]),
        (r"\q ", []),
        ("set keys = ", ["'emacs'", "'vi'"]),
        ('select "sel', []),
        ('select * from github.pulls where "nu', ["number"]),
        ("select 1", []),
        ("select * from github.pulls limit 10", []),
    ],
)
def test_completion_knows_what_else_a_place_takes(text: str, offered: list[str]) -> None:
    names = replace(
        NAMES,
        variables=("best", "LIMIT"),
        adapters=("github", "gitlab"),
        topics=("refresh", "reload", "show"),
    )

    assert [offer.text for offer in offers(text, "", names, following)] == offered


def test_what_is_being_typed_is_no_alias_of_the_table_before_it() -> None:
    found = offers("select * from github.pulls wher", "", NAMES, following)

    assert [offer.text for offer in found] == ["where"]


def test_tables_of_one_name_keep_their_columns_apart() -> None:
    names = Names(("a", "b"), {"a": ("t",), "b": ("t",)}, {"a.t": ("left_one",), "b.t": ("left_two",)})

    found = offers("select left_", " from a.t join b.t", names, following)

    assert [offer.text for offer in found] == ["left_one", "left_two"]


def test_two_letters_name_a_function_at_its_beginning_only() -> None:
    found = best([("ascii(", "function"), ("st_astext(", "function"), ("abs(", "function")], "as")

    assert found == [("ascii(", "function")]


@pytest.mark.parametrize(
    ("word", "ordered"),
    [
        ("us", ["user_login", "last_user", "status"]),
        ("ulo", ["user_login"]),
        ("sta", ["status"]),
        ("dt", ["date_trunc", "due_at"]),
        ("git", []),
    ],
)
def test_the_better_match_comes_first(word: str, ordered: list[str]) -> None:
    texts = ["status", "last_user", "user_login", "due_at", "date_trunc", "generate_subscripts"]

    assert [text for text, _ in best([(text, "column") for text in texts], word)] == ordered


def test_completion_keeps_up_with_ten_thousand_columns() -> None:
    """16 ms a key are nine times what comparing the names alone takes, on the machine of promises.md."""
    tables = [f"c{schema}.t{number}" for schema in range(10) for number in range(10)]
    columns = {
        table: tuple(f"column_{table.replace('.', '_')}_{number}" for number in range(100))
        for table in tables
    }
    names = Names(tuple(f"c{number}" for number in range(10)), {}, columns)
    known = vocabulary.functions()
    all_columns = [column for found in columns.values() for column in found]
    rest = f" from {' join '.join(tables)}"
    comparing = _least(lambda: [(name, name.lower().startswith("col")) for name in all_columns])

    for typed in ("select col", "select c7", "select xyz"):
        taken = _least(lambda: offers(typed, rest, names, following, functions=known))  # noqa: B023
        assert taken < 9 * comparing, (typed, taken, comparing)

    assert len(set(all_columns)) == 10_000


# --- Tab


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("select * from github.pul\t;", "select * from github.pulls;"),
        ("select * from git\t\t;", "select * from github.repos;"),
        ("desc\t github.pulls" + ENTER, "desc github.pulls"),
        ("select qqq\t;", "select qqq;"),
    ],
)
def test_tab_completes_at_once_however_fast_somebody_types(keys: PipeInput, typed: str, text: str) -> None:
    editor = Editor(history=InMemoryHistory(), names=lambda: NAMES, input=keys, output=DummyOutput())
    with closing(editor):
        keys.send_text(typed + ENTER)

        assert editor.read() == text


def _least(work: Callable[[], object]) -> float:
    """Of seven times, in seconds of this process alone."""
    return min(_timed(work) for _ in range(7))


def _timed(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began
