"""A worker process: takes one task after the other from its pipe, and ends with the daemon.

It holds no lock, opens neither the queue nor the lake for writing, and is told everything it needs.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Protocol

from unify.errors import UnifyError
from unify.loading.task import (
    MESSAGE_BYTES,
    Ending,
    Outcome,
    Progress,
    Report,
    Requested,
    Task,
    decode_task,
    encode_report,
    failure_of,
    unforeseen,
)
from unify.model import RequestRecord

REPORT_INTERVAL_S = 0.1  # progress is worth at most ten messages a second
REQUESTS_INTERVAL_S = 0.5  # what `unify.requests` is behind; one message instead of thousands
REQUESTS_BATCH = 200
HEARTBEAT_S = 5.0  # the daemon hears of a busy worker at least this often; see workers.LEASE_S


class Runner(Protocol):
    """What a worker does with its tasks. Sent to the worker when it starts, so it can be pickled."""

    def prepare(self) -> None:
        """Get ready while there is no task yet. A UnifyError waits for the first task to say it."""

    def __call__(self, task: Task, reporter: Reporter) -> Outcome:
        """Carry out one task. Raises UnifyError."""


def worker_main(pipe: Connection, run: Runner) -> None:
    """Serve tasks until the daemon closes the pipe or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a foreground daemon is the daemon's to handle
    line = _Line(pipe)
    threading.Thread(target=_watch_daemon, args=(line,), name="watchdog", daemon=True).start()
    with suppress(UnifyError):
        run.prepare()
    while (data := line.next_task()) is not None:
        task = decode_task(data)
        reporter = Reporter(task, line.send)
        line.busy_with(reporter)
        try:
            outcome = _outcome(task, reporter, run)
        finally:
            line.busy_with(None)
        reporter.send_requests()
        line.send(outcome)


class Reporter:
    """Counts what a load does and tells the daemon, seldom enough. Called from any thread of the adapter."""

    def __init__(self, task: Task, send: Callable[[Report], None]) -> None:
        self._send = send
        self._lock = threading.Lock()
        self._progress = Progress(task.job, task.attempt)
        self._sent_at = 0.0
        self._hidden: tuple[str, ...] = ()
        self._requests: list[RequestRecord] = []
        self._requests_sent_at = time.monotonic()

    @property
    def progress(self) -> Progress:
        """How far it is by now."""
        return self._progress

    def update(self, change: Callable[[Progress], Progress], *, urgent: bool = False) -> None:
        """Replace the progress by ``change`` of it, and send it if the last one is long enough ago."""
        with self._lock:
            self._progress = change(self._progress)
            if not urgent and time.monotonic() - self._sent_at < REPORT_INTERVAL_S:
                return
            self._sent_at = time.monotonic()
        self._send(self._progress)

    def requested(self, request: RequestRecord) -> None:
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
            self._send(Requested(self._progress.job, self._progress.attempt, told))

    def beat(self) -> None:
        """Say again how far it is: we live."""
        self.send_requests()
        self._send(self._progress)

    def hide(self, secrets: Iterable[str]) -> None:
        """Show these as *** in whatever is said of a failure."""
        self._hidden = tuple(sorted(filter(None, secrets), key=len, reverse=True))

    def redacted(self, text: str) -> str:
        for secret in self._hidden:
            text = text.replace(secret, "***")
        return text


class _Line:
    """The pipe to the daemon, shared by the threads of this process."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._sending = threading.Lock()
        self._reporter: Reporter | None = None

    def next_task(self) -> bytes | None:
        """The next task, or None when the daemon has closed its end."""
        try:
            return self._pipe.recv_bytes(MESSAGE_BYTES)
        except (EOFError, ConnectionResetError):
            return None

    def send(self, report: Report) -> None:
        """Tell the daemon. Nobody listening means that the daemon is gone, and so are we."""
        try:
            with self._sending:
                self._pipe.send_bytes(encode_report(report))
        except (BrokenPipeError, ConnectionResetError):
            os._exit(1)

    def busy_with(self, reporter: Reporter | None) -> None:
        self._reporter = reporter

    def beat(self) -> None:
        reporter = self._reporter
        if reporter is not None:
            reporter.beat()


def _watch_daemon(line: _Line) -> None:
    """End this process at once when the daemon ends, however it ends; meanwhile, show signs of life."""
    daemon = parent_process()
    if daemon is None:
        raise RuntimeError("a worker is started by the daemon, as a process of its own")
    while not wait([daemon.sentinel], timeout=HEARTBEAT_S):
        line.beat()
    os._exit(1)


def _outcome(task: Task, reporter: Reporter, run: Runner) -> Outcome:
    """What came of ``task``; an error of any kind is an outcome too."""
    try:
        return run(task, reporter)
    except UnifyError as error:
        failure = failure_of(error)
    except Exception as error:  # noqa: BLE001 - a bug must reach the log with its place, and the worker live on
        failure = unforeseen(error, Path(task.folder))
    failure = replace(
        failure, message=reporter.redacted(failure.message), trace=reporter.redacted(failure.trace)
    )
    return Outcome(task.job, task.attempt, Ending.FAILED, reporter.progress, failure)
