"""Jobs and schedules as rows of the queue, and as what the rest of Unify holds in hand."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from unify.model import Action, JobState, LoaderJob, Origin, Priority, TableName
from unify.store.duetimes import Timing


@dataclass(frozen=True, slots=True)
class NewJob:
    """A load to be asked for.

    ``start_at``  None: as soon as there is a worker.
    ``seen_at``   when the table was seen to lack what the load brings: one that ended since is as good.
    """

    tenant: str
    action: Action
    table: TableName
    origin: Origin
    priority: int = Priority.PERSON
    start_at: datetime | None = None
    seen_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a table is refreshed by itself. ``every_s`` None: never, whatever its spec says."""

    tenant: str
    table: TableName
    origin: Origin
    every_s: float | None
    next_at: datetime | None
    last_at: datetime | None = None
    starting: str = ""  # as the person wrote it
    zone: str = ""  # these two as in Timing
    first: str = ""

    @property
    def timing(self) -> Timing:
        return Timing(self.every_s, self.next_at, self.last_at, self.starting, self.zone, self.first)


def refresh_of(schedule: Schedule) -> NewJob:
    return NewJob(schedule.tenant, Action.REFRESH, schedule.table, schedule.origin, Priority.SCHEDULE)


def identity(tenant: str, table: TableName) -> dict[str, object]:
    return {"tenant": tenant, "connection": table.schema, "table_name": table.table}


def job_or_none(row: sqlite3.Row | None) -> LoaderJob | None:
    return None if row is None else job_of(row)


def job_of(row: sqlite3.Row) -> LoaderJob:
    return LoaderJob(
        id=row["id"],
        uid=row["uid"],
        tenant=row["tenant"],
        action=Action(row["action"]),
        table=TableName(row["connection"], row["table_name"]),
        origin=origin_of(row["origin"]),
        priority=row["priority"],
        state=JobState(row["state"]),
        attempt=row["attempt"],
        epoch=row["epoch"],
        created_at=known_moment(row["created_at"]),
        start_at=known_moment(row["start_at"]),
        started_at=moment(row["started_at"]),
        finished_at=moment(row["finished_at"]),
        waits_for=row["waits_for"],
        cancel_asked=bool(row["cancel_asked"]),
        error=row["error"],
        failures=row["failures"],
        crashes=row["crashes"],
    )


def schedule_of(row: sqlite3.Row) -> Schedule:
    return Schedule(
        tenant=row["tenant"],
        table=TableName(row["connection"], row["table_name"]),
        origin=origin_of(row["origin"]),
        every_s=row["every_s"],
        next_at=moment(row["next_at"]),
        last_at=moment(row["last_at"]),
        starting=row["starting"],
        zone=row["zone"],
        first=row["first"],
    )


def origin_text(origin: Origin) -> str:
    return msgspec.json.encode(origin).decode()


def origin_of(text: str) -> Origin:
    return msgspec.json.decode(text, type=Origin)


def micros(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000_000)


def micros_or_none(moment: datetime | None) -> int | None:
    return None if moment is None else micros(moment)


def moment(micros: int | None) -> datetime | None:
    return None if micros is None else known_moment(micros)


def known_moment(micros: int) -> datetime:
    return datetime.fromtimestamp(micros / 1_000_000, UTC)
