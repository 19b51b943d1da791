"""The command line: streams, exit statuses, order, errors; mostly on a plain DuckDB (fake_session.py)."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import openpyxl
import pytest

from tests.fake_session import CHECKOUT, COMMAND
from tests.support import DemoAPI, Unify, clean_environment
from tests.terminal import CTRL_C, ENTER, on_terminal
from unify.adapters.specfile import load_spec
from unify.errors import (
    CommandSyntaxError,
    ConfigError,
    Interrupted,
    QueryError,
    SpecError,
    UsageError,
)
from unify.shell import cli
from unify.shell.messages import explained
from unify.shell.places import settings_for
from unify.shell.script import Script, read_file


@pytest.fixture
def shell(tmp_path: Path) -> Unify:
    """The command line on a plain DuckDB, in an empty folder."""
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    unify = Unify(folder, COMMAND)
    unify.environment["PYTHONPATH"] = str(CHECKOUT)
    return unify


# --- What ends with what

STATUSES = [
    (["-c", "select 1"], 0),
    (["-c", "selct 1"], 1),
    (["-c", "show tabels"], 1),
    (["-c", "fail"], 1),
    (["-c", "bug"], 1),
    (["-c", "fail", "-c", "select 1", "--keep-going"], 1),
    (["-c", "select 1; exit; fail"], 0),
    (["-f", "nosuch.sql"], 2),
    (["--formt", "csv"], 2),
    (["--format", "cvs"], 2),
    (["nonsense"], 2),
    (["daemon"], 2),
    (["--max-rows", "many", "-c", "select 1"], 2),
    (["--var", "novalue", "-c", "select 1"], 2),
    (["--connections", "nosuch.yaml", "-c", "select 1"], 2),
    (["--specs", "nosuch", "-c", "select 1"], 2),
    (["--tenant", "../x", "-c", "select 1"], 2),
    (["-o", "nosuch/x.csv", "-c", "select 1"], 2),
    (["-o", "nosuch/x.parquet", "-c", "select 1"], 2),
    (["-o", "x.xlsx", "--format", "csv", "-c", "select 1"], 2),
    (["-o", "x.csv.gz", "-c", "select 1"], 2),
    (["completion"], 2),
    (["spec"], 2),
    (["spec", "try", "x.yaml"], 2),
    (["completion", "bash"], 0),
    (["-o", "/dev/full", "-c", "select 1"], 1),
    (["demo", "--home", "x"], 2),
    (["--version"], 0),
    (["--help"], 0),
]


@pytest.mark.parametrize(("arguments", "status"), STATUSES)
def test_every_end_has_its_status(shell: Unify, arguments: list[str], status: int) -> None:
    outcome = shell.run(*arguments)

    assert outcome.status == status, outcome
    assert (outcome.stderr == "") == (status == 0), outcome
    assert "Traceback" not in outcome.stderr


@pytest.mark.parametrize(
    ("arguments", "status"), [STATUSES[0], STATUSES[1], STATUSES[3], STATUSES[7], STATUSES[8]]
)
def test_and_the_same_on_a_terminal(shell: Unify, arguments: list[str], status: int) -> None:
    with on_terminal([*COMMAND, *arguments], shell.environment, shell.home) as terminal:
        assert terminal.wait_for_end() == status


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-"])
def test_a_stream_that_was_never_open_is_no_fault(shell: Unify, closed: str) -> None:
    command = f"{' '.join(COMMAND)} -c 'select 1' -c help {closed}"

    done = subprocess.run(
        ["sh", "-c", command], env=shell.environment, capture_output=True, text=True, timeout=60
    )

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("format", ["csv", "json", "box", "vertical", "html"])
def test_a_reader_who_leaves_ends_it_quietly(shell: Unify, format: str) -> None:
    with shell.started("--format", format, "-c", "from range(300000)") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(timeout=60) == 0
        assert process.stderr.read() == ""


def test_a_full_disk_is_an_error_that_names_the_place(shell: Unify) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*COMMAND, "-c", "from range(100000)"],
            env=shell.environment, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60,
        )  # fmt: skip

    assert done.returncode == 1
    assert done.stderr == "standard output: cannot be written: No space left on device\n"


def test_ctrl_c_ends_with_130_and_says_what_goes_on(shell: Unify) -> None:
    with on_terminal([*COMMAND, "-c", "wait", "-c", "select 1"], shell.environment, shell.home) as terminal:
        terminal.wait_for("waiting now")
        terminal.type(CTRL_C)
        assert terminal.wait_for_end() == 130
        assert "goes on in the background" in terminal.screen


def test_a_second_ctrl_c_within_two_seconds_cancels(shell: Unify) -> None:
    with on_terminal([*COMMAND, "-c", "wait", "-c", "select 1"], shell.environment, shell.home) as terminal:
        terminal.wait_for("waiting now")
        terminal.type(CTRL_C)
        terminal.wait_for("Ctrl-C within 2 s cancels it")
        terminal.type(CTRL_C)
        assert terminal.wait_for_end() == 130
        assert "the load of github.pulls is being cancelled" in terminal.screen


def test_an_interrupt_in_a_query_ends_with_130(unify: Unify) -> None:
    statements = "select 1; select count(*) from range(100000) a, range(10000000) b"
    with unify.started("--no-header", "-c", statements) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "1\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
        assert "Traceback" not in process.stderr.read()


# --- Streams


def test_rows_go_to_stdout_and_nothing_else_does(shell: Unify) -> None:
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


def test_quiet_leaves_errors_and_rows(shell: Unify) -> None:
    outcome = shell("load", "create table t(a int)", "fail", args=["-q"])

    assert (outcome.stdout, outcome.stderr) == ("rows\n1300\n", "github.pulls: 401 Bad credentials\n")


def test_a_commands_own_text_goes_to_stdout(shell: Unify) -> None:
    outcome = shell("help", "system status")

    assert outcome.stdout == "help is here\nData loading daemon is not running\x1b[2J\n"


def test_messages_stand_with_a_box_on_a_terminal(shell: Unify) -> None:
    with on_terminal([*COMMAND, "-c", "create table t(a int)"], shell.environment, shell.home) as terminal:
        terminal.wait_for_end()
        assert terminal.screen == "done"


def test_nothing_steers_the_terminal(shell: Unify) -> None:
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
    with on_terminal([*COMMAND, *statements], {**shell.environment, "NO_COLOR": "1"}, shell.home) as terminal:
        terminal.wait_for_end()
        assert b"\x1b]0" not in terminal.received
        assert b"\x1b[2J" not in terminal.received
        assert "\\e]0;x\\x07" in terminal.screen


# --- Scripts


def test_statements_and_files_run_in_the_order_given(shell: Unify) -> None:
    (shell.home / "second.sql").write_text(
        "\ufeffselect 2;\n-- a comment; with a semicolon\nselect ';3';", encoding="utf-8"
    )

    outcome = shell.run(
        "--no-header", "-c", "select 1;", "-f", "second.sql", "-c", "select 4", "-f", "-", stdin="select 5"
    )

    assert outcome.stdout == "1\n2\n;3\n4\n5\n"


def test_a_script_on_stdin_runs(shell: Unify) -> None:
    assert shell.run("--no-header", stdin="select 'é';\nselect\n 2").stdout == "é\n2\n"
    assert shell.run(stdin="").status == 0


def test_a_script_stops_at_its_first_error(shell: Unify) -> None:
    outcome = shell.run("--no-header", stdin="select 1;\n\nselect x;\nselect 3")

    assert outcome.stdout == "1\n"
    assert outcome.stderr.startswith("stdin:3: Binder Error")


def test_unless_it_is_to_keep_going(shell: Unify) -> None:
    outcome = shell.run("--no-header", "--keep-going", "-c", "fail", "-c", "select 1; fail; select 2")

    assert (outcome.stdout, outcome.status) == ("1\n2\n", 1)


def test_no_statement_runs_if_a_file_is_missing(shell: Unify) -> None:
    outcome = shell.run("-c", "select 1", "-f", "nosuch.sql")

    assert outcome.stdout == ""
    assert outcome.stderr == "-f nosuch.sql: cannot be read: No such file or directory\n"


def test_a_file_that_is_not_utf8_is_named_with_its_line(shell: Unify) -> None:
    (shell.home / "latin.sql").write_bytes(b"select 1;\nselect '\xe9';\n")

    assert shell.run("-f", "latin.sql").stderr == "latin.sql:2: not UTF-8 (byte 0xe9)\n"


def test_an_error_in_a_script_is_where_its_file_says(shell: Unify) -> None:
    (shell.home / "b.sql").write_text("select 1;\n\nshow\n  tabels;\n")
    (shell.home / "c.sql").write_text("select 1;\n\nfail;\n")

    assert shell.run("-f", "b.sql").stderr.startswith('b.sql:4: "tabels" does not fit')
    assert "\nLINE 4:   tabels\n          ^" in shell.run("-f", "b.sql").stderr
    assert shell.run("-f", "c.sql").stderr.startswith("c.sql:3: github.pulls: 401")


def test_output_goes_to_a_file_in_the_format_of_its_suffix(shell: Unify) -> None:
    shell.run("-o", "x.json", "-c", "select 1 as a")
    shell.run("-o", "x.md", "-c", "select 1 as a")
    shell.run("-o", "x.tsv", "-c", "select 1 as a, 'b,c' as t, 'd\te' as u, null as n")
    shell.run("-o", "x.json.txt", "--format", "jsonl", "-c", "select 2 as a")

    assert json.loads((shell.home / "x.json").read_text()) == [{"a": 1}]
    assert (shell.home / "x.md").read_text() == "| a |\n| --: |\n| 1 |\n"
    assert (shell.home / "x.tsv").read_text() == 'a\tt\tu\tn\n1\tb,c\t"d\te"\t\n'
    assert (shell.home / "x.json.txt").read_text() == '{"a": 2}\n'


def test_parquet_keeps_the_types(unify: Unify) -> None:
    outcome = unify(
        "create table t as select 1.50::decimal(5,2) as d, "
        "timestamp '2020-01-02 03:04:05' as m, [1, null] as l",
        "select * from t -- all of it",
        args=["-o", "x.parquet"],
    )

    assert (outcome.status, outcome.stdout) == (0, ""), outcome
    assert "1 row written to" in outcome.stderr
    written = duckdb.sql(f"select * from '{unify.home / 'x.parquet'}'")
    assert [str(type) for type in written.types] == ["DECIMAL(5,2)", "TIMESTAMP", "INTEGER[]"]
    assert written.fetchall() == [(Decimal("1.50"), datetime(2020, 1, 2, 3, 4, 5), [1, None])]


def test_excel_gets_a_sheet_with_the_rows(unify: Unify) -> None:
    outcome = unify("select 'a' as text, 2 as number", args=["-o", "x.xlsx"])

    assert outcome.status == 0, outcome
    book = openpyxl.load_workbook(unify.home / "x.xlsx")
    assert [list(row) for row in book.worksheets[0].values] == [["text", "number"], ["a", 2]]
    book.close()


def test_a_table_file_holds_one_result(unify: Unify) -> None:
    second = unify("select 1 as a", "select 2 as a", args=["-o", "x.parquet"])
    listing = unify("show settings", args=["-o", "y.parquet"])

    assert "holds the rows of one SELECT" in second.stderr
    assert duckdb.sql(f"select * from '{unify.home / 'x.parquet'}'").fetchall() == [(1,)]
    assert "holds the rows of a SELECT only" in listing.stderr
    assert not (unify.home / "y.parquet").exists()


def test_without_openpyxl_it_is_said_before_anything_runs(unify: Unify) -> None:
    hidden = unify.home / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text(
        "import importlib.util as u\nfind = u.find_spec\n"
        "u.find_spec = lambda name, package=None: None if name == 'openpyxl' else find(name, package)\n"
    )
    unify.environment["PYTHONPATH"] = str(hidden)

    outcome = unify("create table t as select 1", "select 1 as a", args=["-o", "x.xlsx"])

    assert outcome.status == 2
    assert "unify-sql[excel]" in outcome.stderr
    assert unify("from t").status == 1, "nothing has run"


@pytest.mark.parametrize("shell_name", ["bash", "zsh", "fish"])
def test_completion_scripts_know_every_option_and_command(shell: Unify, shell_name: str) -> None:
    script = shell.run("completion", shell_name).stdout

    for word in ("--format", "--keep-going", "--max-age", "demo", "daemon", "status", "jsonl", "completion"):
        assert word.removeprefix("--") in script
    checker = shutil.which(shell_name)
    if checker:
        assert subprocess.run([checker, "-n"], input=script, text=True, timeout=60).returncode == 0


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed here")
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("unify d", "demo daemon"),
        ("unify daemon st", "status start stop"),
        ("unify spec check good.y", "good.yaml"),
        ("unify completion ", "bash zsh fish"),
    ],
)
def test_fish_completes_the_command_line(shell: Unify, line: str, offered: str) -> None:
    (shell.home / "good.yaml").touch()
    script = shell.run("completion", "fish").stdout + f"\ncomplete -C '{line}'\n"

    done = subprocess.run(
        ["fish", "-N"], input=script, capture_output=True, text=True, timeout=60, cwd=shell.home, check=True
    )

    assert {found.partition("\t")[0] for found in done.stdout.splitlines()} == set(offered.split())


def test_zsh_offers_the_second_word_of_a_command(shell: Unify) -> None:
    script = shell.run("completion", "zsh").stdout

    assert "'*:: :->rest' && return\n    (( CURRENT == 2 )) && case $words[1] in\n" in script
    assert "        daemon) compadd run start stop status; return ;;\n" in script


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["unify", "--form"], "--format"),
        (["unify", "--format", "js"], "json jsonl"),
        (["unify", "de"], "demo"),
        (["unify", "daemon", "st"], "start stop status"),
        (["unify", "spec", "t"], "try test"),
        (["/opt/bin/unify", "de"], "demo"),
        (["unify", "-f", "rep"], "report.sql"),
    ],
)
def test_bash_completes(shell: Unify, words: list[str], offered: str) -> None:
    (shell.home / "report.sql").touch()
    (shell.home / "complete.bash").write_text(shell.run("completion", "bash").stdout)
    typed = f"COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}"
    ask = f"source complete.bash; {typed}; _unify; echo ${{COMPREPLY[@]}}"

    done = subprocess.run(["bash", "-c", ask], cwd=shell.home, capture_output=True, text=True, timeout=60)

    assert (done.stdout.strip(), done.stderr) == (offered, "")


def test_rows_are_shown_at_most_so_many(shell: Unify) -> None:
    outcome = shell.run("--max-rows", "2", "--null", "-", "-c", "select nullif(range, 1) as a from range(5)")

    assert outcome.stdout == "a\n0\n-\n"
    assert outcome.stderr == "2 rows shown; there are more (--max-rows)\n"


def test_output_is_utf8_whatever_the_locale(shell: Unify) -> None:
    shell.environment["LC_ALL"] = "C"
    shell.environment["PYTHONUTF8"] = "0"
    shell.environment["PYTHONCOERCECLOCALE"] = "0"

    assert shell("select 'é表' as x").stdout == "x\né表\n"


def test_a_million_rows_take_no_memory(shell: Unify) -> None:
    import resource

    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    outcome = shell(
        "select range as n, repeat('x', 100) as text from range(1000000)", args=["-o", "/dev/null"]
    )

    after = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    assert outcome.status == 0
    assert after < 300_000 or after == before, f"{after} KiB, and before {before}"


# --- The command line itself


def test_options_count_before_and_after_a_command() -> None:
    asked = cli.parse(
        ["-c", "a", "--specs", "x", "demo", "-c", "b", "--format", "json", "--specs", "y", "-q"]
    )

    assert asked.task == "demo"
    assert [step.text for step in asked.steps] == ["a", "b"]
    assert (asked.format, asked.specs, asked.quiet) == ("json", ("x", "y"), True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--formt", "x"], "unknown option --formt — did you mean --format?"),
        (["--format", "cvs"], "--format: there is no 'cvs'; there are box, table, csv"),
        (["chek"], "there is no command 'chek' — did you mean check?"),
        (["report.sql"], "unify -f report.sql runs a file"),
        (["select 1"], "statements go after -c"),
        (["spec", "chek", "x"], "there is no command 'chek' — did you mean check?"),
        (["--max-rows", "-1"], "'-1' is not a number of rows"),
        (["check", "--var", "=x"], "'=x' is not NAME=VALUE"),
    ],
)  # fmt: skip
def test_a_mistake_on_the_command_line_is_explained(arguments: list[str], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        cli.parse(arguments)

    assert said in caught.value.message


def test_a_statement_may_begin_with_a_comment() -> None:
    assert cli.parse(["-c", "-- all of it\nselect 1"]).steps[0].text == "-- all of it\nselect 1"


def test_places_come_from_the_command_line_before_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "specs").mkdir()
    environment = {
        "UNIFY_HOME": "/env/home",
        "UNIFY_CONNECTIONS": "/env/c.yaml",
        "UNIFY_SPECS": "/env/a:/env/b",
    }

    plain = settings_for(cli.parse([]), {"UNIFY_HOME": "/env/home"})
    from_environment = settings_for(cli.parse([]), environment)
    (tmp_path / "connections.yaml").touch()
    asked = settings_for(
        cli.parse(
            ["--home", "h", "--specs", "specs", "--connections", "connections.yaml", "--tenant", "acme"]
        ),
        environment,
    )

    assert plain.connections == Path("/env/home/connections.yaml")
    assert (from_environment.home, from_environment.connections) == (Path("/env/home"), Path("/env/c.yaml"))
    assert asked.home == tmp_path / "h" / "tenants" / "acme"
    assert asked.connections == tmp_path / "connections.yaml"
    assert asked.specs == (tmp_path / "specs", Path("/env/a"), Path("/env/b"))
    assert settings_for(cli.parse([]), {"UNIFY_HOME": "h"}).connections == tmp_path / "connections.yaml"


@pytest.mark.parametrize(
    ("code", "left_out"),
    [
        (
            "from unify.shell.app import main; main(['--version'])",
            "duckdb zmq lark sqlglot prompt_toolkit argparse dataclasses",
        ),
        (
            "from unify.shell.app import main; main(['-c', 'select 1'])",
            "zmq lark sqlglot prompt_toolkit yaml unify.interpreter.interpreter unify.language.commands "
            "unify.model hashlib",
        ),
        (
            "import unify.shell.prompt, unify.shell.watching",
            "duckdb zmq lark sqlglot yaml unify.interpreter.interpreter unify.language.commands unify.model "
            "unify.language.statements unify.shell.completing unify.shell.toolbar decimal",
        ),
    ],
    ids=["version", "constant", "first paint"],
)
def test_what_starts_loads_nothing_it_does_not_need(unify: Unify, code: str, left_out: str) -> None:
    command = [sys.executable, "-c", f"import sys; {code}; print(sorted(sys.modules))"]

    loaded = subprocess.run(command, capture_output=True, text=True, check=True, env=unify.environment).stdout

    assert [name for name in left_out.split() if f"'{name}'" in loaded] == []


def test_help_names_every_option_and_command(shell: Unify) -> None:
    text = shell.run("--help").stdout

    options = (
        "-c -f --format --no-header --null --max-rows -q --echo --var --keep-going --home -o --connections"
    )
    others = "--specs --tenant --max-age --no-wait --version demo check spec daemon run|start|stop|status"
    for word in f"{options} {others}".split():
        assert word in text


def test_the_help_of_a_command_is_about_that_command(shell: Unify) -> None:
    for command in ("demo", "check", "spec", "spec check", "spec try", "spec test", "daemon", "completion"):
        outcome = shell.run(*command.split(), "--help")

        assert (outcome.status, outcome.stderr) == (0, "")
        assert outcome.stdout.startswith(f"usage: unify {command} ")
        assert outcome.stdout.count("unify") < 8
    assert shell.run("daemon", "stop", "-h").stdout == shell.run("daemon", "-h").stdout
    assert "commands:\n    demo " in shell.run("--help").stdout


# --- Messages


def test_an_error_points_at_its_place() -> None:
    error = CommandSyntaxError('"tabels" does not fit here', source="show\n  tabels\x07 x", line=2, column=3)

    assert explained(error) == '"tabels" does not fit here\nLINE 2:   tabels\\x07 x\n          ^'


def test_a_slip_in_a_keyword_is_named() -> None:
    message = 'syntax error at or near "github"\n\nLINE 1: select * form github.pulls\n' + " " * 22 + "^"

    said = explained(QueryError(message)).splitlines()[0]

    assert said == 'syntax error at or near "github" (did you mean from instead of form?)'


@pytest.mark.parametrize("near", ["gruop", "wehre", "selct"])
def test_a_slip_at_the_place_itself_is_named_too(near: str) -> None:
    assert "did you mean" in explained(QueryError(f'syntax error at or near "{near}"'))


def test_an_error_of_duckdb_takes_no_more_lines_than_it_needs() -> None:
    assert explained(QueryError("not found\nCandidates: a\n\nLINE 1: b\n        ^")).count("\n") == 3


def test_no_keyword_is_guessed_where_none_is_near() -> None:
    assert explained(QueryError('syntax error at or near "github"')) == 'syntax error at or near "github"'


def test_tabs_of_duckdb_indent() -> None:
    assert (
        explained(QueryError("no function\n\tCandidates:\n\tf(a)"))
        == "no function\n    Candidates:\n    f(a)"
    )


def test_a_long_message_is_broken_between_words_on_a_terminal_only(shell: Unify) -> None:
    statement = "select " + " ".join(["word"] * 60)

    with on_terminal(
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
    lines = explained(caught.value).splitlines()
    assert lines == [str(problem) for problem in caught.value.problems]
    assert len(lines) == len(set(lines)) > 1


def test_debug_says_where_an_error_comes_from(shell: Unify) -> None:
    assert "Traceback" in shell.run("--debug", "-c", "bug").stderr
    assert "--debug" in shell.run("-c", "bug").stderr


def test_errors_know_their_status() -> None:
    statuses = [error("x").exit_status for error in (QueryError, ConfigError, UsageError, Interrupted)]

    assert statuses == [1, 2, 2, 130]


def test_a_script_without_a_name_has_no_place() -> None:
    assert Script("select 1").name == ""
    assert read_file(os.devnull).text == ""


# --- With the real interpreter


def test_the_real_thing_answers(unify: Unify) -> None:
    assert unify("select 42 as answer").stdout == "answer\n42\n"
    assert unify("select $a || 'x' as v, interval 1 month as i", args=["--var", "a=b"]).rows[1] == [
        "bx",
        "1 month",
    ]


def test_a_home_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    unify = Unify(tmp_path, (sys.executable, "-m", "unify"))
    unify.environment = clean_environment(tmp_path / "file" / "home")

    outcome = unify("select 1 + 1")

    assert outcome.status == 1
    assert str(tmp_path / "file" / "home") in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_check_says_a_line_a_connection(demo_unify: Unify, demo_api: DemoAPI) -> None:
    wrong = demo_api.connection("wrong").replace(f"token: {demo_api.token}", "token: stale")
    demo_unify.connect(demo_api.connection() + wrong + "odd:\n  adapter: nosuch\n")

    outcome = demo_unify.run("check")

    lines = dict(line.split(": ", 1) for line in outcome.stdout.splitlines())
    assert outcome.status == 1
    assert lines["github"].startswith("ok")
    assert "401" in lines["wrong"]
    assert "nosuch" in lines["odd"]
    assert demo_unify.run("check", "github").status == 0
    assert demo_unify.run("check", "gihub").stderr == "there is no connection gihub — did you mean github?\n"


def test_check_without_connections_names_where_it_looked(unify: Unify) -> None:
    outcome = unify.run("check")

    assert (outcome.status, outcome.stdout) == (2, "")
    assert str(unify.home / "connections.yaml") in outcome.stderr


def test_spec_check_names_every_mistake(unify: Unify) -> None:
    good, bad = unify.home / "good.yaml", unify.home / "bad.yaml"
    good.write_text("name: good\nbase_url: https://example.org\ntables:\n  - {name: a, request: GET /a}\n")
    bad.write_text("name: bad\nbase_urll: https://example.org\ntables:\n  - {name: a, reqest: GET /a}\n")

    outcome = unify.run("spec", "check", "good.yaml", "bad.yaml")

    assert outcome.status == 1
    lines = outcome.stdout.splitlines()
    assert lines[0] == "good.yaml: ok, 1 table"
    assert "bad.yaml:2:1: base_urll: unknown key — did you mean base_url?" in lines
    assert "bad.yaml:4:15: tables.a.reqest: unknown key — did you mean request?" in lines
    assert outcome.stderr == ""


def test_the_daemon_starts_and_stops_by_command(unify: Unify) -> None:
    assert unify.run("daemon", "status").status == 1
    assert "is running (pid" in unify.run("daemon", "start").stdout
    assert "was running already" in unify.run("daemon", "start").stdout
    assert unify.run("daemon", "status").status == 0
    assert unify.run("daemon", "stop").stdout == "the daemon has stopped\n"
    assert unify.run("daemon", "stop").stdout == "the daemon was not running\n"
    assert unify.run("daemon", "status").status == 1


# --- unify demo


def test_the_demo_answers_and_leaves_nothing(tmp_path: Path) -> None:
    outcome = _demo(tmp_path).run("demo", "-c", "select count(*) as pulls from github.pulls")

    assert outcome.stdout == "pulls\n1200\n"
    assert _nothing_left(tmp_path)


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_however_the_demo_ends_it_leaves_nothing(tmp_path: Path, ending: signal.Signals) -> None:
    statements = [
        "-c",
        "system start daemon",
        "-c",
        "select 1",
        "-c",
        "select count(*) from range(100000) a, range(10000000) b",
    ]
    with _demo(tmp_path).started("demo", *statements) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "1\n"
        process.send_signal(ending)
        assert process.wait(timeout=60) == (130 if ending == signal.SIGINT else 128 + ending)

    assert _nothing_left(tmp_path)


def test_the_demo_is_a_shell_like_any_other(tmp_path: Path) -> None:
    unify = _demo(tmp_path)
    with on_terminal(
        [*unify.command, "demo"], {**unify.environment, "TERM": "xterm-256color"}, tmp_path
    ) as terminal:
        terminal.wait_for("unify>")
        assert "A sample GitHub" in terminal.screen
        terminal.type("select number, title from github.pulls limit 10;" + ENTER)
        terminal.wait_for("10 rows")
        terminal.type("exit" + ENTER)
        assert terminal.wait_for_end() == 0
        assert b"Loading table: github.pulls" in terminal.received

    assert _nothing_left(tmp_path)


def _demo(tmp_path: Path) -> Unify:
    """The command with a folder of its own for temporary files: the demo's home comes to be there."""
    (tmp_path / "temporary").mkdir()
    unify = Unify(tmp_path)
    unify.environment["TMPDIR"] = str(tmp_path / "temporary")
    return unify


def _nothing_left(tmp_path: Path) -> bool:
    """Neither folder nor process: every process of the demo has its folder in its command line."""
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return not list((tmp_path / "temporary").iterdir()) and str(tmp_path / "temporary") not in listed
