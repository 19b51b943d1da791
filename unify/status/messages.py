"""The messages of the status channel: typed, as JSON, validated when they are read.

A message larger than ``MAX_MESSAGE_BYTES`` is refused unread.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

import msgspec
from msgspec import Struct, field

from unify.model import LoaderStatus

MAX_MESSAGE_BYTES = 4 * 1024 * 1024  # a snapshot of some thousand jobs
EVENTS_SOCKET = "events.sock"
EVENT_TOPIC = b"event"
WELCOME_TOPIC = b"welcome:"  # followed by a name that only the new subscriber knows

MessageT = TypeVar("MessageT")


class BadMessage(ValueError):
    """Bytes that are not the expected message; the text does not quote them."""


class DaemonRequestType(StrEnum):
    """The requests of a client."""

    PING = "ping"
    SNAPSHOT = "snapshot"
    POLL_QUEUE = "kick"
    CANCEL = "cancel"
    STOP = "stop"
    ENVIRONMENT = "environment"


class DaemonRequest(Struct, frozen=True):
    """A request. ``environment`` may hold secrets and is not shown."""

    id: int
    ask: DaemonRequestType
    job: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Without the environment."""
        return f"DaemonRequest(id={self.id}, ask={self.ask}, job={self.job})"


class DaemonInfo(Struct, frozen=True):
    """One start of the daemon.

    ``busy``     number of loads and scripts in progress.
    ``waiting``  why no work starts: ``the disk is full (PATH)``; "" while it does.
    """

    version: str
    epoch: int
    pid: int
    started_at: datetime
    busy: int = 0
    waiting: str = ""


class StatusSnapshot(Struct, frozen=True):
    """The status of every recent job after event ``sequence`` of ``epoch``."""

    epoch: int
    sequence: int
    statuses: tuple[LoaderStatus, ...] = ()


class DaemonReply(Struct, frozen=True):
    """The reply to the request of the same ``id``; ``error`` says why it was refused."""

    id: int
    error: str = ""
    about: DaemonInfo | None = None
    snapshot: StatusSnapshot | None = None


class StatusEvent(Struct, frozen=True):
    """A new status of one job. Within an epoch, sequence numbers have no gaps."""

    epoch: int
    sequence: int
    status: LoaderStatus


class SubscriptionWelcome(Struct, frozen=True):
    """Sent to a new subscriber only: it will receive every event after ``sequence``."""

    epoch: int
    sequence: int


def encode(message: object) -> bytes:
    """Return a message of this module as JSON."""
    return msgspec.json.encode(message)


def decode(data: bytes, kind: type[MessageT]) -> MessageT:
    """Parse a message. Raises BadMessage."""
    if len(data) > MAX_MESSAGE_BYTES:
        raise BadMessage(f"a message of {len(data):,} bytes; the limit is {MAX_MESSAGE_BYTES:,}")
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadMessage(f"not a {kind.__name__}: {error}") from error


def status_to_dict(status: LoaderStatus) -> dict[str, Any]:
    """Return a status as plain JSON values, moments as ISO text."""
    plain: dict[str, Any] = msgspec.to_builtins(status)
    return plain


def status_from_dict(plain: Mapping[str, Any]) -> LoaderStatus:
    """Reverse ``status_to_dict``. Raises BadMessage."""
    try:
        return msgspec.convert(plain, LoaderStatus)
    except msgspec.ValidationError as error:
        raise BadMessage(f"not a LoaderStatus: {error}") from error
