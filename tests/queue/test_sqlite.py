"""The queue file: many processes, crashes and damage."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.jobs import NOON, new_job
from tests.support.paths import CHECKOUT
from unify.errors import StoreError
from unify.model import ConfigPaths, TableName
from unify.queue.queue import Queue
from unify.queue.rows import Schedule
from unify.queue.timing import Timing, advance_timing


def test_the_file_keeps_its_jobs_and_is_private(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        with Queue(tmp_path / "queue.db") as queue:
            job = queue.enqueue(new_job(), NOON)
            modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    finally:
        os.umask(old)
    assert set(modes.values()) == {0o600}, modes
    with Queue(tmp_path / "queue.db") as queue:
        assert queue.get(job.id) == job


@pytest.mark.parametrize("damage", ["not a database", "a page of zeros"])
def test_a_damaged_file_is_set_aside_and_a_new_queue_created(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "queue.db"
    with Queue(path) as queue:
        for number in range(300):
            queue.enqueue(new_job(f"github.t{number}"), NOON)
    content = bytearray(path.read_bytes())
    if damage == "not a database":
        content[:100] = b"\x07" * 100
    else:
        content[8192:20480] = bytes(12288)
    path.write_bytes(content)

    messages: list[str] = []
    with Queue(path, messages.append) as queue:
        assert queue.enqueue(new_job(), NOON).attempt == 0
    [aside] = [found for found in tmp_path.iterdir() if ".damaged-" in found.name]
    assert aside.read_bytes() == content
    assert str(path) in messages[0]
    assert aside.name in messages[0]


def test_a_file_damaged_under_an_open_queue_is_set_aside_at_the_next_use(tmp_path: Path) -> None:
    path = tmp_path / "queue.db"
    messages: list[str] = []
    with Queue(path, messages.append) as queue:
        for number in range(300):
            queue.enqueue(new_job(f"github.t{number}"), NOON)
        with sqlite3.connect(path) as other:
            other.execute("pragma wal_checkpoint(truncate)")
        other.close()
        size = path.stat().st_size
        with path.open("r+b") as file:
            file.seek(4096)
            file.write(b"\x07" * (size - 4096))
        with sqlite3.connect(path) as other, pytest.raises(sqlite3.DatabaseError):
            other.execute("select count(*) from job").fetchall()
        other.close()
        with Queue(path, messages.append) as fresh:
            job = fresh.enqueue(new_job(), NOON)
        assert queue.find(job.id) == job  # the first one detects that the file was replaced
    assert len(messages) == 1


def test_a_removed_queue_is_created_again(tmp_path: Path) -> None:
    with Queue(tmp_path / "queue.db") as queue:
        queue.enqueue(new_job(), NOON)
        for path in tmp_path.glob("queue.db*"):
            path.unlink()
        assert queue.active_jobs() == []
        assert queue.enqueue(new_job(), NOON).id == 1


def test_a_queue_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "queue.db"
    with sqlite3.connect(path) as connection:
        connection.execute("pragma user_version = 99")
    connection.close()
    with pytest.raises(StoreError, match=r"newer version of Unify \(schema 99"):
        Queue(path).active_jobs()
    assert path.exists()


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="nowhere"):
        Queue(tmp_path / "nowhere" / "queue.db").active_jobs()


_ENQUEUER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from unify.model import Action, ConfigPaths, TableName
from unify.queue.rows import NewJob
from unify.queue.queue import Queue

path, connection, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
with Queue(path) as queue:
    for number in range(count):
        table = TableName(connection, f"t{number}")
        job = queue.enqueue(NewJob("default", Action.LOAD, table, ConfigPaths("/c")), datetime.now(UTC))
        print(job.uid, flush=True)
"""


def start_enqueuer(path: Path, connection: str, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _ENQUEUER, str(path), connection, str(count)],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.process
def test_twenty_processes_that_request_one_load_get_one_job(tmp_path: Path) -> None:
    path = tmp_path / "queue.db"
    processes = [start_enqueuer(path, "github", 1) for _ in range(20)]
    uids = [process.communicate(timeout=60)[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0] * 20
    assert len({uid for [uid] in uids}) == 1


@pytest.mark.process
def test_two_queues_of_one_process_share_the_file(tmp_path: Path) -> None:
    path = tmp_path / "queue.db"
    with Queue(path) as first, Queue(path) as second:  # as in a shell: one writes, one reads
        assert (first.recent_jobs(1), second.recent_jobs(1)) == ([], [])
        with start_enqueuer(path, "github", 1) as other:  # opens and closes the file
            other.communicate(timeout=60)
        job = first.enqueue(new_job("jira.issues"), NOON)
        with start_enqueuer(path, "shop", 1) as later:
            later.communicate(timeout=60)
        assert {seen.table.schema for seen in second.active_jobs()} == {"github", "jira", "shop"}
        assert second.get(job.id) == job
        assert path.with_name("queue.db-wal").exists()


def assert_killed_processes_lose_no_job(path: Path, rounds: int, seed: int) -> None:
    """Kill processes while they enqueue; check that the file is intact and every accepted job is in it."""
    print(f"seed {seed}")
    rng = random.Random(seed)
    accepted: set[str] = set()
    for number in range(rounds):
        with start_enqueuer(path, f"c{number}", 100_000) as process:
            assert process.stdout is not None
            accepted.add(process.stdout.readline().strip())
            killer = threading.Timer(rng.uniform(0, 0.2), process.kill)
            killer.start()
            lines = process.stdout.read().split("\n")
            killer.join()
            accepted |= {line for line in lines[:-1] if line}
        assert process.returncode == -signal.SIGKILL
    with Queue(path) as queue:
        kept = {job.uid for job in queue.active_jobs()}
    assert accepted <= kept
    assert len(kept) <= len(accepted) + rounds  # each may have stored one job that it had not printed
    print(f"{len(accepted)} accepted in {rounds} kills, {len(accepted - kept)} lost")


@pytest.mark.process
def test_a_killed_process_loses_no_accepted_job(tmp_path: Path) -> None:
    assert_killed_processes_lose_no_job(tmp_path / "queue.db", rounds=8, seed=20260301)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_hundred_killed_processes_lose_no_accepted_job(tmp_path: Path) -> None:
    assert_killed_processes_lose_no_job(tmp_path / "queue.db", rounds=200, seed=random.randrange(2**32))


@pytest.mark.process
def test_every_acknowledgement_follows_an_fsync(tmp_path: Path) -> None:
    import shutil

    if shutil.which("strace") is None:
        pytest.skip("strace is not installed here")
    trace = tmp_path / "trace"
    tracer = ["strace", "-f", "-e", "trace=fsync,fdatasync,write", "-o", str(trace)]
    done = subprocess.run(
        [*tracer, sys.executable, "-c", _ENQUEUER, str(tmp_path / "queue.db"), "github", "5"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    uids = done.stdout.split()
    if done.returncode != 0 or not trace.exists():
        pytest.skip(f"strace cannot trace here: {done.stderr[:200]}")
    synced = False
    acknowledged = 0
    for line in trace.read_text().splitlines():
        if "sync(" in line:
            synced = True
        elif any(uid in line for uid in uids):
            assert synced, line
            acknowledged, synced = acknowledged + 1, False
    assert acknowledged == 5


class TestScheduleCopy:
    """Schedules of tables and scripts are also stored in a separate file."""

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        path = tmp_path / "queue.db"
        with Queue(path) as queue:
            queue.set_schedule(
                Schedule("default", TableName("shop", "orders"), ConfigPaths("/c"), 3600.0, NOON)
            )
            origin = ConfigPaths("/c")
            queue.scripts.set_script(
                "default", Path("/s/daily.sql"), Path("/s"), origin, Timing(86400.0, NOON)
            )
            queue.scripts.set_script("default", Path("/s/past.sql"), Path("/s"), origin, Timing(None, NOON))
        return path

    @pytest.mark.parametrize("damage", ["noise", "truncated", "missing"])
    def test_schedules_survive_a_lost_queue(self, path: Path, damage: str) -> None:
        for file in path.parent.glob("queue.db*"):
            file.unlink() if damage == "missing" or file != path else None
        if damage != "missing":
            path.write_bytes(b"\x07" * 8192 if damage == "noise" else b"")
        notices: list[str] = []
        with Queue(path, notices.append) as queue:
            [schedule] = queue.schedules()
            [script] = queue.scripts.list_scripts()
        assert (schedule.table, schedule.every_s) == (TableName("shop", "orders"), 3600.0)
        assert schedule.next_at is not None
        assert schedule.next_at > datetime.now(UTC) - timedelta(seconds=60)
        assert (script.name, script.timing.every_s) == ("daily", 86400.0)
        [notice] = notices
        assert "restored 1 schedules of tables and 1 of scripts" in notice
        assert "not restored, because due once and past: /s/past.sql" in notice

    def test_an_unreadable_copy_is_named(self, path: Path) -> None:
        path.write_bytes(b"\x07" * 8192)
        path.with_name("schedules.json").write_text("{")
        notices: list[str] = []
        with Queue(path, notices.append) as queue:
            assert queue.schedules() == []
        assert "schedules are lost" in notices[0]

    def test_the_copy_is_written_only_when_a_schedule_changes(self, path: Path) -> None:
        copy = path.with_name("schedules.json")
        before = copy.stat().st_ino
        with Queue(path) as queue:
            queue.enqueue_due(NOON + timedelta(hours=1))
            assert copy.stat().st_ino == before
            queue.delete_schedule("default", TableName("shop", "orders"))
        assert "orders" not in copy.read_text()


def test_a_number_out_of_range_is_a_unify_error(tmp_path: Path) -> None:
    with Queue(tmp_path / "queue.db") as queue:
        assert queue.find(2**63) is None
        assert queue.cancel(2**200) is None


def test_a_time_out_of_range_is_the_last_possible_one(tmp_path: Path) -> None:
    path = tmp_path / "queue.db"
    with Queue(path) as queue:
        job = queue.enqueue(new_job(), NOON)
        with sqlite3.connect(path) as other:
            other.execute("UPDATE job SET start_at = ?", [2**62])
        other.close()
        assert queue.get(job.id).start_at.year == 9999


def test_an_unreadable_row_does_not_block_later_jobs(tmp_path: Path) -> None:
    path = tmp_path / "queue.db"
    with Queue(path) as queue:
        broken, sound = (queue.enqueue(new_job(name), NOON) for name in ("github.a", "github.b"))
        with sqlite3.connect(path) as other:
            other.execute("UPDATE job SET origin = '{' WHERE id = ?", [broken.id])
        other.close()
        claimed = queue.claim(1, NOON)
        assert claimed is not None
        assert claimed.id == sound.id
        with sqlite3.connect(path) as other:
            row = other.execute("SELECT state, error FROM job WHERE id = ?", [broken.id]).fetchone()
        other.close()
        assert row[0] == "dead"
        assert "cannot be read" in row[1]


def test_a_queue_in_a_read_only_home_is_read_from_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "queue.db"
    with Queue(path) as writer:
        job = writer.enqueue(new_job(), NOON)
        with monkeypatch.context() as refused:
            refused.setattr("os.access", lambda *_: False)
            with Queue(path) as reader:
                assert reader.get(job.id) == job
                later = writer.enqueue(new_job("github.later"), NOON)
                assert reader.get(later.id) == later
                with pytest.raises(StoreError, match="read-only for this user"):
                    reader.enqueue(new_job("github.new"), NOON)


class TestExtremeDueTimes:
    @pytest.mark.parametrize("every_s", [0.0, -5.0, 1e300, 1e12])
    @pytest.mark.parametrize("zone", ["", "Europe/Berlin"])
    def test_extreme_intervals_can_be_computed(self, every_s: float, zone: str) -> None:
        first = "2026-03-01T12:00" if zone else ""
        moved = advance_timing(Timing(every_s, NOON, None, "12:00" if zone else "", zone, first), NOON)
        assert moved.next_at is not None
        assert moved.next_at > NOON

    def test_a_due_time_in_the_last_year_of_the_calendar_can_be_stored(self) -> None:
        last = datetime.max.replace(tzinfo=UTC)
        assert advance_timing(Timing(60.0, last), NOON).next_at == NOON + timedelta(seconds=60)
