"""A daemon on a full disk replies, waits and resumes when space is free; no load is lost or doubled.

The quick tests limit the file size of the running daemon to zero, so that every write fails. The last test
fills a small disk.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon_home import DaemonHome
from tests.support.paths import CHECKOUT
from tests.support.waiting import wait_until
from unify.cli.daemon_commands import run_daemon_task
from unify.config.settings import Settings
from unify.daemon.disk_space import RETRY_INTERVAL_S, DiskSpaceMonitor, has_disk_space
from unify.daemon.log import DaemonLog
from unify.errors import StoreError
from unify.interpreter.commands.system import progress_text
from unify.model import JobState
from unify.status.launch import is_daemon_running, stop_daemon

TIMEOUT_S = 60.0


@pytest.fixture
def home(daemon_home: DaemonHome) -> DaemonHome:
    return daemon_home


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux limits another process")
class TestFullDisk:
    def test_the_daemon_waits_and_resumes_when_space_is_free(
        self, home: DaemonHome, capsys: pytest.CaptureFixture[str]
    ) -> None:
        pid = home.start_daemon()
        job = home.enqueue_load("gated")
        home.wait_for_progress(job)
        limit_file_size(pid)
        queued = home.enqueue_load("rows")
        home.open_gate()
        with home.client() as client:
            statuses = client.subscribe()
            wait_until(lambda: bool(client.ping().waiting))
            assert client.ping().waiting == f"the disk is full ({home.settings.home})"
            while not (blocked := [status for status in statuses if status.blocked_by]):
                statuses = client.events(1)
        assert blocked[0].job == queued.id
        assert progress_text(blocked[0], queued.created_at) == (
            f"queued  waiting: the disk is full ({home.settings.home})"
        )
        assert f"waiting: the disk is full ({home.settings.home})" in status_of(home)
        run_daemon_task("daemon status", home.settings)
        assert f"waiting: the disk is full ({home.settings.home})\n" in capsys.readouterr().out

        unlimit_file_size(pid)
        # A load whose staged rows could not be looked at on the full disk is read again.
        assert [home.keep_gate_open(one).state for one in (job, queued)] == [JobState.DONE] * 2
        assert (home.count_rows("gated"), home.count_rows("rows")) == (100, 100)
        assert home.start_daemon() == pid
        assert "waiting" not in status_of(home)
        assert home.log_text().count("disk.recovered") == 1
        assert "disk I/O error" in home.log_text()

    def test_the_daemon_can_be_stopped_and_the_next_one_finishes_its_load(self, home: DaemonHome) -> None:
        pid = home.start_daemon()
        job = home.enqueue_load("gated")
        home.wait_for_progress(job)
        limit_file_size(pid)
        assert stop_daemon(home.settings)
        assert not is_daemon_running(home.settings)
        assert home.queue.get(job.id).state is JobState.RUNNING  # the new state could not be written
        home.start_daemon()
        home.wait_for_progress(job)
        home.open_gate()
        assert home.wait_for_end(job).state is JobState.DONE
        assert home.count_rows("gated") == 100


def limit_file_size(pid: int) -> None:
    """Make every write of the process fail."""
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, hard))


def unlimit_file_size(pid: int) -> None:
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))


def status_of(home: DaemonHome) -> str:
    """Return the output of ``system status``, run as a process."""
    shown = subprocess.run(
        [sys.executable, "-m", "unify", "--home", str(home.settings.home), "-c", "system status"],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert shown.returncode == 0, shown
    return shown.stdout


class TestDiskSpaceMonitor:
    """The times of the checks, with a fake clock and a fake disk."""

    @pytest.fixture
    def log(self, tmp_path: Path) -> Iterator[DaemonLog]:
        log = DaemonLog(tmp_path, 1)
        yield log
        log.close()

    def test_the_disk_is_checked_at_intervals_and_logged_once(self, tmp_path: Path, log: DaemonLog) -> None:
        now, disk = [0.0], [False]
        settings = Settings(tmp_path, tmp_path / "connections.yaml")
        monitor = DiskSpaceMonitor(settings, log, clock=lambda: now[0], has_space=lambda _: disk[0])
        assert monitor.can_start_work()
        assert monitor.pause("queue.db: the disk is full")
        assert not monitor.pause("again")
        assert (monitor.can_start_work(), monitor.wait_s()) == (False, RETRY_INTERVAL_S)
        now[0] += RETRY_INTERVAL_S
        assert not monitor.can_start_work()
        assert monitor.wait_s() == RETRY_INTERVAL_S  # the time to the next check
        now[0], disk[0] = now[0] + RETRY_INTERVAL_S, True
        assert monitor.can_start_work()
        monitor.resume()
        assert monitor.pause_reason == ""
        lines = log.path.read_text().splitlines()
        assert len(lines) == 2
        assert f"disk.full path={tmp_path}" in lines[0]
        assert f'waited_s={2 * RETRY_INTERVAL_S} error="queue.db: the disk is full"' in lines[1]

    def test_an_unnamed_error_is_a_disk_full_error_if_no_space_is_left(
        self, tmp_path: Path, log: DaemonLog
    ) -> None:
        disk = [True]
        monitor = DiskSpaceMonitor(Settings(tmp_path, tmp_path / "c"), log, has_space=lambda _: disk[0])
        error = StoreError("/h/queue.db: unable to open database file")
        assert not monitor.is_disk_full_error(error)
        disk[0] = False
        assert monitor.is_disk_full_error(error)

    def test_the_check_writes_a_file_and_removes_it(self, tmp_path: Path) -> None:
        assert has_disk_space([tmp_path, tmp_path / "not made yet"])
        assert list(tmp_path.iterdir()) == []


_ON_A_SMALL_DISK = """
import os, sys, time
from contextlib import suppress
from pathlib import Path
from benchmarks.chaos import disk
from tests.support.daemon_home import DaemonHome
from unify.errors import StoreError
from unify.model import JobState
from unify.status import launch
from unify.lake.lake import Lake

launch.DAEMON_MODULE = "tests.support.daemon_process"
small = Path(sys.argv[1])
home = DaemonHome(small)
pid = home.start_daemon()
assert home.wait_for_end(home.enqueue_load("rows")).state is JobState.DONE
accepted = []

def open_gate():
    # Release the workers at the gate; a load that is fetched again waits there again.
    with suppress(OSError):
        os.close(os.open(home.settings.home / "gate", os.O_WRONLY | os.O_NONBLOCK))

def ended(job):
    until = time.monotonic() + 60
    while (current := home.queue.get(job.id)).state.active:
        assert time.monotonic() < until, current
        open_gate()
        time.sleep(0.02)
    return current

for turn in range(3):
    gated = home.enqueue_load("gated")
    home.wait_for_progress(gated)
    disk.fill_disk(small)
    accepted.append(gated)
    for number in range(5):
        with suppress(StoreError):
            accepted.append(home.enqueue_load(f"rows{5 * turn + number + 1}"))
    open_gate()
    with home.client() as client:
        until = time.monotonic() + 60
        while not (waiting := client.ping().waiting):
            assert time.monotonic() < until
            time.sleep(0.02)
    print(waiting)
    with Lake(home.settings) as lake:
        assert lake.read("select count(*) from lake.test.rows") == [(100,)]
    disk.free_disk(small)
    ends = [ended(job) for job in accepted]
    ill = [job for job in ends if job.state is not JobState.DONE]
    assert all("disk is full" in job.error or "No space left" in job.error for job in ill), ill
    for job in ill:
        assert ended(home.enqueue_load(job.table.table)).state is JobState.DONE
    assert all(home.count_rows(job.table.table) == 100 for job in accepted)
assert home.start_daemon() == pid
disk.fill_disk(small)
home.close()
disk.free_disk(small)
print("nothing lost", len(accepted))
"""


@pytest.mark.process
@pytest.mark.skipif(
    os.getuid() != 0 or shutil.which("unshare") is None, reason="mounting a disk needs root and unshare"
)
def test_a_disk_filled_three_times_loses_no_load(tmp_path: Path) -> None:
    mount = 'mount -t tmpfs -o size=32m tmpfs "$0" && exec "$@"'
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", mount, tmp_path, sys.executable, "-c", _ON_A_SMALL_DISK, tmp_path],
        cwd=CHECKOUT,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        timeout=200,
    )
    if "mount:" in done.stderr:
        pytest.skip(f"mounting is not allowed here: {done.stderr}")
    lines = done.stdout.splitlines()
    assert lines[:3] == [f"the disk is full ({tmp_path}/home)"] * 3, done
    assert lines[3].startswith("nothing lost"), done
