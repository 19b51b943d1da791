"""Standard output, standard error and output files."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import stat
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import openpyxl
import pytest

from tests.support.command import UnifyCommand
from tests.support.fake_session import FAKE_SESSION_COMMAND
from tests.support.memory import run_and_measure
from tests.support.terminal import run_on_terminal
from tests.support.waiting import wait_until


def test_only_rows_go_to_stdout(shell: UnifyCommand) -> None:
    outcome = shell("load", "create table t(a int)", "select 7 as a", args=["--echo"])

    assert outcome.stdout == "rows\n1300\na\n7\n"
    assert outcome.stderr.splitlines() == [
        "load",
        "Loaded github.pulls: 1,300 rows in 9.00 s",
        "Loaded github.repos\\e[2J: 7 rows in 9.00 s",
        "github.pulls was stored 12 min ago; a refresh is queued",
        "create table t(a int)",
        "done",
        "select 7 as a",
    ]


def test_quiet_keeps_errors_and_rows(shell: UnifyCommand) -> None:
    outcome = shell("load", "create table t(a int)", "fail", args=["-q"])

    assert (outcome.stdout, outcome.stderr) == ("rows\n1300\n", "github.pulls: 401 Bad credentials\n")


def test_the_text_of_a_command_goes_to_stdout(shell: UnifyCommand) -> None:
    outcome = shell("help", "system status")

    assert outcome.stdout == "help is here\nData loading daemon is not running\x1b[2J\n"


@pytest.mark.process
def test_messages_are_shown_with_a_box_on_a_terminal(shell: UnifyCommand) -> None:
    with run_on_terminal(
        [*FAKE_SESSION_COMMAND, "-c", "create table t(a int)"], shell.environment, shell.home
    ) as terminal:
        terminal.wait_for_end()
        assert terminal.screen == "done"


@pytest.mark.process
def test_control_characters_of_messages_are_escaped(shell: UnifyCommand) -> None:
    statements = [
        "-c",
        "select e'\\x1b]0;x\\x07' as \"a\x1b[2J\"",
        "-c",
        "load",
        "-c",
        "system status",
        "-c",
        "selct '\x1b[2J",
    ]
    with run_on_terminal(
        [*FAKE_SESSION_COMMAND, *statements], {**shell.environment, "NO_COLOR": "1"}, shell.home
    ) as terminal:
        terminal.wait_for_end()
        assert b"\x1b]0" not in terminal.received
        assert b"\x1b[2J" not in terminal.received
        assert "\\e]0;x\\x07" in terminal.screen


def test_output_goes_to_a_file_in_the_format_of_its_suffix(shell: UnifyCommand) -> None:
    shell.run("-o", "x.json", "-c", "select 1 as a")
    shell.run("-o", "x.md", "-c", "select 1 as a")
    shell.run("-o", "x.tsv", "-c", "select 1 as a, 'b,c' as t, 'd\te' as u, null as n")
    shell.run("-o", "x.json.txt", "--format", "jsonl", "-c", "select 2 as a")

    assert json.loads((shell.home / "x.json").read_text()) == [{"a": 1}]
    assert (shell.home / "x.md").read_text() == "| a |\n| --: |\n| 1 |\n"
    assert (shell.home / "x.tsv").read_text() == 'a\tt\tu\tn\n1\tb,c\t"d\te"\t\n'
    assert (shell.home / "x.json.txt").read_text() == '{"a": 2}\n'


def test_parquet_keeps_the_types(unify: UnifyCommand) -> None:
    outcome = unify(
        "create table t as select 1.50::decimal(5,2) as d, "
        "timestamp '2020-01-02 03:04:05' as m, [1, null] as l",
        "select * from t -- all of it",
        args=["-o", "x.parquet"],
    )

    assert (outcome.exit_status, outcome.stdout) == (0, ""), outcome
    assert "1 row written to" in outcome.stderr
    written = duckdb.sql(f"select * from '{unify.home / 'x.parquet'}'")
    assert [str(type) for type in written.types] == ["DECIMAL(5,2)", "TIMESTAMP", "INTEGER[]"]
    assert written.fetchall() == [(Decimal("1.50"), datetime(2020, 1, 2, 3, 4, 5), [1, None])]


def test_an_excel_file_has_a_sheet_with_the_rows(unify: UnifyCommand) -> None:
    outcome = unify("select 'a' as text, 2 as number", args=["-o", "x.xlsx"])

    assert outcome.exit_status == 0, outcome
    book = openpyxl.load_workbook(unify.home / "x.xlsx")
    assert [list(row) for row in book.worksheets[0].values] == [["text", "number"], ["a", 2]]
    book.close()


def test_a_table_file_contains_one_result(unify: UnifyCommand) -> None:
    second = unify("select 1 as a", "select 2 as a", args=["-o", "x.parquet"])
    listing = unify("show settings", args=["-o", "y.parquet"])

    assert "holds the rows of one SELECT" in second.stderr
    assert not (unify.home / "x.parquet").exists()
    assert "holds the rows of a SELECT only" in listing.stderr
    assert not (unify.home / "y.parquet").exists()


@pytest.mark.parametrize("name", ["old.parquet", "old.xlsx"])
def test_a_table_file_replaces_the_old_one_when_the_whole_run_succeeds(
    unify: UnifyCommand, name: str
) -> None:
    path = unify.home / name
    path.write_text("old")

    failed = unify.run("-o", name, "-c", "select 1 as a", "-c", "select error('later')")
    assert (failed.exit_status, path.read_text()) == (2, "old")
    assert "written to" not in failed.stderr
    path.chmod(0o640)
    done = unify.run("-o", name, "-c", "select 1 as a")
    assert done.stderr == f"1 row written to {path}\n"
    assert path.read_bytes()[:2] in (b"PA", b"PK")
    assert path.stat().st_mode & 0o777 == 0o640
    assert [found.name for found in unify.home.iterdir() if "old" in found.name] == [name]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "pipe.parquet", "-c", "select 1"], "written to regular files only"),
        (["-c", "export (select 1 as a) to 'pipe.parquet' overwrite"], "is a pipe or a device"),
        (
            [
                "-c",
                "create chart from (select 1 as x, 2 as y) as bar_chart where x = x and y = y "
                "to 'pipe.svg' overwrite",
            ],
            "is a pipe or a device",
        ),
    ],
)
def test_a_pipe_is_not_replaced_by_a_file(unify: UnifyCommand, arguments: list[str], message: str) -> None:
    for name in ("pipe.parquet", "pipe.svg"):
        os.mkfifo(unify.home / name)

    assert message in unify.run(*arguments).stderr
    assert all((unify.home / name).is_fifo() for name in ("pipe.parquet", "pipe.svg"))


@pytest.mark.process
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_run_that_a_signal_ends_leaves_no_file(shell_process: UnifyCommand, number: signal.Signals) -> None:
    with shell_process.start("-o", "rows.csv", "-c", "from range(2000000000)") as process:
        wait_until(lambda: any("rows.csv" in found.name for found in shell_process.home.iterdir()))
        process.send_signal(number)
        assert process.wait(timeout=60) == -number
    assert not [found for found in shell_process.home.iterdir() if "rows.csv" in found.name]


def test_missing_openpyxl_is_an_error_before_any_statement(
    unify: UnifyCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec",
        lambda name, package=None: None if name == "openpyxl" else find_spec(name, package),
    )

    outcome = unify("create table t as select 1", "select 1 as a", args=["-o", "x.xlsx"])

    assert outcome.exit_status == 2
    assert "unify-sql[excel]" in outcome.stderr
    assert unify("from t").exit_status == 1, "nothing has run"


FAILING = [
    ["-c", "select nope"],
    ["-f", "missing.sql"],
    ["-c", "select 1 as a", "-c", "fail"],
    ["--max-rows", "many", "-c", "select 1"],
    ["-c", "bug"],
]


@pytest.mark.parametrize("arguments", FAILING)
def test_a_failed_run_keeps_the_old_file(shell: UnifyCommand, arguments: list[str]) -> None:
    report = shell.home / "report.csv"
    report.write_text("old\n")

    outcome = shell.run("-o", "report.csv", *arguments)

    assert outcome.exit_status != 0
    assert report.read_text() == "old\n"
    assert [path.name for path in shell.home.iterdir() if "report" in path.name] == ["report.csv"]


def test_a_successful_run_replaces_the_file_and_keeps_mode_and_link(shell: UnifyCommand) -> None:
    report = shell.home / "report.csv"
    report.write_text("old\n")
    report.chmod(0o640)
    (shell.home / "link.csv").symlink_to("report.csv")

    outcome = shell("select 1 as a", "select 2 as b", args=["-o", "link.csv"])

    assert outcome.exit_status == 0, outcome
    assert report.read_text() == "a\n1\nb\n2\n"
    assert stat.S_IMODE(report.stat().st_mode) == 0o640
    assert (shell.home / "link.csv").is_symlink()


def test_with_keep_going_the_file_contains_the_successful_results(unify: UnifyCommand) -> None:
    broken = "select case when range = 50000 then error('broken') else range end as n from range(100000)"

    outcome = unify("select 1 as a", broken, "select 2 as b", args=["-o", "report.csv", "--keep-going"])

    assert outcome.exit_status == 1
    assert (unify.home / "report.csv").read_text() == "a\n1\nb\n2\n"


def test_an_interrupted_run_keeps_the_old_file(unify: UnifyCommand) -> None:
    report = unify.home / "report.csv"
    report.write_text("old\n")
    statements = "select * from range(100000) a; select count(*) from range(100000) a, range(10000000) b"

    with unify.start("-o", "report.csv", "--echo", "-c", statements) as process:
        assert process.stderr is not None
        while "count" not in process.stderr.readline():
            continue
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130

    assert report.read_text() == "old\n"
    assert not [path for path in unify.home.iterdir() if path.name.startswith(".")]


def test_a_pipe_is_written_directly(shell_process: UnifyCommand) -> None:
    pipe = shell_process.home / "pipe"
    os.mkfifo(pipe)

    with shell_process.start("-o", "pipe", "-c", "select 7 as a") as process:
        assert pipe.read_text() == "a\n7\n"
        assert process.wait(timeout=60) == 0

    assert pipe.is_fifo()


def test_max_rows_limits_the_rows_shown(shell: UnifyCommand) -> None:
    outcome = shell.run("--max-rows", "2", "--null", "-", "-c", "select nullif(range, 1) as a from range(5)")

    assert outcome.stdout == "a\n0\n-\n"
    assert outcome.stderr == "2 rows shown; there are more (--max-rows)\n"


def test_output_is_utf8_in_any_locale(shell_process: UnifyCommand) -> None:
    shell_process.environment["LC_ALL"] = "C"
    shell_process.environment["PYTHONUTF8"] = "0"
    shell_process.environment["PYTHONCOERCECLOCALE"] = "0"

    assert shell_process("select 'é表' as x").stdout == "x\né表\n"


def test_a_million_rows_need_little_memory(shell_process: UnifyCommand, tmp_path: Path) -> None:
    sql = "select range as n, repeat('x', 100) as text from range(1000000)"
    outcome, peak_mb = run_and_measure(shell_process, tmp_path, "-o", "/dev/null", "-c", sql)

    assert outcome.exit_status == 0
    assert peak_mb < 300
