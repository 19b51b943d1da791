"""``unify demo`` and ``make demo``."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import UnifyCommand
from tests.support.demo_api import DemoAPI
from tests.support.paths import CHECKOUT
from tests.support.terminal import ENTER, run_on_terminal
from tests.support.waiting import wait_until


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_demo_ended_by_a_signal_leaves_nothing(tmp_path: Path, ending: signal.Signals) -> None:
    statements = [
        "-c",
        "system start daemon",
        "-c",
        "select 1",
        "-c",
        "select count(*) from range(100000) a, range(10000000) b",
    ]
    with _demo(tmp_path).start("demo", *statements) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "1\n"
        process.send_signal(ending)
        assert process.wait(timeout=60) == (130 if ending == signal.SIGINT else 128 + ending)

    assert not _is_anything_left(tmp_path / "temporary")


def test_the_demo_opens_a_prompt_on_a_terminal(tmp_path: Path) -> None:
    unify = _demo(tmp_path)
    with run_on_terminal(
        [*unify.command, "demo"], {**unify.environment, "TERM": "xterm-256color"}, tmp_path
    ) as terminal:
        terminal.expect_text("unify>")
        assert "A sample GitHub" in terminal.screen
        terminal.type("select number, title from github.pulls limit 10;" + ENTER)
        terminal.expect_text("10 rows")
        terminal.type("exit" + ENTER)
        assert terminal.wait_for_end() == 0
        assert b"Loading table: github.pulls" in terminal.received

    assert not _is_anything_left(tmp_path / "temporary")


def _demo(tmp_path: Path) -> UnifyCommand:
    """Return the command with a ``TMPDIR`` of its own, in which the demo creates its home."""
    (tmp_path / "temporary").mkdir()
    unify = UnifyCommand(tmp_path)
    unify.environment["TMPDIR"] = str(tmp_path / "temporary")
    return unify


def _is_anything_left(folder: Path) -> bool:
    """Return whether a folder or a process of the demo is left; the arguments of each name its folder."""
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return bool(list(folder.iterdir())) or str(folder) in listed


@pytest.fixture
def demo_folder() -> Iterator[Path]:
    """A temporary folder with a short path, for the home of the demo."""
    folder = Path(tempfile.mkdtemp(prefix="u-"))
    yield folder
    shutil.rmtree(folder)


def test_the_first_queries_load_each_table_of_the_demo_and_leave_nothing(
    new_home: Path, demo_folder: Path
) -> None:
    unify = UnifyCommand(new_home)
    unify.environment["TMPDIR"] = str(demo_folder)
    tables = {"repos": "15", "pulls": "1200", "orgs": "5"}
    counts = [word for table in tables for word in ("-c", f"select count(*) as n from github.{table}")]
    join = (
        "select r.language, count(*) as n from github.pulls p join github.repos r"
        " on p.owner = r.owner_login and p.repo = r.name group by all order by n desc limit 2"
    )

    queried = unify.run("demo", *counts, "-c", join)

    counted = [row for rows in tables.values() for row in (["n"], [rows])]
    assert queried.rows == [*counted, ["language", "n"], ["Rust", "260"], ["Python", "230"]], queried
    wait_until(lambda: not _is_anything_left(demo_folder))  # the daemon ends after the command


def test_a_daemon_started_without_the_token_uses_the_token_of_a_later_shell(
    unify: UnifyCommand, demo_api: DemoAPI
) -> None:
    unify.write_connections(demo_api.connection_yaml().replace("token: demo", "token: ${SOME_TOKEN}"))
    assert unify.run("daemon", "start").exit_status == 0
    unify.environment["SOME_TOKEN"] = demo_api.token

    assert unify("select count(*) from github.repos").single_value == "15"


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_demo_without_a_terminal_prints_results(new_home: Path) -> None:
    """The recipe runs in the environment of these tests; nothing is installed."""
    binaries = Path(sys.executable).parent
    command = ["make", "--silent", "demo", f"BIN={binaries}", "--old-file=.venv/app"]
    done = subprocess.run(
        command,
        cwd=CHECKOUT,
        env=UnifyCommand(new_home).environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr
    assert "harbor-analytics" in done.stdout
    assert "Data loading daemon is running" in done.stdout
