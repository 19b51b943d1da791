"""Backslash and dot commands of psql and DuckDB."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.prompt import run_prompt
from tests.support.terminal import CTRL_C, ENTER, Terminal
from unify.errors import UsageError
from unify.language.parser import parse as parse_statement
from unify.shell.meta_command_list import META_COMMANDS, REPLACEMENTS, MetaCommand, ShellAction
from unify.shell.meta_commands import (
    ParsedMetaCommand,
    assignment,
    is_meta_command,
    meta_command_help,
    parse_format,
    parse_meta_command,
    parse_row_limit,
    parse_seconds,
    parse_switch,
    script_replacement,
    split_suffix,
)

BECOMES = [
    (r"\d", "show tables"),
    (r"\d github.pulls", "describe github.pulls"),
    (r"  \dt  ", "show tables"),
    (r"\dt github;", "show tables from github"),
    (".tables", "show tables"),
    (".schema github.pulls", "describe github.pulls"),
    (r"\l", "show connections"),
    (r"\i it's.sql", "run 'it''s.sql'"),
    (".read 'two words.sql'", "run 'two words.sql'"),
    (r"\h load", "help load"),
    (r"\q", "exit"),
    (r"\d+ github.pulls", "describe github.pulls"),
    (r"\dt github.*", "show tables from github"),
    (".EXIT", "exit"),
    (r"\copy t to out.csv", "copy t to 'out.csv'"),
    (r"\copy t to out.csv (header false)", "copy t to 'out.csv' (header false)"),
    (
        r"\copy (select 'to x' as a from t) TO 'my out.csv';",
        "copy (select 'to x' as a from t) TO 'my out.csv'",
    ),
    (r"\copy t from it's.csv", "copy t from 'it''s.csv'"),
    (r"\ir sub.sql", "run 'sub.sql'"),
    (r"\conninfo", "show connections"),
    (r"\c github", "use github"),
    (r"\unset name", "unset $name"),
]


@pytest.mark.parametrize(("line", "statement"), BECOMES)
def test_a_meta_command_becomes_a_statement(line: str, statement: str) -> None:
    assert parse_meta_command(line) == ParsedMetaCommand(statement)
    parse_statement(statement)


@pytest.mark.parametrize("meta_command", META_COMMANDS, ids=lambda command: command.names[0])
def test_every_meta_command_has_an_effect_and_help(meta_command: object) -> None:
    assert isinstance(meta_command, MetaCommand)
    for name in meta_command.names:
        argument = "t to 'x.csv'" if name == r"\copy" else "box"
        command = parse_meta_command(f"{name} {argument}" if meta_command.argument else name)
        assert bool(command.statement) != bool(command.action)
        assert name in meta_command_help()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (r"\dtt", "unknown command \\dtt; did you mean \\dt"),
        (r"\du", "unify user list"),
        (r"\gset", "$name = SELECT"),
        (".import a b", "import 'FILE' into TABLE"),
        (".tabels", "did you mean .tables"),
        (r"\i", r"\i FILE"),
        (r"\q now", "takes no argument"),
        (r"\dx", "duckdb_extensions()"),
        (r"\dq", "unknown command \\dq"),
        (r"\copy t", r"\copy TABLE|(SELECT) to|from FILE"),
        (r"\copy t to stdout", "name a file"),
    ],
)
def test_a_mistake_in_a_meta_command_is_explained(line: str, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_meta_command(line)

    assert message in raised.value.message


@pytest.mark.parametrize(
    ("word", "limit"), [("", "as many as fit"), ("all", "all"), ("-1", "all"), ("40", 40)]
)
def test_a_row_limit_is_a_number_all_or_as_many_as_fit(word: str, limit: object) -> None:
    assert parse_row_limit(word) == limit


@pytest.mark.parametrize("word", ["0", "many", "4.5"])
def test_an_invalid_row_limit_is_refused(word: str) -> None:
    with pytest.raises(UsageError, match="must be a number of rows"):
        parse_row_limit(word)


@pytest.mark.parametrize(
    ("word", "now", "then"), [("", False, True), ("", True, False), ("on", True, True), ("OFF", True, False)]
)
def test_a_switch_is_set_or_toggled(word: str, now: bool, then: bool) -> None:
    assert parse_switch(word, now) is then


def test_an_invalid_switch_value_is_refused() -> None:
    with pytest.raises(UsageError, match="auto: must be on or off"):
        parse_switch("auto", False)


@pytest.mark.parametrize(("word", "format"), [("BOX", "box"), ("duckbox", "box"), ("line", "vertical")])
def test_format_names_of_the_duckdb_shell_are_accepted(word: str, format: str) -> None:
    assert parse_format(word) == format


@pytest.mark.parametrize("text", ["select 1;", ".5", "select '\\d'", "\\d\nselect 1", "", "\\", "??", "$a"])
def test_statements_are_not_meta_commands(text: str) -> None:
    assert not is_meta_command(text)


@pytest.mark.process
def test_meta_commands_run_at_the_prompt(empty_home: Path) -> None:
    with run_prompt(empty_home, lines=80) as terminal:
        ask(terminal, r"\d github.pulls", "did Describe")
        ask(terminal, "?", r"\timing, .timer [on|off]")
        ask(terminal, r"\x auto", "must be on or off")
        ask(terminal, r"\x", "format: vertical")
        ask(terminal, "select 1 as a;", "a │ 1")
        ask(terminal, r"\x", "format: box")
        ask(terminal, "select range as n from range(200);", "200 rows (71 shown)")
        ask(terminal, ".maxrows 4", "at most 4")
        ask(terminal, "select range as n from range(300);", "300 rows (4 shown)")
        ask(terminal, ".maxrows", "as many as fit")
        ask(terminal, ".mode markdwn", "did you mean markdown")
        ask(terminal, ".mode markdown", "format: markdown")
        terminal.type(r"\x off" + ENTER)
        ask(terminal, "select 2 as b;", "| b |")
        ask(terminal, r"\timing", "timing: on")
        ask(terminal, "select 3 as c;", "Time: ")
        ask(terminal, r"\o rows.json", "rows are written to rows.json")
        terminal.type("select 7 as a;" + ENTER + r"\o" + ENTER)
        ask(terminal, "select 8 as back;", "| back |")
        terminal.type(r"\q" + ENTER)
        assert terminal.wait_for_end() == 0

    assert json.loads((empty_home / "rows.json").read_text()) == [{"a": 7}]


@pytest.mark.parametrize(
    ("text", "statement", "action", "argument"),
    [
        (r"select 1 \g", "select 1", "run", ""),
        (r"select 1; \gx", "select 1;", "run expanded", ""),
        ("select\n1 \\G out.csv ;", "select\n1", "run", "out.csv"),
        (r"select '\g' \gx 'two words.csv'", r"select '\g'", "run expanded", "two words.csv"),
        (r"select 1 \watch 5", "select 1", "watch", "5"),
        (r"select (1 \r", "select (1", "reset", ""),
        (r"select 1 \gdesc", "select 1", "describe", ""),
        (r"select 1; \echo two words", "select 1;", "echo", "two words"),
        (r"select (1, \timing on", "select (1,", "timing", "on"),
        ("select 1;\n\\! ls -l", "select 1;", "shell", "ls -l"),
    ],
)
def test_g_ends_a_statement(text: str, statement: str, action: ShellAction, argument: str) -> None:
    split = split_suffix(text)

    assert split is not None
    assert split[0] == statement
    assert parse_meta_command(split[1]) == ParsedMetaCommand(action=action, argument=argument)


@pytest.mark.parametrize(
    "text", [r"select '\g", r"select 1 -- \g", r"select (1 \g", r"\g", "select 1;", r"select '1 \dt"]
)
def test_other_text_does_not_end_a_statement(text: str) -> None:
    assert split_suffix(text) is None


@pytest.mark.parametrize(
    ("pattern", "where"),
    [
        ("t*", "\"table\" glob 't*'"),
        ("c.it?", "schema glob 'c' and \"table\" glob 'it?'"),
    ],
)
def test_tables_are_listed_by_a_pattern(pattern: str, where: str) -> None:
    statement = parse_meta_command(rf"\dt {pattern}").statement
    assert where in statement
    parse_statement(statement)


@pytest.mark.parametrize(
    ("argument", "statement"),
    [("a 5", "$a = 5"), ("a -1.5", "$a = -1.5"), ("a it's", "$a = 'it''s'"), ("a", "$a = ''")],
)
def test_set_assigns_numbers_and_texts(argument: str, statement: str) -> None:
    assert assignment(argument) == statement
    parse_statement(statement)


@pytest.mark.parametrize(("word", "seconds"), [("", 2.0), ("0.5", 0.5), ("i=3", 3.0)])
def test_watch_takes_seconds(word: str, seconds: float) -> None:
    assert parse_seconds(word) == seconds


@pytest.mark.parametrize("word", ["0", "-1", "x", "nan", "1e99"])
def test_other_intervals_of_watch_are_refused(word: str) -> None:
    with pytest.raises(UsageError, match="must be a number of seconds"):
        parse_seconds(word)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        (r"\dt", "show tables"),
        (r"\d github.pulls", "describe github.pulls"),
        ("\\dt\nselect 1;", "show tables"),
        (r"select 1 \gx", "--format vertical"),
        (".tables", "show tables"),
        (".mode csv", "--format FORMAT"),
        ("?", "help"),
        (r"\du", "unify user list"),
        (r"\i a.sql", "run 'a.sql'"),
        (r"\nonsense", "scripts read SQL"),
    ],
)
def test_a_script_says_what_replaces_a_meta_command(text: str, advice: str) -> None:
    assert advice in (script_replacement(text) or "")


@pytest.mark.parametrize("text", ["select '\\d'", ".5", "select 1", "", "select \\", ".5 \n"])
def test_other_syntax_errors_of_scripts_are_shown_as_they_are(text: str) -> None:
    assert script_replacement(text) is None


@pytest.mark.parametrize("name", REPLACEMENTS)
def test_a_replacement_stands_for_a_command_that_is_not_here(name: str) -> None:
    with pytest.raises(UsageError, match="does not exist here: "):
        parse_meta_command(name)


@pytest.mark.process
def test_commands_of_psql_run_at_the_prompt(empty_home: Path) -> None:
    with run_prompt(empty_home, lines=90, SHELL="/bin/sh") as terminal:
        ask(terminal, r"\p", "no statement has been run yet")
        ask(terminal, r"select 51 as a; \echo done with it", "done with it")
        ask(terminal, r"\p", "select 51 as a;")
        ask(terminal, r"select 52 as b \gdesc", "column_name")
        ask(terminal, r"select (1 \r", "what was typed is forgotten")
        ask(terminal, r"\! echo from the $((40+2)) shell", "from the 42 shell")
        ask(terminal, r"\!exit 3", "exit status 3")
        ask(terminal, r"\t on", "column names: off")
        ask(terminal, r"\pset format csv", "format: csv")
        ask(terminal, "select 53 as hidden;", "53")
        ask(terminal, r"\pset null (none)", "text of NULL: (none)")
        ask(terminal, r"\pset border 2", "not supported; use format")
        ask(terminal, r"\o |less", "output is written to files only")
        ask(terminal, r"select 54 as watched \watch 0.05", "54\n54\n54")
        terminal.type(CTRL_C)
        ask(terminal, r"\du", "unify user list")
        ask(terminal, r"select 61, \echo between", "between")
        ask(terminal, "62;", "61,62")
        terminal.type(r"\q" + ENTER)
        assert terminal.wait_for_end() == 0


@pytest.mark.process
def test_g_gx_df_and_copy_run_at_the_prompt(empty_home: Path) -> None:
    with run_prompt(empty_home, lines=80) as terminal:
        ask(terminal, r"\g", "no statement has been run yet")
        ask(terminal, r"select 41 as first \gx", "first │ 41")
        ask(terminal, r"\g", "│      41 │")
        ask(terminal, r"\g again.csv", "unify>")
        ask(terminal, "create macro twice(n) as n * 2;", "done")
        ask(terminal, r"\df", "twice")
        ask(terminal, r"\df list_a*", "list_aggr")
        ask(terminal, r"\copy (select 43 as copied) to copied.csv", "done")
        ask(terminal, "select 44 as last;", "│      44 │")
        terminal.type(r"\q" + ENTER)
        assert terminal.wait_for_end() == 0

    assert (empty_home / "again.csv").read_text() == "first\n41\n"
    assert (empty_home / "copied.csv").read_text() == "copied\n43\n"


@pytest.mark.process
def test_a_file_of_o_contains_only_complete_results(empty_home: Path) -> None:
    (empty_home / "kept.csv").write_text("old\n")
    broken = "select case when range = 50000 then error('broken') else range end as n from range(100000);"
    with run_prompt(empty_home, lines=80) as terminal:
        ask(terminal, r"\o kept.csv", "written to kept.csv")
        ask(terminal, broken, "broken")
        ask(terminal, r"\o rows.csv", "written to rows.csv")
        ask(terminal, "select 7 as a;", "unify>")
        ask(terminal, broken, "broken")
        terminal.expect_text("unify>", times=5)
        assert (empty_home / "rows.csv").read_text() == "a\n7\n"
        terminal.type("select 8 as b;" + ENTER + r"\q" + ENTER)
        assert terminal.wait_for_end() == 0

    assert (empty_home / "kept.csv").read_text() == "old\n"
    assert (empty_home / "rows.csv").read_text() == "a\n7\nb\n8\n"
    assert not [path for path in empty_home.iterdir() if path.name.endswith(".csv") and path.name[0] == "."]


@pytest.mark.process
def test_the_last_statement_can_be_edited_in_an_editor(empty_home: Path) -> None:
    editor = empty_home / "editor.sh"
    editor.write_text('#!/bin/sh\nprintf "select 99 as edited;" > "$1"\n')
    editor.chmod(0o700)
    with run_prompt(empty_home, EDITOR=str(editor)) as terminal:
        ask(terminal, "select 1 as first;", "1 row")
        terminal.type(r"\e" + ENTER)
        terminal.expect_text("select 99 as edited;")
        terminal.type(ENTER)
        terminal.expect_text("│      99 │")
        terminal.type("select 1" + "\x18\x05")
        terminal.expect_text("select 99 as edited;", times=2)
        terminal.type(ENTER)
        terminal.expect_text("│      99 │", times=2)
        terminal.type(r"\q" + ENTER)
        assert terminal.wait_for_end() == 0


def ask(terminal: Terminal, text: str, answer: str) -> None:
    terminal.type(text + ENTER)
    terminal.expect_text(answer)
