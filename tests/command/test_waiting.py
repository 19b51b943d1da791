"""A script that waits says for whom, and how long it waits is bounded."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator

import pytest

from tests.support.command import UnifyCommand
from tests.support.fault_server import FaultServer, MockResponse
from unify.config.settings import Settings
from unify.fs.locks import FileLock

SPEC = """\
name: slow
base_url: "{base_url}"
options: {base_url: {}}
tables: [{name: t, request: GET /t, key: id}]
"""


@pytest.fixture
def slow(unify_process: UnifyCommand, api: FaultServer) -> UnifyCommand:
    specs = unify_process.home / "specs"
    specs.mkdir()
    (specs / "slow.yaml").write_text(SPEC)
    unify_process.environment["UNIFY_SPECS"] = str(specs)
    unify_process.write_connections(f"slow:\n  adapter: slow\n  options: {{base_url: '{api.url}'}}\n")
    api.serve("/t", MockResponse.json([{"id": 1}]))
    return unify_process


@pytest.fixture
def held_lock(slow: UnifyCommand) -> Iterator[FileLock]:
    """The writers' lock, as another session's transaction holds it."""
    settings = Settings(slow.home, slow.home / "connections.yaml")
    lock = FileLock(settings.lake_lock, "another shell")
    with lock.hold():
        yield lock


def test_a_rate_limit_of_an_hour_is_named_and_the_wait_is_bounded(
    slow: UnifyCommand, api: FaultServer
) -> None:
    api.serve("/t", MockResponse.error(429, Retry_After="3600"))
    result = slow("load table slow.t", args=["--wait", "6s"])
    assert result.exit_status == 1
    assert "slow.t: tried again at 20" in result.stderr
    assert "429" in result.stderr
    assert "not loaded within 6 seconds (--wait): stopped waiting; loading slow.t goes on" in result.stderr
    assert slow("select state from unify.jobs where \"table\" = 't'").single_value == "queued"


def test_another_sessions_transaction_is_named_once(slow: UnifyCommand, held_lock: FileLock) -> None:
    result = slow("load table slow.t", args=["--wait", "8s"])
    assert result.exit_status == 1
    assert result.stderr.count("slow.t: waiting for another session's transaction: process") == 1
    assert "(another shell)" in result.stderr
    held_lock.release()
    assert slow("select count(*) from slow.t").single_value == "1"
    held_lock.acquire()


def test_clear_table_gives_up_and_names_the_holder(
    slow: UnifyCommand, held_lock: FileLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.support.command import InProcessCommand

    monkeypatch.setattr("unify.lake.catalog.CLEAR_TIMEOUT_S", 2.0)
    command = InProcessCommand(slow.home)
    command.environment = slow.environment
    held_lock.release()
    assert command("load table slow.t").exit_status == 0
    taken, done = threading.Event(), threading.Event()

    def hold() -> None:
        with held_lock.hold():
            taken.set()
            done.wait(60)

    holder = threading.Thread(target=hold)
    holder.start()
    taken.wait(60)
    try:
        result = command("clear table slow.t")
    finally:
        done.set()
        holder.join()
        held_lock.acquire()
    assert result.exit_status == 1
    assert "still held by process" in result.stderr
    assert "(another shell) after 2 s" in result.stderr


def test_wait_is_a_duration(slow: UnifyCommand) -> None:
    result = slow("select 1", args=["--wait", "soon"])
    assert result.exit_status == 2
    assert "'soon' is not a duration" in result.stderr
    assert (
        subprocess.run(
            [*slow.command, "--wait", "10m", "-c", "select count(*) from slow.t"],
            env=slow.environment,
            cwd=slow.home,
            capture_output=True,
            text=True,
        ).stdout
        == "count_star()\n1\n"
    )
