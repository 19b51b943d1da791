"""The daemon: one process a home folder that carries out what the queue holds, and outlives every shell.

``python -m unify.daemon.main --home H`` is how ``status.launch`` starts it; ``unify daemon run``
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

from unify.config.settings import DEFAULT_TENANT, Settings
from unify.daemon.dispatcher import Dispatcher
from unify.daemon.log import DaemonLog
from unify.daemon.publisher import Publisher, PublishHandler
from unify.daemon.scripts import ScriptSupervisor
from unify.daemon.transitions import JobTransitions
from unify.daemon.worker_pool import WorkerPool
from unify.errors import UnifyError
from unify.load.environment import Environment
from unify.load.loader import LoadRunner
from unify.load.protocol import make_bug_failure
from unify.load.worker import TaskRunner
from unify.queue.queue import Queue
from unify.status import instance
from unify.status.messages import DaemonInfo
from unify.status.server import StatusServer
from unify.version import VERSION

STOP_TIMEOUT_S = 5.0  # workers and publisher have so long to end; `system stop daemon` promises 10 s in all
EXIT_ALREADY_RUNNING = 3  # exit status; whoever started us is as well served by the other one


def main(
    settings: Settings, runner: TaskRunner | None = None, announce: Callable[[], None] = lambda: None
) -> int:
    """Be the daemon of this home until somebody stops it. Gives the exit status.

    ``run``       what workers do with a task; None: load tables.
    ``announce``  is called once the sockets answer.
    """
    os.umask(0o077)  # whatever it and its workers write is the owner's alone
    settings.create_folders()
    with instance.hold_lock(settings.daemon_lock) as ours:
        if not ours:
            sys.stderr.write(f"unify: another daemon runs in {settings.home}\n")
            return EXIT_ALREADY_RUNNING
        with ExitStack() as opened:
            daemon = Daemon(settings, runner or LoadRunner(settings.home, settings.tenant), opened)
            announce()
            daemon.run()
        if not daemon.is_finished:
            os._exit(0)  # the publisher waits for the lake; taking Python down under it would crash
    return 0


class Daemon:
    """The loop: sleeps until a socket, a worker, the publisher, a signal or a due time speaks."""

    def __init__(self, settings: Settings, runner: TaskRunner, exit_stack: ExitStack) -> None:
        self.is_finished = False  # every thread has ended
        self._is_stopping = False
        self._started_at = datetime.now(UTC)
        self._wakeup_pipe = exit_stack.enter_context(_open_wakeup_pipe())
        exit_stack.enter_context(_handle_signals(self._wakeup_pipe, self._request_stop))
        queue = exit_stack.enter_context(Queue(settings.queue))
        self.epoch = queue.start_epoch()
        self.log = DaemonLog(settings.logs, self.epoch)
        exit_stack.callback(self.log.close)
        self._server = exit_stack.enter_context(StatusServer(settings.socket_folder, self.epoch))
        self._worker_pool = WorkerPool(settings.workers, runner, memory_bytes=settings.worker_memory_bytes)
        self._environment = Environment(os.environ)
        publisher = Publisher(PublishHandler(settings, queue.is_current_attempt), self._wakeup_pipe.wake_up)
        self._dispatcher = Dispatcher(
            settings,
            self.epoch,
            worker_pool=self._worker_pool,
            transitions=JobTransitions(queue, publisher, self.log, self._server.publish),
            environment=self._environment,
            script_supervisor=ScriptSupervisor(
                settings,
                self.epoch,
                queue.scripts,
                self.log,
                environment=self._environment,
                wake=self._wakeup_pipe.wake_up,
            ),
        )
        self.log.write_event("daemon started", version=VERSION, pid=os.getpid(), home=settings.home)

    def run(self) -> None:
        """Work until asked to stop; then leave the queue as if nothing had been under way."""
        try:
            self._run_loop()
        except Exception as error:
            fault = make_bug_failure(error)
            self.log.write_event("daemon failed", error=fault.message, trace=fault.trace)
            raise
        finally:
            self.is_finished = self._dispatcher.stop(STOP_TIMEOUT_S)
            self.log.write_event("daemon stopped")

    def _run_loop(self) -> None:
        self._dispatcher.start()
        while not self._is_stopping:
            self._dispatcher.run_once()
            self._server.flush()
            if self._dispatcher.has_idle_timed_out():
                self.log.write_event("nothing to do", for_s=self._dispatcher.settings.idle_timeout_s)
                return
            self._sleep()
            self._server.handle_requests(self)

    # What shells ask (status.server.Handler)

    def daemon_info(self) -> DaemonInfo:
        foreman = self._dispatcher
        who = (VERSION, self.epoch, os.getpid(), self._started_at)
        return DaemonInfo(*who, busy=foreman.running_count, waiting=foreman.disk_space.pause_reason)

    def poll_queue(self) -> None:
        self._dispatcher.schedule_poll()

    def cancel(self, job: int) -> None:
        self._dispatcher.cancel(job)

    def stop(self) -> None:
        self.log.write_event("stop asked for")
        self._request_stop()

    def offer_environment(self, values: dict[str, str]) -> None:
        self._environment.update(values)
        self.log.add_secrets(values.values())
        self._dispatcher.schedule_poll()

    def _request_stop(self) -> None:
        self._is_stopping = True

    def _sleep(self) -> None:
        poller = zmq.Poller()
        for source in (
            *self._server.sockets,
            *self._worker_pool.descriptors,
            self._wakeup_pipe.read_descriptor,
        ):
            poller.register(source, zmq.POLLIN)
        waits = [wait for wait in (self._dispatcher.wait_s(), self._server.wait_s()) if wait is not None]
        poller.poll(round(1000 * min(waits)) + 1)  # ms; one more, so that what is due is due when we wake
        self._wakeup_pipe.clear()


class WakeupPipe:
    """A pipe that ends the loop's sleep, written to by the publisher and by signals."""

    def __init__(self) -> None:
        self.read_descriptor, self.write_descriptor = os.pipe()
        for descriptor in (self.read_descriptor, self.write_descriptor):
            os.set_blocking(descriptor, False)

    def wake_up(self) -> None:
        try:
            os.write(self.write_descriptor, b"!")
        except BlockingIOError:
            return  # thousands of calls wait to be heard already

    def clear(self) -> None:
        try:
            while os.read(self.read_descriptor, 4096):
                pass
        except BlockingIOError:
            return


@contextmanager
def _open_wakeup_pipe() -> Iterator[WakeupPipe]:
    waker = WakeupPipe()
    try:
        yield waker
    finally:
        os.close(waker.read_descriptor)
        os.close(waker.write_descriptor)


@contextmanager
def _handle_signals(wakeup_pipe: WakeupPipe, stop: Callable[[], None]) -> Iterator[None]:
    """SIGTERM and SIGINT stop the daemon; a closing terminal means nothing to it."""

    def asked(_number: int, _frame: FrameType | None) -> None:
        stop()

    kept = {number: signal.signal(number, asked) for number in (signal.SIGTERM, signal.SIGINT)}
    kept[signal.SIGHUP] = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    before = signal.set_wakeup_fd(wakeup_pipe.write_descriptor)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        for number, handler in kept.items():
            signal.signal(number, handler)


def run_detached(arguments: Sequence[str], runner: TaskRunner | None = None) -> int:
    """The daemon as its own process: what ``python -m unify.daemon.main`` does."""
    parser = argparse.ArgumentParser(prog="python -m unify.daemon.main")
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
        given.home, given.home / "connections.yaml", tenant=given.tenant, idle_timeout_s=given.idle_exit
    )
    if given.workers is not None:
        settings = replace(settings, workers=given.workers)
    if given.worker_memory is not None:
        settings = replace(settings, worker_memory_bytes=given.worker_memory)
    if given.keep_history is not None:
        settings = replace(settings, history_retention_s=given.keep_history)
    if given.script_time is not None:
        settings = replace(settings, script_timeout_s=given.script_time)
    try:
        return main(settings, runner, announce=lambda: _write_ready_byte(given.announce))
    except UnifyError as error:
        sys.stderr.write(f"{error.message}\n")
        return error.exit_status


def _write_ready_byte(descriptor: int | None) -> None:
    if descriptor is not None:
        os.write(descriptor, b"!")
        os.close(descriptor)


if __name__ == "__main__":
    sys.exit(run_detached(sys.argv[1:]))
