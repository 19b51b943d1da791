"""Arguments of the command line, and its help."""

from __future__ import annotations

import pytest

from tests.support.command import UnifyCommand
from unify.cli import args
from unify.errors import UsageError


def test_options_are_accepted_before_and_after_a_command() -> None:
    invocation = args.parse_arguments(
        ["-c", "a", "--specs", "x", "demo", "-c", "b", "--format", "json", "--specs", "y", "-q"]
    )

    assert invocation.task == "demo"
    assert [step.text for step in invocation.steps] == ["a", "b"]
    assert (invocation.format, invocation.specs, invocation.quiet) == ("json", ("x", "y"), True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--formt", "x"], "unknown option --formt; did you mean --format?"),
        (["--format", "cvs"], "--format: unknown value 'cvs'; use one of box, table, csv"),
        (["chek"], "unknown command 'chek'; did you mean check?"),
        (["report.sql"], "use unify -f report.sql"),
        (["select 1"], "use unify -c 'select 1'"),
        (["spec", "chek", "x"], "unknown command 'chek'; did you mean check?"),
        (["--max-rows", "-1"], "'-1' is not a number of rows"),
        (["check", "--var", "=x"], "'=x' is not NAME=VALUE"),
    ],
)  # fmt: skip
def test_a_mistake_on_the_command_line_is_explained(arguments: list[str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        args.parse_arguments(arguments)

    assert message in caught.value.message


def test_a_statement_can_begin_with_a_comment() -> None:
    assert args.parse_arguments(["-c", "-- all of it\nselect 1"]).steps[0].text == "-- all of it\nselect 1"


def test_help_names_every_option_and_command(shell: UnifyCommand) -> None:
    text = shell.run("--help").stdout

    options = (
        "-c -f --format --no-header --null --max-rows -q --echo --var --keep-going --home -o --connections"
    )
    others = "--specs --tenant --max-age --no-wait --version demo check spec daemon run|start|stop|status"
    for word in f"{options} {others}".split():
        assert word in text


def test_the_help_of_a_command_describes_it(shell: UnifyCommand) -> None:
    for command in ("demo", "check", "spec", "spec check", "spec try", "spec test", "daemon", "completion"):
        outcome = shell.run(*command.split(), "--help")

        assert (outcome.exit_status, outcome.stderr) == (0, "")
        assert outcome.stdout.startswith(f"usage: unify {command} ")
        assert outcome.stdout.count("unify") < 8
    assert shell.run("daemon", "stop", "-h").stdout == shell.run("daemon", "-h").stdout
    assert "commands:\n    demo " in shell.run("--help").stdout
