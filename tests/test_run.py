"""``run``: scripts that run scripts, each path where it belongs, each error at its place."""

from __future__ import annotations

from pathlib import Path

from tests.support import Unify


def script(unify: Unify, name: str, text: str) -> Path:
    path = unify.home / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_the_statements_of_a_file_run_in_order(unify: Unify) -> None:
    script(
        unify, "a.sql", "create table t as select 1 as a;\n-- a comment; with a semicolon\nselect a from t;"
    )
    answer = unify("run 'a.sql'; select a + 1 as b from t")
    assert answer.stdout == "a\n1\nb\n2\n", answer


def test_a_variable_set_in_a_script_is_there_afterwards(unify: Unify) -> None:
    script(unify, "a.sql", "$x = $given || '!';")
    assert unify("run 'a.sql'; select $x", args=["--var", "given=hello"]).value == "hello!"


def test_a_relative_path_starts_at_the_script_that_names_it(unify: Unify) -> None:
    script(unify, "jobs/main.sql", "run 'parts/one.sql';\nrun 'two.sql'")
    script(unify, "jobs/parts/one.sql", "select 1 as one; run '../two.sql'")
    script(unify, "jobs/two.sql", "select 2 as two")
    expected = "one\n1\ntwo\n2\ntwo\n2\n"
    assert unify("run 'jobs/main.sql'").stdout == expected
    assert unify.run("-f", "jobs/main.sql").stdout == expected
    assert unify.run(stdin="run 'jobs/main.sql'").stdout == expected


def test_an_error_stops_everything_and_names_file_and_line(unify: Unify) -> None:
    script(unify, "a.sql", "select 1 as a;\n\n\n\n\n\n\n\n\nselect\n  nothing;\nselect 2 as b;")
    answer = unify("run 'a.sql'; select 3 as c")
    assert (answer.status, answer.stdout) == (1, "a\n1\n"), answer
    assert answer.stderr.startswith("a.sql:11: ")
    assert answer.stderr.endswith("\nLINE 11:   nothing\n           ^\n")


def test_keep_going_goes_on_within_and_after(unify: Unify) -> None:
    script(unify, "a.sql", "select nothing;\nselect 2 as b;")
    answer = unify("run 'a.sql'; select 3 as c", args=["--keep-going"])
    assert (answer.status, answer.stdout) == (1, "b\n2\nc\n3\n"), answer


def test_exit_in_a_script_leaves(unify: Unify) -> None:
    script(unify, "a.sql", "select 1 as a; exit; select 2 as b")
    assert unify("run 'a.sql'; select 3 as c").stdout == "a\n1\n"


def test_a_script_that_runs_itself_ends(unify: Unify) -> None:
    script(unify, "a.sql", "run 'a.sql'")
    answer = unify("run 'a.sql'")
    assert answer.status == 1
    assert "scripts run each other more than 20 deep" in answer.stderr
    assert len(answer.stderr.splitlines()) == 1


def test_a_file_that_cannot_be_read_is_named(unify: Unify) -> None:
    script(unify, "main.sql", "select 1 as a;\nrun 'nothing.sql'")
    answer = unify("run 'main.sql'")
    assert answer.status == 1
    assert answer.stderr == "main.sql:2: nothing.sql: cannot be read: No such file or directory\n"
    (unify.home / "latin.sql").write_bytes(b"select 1;\nselect '\xe9'")
    assert "latin.sql:2: not UTF-8" in unify("run 'latin.sql'").stderr
