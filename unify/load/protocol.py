"""The protocol of daemon and workers: JSON messages over a pipe.

A worker receives one ``LoadTask``, replies with any number of ``LoadProgress`` and ``RequestBatch``, then one
``TaskResult``. The messages name no process of this machine, so a worker may run on another one.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from pathlib import Path

import msgspec
from msgspec import Struct, field

from unify.engine import errors
from unify.errors import UnifyError, escape_surrogates
from unify.fs.process_limits import shortage_advice
from unify.model import Action, ConfigPaths, LoaderJob, RequestRecord, TableName
from unify.redaction import Redactor

MAX_MESSAGE_BYTES = 16 * 1024 * 1024  # a task with 10,000 environment variables is smaller
MAX_ERROR_CHARS = 2000  # characters of an error message
_NO_SECRETS = Redactor()  # still replaces what is a credential by its form


class LoadTask(Struct, frozen=True):
    """One load for a worker.

    ``folder``       the staging folder, empty.
    ``environment``  values of the connection's variables; they are secret.
    ``start_at``     since when the load may run: parents are refreshed if they are older than that.
    """

    job: int
    uid: str
    attempt: int
    tenant: str
    action: Action
    table: TableName
    origin: ConfigPaths
    home: str
    folder: str
    environment: Mapping[str, str] = field(default_factory=dict)
    start_at: datetime | None = None

    def __repr__(self) -> str:
        """Without the environment."""
        return f"LoadTask(job={self.job}, attempt={self.attempt}, action={self.action}, table={self.table})"


class LoadProgress(Struct, frozen=True):
    """Progress of a load. ``bytes`` counts response bodies; ``waiting_until`` ends a rate limit.

    ``resumed``     what earlier attempts have read: ``9,999 of 10,000 parents``.
    ``rows_total``  about how many rows the table has, if the source says.
    """

    job: int
    attempt: int
    rows: int = 0
    pages: int = 0
    pages_total: int | None = None
    bytes: int = 0
    requests: int = 0
    waiting_until: datetime | None = None
    resumed: str = ""
    rows_total: int | None = None


class Failure(Struct, frozen=True):
    """Why a load did not work: an error of ours by its class name, or a bug by its own.

    ``bug`` is set where the program, not the source, is at fault; ``trace`` then says where.
    """

    kind: str
    message: str
    retryable: bool = False
    retry_after_s: float | None = None
    bug: bool = False
    trace: str = ""


class RequestBatch(Struct, frozen=True):
    """The requests of a load since the previous batch, oldest first."""

    job: int
    attempt: int
    requests: tuple[RequestRecord, ...]


class TaskStatus(StrEnum):
    """The outcome of a task for its worker."""

    STAGED = "sealed"  # the staging folder is committed
    WRITTEN = "written"  # every approved write of the table has ended
    MISSING_PARENTS = "missing"  # parent tables are not loaded
    FAILED = "failed"


class TaskResult(Struct, frozen=True):
    """The last message about a task. ``every_s`` is the refresh interval in its configuration.

    ``parents_action``  what to do with the ``missing`` tables: REFRESH if they are stored and out of date.
    ``refresh``         after a write: how the stored table is to be loaded again, if it is.
    """

    job: int
    attempt: int
    ending: TaskStatus
    progress: LoadProgress
    failure: Failure | None = None
    missing: tuple[TableName, ...] = ()
    every_s: float | None = None
    parents_action: Action = Action.LOAD
    refresh: Action | None = None


WorkerMessage = LoadProgress | RequestBatch | TaskResult
_MESSAGE_TYPES: Mapping[bytes, type[WorkerMessage]] = {
    b"p": LoadProgress,
    b"r": RequestBatch,
    b"o": TaskResult,
}
_MESSAGE_LETTERS = {kind: letter for letter, kind in _MESSAGE_TYPES.items()}


def encode_task(task: LoadTask) -> bytes:
    return msgspec.json.encode(task)


def decode_task(data: bytes) -> LoadTask:
    return msgspec.json.decode(data, type=LoadTask)


def encode_message(message: WorkerMessage) -> bytes:
    """Return the message as JSON after one letter for its type."""
    return _MESSAGE_LETTERS[type(message)] + msgspec.json.encode(message)


def decode_message(data: bytes) -> WorkerMessage:
    """Decode a message. Raises ValueError for other data."""
    kind = _MESSAGE_TYPES.get(data[:1])
    if kind is None:
        raise ValueError("unknown message type")
    return msgspec.json.decode(data[1:], type=kind)  # its DecodeError is a ValueError


def make_task(job: LoaderJob, home: Path, folder: Path, environment: Mapping[str, str]) -> LoadTask:
    """Return the task of a claimed job."""
    return LoadTask(
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
        start_at=job.start_at,
    )


def make_failure(error: UnifyError, redactor: Redactor = _NO_SECRETS) -> Failure:
    """An error of ours as data, for the message to the daemon."""
    return Failure(
        kind=type(error).__name__,
        message=redactor.redact(error.message)[:MAX_ERROR_CHARS],
        retryable=error.retryable,
        retry_after_s=getattr(error, "retry_after_s", None),
    )


def make_unexpected_failure(error: Exception, folder: Path, redactor: Redactor = _NO_SECRETS) -> Failure:
    """An error of another class: a full disk around ``folder``, a limit of the system, or a bug."""
    if errors.is_disk_full(error):
        return make_failure(errors.translate_lake_error(error, folder), redactor)
    if advice := shortage_advice(error):
        return Failure(type(error).__name__, advice, retryable=True)
    return make_bug_failure(error, redactor)


def make_bug_failure(error: Exception, redactor: Redactor = _NO_SECRETS) -> Failure:
    """A fault in Unify: the error for the message, the traceback for the log."""
    return Failure(
        kind=type(error).__name__,
        message=escape_surrogates(redactor.redact(f"{type(error).__name__}: {error}"))[:MAX_ERROR_CHARS],
        bug=True,
        trace=escape_surrogates(redactor.redact("".join(traceback.format_exception(error))))[
            -4 * MAX_ERROR_CHARS :
        ],
    )
