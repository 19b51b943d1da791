"""A shell's end of the status channel: ask the daemon, and listen without losing an event.

How nothing is lost: subscribe to events, then to a welcome topic of our own. ZeroMQ keeps that
order, so when the welcome is here the events come too. Then ask for a snapshot and drop the events
it already contains. A gap in the sequence, or a new epoch, starts over with a new snapshot; and as
the very last events may be the lost ones, a silent channel is compared with a snapshot now and then.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
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

REPLY_TIMEOUT_S = 5.0  # the daemon answers within milliseconds; a machine under load gets its time
RESYNC_TIMEOUT_S = 0.25  # when listening, an answer that takes longer is asked for again later
RESYNC_INTERVAL_S = 1.0  # how long nothing happens before we ask whether that is so
RECEIVE_QUEUE_EVENTS = 1000  # events kept while nobody reads; a shell at its prompt must not grow with them
RECONNECT_INTERVAL_MS = 20  # a daemon that starts again is found at once


class StatusClient:
    """Not for two threads at once. Connects when first used; survives a restart of the daemon."""

    def __init__(self, folder: Path, timeout_s: float = REPLY_TIMEOUT_S) -> None:
        self._folder = folder
        self._timeout_s = timeout_s
        self._context = zmq.Context()
        self._commands: zmq.Socket[bytes] | None = None
        self._events: zmq.Socket[bytes] | None = None
        self._ids = count(1)
        self._last_seen: tuple[int, int] | None = None  # epoch and sequence of the last event given out
        self._checked_at = 0.0

    def ping(self) -> DaemonInfo:
        """Who answers. This and all below raise DaemonUnreachable where nobody does."""
        return self._request_info(DaemonRequestType.PING)

    def poll_queue(self) -> DaemonInfo:
        """Make the daemon look into the queue now."""
        return self._request_info(DaemonRequestType.POLL_QUEUE)

    def cancel(self, job: int) -> DaemonInfo:
        """Make the daemon end a job it runs; one in the queue is cancelled in the queue."""
        return self._request_info(DaemonRequestType.CANCEL, job=job)

    def stop(self) -> DaemonInfo:
        """Ask the daemon to end; ``launch.stop_daemon`` also waits until it has."""
        return self._request_info(DaemonRequestType.STOP)

    def offer_environment(self, values: Mapping[str, str]) -> DaemonInfo:
        """Hand over values of environment variables, for jobs whose connections name them."""
        return self._request_info(DaemonRequestType.ENVIRONMENT, environment=values)

    def snapshot(self) -> Sequence[LoaderStatus]:
        """The last status of every job the daemon is busy with, and of many it has ended."""
        return self._request_snapshot().statuses

    def subscribe(self) -> Sequence[LoaderStatus]:
        """Listen from now on; gives how things stand, and ``events`` what happens after that."""
        if self._events is not None:
            self._events.close()
        self._events = self._connect(zmq.SUB, EVENTS_SOCKET)
        self._last_seen = None
        self._events.subscribe(EVENT_TOPIC)
        self._events.subscribe(WELCOME_TOPIC + secrets.token_hex(8).encode())
        deadline = time.monotonic() + self._timeout_s
        while (received := self._receive_event(deadline)) is not None:
            if received[0] != EVENT_TOPIC:
                return self._load_snapshot()
        raise DaemonUnreachable(f"the daemon does not answer on {self._folder}")

    def events(self, timeout_s: float) -> Sequence[LoaderStatus]:
        """What happened since the last call, in order; waits ``timeout_s`` for something to happen.

        Empty when nothing did. After a loss (a slow reader, a new daemon) these are all statuses of
        a new snapshot. While no daemon is there, nothing happens.
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
            raise DaemonUnreachable("the daemon gave no answer that can be read")
        return about

    def _request_snapshot(self, within_s: float | None = None) -> StatusSnapshot:
        snapshot = self._request(
            DaemonRequest(next(self._ids), DaemonRequestType.SNAPSHOT), within_s
        ).snapshot
        if snapshot is None:
            raise DaemonUnreachable("the daemon gave no answer that can be read")
        return snapshot

    def _load_snapshot(self, within_s: float | None = None) -> Sequence[LoaderStatus]:
        snapshot = self._request_snapshot(within_s)
        self._last_seen = (snapshot.epoch, snapshot.sequence)
        self._checked_at = time.monotonic()
        return snapshot.statuses

    def _apply_event(self, received: Sequence[bytes]) -> Sequence[LoaderStatus]:
        """The statuses that ``received`` brings: one, none if it is known already, or a new snapshot."""
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
        """Every status, if anything has happened that we did not hear."""
        heard = self._last_seen
        try:
            statuses = self._load_snapshot(RESYNC_TIMEOUT_S)
        except DaemonUnreachable:
            self._checked_at = time.monotonic()
            return ()  # it is busy or gone; it, or its successor, is asked again later
        return statuses if self._last_seen != heard else ()

    def _request(self, request: DaemonRequest, within_s: float | None = None) -> DaemonReply:
        deadline = time.monotonic() + (self._timeout_s if within_s is None else within_s)
        if self._commands is None:
            self._commands = self._connect(zmq.DEALER, COMMANDS_SOCKET)
        self._send(self._commands, encode(request), deadline)
        while (received := _receive(self._commands, deadline)) is not None:
            reply = _decode_reply(received[-1])
            if reply is not None and reply.id == request.id:
                if reply.error:
                    raise UnifyError(reply.error)
                return reply
        raise self._disconnect_unreachable()

    def _send(self, socket: zmq.Socket[bytes], data: bytes, deadline: float) -> None:
        socket.set(zmq.SNDTIMEO, _remaining_ms(deadline))
        try:
            socket.send(data)
        except zmq.Again:
            raise self._disconnect_unreachable() from None

    def _disconnect_unreachable(self) -> DaemonUnreachable:
        """Nobody answered in time; a late answer to the old question must not meet a new one."""
        if self._commands is not None:
            self._commands.close()
            self._commands = None
        return DaemonUnreachable(f"the daemon does not answer on {self._folder}")

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
            socket.set(zmq.IMMEDIATE, 1)  # what nobody hears now must not reach a later daemon
        socket.connect(f"ipc://{self._folder / name}")
        return socket


def _decode_reply(data: bytes) -> DaemonReply | None:
    """A reply, or None for what is not one: not an answer to any question of ours."""
    try:
        return decode(data, DaemonReply)
    except BadMessage:
        return None


def _receive(socket: zmq.Socket[bytes], deadline: float) -> list[bytes] | None:
    """The next message, or None when none came before ``deadline``."""
    if not socket.poll(_remaining_ms(deadline), zmq.POLLIN):
        return None
    return socket.recv_multipart()


def _remaining_ms(deadline: float) -> int:
    return max(0, round((deadline - time.monotonic()) * 1000))
