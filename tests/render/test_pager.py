"""Tall results go through ``$PAGER``, at the prompt only."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.command import clean_environment
from tests.support.fake_session import FAKE_SESSION_COMMAND
from tests.support.paths import CHECKOUT
from tests.support.terminal import CTRL_D, ENTER, run_on_terminal
from unify.render.pager import open_pager, pager_command

TALL = "select range as number from range(1000);"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A pager that reads the first line and exits."""
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    pager = folder / "pager.sh"
    pager.write_text('#!/bin/sh\nread first\necho "paged: $first"\n')
    pager.chmod(0o700)
    more = {"PYTHONPATH": str(CHECKOUT), "TERM": "xterm-256color", "PAGER": str(pager)}
    return {**clean_environment(folder), **more}


def test_a_tall_result_is_paged_and_closing_the_pager_is_not_an_error(environment: dict[str, str]) -> None:
    folder = Path(environment["UNIFY_HOME"])
    with run_on_terminal([*FAKE_SESSION_COMMAND, "--format", "csv"], environment, folder) as terminal:
        terminal.expect_text("unify>")
        terminal.type(TALL + ENTER)
        terminal.expect_text("paged: number")
        terminal.type("select 7 as short;" + ENTER)
        terminal.expect_text("\n7")
        terminal.expect_text("unify>", times=3)
        terminal.type_at_prompt(CTRL_D)
        assert terminal.wait_for_end() == 0
        assert terminal.screen.count("paged") == 1


def test_a_fitting_box_and_a_script_use_no_pager(environment: dict[str, str]) -> None:
    folder = Path(environment["UNIFY_HOME"])
    with run_on_terminal(FAKE_SESSION_COMMAND, environment, folder) as terminal:
        terminal.expect_text("unify>")
        terminal.type(TALL + ENTER)
        terminal.expect_text("1,000 rows")
        assert "paged" not in terminal.screen
    with run_on_terminal(
        [*FAKE_SESSION_COMMAND, "--format", "csv", "-c", TALL], environment, folder
    ) as terminal:
        assert terminal.wait_for_end() == 0
        assert "paged" not in terminal.screen


def test_without_the_named_pager_the_text_is_shown() -> None:
    terminal = io.StringIO()

    with open_pager(terminal, ["no-such-pager"], 3) as stream:
        for number in range(10):
            stream.write(f"{number}\n")

    assert terminal.getvalue().split() == [str(number) for number in range(10)]


def test_the_environment_selects_the_pager() -> None:
    assert list(pager_command({"PAGER": "less -S"})) == ["sh", "-c", "less -S"]
    assert list(pager_command({"PAGER": ""})) == []
    assert list(pager_command({"PAGER": " "})) == []


PAGER_LINES = {
    "cat | head -2 >$OUT": "0\n1\n",
    'cat >"$OUT"': "".join(f"{number}\n" for number in range(10)),
}


@pytest.mark.parametrize("line", PAGER_LINES)
def test_the_pager_command_is_run_by_the_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    monkeypatch.setenv("OUT", str(tmp_path / "out"))

    assert _page(pager_command({"PAGER": line}), 10) == ""
    assert (tmp_path / "out").read_text() == PAGER_LINES[line]


@pytest.mark.parametrize("line", ["false", "no-such-pager", "'", "read first; exit 3"])
@pytest.mark.parametrize("count", [10, 20_000])
def test_the_text_is_shown_if_the_pager_fails(line: str, count: int) -> None:
    assert _page(pager_command({"PAGER": line}), count).split() == [str(number) for number in range(count)]


def _page(command: Sequence[str], count: int) -> str:
    terminal = io.StringIO()
    with open_pager(terminal, command, 3) as stream:
        for number in range(count):
            stream.write(f"{number}\n")
    return terminal.getvalue()
