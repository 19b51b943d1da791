"""What the daemon and its workers say to each other: JSON over a pipe, nothing pickled.

A worker gets one ``Task``, answers with any number of ``Progress`` and ``Requested``, and then with one
``Outcome``.
Nothing in them names this machine's processes, so that a worker may one day sit on another one.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path

import msgspec

from unify.errors import UnifyError
from unify.model import Action, LoaderJob, Origin, RequestRecord, TableName
from unify.store import duckerrors

MESSAGE_BYTES = 16 * 1024 * 1024  # a task with ten thousand environment variables is far below
ERROR_LENGTH = 2000  # characters of an error worth keeping


@dataclass(frozen=True, slots=True)
class Task:
    """One load, handed to a worker.

    ``folder``       where its rows are staged; empty when the worker gets it.
    ``environment``  values of the variables the connection refers to: secrets, so never shown.
    """

    job: int
    uid: str
    attempt: int
    tenant: str
    action: Action
    table: TableName
    origin: Origin
    home: str
    folder: str
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a worker is.

    ``bytes`` counts answer bodies; ``waiting_until`` is set while a rate limit holds us.
    """

    job: int
    attempt: int
    rows: int = 0
    pages: int = 0
    pages_total: int | None = None
    bytes: int = 0
    requests: int = 0
    waiting_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a load did not work: an error of ours by its class name, or a bug by its own.

    ``bug`` is set where the program, not the source, is at fault; ``trace`` then says where.
    """

    kind: str
    message: str
    retryable: bool = False
    retry_after_s: float | None = None
    bug: bool = False
    trace: str = ""


@dataclass(frozen=True, slots=True)
class Requested:
    """Requests a load has made since the last such message, oldest first."""

    job: int
    attempt: int
    requests: tuple[RequestRecord, ...]


class Ending(StrEnum):
    """How a task ended for its worker."""

    SEALED = "sealed"  # the rows are staged, the manifest says so
    MISSING = "missing"  # parents have to be loaded first
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The last message about a task. ``every_s`` is the refresh interval its configuration asks for."""

    job: int
    attempt: int
    ending: Ending
    progress: Progress
    failure: Failure | None = None
    missing: tuple[TableName, ...] = ()
    every_s: float | None = None


Report = Progress | Requested | Outcome
_MARKS: Mapping[bytes, type[Report]] = {b"p": Progress, b"r": Requested, b"o": Outcome}
_LETTERS = {kind: letter for letter, kind in _MARKS.items()}


def encode_task(task: Task) -> bytes:
    return msgspec.json.encode(task)


def decode_task(data: bytes) -> Task:
    return msgspec.json.decode(data, type=Task)


def encode_report(report: Report) -> bytes:
    """``report`` as JSON behind one letter that says which of the three it is."""
    return _LETTERS[type(report)] + msgspec.json.encode(report)


def decode_report(data: bytes) -> Report:
    """The other way round. Raises ValueError for what is no report."""
    kind = _MARKS.get(data[:1])
    if kind is None:
        raise ValueError("neither progress nor requests nor an outcome")
    return msgspec.json.decode(data[1:], type=kind)  # its DecodeError is a ValueError


def make_task(job: LoaderJob, home: Path, folder: Path, environment: Mapping[str, str]) -> Task:
    """The task of a claimed job."""
    return Task(
        job=job.id,
        uid=job.uid,
        attempt=job.attempt,
        tenant=job.tenant,
        action=job.action,
        table=job.table,
        origin=job.origin,
        home=str(home),
        folder=str(folder),
        environment=environment,
    )


def failure_of(error: UnifyError) -> Failure:
    """An error of ours in a form that survives the way home."""
    return Failure(
        kind=type(error).__name__,
        message=error.message[:ERROR_LENGTH],
        retryable=error.retryable,
        retry_after_s=getattr(error, "retry_after_s", None),
    )


def unforeseen(error: Exception, place: Path) -> Failure:
    """An error that is none of ours: a full disk around ``place``, or else a fault of our own."""
    if duckerrors.is_full_disk(error):
        return failure_of(duckerrors.trouble(error, place))
    return fault_of(error)


def fault_of(error: Exception) -> Failure:
    """A fault of our own: what went wrong for the message, where for the log."""
    return Failure(
        kind=type(error).__name__,
        message=f"{type(error).__name__}: {error}"[:ERROR_LENGTH],
        bug=True,
        trace="".join(traceback.format_exception(error))[-4 * ERROR_LENGTH :],
    )
