"""Unknown tables and columns: the error suggests the nearest names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import NoReturn

import pytest

from tests.support.stores import create_home
from unify.config.connections import load_connections
from unify.config.settings import Settings
from unify.errors import UnifyError
from unify.interpreter.interpreter import Interpreter
from unify.interpreter.query.missing_tables import unknown_table_message
from unify.interpreter.results import Rows
from unify.language import error_position
from unify.model import TableName
from unify.render.messages import Messages
from unify.render.progress import ProgressDisplay

KNOWN = [
    TableName("github", "pulls"),
    TableName("github", "repos"),
    TableName("jira", "issues"),
    TableName("main", "people"),
]
SCHEMAS = ("github", "jira", "main", "unify")
PULLS = "table pulls does not exist; did you mean github.pulls? (show tables)"


@pytest.fixture
def empty(settings: Settings) -> Iterator[Interpreter]:
    """A session without connections and tables."""
    display = ProgressDisplay(Messages(None), live=False)
    with Interpreter(settings, display, environment={}, stager=_no_live_tables) as interpreter:
        yield interpreter


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Interpreter]:
    """A session with the connection ``github``, which sends nothing, and a table ``people``.

    The tests share it: their statements fail, and what some define beforehand has names of its own.
    """
    settings = create_home(tmp_path_factory.mktemp("missing"))
    write_connections(settings.connections, "github:\n  adapter: github\n  options: {token: x}\n")
    display = ProgressDisplay(Messages(None), live=False)
    with Interpreter(settings, display, environment={}, stager=_no_live_tables) as interpreter:
        interpreter.run("create table people as select 1 as id")
        yield interpreter


def write_connections(connections: Path, text: str) -> Path:
    connections.write_text(text, encoding="utf-8")
    connections.chmod(0o600)
    return connections


def _no_live_tables(*_: object, **__: object) -> NoReturn:
    raise AssertionError("there are none here")


def error_message(shell: Interpreter, statement: str) -> str:
    with pytest.raises(UnifyError) as caught:
        shell.run(statement)
    return caught.value.message


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("pulls", PULLS),
        ("Pulls", PULLS.replace("table p", "table P")),
        ("pull", "table pull does not exist; did you mean github.pulls? (show tables)"),
        ("peple", "table peple does not exist; did you mean people? (show tables)"),
        ("qqq", "table qqq does not exist (show tables)"),
        (
            "jira",
            "jira is a schema, not a table; name one of its tables, such as jira.issues "
            "(show tables from jira)",
        ),
        ("unify", "unify is a schema, not a table (show tables from unify)"),
    ],
)  # fmt: skip
def test_the_suggested_table_is_written_as_it_can_be_typed(name: str, message: str) -> None:
    assert unknown_table_message(TableName("", name), KNOWN, SCHEMAS) == message


def test_every_statement_suggests_the_table(shell: Interpreter, tmp_path: Path) -> None:
    select = error_message(shell, "select *\nfrom pulls")
    assert select.split("\n") == [PULLS, "", "LINE 2: from pulls", "             ^"]
    assert error_message(shell, "describe pulls") == PULLS
    assert error_message(shell, "peek pulls") == PULLS
    assert error_message(shell, "count pulls") == PULLS
    for action in ("load", "refresh", "reload", "clear"):
        assert error_message(shell, f"{action} table pulls") == PULLS
    assert error_message(shell, "show columns from github").startswith(
        "github is a schema, not a table; name one of its tables, such as "
    )
    assert error_message(shell, "create chart from pulls as bar_chart where x = a and y = b") == PULLS
    assert error_message(shell, f"export pulls to '{tmp_path}/pulls.csv'").endswith(PULLS)
    assert error_message(shell, "drop table peple").startswith(
        "table peple does not exist; did you mean people?"
    )
    assert error_message(shell, "insert into github values (1)").startswith(
        "github is a schema, not a table; name one of its tables, such as "
    )


@pytest.mark.parametrize(
    "statement",
    [
        "from v2",
        "describe v2",
        "peek v2",
        "count v2",
        "changes v2 since 1 day",
        "explain from v2",
        "from m()",
    ],
)
def test_a_view_without_its_table_is_explained_by_that_table(shell: Interpreter, statement: str) -> None:
    for made in ("view v1 as from people", "view v2 as from v1", "temp macro m() as table from v1"):
        shell.run(f"create or replace {made}")
    shell.run("drop view v1")
    message = error_message(shell, statement)
    assert message.partition("\n")[0].partition(" reads ")[2] == "v1, which does not exist"
    assert "did you mean" not in message


@pytest.mark.parametrize(
    "statement", ['from "github.pulls"', "from 'github.pulls'", 'describe "GitHub.pulls"']
)
def test_a_name_quoted_as_a_whole_is_explained(shell: Interpreter, statement: str) -> None:
    assert error_message(shell, statement).startswith(
        "'github.pulls' in quotes is one name; write github.pulls"
    )


@pytest.mark.parametrize(
    "statements",
    [
        ["set variable t = 'github.pulls'", "from query_table(getvariable('t'))"],
        ["$t = 'pulls'", "from query('from github.' || $t)"],
        ["create temp macro named(x) as table from query_table(x)", "from named('github.' || 'pulls')"],
        ["prepare p as from query_table($1)", "execute p('github.' || 'pulls')"],
    ],
)
def test_a_table_named_by_an_expression_is_not_loaded(shell: Interpreter, statements: list[str]) -> None:
    shell.run("create schema if not exists github")
    for statement in statements[:-1]:
        shell.run(statement)
    assert error_message(shell, statements[-1]).startswith("github.pulls is not loaded, and a table named by")


def test_a_system_table_is_suggested_with_its_schema(shell: Interpreter) -> None:
    assert "did you mean unify.jobs?" in error_message(shell, "from unify.jobz")


def test_an_error_points_into_the_typed_statement(shell: Interpreter) -> None:
    assert error_message(shell, "$x =\n  oops").split("\n")[-2:] == ["LINE 2:   oops", "          ^"]
    chart = error_message(
        shell, "create chart from (select oops from people) as bar_chart where x = a and y = b"
    )
    assert chart.split("\n")[-1].index("^") == chart.split("\n")[-2].index("oops")
    assert chart.split("\n")[-2].startswith("LINE 1: create chart from (select oops")


def test_an_unknown_column_lists_its_candidates_once(shell: Interpreter) -> None:
    assert 'Candidate bindings: "id"' in error_message(shell, "select p.ids from people p")


def test_an_error_at_the_end_of_input_points_to_the_end(shell: Interpreter) -> None:
    assert error_message(shell, "select id\n  , 1 +  ").split("\n")[-2:] == [
        "LINE 2:   , 1 +",
        "               ^",
    ]


def test_an_error_does_not_point_into_generated_sql() -> None:
    message = "no such thing\n\nLINE 3: ...ect oops from t...\n               ^"

    assert error_position.remap_pointer(message, "count t") == "no such thing"
    assert error_position.remap_pointer(message, "x\n(select oops from t) y").split("\n")[1:] == [
        "LINE 2: (select oops from t) y",
        "                ^",
    ]
    assert error_position.remap_pointer("no place", "count t") == "no place"


def test_describe_sets_the_last_table(shell: Interpreter) -> None:
    shell.run("describe people")

    assert shell.session.query.last_table == TableName("", "people")
    error_message(shell, "describe nothing")
    assert shell.session.query.last_table == TableName("", "people")


def test_the_example_for_a_missing_connection_is_valid(empty: Interpreter, settings: Settings) -> None:
    message = error_message(empty, "select * from jira.issues")
    example = message.partition("for example:\n")[2].partition("\nor try")[0]

    found = load_connections(write_connections(settings.connections, dedent(example)))

    assert found.by_name["github"].options == {"token": "${GITHUB_TOKEN}"}
    shown = empty.run("show tables")
    assert isinstance(shown, Rows)
    assert shown.note == "no connections are configured; connect adds one"
