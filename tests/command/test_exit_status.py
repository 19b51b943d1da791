"""Exit statuses, closed streams, full disks and interrupts."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import UNIFY_COMMAND, UnifyCommand, clean_environment
from tests.support.fake_session import FAKE_SESSION_COMMAND
from tests.support.terminal import CTRL_C, run_on_terminal

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
def test_the_exit_status_names_the_outcome(shell: UnifyCommand, arguments: list[str], status: int) -> None:
    assert_exit_status(shell, arguments, status)


@pytest.mark.parametrize(("arguments", "status"), [STATUSES[0], STATUSES[1], STATUSES[7]])
def test_a_process_has_the_same_exit_status(
    shell_process: UnifyCommand, arguments: list[str], status: int
) -> None:
    assert_exit_status(shell_process, arguments, status)


def assert_exit_status(shell: UnifyCommand, arguments: list[str], status: int) -> None:
    outcome = shell.run(*arguments)
    assert outcome.exit_status == status, outcome
    assert (outcome.stderr == "") == (status == 0), outcome
    assert "Traceback" not in outcome.stderr


@pytest.mark.parametrize(
    ("arguments", "status"), [STATUSES[0], STATUSES[1], STATUSES[3], STATUSES[7], STATUSES[8]]
)
def test_the_exit_status_on_a_terminal_is_the_same(
    shell_process: UnifyCommand, arguments: list[str], status: int
) -> None:
    with run_on_terminal(
        [*FAKE_SESSION_COMMAND, *arguments], shell_process.environment, shell_process.home
    ) as terminal:
        assert terminal.wait_for_end() == status


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-"])
def test_a_closed_standard_stream_causes_no_error(shell_process: UnifyCommand, closed: str) -> None:
    command = f"{' '.join(FAKE_SESSION_COMMAND)} -c 'select 1' -c help {closed}"

    done = subprocess.run(
        ["sh", "-c", command], env=shell_process.environment, capture_output=True, text=True, timeout=60
    )

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("format", ["csv", "json", "box", "vertical", "html"])
def test_a_closed_output_pipe_ends_the_command_quietly(shell_process: UnifyCommand, format: str) -> None:
    with shell_process.start("--format", format, "-c", "from range(300000)") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(timeout=60) == 0
        assert process.stderr.read() == ""


@pytest.mark.parametrize(
    "arguments", [["--version"], ["--help"], ["spec", "check", "spec.yaml"], ["daemon", "status"]]
)
def test_no_command_shows_a_traceback_when_its_output_cannot_be_written(
    shell_process: UnifyCommand, arguments: list[str]
) -> None:
    (shell_process.home / "spec.yaml").write_text("name: x\nbase_url: https://x.example\ntables: []\n")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*UNIFY_COMMAND, *arguments], cwd=shell_process.home,
            env=shell_process.environment, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == "standard output: cannot be written: No space left on device\n"

    command = " ".join([*UNIFY_COMMAND, *arguments])
    closed = subprocess.run(
        ["sh", "-c", f"{command} >&-"], cwd=shell_process.home,
        env=shell_process.environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert closed.returncode in (0, 1)
    assert closed.stderr == ""


def test_a_full_disk_is_an_error_that_names_the_output(shell_process: UnifyCommand) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*FAKE_SESSION_COMMAND, "-c", "from range(100000)"],
            env=shell_process.environment, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60,
        )  # fmt: skip

    assert done.returncode == 1
    assert done.stderr == "standard output: cannot be written: No space left on device\n"


def test_ctrl_c_exits_with_130_and_reports_the_continuing_load(shell_process: UnifyCommand) -> None:
    with run_on_terminal(
        [*FAKE_SESSION_COMMAND, "-c", "wait", "-c", "select 1"], shell_process.environment, shell_process.home
    ) as terminal:
        terminal.expect_text("waiting now")
        terminal.type(CTRL_C)
        assert terminal.wait_for_end() == 130
        assert "goes on in the background" in terminal.screen


def test_a_second_ctrl_c_within_two_seconds_cancels_the_load(shell_process: UnifyCommand) -> None:
    with run_on_terminal(
        [*FAKE_SESSION_COMMAND, "-c", "wait", "-c", "select 1"], shell_process.environment, shell_process.home
    ) as terminal:
        terminal.expect_text("waiting now")
        terminal.type(CTRL_C)
        terminal.expect_text("Ctrl-C within 2 s cancels it")
        terminal.type(CTRL_C)
        assert terminal.wait_for_end() == 130
        assert "the load of github.pulls is being cancelled" in terminal.screen


def test_an_interrupted_query_exits_with_130(unify_process: UnifyCommand) -> None:
    statements = "select 1; select count(*) from range(100000) a, range(10000000) b"
    with unify_process.start("--no-header", "-c", statements) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "1\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
        assert "Traceback" not in process.stderr.read()


def test_an_error_names_a_home_that_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    unify = UnifyCommand(tmp_path, (sys.executable, "-m", "unify"))
    unify.environment = clean_environment(tmp_path / "file" / "home")

    outcome = unify("select 1 + 1")

    assert outcome.exit_status == 1
    assert str(tmp_path / "file" / "home") in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_statements_run_in_a_folder_that_was_deleted(unify: UnifyCommand, tmp_path: Path) -> None:
    script = 'mkdir "$0" && cd "$0" && rmdir "$0" && exec "$@"'
    statements = ["-c", "select 1 + 1 as a", "-c", "export (select 1 as a) to 'x.csv'"]
    folder = str(tmp_path / "deleted")

    done = subprocess.run(
        ["sh", "-c", script, folder, *unify.command, "--no-header", *statements],
        env=unify.environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip

    assert done.stdout == "2\n"
    assert done.stderr == "x.csv: the current folder no longer exists\n"
    assert done.returncode == 1
