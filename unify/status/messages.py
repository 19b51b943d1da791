"""What travels over the status channel: small typed messages as JSON, checked when they are read.

Nothing here is ever unpickled, and nothing larger than ``MAX_MESSAGE_BYTES`` is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

import msgspec

from unify.model import LoaderStatus

MAX_MESSAGE_BYTES = 4 * 1024 * 1024  # a snapshot of some thousand jobs; a hostile peer gets no further
EVENTS_SOCKET = "events.sock"
EVENT_TOPIC = b"event"
WELCOME_TOPIC = b"welcome:"  # followed by a name only the new subscriber knows

MessageT = TypeVar("MessageT")


class BadMessage(ValueError):
    """Bytes that are not the message they should be; the text says why, without the bytes."""


class DaemonRequestType(StrEnum):
    """What a client can ask of the daemon."""

    PING = "ping"
    SNAPSHOT = "snapshot"
    POLL_QUEUE = "kick"
    CANCEL = "cancel"
    STOP = "stop"
    ENVIRONMENT = "environment"


@dataclass(frozen=True, slots=True)
class DaemonRequest:
    """One question. ``environment`` may hold secrets, so it is never shown."""

    id: int
    ask: DaemonRequestType
    job: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class DaemonInfo:
    """Who answers: one start of the daemon, and how many loads and scripts it is busy with.

    ``waiting``  why it begins nothing at present: ``the disk is full (PATH)``; "" when it does.
    """

    version: str
    epoch: int
    pid: int
    started_at: datetime
    busy: int = 0
    waiting: str = ""


@dataclass(frozen=True, slots=True)
class StatusSnapshot:
    """Every status worth knowing, as it was when event ``sequence`` of ``epoch`` had been sent."""

    epoch: int
    sequence: int
    statuses: tuple[LoaderStatus, ...] = ()


@dataclass(frozen=True, slots=True)
class DaemonReply:
    """The answer to the request of the same ``id``; ``error`` is a sentence where it was refused."""

    id: int
    error: str = ""
    about: DaemonInfo | None = None
    snapshot: StatusSnapshot | None = None


@dataclass(frozen=True, slots=True)
class StatusEvent:
    """One change of one status. Within an epoch, sequence numbers have no gaps."""

    epoch: int
    sequence: int
    status: LoaderStatus


@dataclass(frozen=True, slots=True)
class SubscriptionWelcome:
    """Sent to a new subscriber alone: every event after ``sequence`` will reach it."""

    epoch: int
    sequence: int


def encode(message: object) -> bytes:
    """``message``, one of the classes above, as JSON."""
    return msgspec.json.encode(message)


def decode(data: bytes, kind: type[MessageT]) -> MessageT:
    """The message of class ``kind`` that ``data`` holds. Raises BadMessage."""
    if len(data) > MAX_MESSAGE_BYTES:
        raise BadMessage(f"a message of {len(data):,} bytes; the limit is {MAX_MESSAGE_BYTES:,}")
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadMessage(f"not a {kind.__name__}: {error}") from error


def status_to_dict(status: LoaderStatus) -> dict[str, Any]:
    """A status as plain JSON values, moments as ISO text: for people's own tools."""
    plain: dict[str, Any] = msgspec.to_builtins(status)
    return plain


def status_from_dict(plain: Mapping[str, Any]) -> LoaderStatus:
    """The other way round. Raises BadMessage."""
    try:
        return msgspec.convert(plain, LoaderStatus)
    except msgspec.ValidationError as error:
        raise BadMessage(f"not a LoaderStatus: {error}") from error
