"""Promises about files, terminals and scripts."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from tests.support.command import UnifyCommand
from tests.support.demo_api import DemoAPI
from tests.support.home_files import read_status
from tests.support.terminal import run_on_terminal

# Every character that controls a terminal; a line feed is part of a message.
C0 = [code for code in range(0x20) if code not in (0x00, 0x0A)] + [0x7F]
C1 = list(range(0x80, 0xA0))
BIDI = [
    0xAD,
    0x61C,
    0x200B,
    0x200C,
    0x200D,
    0x200E,
    0x200F,
    *range(0x202A, 0x202F),
    *range(0x2066, 0x206A),
    0xFEFF,
]
OSC = "\x1b]0;owned\x07\x1b]52;c;b3duZWQ=\x07\x1bP+q\x1b\\\x9d0;owned\x9c"


def test_every_file_is_private_under_any_umask(new_home: Path, demo_api: DemoAPI) -> None:
    """Under umask 000: loads, tables, variables, schedules and the daemon."""
    unify = UnifyCommand(new_home)
    unify.write_connections(demo_api.connection_yaml())
    (unify.home / "a.sql").write_text("select 1;")
    statements = (
        "select count(*) from github.orgs; $KEPT = 1; create table t as select 1 as a;"
        "refresh table github.orgs every 1 hour; run 'a.sql' every 1 hour; system status"
    )
    done = subprocess.run(
        ["sh", "-c", 'umask 000; exec "$@"', "sh", *unify.command, "-c", statements],
        env=unify.environment,
        cwd=unify.home,
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == 0, done
    ours = {
        path: status.st_mode
        for path, status in read_status(unify.home)
        if path.name != "a.sql" and not path.is_symlink()
    }
    assert sum(map(stat.S_ISDIR, ours.values())) > 5
    assert sum(map(stat.S_ISREG, ours.values())) > 10
    open_to_others = [f"{path} {mode:o}" for path, mode in ours.items() if mode & 0o077]
    assert open_to_others == []


def test_control_characters_of_data_never_reach_a_terminal(unify: UnifyCommand) -> None:
    """In cells, headers, errors and names of tables and jobs."""
    evil = "".join(map(chr, [*C0, *C1, *BIDI])) + OSC
    literal = "'" + evil.replace("'", "''") + "'"
    name = '"' + evil.replace('"', '""') + '"'
    script = unify.home / "evil.sql"
    script.write_text(
        f"select {literal} as {name};\nselect * from {name};\nload table x.{name};\nselct {literal};\n"
        f"unschedule {name};\nrun {literal};\nsystem cancel 1;\n",
        encoding="utf-8",
    )
    raw: set[int] = set()
    environment = {**unify.environment, "NO_COLOR": "1"}
    for format in ("box", "vertical", "csv", "json", "markdown"):
        words = [*unify.command, "--keep-going", "--format", format, "-f", str(script)]
        with run_on_terminal(words, environment, unify.home) as terminal:
            assert terminal.wait_for_end() == 1
        shown = terminal.received.decode("utf-8", errors="replace").replace("\r\n", "")
        raw |= {ord(char) for char in shown if ord(char) in {*C0, *C1, *BIDI}}
        assert "\\e]0;owned" in shown or "u001b]0;owned" in shown
    count = len(C0) + len(C1) + len(BIDI)
    print(f"{count} characters and 4 sequences in 7 places and 5 formats: {len(raw)} not escaped")
    assert raw == set()


@pytest.mark.parametrize("statement", ["connect", "connect github", "connect github as work"])
def test_scripts_never_prompt(unify: UnifyCommand, statement: str) -> None:
    """Without a terminal on stdin, a statement fails at once, even with a controlling terminal."""
    master, slave = os.openpty()
    with subprocess.Popen(
        ["sh", "-c", 'exec "$@" 0</dev/null', "sh", *unify.command, "-c", statement],
        stdin=slave,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=unify.environment,
        cwd=unify.home,
        text=True,
    ) as process:
        output, errors = process.communicate(timeout=60)
    os.set_blocking(master, False)
    with pytest.raises(BlockingIOError):
        os.read(master, 100)
    os.close(master)
    os.close(slave)
    assert process.returncode != 0
    assert output == ""
    assert errors.strip()


def test_a_missing_secret_is_named_with_its_option(unify: UnifyCommand) -> None:
    unify.write_connections("work: {adapter: github, options: {token: '${NOT_SET_ANYWHERE}'}}\n")
    answer = unify("load table work.repos")
    assert answer.exit_status == 2
    assert "work.options.token" in answer.stderr
    assert "NOT_SET_ANYWHERE" in answer.stderr
    assert (
        Path(unify.home / "queue.db").exists() is False
        or unify("select count(*) from unify.jobs").single_value == "0"
    )
