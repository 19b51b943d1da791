"""Structs that layers hand each other: tables, jobs, statuses, records. Immutable.

Names of timestamps end in ``_at`` (aware, UTC), of durations in ``_s`` (seconds).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Literal, get_args

from msgspec import Struct, field


class TableName(Struct, frozen=True, order=True):
    """``schema.table``. The schema of a connection's table is the connection; "" for an unqualified name."""

    schema: str
    table: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.table}" if self.schema else self.table


class Column(Struct, frozen=True):
    """A column of a stored or declared table; ``type`` is a DuckDB type, or "" if unknown."""

    name: str
    type: str = ""
    description: str = ""


class TableDef(Struct, frozen=True):
    """A table of an adapter.

    ``columns`` are the declared ones; a load usually finds more.
    ``key`` names the columns that identify a row; empty if rows have no identity.
    ``refresh_every_s`` is None without a schedule.
    ``parents`` are tables of the same connection that are loaded first.
    ``cursor`` is the column by which incremental loads select changed rows.
    """

    name: str
    description: str = ""
    columns: tuple[Column, ...] = ()
    key: tuple[str, ...] = ()
    refresh_every_s: float | None = None
    parents: tuple[str, ...] = ()
    cursor: str = ""


class Action(StrEnum):
    """The action of a job."""

    LOAD = "load"  # first load, all rows
    REFRESH = "refresh"  # changed rows
    RELOAD = "reload"  # all rows again
    WRITE = "write"  # send the approved writes of the table


class JobState(StrEnum):
    """State of a job. At most one job per table and action is in one of the first three, active states."""

    QUEUED = "queued"  # waits for a worker, for ``start_at``, or for another job
    RUNNING = "running"
    PUBLISHING = "publishing"  # staged; rows are being committed to the lake
    DONE = "done"
    FAILED = "failed"  # error of source or configuration, see ``error``
    CANCELLED = "cancelled"
    DEAD = "dead"  # reached the maximum of crashes or failures

    @property
    def active(self) -> bool:
        return self in (JobState.QUEUED, JobState.RUNNING, JobState.PUBLISHING)


class Hold(StrEnum):
    """Whether the rows that a job staged wait for ``accept table``."""

    NONE = ""
    HELD = "held"  # the job failed; its staged rows are kept
    ACCEPTED = "accepted"  # its rows are published whatever they replace


DETECTED_PAGING_PREFIX = "detected paging"  # starts the reason of a load with ``paging: auto``
CONFIGURED_START = "as configured"  # ``starting`` of a schedule from the configuration


class RowState(StrEnum):
    """The state of one row of a write."""

    PLANNED = "planned"
    SENT = "sent"  # the request has left; its response is not known
    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"
    UNCHANGED = "unchanged"  # the system had it already
    REJECTED = "rejected"  # the system has refused it
    UNKNOWN = "unknown"  # sent, and nothing tells whether it was carried out
    NOT_SENT = "not sent"  # the write ended before

    @property
    def is_settled(self) -> bool:
        return self not in (RowState.PLANNED, RowState.SENT)


class WriteState(StrEnum):
    """The state of a write."""

    PLANNED = "planned"  # waits for approval; nothing was sent
    APPROVED = "approved"
    RUNNING = "running"
    DONE = "done"  # every row has an outcome, see its counts
    FAILED = "failed"  # it ended before every row was sent, see ``error``
    CANCELLED = "cancelled"


class PlannedRow(Struct, frozen=True):
    """A row to be written.

    ``number``    counts from 1 in the order of the source.
    ``action``    insert, update, delete, upsert, or restore: take a delete back.
    ``values``    JSON values by column; null is NULL, a missing column is not written.
    ``key``       the values that identify the row, by column.
    ``before``    the stored row of an update or delete, for undo.
    ``identity``  JSON text of the key within an export that has a name; "": the row is not tracked.
    ``content``   digest of the row of the source, for ``delta``.
    ``leaves``    with this, the row is no longer one that the export has written.
    """

    number: int
    action: str
    values: Mapping[str, object]
    key: Mapping[str, object] = field(default_factory=dict)
    before: Mapping[str, object] | None = None
    identity: str = ""
    content: str = ""
    leaves: bool = False


class WriteTarget(Struct, frozen=True):
    """What a write was planned for, as digests that are compared.

    ``options``  by name: the options of the connection that choose the account.
    ``spec``     of the key ``write`` of the table.
    ``home``     of the path of the home folder: a copy must not send what the original sends.
    """

    options: Mapping[str, str] = field(default_factory=dict)
    spec: str = ""
    home: str = ""


class RowOutcome(Struct, frozen=True):
    """What became of a row. ``created`` are columns of the response, such as the new id."""

    number: int
    state: RowState
    status: int | None = None
    created: Mapping[str, object] = field(default_factory=dict)
    message: str = ""


class Priority:
    """Priority of a job; smaller runs first."""

    INTERACTIVE = 0
    SCHEDULED = 10


class ConfigPaths(Struct, frozen=True):
    """Configuration files of a job, as absolute paths. Holds no secrets.

    ``found``  the connections file was found in the current folder, not named: see ``config.trust``.
    """

    connections: str
    specs: tuple[str, ...] = ()
    found: bool = False


class LoaderJob(Struct, frozen=True):
    """A load in the queue.

    ``uid`` is globally unique; it identifies the load in the ledger of the lake.
    ``attempt`` counts claims from 1; 0: never claimed. ``epoch`` is the daemon start of the claim.
    ``failures`` counts failed and crashed attempts, ``crashes`` those that ended their worker, ``deaths``
    those during which the daemon died. ``boot`` identifies the start of the machine before the claim.
    ``waits_for`` is the id of a job that must end first (the load of a parent table).
    ``unrecorded``: the job failed, and the ledger does not have it yet.
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
    held: Hold = Hold.NONE
    deaths: int = 0
    unrecorded: bool = False
    boot: str = ""


class WatchTarget(Struct, frozen=True):
    """Where the changes of a watch are sent.

    ``kind``    address: posted as JSON, signed with ``secret``, a reference; file: appended to a JSON Lines
                file; mail: sent by the connection ``place``; table: appended to a table of a connection.
    ``place``   the address, the path, the connection, or the table as ``connection.table``.
    ``to``      mail addresses.
    """

    kind: Literal["address", "file", "mail", "table"]
    place: str
    to: tuple[str, ...] = ()
    secret: str = ""

    @property
    def shown(self) -> str:
        """The target without the path of an address, which may be secret."""
        if self.kind != "address":
            return ", ".join(self.to) if self.to else self.place
        scheme, _, rest = self.place.partition("://")
        return f"{scheme}://{rest.partition('/')[0].rpartition('@')[2]}"


Comparison = Literal["=", "<>", "<", "<=", ">", ">="]
COMPARISONS: tuple[Comparison, ...] = get_args(Comparison)


class RowCondition(Struct, frozen=True):
    """A condition on a number of rows: ``> 0``."""

    comparison: Comparison
    bound: int

    def holds(self, rows: int) -> bool:
        order = (rows > self.bound) - (rows < self.bound)
        match self.comparison:
            case "=":
                return order == 0
            case "<>":
                return order != 0
            case "<":
                return order < 0
            case "<=":
                return order <= 0
            case ">":
                return order > 0
            case ">=":
                return order >= 0

    def __str__(self) -> str:
        return f"rows {self.comparison} {self.bound}"


class LoaderStatus(Struct, frozen=True):
    """Progress of a job, for display. The queue and the ledger hold the actual state.

    ``pages_total`` is None if unknown. ``waiting_until`` is the end of a rate limit or, with ``error``, the
    time of the next attempt. ``blocked_by`` names the writer of the lake that the job waits for, or says why
    a queued load does not start. ``resumed`` says what earlier attempts have read, ``rows_total`` about how
    many rows there are, if the source says.
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
    resumed: str = ""
    rows_total: int | None = None


class LoadRecord(Struct, frozen=True):
    """A row of the ledger ``unify.loads``: the result of one load.

    ``status`` is success, partial (some rows discarded) or failed.
    ``rows_written`` is inserted plus updated rows, ``rows_total`` the rows of the table after the load.
    ``cursor`` is the incremental state by the JSON text of the ``for_each`` row ("" without parents).
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
    """A row of ``unify.requests``: one request. ``address`` and ``error`` are redacted.

    ``status`` is None without a response; ``job`` is None for requests of a statement such as ``peek``.
    ``connection`` is "" in rows that an older version wrote.
    """

    method: str
    address: str
    status: int | None
    milliseconds: float
    bytes: int
    job: int | None
    at: datetime
    error: str = ""
    connection: str = ""
