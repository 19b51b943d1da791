"""Standard input is the script or the data of its statements, never both."""

from __future__ import annotations

import pytest

from tests.support.command import UnifyCommand


def test_a_script_on_standard_input_cannot_read_it_as_data(unify_process: UnifyCommand) -> None:
    script = (
        "select count(*) from read_csv('/dev/stdin');\n"
        "create table t as from read_csv('/dev/fd/0');\n"
        "import '/dev/stdin' into t;\n"
        "$name = '/dev/stdin'; select count(*) from read_csv($name);\n"
        "select 1 as still;\n"
    )
    answer = unify_process.run("--keep-going", stdin=script)
    assert answer.exit_status == 1
    assert answer.stdout == "still\n1\n"
    assert [line.partition(" is the script itself")[0] for line in answer.stderr.splitlines()] == [
        "stdin:1: /dev/stdin",
        "stdin:2: /dev/fd/0",
        "stdin:3: /dev/stdin",
        "$name = /dev/stdin",
        "stdin:4: /dev/stdin",
    ]
    assert "give the script with -f FILE or -c, and the data on standard input" in answer.stderr


@pytest.mark.parametrize("steps", [("-f", "-"), ("-f", "/dev/stdin"), ("-c", "select 1", "-f", "-")])
def test_a_script_named_as_standard_input_is_one(unify_process: UnifyCommand, steps: tuple[str, ...]) -> None:
    answer = unify_process.run(*steps, stdin="from read_csv('/dev/stdin')")
    assert answer.exit_status == 1
    assert "is the script itself" in answer.stderr


def test_statements_of_a_file_read_standard_input_once(unify_process: UnifyCommand) -> None:
    (unify_process.home / "s.sql").write_text(
        "$name = '/dev/stdin'; select count(*) as n from read_csv($name);\nfrom read_csv('/dev/stdin')",
        encoding="utf-8",
    )
    answer = unify_process.run("-f", "s.sql", stdin="a\n1\n2\n")
    assert answer.stdout == "n\n2\n"
    assert "an earlier statement has read /dev/stdin to its end" in answer.stderr
