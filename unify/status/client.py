"""A shell's end of the status channel: requests to the daemon, and events without loss.

A client subscribes to events, then to a welcome topic of its own. ZeroMQ keeps the order: once the welcome
has arrived, events arrive too. Then it requests a snapshot and drops the events that the snapshot contains.
A gap in the sequence or a new epoch leads to a new snapshot. Since the last events may be lost too, a silent
channel is compared with a snapshot once a second.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import Path
from types import TracebackType

import zmq

from unify.errors import DaemonUnreachable, UnifyError
from unify.model import LoaderStatus
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
    decode,
    encode,
)

REPLY_TIMEOUT_S = 5.0  # the daemon replies within milliseconds, on a machine under load later
RESYNC_TIMEOUT_S = 0.25  # a snapshot that takes longer is requested again later
RESYNC_INTERVAL_S = 1.0  # without events
STOP_POLL_INTERVAL_S = 0.02  # a daemon that ends may not reply: its lock is tested meanwhile
RECEIVE_QUEUE_EVENTS = 1000  # bounds the memory of a shell that does not read its events
RECONNECT_INTERVAL_MS = 20


class StatusClient:
    """One thread may use it at a time. Connects when first used; survives a restart of the daemon.

    ``explain``  returns why the daemon does not respond, for errors.
    """

    def __init__(
        self, folder: Path, timeout_s: float = REPLY_TIMEOUT_S, explain: Callable[[], str] | None = None
    ) -> None:
        self._folder = folder
        self._explain = explain or (lambda: f"the daemon does not respond on {folder}")
        self._timeout_s = timeout_s
        self._context = zmq.Context()
        self._commands: zmq.Socket[bytes] | None = None
        self._events: zmq.Socket[bytes] | None = None
        self._ids = count(1)
        self._last_seen: tuple[int, int] | None = None  # epoch and sequence of the last event returned
        self._checked_at = 0.0

    def ping(self) -> DaemonInfo:
        """Return which daemon replies. All requests raise DaemonUnreachable if none does."""
        return self._request_info(DaemonRequestType.PING)

    def poll_queue(self) -> DaemonInfo:
        """Make the daemon poll the queue now."""
        return self._request_info(DaemonRequestType.POLL_QUEUE)

    def cancel(self, job: int) -> DaemonInfo:
        """Make the daemon cancel a job, running or queued."""
        return self._request_info(DaemonRequestType.CANCEL, job=job)

    def stop(self, has_ended: Callable[[], bool] = lambda: False) -> None:
        """Request the daemon to end; return when it replies, ``has_ended``, or the timeout has passed."""
        request = DaemonRequest(next(self._ids), DaemonRequestType.STOP)
        socket = self._commands_socket()
        deadline = time.monotonic() + self._timeout_s
        is_sent = False
        while time.monotonic() < deadline and not has_ended():
            step = time.monotonic() + STOP_POLL_INTERVAL_S
            if not is_sent:
                is_sent = _try_send(socket, encode(request), step)
            elif (received := _receive(socket, step)) is not None:
                reply = _decode_reply(received[-1])
                if reply is not None and reply.id == request.id:
                    return
        if not has_ended():
            raise self._disconnect_unreachable()

    def offer_environment(self, values: Mapping[str, str]) -> DaemonInfo:
        """Send values of environment variables, for the connections that name them."""
        return self._request_info(DaemonRequestType.ENVIRONMENT, environment=values)

    def snapshot(self) -> Sequence[LoaderStatus]:
        """Return the status of every job in progress, and of many that have ended."""
        return self._request_snapshot().statuses

    def subscribe(self) -> Sequence[LoaderStatus]:
        """Subscribe; return the current statuses. ``events`` returns what happens after that."""
        if self._events is not None:
            self._events.close()
        self._events = self._connect(zmq.SUB, EVENTS_SOCKET)
        self._last_seen = None
        self._events.subscribe(EVENT_TOPIC)
        self._events.subscribe(WELCOME_TOPIC + os.urandom(8).hex().encode())
        deadline = time.monotonic() + self._timeout_s
        while (received := self._receive_event(deadline)) is not None:
            if received[0] != EVENT_TOPIC:
                return self._load_snapshot()
        raise DaemonUnreachable(self._explain())

    def events(self, timeout_s: float) -> Sequence[LoaderStatus]:
        """Return the statuses since the last call, in order; wait up to ``timeout_s`` for the first.

        After a loss (a slow reader, a new daemon) these are all statuses of a new snapshot. Without a
        daemon the result is empty.
        """
        if self._events is None:
            return self.subscribe()
        deadline = time.monotonic() + timeout_s
        happened: list[LoaderStatus] = []
        while (received := self._receive_event(0.0 if happened else deadline)) is not None:
            happened.extend(self._apply_event(received))
        if not happened and time.monotonic() - self._checked_at > RESYNC_INTERVAL_S:
            return self._resync()
        return happened

    def close(self) -> None:
        for socket in (self._commands, self._events):
            if socket is not None:
                socket.close()
        self._commands = self._events = None
        self._context.term()

    def __enter__(self) -> StatusClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _request_info(
        self,
        request_type: DaemonRequestType,
        *,
        job: int | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> DaemonInfo:
        about = self._request(DaemonRequest(next(self._ids), request_type, job, environment or {})).about
        if about is None:
            raise DaemonUnreachable("the daemon's reply cannot be read")
        return about

    def _request_snapshot(self, within_s: float | None = None) -> StatusSnapshot:
        snapshot = self._request(
            DaemonRequest(next(self._ids), DaemonRequestType.SNAPSHOT), within_s
        ).snapshot
        if snapshot is None:
            raise DaemonUnreachable("the daemon's reply cannot be read")
        return snapshot

    def _load_snapshot(self, within_s: float | None = None) -> Sequence[LoaderStatus]:
        snapshot = self._request_snapshot(within_s)
        self._last_seen = (snapshot.epoch, snapshot.sequence)
        self._checked_at = time.monotonic()
        return snapshot.statuses

    def _apply_event(self, received: Sequence[bytes]) -> Sequence[LoaderStatus]:
        """Return the statuses of a message: one, none if it is known already, or a new snapshot."""
        try:
            event = decode(received[-1], StatusEvent) if received[0] == EVENT_TOPIC else None
        except BadMessage:
            event = None
        if event is not None and self._last_seen is not None:
            epoch, sequence = self._last_seen
            if event.epoch == epoch and event.sequence <= sequence:
                return ()
            if (event.epoch, event.sequence) == (epoch, sequence + 1):
                self._last_seen = (epoch, event.sequence)
                return (event.status,)
        self._last_seen = None
        return self._resync()

    def _resync(self) -> Sequence[LoaderStatus]:
        """Return every status, if an event was lost."""
        before = self._last_seen
        try:
            statuses = self._load_snapshot(RESYNC_TIMEOUT_S)
        except DaemonUnreachable:
            self._checked_at = time.monotonic()
            return ()  # busy or gone: tried again later
        return statuses if self._last_seen != before else ()

    def _request(self, request: DaemonRequest, within_s: float | None = None) -> DaemonReply:
        deadline = time.monotonic() + (self._timeout_s if within_s is None else within_s)
        socket = self._commands_socket()
        if not _try_send(socket, encode(request), deadline):
            raise self._disconnect_unreachable()
        while (received := _receive(socket, deadline)) is not None:
            reply = _decode_reply(received[-1])
            if reply is not None and reply.id == request.id:
                if reply.error:
                    raise UnifyError(reply.error)
                return reply
        raise self._disconnect_unreachable()

    def _commands_socket(self) -> zmq.Socket[bytes]:
        if self._commands is None:
            self._commands = self._connect(zmq.DEALER, COMMANDS_SOCKET)
        return self._commands

    def _disconnect_unreachable(self) -> DaemonUnreachable:
        """Drop the connection, so that a late reply does not meet a later request."""
        if self._commands is not None:
            self._commands.close()
            self._commands = None
        return DaemonUnreachable(self._explain())

    def _receive_event(self, deadline: float) -> list[bytes] | None:
        return _receive(self._events, deadline) if self._events is not None else None

    def _connect(self, kind: int, name: str) -> zmq.Socket[bytes]:
        socket: zmq.Socket[bytes] = self._context.socket(kind)
        socket.set(zmq.LINGER, 0)
        socket.set(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
        socket.set(zmq.RECONNECT_IVL, RECONNECT_INTERVAL_MS)
        if kind == zmq.SUB:
            socket.set(zmq.RCVHWM, RECEIVE_QUEUE_EVENTS)
        else:
            socket.set(zmq.IMMEDIATE, 1)  # a request must not reach a later daemon
        socket.connect(f"ipc://{self._folder / name}")
        return socket


def _decode_reply(data: bytes) -> DaemonReply | None:
    """Parse a reply; None: it is not one."""
    try:
        return decode(data, DaemonReply)
    except BadMessage:
        return None


def _try_send(socket: zmq.Socket[bytes], data: bytes, deadline: float) -> bool:
    """Send; False if no daemon is connected before ``deadline``."""
    socket.set(zmq.SNDTIMEO, _remaining_ms(deadline))
    try:
        socket.send(data)
    except zmq.Again:
        return False
    return True


def _receive(socket: zmq.Socket[bytes], deadline: float) -> list[bytes] | None:
    """Return the next message; None: none came before ``deadline``."""
    if not socket.poll(_remaining_ms(deadline), zmq.POLLIN):
        return None
    return socket.recv_multipart()


def _remaining_ms(deadline: float) -> int:
    return max(0, round((deadline - time.monotonic()) * 1000))
