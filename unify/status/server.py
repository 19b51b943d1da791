"""The daemon's end of the status channel: events to all subscribers, replies to requests.

Both sockets are ``ipc://`` files in a folder that only their owner can enter. They are bound only while the
instance lock is held: a second bind to the same address would silently take it over. The server has no
thread; the daemon's loop polls its sockets and calls it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol

import zmq

from unify.config.settings import create_private_folder
from unify.errors import UnifyError
from unify.model import JobState, LoaderStatus
from unify.status.instance import COMMANDS_SOCKET
from unify.status.messages import (
    EVENT_TOPIC,
    EVENTS_SOCKET,
    MAX_MESSAGE_BYTES,
    WELCOME_TOPIC,
    BadMessage,
    DaemonInfo,
    DaemonReply,
    DaemonRequest,
    DaemonRequestType,
    StatusEvent,
    StatusSnapshot,
    SubscriptionWelcome,
    decode,
    encode,
)

EVENT_INTERVAL_S = 0.1  # at most 10 events a second for each job; a change of state is sent at once
MAX_KEPT_STATUSES = 1000  # for snapshots, beside those of busy jobs
SEND_QUEUE_EVENTS = 10_000  # for a slow subscriber; one that loses some requests a snapshot

_BUSY_STATES = (JobState.RUNNING, JobState.PUBLISHING)


class DaemonRequestHandler(Protocol):
    """Carries out requests. An exception becomes the reply's ``error``."""

    def daemon_info(self) -> DaemonInfo: ...

    def poll_queue(self) -> None:
        """Poll the queue now."""

    def cancel(self, job: int) -> None: ...

    def stop(self) -> None: ...

    def offer_environment(self, values: dict[str, str]) -> None:
        """Receive environment variables that connections refer to; they are kept in memory only."""

    def report_fault(self, error: Exception) -> None:
        """Log an unexpected exception of a request."""


class StatusServer:
    """Binds its sockets when created. Only the folder's owner can connect."""

    def __init__(
        self,
        folder: Path,
        epoch: int,
        *,
        interval_s: float = EVENT_INTERVAL_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        create_private_folder(folder)
        self.epoch = epoch
        self.sequence = 0
        self._folder = folder
        self._interval_s = interval_s
        self._clock = clock
        self._statuses: dict[int, LoaderStatus] = {}
        self._sent_at: dict[int, float] = {}
        self._delayed: dict[int, LoaderStatus] = {}
        self._context = zmq.Context()
        self._events = self._bind(zmq.XPUB, folder / EVENTS_SOCKET)
        self._commands = self._bind(zmq.ROUTER, folder / COMMANDS_SOCKET)

    @property
    def sockets(self) -> Sequence[zmq.Socket[bytes]]:
        """Return what to poll for input before ``handle_requests``."""
        return (self._events, self._commands)

    def publish(self, status: LoaderStatus) -> None:
        """Send an event; progress within ``interval_s`` of the job's last event is delayed."""
        before = self._statuses.get(status.job)
        if before is not None and before.state is status.state and self._due_in_s(status.job) > 0:
            self._delayed[status.job] = status
        else:
            self._send_event(status)

    def flush(self) -> None:
        """Send delayed events that are due."""
        for job in [job for job in self._delayed if self._due_in_s(job) <= 0]:
            self._send_event(self._delayed[job])

    def wait_s(self) -> float | None:
        """Seconds until ``flush`` has something to send; None: nothing is delayed."""
        return max(0.0, min(map(self._due_in_s, self._delayed))) if self._delayed else None

    def handle_requests(self, handler: DaemonRequestHandler) -> None:
        """Welcome new subscribers and reply to the requests that have arrived."""
        self._welcome_subscribers()
        while (received := _receive(self._commands)) is not None:
            sender, *body = received
            try:
                reply = self._handle_request(body, handler)
                if reply is not None:
                    self._commands.send_multipart([sender, encode(reply)], zmq.NOBLOCK)
            except Exception as error:  # noqa: BLE001 - one request must not end the daemon
                handler.report_fault(error)

    def close(self) -> None:
        """Close the sockets; their files are gone when this returns, so that the lock can be released."""
        self._events.close(linger=1000)  # ms; the last events still reach subscribers
        self._commands.close(linger=1000)
        self._context.term()
        for name in (EVENTS_SOCKET, COMMANDS_SOCKET):
            (self._folder / name).unlink(missing_ok=True)

    def __enter__(self) -> StatusServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _bind(self, kind: int, path: Path) -> zmq.Socket[bytes]:
        socket: zmq.Socket[bytes] = self._context.socket(kind)
        socket.set(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
        socket.set(zmq.SNDHWM, SEND_QUEUE_EVENTS)
        if kind == zmq.XPUB:
            socket.set(zmq.XPUB_VERBOSE, 1)
        socket.bind(f"ipc://{path}")
        path.chmod(0o600)
        return socket

    def _welcome_subscribers(self) -> None:
        """Reply to each subscription of a welcome topic on that topic; ZeroMQ keeps the order."""
        while (received := _receive(self._events)) is not None:
            subscription = received[0]
            topic = subscription[1:]
            if subscription[:1] == b"\x01" and topic.startswith(WELCOME_TOPIC):
                self._events.send_multipart([topic, encode(SubscriptionWelcome(self.epoch, self.sequence))])

    def _handle_request(self, body: Sequence[bytes], handler: DaemonRequestHandler) -> DaemonReply | None:
        """Return the reply to one request; None: it cannot be parsed, so its id is unknown."""
        try:
            request = decode(b"".join(body), DaemonRequest)
        except BadMessage:
            return None
        try:
            return self._dispatch_request(request, handler)
        except UnifyError as error:
            return DaemonReply(request.id, error=error.message)
        except Exception as error:  # noqa: BLE001 - one request must not end the daemon
            handler.report_fault(error)
            return DaemonReply(
                request.id, error=f"internal error: {type(error).__name__}; see the daemon's log"
            )

    def _dispatch_request(self, request: DaemonRequest, handler: DaemonRequestHandler) -> DaemonReply:
        match request.ask:
            case DaemonRequestType.SNAPSHOT:
                return DaemonReply(request.id, snapshot=self._make_snapshot())
            case DaemonRequestType.POLL_QUEUE:
                handler.poll_queue()
            case DaemonRequestType.CANCEL if request.job is not None:
                handler.cancel(request.job)
            case DaemonRequestType.STOP:
                handler.stop()
            case DaemonRequestType.ENVIRONMENT:
                handler.offer_environment(dict(request.environment))
            case DaemonRequestType.PING | DaemonRequestType.CANCEL:
                pass
        return DaemonReply(request.id, about=handler.daemon_info())

    def _make_snapshot(self) -> StatusSnapshot:
        """Return what was sent: for a subscriber, a delayed event has not happened yet."""
        return StatusSnapshot(self.epoch, self.sequence, tuple(self._statuses.values()))

    def _send_event(self, status: LoaderStatus) -> None:
        self._delayed.pop(status.job, None)
        self._sent_at[status.job] = self._clock()
        self._keep_status(status)
        self.sequence += 1
        event = StatusEvent(self.epoch, self.sequence, status)
        self._events.send_multipart([EVENT_TOPIC, encode(event)])

    def _due_in_s(self, job: int) -> float:
        return self._sent_at.get(job, float("-inf")) + self._interval_s - self._clock()

    def _keep_status(self, status: LoaderStatus) -> None:
        self._statuses.pop(status.job, None)  # the latest go to the end
        self._statuses[status.job] = status
        if len(self._statuses) > MAX_KEPT_STATUSES:
            self._drop_oldest_status()

    def _drop_oldest_status(self) -> None:
        oldest = next(
            (job for job, status in self._statuses.items() if status.state not in _BUSY_STATES), None
        )
        if oldest is not None:
            del self._statuses[oldest]
            self._sent_at.pop(oldest, None)
            self._delayed.pop(oldest, None)


def _receive(socket: zmq.Socket[bytes]) -> list[bytes] | None:
    """Return the next message that has arrived, or None."""
    try:
        return socket.recv_multipart(zmq.NOBLOCK)
    except zmq.Again:
        return None
