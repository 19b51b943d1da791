"""The worker process: runs the tasks that arrive on its pipe, and exits with the daemon.

It holds no lock and opens neither the queue nor the lake for writing.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Protocol

from unify.errors import UnifyError
from unify.imports import skip_unneeded_packages
from unify.load.protocol import (
    MAX_MESSAGE_BYTES,
    LoadProgress,
    LoadTask,
    RequestBatch,
    TaskResult,
    TaskStatus,
    WorkerMessage,
    decode_task,
    encode_message,
    make_bug_failure,
    make_failure,
    make_unexpected_failure,
)
from unify.model import RequestRecord
from unify.redaction import Redactor

REPORT_INTERVAL_S = 0.1  # least time between progress messages
REQUESTS_INTERVAL_S = 0.5  # what `unify.requests` is behind; one message instead of thousands
REQUESTS_BATCH = 200
HEARTBEAT_INTERVAL_S = 5.0  # the daemon's lease is longer: worker_pool.LEASE_S


class TaskRunner(Protocol):
    """Runs the tasks of a worker. Sent to the worker at its start, so it must be picklable."""

    def prepare(self) -> None:
        """Prepare before the first task, which reports a UnifyError raised here."""

    def __call__(self, task: LoadTask, reporter: Reporter) -> TaskResult:
        """Run one task. Raises UnifyError."""


def worker_main(pipe: Connection, runner: TaskRunner) -> None:
    """Run tasks until the daemon closes the pipe or exits."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a foreground daemon is the daemon's to handle
    skip_unneeded_packages()  # a worker that was not forked is a process of its own
    line = _DaemonPipe(pipe)
    threading.Thread(target=_watch_daemon, args=(line,), name="watchdog", daemon=True).start()
    with suppress(UnifyError):
        runner.prepare()
    while (data := line.receive_task()) is not None:
        task = decode_task(data)
        reporter = Reporter(task, line.send)
        line.set_reporter(reporter)
        try:
            outcome = _run_task(task, reporter, runner)
        finally:
            line.set_reporter(None)
        reporter.send_requests()
        line.send_result(outcome)


class Reporter:
    """Reports the progress and requests of a load to the daemon, in batches. Thread-safe."""

    def __init__(self, task: LoadTask, send: Callable[[WorkerMessage], None]) -> None:
        self._send = send
        self._lock = threading.Lock()
        self._progress = LoadProgress(task.job, task.attempt)
        self._sent_at = 0.0
        self.redactor = Redactor()
        self._requests: list[RequestRecord] = []
        self._requests_sent_at = time.monotonic()

    @property
    def progress(self) -> LoadProgress:
        return self._progress

    def update(self, change: Callable[[LoadProgress], LoadProgress], *, urgent: bool = False) -> None:
        """Apply ``change`` to the progress; send it if it is urgent or the last message is old enough."""
        with self._lock:
            self._progress = change(self._progress)
            if not urgent and time.monotonic() - self._sent_at < REPORT_INTERVAL_S:
                return
            self._sent_at = time.monotonic()
        self._send(self._progress)

    def add_request(self, request: RequestRecord) -> None:
        """Add a request; send the batch when it is full or old."""
        with self._lock:
            self._requests.append(request)
            due_at = self._requests_sent_at + REQUESTS_INTERVAL_S
            if len(self._requests) < REQUESTS_BATCH and time.monotonic() < due_at:
                return
        self.send_requests()

    def send_requests(self) -> None:
        """Send the requests that have not been sent."""
        with self._lock:
            batch, self._requests = tuple(self._requests), []
            self._requests_sent_at = time.monotonic()
        if batch:
            self._send(RequestBatch(self._progress.job, self._progress.attempt, batch))

    def send_heartbeat(self) -> None:
        """Send the progress again, as a sign of life."""
        self.send_requests()
        self._send(self._progress)


class _DaemonPipe:
    """The pipe to the daemon. Thread-safe."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._send_lock = threading.Lock()
        self._reporter: Reporter | None = None

    def receive_task(self) -> bytes | None:
        """Return the next task, or None when the daemon has closed the pipe."""
        try:
            return self._pipe.recv_bytes(MAX_MESSAGE_BYTES)
        except (EOFError, ConnectionResetError):
            return None

    def send_result(self, result: TaskResult) -> None:
        """Send the result of a task; one that cannot be sent becomes a failed result that says why."""
        try:
            self.send(result)
        except Exception as error:  # noqa: BLE001 - without a result the job would count as crashed
            progress = LoadProgress(result.job, result.attempt)
            failure = make_bug_failure(error)
            self.send(TaskResult(result.job, result.attempt, TaskStatus.FAILED, progress, failure))

    def send(self, message: WorkerMessage) -> None:
        """Send a message. Exits the process if the daemon has exited."""
        try:
            with self._send_lock:
                self._pipe.send_bytes(encode_message(message))
        except (BrokenPipeError, ConnectionResetError):
            os._exit(1)

    def set_reporter(self, reporter: Reporter | None) -> None:
        self._reporter = reporter

    def send_heartbeat(self) -> None:
        reporter = self._reporter
        if reporter is not None:
            reporter.send_heartbeat()


def _watch_daemon(pipe: _DaemonPipe) -> None:
    """Send heartbeats, and exit the process at once when the daemon exits."""
    daemon = parent_process()
    if daemon is None:
        raise RuntimeError("a worker must be a child process of the daemon")
    while not wait([daemon.sentinel], timeout=HEARTBEAT_INTERVAL_S):
        pipe.send_heartbeat()
    os._exit(1)


def _run_task(task: LoadTask, reporter: Reporter, runner: TaskRunner) -> TaskResult:
    """Run ``task``; an error of any kind becomes its result."""
    try:
        return runner(task, reporter)
    except UnifyError as error:
        failure = make_failure(error, reporter.redactor)
    except Exception as error:  # noqa: BLE001 - the traceback must reach the log and the worker must continue
        failure = make_unexpected_failure(error, Path(task.folder), reporter.redactor)
    return TaskResult(task.job, task.attempt, TaskStatus.FAILED, reporter.progress, failure)
