"""A worker process: takes one task after the other from its pipe, and ends with the daemon.

It holds no lock, opens neither the queue nor the lake for writing, and is told everything it needs.
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
    make_failure,
    make_unexpected_failure,
)
from unify.model import RequestRecord
from unify.redaction import Redactor

REPORT_INTERVAL_S = 0.1  # progress is worth at most ten messages a second
REQUESTS_INTERVAL_S = 0.5  # what `unify.requests` is behind; one message instead of thousands
REQUESTS_BATCH = 200
HEARTBEAT_INTERVAL_S = 5.0  # the daemon hears of a busy worker at least this often; see workers.LEASE_S


class TaskRunner(Protocol):
    """What a worker does with its tasks. Sent to the worker when it starts, so it can be pickled."""

    def prepare(self) -> None:
        """Get ready while there is no task yet. A UnifyError waits for the first task to say it."""

    def __call__(self, task: LoadTask, reporter: Reporter) -> TaskResult:
        """Carry out one task. Raises UnifyError."""


def worker_main(pipe: Connection, runner: TaskRunner) -> None:
    """Serve tasks until the daemon closes the pipe or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a foreground daemon is the daemon's to handle
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
        line.send(outcome)


class Reporter:
    """Counts what a load does and tells the daemon, seldom enough. Called from any thread of the adapter."""

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
        """How far it is by now."""
        return self._progress

    def update(self, change: Callable[[LoadProgress], LoadProgress], *, urgent: bool = False) -> None:
        """Replace the progress by ``change`` of it, and send it if the last one is long enough ago."""
        with self._lock:
            self._progress = change(self._progress)
            if not urgent and time.monotonic() - self._sent_at < REPORT_INTERVAL_S:
                return
            self._sent_at = time.monotonic()
        self._send(self._progress)

    def add_request(self, request: RequestRecord) -> None:
        """Keep a request, and send those kept when there are many or the last ones are long ago."""
        with self._lock:
            self._requests.append(request)
            due_at = self._requests_sent_at + REQUESTS_INTERVAL_S
            if len(self._requests) < REQUESTS_BATCH and time.monotonic() < due_at:
                return
        self.send_requests()

    def send_requests(self) -> None:
        """Tell the daemon of the requests it has not heard of."""
        with self._lock:
            told, self._requests = tuple(self._requests), []
            self._requests_sent_at = time.monotonic()
        if told:
            self._send(RequestBatch(self._progress.job, self._progress.attempt, told))

    def send_heartbeat(self) -> None:
        """Say again how far it is: we live."""
        self.send_requests()
        self._send(self._progress)


class _DaemonPipe:
    """The pipe to the daemon, shared by the threads of this process."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._send_lock = threading.Lock()
        self._reporter: Reporter | None = None

    def receive_task(self) -> bytes | None:
        """The next task, or None when the daemon has closed its end."""
        try:
            return self._pipe.recv_bytes(MAX_MESSAGE_BYTES)
        except (EOFError, ConnectionResetError):
            return None

    def send(self, message: WorkerMessage) -> None:
        """Tell the daemon. Nobody listening means that the daemon is gone, and so are we."""
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
    """End this process at once when the daemon ends, however it ends; meanwhile, show signs of life."""
    daemon = parent_process()
    if daemon is None:
        raise RuntimeError("a worker is started by the daemon, as a process of its own")
    while not wait([daemon.sentinel], timeout=HEARTBEAT_INTERVAL_S):
        pipe.send_heartbeat()
    os._exit(1)


def _run_task(task: LoadTask, reporter: Reporter, runner: TaskRunner) -> TaskResult:
    """What came of ``task``; an error of any kind is an outcome too."""
    try:
        return runner(task, reporter)
    except UnifyError as error:
        failure = make_failure(error, reporter.redactor)
    except Exception as error:  # noqa: BLE001 - a bug must reach the log with its place, and the worker live on
        failure = make_unexpected_failure(error, Path(task.folder), reporter.redactor)
    return TaskResult(task.job, task.attempt, TaskStatus.FAILED, reporter.progress, failure)
