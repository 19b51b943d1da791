"""Loads at the prompt: interrupted, continued in the background, cancelled."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.command import UnifyCommand
from tests.support.terminal import CTRL_C, CTRL_D, ENTER, Terminal, run_on_terminal


@contextmanager
def load_on_terminal(unify: UnifyCommand, *arguments: str) -> Iterator[Terminal]:
    """Start a load of github.pulls on a terminal; yield when its progress is on the screen."""
    environment = {**unify.environment, "TERM": "xterm-256color"}
    with run_on_terminal([*unify.command, *arguments], environment, unify.home, columns=150) as terminal:
        if not arguments:
            terminal.expect_text("unify>")
            terminal.type("load table github.pulls" + ENTER)
        terminal.expect_text("Loading table: github.pulls")
        yield terminal


def test_a_load_interrupted_by_ctrl_c_continues_and_is_announced_once(demo_unify: UnifyCommand) -> None:
    with load_on_terminal(demo_unify) as terminal:
        terminal.type(CTRL_C)
        terminal.expect_text("goes on in the background")
        terminal.expect_text("Loaded github.pulls: ")
        terminal.type("select count(*) > 0 as loaded from github.pulls;" + ENTER)
        terminal.expect_text("1 row")
        terminal.expect_text("Tab completes")
        assert terminal.screen.count("Loaded github.pulls: ") == 1
        terminal.type_at_prompt(CTRL_D)
        assert terminal.wait_for_end() == 0


def test_a_second_ctrl_c_at_the_prompt_cancels_the_load(demo_unify: UnifyCommand) -> None:
    with load_on_terminal(demo_unify) as terminal:
        terminal.type(CTRL_C)
        terminal.expect_text("goes on in the background")
        terminal.expect_text("Tab completes")
        terminal.type(CTRL_C)
        terminal.expect_text("cancelled: github.pulls")
        terminal.type_at_prompt(CTRL_D)
        assert terminal.wait_for_end() == 0

    assert "cancelled" in last_job(demo_unify)


def test_a_second_ctrl_c_in_a_script_cancels_the_load(demo_unify: UnifyCommand) -> None:
    with load_on_terminal(demo_unify, "-c", "load table github.pulls") as terminal:
        terminal.type(CTRL_C)
        terminal.expect_text("Ctrl-C within 2 s cancels it")
        terminal.type(CTRL_C)
        assert terminal.wait_for_end() == 130
        assert "cancelled: github.pulls" in terminal.screen

    assert "cancelled" in last_job(demo_unify)


def last_job(unify: UnifyCommand) -> str:
    """Return the state of the last load of pulls after it has ended."""
    sql = "select state from unify.jobs where \"table\" = 'pulls' order by job desc limit 1"
    for _ in range(50):
        state = unify(sql, args=["--no-header"]).stdout.strip()
        if state not in ("running", "publishing"):
            break
    return state
