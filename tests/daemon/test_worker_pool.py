"""Worker processes: started, killed and replaced."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.fake_runners import TableNameRunner
from unify.daemon.worker_pool import LEASE_S, LostWorker, WorkerPool, exit_reason
from unify.load.protocol import (
    LoadProgress,
    LoadTask,
    TaskResult,
    TaskStatus,
    WorkerMessage,
    decode_message,
    decode_task,
    encode_message,
    encode_task,
)
from unify.model import Action, ConfigPaths, TableName


def task(does: str, job: int = 1, **environment: str) -> LoadTask:
    return LoadTask(
        job=job,
        uid=f"uid-{job}",
        attempt=1,
        tenant="default",
        action=Action.LOAD,
        table=TableName("test", does),
        origin=ConfigPaths("/nowhere/connections.yaml"),
        home="/nowhere",
        folder="/nowhere/staging/uid/1",
        environment=environment,
    )


class Clock:
    """The time of day for a crew; a test may move it."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead_s


@contextmanager
def crew(size: int = 2, clock: Clock | None = None) -> Iterator[WorkerPool]:
    pool = WorkerPool(size, TableNameRunner(), clock or Clock())
    try:
        yield pool
    finally:
        pool.close()


def listen(
    pool: WorkerPool, until: type[TaskResult] | type[LostWorker] | type[LoadProgress]
) -> list[WorkerMessage | LostWorker]:
    """What the workers say, up to and with the first ``until``."""
    happened: list[WorkerMessage | LostWorker] = []
    deadline = time.monotonic() + 20
    while not any(isinstance(event, until) for event in happened):
        assert time.monotonic() < deadline, happened
        select.select(pool.descriptors, [], [], pool.wait_s())
        pool.enforce_deadlines()
        for worker in pool.workers:
            for report in worker.read_messages():
                happened.append(report)
                if isinstance(report, TaskResult):
                    worker.task = None
        happened.extend(pool.reap_lost_workers())
    return happened


def outcome(pool: WorkerPool) -> TaskResult:
    last = listen(pool, TaskResult)[-1]
    assert isinstance(last, TaskResult)
    return last


def loss(pool: WorkerPool) -> LostWorker:
    last = listen(pool, LostWorker)[-1]
    assert isinstance(last, LostWorker)
    return last


def test_a_task_is_done_in_another_process_which_stays_for_the_next(tmp_path: Path) -> None:
    with crew() as pool:
        pool.assign(task("pid"))
        first = outcome(pool).progress.rows
        pool.assign(task("pid", job=2))
        second = outcome(pool).progress.rows
        assert first == second != os.getpid()
        assert len(pool.workers) == 1


def test_progress_is_sent_seldom_and_the_outcome_tells_the_end() -> None:
    with crew() as pool:
        pool.assign(task("count"))
        *progress, last = listen(pool, TaskResult)
    assert isinstance(last, TaskResult)
    assert (last.ending, last.progress.rows) == (TaskStatus.STAGED, 1000)
    assert len(progress) < 5


def test_an_error_of_the_source_comes_home_with_what_the_queue_needs() -> None:
    with crew() as pool:
        pool.assign(task("limit"))
        failure = outcome(pool).failure
    assert failure is not None
    assert (failure.kind, failure.message) == ("RateLimited", "api: 429 Too Many Requests")
    assert (failure.retryable, failure.retry_after_s, failure.bug) == (True, 2.5, False)


def test_a_bug_comes_home_with_its_place_and_the_worker_lives_on() -> None:
    with crew(size=1) as pool:
        pool.assign(task("bug"))
        failure = outcome(pool).failure
        assert failure is not None
        assert (failure.kind, failure.bug, failure.retryable) == ("ZeroDivisionError", True, False)
        assert "runners.py" in failure.trace
        pool.assign(task("count"))
        assert outcome(pool).ending is TaskStatus.STAGED


@pytest.mark.parametrize(
    ("does", "reason"),
    [("crash", "the worker was killed by SIGSEGV"), ("exit", "the worker ended with status 7")],
)
def test_a_crash_is_noticed_with_its_reason(does: str, reason: str) -> None:
    with crew() as pool:
        pool.assign(task(does))
        lost = loss(pool)
    assert (lost.task, lost.reason, lost.killed) == (task(does), reason, does == "crash")


def test_a_killed_worker_leaves_the_others_untouched() -> None:
    with crew() as pool:
        pool.assign(task("hang", job=1))
        pool.assign(task("hang", job=2))
        victim, other = pool.workers
        listen(pool, LoadProgress)
        assert victim.process.pid is not None
        os.kill(victim.process.pid, signal.SIGKILL)
        lost = loss(pool)
        assert lost.task == task("hang", job=1)
        assert "SIGKILL" in lost.reason
        assert pool.workers == [other]
        assert other.process.is_alive()


def test_a_worker_deaf_to_the_polite_signal_is_killed_within_two_seconds() -> None:
    with crew() as pool:
        pool.assign(task("ignore"))
        listen(pool, LoadProgress)
        started = time.monotonic()
        [worker] = pool.workers
        worker.terminate("cancelled")
        lost = loss(pool)
        assert (lost.task, lost.reason, lost.killed) == (task("ignore"), "cancelled", True)
        assert time.monotonic() - started < 2


def test_a_stopped_worker_loses_its_lease_and_its_life() -> None:
    clock = Clock()
    with crew(clock=clock) as pool:
        pool.assign(task("hang"))
        listen(pool, LoadProgress)
        [worker] = pool.workers
        assert worker.process.pid is not None
        os.kill(worker.process.pid, signal.SIGSTOP)
        clock.ahead_s = LEASE_S
        lost = loss(pool)
    assert lost.task == task("hang")
    assert "unresponsive for 60 s" in lost.reason


def test_a_crew_is_never_larger_than_its_size() -> None:
    with crew(size=2) as pool:
        pool.warm_up()
        pool.assign(task("hang", job=1))
        assert pool.has_capacity
        pool.assign(task("hang", job=2))
        assert (pool.has_capacity, len(pool.workers)) == (False, 2)
        assert pool.find_worker(2) is pool.workers[1]
        assert pool.find_worker(3) is None


def test_closing_ends_every_worker_hanging_ones_too() -> None:
    with crew(size=2) as pool:
        pool.assign(task("ignore", job=1))
        pool.assign(task("hang", job=2))
        listen(pool, LoadProgress)
        pids = [worker.process.pid for worker in pool.workers]
    assert not any(_lives(pid) for pid in pids)


@pytest.mark.process
def test_workers_end_when_their_daemon_is_killed() -> None:
    code = (
        "import sys, time\n"
        "from tests.daemon.test_worker_pool import listen, task\n"
        "from tests.support.fake_runners import TableNameRunner\n"
        "from unify.daemon.worker_pool import WorkerPool\n"
        "from unify.load.protocol import LoadProgress\n"
        "if __name__ == '__main__':\n"
        "    pool = WorkerPool(1, TableNameRunner())\n"
        "    pool.assign(task('hang'))\n"
        "    print(listen(pool, LoadProgress)[-1].rows, flush=True)\n"
        "    sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as daemon:
        assert daemon.stdout is not None
        worker = int(daemon.stdout.readline())
        daemon.kill()
        daemon.wait()
        _wait_for_end(worker)


def test_tasks_and_reports_survive_the_pipe() -> None:
    sent = task("count", TOKEN="canary")
    assert decode_task(encode_task(sent)) == sent
    progress = LoadProgress(1, 2, rows=3, pages_total=4)
    for report in (progress, TaskResult(1, 2, TaskStatus.STAGED, progress)):
        assert decode_message(encode_message(report)) == report
    for junk in (b"", b"x{}", b"p{", b'o{"job":1}'):
        with pytest.raises(ValueError, match=r".+"):
            decode_message(junk)


def test_values_that_travel_with_a_task_are_not_shown() -> None:
    assert "canary" not in repr(task("count", TOKEN="canary"))


def test_the_way_a_process_ended_is_named() -> None:
    assert exit_reason(-15) == "the worker was killed by SIGTERM"
    assert exit_reason(-9) == "the worker was killed by SIGKILL (out of memory?)"
    assert exit_reason(3) == "the worker ended with status 3"


def _lives(pid: int | None) -> bool:
    assert pid is not None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _wait_for_end(pid: int, within_s: float = 5.0) -> None:
    """Return when ``pid`` has gone, which is nobody's child here."""
    deadline = time.monotonic() + within_s
    while _lives(pid):
        assert time.monotonic() < deadline, f"process {pid} still lives"
        time.sleep(0.01)
