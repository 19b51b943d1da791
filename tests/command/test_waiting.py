"""A script that waits says for whom, and how long it waits is bounded."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator

import pytest

from tests.support.command import InProcessCommand
from tests.support.fault_server import FaultServer, MockResponse
from tests.support.waiting import scaled_limit_s, wait_until
from unify.config.settings import Settings
from unify.fs.locks import FileLock
from unify.model import JobState
from unify.queue.queue import Queue

SPEC = """\
name: slow
base_url: "{base_url}"
options: {base_url: {}}
tables: [{name: t, request: GET /t, key: id}]
"""


@pytest.fixture
def slow(unify: InProcessCommand, api: FaultServer) -> InProcessCommand:
    specs = unify.home / "specs"
    specs.mkdir()
    (specs / "slow.yaml").write_text(SPEC)
    unify.environment["UNIFY_SPECS"] = str(specs)
    unify.write_connections(f"slow:\n  adapter: slow\n  options: {{base_url: '{api.url}'}}\n")
    api.serve("/t", MockResponse.json([{"id": 1}]))
    return unify


@pytest.fixture
def held_lock(slow: InProcessCommand) -> Iterator[FileLock]:
    """The writers' lock, as another session's transaction holds it."""
    settings = Settings(slow.home, slow.home / "connections.yaml")
    lock = FileLock(settings.lake_lock, "another shell")
    with lock.hold():
        yield lock


def test_a_rate_limit_of_an_hour_is_named_and_the_wait_is_bounded(
    slow: InProcessCommand, api: FaultServer
) -> None:
    api.serve("/t", MockResponse.error(429, Retry_After="3600"))
    assert slow("load table slow.t", args=["--no-wait"]).exit_status == 0
    with Queue(slow.home / "queue.db") as queue:
        wait_until(lambda: queue.recent_jobs(1)[0].failures == 1)
    limit = f"{scaled_limit_s(2):.0f} seconds"
    result = slow("load table slow.t", args=["--wait", limit])  # requests it once more
    assert result.exit_status == 1
    assert "slow.t: tried again at 20" in result.stderr
    assert "429" in result.stderr
    assert f"not loaded within {limit} (--wait): stopped waiting; loading slow.t goes on" in result.stderr
    assert slow("select state from unify.jobs where \"table\" = 't'").single_value == "queued"


def test_another_sessions_transaction_is_named_once(slow: InProcessCommand, held_lock: FileLock) -> None:
    assert slow("load table slow.t", args=["--no-wait"]).exit_status == 0
    with Queue(slow.home / "queue.db") as queue:
        wait_until(lambda: queue.recent_jobs(1)[0].state is JobState.PUBLISHING)
    result = slow("load table slow.t", args=["--wait", f"{scaled_limit_s(2):.0f}s"])
    assert result.exit_status == 1
    assert result.stderr.count("slow.t: waiting for another session's transaction: process") == 1
    assert "(another shell)" in result.stderr
    held_lock.release()
    assert slow("select count(*) from slow.t").single_value == "1"
    held_lock.acquire()


def test_clear_table_gives_up_and_names_the_holder(
    slow: InProcessCommand, held_lock: FileLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unify.lake.catalog.CLEAR_TIMEOUT_S", 2.0)
    held_lock.release()
    assert slow("load table slow.t").exit_status == 0
    taken, done = threading.Event(), threading.Event()

    def hold() -> None:
        with held_lock.hold():
            taken.set()
            done.wait(60)

    holder = threading.Thread(target=hold)
    holder.start()
    taken.wait(60)
    try:
        result = slow("clear table slow.t")
    finally:
        done.set()
        holder.join()
        held_lock.acquire()
    assert result.exit_status == 1
    assert "still held by process" in result.stderr
    assert "(another shell) after 2 s" in result.stderr


def test_wait_is_a_duration(slow: InProcessCommand) -> None:
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
