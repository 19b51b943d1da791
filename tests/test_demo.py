"""``unify demo`` and ``make demo``: what a newcomer types first."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import DemoAPI, Unify

CHECKOUT = Path(__file__).parent.parent


@pytest.fixture
def nowhere() -> Iterator[Path]:
    """A temporary folder for the demo to live in, with a short path, as people have one."""
    folder = Path(tempfile.mkdtemp(prefix="u-"))
    yield folder
    shutil.rmtree(folder)


def test_each_table_of_the_demo_loads_with_its_first_query(unify: Unify, nowhere: Path) -> None:
    unify.environment["TMPDIR"] = str(nowhere)
    tables = {"repos": "15", "pulls": "1200", "orgs": "5"}
    counts = [word for table in tables for word in ("-c", f"select count(*) as n from github.{table}")]

    counted = unify.run("demo", *counts)

    assert counted.rows == [row for rows in tables.values() for row in (["n"], [rows])], counted
    assert list(nowhere.iterdir()) == []


def test_the_demo_joins_what_it_loads(unify: Unify) -> None:
    joined = unify.run(
        "demo",
        "-c",
        "select r.language, count(*) as n from github.pulls p join github.repos r"
        " on p.owner = r.owner_login and p.repo = r.name group by all order by n desc limit 2",
    )
    assert joined.rows == [["language", "n"], ["Rust", "260"], ["Python", "230"]], joined


def test_a_daemon_started_without_the_token_works_once_a_shell_has_it(
    unify: Unify, demo_api: DemoAPI
) -> None:
    unify.connect(demo_api.connection().replace("token: demo", "token: ${SOME_TOKEN}"))
    assert unify.run("daemon", "start").status == 0
    unify.environment["SOME_TOKEN"] = demo_api.token

    assert unify("select count(*) from github.repos").value == "15"


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_demo_without_a_terminal_prints_results(home: Path) -> None:
    """The recipe itself, with the environment these tests run in instead of an installation."""
    binaries = Path(sys.executable).parent
    command = ["make", "--silent", "demo", f"BIN={binaries}", "--old-file=.venv/app"]
    done = subprocess.run(
        command,
        cwd=CHECKOUT,
        env=Unify(home).environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr
    assert "harbor-analytics" in done.stdout
    assert "Data loading daemon is running" in done.stdout
