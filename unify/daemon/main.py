"""The daemon process: one a home folder; it runs the jobs of the queue and outlives every shell.

``status.launch`` starts ``python -m unify.daemon --home H``; ``unify daemon run`` calls ``main`` in the
foreground. The daemon takes the instance lock first, then its epoch, then binds the sockets.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

import zmq
from msgspec.structs import replace

from unify.config.settings import DEFAULT_TENANT, Settings
from unify.daemon.dispatcher import Dispatcher
from unify.daemon.jobs.running_jobs import RunningJobs
from unify.daemon.log import DaemonLog
from unify.daemon.notifier import Notifier
from unify.daemon.publisher import Publisher, PublishHandler
from unify.daemon.scripts import ScriptSupervisor
from unify.daemon.worker_pool import Worker, WorkerPool, fork_worker
from unify.errors import UnifyError
from unify.fs.memory import disable_core_dumps
from unify.imports import skip_unneeded_packages
from unify.load.environment import Environment
from unify.load.protocol import make_bug_failure
from unify.load.staging import StagingArea
from unify.load.worker import TaskRunner
from unify.queue.queue import Queue
from unify.sender.pending_writes import PendingWrites
from unify.sender.runner import JobRunner
from unify.status import instance
from unify.status.messages import DaemonInfo
from unify.status.server import StatusServer
from unify.text import escape_text
from unify.version import VERSION
from unify.writes.store import WriteStore

STOP_TIMEOUT_S = 5.0  # for workers and publisher; `system stop daemon` promises 10 s in all
EXIT_ALREADY_RUNNING = 3  # exit status
QUEUE_LOCK_TIMEOUT_S = 1.0  # per write; while another process holds the lock, the daemon still answers
NOTIFIER_TIMEOUT_S = 2.0  # for notifications that are pending when the daemon stops
MIN_FAULT_PAUSE_S = 1.0  # after an unexpected error of the loop


def main(
    settings: Settings,
    runner: TaskRunner | None = None,
    announce: Callable[[], None] = lambda: None,
    first_worker: Worker | None = None,
) -> int:
    """Run the daemon until it is stopped; return the exit status.

    ``runner``        what workers do with a task; None: load tables.
    ``announce``      is called when the sockets are bound.
    ``first_worker``  a worker that runs already, with the same runner.
    """
    os.umask(0o077)
    disable_core_dumps()
    settings.create_folders()
    with instance.hold_lock(settings.daemon_lock) as ours:
        if not ours:
            sys.stderr.write(f"unify: another daemon is running in {settings.home}\n")
            return EXIT_ALREADY_RUNNING
        runner = runner or JobRunner(settings.home, settings.tenant)
        pool = WorkerPool(
            settings.workers, runner, memory_bytes=settings.worker_memory_bytes, first=first_worker
        )
        with ExitStack() as opened:
            daemon = Daemon(settings, pool, opened)
            announce()
            daemon.run()
        if not daemon.is_finished:
            os._exit(0)  # the publisher thread is inside DuckDB; finalizing Python under it would crash
    return 0


class Daemon:
    """The main loop: sleeps until a socket, a worker, the publisher, a signal or a due time needs work."""

    def __init__(self, settings: Settings, worker_pool: WorkerPool, exit_stack: ExitStack) -> None:
        self.is_finished = False  # every thread has ended
        self._is_stopping = False
        self._started_at = datetime.now(UTC)
        self._wakeup_pipe = exit_stack.enter_context(_open_wakeup_pipe())
        exit_stack.enter_context(_handle_signals(self._wakeup_pipe, self._request_stop))
        self.log = DaemonLog(settings.logs, epoch=0)
        exit_stack.callback(self.log.close)
        queue = exit_stack.enter_context(Queue(settings.queue, self._log_queue_notice))
        self.epoch = self.log.epoch = queue.start_epoch()
        queue.set_lock_timeout(QUEUE_LOCK_TIMEOUT_S)
        self._server = exit_stack.enter_context(StatusServer(settings.socket_folder, self.epoch))
        self._worker_pool = worker_pool
        self._environment = Environment(os.environ)
        notifier = Notifier(settings.notifications, self._environment, self.log)
        exit_stack.callback(notifier.close, NOTIFIER_TIMEOUT_S)
        publisher = Publisher(PublishHandler(settings, queue.is_current_attempt), self._wakeup_pipe.wake_up)
        self._dispatcher = Dispatcher(
            settings,
            self.epoch,
            worker_pool=self._worker_pool,
            running_jobs=RunningJobs(
                queue,
                publisher,
                self.log,
                self._server.publish,
                notifier,
                staging=StagingArea(settings.staging),
                writes=PendingWrites(WriteStore(settings.writes), queue),
            ),
            environment=self._environment,
            script_supervisor=ScriptSupervisor(
                settings,
                self.epoch,
                queue.scripts,
                self.log,
                environment=self._environment,
                notifier=notifier,
                wake=self._wakeup_pipe.wake_up,
            ),
        )
        self.log.write_event("daemon.started", version=VERSION, pid=os.getpid(), home=settings.home)

    def run(self) -> None:
        """Work until stopped; then queue the loads in progress again."""
        fault: Exception | None = None
        try:
            self._run_loop()
        except Exception as error:
            fault = error
            failure = make_bug_failure(error)
            self.log.write_event("daemon.failed", error=failure.message, trace=failure.trace)
            raise
        finally:
            self.is_finished = self._dispatcher.stop(STOP_TIMEOUT_S, fault)
            self.log.write_event("daemon.stopped")

    def _run_loop(self) -> None:
        self._dispatcher.start()
        while not self._is_stopping:
            fault_wait_s = self._run_once()
            if self._dispatcher.has_idle_timed_out():
                self.log.write_event("daemon.idle_exit", idle_exit_s=self._dispatcher.settings.idle_timeout_s)
                return
            self._sleep(fault_wait_s)
            self._server.handle_requests(self)

    def _run_once(self) -> float:
        """Do what is due; return how long to sleep at least. A bug is logged and does not end the loop."""
        try:
            self._dispatcher.run_once()
            self._server.flush()
        except Exception as error:
            if isinstance(error, UnifyError | OSError):
                raise  # the home folder cannot be used at all
            self.report_fault(error)
            return MIN_FAULT_PAUSE_S
        return 0.0

    def _log_queue_notice(self, notice: str) -> None:
        self.log.write_event("queue.replaced", notice=notice)

    # Requests of shells (status.server.DaemonRequestHandler)

    def daemon_info(self) -> DaemonInfo:
        dispatcher = self._dispatcher
        identity = (VERSION, self.epoch, os.getpid(), self._started_at)
        return DaemonInfo(
            *identity, busy=dispatcher.running_count, waiting=dispatcher.disk_space.pause_reason
        )

    def report_fault(self, error: Exception) -> None:
        self._dispatcher.faults.report(make_bug_failure(error))

    def poll_queue(self) -> None:
        self._dispatcher.schedule_poll()

    def cancel(self, job: int) -> None:
        self._dispatcher.cancel(job)

    def stop(self) -> None:
        self.log.write_event("daemon.stop_requested")
        self._request_stop()

    def offer_environment(self, values: dict[str, str]) -> None:
        self._environment.update(values)
        self.log.add_secrets(values.values())
        self._dispatcher.schedule_poll()

    def _request_stop(self) -> None:
        self._is_stopping = True

    def _sleep(self, at_least_s: float) -> None:
        poller = zmq.Poller()
        for source in (
            *self._server.sockets,
            *self._worker_pool.descriptors,
            self._wakeup_pipe.read_descriptor,
        ):
            poller.register(source, zmq.POLLIN)
        waits = [wait for wait in (self._dispatcher.wait_s(), self._server.wait_s()) if wait is not None]
        wait_s = max(at_least_s, min(waits))
        poller.poll(round(1000 * wait_s) + 1)  # ms; one more, so that what is due is due after the sleep
        self._wakeup_pipe.clear()


class WakeupPipe:
    """A pipe that ends the loop's sleep. The publisher and signals write to it."""

    def __init__(self) -> None:
        self.read_descriptor, self.write_descriptor = os.pipe()
        for descriptor in (self.read_descriptor, self.write_descriptor):
            os.set_blocking(descriptor, False)

    def wake_up(self) -> None:
        try:
            os.write(self.write_descriptor, b"!")
        except BlockingIOError:
            return  # the pipe is full: the loop will wake up

    def clear(self) -> None:
        try:
            while os.read(self.read_descriptor, 4096):
                pass
        except BlockingIOError:
            return


@contextmanager
def _open_wakeup_pipe() -> Iterator[WakeupPipe]:
    wakeup_pipe = WakeupPipe()
    try:
        yield wakeup_pipe
    finally:
        os.close(wakeup_pipe.read_descriptor)
        os.close(wakeup_pipe.write_descriptor)


@contextmanager
def _handle_signals(wakeup_pipe: WakeupPipe, stop: Callable[[], None]) -> Iterator[None]:
    """SIGTERM and SIGINT stop the daemon; SIGHUP is ignored."""

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop()

    previous = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    previous[signal.SIGHUP] = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    before = signal.set_wakeup_fd(wakeup_pipe.write_descriptor)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        for number, handler in previous.items():
            signal.signal(number, handler)


def run_detached(arguments: Sequence[str], runner: TaskRunner | None = None) -> int:
    """Run the daemon as its own process: ``python -m unify.daemon``."""
    parser = argparse.ArgumentParser(prog="python -m unify.daemon")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--tenant", default=DEFAULT_TENANT)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--worker-memory", type=int, help="bytes of memory a worker may use")
    parser.add_argument("--idle-exit", type=float, help="seconds without work after which the daemon ends")
    parser.add_argument("--keep-history", type=float, help="seconds that old versions of tables are kept")
    parser.add_argument("--script-time", type=float, help="seconds a scheduled script may run")
    parser.add_argument(
        "--announce", type=int, help="descriptor that receives a byte when the daemon is ready"
    )
    given = parser.parse_args(arguments)
    skip_unneeded_packages()
    options = {
        "workers": given.workers,
        "worker_memory_bytes": given.worker_memory,
        "history_retention_s": given.keep_history,
        "script_timeout_s": given.script_time,
        "idle_timeout_s": given.idle_exit,
    }
    settings = replace(
        Settings(given.home, given.home / "connections.yaml", tenant=given.tenant),
        **{name: value for name, value in options.items() if value is not None},
    )
    try:
        os.umask(0o077)
        disable_core_dumps()  # the first worker inherits it
        settings.create_folders()
        runner = runner or JobRunner(settings.home, settings.tenant)
        first_worker = fork_worker(runner, without=[] if given.announce is None else [given.announce])
        return main(settings, runner, lambda: _write_ready_byte(given.announce), first_worker)
    except UnifyError as error:
        sys.stderr.write(f"{escape_text(error.message)}\n")
        return error.exit_status


def _write_ready_byte(descriptor: int | None) -> None:
    if descriptor is not None:
        os.write(descriptor, b"!")
        os.close(descriptor)


if __name__ == "__main__":  # as a shell of an older version starts it
    sys.exit(run_detached(sys.argv[1:]))
