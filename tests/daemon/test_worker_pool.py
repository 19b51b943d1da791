"""Worker processes: started, killed and replaced."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.fake_runners import TableNameRunner
from unify.daemon.worker_pool import LEASE_S, LostWorker, WorkerPool, exit_reason, fork_worker
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
    """The clock of a pool, which a test can advance."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead_s


@contextmanager
def run_pool(size: int = 2, clock: Clock | None = None) -> Iterator[WorkerPool]:
    pool = WorkerPool(size, TableNameRunner(), clock or Clock())
    try:
        yield pool
    finally:
        pool.close()


def read_until(
    pool: WorkerPool, until: type[TaskResult] | type[LostWorker] | type[LoadProgress]
) -> list[WorkerMessage | LostWorker]:
    """Return the messages of the workers up to the first ``until``, which is included."""
    events: list[WorkerMessage | LostWorker] = []
    deadline = time.monotonic() + 20
    while not any(isinstance(event, until) for event in events):
        assert time.monotonic() < deadline, events
        select.select(pool.descriptors, [], [], pool.wait_s())
        pool.enforce_deadlines()
        for worker in pool.workers:
            for report in worker.read_messages():
                events.append(report)
                if isinstance(report, TaskResult):
                    worker.task = None
        events.extend(pool.reap_lost_workers())
    return events


def wait_for_result(pool: WorkerPool) -> TaskResult:
    last = read_until(pool, TaskResult)[-1]
    assert isinstance(last, TaskResult)
    return last


def wait_for_loss(pool: WorkerPool) -> LostWorker:
    last = read_until(pool, LostWorker)[-1]
    assert isinstance(last, LostWorker)
    return last


def test_one_worker_process_runs_consecutive_tasks(tmp_path: Path) -> None:
    with run_pool() as pool:
        pool.assign(task("pid"))
        first = wait_for_result(pool).progress.rows
        pool.assign(task("pid", job=2))
        second = wait_for_result(pool).progress.rows
        assert first == second != os.getpid()
        assert len(pool.workers) == 1


def test_progress_is_sent_rarely_and_the_result_has_the_final_count() -> None:
    with run_pool() as pool:
        pool.assign(task("count"))
        *progress, last = read_until(pool, TaskResult)
    assert isinstance(last, TaskResult)
    assert (last.ending, last.progress.rows) == (TaskStatus.STAGED, 1000)
    assert len(progress) < 5


def test_a_source_error_is_reported_with_retryability_and_delay() -> None:
    with run_pool() as pool:
        pool.assign(task("limit"))
        failure = wait_for_result(pool).failure
    assert failure is not None
    assert (failure.kind, failure.message) == ("RateLimited", "api: 429 Too Many Requests")
    assert (failure.retryable, failure.retry_after_s, failure.bug) == (True, 2.5, False)


def test_an_internal_error_is_reported_with_its_traceback_and_the_worker_continues() -> None:
    with run_pool(size=1) as pool:
        pool.assign(task("bug"))
        failure = wait_for_result(pool).failure
        assert failure is not None
        assert (failure.kind, failure.bug, failure.retryable) == ("ZeroDivisionError", True, False)
        assert "runners.py" in failure.trace
        pool.assign(task("count"))
        assert wait_for_result(pool).ending is TaskStatus.STAGED


@pytest.mark.parametrize(
    ("does", "reason"),
    [("crash", "the worker was killed by SIGSEGV"), ("exit", "the worker ended with status 7")],
)
def test_a_crashed_worker_is_reported_with_its_reason(does: str, reason: str) -> None:
    with run_pool() as pool:
        pool.assign(task(does))
        lost = wait_for_loss(pool)
    assert (lost.task, lost.reason, lost.killed) == (task(does), reason, does == "crash")


def test_a_killed_worker_leaves_other_workers_running() -> None:
    with run_pool() as pool:
        pool.assign(task("hang", job=1))
        pool.assign(task("hang", job=2))
        victim, other = pool.workers
        read_until(pool, LoadProgress)
        assert victim.process.pid is not None
        os.kill(victim.process.pid, signal.SIGKILL)
        lost = wait_for_loss(pool)
        assert lost.task == task("hang", job=1)
        assert "SIGKILL" in lost.reason
        assert pool.workers == [other]
        assert other.process.is_alive()


def test_a_worker_that_ignores_sigterm_is_killed_within_two_seconds() -> None:
    with run_pool() as pool:
        pool.assign(task("ignore"))
        read_until(pool, LoadProgress)
        started = time.monotonic()
        [worker] = pool.workers
        worker.terminate("cancelled")
        lost = wait_for_loss(pool)
        assert (lost.task, lost.reason, lost.killed) == (task("ignore"), "cancelled", True)
        assert time.monotonic() - started < 2


def test_an_unresponsive_worker_is_killed_after_its_lease() -> None:
    clock = Clock()
    with run_pool(clock=clock) as pool:
        pool.assign(task("hang"))
        read_until(pool, LoadProgress)
        [worker] = pool.workers
        assert worker.process.pid is not None
        os.kill(worker.process.pid, signal.SIGSTOP)
        clock.ahead_s = LEASE_S
        lost = wait_for_loss(pool)
    assert lost.task == task("hang")
    assert "unresponsive for 60 s" in lost.reason


def test_a_pool_never_exceeds_its_size() -> None:
    with run_pool(size=2) as pool:
        pool.warm_up()
        pool.assign(task("hang", job=1))
        assert pool.has_capacity
        pool.assign(task("hang", job=2))
        assert (pool.has_capacity, len(pool.workers)) == (False, 2)
        assert pool.find_worker(2) is pool.workers[1]
        assert pool.find_worker(3) is None


def test_closing_ends_every_worker() -> None:
    with run_pool(size=2) as pool:
        pool.assign(task("ignore", job=1))
        pool.assign(task("hang", job=2))
        read_until(pool, LoadProgress)
        pids = [worker.process.pid for worker in pool.workers]
    assert not any(_is_running(pid) for pid in pids)


@pytest.mark.process
@pytest.mark.parametrize("first", ["None", "fork_worker(TableNameRunner())"], ids=["spawned", "forked"])
def test_workers_end_when_their_daemon_is_killed(first: str) -> None:
    code = (
        "import sys, time\n"
        "from tests.daemon.test_worker_pool import read_until, task\n"
        "from tests.support.fake_runners import TableNameRunner\n"
        "from unify.daemon.worker_pool import WorkerPool, fork_worker\n"
        "from unify.load.protocol import LoadProgress\n"
        "if __name__ == '__main__':\n"
        f"    pool = WorkerPool(1, TableNameRunner(), first={first})\n"
        "    pool.assign(task('hang'))\n"
        "    print(read_until(pool, LoadProgress)[-1].rows, flush=True)\n"
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


@pytest.mark.process
@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only")
def test_a_forked_worker_runs_tasks_and_has_no_descriptor_of_the_daemon(tmp_path: Path) -> None:
    code = (
        "import os, sys\n"
        "from tests.daemon.test_worker_pool import read_until, task\n"
        "from tests.support.fake_runners import TableNameRunner\n"
        "from unify.daemon.worker_pool import WorkerPool, fork_worker\n"
        "from unify.load.protocol import TaskResult\n"
        "opened = os.open(sys.argv[1], os.O_CREAT | os.O_RDONLY)\n"
        "worker = fork_worker(TableNameRunner(), without=[opened])\n"
        "pool = WorkerPool(1, TableNameRunner(), first=worker)\n"
        "pool.assign(task('count'))\n"
        "result = read_until(pool, TaskResult)[-1]\n"
        "folder = f'/proc/{worker.process.pid}/fd'\n"
        "print(result.ending.value)\n"
        "print(*[os.readlink(f'{folder}/{name}') for name in os.listdir(folder)], sep='\\n')\n"
        "pool.close()"
    )
    opened = tmp_path / "of the daemon"

    printed = subprocess.run(
        [sys.executable, "-c", code, opened], capture_output=True, text=True, check=True, timeout=60
    ).stdout

    assert printed.startswith("sealed\n")
    assert str(opened) not in printed
    assert printed.count("socket:") == 1  # the pipe to the daemon


def test_a_process_with_another_thread_is_not_forked() -> None:
    ended = threading.Event()
    thread = threading.Thread(target=ended.wait)
    thread.start()
    try:
        assert fork_worker(TableNameRunner()) is None
    finally:
        ended.set()
        thread.join()


def test_tasks_and_messages_are_decoded_as_encoded() -> None:
    sent = task("count", TOKEN="canary")
    assert decode_task(encode_task(sent)) == sent
    progress = LoadProgress(1, 2, rows=3, pages_total=4)
    for report in (progress, TaskResult(1, 2, TaskStatus.STAGED, progress)):
        assert decode_message(encode_message(report)) == report
    for junk in (b"", b"x{}", b"p{", b'o{"job":1}'):
        with pytest.raises(ValueError, match=r".+"):
            decode_message(junk)


def test_the_repr_of_a_task_contains_no_environment_value() -> None:
    assert "canary" not in repr(task("count", TOKEN="canary"))


def test_an_exit_status_has_a_description() -> None:
    assert exit_reason(-15) == "the worker was killed by SIGTERM"
    assert exit_reason(-9) == "the worker was killed by SIGKILL (out of memory?)"
    assert exit_reason(3) == "the worker ended with status 3"


def _is_running(pid: int | None) -> bool:
    assert pid is not None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _wait_for_end(pid: int, within_s: float = 5.0) -> None:
    """Wait for the end of ``pid``, which is not a child of this process."""
    deadline = time.monotonic() + within_s
    while _is_running(pid):
        assert time.monotonic() < deadline, f"process {pid} still runs"
        time.sleep(0.01)
