"""Notebooks in a real kernel, from the command line and by the daemon."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import UnifyCommand, clean_environment
from tests.support.notebooks import outputs, write_notebook
from tests.support.waiting import wait_until
from unify.errors import FileError, QueryError
from unify.notebooks.runner import NotebookRequest, run_notebook

pytestmark = [pytest.mark.process, pytest.mark.socket]
SQL_CELL = "%%unify found <<\nselect range as n, :month as month from range(:top)"


def test_a_failing_cell_is_named_and_the_executed_copy_is_kept(tmp_path: Path) -> None:
    path = write_notebook(tmp_path / "report.ipynb", "print(x)", "y = 1\nnosuch", "print('never')")
    request = NotebookRequest(path, tmp_path / "copies", {"x": 7})
    with pytest.raises(
        QueryError, match=r"report\.ipynb: cell 3, line 2: NameError: name 'nosuch'"
    ) as caught:
        run_notebook(request)
    copy = Path(caught.value.message.partition("executed copy: ")[2])
    assert outputs(copy)[1] == ["7\n"]
    assert outputs(copy)[3] == []
    assert path.read_text("utf-8").count("outputs") == 3  # the notebook itself is not changed


def test_a_kernel_that_is_not_installed_is_named(tmp_path: Path) -> None:
    path = write_notebook(tmp_path / "report.ipynb", "1")
    path.write_text(
        path.read_text("utf-8").replace(
            '"metadata": {},\n "nbformat"',
            '"metadata": {"kernelspec": {"name": "nosuch", "display_name": "x"}},\n "nbformat"',
        )
    )
    with pytest.raises(FileError, match=r"its kernel nosuch is not installed \(installed: .*python3"):
        run_notebook(NotebookRequest(path, tmp_path / "copies"))


@pytest.mark.slow
def test_a_notebook_has_parameters_a_page_and_the_home_of_the_command(unify: UnifyCommand) -> None:
    write_notebook(
        unify.home / "report.ipynb",
        "%load_ext unify",
        SQL_CELL,
        "print(list(found['n']), found['month'][0])",
        "%unify create table seen as select 1 as a",
        parameters="top = 1\nmonth = ''",
    )
    outcome = unify.run("-c", "run 'report.ipynb' with top = 3, month = '2026-11' to 'out.html'")
    assert (outcome.exit_status, outcome.stdout) == (0, "")
    assert outcome.stderr.startswith("report.ipynb: 6 cells run in ")
    assert "[0, 1, 2] 2026-11" in (unify.home / "out.html").read_text("utf-8")
    assert unify.run("--no-header", "-c", "from seen").stdout == "1\n"

    (unify.home / "later.sql").write_text("run 'report.ipynb' with top = 'x'")
    failed = unify.run("-f", "later.sql")
    assert failed.exit_status == 1
    assert failed.stderr.startswith("later.sql:1: ")
    assert "report.ipynb: cell 4: " in failed.stderr


@pytest.mark.slow
def test_the_daemon_runs_a_notebook_at_its_time(unify: UnifyCommand) -> None:
    write_notebook(unify.home / "report.ipynb", "print(a)", parameters="a = 1")
    said = unify.run("-c", "run 'report.ipynb' every 1 day with a = 'it''s' to 'page.html'")
    assert said.stderr.startswith("report runs every 1 day, next at ")
    try:
        unify.run("-c", "run 'report.ipynb' every 1 second with a = 'it''s' to 'page.html'")
        [kind] = unify.run("--no-header", "-c", "select kind from unify.schedules").rows
        assert kind == ["notebook"]
        runs = "select count(*) from unify.script_runs where status = 'success'"
        wait_until(lambda: unify.run("-c", runs).single_value != "0", 60.0)
    finally:
        unify.run("-c", "unschedule report")
        unify.stop_daemon()
    assert "<pre>it's\n" in (unify.home / "page.html").read_text("utf-8")
    assert list(unify.home.glob("**/notebooks/report/*.ipynb"))


@pytest.mark.slow
def test_an_interrupt_ends_the_kernel(tmp_path: Path) -> None:
    path = write_notebook(
        tmp_path / "long.ipynb",
        "import os\nopen('pid', 'w').write(str(os.getpid()))\nimport time\ntime.sleep(600)",
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "unify", "-c", f"run '{path}'"],
        env=clean_environment(tmp_path),
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        wait_until(lambda: (tmp_path / "pid").is_file() and (tmp_path / "pid").read_text() != "", 60.0)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "interrupted" in error
    kernel = int((tmp_path / "pid").read_text())
    wait_until(lambda: not _is_running(kernel), 30.0)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
