"""The daemon's worker processes: started, given one task at a time, watched, replaced.

Our own supervision, by sentinel: ``multiprocessing.Pool`` hangs for ever when a worker is killed,
``ProcessPoolExecutor`` fails the neighbours' tasks, and a forked worker would inherit the
instance lock.
"""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from unify.loading.memory import resident_bytes
from unify.loading.task import MESSAGE_BYTES, Report, Task, decode_report, encode_task
from unify.loading.worker import Runner, worker_main

LEASE_S = 60.0  # twelve heartbeats; a worker silent for longer is stopped, swapped out or stuck
WEIGH_S = 0.5  # how often the memory of busy workers is looked at; a reading costs 0.02 ms
TERM_S = 1.0  # what a worker gets between the polite signal and the other one

MIB = 1024 * 1024

_spawning = multiprocessing.get_context("spawn")


@dataclass(frozen=True, slots=True)
class Lost:
    """A worker process that ended. ``task`` is what it was doing, if anything."""

    task: Task | None
    reason: str


class Worker:
    """One worker process and the task it has."""

    def __init__(self, run: Runner, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.task: Task | None = None
        self.heard_at = clock()
        self.kill_at: float | None = None
        self.why_ended = ""
        self.pipe, theirs = _spawning.Pipe()
        self.process = _spawning.Process(
            target=worker_main, args=(theirs, run), name="unify worker", daemon=True
        )
        self.process.start()
        theirs.close()

    def assign(self, task: Task) -> None:
        """Hand over a task; if the worker has just died, its sentinel will say so."""
        self.task = task
        self.heard_at = self._clock()
        try:
            self.pipe.send_bytes(encode_task(task))
        except (BrokenPipeError, ConnectionResetError):
            return

    def reports(self) -> Iterator[Report]:
        """What the worker has said since we last listened, to the end if it has died."""
        try:
            while self.pipe.poll():
                report = decode_report(self.pipe.recv_bytes(MESSAGE_BYTES))
                self.heard_at = self._clock()
                yield report
        except (EOFError, ConnectionResetError):
            return
        except ValueError as error:
            self.end(f"the worker sent what nobody can read: {error}")

    def end(self, why: str) -> None:
        """Make the process end: politely now, and surely a second later (``Crew.press``)."""
        if self.kill_at is None:
            self.why_ended = why
            self.kill_at = self._clock() + TERM_S
            self.process.terminate()

    def lost(self) -> Lost:
        """Collect the dead process and say how it died."""
        self.process.join()
        code = self.process.exitcode
        self.process.close()
        self.pipe.close()
        return Lost(self.task, self.why_ended or exit_reason(code))


class Crew:
    """At most ``size`` workers, started as they are needed and kept warm.

    ``memory_bytes``  what each may hold; None: as much as it likes.
    """

    def __init__(
        self,
        size: int,
        run: Runner,
        clock: Callable[[], float] = time.monotonic,
        *,
        memory_bytes: int | None = None,
        resident: Callable[[Sequence[int]], Mapping[int, int]] = resident_bytes,
    ) -> None:
        self._size = size
        self._run = run
        self._clock = clock
        self._memory_bytes = memory_bytes
        self._resident = resident
        self._weigh_at = 0.0
        self.workers: list[Worker] = []

    @property
    def has_room(self) -> bool:
        """Whether a task would be taken at once."""
        return len(self.workers) < self._size or any(worker.task is None for worker in self._able())

    @property
    def busy(self) -> Sequence[Worker]:
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
            self.workers.append(Worker(self._run, self._clock))

    def assign(self, task: Task) -> None:
        """Give ``task`` to an idle worker, or to a new one. Only where there ``has_room``."""
        worker = next((worker for worker in self._able() if worker.task is None), None)
        if worker is None:
            worker = Worker(self._run, self._clock)
            self.workers.append(worker)
        worker.assign(task)

    def working_on(self, job: int) -> Worker | None:
        return next((worker for worker in self.busy if worker.task and worker.task.job == job), None)

    def collect_lost(self) -> Iterator[Lost]:
        """The workers that have died; read their ``reports`` before."""
        for worker in [worker for worker in self.workers if not worker.process.is_alive()]:
            self.workers.remove(worker)
            yield worker.lost()

    def press(self) -> None:
        """Do what is due by now: kill who did not end when asked, end who is silent or holds too much."""
        now = self._clock()
        if self._memory_bytes is not None and self.busy and self._weigh_at <= now:
            self._weigh_at = now + WEIGH_S
            self._weigh(self._memory_bytes)
        for worker in self.workers:
            if worker.kill_at is not None and worker.kill_at <= now:
                worker.process.kill()
                worker.kill_at = now + TERM_S
            elif worker.task is not None and worker.heard_at + LEASE_S <= now:
                worker.end(f"the worker said nothing for {LEASE_S:.0f} s")

    def wait_s(self) -> float | None:
        """In how many seconds ``press`` may have something to do; None: no worker is busy or ending."""
        due = [worker.kill_at for worker in self.workers if worker.kill_at is not None]
        due += [worker.heard_at + LEASE_S for worker in self.busy]
        if self._memory_bytes is not None and self.busy:
            due.append(self._weigh_at)
        return max(0.0, min(due) - self._clock()) if due else None

    def close(self) -> None:
        """End every worker and wait until each is gone: a second, or a little more where one is deaf."""
        for worker in self.workers:
            worker.end("the daemon stopped")
        deadline = self._clock() + TERM_S
        for worker in self.workers:
            worker.process.join(max(0.0, deadline - self._clock()))
            if worker.process.is_alive():
                worker.process.kill()
            worker.lost()
        self.workers.clear()

    def _weigh(self, most: int) -> None:
        """End who holds more than ``most`` bytes, before the machine has none left for anybody."""
        busy = {worker.process.pid: worker for worker in self.busy}
        for pid, held in self._resident([pid for pid in busy if pid is not None]).items():
            if held > most:
                busy[pid].end(
                    f"the worker held {held / MIB:,.0f} MiB of memory, more than the {most / MIB:,.0f} MiB "
                    "it may (UNIFY_WORKER_MEMORY)"
                )

    def _able(self) -> Sequence[Worker]:
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
