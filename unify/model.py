"""What the layers hand each other: tables, jobs, statuses. Frozen, without behaviour that reaches out.

Moments end in ``_at`` and are aware UTC; durations end in ``_s`` and are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from msgspec import Struct, field


class TableName(Struct, frozen=True, order=True):
    """``connection.table``, as a person writes it and as the lake stores it; schema "" is a bare name."""

    schema: str
    table: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.table}" if self.schema else self.table


class Column(Struct, frozen=True):
    """A column of a stored or declared table; ``type`` is a DuckDB type, or "" where it is not known yet."""

    name: str
    type: str = ""
    description: str = ""


class TableDef(Struct, frozen=True):
    """One data set an adapter can load.

    ``columns`` holds what the adapter declares; a load usually finds more.
    ``key`` names the columns that identify a row; empty where the API has no identity for rows.
    ``refresh_every_s`` is None where nobody asked for a schedule.
    ``parents`` names the tables of the same connection that are loaded before this one.
    ``cursor`` names the column that grows as rows change, where loads can ask for what changed only.
    """

    name: str
    description: str = ""
    columns: tuple[Column, ...] = ()
    key: tuple[str, ...] = ()
    refresh_every_s: float | None = None
    parents: tuple[str, ...] = ()
    cursor: str = ""


class Action(StrEnum):
    """What a job does to its table."""

    LOAD = "load"  # the first time: everything
    REFRESH = "refresh"  # what changed since
    RELOAD = "reload"  # everything again


class JobState(StrEnum):
    """Where a job is. The first three are active: at most one such job per table and action."""

    QUEUED = "queued"  # waits for a worker, for ``start_at``, or for another job
    RUNNING = "running"
    PUBLISHING = "publishing"  # staged; the rows are on their way into the lake
    DONE = "done"
    FAILED = "failed"  # the source or the configuration said no; ``error`` says why
    CANCELLED = "cancelled"
    DEAD = "dead"  # crashed or failed as often as is allowed

    @property
    def active(self) -> bool:
        return self in (JobState.QUEUED, JobState.RUNNING, JobState.PUBLISHING)


DETECTED_PAGING_PREFIX = "paging found out"  # so begins what ``paging: auto`` says in the reason of a load
CONFIGURED_START = "as configured"  # the ``starting`` of a schedule that no person has set


class Priority:
    """Smaller is sooner."""

    INTERACTIVE = 0
    SCHEDULED = 10


class ConfigPaths(Struct, frozen=True):
    """Which configuration a job is to be run with: absolute paths, never a secret."""

    connections: str
    specs: tuple[str, ...] = ()


class LoaderJob(Struct, frozen=True):
    """One load, as the queue holds it.

    ``uid`` is unique over all queues ever made: the ledger in the lake knows a load by it.
    ``attempt`` counts claims, from 1; 0 was never claimed. ``epoch`` is the daemon start that claimed it.
    ``failures`` counts the attempts that crashed or failed: a clean stop or a wait is none;
    ``crashes`` those that took their worker down.
    ``waits_for`` is the id of a job that has to end first (a parent table's load).
    """

    id: int
    uid: str
    tenant: str
    action: Action
    table: TableName
    origin: ConfigPaths
    priority: int
    state: JobState
    attempt: int
    epoch: int
    created_at: datetime
    start_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    waits_for: int | None = None
    cancel_asked: bool = False
    error: str = ""
    failures: int = 0
    crashes: int = 0


class LoaderStatus(Struct, frozen=True):
    """How far a job is: a hint for people, never the truth (that is the queue and the ledger).

    ``pages_total`` is None while nobody knows it; ``waiting_until`` is set while a rate limit holds us, or,
    with the ``error``, when it is to be tried again;
    ``blocked_by`` says who writes to the lake while we wait to, or why a queued load is not begun.
    """

    job: int
    table: TableName
    action: Action
    state: JobState
    rows: int = 0
    pages: int = 0
    pages_total: int | None = None
    bytes: int = 0
    elapsed_s: float = 0.0
    waiting_until: datetime | None = None
    error: str = ""
    blocked_by: str = ""


class LoadRecord(Struct, frozen=True):
    """A row of the ledger ``unify.loads``: how one load ended.

    ``status`` is success, partial (some rows discarded, and counted) or failed.
    ``rows_written`` are the inserted and the updated ones. ``rows_total`` counts the table after the load.
    ``cursor`` holds the incremental state, by the JSON text of the ``for_each`` row ("" for a table
    without parents).
    """

    job: int
    uid: str
    action: str
    table: TableName
    status: str
    reason: str = ""
    rows_read: int = 0
    rows_written: int = 0
    rows_inserted: int = 0
    rows_updated: int = 0
    rows_deleted: int = 0
    rows_discarded: int = 0
    rows_total: int = 0
    requests: int = 0
    bytes: int = 0
    seconds: float = 0.0
    cursor: Mapping[str, str] = field(default_factory=dict)
    error: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None


class RequestRecord(Struct, frozen=True):
    """A row of ``unify.requests``: one request to a source. ``address`` and ``error`` hold no secret.

    ``status`` is None where no answer came; ``job`` where no load asked, but a person (``peek``).
    """

    method: str
    address: str
    status: int | None
    milliseconds: float
    bytes: int
    job: int | None
    at: datetime
    error: str = ""
