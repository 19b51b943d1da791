"""Files of a home replaced by pipes, folders and dangling links: a sentence that names them, and no hang."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.command import InProcessCommand, UnifyCommand
from tests.support.fault_server import FaultServer, MockResponse

IGNORED = (
    *("schedules.json", "lake/identity.json"),  # written anew
    *("cache/grammar.cache", "preferences", "lake/checksums", "logs/daemon.out"),
)
REFUSED = ("queue.db", "lake/catalog.sqlite", "lake/ready", "requests.jsonl", "trusted")
LOCKS = ("daemon.lock", "daemon.start.lock", "lake/lake.lock", "queue.lock", "requests.jsonl.lock")


def replace(path: Path, kind: str) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case _:
            path.symlink_to("/nonexistent/file")


STATEMENTS = ("from words", "show jobs", "from unify.requests", "show tables")


@pytest.fixture
def words_home(unify: InProcessCommand) -> UnifyCommand:
    """The command as a process in a home with a table ``words``: a pipe that it opens would hang this one."""
    assert unify("create table words as select 1 as i").exit_status == 0
    return UnifyCommand(unify.home)


@pytest.mark.parametrize("names", [IGNORED, LOCKS])
def test_pipes_in_place_of_files_hang_no_statement(words_home: UnifyCommand, names: tuple[str, ...]) -> None:
    for name in names:
        replace(words_home.home / name, "pipe")
    result = words_home(*STATEMENTS)
    for name in names:
        (words_home.home / name).unlink(missing_ok=True)  # the end of the test reads the locks
    assert "bug" not in result.stderr
    assert "Traceback" not in result.stderr
    assert result.exit_status == 0, result


@pytest.mark.parametrize("name", REFUSED)
def test_a_pipe_in_place_of_a_file_that_is_read_is_refused(words_home: UnifyCommand, name: str) -> None:
    replace(words_home.home / name, "pipe")
    if name == "trusted":
        words_home.folder = words_home.home / "here"
        words_home.folder.mkdir()
        connections = words_home.folder / "connections.yaml"
        connections.write_text("g: {adapter: github, options: {token: '${TOKEN}'}}\n")
        connections.chmod(0o600)
    result = words_home(*STATEMENTS)
    assert "bug" not in result.stderr
    assert "Traceback" not in result.stderr
    assert result.exit_status in (1, 2)
    assert f"{words_home.home / name}" in result.stderr
    assert "not a regular file" in result.stderr


@pytest.mark.parametrize("kind", ["folder", "link"])
@pytest.mark.parametrize("name", ["logs/daemon.out", "logs/daemon.log"])
def test_a_file_of_the_daemon_that_cannot_be_written_is_named(
    unify_process: UnifyCommand, name: str, kind: str
) -> None:
    replace(unify_process.home / name, kind)
    result = unify_process.run("daemon", "start", timeout_s=60)
    assert result.exit_status == 1
    assert str(unify_process.home / name) in result.stderr
    assert "bug" not in result.stderr


@pytest.mark.parametrize(
    "statement",
    [
        "import '/tmp/{long}.csv'",
        "export (select 1 as i) to '/tmp/{long}.csv'",
        "run '/tmp/{long}.sql'",
        "create chart from (select 1 as x, 2 as y) as bar_chart where x = x and y = y to '/tmp/{long}.svg'",
    ],
)
def test_a_name_that_no_file_can_have_is_an_error_of_the_statement(
    unify: InProcessCommand, statement: str
) -> None:
    result = unify(statement.format(long="a" * 300))
    assert result.exit_status == 1
    assert "unexpected" not in result.stderr
    assert "bug" not in result.stderr


@pytest.mark.parametrize("name", ["a%00b.csv", "a" * 400 + ".csv", "%C3%A9" * 200 + ".csv"])
def test_a_file_of_an_odd_address_is_imported(unify: InProcessCommand, api: FaultServer, name: str) -> None:
    api.serve(f"/{name}", MockResponse(body=b"id\n1\n"))
    result = unify(f"import '{api.url}/{name}' into odd", "select * from odd")
    assert result.stdout == "id\n1\n", result


def test_a_closed_pipe_ends_the_daemons_status_quietly(unify_process: UnifyCommand) -> None:
    for _ in range(5):
        done = subprocess.run(
            [
                "bash",
                "-c",
                f"{' '.join(unify_process.command)} daemon status | head -0; echo ${{PIPESTATUS[0]}}",
            ],
            env=unify_process.environment,
            capture_output=True,
            text=True,
        )
        assert done.stderr == ""
        assert done.stdout.strip() in ("0", "1")


def test_no_process_of_ours_writes_a_core_dump(unify_process: UnifyCommand) -> None:
    import resource

    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    if hard == 0:
        pytest.skip("core dumps are disabled here")
    unify_process.run("daemon", "start")
    pid = (unify_process.home / "daemon.lock").read_text().strip()
    limits = Path(f"/proc/{pid}/limits").read_text()
    [line] = [line for line in limits.splitlines() if line.startswith("Max core file size")]
    assert line.split()[4] == "0"
