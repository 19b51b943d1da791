"""Scripts: order, nesting, relative paths and positions of errors."""

from __future__ import annotations

import os
from pathlib import Path

from tests.support.command import UnifyCommand
from unify.shell.script_runner import ScriptText, read_script


def test_statements_and_files_run_in_the_order_given(shell: UnifyCommand) -> None:
    (shell.home / "second.sql").write_text(
        "\ufeffselect 2;\n-- a comment; with a semicolon\nselect ';3';", encoding="utf-8"
    )

    outcome = shell.run(
        "--no-header", "-c", "select 1;", "-f", "second.sql", "-c", "select 4", "-f", "-", stdin="select 5"
    )

    assert outcome.stdout == "1\n2\n;3\n4\n5\n"


def test_a_script_on_stdin_runs(shell: UnifyCommand) -> None:
    assert shell.run("--no-header", stdin="select 'é';\nselect\n 2").stdout == "é\n2\n"
    assert shell.run(stdin="").exit_status == 0


def test_a_script_stops_at_its_first_error(shell: UnifyCommand) -> None:
    outcome = shell.run("--no-header", stdin="select 1;\n\nselect x;\nselect 3")

    assert outcome.stdout == "1\n"
    assert outcome.stderr.startswith("stdin:3: Binder Error")


def test_keep_going_runs_the_rest_of_a_script(shell: UnifyCommand) -> None:
    outcome = shell.run("--no-header", "--keep-going", "-c", "fail", "-c", "select 1; fail; select 2")

    assert (outcome.stdout, outcome.exit_status) == ("1\n2\n", 1)


def test_no_statement_runs_if_a_file_is_missing(shell: UnifyCommand) -> None:
    outcome = shell.run("-c", "select 1", "-f", "nosuch.sql")

    assert outcome.stdout == ""
    assert outcome.stderr == "-f nosuch.sql: cannot be read: No such file or directory\n"


def test_a_file_that_is_not_utf8_is_named_with_its_line(shell: UnifyCommand) -> None:
    (shell.home / "latin.sql").write_bytes(b"select 1;\nselect '\xe9';\n")

    assert shell.run("-f", "latin.sql").stderr == "latin.sql:2: not UTF-8 (byte 0xe9)\n"


def test_an_error_in_a_script_has_file_and_line(shell: UnifyCommand) -> None:
    (shell.home / "b.sql").write_text("select 1;\n\nshow\n  tabels;\n")
    (shell.home / "c.sql").write_text("select 1;\n\nfail;\n")

    assert shell.run("-f", "b.sql").stderr.startswith('b.sql:4: unexpected "tabels"')
    assert "\nLINE 4:   tabels\n          ^" in shell.run("-f", "b.sql").stderr
    assert shell.run("-f", "c.sql").stderr.startswith("c.sql:3: github.pulls: 401")


def test_a_meta_command_in_a_script_says_what_to_use(unify: UnifyCommand) -> None:
    (unify.home / "d.sql").write_text("select 1;\n\\dt\nselect 2;\n")

    assert unify.run("-f", "d.sql").stderr.startswith(
        r"d.sql:2: \dt is a command of the prompt; in a script use: show tables"
    )


def test_an_error_in_a_script_without_a_name_has_no_file() -> None:
    assert ScriptText("select 1").name == ""
    assert read_script(os.devnull).text == ""


def script(unify: UnifyCommand, name: str, text: str) -> Path:
    path = unify.home / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_the_statements_of_a_file_run_in_order(unify: UnifyCommand) -> None:
    script(
        unify, "a.sql", "create table t as select 1 as a;\n-- a comment; with a semicolon\nselect a from t;"
    )
    answer = unify("run 'a.sql'; select a + 1 as b from t")
    assert answer.stdout == "a\n1\nb\n2\n", answer


def test_a_variable_set_in_a_script_is_kept_after_it(unify: UnifyCommand) -> None:
    script(unify, "a.sql", "$x = $given || '!';")
    assert unify("run 'a.sql'; select $x", args=["--var", "given=hello"]).single_value == "hello!"


def test_a_relative_path_starts_at_the_script_that_names_it(unify: UnifyCommand) -> None:
    script(unify, "jobs/main.sql", "run 'parts/one.sql';\nrun 'two.sql'")
    script(unify, "jobs/parts/one.sql", "select 1 as one; run '../two.sql'")
    script(unify, "jobs/two.sql", "select 2 as two")
    expected = "one\n1\ntwo\n2\ntwo\n2\n"
    assert unify("run 'jobs/main.sql'").stdout == expected
    assert unify.run("-f", "jobs/main.sql").stdout == expected
    assert unify.run(stdin="run 'jobs/main.sql'").stdout == expected


def test_an_error_stops_every_script_and_names_file_and_line(unify: UnifyCommand) -> None:
    script(unify, "a.sql", "select 1 as a;\n\n\n\n\n\n\n\n\nselect\n  nothing;\nselect 2 as b;")
    answer = unify("run 'a.sql'; select 3 as c")
    assert (answer.exit_status, answer.stdout) == (1, "a\n1\n"), answer
    assert answer.stderr.startswith("a.sql:11: ")
    assert answer.stderr.endswith("\nLINE 11:   nothing\n           ^\n")


def test_keep_going_continues_within_and_after_a_script(unify: UnifyCommand) -> None:
    script(unify, "a.sql", "select nothing;\nselect 2 as b;")
    answer = unify("run 'a.sql'; select 3 as c", args=["--keep-going"])
    assert (answer.exit_status, answer.stdout) == (1, "b\n2\nc\n3\n"), answer


def test_exit_in_a_script_ends_the_session(unify: UnifyCommand) -> None:
    script(unify, "a.sql", "select 1 as a; exit; select 2 as b")
    assert unify("run 'a.sql'; select 3 as c").stdout == "a\n1\n"


def test_a_script_that_runs_itself_is_an_error(unify: UnifyCommand) -> None:
    script(unify, "a.sql", "run 'a.sql'")
    answer = unify("run 'a.sql'")
    assert answer.exit_status == 1
    assert "scripts are nested more than 20 levels deep" in answer.stderr
    assert len(answer.stderr.splitlines()) == 1


def test_an_unreadable_file_is_named(unify: UnifyCommand) -> None:
    script(unify, "main.sql", "select 1 as a;\nrun 'nothing.sql'")
    answer = unify("run 'main.sql'")
    assert answer.exit_status == 1
    assert answer.stderr == "main.sql:2: nothing.sql: cannot be read: No such file or directory\n"
    (unify.home / "latin.sql").write_bytes(b"select 1;\nselect '\xe9'")
    assert "latin.sql:2: not UTF-8" in unify("run 'latin.sql'").stderr
