"""Error messages: position, suggestions, line breaks and exit status."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
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
    SourceError,
    SpecError,
    UnifyError,
    UsageError,
)
from unify.render.messages import Messages, render_error


def test_an_error_points_at_its_position() -> None:
    error = CommandSyntaxError('unexpected "tabels"', source="show\n  tabels\x07 x", line=2, column=3)

    assert render_error(error) == 'unexpected "tabels"\nLINE 2:   tabels\\x07 x\n          ^'


def test_a_misspelled_keyword_has_a_suggestion() -> None:
    message = 'syntax error at or near "github"\n\nLINE 1: select * form github.pulls\n' + " " * 22 + "^"

    line = render_error(QueryError(message)).splitlines()[0]

    assert line == 'syntax error at or near "github" (did you mean from instead of form?)'


class TestControlCharacters:
    HOSTILE = "\x1b]0;title\x07\x9b31m\u202eevil\x08"

    def written(self, write: Callable[[Messages], None], *, debug: bool = False) -> str:
        stream = io.StringIO()
        write(Messages(stream, debug=debug, colour=True))
        return stream.getvalue()

    @pytest.mark.parametrize("kind", [QueryError, SourceError, ValueError])
    def test_of_an_error_are_escaped_in_its_traceback_too(self, kind: type[Exception]) -> None:
        def write(messages: Messages) -> None:
            try:
                raise kind(self.HOSTILE)
            except UnifyError as error:
                messages.error(error)
            except ValueError as error:
                messages.internal_error(error)

        text = self.written(write, debug=True)
        assert "Traceback" in text
        assert not set(re.sub("\x1b\\[[0-9;]*m", "", text)) & set("\x1b\x07\x9b\u202e\x08")

    def test_of_any_text_are_escaped_and_our_styles_kept(self) -> None:
        text = self.written(lambda messages: messages.write(f"\x1b[31mred\x1b[0m\n\t{self.HOSTILE}"))
        assert text.startswith("\x1b[31mred\x1b[0m\n\t\\e]0;title\\x07\\x9b31m\\u{202e}evil\\x08")


@pytest.mark.parametrize("near", ["gruop", "wehre", "selct"])
def test_a_misspelled_keyword_at_the_position_has_a_suggestion(near: str) -> None:
    assert "did you mean" in render_error(QueryError(f'syntax error at or near "{near}"'))


def test_an_error_of_duckdb_has_no_superfluous_lines() -> None:
    assert render_error(QueryError("not found\nCandidates: a\n\nLINE 1: b\n        ^")).count("\n") == 3


def test_no_keyword_is_suggested_if_none_is_similar() -> None:
    assert render_error(QueryError('syntax error at or near "github"')) == 'syntax error at or near "github"'


def test_tabs_of_duckdb_become_spaces() -> None:
    assert (
        render_error(QueryError("no function\n\tCandidates:\n\tf(a)"))
        == "no function\n    Candidates:\n    f(a)"
    )


@pytest.mark.process
def test_a_long_message_is_wrapped_only_on_a_terminal(shell: UnifyCommand) -> None:
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


def test_debug_shows_the_traceback_of_an_error(shell: UnifyCommand) -> None:
    assert "Traceback" in shell.run("--debug", "-c", "bug").stderr
    assert "--debug" in shell.run("-c", "bug").stderr


def test_errors_have_an_exit_status() -> None:
    statuses = [error("x").exit_status for error in (QueryError, ConfigError, UsageError, Interrupted)]

    assert statuses == [1, 2, 2, 130]
