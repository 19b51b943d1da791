"""The daemon's worker processes: started, given one task at a time, watched, replaced.

Processes are supervised by sentinel: ``multiprocessing.Pool`` hangs when a worker is killed, and
``ProcessPoolExecutor`` fails the tasks of the other workers. The first worker is forked before the daemon has
locks, sockets and threads, which a later fork would inherit; the others are spawned. Memory is limited by
reading the resident size (``fs.memory``).
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from msgspec import Struct

from unify.fs.memory import resident_bytes
from unify.load.protocol import MAX_MESSAGE_BYTES, LoadTask, WorkerMessage, decode_message, encode_task
from unify.load.worker import TaskRunner, worker_main

LEASE_S = 60.0  # twelve heartbeats; a worker silent for longer is suspended, swapped out or stuck
MEMORY_CHECK_INTERVAL_S = 0.5  # a reading costs 0.02 ms
KILL_AFTER_S = 1.0  # between SIGTERM and SIGKILL

MIB = 1024 * 1024

_spawn_context = multiprocessing.get_context("spawn")


class LostWorker(Struct, frozen=True):
    """A worker process that ended.

    ``task``    the task it had.
    ``killed``  whether the daemon or a signal ended it.
    """

    task: LoadTask | None
    reason: str
    pid: int | None = None
    killed: bool = False


class Worker:
    """One worker process and its task.

    ``forked_without``  fork this process, and close these descriptors in the child; None: spawn a process.
    """

    def __init__(
        self,
        runner: TaskRunner,
        clock: Callable[[], float],
        *,
        forked_without: Collection[int] | None = None,
    ) -> None:
        self._clock = clock
        self.task: LoadTask | None = None
        self.last_message_at = clock()
        self.kill_at: float | None = None
        self.end_reason = ""
        self.pipe, theirs = _spawn_context.Pipe()
        self.process: BaseProcess = (
            _spawn_context.Process(
                target=worker_main, args=(theirs, runner), name="unify worker", daemon=True
            )
            if forked_without is None
            else multiprocessing.get_context("fork").Process(
                target=_forked_worker_main,
                args=(theirs, runner, self.pipe, forked_without),
                name="unify worker",
                daemon=True,
            )
        )
        self.process.start()
        theirs.close()

    def assign(self, task: LoadTask) -> None:
        """Send a task. If the worker has just died, its sentinel reports it."""
        self.task = task
        self.last_message_at = self._clock()
        try:
            self.pipe.send_bytes(encode_task(task))
        except (BrokenPipeError, ConnectionResetError):
            return

    def read_messages(self) -> Iterator[WorkerMessage]:
        """Yield the messages since the last call, to the last one if the worker has died."""
        try:
            while self.pipe.poll():
                report = decode_message(self.pipe.recv_bytes(MAX_MESSAGE_BYTES))
                self.last_message_at = self._clock()
                yield report
        except (EOFError, ConnectionResetError):
            return
        except (ValueError, OSError, RecursionError) as error:  # OSError: longer than MAX_MESSAGE_BYTES
            self.terminate(f"the worker sent an unreadable message: {error}")

    def terminate(self, reason: str) -> None:
        """Send SIGTERM now, and SIGKILL after KILL_AFTER_S (``WorkerPool.enforce_deadlines``)."""
        if self.kill_at is None:
            self.end_reason = reason
            self.kill_at = self._clock() + KILL_AFTER_S
            self.process.terminate()

    def reap(self) -> LostWorker:
        """Release the ended process; return how it ended."""
        self.process.join()
        code, pid = self.process.exitcode, self.process.pid
        self.process.close()
        self.pipe.close()
        killed = bool(self.end_reason) or (code or 0) < 0
        return LostWorker(self.task, self.end_reason or exit_reason(code), pid, killed)


def fork_worker(
    runner: TaskRunner, without: Collection[int] = (), clock: Callable[[], float] = time.monotonic
) -> Worker | None:
    """Fork a worker, which has every module that this process has imported; None if forking is not safe.

    Call it before this process has threads, locks and sockets. The worker gets what a spawned one gets:
    the environment, and no descriptor but its pipe; ``without`` names those that are open already.
    The system libraries of macOS do not allow a fork without exec.
    """
    if sys.platform != "linux" or threading.active_count() > 1:
        return None
    gc.freeze()  # a collection in one process would copy the pages that both share
    return Worker(runner, clock, forked_without=without)


def _forked_worker_main(
    pipe: Connection, runner: TaskRunner, daemon_pipe: Connection, without: Collection[int]
) -> None:
    daemon_pipe.close()
    for descriptor in without:
        os.close(descriptor)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as a spawned worker inherits it
    worker_main(pipe, runner)


class WorkerPool:
    """At most ``max_workers`` processes, started when needed and reused.

    ``memory_bytes``  limit for each; None: no limit.
    ``first``         a worker that runs already.
    """

    def __init__(
        self,
        max_workers: int,
        runner: TaskRunner,
        clock: Callable[[], float] = time.monotonic,
        *,
        memory_bytes: int | None = None,
        read_memory: Callable[[Sequence[int]], Mapping[int, int]] = resident_bytes,
        first: Worker | None = None,
    ) -> None:
        self._max_workers = max_workers
        self._runner = runner
        self._clock = clock
        self._memory_bytes = memory_bytes
        self._read_memory = read_memory
        self._memory_check_at = 0.0
        self.workers: list[Worker] = [] if first is None else [first]

    @property
    def has_capacity(self) -> bool:
        """Whether a worker is free or can be started."""
        return len(self.workers) < self._max_workers or any(
            worker.task is None for worker in self._available_workers()
        )

    @property
    def busy_workers(self) -> Sequence[Worker]:
        return [worker for worker in self.workers if worker.task is not None]

    @property
    def descriptors(self) -> Sequence[int]:
        """Return what to poll for input: each worker's pipe, and its sentinel, readable when it dies."""
        pipes = [worker.pipe.fileno() for worker in self.workers if not worker.pipe.closed]
        return [*pipes, *(worker.process.sentinel for worker in self.workers)]

    def warm_up(self) -> None:
        """Start one worker before it is needed: starting takes half a second."""
        if not self.workers:
            self.workers.append(Worker(self._runner, self._clock))

    def assign(self, task: LoadTask) -> None:
        """Assign ``task`` to an idle worker, or to a new one. Call only if ``has_capacity``."""
        worker = next((worker for worker in self._available_workers() if worker.task is None), None)
        if worker is None:
            worker = Worker(self._runner, self._clock)
            self.workers.append(worker)
        worker.assign(task)

    def find_worker(self, job: int) -> Worker | None:
        return next((worker for worker in self.busy_workers if worker.task and worker.task.job == job), None)

    def reap_lost_workers(self) -> Iterator[LostWorker]:
        """Yield the workers that have died. Call after ``Worker.read_messages``."""
        for worker in [worker for worker in self.workers if not worker.process.is_alive()]:
            self.workers.remove(worker)
            yield worker.reap()

    def enforce_deadlines(self) -> None:
        """Kill workers that ignored SIGTERM; stop those that are unresponsive or over the memory limit."""
        now = self._clock()
        if self._memory_bytes is not None and self.busy_workers and self._memory_check_at <= now:
            self._memory_check_at = now + MEMORY_CHECK_INTERVAL_S
            self._check_memory(self._memory_bytes)
        for worker in self.workers:
            if worker.kill_at is not None and worker.kill_at <= now:
                worker.process.kill()
                worker.kill_at = now + KILL_AFTER_S
            elif worker.task is not None and worker.last_message_at + LEASE_S <= now:
                worker.terminate(f"the worker was unresponsive for {LEASE_S:.0f} s")

    def wait_s(self) -> float | None:
        """Seconds until ``enforce_deadlines`` may have work; None: no worker is busy or ending."""
        due = [worker.kill_at for worker in self.workers if worker.kill_at is not None]
        due += [worker.last_message_at + LEASE_S for worker in self.busy_workers]
        if self._memory_bytes is not None and self.busy_workers:
            due.append(self._memory_check_at)
        return max(0.0, min(due) - self._clock()) if due else None

    def close(self) -> None:
        """End every worker and wait for it: about KILL_AFTER_S if one ignores SIGTERM."""
        for worker in self.workers:
            worker.terminate("the daemon stopped")
        deadline = self._clock() + KILL_AFTER_S
        for worker in self.workers:
            worker.process.join(max(0.0, deadline - self._clock()))
            if worker.process.is_alive():
                worker.process.kill()
            worker.reap()
        self.workers.clear()

    def _check_memory(self, max_bytes: int) -> None:
        """Stop the workers that hold more than ``max_bytes``."""
        busy = {worker.process.pid: worker for worker in self.busy_workers}
        for pid, used_bytes in self._read_memory([pid for pid in busy if pid is not None]).items():
            if used_bytes > max_bytes:
                busy[pid].terminate(
                    f"the worker used {used_bytes / MIB:,.0f} MiB of memory; the limit is "
                    f"{max_bytes / MIB:,.0f} MiB (UNIFY_WORKER_MEMORY)"
                )

    def _available_workers(self) -> Sequence[Worker]:
        """Return the workers that are not ending."""
        return [worker for worker in self.workers if worker.kill_at is None]


def exit_reason(code: int | None) -> str:
    """Describe how a process ended: ``the worker was killed by SIGKILL``."""
    if code is None:
        return "the worker ended"
    if code >= 0:
        return f"the worker ended with status {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = " (out of memory?)" if name == "SIGKILL" else ""
    return f"the worker was killed by {name}{hint}"
