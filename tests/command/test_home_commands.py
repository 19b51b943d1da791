"""``unify lake check``, ``unify backup`` and ``unify restore`` on the home of a running daemon."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.command import UNIFY_COMMAND, InProcessCommand, UnifyCommand
from tests.support.fault_server import FaultServer, MockResponse, RecordedRequest
from tests.support.shop import SPEC_WITHOUT_TOKEN, connect_shop
from tests.support.stores import create_home, settings_for_home
from tests.support.terminal import ENTER, run_on_terminal
from tests.support.waiting import wait_until
from unify.model import Action, ConfigPaths, JobState, TableName
from unify.queue.queue import Queue
from unify.queue.rows import NewJob
from unify.status.client import StatusClient

SPEC = (
    SPEC_WITHOUT_TOKEN
    + """\
  - {name: orders, request: GET /orders, key: id}
  - {name: customers, request: GET /customers, key: id}
"""
)
COUNTS = "select count(*) = count(distinct id) and count(distinct version) = 1, count(*) from shop.orders"

LAST_LOAD = """select arg_max(rows_total, finished_at) from unify.loads where "table" = 'orders'"""
RELOADS = "select count(*) from unify.jobs where state = 'done' and action = 'reload'"


def serve_versions(api: FaultServer) -> None:
    """Serve tables that have another number of rows in each version: 100 more than the version's number."""
    versions = itertools.count(1)

    def respond(_: RecordedRequest) -> MockResponse:
        version = next(versions)
        return MockResponse.json([{"id": number, "version": version} for number in range(100 + version)])

    for path in ("/orders", "/customers"):
        api.serve(path, respond)


@pytest.fixture(scope="module")
def loaded_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with two loaded tables, whose daemon has ended."""
    command = InProcessCommand(create_home(tmp_path_factory.mktemp("loaded")).home)
    with FaultServer() as api:
        serve_versions(api)
        connect_shop(command, api, SPEC)
        assert command("load table shop.orders", "load table shop.customers").exit_status == 0
        command.stop_daemon()
    shutil.rmtree(command.home / "cache")  # it has pipes, which cannot be copied
    return command.home


@pytest.fixture
def unify(loaded_home: Path, new_home: Path, api: FaultServer) -> InProcessCommand:
    """The command in a copy of that home; its API serves later versions."""
    shutil.copytree(loaded_home, new_home, dirs_exist_ok=True)
    serve_versions(api)
    command = InProcessCommand(new_home)
    connect_shop(command, api, SPEC)
    return command


@pytest.fixture
def unify_process(unify: InProcessCommand) -> UnifyCommand:
    """The same command as a process."""
    command = UnifyCommand(unify.home)
    command.environment = unify.environment
    return command


@pytest.fixture
def restored(tmp_path: Path, unify: InProcessCommand) -> Iterator[InProcessCommand]:
    """The command in a home that does not exist yet, without a daemon."""
    command = InProcessCommand(tmp_path / "restored")
    command.folder = tmp_path
    command.environment["UNIFY_SPECS"] = unify.environment["UNIFY_SPECS"]
    yield command
    command.stop_daemon()


def query(command: UnifyCommand, sql: str) -> list[str]:
    """Return the first row of a query of stored tables."""
    return command(sql, args=["--no-wait", "--max-age", "none", "--no-header", "--format", "csv"]).rows[0]


@pytest.fixture
def running_loads(unify: InProcessCommand) -> Iterator[threading.Event]:
    """Reload both tables again and again during the test; the event stops it."""
    stop = threading.Event()
    states: list[JobState] = []
    assert unify.run("daemon", "start").exit_status == 0
    settings = settings_for_home(unify.home)
    origin = ConfigPaths(str(settings.connections), (unify.environment["UNIFY_SPECS"],))

    def reload() -> None:
        with Queue(settings.queue) as queue, StatusClient(settings.socket_folder) as client:
            while not stop.is_set():
                jobs = [
                    queue.enqueue(NewJob("default", Action.RELOAD, TableName("shop", table), origin))
                    for table in ("orders", "customers")
                ]
                client.poll_queue()
                wait_until(lambda jobs=jobs: not any(queue.get(job.id).state.active for job in jobs))  # type: ignore[misc]
                states.extend(queue.get(job.id).state for job in jobs)

    thread = threading.Thread(target=reload)
    thread.start()
    yield stop
    stop.set()
    thread.join()
    assert set(states) == {JobState.DONE}


def test_backups_made_during_loads_are_whole(
    unify: InProcessCommand,
    api: FaultServer,
    running_loads: threading.Event,
    restored: InProcessCommand,
    tmp_path: Path,
) -> None:
    archives = [tmp_path / f"{number}.zip" for number in range(2)]
    for archive in archives:
        reloads = len(api.requests)
        wait_until(lambda reloads=reloads: len(api.requests) > reloads + 2)  # type: ignore[misc]
        made = unify.run("backup", str(archive))
        assert (made.exit_status, made.stderr) == (0, ""), made
        assert re.fullmatch(rf"{archive}: 2 tables in \d+ files \(\d+\.\d MB\), verified\n", made.stdout)
        checked = unify.run("lake", "check", "--deep")
        assert (checked.exit_status, checked.stderr) == (0, ""), checked
    running_loads.set()
    counts = []
    for archive in archives:
        result = restored.run("restore", str(archive), "--force", "--with-connections")
        assert (result.exit_status, result.stderr) == (0, ""), result
        assert result.stdout.endswith(": no faults\n")
        is_whole, count = query(restored, COUNTS)
        assert is_whole == "true"
        counts.append(int(count))
        assert query(restored, LAST_LOAD) == [count]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]
    assert "shop:" in (restored.home / "connections.yaml").read_text("utf-8")


def test_a_killed_backup_leaves_no_file_under_its_name(
    unify: InProcessCommand, unify_process: UnifyCommand, restored: InProcessCommand, tmp_path: Path
) -> None:
    archive = tmp_path / "home.zip"
    unify_process.environment["UNIFY_FAILPOINT"] = "backup.before_rename:kill"
    assert unify_process.run("backup", str(archive)).exit_status == -9
    assert not archive.exists()
    del unify_process.environment["UNIFY_FAILPOINT"]
    assert unify.run("backup", str(archive)).exit_status == 0
    before = archive.read_bytes()

    for delay_s in (0.25, 0.5):
        started = unify.start("backup", str(archive), "--force")
        with started as process, suppress(subprocess.TimeoutExpired):
            process.wait(delay_s)
        assert restored.run("restore", str(archive), "--force").exit_status == 0
    assert archive.read_bytes()[:4] == before[:4]
    unify.run("backup", str(archive), "--force")
    assert sorted(path.name for path in tmp_path.glob("home.zip*")) == ["home.zip"]


def test_a_killed_restore_leaves_no_home(
    unify: InProcessCommand, restored: InProcessCommand, tmp_path: Path
) -> None:
    archive = tmp_path / "home.zip"
    unify.run("backup", str(archive))
    target = UnifyCommand(restored.home)
    target.folder = tmp_path
    target.environment["UNIFY_FAILPOINT"] = "restore.before_rename:kill"
    assert target.run("restore", str(archive)).exit_status == -9
    assert not restored.home.exists()
    result = restored.run("restore", str(archive))
    assert result.exit_status == 0
    assert f"{restored.home}/connections.yaml.restored: restored, but not used" in result.stdout
    assert not restored.home.with_name("restored.restoring").exists()


@pytest.mark.parametrize("answer", ["y", "n"])
def test_a_terminal_is_asked_whether_the_restored_connections_are_used(
    unify: InProcessCommand, restored: InProcessCommand, tmp_path: Path, answer: str
) -> None:
    archive = tmp_path / "home.zip"
    unify.run("backup", str(archive))
    words = [*UNIFY_COMMAND, "restore", str(archive)]
    with run_on_terminal(words, restored.environment, tmp_path) as terminal:
        terminal.expect_text("[y/N]")
        terminal.type(answer + ENTER)
        assert terminal.wait_for_end() == 0
    assert (restored.home / "connections.yaml").exists() is (answer == "y")


def test_a_damaged_table_is_found_requested_again_and_healed_by_the_daemon(unify: InProcessCommand) -> None:
    assert unify.run("daemon", "start").exit_status == 0
    [path] = (unify.home / "lake" / "files" / "shop" / "orders").glob("*.parquet")
    os.truncate(path, path.stat().st_size // 2)
    result = unify.run("lake", "check")
    assert result.exit_status == 1
    [finding, summary] = result.stdout.splitlines()
    assert finding.startswith(f"shop.orders: {path}: has ")
    assert finding.endswith("; reload table shop.orders fetches all rows again")
    assert summary.endswith(": 1 fault")

    repaired = unify.run("lake", "check", "--repair")
    assert "repair: shop.orders: reload requested as job " in repaired.stdout

    def is_reloaded() -> bool:
        return query(unify, "select count(*) from unify.jobs where state = 'done' and action = 'reload'") == [
            "1"
        ]

    unify("system status")
    wait_until(is_reloaded)
    assert query(unify, COUNTS)[0] == "true"
    left = unify.run("lake", "check")
    assert [line for line in left.stdout.splitlines() if "only older versions" not in line] == [
        left.stdout.splitlines()[-1]
    ]


def test_restore_refuses_the_home_of_a_running_daemon(unify: InProcessCommand, tmp_path: Path) -> None:
    assert unify.run("daemon", "start").exit_status == 0
    archive = tmp_path / "home.zip"
    unify.run("backup", str(archive))
    result = unify.run("restore", str(archive), "--force")
    assert result.exit_status == 1
    assert f"stop it with unify daemon stop --home {unify.home}" in result.stderr
    assert query(unify, COUNTS)[0] == "true"


class TestUsage:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["lake"], "usage: unify lake check"),
            (["lake", "chek"], "did you mean check?"),
            (["backup"], "FILE"),
            (["restore"], "FILE"),
            (["lake", "check", "--home", "/nowhere/home"], "no such home folder"),
            (["backup", "x.zip", "--home", "/nowhere/home"], "no such home folder"),
        ],
    )
    def test_a_mistake_is_explained_with_exit_status_2(
        self, shell: InProcessCommand, arguments: list[str], message: str
    ) -> None:
        result = shell.run(*arguments)
        assert (result.exit_status, result.stdout) == (2, "")
        assert message in result.stderr

    def test_a_home_without_a_lake_has_no_fault(self, shell: InProcessCommand) -> None:
        result = shell.run("lake", "check")
        assert result.exit_status == 0
        assert result.stdout.endswith("0 tables, 0 data files (0.0 MB): no faults\n")

    def test_a_file_that_exists_is_kept(self, shell: InProcessCommand, tmp_path: Path) -> None:
        path = tmp_path / "home.zip"
        path.write_bytes(b"mine")
        result = shell.run("backup", str(path))
        assert result.exit_status == 1
        assert "replace it with --force" in result.stderr
        assert path.read_bytes() == b"mine"
