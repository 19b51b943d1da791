"""Short commands of psql and DuckDB's shell, as hands type them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.prompt import run_prompt
from tests.support.terminal import ENTER, Terminal
from unify.errors import UsageError
from unify.language.parser import parse as parse_statement
from unify.shell.meta_commands import (
    META_COMMANDS,
    ParsedMetaCommand,
    is_meta_command,
    meta_command_help,
    parse_format,
    parse_meta_command,
    parse_row_limit,
    parse_switch,
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
]


@pytest.mark.parametrize(("line", "statement"), BECOMES)
def test_a_habit_becomes_a_statement(line: str, statement: str) -> None:
    assert parse_meta_command(line) == ParsedMetaCommand(statement)
    parse_statement(statement)


@pytest.mark.parametrize("habit", META_COMMANDS, ids=lambda habit: habit.names[0])
def test_every_habit_does_something_and_is_in_the_help(habit: object) -> None:
    from unify.shell.meta_commands import MetaCommand

    assert isinstance(habit, MetaCommand)
    for name in habit.names:
        asked = parse_meta_command(f"{name} box" if habit.argument else name)
        assert bool(asked.statement) != bool(asked.action)
        assert name in meta_command_help()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (r"\dtt", "there is no \\dtt — did you mean \\dt"),
        (".tabels", "did you mean .tables"),
        (r"\i", r"\i FILE"),
        (r"\q now", "takes nothing"),
        (r"\df", "there is no \\df"),
        (r"\!ls -l", "there is no \\!ls"),
    ],
)
def test_a_slip_is_explained(line: str, said: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_meta_command(line)

    assert said in raised.value.message


@pytest.mark.parametrize(
    ("word", "limit"), [("", "as many as fit"), ("all", "all"), ("-1", "all"), ("40", 40)]
)
def test_rows_in_a_box_are_a_number_all_or_what_fits(word: str, limit: object) -> None:
    assert parse_row_limit(word) == limit


@pytest.mark.parametrize("word", ["0", "many", "4.5"])
def test_what_is_no_number_of_rows_is_refused(word: str) -> None:
    with pytest.raises(UsageError, match="a number of rows"):
        parse_row_limit(word)


@pytest.mark.parametrize(
    ("word", "now", "then"), [("", False, True), ("", True, False), ("on", True, True), ("OFF", True, False)]
)
def test_on_is_on_and_nothing_is_the_other(word: str, now: bool, then: bool) -> None:
    assert parse_switch(word, now) is then


def test_what_is_neither_on_nor_off_changes_nothing() -> None:
    with pytest.raises(UsageError, match="auto: it is on or off"):
        parse_switch("auto", False)


@pytest.mark.parametrize(("word", "format"), [("BOX", "box"), ("duckbox", "box"), ("line", "vertical")])
def test_formats_are_known_by_the_names_of_duckdbs_shell_too(word: str, format: str) -> None:
    assert parse_format(word) == format


@pytest.mark.parametrize("text", ["select 1;", ".5", "select '\\d'", "\\d\nselect 1", "", "\\", "??", "$a"])
def test_statements_are_no_habits(text: str) -> None:
    assert not is_meta_command(text)


def test_habits_at_the_prompt(empty_home: Path) -> None:
    with run_prompt(empty_home, lines=80) as terminal:
        ask(terminal, r"\d github.pulls", "did Describe")
        ask(terminal, "?", r"\timing, .timer [on|off]")
        ask(terminal, r"\x auto", "it is on or off")
        ask(terminal, r"\x", "shown as vertical")
        ask(terminal, "select 1 as a;", "a │ 1")
        ask(terminal, r"\x", "shown as box")
        ask(terminal, "select range as n from range(200);", "200 rows (71 shown)")
        ask(terminal, ".maxrows 4", "at most 4")
        ask(terminal, "select range as n from range(300);", "300 rows (4 shown)")
        ask(terminal, ".maxrows", "as many as fit")
        ask(terminal, ".mode markdwn", "did you mean markdown")
        ask(terminal, ".mode markdown", "shown as markdown")
        terminal.type(r"\x off" + ENTER)
        ask(terminal, "select 2 as b;", "| b |")
        ask(terminal, r"\timing", "timing is on")
        ask(terminal, "select 3 as c;", "Time: ")
        ask(terminal, r"\o rows.json", "rows go into rows.json")
        terminal.type("select 7 as a;" + ENTER + r"\o" + ENTER)
        ask(terminal, "select 8 as back;", "| back |")
        terminal.type(r"\q" + ENTER)
        assert terminal.wait_for_end() == 0

    assert json.loads((empty_home / "rows.json").read_text()) == [{"a": 7}]


def test_the_last_statement_can_be_edited_elsewhere(empty_home: Path) -> None:
    editor = empty_home / "editor.sh"
    editor.write_text('#!/bin/sh\nprintf "select 99 as edited;" > "$1"\n')
    editor.chmod(0o700)
    with run_prompt(empty_home, EDITOR=str(editor)) as terminal:
        ask(terminal, "select 1 as first;", "1 row")
        terminal.type(r"\e" + ENTER)
        terminal.wait_for_text("select 99 as edited;")
        terminal.type(ENTER)
        terminal.wait_for_text("│      99 │")
        terminal.type("select 1" + "\x18\x05")
        terminal.wait_for_text("select 99 as edited;", times=2)
        terminal.type(ENTER)
        terminal.wait_for_text("│      99 │", times=2)
        terminal.type(r"\q" + ENTER)
        assert terminal.wait_for_end() == 0


def ask(terminal: Terminal, text: str, answer: str) -> None:
    terminal.type(text + ENTER)
    terminal.wait_for_text(answer)
