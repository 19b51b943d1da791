"""Completions at the cursor."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.input import PipeInput
from prompt_toolkit.output import DummyOutput

from tests.support.fake_session import COMPLETION_NAMES
from tests.support.terminal import ENTER
from unify.interpreter.results import CompletionNames
from unify.language.parser import expected_next
from unify.shell import completion_scope
from unify.shell.completer import find_completions, rank_candidates
from unify.shell.editor import Editor


@pytest.mark.parametrize(
    ("text", "after", "first"),
    [
        ("sel", "", "select"),
        ("sho", "", "show"),
        ("show ta", "", "tables"),
        ("show tables from gi", "", "github"),
        ("show files from gi", "", "github"),
        ("import gi", "", "github."),
        ("copy github.'a' to ji", "", "jira."),
        ("remove gi", "", "github."),
        ("url ji", "", "jira."),
        ("describe gith", "", "github.pulls"),
        ("refresh table pul", "", "github.pulls"),
        ("system st", "", "start"),
        ("system retry a", "", "all"),
        ("pause gith", "", "github.pulls"),
        ("resume github.pu", "", "pulls"),
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
        ("export github.pulls to ji", "", "jira."),
        ("export github.pulls to jira.issues ups", "", "upsert"),
        ("export (select * from github.pulls) to jira.issues upsert by us", "", "user_login"),
        ("create sync s as mir", "", "mirror"),
        ("create sync s as mirror into ji", "", "jira."),
        ("create sync s as mirror into jira.issues by id select * from gi", "", "github.pulls"),
        ("create sync s as mirror into jira.issues by id (select 1) ev", "", "every"),
        ("create sync s as insert into jira.issues select us", " from github.pulls", "user_login"),
        ("run sy", "", "sync"),
        ("run sync nig", "", "nightly"),
        ("drop sync nig", "", "nightly"),
        ("create chart from github.pulls as bar_chart where se", "", "series"),
        ("create chart from github.pulls as bar_chart where x = us", "", "user_login"),
        ("create chart from (select * from github.pulls) as bar_chart where x = us", "", "user_login"),
    ],
)
def test_completion_depends_on_the_position(text: str, after: str, first: str) -> None:
    found = find_completions(text, after, COMPLETION_NAMES, expected_next)

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
def test_completion_offers_functions_and_is_fuzzy(text: str, first: str) -> None:
    after = " from github.pulls as p" if text.startswith("select p") else ""

    found = find_completions(
        text, after, COMPLETION_NAMES, expected_next, function_names=completion_scope.list_functions()
    )

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
        ("copy 'r", ["report.csv", "rest/"]),
        ("import github.'r", []),
        ("select 're", []),
    ],
)
def test_file_names_are_offered_at_the_position_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, offered: list[str]
) -> None:
    (tmp_path / "rest").mkdir()
    for name in ("report.csv", "it's.sql", "rest/x.parquet", ".hidden"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)

    assert [
        one.text
        for one in find_completions(
            text, "", COMPLETION_NAMES, expected_next, list_files=completion_scope.list_files
        )
    ] == offered


@pytest.mark.parametrize("text", ["select 'git", "-- git", "/* git", "select $$git"])
def test_nothing_is_offered_in_text_and_comments(text: str) -> None:
    assert find_completions(text, "", COMPLETION_NAMES, expected_next) == []


def test_names_are_quoted_if_sql_requires_it() -> None:
    names = CompletionNames(("x",), {"x": ("Odd name", "order")}, {})

    assert [offer.text for offer in find_completions("select * from x.", "", names, expected_next)] == [
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
        ("export (select 1) to ma", ["mail"]),
        ("export (select 1) to mail 'a@b.c' s", ["subject"]),
        ("export (select 1) to mail 'a@b.c' as ", ["csv", "excel", "html"]),
        ("export (select 1) to mail '", []),
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
def test_completion_offers_other_values_of_a_position(text: str, offered: list[str]) -> None:
    names = replace(
        COMPLETION_NAMES,
        variables=("best", "LIMIT"),
        adapters=("github", "gitlab"),
        topics=("refresh", "reload", "show"),
    )

    assert [offer.text for offer in find_completions(text, "", names, expected_next)] == offered


def test_the_word_at_the_cursor_is_not_taken_for_an_alias() -> None:
    found = find_completions("select * from github.pulls wher", "", COMPLETION_NAMES, expected_next)

    assert [offer.text for offer in found] == ["where"]


def test_tables_of_the_same_name_have_their_own_columns() -> None:
    names = CompletionNames(
        ("a", "b"), {"a": ("t",), "b": ("t",)}, {"a.t": ("left_one",), "b.t": ("left_two",)}
    )

    found = find_completions("select left_", " from a.t join b.t", names, expected_next)

    assert [offer.text for offer in found] == ["left_one", "left_two"]


def test_two_letters_match_only_the_beginning_of_a_function() -> None:
    found = rank_candidates([("ascii(", "function"), ("st_astext(", "function"), ("abs(", "function")], "as")

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

    assert [text for text, _ in rank_candidates([(text, "column") for text in texts], word)] == ordered


def test_completion_keeps_up_with_ten_thousand_columns() -> None:
    """16 ms a key: nine times the comparison of the names alone, on the machine of promises.md."""
    tables = [f"c{schema}.t{number}" for schema in range(10) for number in range(10)]
    columns = {
        table: tuple(f"column_{table.replace('.', '_')}_{number}" for number in range(100))
        for table in tables
    }
    names = CompletionNames(tuple(f"c{number}" for number in range(10)), {}, columns)
    known = completion_scope.list_functions()
    all_columns = [column for found in columns.values() for column in found]
    rest = f" from {' join '.join(tables)}"
    comparing = _least(lambda: [(name, name.lower().startswith("col")) for name in all_columns])

    for typed in ("select col", "select c7", "select xyz"):
        taken = _least(lambda: find_completions(typed, rest, names, expected_next, function_names=known))  # noqa: B023
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
def test_tab_completes_at_once_during_fast_typing(key_input: PipeInput, typed: str, text: str) -> None:
    editor = Editor(
        history=InMemoryHistory(), names=lambda: COMPLETION_NAMES, input=key_input, output=DummyOutput()
    )
    with closing(editor):
        key_input.send_text(typed + ENTER)

        assert editor.read() == text


def _least(work: Callable[[], object]) -> float:
    """Return the shortest of seven times, in seconds of processor time."""
    return min(_timed(work) for _ in range(7))


def _timed(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def test_tables_of_a_database_may_have_a_schema() -> None:
    tables = {"shop": ("orders", "sales.lines", '"my.schema".lines'), "main": ("a.b",)}
    names = CompletionNames(("shop", "main"), tables, {}, databases=("shop",))

    def offered(text: str) -> list[str]:
        return [offer.text for offer in find_completions(text, "", names, expected_next)]

    assert "shop.sales.lines" in offered("select * from sho")
    assert 'shop."my.schema".lines' in offered("select * from sho")
    assert offered("select * from shop.sales.") == ["lines"]
    assert 'main."a.b"' in offered("select * from mai")
