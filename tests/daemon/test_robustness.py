"""No outside fault ends the daemon: an error fails its job, a lock of another process makes it wait."""

from __future__ import annotations

import errno
import os
import random
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from tests.support.daemon_home import TIMEOUT_S, DaemonHome
from tests.support.fake_runners import TableNameRunner
from tests.support.stores import NOW
from tests.support.waiting import wait_until
from unify.config.settings import Settings
from unify.daemon import publisher
from unify.daemon.jobs import policies
from unify.daemon.jobs.running_jobs import RunningJobs
from unify.daemon.main import Daemon
from unify.daemon.publisher import PublishHandler, Warmup
from unify.daemon.worker_pool import WorkerPool
from unify.fs.locks import FileLock
from unify.fs.machine import boot_id
from unify.interpreter.commands.system import SystemCommands
from unify.lake.lake import Lake
from unify.load.protocol import Failure
from unify.load.staging import StagingArea
from unify.model import Action, ConfigPaths, JobState, LoaderJob, Priority, TableName
from unify.queue.queue import Queue
from unify.queue.rows import NewJob
from unify.status import instance
from unify.status.launch import is_daemon_running


class TestADaemon:
    def test_a_retry_after_of_a_million_years_is_capped(self, daemon_home: DaemonHome) -> None:
        pid = daemon_home.start_daemon()
        far = daemon_home.enqueue_load("far")
        assert daemon_home.wait_for_end(daemon_home.enqueue_load("rows")).state is JobState.DONE
        wait_until(lambda: daemon_home.queue.get(far.id).failures == 1)
        postponed = daemon_home.queue.get(far.id)
        assert postponed.state is JobState.QUEUED
        assert postponed.start_at - datetime.now(UTC) < timedelta(hours=27)
        assert daemon_home.start_daemon() == pid

    def test_shells_are_answered_while_hundreds_of_jobs_fail_at_once(self, daemon_home: DaemonHome) -> None:
        """No job has a connection, so none keeps a worker busy, and all 500 are ready."""
        daemon_home.start_daemon()
        origin = ConfigPaths(str(daemon_home.settings.home / "missing.yaml"))
        with daemon_home.queue._database.transaction():  # one transaction, so one fsync
            for number in range(500):
                name = TableName("other", f"rows{number}")
                daemon_home.queue.enqueue(NewJob("default", Action.REFRESH, name, origin, Priority.SCHEDULED))

        def states() -> set[JobState]:
            return {job.state for job in daemon_home.queue.recent_jobs(1_000)}

        with daemon_home.client() as client:
            client.poll_queue()
            wait_until(lambda: JobState.FAILED in states())
            client.ping()
        assert {JobState.FAILED, JobState.QUEUED} <= states()
        wait_until(lambda: not daemon_home.queue.active_jobs())

    def test_a_locked_queue_pauses_the_daemon_which_names_the_holder(self, daemon_home: DaemonHome) -> None:
        pid = daemon_home.start_daemon()
        gated = daemon_home.enqueue_load("gated")
        daemon_home.wait_for_progress(gated)
        queued = daemon_home.enqueue_load("rows")
        lock = FileLock(daemon_home.settings.home / "queue.lock", "a suspended shell")
        with lock.hold(), daemon_home.client() as client:
            daemon_home.open_gate()
            wait_until(lambda: bool(client.ping().waiting))
            waiting = client.ping().waiting
            assert f"held by process {os.getpid()} (a suspended shell)" in waiting
            time.sleep(2.5)  # longer than an attempt and the pause after it
            assert client.ping().pid == pid
        assert {daemon_home.wait_for_end(job).state for job in (gated, queued)} == {JobState.DONE}
        assert daemon_home.start_daemon() == pid
        assert " daemon.paused " in daemon_home.log_text()
        assert " daemon.resumed " in daemon_home.log_text()

    def test_a_load_survives_daemons_that_are_killed_and_their_number_is_kept(
        self, daemon_home: DaemonHome
    ) -> None:
        job = daemon_home.enqueue_load("gated")
        for deaths in range(policies.MAX_CRASHES):
            pid = daemon_home.start_daemon()
            wait_until(partial(self._is_running, daemon_home, job.id, deaths))
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: not is_daemon_running(daemon_home.settings))
        daemon_home.start_daemon()
        wait_until(partial(self._is_running, daemon_home, job.id, policies.MAX_CRASHES))
        daemon_home.open_gate()
        ended = daemon_home.wait_for_end(job)
        assert (ended.state, ended.crashes, ended.failures) == (JobState.DONE, 0, 0)

    @staticmethod
    def _is_running(home: DaemonHome, id: int, deaths: int) -> bool:
        job = home.queue.get(id)
        return (job.state, job.deaths) == (JobState.RUNNING, deaths)

    def test_a_killed_worker_is_logged_with_its_pid_and_job(self, daemon_home: DaemonHome) -> None:
        daemon_home.start_daemon()
        job = daemon_home.enqueue_load("hang")
        worker = daemon_home.wait_for_progress(job).rows
        with daemon_home.client() as client:
            client.cancel(job.id)
        daemon_home.wait_for_end(job)
        assert f"worker.killed pid={worker} job={job.id} reason=cancelled" in daemon_home.log_text()


class Loop:
    """A daemon in this process, whose loop the test runs."""

    def __init__(self, home: DaemonHome, stack: ExitStack) -> None:
        self.home = home
        pool = WorkerPool(home.settings.workers, TableNameRunner())
        self.daemon = Daemon(home.settings, pool, stack)
        self.dispatcher = self.daemon._dispatcher
        stack.callback(self.dispatcher.stop, 5.0)

    def run_until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + TIMEOUT_S
        while not condition():
            assert time.monotonic() < deadline
            self.daemon._run_once()
            time.sleep(0.01)

    def run_to_the_end(self, job: LoaderJob) -> LoaderJob:
        self.run_until(lambda: not self.home.queue.get(job.id).state.active)
        return self.home.queue.get(job.id)

    def enqueue(self, table: str) -> LoaderJob:
        self.dispatcher.schedule_poll()
        return self.home.enqueue_load(table)


class TestAFault:
    @pytest.fixture
    def loop(self, daemon_home: DaemonHome) -> Iterator[Loop]:
        with ExitStack() as stack:
            yield Loop(daemon_home, stack)

    @pytest.mark.parametrize(
        "method", ["handle_published", "handle_result", "update_progress", "handle_failure"]
    )
    def test_in_a_report_fails_its_job(
        self, loop: Loop, monkeypatch: pytest.MonkeyPatch, method: str
    ) -> None:
        original = getattr(RunningJobs, method)
        poisonous = loop.enqueue("refused" if method == "handle_failure" else "rows")

        def raise_overflow(self: RunningJobs, run: object, *rest: object) -> None:
            if run.job.id == poisonous.id and not getattr(rest[0], "bug", False):  # type: ignore[attr-defined]
                raise OverflowError("date value out of range")
            original(self, run, *rest)

        monkeypatch.setattr(RunningJobs, method, raise_overflow)
        ended = loop.run_to_the_end(poisonous)
        assert ended.state is JobState.FAILED
        assert "internal error: OverflowError: date value out of range" in ended.error
        assert "load.internal_error" in loop.home.log_text()
        assert loop.run_to_the_end(loop.enqueue("rows1")).state is JobState.DONE

    @pytest.mark.parametrize("method", ["enqueue_due", "next_start_at"])
    def test_in_a_queue_operation_leaves_the_others_working(
        self, loop: Loop, monkeypatch: pytest.MonkeyPatch, method: str
    ) -> None:
        def raise_overflow(*_: object) -> None:
            raise OverflowError("date value out of range")

        monkeypatch.setattr(Queue, method, raise_overflow)
        assert loop.run_to_the_end(loop.enqueue("rows")).state is JobState.DONE
        assert loop.home.log_text().count("daemon.internal_error") == 1

    def test_at_the_start_of_a_worker_postpones_the_job(
        self, loop: Loop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def raise_no_descriptors(*_: object) -> None:
            raise OSError(24, "Too many open files")

        with monkeypatch.context() as failing:
            failing.setattr(WorkerPool, "assign", raise_no_descriptors)
            job = loop.enqueue("rows")
            loop.run_until(lambda: loop.home.queue.get(job.id).failures == 1)
            assert "no worker can be started" in loop.home.queue.get(job.id).error
        assert loop.run_to_the_end(job).state is JobState.DONE

    def test_that_ends_the_daemon_counts_a_crash_of_each_running_job(self, loop: Loop) -> None:
        job = loop.enqueue("hang")
        loop.run_until(lambda: loop.home.queue.get(job.id).state is JobState.RUNNING)
        loop.dispatcher.stop(5.0, ZeroDivisionError())
        stopped = loop.home.queue.get(job.id)
        assert (stopped.state, stopped.crashes, stopped.deaths) == (JobState.QUEUED, 1, 0)

    def test_of_the_system_that_ends_the_daemon_counts_as_its_death(self, loop: Loop) -> None:
        job = loop.enqueue("hang")
        loop.run_until(lambda: loop.home.queue.get(job.id).state is JobState.RUNNING)
        loop.dispatcher.stop(5.0, OSError(errno.EMFILE, "Too many open files"))
        stopped = loop.home.queue.get(job.id)
        assert (stopped.state, stopped.crashes, stopped.deaths) == (JobState.QUEUED, 0, 1)


class TestAnOrphanedJob:
    """A job that the daemon before left running."""

    def orphan(self, home: DaemonHome, *, boot: str = "", **counts: int) -> LoaderJob:
        job = home.enqueue_load("rows")
        assert home.queue.claim(home.queue.start_epoch(), datetime.now(UTC), boot=boot) is not None
        with closing(sqlite3.connect(home.settings.queue)) as connection, connection:
            for column, value in counts.items():
                connection.execute(f"UPDATE job SET {column} = ? WHERE id = ?", [value, job.id])
        return job

    def test_runs_again_and_its_death_is_counted(self, daemon_home: DaemonHome) -> None:
        job = self.orphan(daemon_home, boot=boot_id())
        with ExitStack() as stack:
            loop = Loop(daemon_home, stack)
            loop.run_until(lambda: daemon_home.queue.get(job.id).deaths == 1)
            assert loop.run_to_the_end(job).state is JobState.DONE

    def test_ends_when_ten_daemons_have_died_during_it(self, daemon_home: DaemonHome) -> None:
        job = self.orphan(daemon_home, boot=boot_id(), deaths=policies.MAX_DAEMON_DEATHS - 1)
        with ExitStack() as stack:
            ended = Loop(daemon_home, stack).run_to_the_end(job)
        assert (ended.state, ended.error) == (JobState.DEAD, "the daemon ended during the load, 10 times")

    def test_is_not_blamed_for_a_restart_of_the_machine(self, daemon_home: DaemonHome) -> None:
        job = self.orphan(daemon_home, boot="of-another-start", deaths=policies.MAX_DAEMON_DEATHS - 1)
        with ExitStack() as stack:
            ended = Loop(daemon_home, stack).run_to_the_end(job)
        assert (ended.state, ended.deaths) == (JobState.DONE, policies.MAX_DAEMON_DEATHS - 1)


class TestAFailedLoad:
    def failed(self, home: DaemonHome) -> LoaderJob:
        """A job whose failure is in the queue when the daemon dies."""
        job = home.enqueue_load("rows")
        claimed = home.queue.claim(home.queue.start_epoch(), datetime.now(UTC))
        assert claimed is not None
        home.queue.finish(claimed, JobState.FAILED, "the source is gone")
        return job

    def recorded(self, home: DaemonHome) -> list[tuple[object, ...]]:
        with Lake(home.settings) as lake:
            return lake.read("SELECT job, status, error FROM lake._unify.loads ORDER BY position")

    def test_that_the_daemon_did_not_record_is_in_the_ledger_once(self, daemon_home: DaemonHome) -> None:
        job = self.failed(daemon_home)
        for _ in range(2):
            with ExitStack() as stack:
                loop = Loop(daemon_home, stack)
                loop.run_until(lambda: not daemon_home.queue.unrecorded_jobs())
        assert self.recorded(daemon_home) == [(job.id, "failed", "the source is gone")]

    def test_is_recorded_once_though_the_daemon_died_before_it_knew(self, daemon_home: DaemonHome) -> None:
        job = self.failed(daemon_home)
        for _ in range(2):
            with ExitStack() as stack:
                loop = Loop(daemon_home, stack)
                loop.run_until(lambda: not daemon_home.queue.unrecorded_jobs())
            with closing(sqlite3.connect(daemon_home.settings.queue)) as connection, connection:
                connection.execute("UPDATE job SET unrecorded = 1")
        assert self.recorded(daemon_home) == [(job.id, "failed", "the source is gone")]


def test_a_retry_removes_what_the_job_had_staged(daemon_home: DaemonHome) -> None:
    job = daemon_home.enqueue_load("rows")
    claimed = daemon_home.queue.claim(daemon_home.queue.start_epoch(), datetime.now(UTC))
    assert claimed is not None
    held = StagingArea(daemon_home.settings.staging).create_attempt_folder(claimed)
    daemon_home.queue.hold(claimed, "it has no rows", datetime.now(UTC))
    with ExitStack() as stack:
        loop = Loop(daemon_home, stack)
        loop.run_until(lambda: not daemon_home.queue.unrecorded_jobs())
        assert held.exists()
        assert daemon_home.queue.retry(job.id) is not None
        loop.dispatcher.schedule_poll()
        assert loop.run_to_the_end(job).state is JobState.DONE
        assert not held.exists()


@pytest.mark.parametrize("retry_after_s", [float("inf"), float("nan"), 1e300, 999_999_999_999_999, 1e12])
def test_a_retry_delay_is_at_most_a_day_and_its_jitter(retry_after_s: float) -> None:
    failure = Failure("RateLimited", "429", retryable=True, retry_after_s=retry_after_s)
    job = LoaderJob(
        1, "u", "t", Action.LOAD, TableName("a", "b"), ConfigPaths("/c"), 0, JobState.RUNNING, 1, 1, NOW, NOW
    )
    again = policies.decide_after_failure(job, failure, NOW, random.Random(7))
    assert isinstance(again, policies.RetryLater)
    assert timedelta(hours=24) <= again.start_at - NOW <= timedelta(hours=26.4)


@pytest.mark.parametrize("every_s", [1e300, float("inf"), 1e-300])
def test_extreme_refresh_intervals_can_be_scheduled(tmp_path: Path, every_s: float) -> None:
    job = LoaderJob(
        1, "u", "t", Action.LOAD, TableName("a", "b"), ConfigPaths("/c"), 0, JobState.RUNNING, 1, 1, NOW, NOW
    )
    with Queue(tmp_path / "queue.db") as queue:
        policies.schedule_next_refresh(queue, job, every_s, NOW)
        assert len(queue.schedules()) == 1
        queue.enqueue_due(NOW + timedelta(days=1))


def test_the_publisher_reopens_its_lake_after_a_number_of_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DuckLake caches the catalog of each version: a lake that stays open grows by 50 kB for each load."""
    monkeypatch.setattr(publisher, "COMMANDS_PER_LAKE", 3)
    handler = PublishHandler(Settings(tmp_path / "home", tmp_path / "c"), lambda _: True)
    lakes = []
    for _ in range(9):
        handler.execute(Warmup())
        lakes.append(handler._lake)
    handler.close()
    assert len({id(lake) for lake in lakes}) >= 3
    assert lakes[0] is lakes[1]


class TestASuspendedDaemon:
    def test_has_a_status_from_the_queue_with_the_command_that_resumes_it(
        self, daemon_home: DaemonHome
    ) -> None:
        pid = daemon_home.start_daemon()
        job = daemon_home.enqueue_load("gated")
        daemon_home.wait_for_progress(job)
        os.kill(pid, signal.SIGSTOP)
        try:
            system = SystemCommands(daemon_home.settings, daemon_home.queue, load_client=None)  # type: ignore[arg-type]
            wait_until(lambda: instance.is_suspended(pid))
            started = time.monotonic()
            text = system.status().text
            assert time.monotonic() - started < 2.0
            assert "Loading table: test.gated" in text
            assert f"the daemon (pid {pid}) is suspended; resume it with kill -CONT {pid}" in text
        finally:
            os.kill(pid, signal.SIGCONT)
        daemon_home.open_gate()
        assert daemon_home.wait_for_end(job).state is JobState.DONE
