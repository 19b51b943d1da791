"""The daemon as a process with fake workers: loads, cancellation, crashes and restarts."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.support.daemon_home import TIMEOUT_S, DaemonHome
from tests.support.home_files import read_files
from tests.support.waiting import scaled_limit_s, wait_until
from unify.errors import DaemonUnreachable
from unify.interpreter import state
from unify.interpreter.commands.system import SystemCommands, progress_text
from unify.lake.lake import Lake
from unify.model import Action, JobState, Priority, TableName
from unify.status import instance, launch
from unify.status.launch import is_daemon_running, stop_daemon

LONG = pytest.param(200, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])


def test_a_job_is_loaded_and_published(daemon_home: DaemonHome) -> None:
    daemon_home.start_daemon()
    job = daemon_home.wait_for_end(daemon_home.enqueue_load("rows"))
    assert (job.state, job.error, job.attempt) == (JobState.DONE, "", 1)
    assert daemon_home.count_rows("rows") == 100
    assert list(daemon_home.settings.staging.iterdir()) == []


def test_a_starting_daemon_runs_jobs_queued_before(daemon_home: DaemonHome) -> None:
    jobs = [daemon_home.enqueue_load("rows"), daemon_home.enqueue_load("rows", schema="other")]
    daemon_home.start_daemon()
    assert {daemon_home.wait_for_end(job).state for job in jobs} == {JobState.DONE}


def test_events_report_each_state_of_a_load(shared_home: DaemonHome) -> None:
    with shared_home.client() as client:
        client.subscribe()
        job = shared_home.enqueue_new_table("rows")
        states: list[JobState] = []
        while JobState.DONE not in states:
            states.extend(status.state for status in client.events(5) if status.job == job.id)
    assert list(dict.fromkeys(states)) == [JobState.RUNNING, JobState.PUBLISHING, JobState.DONE]


def test_concurrent_starts_reach_one_daemon(daemon_home: DaemonHome) -> None:
    pids: list[int] = []
    starters = [threading.Thread(target=lambda: pids.append(daemon_home.start_daemon())) for _ in range(12)]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join()
    assert len(pids) == 12
    assert len(set(pids)) == 1
    assert daemon_home.log_text().count("daemon.started") == 1


def test_a_second_daemon_exits_with_status_3(daemon_home: DaemonHome) -> None:
    first = daemon_home.start_daemon()
    second = subprocess.run(
        [sys.executable, "-m", "tests.support.daemon_process", "--home", str(daemon_home.settings.home)],
        capture_output=True,
        text=True,
    )
    assert "another daemon is running" in second.stderr
    assert second.returncode == 3
    assert daemon_home.start_daemon() == first


def test_a_refused_request_fails_the_job_with_its_reason(shared_home: DaemonHome) -> None:
    job = shared_home.wait_for_end(shared_home.enqueue_new_table("refused"))
    assert (job.state, job.error) == (JobState.FAILED, "api: 401 for ")


def test_a_rate_limited_load_is_retried(shared_home: DaemonHome) -> None:
    job = shared_home.wait_for_end(shared_home.enqueue_new_table("unwell"))
    assert (job.state, job.attempt, job.failures) == (JobState.DONE, 2, 1)


def test_a_crashed_load_is_retried_within_two_seconds(shared_home: DaemonHome) -> None:
    job = shared_home.wait_for_end(shared_home.enqueue_new_table("flaky"))
    assert (job.state, job.attempt) == (JobState.DONE, 2)
    [crashed] = _wait_for_log_lines(shared_home, "load.crashed", 1, f" job={job.id} ")
    [_, again] = _wait_for_log_lines(shared_home, "load.started", 2, f" job={job.id} ")
    assert _parse_log_time(again) - _parse_log_time(crashed) < timedelta(seconds=scaled_limit_s(2))
    assert shared_home.count_rows(job.table.table) == 100


def test_a_job_that_crashes_three_workers_ends_and_other_jobs_continue(shared_home: DaemonHome) -> None:
    poison, other = shared_home.enqueue_new_table("crash"), shared_home.enqueue_new_table("rows")
    assert shared_home.wait_for_end(other).state is JobState.DONE
    dead = shared_home.wait_for_end(poison)
    assert (dead.state, dead.attempt) == (JobState.DEAD, 3)
    assert dead.error == "the worker was killed by SIGSEGV, 3 times"


def test_a_killed_worker_is_replaced_and_its_job_finishes(shared_home: DaemonHome) -> None:
    job = shared_home.enqueue_new_table("gated")
    os.kill(shared_home.wait_for_progress(job).rows, signal.SIGKILL)
    shared_home.wait_for_state(job, JobState.QUEUED)
    shared_home.wait_for_state(job, JobState.RUNNING, within_s=2)
    shared_home.open_gate()
    assert shared_home.wait_for_end(job).state is JobState.DONE
    assert shared_home.count_rows(job.table.table) == 100


def test_tables_that_share_requests_do_not_occupy_two_workers(daemon_home: DaemonHome) -> None:
    specs = daemon_home.settings.home / "specs"
    specs.mkdir()
    (specs / "test.yaml").write_text(
        "name: test\nbase_url: http://127.0.0.1:1\ntables:\n"
        "  - {name: gated1, request: GET /gated, rows: a}\n"
        "  - {name: rows1, shares: gated1, rows: b}\n  - {name: rows2, shares: gated1, rows: c}\n"
    )
    daemon_home.start_daemon()
    gated = daemon_home.enqueue_load("gated1", specs=specs)
    daemon_home.wait_for_progress(gated)
    sharing = [daemon_home.enqueue_load(name, specs=specs) for name in ("rows1", "rows2")]
    daemon_home.wait_for_end(daemon_home.enqueue_load("rows3", specs=specs))
    assert [daemon_home.queue.get(job.id).state for job in sharing] == [JobState.QUEUED] * 2
    daemon_home.open_gate()
    assert {daemon_home.wait_for_end(job).state for job in (gated, *sharing)} == {JobState.DONE}


def test_a_parent_is_loaded_before_its_child(shared_home: DaemonHome) -> None:
    child = shared_home.wait_for_end(shared_home.enqueue_load("child", schema="other"))
    assert child.state is JobState.DONE
    stored = {table for table in shared_home.stored_tables() if table.schema == "other"}
    assert stored == {TableName("other", "child"), TableName("other", "rows")}


def test_a_child_fails_with_the_error_of_its_parent(shared_home: DaemonHome) -> None:
    child = shared_home.wait_for_end(shared_home.enqueue_new_table("orphaned"))
    assert child.state is JobState.FAILED
    assert child.error == "it needs test.refused, whose load failed: api: 401 for "


def test_a_queued_job_is_cancelled_at_once(shared_home: DaemonHome) -> None:
    job = shared_home.enqueue_new_table("unwell")
    shared_home.wait_for_state(job, JobState.QUEUED)
    cancelled = shared_home.queue.cancel(job.id)
    assert cancelled is not None
    assert shared_home.wait_for_end(job).state in (JobState.CANCELLED, JobState.DONE)


@pytest.mark.parametrize("does", ["hang", "ignore"])
def test_a_hanging_job_is_cancelled_within_two_seconds(shared_home: DaemonHome, does: str) -> None:
    job = shared_home.enqueue_new_table(does)
    worker = shared_home.wait_for_progress(job).rows
    with shared_home.client() as client:
        client.cancel(job.id)
    assert shared_home.wait_for_state(job, JobState.CANCELLED, within_s=2).error == "cancelled"
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)
    assert shared_home.wait_for_end(shared_home.enqueue_new_table("rows")).state is JobState.DONE


def test_a_cancellation_in_the_queue_is_found_by_a_poll(shared_home: DaemonHome) -> None:
    job = shared_home.enqueue_new_table("hang")
    shared_home.wait_for_progress(job)
    shared_home.queue.cancel(job.id)
    with shared_home.client() as client:
        client.poll_queue()
    assert shared_home.wait_for_end(job).state is JobState.CANCELLED


@pytest.mark.parametrize("workers", [3, pytest.param(8, marks=pytest.mark.slow)])
def test_stopping_requeues_the_jobs_and_ends_every_worker(daemon_home: DaemonHome, workers: int) -> None:
    daemon_home.settings = replace(daemon_home.settings, workers=workers)
    daemon_home.start_daemon()
    kinds = ("hang1", "ignore1", "hang2", "hang3", "ignore2", "hang4", "hang5", "hang6")
    jobs = [daemon_home.enqueue_load(does) for does in kinds[: daemon_home.settings.workers]]
    pids = [daemon_home.wait_for_progress(job).rows for job in jobs]
    started = time.monotonic()
    assert stop_daemon(daemon_home.settings)
    stopped_s = time.monotonic() - started
    print(f"stopped in {stopped_s:.1f} s with {len(jobs)} loads running, some of which ignore SIGTERM")
    assert stopped_s < scaled_limit_s(10)
    assert not stop_daemon(daemon_home.settings)
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert {(job.state, job.failures) for job in daemon_home.queue.active_jobs()} == {(JobState.QUEUED, 0)}
    for job in jobs:
        daemon_home.queue.cancel(job.id)


def test_sigterm_stops_the_daemon_and_requeues_its_jobs(daemon_home: DaemonHome) -> None:
    daemon = daemon_home.start_daemon()
    job = daemon_home.enqueue_load("hang")
    daemon_home.wait_for_progress(job)
    os.kill(daemon, signal.SIGTERM)
    assert daemon_home.wait_for_state(job, JobState.QUEUED, within_s=10).failures == 0
    daemon_home.queue.cancel(job.id)


def test_the_next_daemon_finishes_the_loads_of_a_killed_one(daemon_home: DaemonHome) -> None:
    daemon = daemon_home.start_daemon()
    job = daemon_home.enqueue_load("gated")
    worker = daemon_home.wait_for_progress(job).rows
    os.kill(daemon, signal.SIGKILL)
    _wait_for_end(worker)
    assert not is_daemon_running(daemon_home.settings)
    assert daemon_home.start_daemon() != daemon
    daemon_home.wait_for_progress(job)
    daemon_home.open_gate()
    done = daemon_home.wait_for_end(job)
    assert (done.state, done.attempt) == (JobState.DONE, 2)
    assert daemon_home.count_rows("gated") == 100


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
def test_a_daemon_killed_at_any_step_of_a_load_loses_and_doubles_nothing(
    daemon_home: DaemonHome, point: str
) -> None:
    job = daemon_home.enqueue_load("rows")
    _run_until_failpoint(daemon_home, point)
    assert daemon_home.queue.get(job.id).state.active
    daemon_home.start_daemon()
    assert daemon_home.wait_for_end(job).state is JobState.DONE
    assert daemon_home.count_rows("rows") == 100


def test_a_load_that_ended_ten_daemons_fails(daemon_home: DaemonHome) -> None:
    job = daemon_home.enqueue_load("rows")
    _run_until_failpoint(daemon_home, "daemon.sealed")
    [folder] = daemon_home.settings.staging.glob("*/1")
    (folder / "recoveries").write_bytes(b"." * 10)
    daemon_home.start_daemon()
    ended = daemon_home.wait_for_end(job)
    assert (ended.state, ended.attempt) == (JobState.FAILED, 1)
    assert "10 daemons ended while they published it" in ended.error


def test_a_load_with_a_damaged_manifest_is_fetched_again(daemon_home: DaemonHome) -> None:
    job = daemon_home.enqueue_load("rows")
    _run_until_failpoint(daemon_home, "daemon.sealed")
    [manifest] = daemon_home.settings.staging.glob("*/1/manifest.json")
    manifest.write_bytes(manifest.read_bytes()[:20])
    daemon_home.start_daemon()
    ended = daemon_home.wait_for_end(job)
    assert (ended.state, ended.attempt) == (JobState.DONE, 2)
    assert daemon_home.count_rows("rows") == 100


def test_the_daemon_stops_in_time_while_another_process_holds_the_lake_lock(
    daemon_home: DaemonHome,
) -> None:
    daemon_home.start_daemon()
    daemon_home.wait_for_end(daemon_home.enqueue_load("rows"))
    with Lake(daemon_home.settings) as lake, lake.lock():
        job = daemon_home.enqueue_load("rows", Action.RELOAD)
        daemon_home.wait_for_state(job, JobState.PUBLISHING)
        started = time.monotonic()
        stop_daemon(daemon_home.settings)
        assert time.monotonic() - started < scaled_limit_s(10)
        assert daemon_home.queue.get(job.id).state is JobState.PUBLISHING
    daemon_home.start_daemon()
    assert daemon_home.wait_for_end(job).state is JobState.DONE
    assert daemon_home.count_rows("rows") == 100


def test_a_load_that_waits_for_a_transaction_names_its_process(shared_home: DaemonHome) -> None:
    first = shared_home.wait_for_end(shared_home.enqueue_new_table("rows"))
    with Lake(shared_home.settings, purpose="a shell") as lake, shared_home.client() as client:
        lake.execute("begin")
        lake.execute("create table mine as select 1 as a")
        job = shared_home.enqueue_load(first.table.table, Action.RELOAD)
        statuses = list(client.subscribe())
        deadline = time.monotonic() + scaled_limit_s(TIMEOUT_S)
        while not (blocked := [status for status in statuses if status.blocked_by]):
            assert time.monotonic() < deadline
            statuses = list(client.events(1))
        reason = f"waiting for another session's transaction: process {os.getpid()} (a shell)"
        assert progress_text(blocked[0], datetime.now(UTC)).endswith(reason)
        system = SystemCommands(shared_home.settings, shared_home.queue, load_client=None)  # type: ignore[arg-type]
        assert reason in system.status().text
        show_jobs = state.wait_reasons(
            shared_home.settings, shared_home.queue, [shared_home.queue.get(job.id)]
        )
        assert show_jobs == {job.id: reason}
        lake.execute("rollback")
    assert shared_home.wait_for_end(job).state is JobState.DONE


def test_a_late_subscriber_receives_running_loads_and_their_end(shared_home: DaemonHome) -> None:
    job = shared_home.enqueue_new_table("gated")
    shared_home.wait_for_progress(job)
    with shared_home.client() as late:
        [seen] = [status for status in late.subscribe() if status.job == job.id]
        assert (seen.state, seen.pages, seen.pages_total) == (JobState.RUNNING, 1, 2)
        shared_home.open_gate()
        states = [seen.state]
        while states[-1] is not JobState.DONE:
            states += [status.state for status in late.events(TIMEOUT_S)]
    assert list(dict.fromkeys(states)) == [JobState.RUNNING, JobState.PUBLISHING, JobState.DONE]


def test_an_idle_daemon_of_an_older_version_is_replaced(
    daemon_home: DaemonHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = daemon_home.start_daemon()
    job = daemon_home.enqueue_load("gated")
    daemon_home.wait_for_progress(job)
    with monkeypatch.context() as newer:
        newer.setattr("unify.version.VERSION", "999.0")
        assert daemon_home.start_daemon() == old
        daemon_home.open_gate()
        daemon_home.wait_for_end(job)
        with pytest.raises(DaemonUnreachable, match="an older version"):
            daemon_home.start_daemon()
    assert daemon_home.start_daemon() != old


@pytest.mark.parametrize("rounds", [3, LONG])
def test_a_daemon_killed_at_random_moments_loses_and_doubles_no_load(
    daemon_home: DaemonHome, rounds: int
) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    rng = random.Random(seed)
    for number in range(rounds):
        jobs = [daemon_home.enqueue_load("rows", action) for action in rng.sample(list(Action), 2)]
        daemon = daemon_home.start_daemon()
        time.sleep(rng.uniform(0, 0.6))
        os.kill(daemon, signal.SIGKILL)
        jobs.append(daemon_home.enqueue_load("rows", schema="other"))
        daemon_home.start_daemon()
        assert [daemon_home.wait_for_end(job).state for job in jobs] == [JobState.DONE] * 3, number
        assert (daemon_home.count_rows("rows"), daemon_home.count_rows("rows", "other")) == (100, 100)


def test_environment_values_of_a_shell_reach_loads_and_no_file(daemon_home: DaemonHome) -> None:
    daemon_home.start_daemon()
    with daemon_home.client() as client:
        client.offer_environment({"TEST_TOKEN": "canary-5f2c", "UNRELATED": "bird"})
    job = daemon_home.wait_for_end(daemon_home.enqueue_load("refused", schema="vault"))
    assert job.error == "api: 401 for ***"
    wait_until(
        lambda: not list(daemon_home.settings.staging.iterdir())
    )  # removed while the publisher cleans up
    contents = read_files(daemon_home.settings.home)
    assert [path for path, content in contents if b"canary-5f2c" in content] == []


def test_interactive_loads_run_before_scheduled_ones(daemon_home: DaemonHome) -> None:
    """The first two of three loads that start are interactive, although the scheduled ones are older."""
    scheduled = [
        daemon_home.enqueue_load("rows", schema=schema, priority=Priority.SCHEDULED)
        for schema in ("test", "other")
    ]
    people = [
        daemon_home.enqueue_load("unwell"),
        daemon_home.enqueue_load("rows", Action.RELOAD, schema="other"),
        daemon_home.enqueue_load("flaky"),
    ]
    daemon_home.start_daemon()
    claimed = [
        line.split(" job=")[1].split()[0] for line in _wait_for_log_lines(daemon_home, "load.started", 3)
    ]
    assert {int(job) for job in claimed[:2]} <= {job.id for job in people}
    assert {daemon_home.wait_for_end(job).state for job in (*people, *scheduled)} == {JobState.DONE}


def test_an_internal_error_fails_the_job_and_its_traceback_is_logged(shared_home: DaemonHome) -> None:
    job = shared_home.wait_for_end(shared_home.enqueue_new_table("bug"))
    assert job.state is JobState.FAILED
    assert "internal error: ZeroDivisionError" in job.error
    assert "runners.py" in shared_home.log_text()


def test_a_load_without_staged_files_ends_after_three_attempts(shared_home: DaemonHome) -> None:
    job = shared_home.wait_for_end(shared_home.enqueue_new_table("count"))
    assert (job.state, job.attempt) == (JobState.DEAD, 3)
    assert "the staged files are missing" in job.error


def test_a_finished_load_schedules_the_next_refresh(shared_home: DaemonHome) -> None:
    job = shared_home.wait_for_end(shared_home.enqueue_new_table("rows"))
    [schedule] = [one for one in shared_home.queue.schedules() if one.table == job.table]
    assert schedule.every_s == 3600.0
    assert schedule.next_at is not None
    assert 3200 < (schedule.next_at - datetime.now(UTC)).total_seconds() <= 3600


def test_an_idle_daemon_uses_no_processor_time(daemon_home: DaemonHome) -> None:
    daemon = daemon_home.start_daemon()
    daemon_home.wait_for_end(daemon_home.enqueue_load("rows"))

    def is_idle() -> bool:  # after it has read what its last command has changed
        before = _cpu_ticks(daemon)
        time.sleep(1)
        return _cpu_ticks(daemon) - before <= 2

    assert any(is_idle() for _ in range(5))


def test_a_daemon_that_a_paused_load_keeps_from_its_idle_exit_uses_no_processor_time(
    daemon_home: DaemonHome,
) -> None:
    daemon_home.settings = replace(daemon_home.settings, idle_timeout_s=0.2)
    daemon_home.queue.pauses.pause("default", "other", "", datetime.now(UTC))
    paused = daemon_home.enqueue_load("rows", schema="other")
    daemon = daemon_home.start_daemon()
    daemon_home.wait_for_end(daemon_home.enqueue_load("rows"))
    time.sleep(0.5)  # more than the idle timeout
    before = _cpu_ticks(daemon)
    time.sleep(1)
    assert _cpu_ticks(daemon) - before <= 5
    assert daemon_home.queue.get(paused.id).state is JobState.QUEUED
    assert is_daemon_running(daemon_home.settings)


def _run_until_failpoint(home: DaemonHome, point: str) -> None:
    """Run a daemon until it is killed at ``point``; ``ensure_daemon`` might start another one then."""
    reader, announce = os.pipe()
    try:
        ended = subprocess.run(
            launch._daemon_command(home.settings, announce),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "UNIFY_FAILPOINT": f"{point}:kill"},
            cwd=home.settings.home,
            start_new_session=True,
            pass_fds=(announce,),
            timeout=scaled_limit_s(TIMEOUT_S),
            check=False,
        )
    finally:
        os.close(reader)
        os.close(announce)
    assert ended.returncode == -signal.SIGKILL
    assert instance.wait_until_free(home.settings.daemon_lock, TIMEOUT_S)


def _wait_for_log_lines(home: DaemonHome, event: str, count: int, field: str = "") -> list[str]:
    """Return the first ``count`` lines of the log with ``event`` and ``field``."""
    deadline = time.monotonic() + scaled_limit_s(TIMEOUT_S)
    while (
        len(found := [line for line in home.log_text().splitlines() if event in line and field in line])
        < count
    ):
        assert time.monotonic() < deadline, home.log_text()
        time.sleep(0.02)
    return found[:count]


def _parse_log_time(line: str) -> datetime:
    return datetime.fromisoformat(line.split(maxsplit=1)[0])


def _cpu_ticks(pid: int) -> int:
    """Return user and system time of a process in hundredths of a second."""
    path = Path(f"/proc/{pid}/stat")
    if not path.exists():
        pytest.skip("only Linux has the times of a process in /proc")
    fields = path.read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _wait_for_end(pid: int, within_s: float = 5.0) -> None:
    deadline = time.monotonic() + scaled_limit_s(within_s)
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline, f"process {pid} still runs"
        time.sleep(0.01)
