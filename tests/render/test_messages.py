"""Error messages: position, suggestions, line breaks and exit status."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command import UnifyCommand
from tests.support.terminal import run_on_terminal
from unify.adapters.spec.loader import load_spec
from unify.errors import (
    CommandSyntaxError,
    ConfigError,
    Interrupted,
    QueryError,
    SpecError,
    UsageError,
)
from unify.render.messages import render_error


def test_an_error_points_at_its_place() -> None:
    error = CommandSyntaxError('unexpected "tabels"', source="show\n  tabels\x07 x", line=2, column=3)

    assert render_error(error) == 'unexpected "tabels"\nLINE 2:   tabels\\x07 x\n          ^'


def test_a_slip_in_a_keyword_is_named() -> None:
    message = 'syntax error at or near "github"\n\nLINE 1: select * form github.pulls\n' + " " * 22 + "^"

    said = render_error(QueryError(message)).splitlines()[0]

    assert said == 'syntax error at or near "github" (did you mean from instead of form?)'


@pytest.mark.parametrize("near", ["gruop", "wehre", "selct"])
def test_a_slip_at_the_place_itself_is_named_too(near: str) -> None:
    assert "did you mean" in render_error(QueryError(f'syntax error at or near "{near}"'))


def test_an_error_of_duckdb_takes_no_more_lines_than_it_needs() -> None:
    assert render_error(QueryError("not found\nCandidates: a\n\nLINE 1: b\n        ^")).count("\n") == 3


def test_no_keyword_is_guessed_where_none_is_near() -> None:
    assert render_error(QueryError('syntax error at or near "github"')) == 'syntax error at or near "github"'


def test_tabs_of_duckdb_indent() -> None:
    assert (
        render_error(QueryError("no function\n\tCandidates:\n\tf(a)"))
        == "no function\n    Candidates:\n    f(a)"
    )


@pytest.mark.process
def test_a_long_message_is_broken_between_words_on_a_terminal_only(shell: UnifyCommand) -> None:
    statement = "select " + " ".join(["word"] * 60)

    with run_on_terminal(
        [*shell.command, "-c", statement], shell.environment, shell.home, columns=40
    ) as terminal:
        assert terminal.wait_for_end() == 1
    piped = shell(statement)

    assert all("wor" not in line or "word" in line for line in terminal.screen.splitlines())
    assert "\nLINE 1: select word" in piped.stderr


def test_every_problem_of_a_spec_is_listed_once(tmp_path: Path) -> None:
    spec = tmp_path / "a.yaml"
    spec.write_text("name: a\nbase_urll: http://x\ntables: []\n", encoding="utf-8")
    with pytest.raises(SpecError) as caught:
        load_spec(spec)
    lines = render_error(caught.value).splitlines()
    assert lines == [str(problem) for problem in caught.value.problems]
    assert len(lines) == len(set(lines)) > 1


def test_debug_says_where_an_error_comes_from(shell: UnifyCommand) -> None:
    assert "Traceback" in shell.run("--debug", "-c", "bug").stderr
    assert "--debug" in shell.run("-c", "bug").stderr


def test_errors_know_their_status() -> None:
    statuses = [error("x").exit_status for error in (QueryError, ConfigError, UsageError, Interrupted)]

    assert statuses == [1, 2, 2, 130]
