"""Limits of the daemon: idle exit, memory of workers, number of crashes."""

from __future__ import annotations

import os
import signal
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.support.daemon_home import DaemonHome
from tests.support.waiting import wait_until
from unify.fs import memory
from unify.fs.memory import resident_bytes
from unify.model import Action, ConfigPaths, JobState, TableName
from unify.queue.rows import NewJob
from unify.status.launch import is_daemon_running


class TestIdleExit:
    def test_an_idle_daemon_exits_and_logs_the_reason(self, daemon_home: DaemonHome) -> None:
        daemon_home.settings = replace(daemon_home.settings, idle_timeout_s=0.5)
        daemon_home.start_daemon()
        wait_until(lambda: not is_daemon_running(daemon_home.settings))
        assert "daemon.idle_exit idle_exit_s=0.5" in daemon_home.log_text()
        assert daemon_home.log_text().rstrip().endswith("daemon.stopped")

    def test_a_daemon_with_a_running_load_does_not_exit(self, daemon_home: DaemonHome) -> None:
        daemon_home.settings = replace(daemon_home.settings, idle_timeout_s=0.5)
        daemon_home.start_daemon()
        job = daemon_home.enqueue_load("gated")
        daemon_home.wait_for_progress(job)
        time.sleep(1.2)  # twice the idle timeout
        assert is_daemon_running(daemon_home.settings)
        daemon_home.open_gate()
        assert daemon_home.wait_for_end(job).state is JobState.DONE
        wait_until(lambda: not is_daemon_running(daemon_home.settings))

    def test_a_daemon_without_idle_timeout_keeps_running(self, daemon_home: DaemonHome) -> None:
        daemon_home.start_daemon()
        assert daemon_home.settings.idle_timeout_s is None
        time.sleep(1.0)
        assert is_daemon_running(daemon_home.settings)


class TestMemory:
    def test_resident_memory_of_a_process_is_measured(self) -> None:
        before = resident_bytes([os.getpid()])[os.getpid()]
        block = bytearray(os.urandom(1024)) * (100 * 1024)
        assert resident_bytes([os.getpid()])[os.getpid()] - before > 0.9 * len(block)

    @pytest.mark.process
    def test_without_proc_ps_measures_the_same_memory(self, monkeypatch: pytest.MonkeyPatch) -> None:
        here = os.getpid()
        by_proc = resident_bytes([here])[here]
        monkeypatch.setattr(memory, "_PROC", Path("/no/proc"))
        assert resident_bytes([here, 2**22 + 1]) == {here: pytest.approx(by_proc, rel=0.2)}
        assert resident_bytes([]) == {}

    def test_an_ended_process_has_no_measurement(self) -> None:
        assert resident_bytes([2**22 + 1]) == {}

    def test_a_load_over_the_memory_limit_ends_and_other_loads_continue(
        self, daemon_home: DaemonHome
    ) -> None:
        daemon_home.settings = replace(daemon_home.settings, worker_memory_bytes=400 * 1024**2)
        daemon_home.start_daemon()
        neighbour = daemon_home.enqueue_load("gated")
        pid = daemon_home.wait_for_progress(neighbour).rows
        greedy = daemon_home.wait_for_end(daemon_home.enqueue_load("grow"))
        assert greedy.state is JobState.DEAD
        assert "MiB of memory; the limit is 400 MiB" in greedy.error
        assert daemon_home.wait_for_progress(neighbour).rows == pid
        daemon_home.open_gate()
        assert daemon_home.wait_for_end(neighbour).state is JobState.DONE


class TestCrashes:
    def test_are_counted_across_daemon_restarts(self, daemon_home: DaemonHome) -> None:
        pid = daemon_home.start_daemon()
        job = daemon_home.enqueue_load("crash")
        wait_until(lambda: daemon_home.queue.get(job.id).crashes == 1)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not is_daemon_running(daemon_home.settings))
        daemon_home.start_daemon()
        ended = daemon_home.wait_for_end(job)
        assert (ended.state, ended.crashes) == (JobState.DEAD, 2), ended  # the third crash ended the job
        assert "3 times" in ended.error

    def test_are_reset_by_a_retry(self, daemon_home: DaemonHome) -> None:
        origin = ConfigPaths(str(daemon_home.settings.connections))
        table = TableName("test", "rows")
        job = daemon_home.queue.enqueue(NewJob("default", Action.LOAD, table, origin))
        claimed = daemon_home.queue.claim(1, datetime.now(UTC))
        assert claimed is not None
        back = daemon_home.queue.requeue(claimed, datetime.now(UTC), "killed", crashed=True)
        assert back is not None
        assert (back.crashes, back.failures) == (1, 1)
        daemon_home.queue.cancel(job.id)
        again = daemon_home.queue.retry(job.id)
        assert again is not None
        assert (again.crashes, again.failures) == (0, 0)
