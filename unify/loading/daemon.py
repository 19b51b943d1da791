"""The daemon: one process a home folder that carries out what the queue holds, and outlives every shell.

``python -m unify.loading.daemon --home H`` is how ``status.launch`` starts it; ``unify daemon run``
calls ``main`` in the foreground. The lock comes first, then the epoch, then the sockets.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

import zmq

import unify
from unify.errors import UnifyError
from unify.loading.environment import Environment
from unify.loading.foreman import Foreman
from unify.loading.loader import Loading
from unify.loading.log import Log
from unify.loading.outcomes import Outcomes
from unify.loading.publisher import Desk, Publisher
from unify.loading.scripting import Scripting
from unify.loading.task import fault_of
from unify.loading.worker import Runner
from unify.loading.workers import Crew
from unify.settings import DEFAULT_TENANT, Settings
from unify.status import instance
from unify.status.messages import About
from unify.status.server import StatusServer
from unify.store.queue import Queue

STOP_S = 5.0  # workers and publisher have so long to end; `system stop daemon` promises 10 s in all
ANOTHER_RUNS = 3  # exit status; whoever started us is as well served by the other one


def main(settings: Settings, run: Runner | None = None, announce: Callable[[], None] = lambda: None) -> int:
    """Be the daemon of this home until somebody stops it. Gives the exit status.

    ``run``       what workers do with a task; None: load tables.
    ``announce``  is called once the sockets answer.
    """
    os.umask(0o077)  # whatever it and its workers write is the owner's alone
    settings.prepare()
    with instance.holding(settings.daemon_lock) as ours:
        if not ours:
            sys.stderr.write(f"unify: another daemon runs in {settings.home}\n")
            return ANOTHER_RUNS
        with ExitStack() as opened:
            daemon = Daemon(settings, run or Loading(settings.home, settings.tenant), opened)
            announce()
            daemon.run()
        if not daemon.is_finished:
            os._exit(0)  # the publisher waits for the lake; taking Python down under it would crash
    return 0


class Daemon:
    """The loop: sleeps until a socket, a worker, the publisher, a signal or a due time speaks."""

    def __init__(self, settings: Settings, run: Runner, opened: ExitStack) -> None:
        self.is_finished = False  # every thread has ended
        self._stopping = False
        self._started_at = datetime.now(UTC)
        self._wake = opened.enter_context(_waker())
        opened.enter_context(_signals(self._wake, self._ask_to_stop))
        queue = opened.enter_context(Queue(settings.queue))
        self.epoch = queue.new_epoch()
        self.log = Log(settings.logs, self.epoch)
        opened.callback(self.log.close)
        self._server = opened.enter_context(StatusServer(settings.run, self.epoch))
        self._crew = Crew(settings.workers, run, memory_bytes=settings.worker_memory_bytes)
        self._environment = Environment(os.environ)
        publisher = Publisher(Desk(settings, queue.holds), self._wake.call)
        self._foreman = Foreman(
            settings,
            self.epoch,
            crew=self._crew,
            outcomes=Outcomes(queue, publisher, self.log, self._server.publish),
            environment=self._environment,
            scripting=Scripting(
                settings,
                self.epoch,
                queue.scripts,
                self.log,
                environment=self._environment,
                wake=self._wake.call,
            ),
        )
        self.log.fact("daemon started", version=unify.__version__, pid=os.getpid(), home=settings.home)

    def run(self) -> None:
        """Work until asked to stop; then leave the queue as if nothing had been under way."""
        try:
            self._work()
        except Exception as error:
            fault = fault_of(error)
            self.log.fact("daemon failed", error=fault.message, trace=fault.trace)
            raise
        finally:
            self.is_finished = self._foreman.stop(STOP_S)
            self.log.fact("daemon stopped")

    def _work(self) -> None:
        self._foreman.start()
        while not self._stopping:
            self._foreman.turn()
            self._server.flush()
            if self._foreman.has_idled_enough():
                self.log.fact("nothing to do", for_s=self._foreman.settings.idle_exit_s)
                return
            self._sleep()
            self._server.answer(self)

    # What shells ask (status.server.Handler)

    def about(self) -> About:
        foreman = self._foreman
        who = (unify.__version__, self.epoch, os.getpid(), self._started_at)
        return About(*who, busy=foreman.busy, waiting=foreman.room.why)

    def kick(self) -> None:
        self._foreman.look()

    def cancel(self, job: int) -> None:
        self._foreman.cancel(job)

    def stop(self) -> None:
        self.log.fact("stop asked for")
        self._ask_to_stop()

    def offer_environment(self, values: dict[str, str]) -> None:
        self._environment.offer(values)
        self.log.hide(values.values())
        self._foreman.look()

    def _ask_to_stop(self) -> None:
        self._stopping = True

    def _sleep(self) -> None:
        poller = zmq.Poller()
        for source in (*self._server.sockets, *self._crew.descriptors, self._wake.descriptor):
            poller.register(source, zmq.POLLIN)
        waits = [wait for wait in (self._foreman.wait_s(), self._server.wait_s()) if wait is not None]
        poller.poll(round(1000 * min(waits)) + 1)  # ms; one more, so that what is due is due when we wake
        self._wake.clear()


class Waker:
    """A pipe that ends the loop's sleep, written to by the publisher and by signals."""

    def __init__(self) -> None:
        self.descriptor, self.end = os.pipe()
        for descriptor in (self.descriptor, self.end):
            os.set_blocking(descriptor, False)

    def call(self) -> None:
        try:
            os.write(self.end, b"!")
        except BlockingIOError:
            return  # thousands of calls wait to be heard already

    def clear(self) -> None:
        try:
            while os.read(self.descriptor, 4096):
                pass
        except BlockingIOError:
            return


@contextmanager
def _waker() -> Iterator[Waker]:
    waker = Waker()
    try:
        yield waker
    finally:
        os.close(waker.descriptor)
        os.close(waker.end)


@contextmanager
def _signals(waker: Waker, stop: Callable[[], None]) -> Iterator[None]:
    """SIGTERM and SIGINT stop the daemon; a closing terminal means nothing to it."""

    def asked(_number: int, _frame: FrameType | None) -> None:
        stop()

    kept = {number: signal.signal(number, asked) for number in (signal.SIGTERM, signal.SIGINT)}
    kept[signal.SIGHUP] = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    before = signal.set_wakeup_fd(waker.end)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        for number, handler in kept.items():
            signal.signal(number, handler)


def run_detached(arguments: Sequence[str], run: Runner | None = None) -> int:
    """The daemon as its own process: what ``python -m unify.loading.daemon`` does."""
    parser = argparse.ArgumentParser(prog="python -m unify.loading.daemon")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--tenant", default=DEFAULT_TENANT)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--worker-memory", type=int, help="bytes one worker may hold")
    parser.add_argument("--idle-exit", type=float, help="seconds without work after which the daemon ends")
    parser.add_argument("--keep-history", type=float, help="seconds old versions of tables are kept")
    parser.add_argument("--script-time", type=float, help="seconds a scheduled script may take")
    parser.add_argument("--announce", type=int, help="descriptor that gets a byte when the daemon answers")
    given = parser.parse_args(arguments)
    settings = Settings(
        given.home, given.home / "connections.yaml", tenant=given.tenant, idle_exit_s=given.idle_exit
    )
    if given.workers is not None:
        settings = replace(settings, workers=given.workers)
    if given.worker_memory is not None:
        settings = replace(settings, worker_memory_bytes=given.worker_memory)
    if given.keep_history is not None:
        settings = replace(settings, kept_history_s=given.keep_history)
    if given.script_time is not None:
        settings = replace(settings, script_time_s=given.script_time)
    try:
        return main(settings, run, announce=lambda: _announce(given.announce))
    except UnifyError as error:
        sys.stderr.write(f"{error.message}\n")
        return error.exit_status


def _announce(descriptor: int | None) -> None:
    if descriptor is not None:
        os.write(descriptor, b"!")
        os.close(descriptor)


if __name__ == "__main__":
    sys.exit(run_detached(sys.argv[1:]))
