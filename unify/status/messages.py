"""What travels over the status channel: small typed messages as JSON, checked when they are read.

Nothing here is ever unpickled, and nothing larger than ``MAX_BYTES`` is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

import msgspec

from unify.model import LoaderStatus

MAX_BYTES = 4 * 1024 * 1024  # a snapshot of some thousand jobs; a hostile peer gets no further
EVENTS_SOCKET = "events.sock"
EVENT_TOPIC = b"event"
WELCOME_TOPIC = b"welcome:"  # followed by a name only the new subscriber knows

Message = TypeVar("Message")


class BadMessage(ValueError):
    """Bytes that are not the message they should be; the text says why, without the bytes."""


class Ask(StrEnum):
    """What a client can ask of the daemon."""

    PING = "ping"
    SNAPSHOT = "snapshot"
    KICK = "kick"
    CANCEL = "cancel"
    STOP = "stop"
    ENVIRONMENT = "environment"


@dataclass(frozen=True, slots=True)
class Request:
    """One question. ``environment`` may hold secrets, so it is never shown."""

    id: int
    ask: Ask
    job: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class About:
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
class Snapshot:
    """Every status worth knowing, as it was when event ``sequence`` of ``epoch`` had been sent."""

    epoch: int
    sequence: int
    statuses: tuple[LoaderStatus, ...] = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to the request of the same ``id``; ``error`` is a sentence where it was refused."""

    id: int
    error: str = ""
    about: About | None = None
    snapshot: Snapshot | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One change of one status. Within an epoch, sequence numbers have no gaps."""

    epoch: int
    sequence: int
    status: LoaderStatus


@dataclass(frozen=True, slots=True)
class Welcome:
    """Sent to a new subscriber alone: every event after ``sequence`` will reach it."""

    epoch: int
    sequence: int


def encode(message: object) -> bytes:
    """``message``, one of the classes above, as JSON."""
    return msgspec.json.encode(message)


def decode(data: bytes, kind: type[Message]) -> Message:
    """The message of class ``kind`` that ``data`` holds. Raises BadMessage."""
    if len(data) > MAX_BYTES:
        raise BadMessage(f"a message of {len(data):,} bytes; the limit is {MAX_BYTES:,}")
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
