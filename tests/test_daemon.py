"""The daemon as a process of its own: started, loaded with work, killed and stopped for real.

Its workers do what the table is called after (tests/runners.py); queue, lake, staging, publishing,
sockets and signals are the real ones.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import unify
from unify.errors import DaemonUnreachable
from unify.interpreter import waiting
from unify.interpreter.system import System, progress_text
from unify.model import Action, JobState, LoaderJob, LoaderStatus, Origin, Priority, TableName
from unify.settings import Settings
from unify.status import instance
from unify.status.client import StatusClient
from unify.status.launch import daemon_running, ensure_daemon, stop_daemon
from unify.store import catalog
from unify.store.lake import Lake
from unify.store.queue import NewJob, Queue

REPOSITORY = Path(unify.__file__).resolve().parents[1]
PATIENCE_S = 30.0
LONG = pytest.param(200, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])


class Home:
    """A home folder with its queue, and the daemon that works there."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(folder, folder / "connections.yaml", workers=3)
        self.settings.prepare()
        self.settings.connections.write_text(
            "test: {adapter: test}\n"
            "other: {adapter: test}\n"
            "vault: {adapter: test, options: {token: '${TEST_TOKEN}'}}\n"
        )
        self.settings.connections.chmod(0o600)
        self.queue = Queue(self.settings.queue)
        os.mkfifo(folder / "gate")

    def start(self) -> int:
        """See that the daemon runs; gives its process id."""
        return ensure_daemon(self.settings).pid

    def client(self) -> StatusClient:
        return StatusClient(self.settings.run)

    def ask(
        self,
        does: str,
        action: Action = Action.LOAD,
        schema: str = "test",
        priority: int = Priority.PERSON,
    ) -> LoaderJob:
        """Put a load into the queue, and say so if somebody listens."""
        origin = Origin(str(self.settings.connections))
        job = self.queue.enqueue(NewJob("default", action, TableName(schema, does), origin, priority))
        if daemon_running(self.settings):
            client = StatusClient(self.settings.run, timeout_s=1.0)
            with client, suppress(DaemonUnreachable):  # killed just now: its successor looks
                client.kick()
        return job

    def until(self, job: LoaderJob, *states: JobState, within_s: float = PATIENCE_S) -> LoaderJob:
        """Wait until ``job`` is in one of ``states``, hurried by events."""
        deadline = time.monotonic() + within_s
        with StatusClient(self.settings.run, timeout_s=0.2) as client:
            while (current := self.queue.get(job.id)).state not in states:
                assert time.monotonic() < deadline, current
                try:
                    client.events(0.05)
                except DaemonUnreachable:
                    continue
        return current

    def ended(self, job: LoaderJob) -> LoaderJob:
        return self.until(job, JobState.DONE, JobState.FAILED, JobState.DEAD, JobState.CANCELLED)

    def progress(self, job: LoaderJob) -> LoaderStatus:
        """The first progress of a job that has rows; the runners tell their process id as rows."""
        deadline = time.monotonic() + PATIENCE_S
        with self.client() as client:
            statuses = list(client.subscribe())
            while not (found := [status for status in statuses if status.job == job.id and status.rows]):
                assert time.monotonic() < deadline, statuses
                statuses = list(client.events(1))
        return found[0]

    def open_gate(self) -> None:
        """Let every worker go that waits at the gate."""
        with open(self.settings.home / "gate", "wb"):
            pass

    def rows(self, table: str, schema: str = "test") -> int:
        with Lake(self.settings, read_only=True) as lake:
            [(count,)] = lake.read(f"select count(distinct id) from {schema}.{table}")
            [(all_rows,)] = lake.read(f"select count(*) from {schema}.{table}")
        assert count == all_rows
        return int(str(count))

    def stored(self) -> set[TableName]:
        with Lake(self.settings, read_only=True) as lake:
            return set(catalog.stored_tables(lake))

    def log(self) -> str:
        return (self.settings.logs / "daemon.log").read_text("utf-8")

    def close(self) -> None:
        self.queue.close()
        stop_daemon(self.settings)
        assert not daemon_running(self.settings)


@pytest.fixture
def home(place: Home) -> Home:
    return place


def test_a_job_is_loaded_published_and_done(home: Home) -> None:
    home.start()
    job = home.ended(home.ask("rows"))
    assert (job.state, job.error, job.attempt) == (JobState.DONE, "", 1)
    assert home.rows("rows") == 100
    assert list(home.settings.staging.iterdir()) == []


def test_jobs_queued_while_no_daemon_runs_are_done_when_it_starts(home: Home) -> None:
    jobs = [home.ask("rows"), home.ask("rows", schema="other")]
    home.start()
    assert {home.ended(job).state for job in jobs} == {JobState.DONE}


def test_events_tell_a_load_from_start_to_end(home: Home) -> None:
    home.start()
    with home.client() as client:
        client.subscribe()
        job = home.ask("rows")
        states: list[JobState] = []
        while JobState.DONE not in states:
            states.extend(status.state for status in client.events(5) if status.job == job.id)
    assert list(dict.fromkeys(states)) == [JobState.RUNNING, JobState.PUBLISHING, JobState.DONE]


def test_of_many_starters_one_daemon_comes_and_all_reach_it(home: Home) -> None:
    pids: list[int] = []
    starters = [threading.Thread(target=lambda: pids.append(home.start())) for _ in range(12)]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join()
    assert len(pids) == 12
    assert len(set(pids)) == 1
    assert home.log().count("daemon started") == 1


def test_a_second_daemon_gives_way(home: Home) -> None:
    first = home.start()
    second = subprocess.run(
        [sys.executable, "-m", "tests.daemon_process", "--home", str(home.settings.home)],
        capture_output=True,
        text=True,
    )
    assert "another daemon runs" in second.stderr
    assert second.returncode == 3
    assert home.start() == first


def test_a_source_that_says_no_ends_the_job_with_its_reason(home: Home) -> None:
    home.start()
    job = home.ended(home.ask("refused"))
    assert (job.state, job.error) == (JobState.FAILED, "api: 401 for ")


def test_a_source_that_says_later_is_asked_later(home: Home) -> None:
    home.start()
    job = home.ended(home.ask("unwell"))
    assert (job.state, job.attempt, job.failures) == (JobState.DONE, 2, 1)


def test_a_crash_is_tried_again_within_two_seconds(home: Home) -> None:
    home.start()
    job = home.ended(home.ask("flaky"))
    assert (job.state, job.attempt) == (JobState.DONE, 2)
    [crashed] = _lines(home, "load crashed", 1)
    [_, again] = _lines(home, "load started", 2)
    assert _moment(again) - _moment(crashed) < timedelta(seconds=2)
    assert home.rows("flaky") == 100


def test_a_poisonous_job_ends_and_the_others_do_not_notice(home: Home) -> None:
    home.start()
    poison, other = home.ask("crash"), home.ask("rows")
    assert home.ended(other).state is JobState.DONE
    dead = home.ended(poison)
    assert (dead.state, dead.attempt) == (JobState.DEAD, 3)
    assert dead.error == "the worker was killed by SIGSEGV, 3 times"


def test_a_killed_worker_is_replaced_and_its_job_done(home: Home) -> None:
    home.start()
    job = home.ask("gated")
    os.kill(home.progress(job).rows, signal.SIGKILL)
    home.until(job, JobState.QUEUED)
    home.until(job, JobState.RUNNING, within_s=2)
    home.open_gate()
    assert home.ended(job).state is JobState.DONE
    assert home.rows("gated") == 100


def test_a_parent_is_loaded_before_its_child(home: Home) -> None:
    home.start()
    child = home.ended(home.ask("child"))
    assert child.state is JobState.DONE
    assert home.stored() == {TableName("test", "child"), TableName("test", "rows")}


def test_a_child_fails_with_its_parent_and_says_why(home: Home) -> None:
    home.start()
    child = home.ended(home.ask("orphaned"))
    assert child.state is JobState.FAILED
    assert child.error == "it needs test.refused, whose load failed: api: 401 for "


def test_a_queued_job_is_cancelled_at_once(home: Home) -> None:
    home.start()
    job = home.ask("unwell")
    home.until(job, JobState.QUEUED)
    cancelled = home.queue.cancel(job.id)
    assert cancelled is not None
    assert home.ended(job).state in (JobState.CANCELLED, JobState.DONE)


@pytest.mark.parametrize("does", ["hang", "ignore"])
def test_a_running_job_is_cancelled_within_two_seconds_even_if_it_hangs(home: Home, does: str) -> None:
    home.start()
    job = home.ask(does)
    worker = home.progress(job).rows
    with home.client() as client:
        client.cancel(job.id)
    assert home.until(job, JobState.CANCELLED, within_s=2).error == "cancelled"
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)
    assert home.ended(home.ask("rows")).state is JobState.DONE


def test_a_cancellation_asked_in_the_queue_alone_is_seen_too(home: Home) -> None:
    home.start()
    job = home.ask("hang")
    home.progress(job)
    home.queue.cancel(job.id)
    with home.client() as client:
        client.kick()
    assert home.ended(job).state is JobState.CANCELLED


@pytest.mark.parametrize("workers", [3, pytest.param(8, marks=pytest.mark.slow)])
def test_stopping_leaves_the_jobs_ready_and_no_process(home: Home, workers: int) -> None:
    home.settings = replace(home.settings, workers=workers)
    home.start()
    kinds = ("hang1", "ignore1", "hang2", "hang3", "ignore2", "hang4", "hang5", "hang6")
    jobs = [home.ask(does) for does in kinds[: home.settings.workers]]
    pids = [home.progress(job).rows for job in jobs]
    started = time.monotonic()
    assert stop_daemon(home.settings)
    stopped_s = time.monotonic() - started
    print(f"stopped in {stopped_s:.1f} s with {len(jobs)} loads running, some of them deaf")
    assert stopped_s < 10
    assert not stop_daemon(home.settings)
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert {(job.state, job.failures) for job in home.queue.active()} == {(JobState.QUEUED, 0)}
    for job in jobs:
        home.queue.cancel(job.id)


def test_sigterm_stops_it_as_cleanly(home: Home) -> None:
    daemon = home.start()
    job = home.ask("hang")
    home.progress(job)
    os.kill(daemon, signal.SIGTERM)
    assert home.until(job, JobState.QUEUED, within_s=10).failures == 0
    home.queue.cancel(job.id)


def test_a_killed_daemon_is_followed_by_one_that_finishes_its_loads(home: Home) -> None:
    daemon = home.start()
    job = home.ask("gated")
    worker = home.progress(job).rows
    os.kill(daemon, signal.SIGKILL)
    _wait_for_end(worker)
    assert not daemon_running(home.settings)
    assert home.start() != daemon
    home.progress(job)
    home.open_gate()
    done = home.ended(job)
    assert (done.state, done.attempt) == (JobState.DONE, 2)
    assert home.rows("gated") == 100


@pytest.mark.parametrize(
    "point",
    [
        "daemon.claimed",
        "daemon.sealed",
        "publish.before_commit",
        "publish.committed",
        "daemon.published",
    ],
)
def test_killed_at_any_point_of_a_load_nothing_is_lost_or_doubled(
    home: Home, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    job = home.ask("rows")
    _die_at(home, monkeypatch, point)
    assert home.queue.get(job.id).state.active
    home.start()
    assert home.ended(job).state is JobState.DONE
    assert home.rows("rows") == 100


def test_a_load_that_daemons_die_of_is_given_up(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    job = home.ask("rows")
    _die_at(home, monkeypatch, "daemon.sealed")
    [folder] = home.settings.staging.glob("*/1")
    (folder / "recoveries").write_bytes(b"." * 10)
    home.start()
    ended = home.ended(job)
    assert (ended.state, ended.attempt) == (JobState.FAILED, 1)
    assert "10 daemons ended while they published it" in ended.error


def test_what_is_staged_and_torn_is_fetched_again(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    job = home.ask("rows")
    _die_at(home, monkeypatch, "daemon.sealed")
    [manifest] = home.settings.staging.glob("*/1/manifest.json")
    manifest.write_bytes(manifest.read_bytes()[:20])
    home.start()
    ended = home.ended(job)
    assert (ended.state, ended.attempt) == (JobState.DONE, 2)
    assert home.rows("rows") == 100


def test_it_stops_in_time_while_somebody_holds_the_lake_and_the_load_is_not_lost(home: Home) -> None:
    home.start()
    home.ended(home.ask("rows"))
    with Lake(home.settings) as lake, lake.lock():
        job = home.ask("rows", Action.RELOAD)
        home.until(job, JobState.PUBLISHING)
        started = time.monotonic()
        stop_daemon(home.settings)
        assert time.monotonic() - started < 10
        assert home.queue.get(job.id).state is JobState.PUBLISHING
    home.start()
    assert home.ended(job).state is JobState.DONE
    assert home.rows("rows") == 100


def test_a_load_that_waits_for_somebodys_transaction_says_so(home: Home) -> None:
    home.start()
    home.ended(home.ask("rows"))
    with Lake(home.settings, purpose="a shell") as lake, home.client() as client:
        lake.execute("begin")
        lake.execute("create table mine as select 1 as a")
        job = home.ask("rows", Action.RELOAD)
        statuses = list(client.subscribe())
        deadline = time.monotonic() + PATIENCE_S
        while not (blocked := [status for status in statuses if status.blocked_by]):
            assert time.monotonic() < deadline
            statuses = list(client.events(1))
        said = f"waiting for another session's transaction: process {os.getpid()} (a shell)"
        assert progress_text(blocked[0], datetime.now(UTC)).endswith(said)
        assert said in System(home.settings, home.queue, loads=None).status().text  # type: ignore[arg-type]
        assert waiting.reasons(home.settings, [home.queue.get(job.id)]) == {job.id: said}  # show jobs
        lake.execute("rollback")
    assert home.ended(job).state is JobState.DONE


def test_who_comes_late_sees_the_loads_that_run_and_hears_them_end(home: Home) -> None:
    home.start()
    job = home.ask("gated")
    home.progress(job)
    with home.client() as late:
        [seen] = [status for status in late.subscribe() if status.job == job.id]
        assert (seen.state, seen.pages, seen.pages_total) == (JobState.RUNNING, 1, 2)
        home.open_gate()
        states = [seen.state]
        while states[-1] is not JobState.DONE:
            states += [status.state for status in late.events(PATIENCE_S)]
    assert list(dict.fromkeys(states)) == [JobState.RUNNING, JobState.PUBLISHING, JobState.DONE]


def test_a_daemon_of_another_version_makes_room_when_it_is_idle(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = home.start()
    job = home.ask("gated")
    home.progress(job)
    with monkeypatch.context() as newer:
        newer.setattr("unify.__version__", "999.0")
        assert home.start() == old
        home.open_gate()
        home.ended(job)
        with pytest.raises(DaemonUnreachable, match="another version"):
            home.start()
    assert home.start() != old


@pytest.mark.parametrize("rounds", [3, LONG])
def test_killed_at_random_moments_no_load_is_lost_or_doubled(home: Home, rounds: int) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    rng = random.Random(seed)
    for number in range(rounds):
        jobs = [home.ask("rows", action) for action in rng.sample(list(Action), 2)]
        daemon = home.start()
        time.sleep(rng.uniform(0, 0.6))
        os.kill(daemon, signal.SIGKILL)
        jobs.append(home.ask("rows", schema="other"))
        home.start()
        assert [home.ended(job).state for job in jobs] == [JobState.DONE] * 3, number
        assert (home.rows("rows"), home.rows("rows", "other")) == (100, 100)


def test_values_a_shell_offers_reach_the_next_load_and_no_file(home: Home) -> None:
    home.start()
    with home.client() as client:
        client.offer_environment({"TEST_TOKEN": "canary-5f2c", "UNRELATED": "bird"})
    job = home.ended(home.ask("refused", schema="vault"))
    assert job.error == "api: 401 for ***"
    canaries = [
        path
        for path in home.settings.home.rglob("*")
        if path.is_file() and b"canary-5f2c" in path.read_bytes()
    ]
    assert canaries == []


def test_people_come_before_schedules(home: Home) -> None:
    """Three workers, four jobs: the one that waits longest is a schedule's, though it was asked first."""
    scheduled = [home.ask("rows", schema=schema, priority=Priority.SCHEDULE) for schema in ("test", "other")]
    people = [home.ask("unwell"), home.ask("rows", Action.RELOAD, schema="other"), home.ask("flaky")]
    home.start()
    claimed = [line.split(" job=")[1].split()[0] for line in _lines(home, "load started", 3)]
    assert {int(job) for job in claimed[:2]} <= {job.id for job in people}
    assert {home.ended(job).state for job in (*people, *scheduled)} == {JobState.DONE}


def test_a_bug_of_ours_ends_the_job_and_the_log_has_its_place(home: Home) -> None:
    home.start()
    job = home.ended(home.ask("bug"))
    assert job.state is JobState.FAILED
    assert "a fault in Unify (ZeroDivisionError" in job.error
    assert "runners.py" in home.log()


def test_rows_that_are_not_there_when_sealed_end_the_job(home: Home) -> None:
    home.start()
    job = home.ended(home.ask("count"))
    assert (job.state, job.attempt) == (JobState.DEAD, 3)
    assert "what was staged is gone" in job.error


def test_a_finished_load_sets_when_it_is_due_again(home: Home) -> None:
    home.start()
    home.ended(home.ask("rows"))
    [schedule] = home.queue.schedules()
    assert (schedule.table, schedule.every_s) == (TableName("test", "rows"), 3600.0)
    assert schedule.next_at is not None
    assert 3200 < (schedule.next_at - datetime.now(UTC)).total_seconds() <= 3600


def test_an_idle_daemon_sleeps(home: Home) -> None:
    daemon = home.start()
    home.ended(home.ask("rows"))
    before = _cpu_ticks(daemon)
    time.sleep(1)
    assert _cpu_ticks(daemon) - before <= 2


def _die_at(home: Home, monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    """Start a daemon that is killed when it comes to ``point``, and wait until it has."""
    with monkeypatch.context() as failing:
        failing.setenv("UNIFY_FAILPOINT", f"{point}:kill")
        try:
            ensure_daemon(home.settings)
        except DaemonUnreachable:
            assert not daemon_running(home.settings)
    assert instance.wait_until_free(home.settings.daemon_lock, PATIENCE_S)


def _lines(home: Home, fact: str, count: int) -> list[str]:
    """The first ``count`` lines of the log that tell ``fact``."""
    deadline = time.monotonic() + PATIENCE_S
    while len(found := [line for line in home.log().splitlines() if fact in line]) < count:
        assert time.monotonic() < deadline, home.log()
        time.sleep(0.02)
    return found[:count]


def _moment(line: str) -> datetime:
    return datetime.fromisoformat(line.split(maxsplit=1)[0])


def _cpu_ticks(pid: int) -> int:
    """User and system time of a process in hundredths of a second."""
    path = Path(f"/proc/{pid}/stat")
    if not path.exists():
        pytest.skip("only Linux tells a process's time under /proc")
    fields = path.read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _wait_for_end(pid: int, within_s: float = 5.0) -> None:
    deadline = time.monotonic() + within_s
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline, f"process {pid} still lives"
        time.sleep(0.01)
