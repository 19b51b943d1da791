"""The daemon's worker processes: started, given one task at a time, watched, replaced.

Our own supervision, by sentinel: ``multiprocessing.Pool`` hangs for ever when a worker is killed,
``ProcessPoolExecutor`` fails the neighbours' tasks, and a forked worker would inherit the
instance lock.

How much memory a process holds: what the kernel says, asked twice a second while loads run.

A limit on the address space (RLIMIT_AS) is of no use here: DuckDB reserves many times what it ever touches.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from unify.load.protocol import MAX_MESSAGE_BYTES, LoadTask, WorkerMessage, decode_message, encode_task
from unify.load.worker import TaskRunner, worker_main

_PROC = Path("/proc")
_KIB = 1024


def resident_bytes(pids: Sequence[int]) -> Mapping[int, int]:
    """What each of these processes holds in memory; one that has ended is left out."""
    if (_PROC / "self" / "statm").exists():
        return _read_proc(pids)
    return _run_ps(pids)


def _read_proc(pids: Sequence[int]) -> Mapping[int, int]:
    """Linux: the second number of ``/proc/PID/statm`` counts pages."""
    page = os.sysconf("SC_PAGE_SIZE")
    found = {}
    for pid in pids:
        with suppress(OSError):  # it has just ended; its sentinel says so
            found[pid] = int((_PROC / str(pid) / "statm").read_bytes().split()[1]) * page
    return found


def _run_ps(pids: Sequence[int]) -> Mapping[int, int]:
    """macOS has no /proc, but every system has ps; its figures are KiB."""
    if not pids:
        return {}
    asked = ["ps", "-o", "pid=,rss=", "-p", ",".join(map(str, pids))]
    told = subprocess.run(asked, capture_output=True, text=True, check=False).stdout
    rows = [line.split() for line in told.splitlines()]
    return {int(pid): int(kib) * _KIB for pid, kib in rows}


LEASE_S = 60.0  # twelve heartbeats; a worker silent for longer is stopped, swapped out or stuck
MEMORY_CHECK_INTERVAL_S = 0.5  # how often the memory of busy workers is looked at; a reading costs 0.02 ms
KILL_AFTER_S = 1.0  # what a worker gets between the polite signal and the other one

MIB = 1024 * 1024

_spawn_context = multiprocessing.get_context("spawn")


@dataclass(frozen=True, slots=True)
class LostWorker:
    """A worker process that ended. ``task`` is what it was doing, if anything."""

    task: LoadTask | None
    reason: str


class Worker:
    """One worker process and the task it has."""

    def __init__(self, runner: TaskRunner, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.task: LoadTask | None = None
        self.last_message_at = clock()
        self.kill_at: float | None = None
        self.end_reason = ""
        self.pipe, theirs = _spawn_context.Pipe()
        self.process = _spawn_context.Process(
            target=worker_main, args=(theirs, runner), name="unify worker", daemon=True
        )
        self.process.start()
        theirs.close()

    def assign(self, task: LoadTask) -> None:
        """Hand over a task; if the worker has just died, its sentinel will say so."""
        self.task = task
        self.last_message_at = self._clock()
        try:
            self.pipe.send_bytes(encode_task(task))
        except (BrokenPipeError, ConnectionResetError):
            return

    def read_messages(self) -> Iterator[WorkerMessage]:
        """What the worker has said since we last listened, to the end if it has died."""
        try:
            while self.pipe.poll():
                report = decode_message(self.pipe.recv_bytes(MAX_MESSAGE_BYTES))
                self.last_message_at = self._clock()
                yield report
        except (EOFError, ConnectionResetError):
            return
        except ValueError as error:
            self.terminate(f"the worker sent what nobody can read: {error}")

    def terminate(self, reason: str) -> None:
        """Make the process end: politely now, and surely a second later (``Crew.press``)."""
        if self.kill_at is None:
            self.end_reason = reason
            self.kill_at = self._clock() + KILL_AFTER_S
            self.process.terminate()

    def reap(self) -> LostWorker:
        """Collect the dead process and say how it died."""
        self.process.join()
        code = self.process.exitcode
        self.process.close()
        self.pipe.close()
        return LostWorker(self.task, self.end_reason or exit_reason(code))


class WorkerPool:
    """At most ``size`` workers, started as they are needed and kept warm.

    ``memory_bytes``  what each may hold; None: as much as it likes.
    """

    def __init__(
        self,
        max_workers: int,
        runner: TaskRunner,
        clock: Callable[[], float] = time.monotonic,
        *,
        memory_bytes: int | None = None,
        read_memory: Callable[[Sequence[int]], Mapping[int, int]] = resident_bytes,
    ) -> None:
        self._max_workers = max_workers
        self._runner = runner
        self._clock = clock
        self._memory_bytes = memory_bytes
        self._read_memory = read_memory
        self._memory_check_at = 0.0
        self.workers: list[Worker] = []

    @property
    def has_capacity(self) -> bool:
        """Whether a task would be taken at once."""
        return len(self.workers) < self._max_workers or any(
            worker.task is None for worker in self._available_workers()
        )

    @property
    def busy_workers(self) -> Sequence[Worker]:
        return [worker for worker in self.workers if worker.task is not None]

    @property
    def descriptors(self) -> Sequence[int]:
        """What to poll for input: every worker's pipe, and its sentinel, which speaks when it dies."""
        return [
            number for worker in self.workers for number in (worker.pipe.fileno(), worker.process.sentinel)
        ]

    def warm_up(self) -> None:
        """Have one worker ready before anybody asks: starting one takes half a second."""
        if not self.workers:
            self.workers.append(Worker(self._runner, self._clock))

    def assign(self, task: LoadTask) -> None:
        """Give ``task`` to an idle worker, or to a new one. Only where there ``has_room``."""
        worker = next((worker for worker in self._available_workers() if worker.task is None), None)
        if worker is None:
            worker = Worker(self._runner, self._clock)
            self.workers.append(worker)
        worker.assign(task)

    def find_worker(self, job: int) -> Worker | None:
        return next((worker for worker in self.busy_workers if worker.task and worker.task.job == job), None)

    def reap_lost_workers(self) -> Iterator[LostWorker]:
        """The workers that have died; read their ``read_messages`` before."""
        for worker in [worker for worker in self.workers if not worker.process.is_alive()]:
            self.workers.remove(worker)
            yield worker.reap()

    def enforce_deadlines(self) -> None:
        """Do what is due by now: kill who did not end when asked, end who is silent or holds too much."""
        now = self._clock()
        if self._memory_bytes is not None and self.busy_workers and self._memory_check_at <= now:
            self._memory_check_at = now + MEMORY_CHECK_INTERVAL_S
            self._check_memory(self._memory_bytes)
        for worker in self.workers:
            if worker.kill_at is not None and worker.kill_at <= now:
                worker.process.kill()
                worker.kill_at = now + KILL_AFTER_S
            elif worker.task is not None and worker.last_message_at + LEASE_S <= now:
                worker.terminate(f"the worker said nothing for {LEASE_S:.0f} s")

    def wait_s(self) -> float | None:
        """In how many seconds ``press`` may have something to do; None: no worker is busy or ending."""
        due = [worker.kill_at for worker in self.workers if worker.kill_at is not None]
        due += [worker.last_message_at + LEASE_S for worker in self.busy_workers]
        if self._memory_bytes is not None and self.busy_workers:
            due.append(self._memory_check_at)
        return max(0.0, min(due) - self._clock()) if due else None

    def close(self) -> None:
        """End every worker and wait until each is gone: a second, or a little more where one is deaf."""
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
        """End who holds more than ``most`` bytes, before the machine has none left for anybody."""
        busy = {worker.process.pid: worker for worker in self.busy_workers}
        for pid, held in self._read_memory([pid for pid in busy if pid is not None]).items():
            if held > max_bytes:
                busy[pid].terminate(
                    f"the worker held {held / MIB:,.0f} MiB of memory, more than the {max_bytes / MIB:,.0f} MiB "
                    "it may (UNIFY_WORKER_MEMORY)"
                )

    def _available_workers(self) -> Sequence[Worker]:
        """The workers that may get a task: alive as far as we know, and not on their way out."""
        return [worker for worker in self.workers if worker.kill_at is None]


def exit_reason(code: int | None) -> str:
    """How a process ended, in words: ``the worker was killed by SIGKILL``."""
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
