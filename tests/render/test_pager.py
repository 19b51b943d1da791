"""What is too tall for a terminal goes through $PAGER, at the prompt only."""

from __future__ import annotations

import io
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
    """A pager that takes the first line and leaves."""
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    pager = folder / "pager.sh"
    pager.write_text('#!/bin/sh\nread first\necho "paged: $first"\n')
    pager.chmod(0o700)
    more = {"PYTHONPATH": str(CHECKOUT), "TERM": "xterm-256color", "PAGER": str(pager)}
    return {**clean_environment(folder), **more}


def test_a_tall_result_is_paged_and_leaving_early_is_no_error(environment: dict[str, str]) -> None:
    folder = Path(environment["UNIFY_HOME"])
    with run_on_terminal([*FAKE_SESSION_COMMAND, "--format", "csv"], environment, folder) as terminal:
        terminal.wait_for_text("unify>")
        terminal.type(TALL + ENTER)
        terminal.wait_for_text("paged: number")
        terminal.type("select 7 as short;" + ENTER)
        terminal.wait_for_text("\n7")
        terminal.wait_for_text("unify>", times=3)
        terminal.type(CTRL_D)
        assert terminal.wait_for_end() == 0
        assert terminal.screen.count("paged") == 1


def test_a_box_fits_the_terminal_and_a_script_is_never_held_up(environment: dict[str, str]) -> None:
    folder = Path(environment["UNIFY_HOME"])
    with run_on_terminal(FAKE_SESSION_COMMAND, environment, folder) as terminal:
        terminal.wait_for_text("unify>")
        terminal.type(TALL + ENTER)
        terminal.wait_for_text("1,000 rows")
        assert "paged" not in terminal.screen
    with run_on_terminal(
        [*FAKE_SESSION_COMMAND, "--format", "csv", "-c", TALL], environment, folder
    ) as terminal:
        assert terminal.wait_for_end() == 0
        assert "paged" not in terminal.screen


def test_without_the_pager_that_was_named_the_text_is_shown() -> None:
    terminal = io.StringIO()

    with open_pager(terminal, ["no-such-pager"], 3) as stream:
        for number in range(10):
            stream.write(f"{number}\n")

    assert terminal.getvalue().split() == [str(number) for number in range(10)]


def test_the_pager_is_what_the_environment_says() -> None:
    assert list(pager_command({"PAGER": "less -S"})) == ["less", "-S"]
    assert list(pager_command({"PAGER": ""})) == []
    assert list(pager_command({"PAGER": "'"})) == []
