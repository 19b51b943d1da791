"""Conversion between the rows of the queue's tables and the types that the rest of Unify uses."""

from __future__ import annotations

import sqlite3
from datetime import datetime

import msgspec
from msgspec import Struct

from unify.fs.sqlite import from_micros, from_micros_or_none
from unify.model import Action, ConfigPaths, Hold, JobState, LoaderJob, Priority, TableName
from unify.queue.timing import Timing


class NewJob(Struct, frozen=True):
    """A load to enqueue.

    ``start_at``  None: as soon as a worker is free.
    ``seen_at``   when the table was found missing or out of date; a load that ended later will do.
    """

    tenant: str
    action: Action
    table: TableName
    origin: ConfigPaths
    priority: int = Priority.INTERACTIVE
    start_at: datetime | None = None
    seen_at: datetime | None = None


class Schedule(Struct, frozen=True):
    """The schedule of a table. ``every_s`` None: it is never refreshed, whatever its spec says."""

    tenant: str
    table: TableName
    origin: ConfigPaths
    every_s: float | None
    next_at: datetime | None
    last_at: datetime | None = None
    starting: str = ""  # these three as in Timing
    zone: str = ""
    first: str = ""

    @property
    def timing(self) -> Timing:
        return Timing(self.every_s, self.next_at, self.last_at, self.starting, self.zone, self.first)


def refresh_job(schedule: Schedule) -> NewJob:
    return NewJob(schedule.tenant, Action.REFRESH, schedule.table, schedule.origin, Priority.SCHEDULED)


def table_key(tenant: str, table: TableName) -> dict[str, object]:
    return {"tenant": tenant, "connection": table.schema, "table_name": table.table}


def job_from_row_or_none(row: sqlite3.Row | None) -> LoaderJob | None:
    return None if row is None else job_from_row(row)


def job_from_row(row: sqlite3.Row) -> LoaderJob:
    return LoaderJob(
        id=row["id"],
        uid=row["uid"],
        tenant=row["tenant"],
        action=Action(row["action"]),
        table=TableName(row["connection"], row["table_name"]),
        origin=decode_origin(row["origin"]),
        priority=row["priority"],
        state=JobState(row["state"]),
        attempt=row["attempt"],
        epoch=row["epoch"],
        created_at=from_micros(row["created_at"]),
        start_at=from_micros(row["start_at"]),
        started_at=from_micros_or_none(row["started_at"]),
        finished_at=from_micros_or_none(row["finished_at"]),
        waits_for=row["waits_for"],
        cancel_asked=bool(row["cancel_asked"]),
        error=row["error"],
        failures=row["failures"],
        crashes=row["crashes"],
        held=Hold(row["held"]),
        deaths=row["deaths"],
        unrecorded=bool(row["unrecorded"]),
        boot=row["boot"],
    )


def schedule_from_row(row: sqlite3.Row) -> Schedule:
    return Schedule(
        tenant=row["tenant"],
        table=TableName(row["connection"], row["table_name"]),
        origin=decode_origin(row["origin"]),
        every_s=row["every_s"],
        next_at=from_micros_or_none(row["next_at"]),
        last_at=from_micros_or_none(row["last_at"]),
        starting=row["starting"],
        zone=row["zone"],
        first=row["first"],
    )


def encode_origin(origin: ConfigPaths) -> str:
    return msgspec.json.encode(origin).decode()


def decode_origin(text: str) -> ConfigPaths:
    return msgspec.json.decode(text, type=ConfigPaths)
