"""Watches: SELECTs whose changes are sent to whoever waits for them, and what was sent."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec
from msgspec import Struct

from unify.fs.sqlite import from_micros, from_micros_or_none, to_micros, to_micros_or_none
from unify.model import ConfigPaths, RowCondition, TableName, WatchTarget
from unify.queue.sqlite import QueueDatabase

MAX_DELIVERIES_PER_WATCH = 1_000
DELIVERY_RETENTION = timedelta(days=30)


class DeliveryState(StrEnum):
    """State of a delivery."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"  # it failed for a day


class WatchDefinition(Struct, frozen=True, kw_only=True):
    """What a watch does.

    ``source``     the SELECT.
    ``key``        columns that identify a row; without, a changed row counts as deleted and inserted.
    ``every_s``    None: it looks when one of ``tables`` has changed, and loads nothing.
    ``tables``     the tables of the lake that the SELECT reads; None: any.
    ``condition``  changes are sent while the number of rows of the result meets it.
    """

    source: str
    key: tuple[str, ...] = ()
    every_s: float | None = None
    tables: tuple[TableName, ...] | None = None
    target: WatchTarget
    condition: RowCondition | None = None
    created_by: str = ""
    origin: ConfigPaths
    folder: str


class Watch(Struct, frozen=True, kw_only=True):
    """A watch.

    ``uid``       names the folder of its last result.
    ``version``   the number of that result.
    ``sequence``  the number of the last delivery; 0: none.
    ``snapshot``  the snapshot of the lake up to which the daemon has looked for changed tables.
    ``rows``      the number of rows of the result.
    ``result_of`` the snapshot of which it is the result, or an earlier one.
    """

    tenant: str
    name: str
    uid: str
    definition: WatchDefinition
    version: int = 0
    sequence: int = 0
    snapshot: int = 0
    rows: int = 0
    result_of: int = 0
    looked_at: datetime | None = None
    changed_at: datetime | None = None

    @property
    def script_name(self) -> str:
        """The name of its schedule."""
        return f"watch {self.name}"


class LookResult(Struct, frozen=True):
    """What a look has found; see Watch."""

    version: int
    rows: int
    result_of: int


class ChangeCounts(Struct, frozen=True):
    """The rows of a change. ``note`` says what is special about it; "" if nothing is."""

    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    note: str = ""

    @property
    def total(self) -> int:
        return self.inserted + self.updated + self.deleted


class Delivery(Struct, frozen=True):
    """A change to be sent, or sent. ``version`` is that of the result that has it."""

    uid: str
    sequence: int
    name: str
    target: str
    state: DeliveryState
    version: int
    counts: ChangeCounts
    attempts: int
    created_at: datetime
    next_at: datetime | None
    delivered_at: datetime | None
    error: str


class WatchStore:
    """The watches of one queue; ``Queue.watches``."""

    def __init__(self, database: QueueDatabase) -> None:
        self._database = database

    def put(self, watch: Watch) -> None:
        """Insert a watch, or replace that of the same name."""
        values = msgspec.structs.asdict(watch) | {
            "definition": msgspec.json.encode(watch.definition).decode(),
            "looked_at": to_micros_or_none(watch.looked_at),
            "changed_at": to_micros_or_none(watch.changed_at),
        }
        with self._database.transaction():
            self._database.fetch_one("put_watch", values)

    def drop(self, watch: Watch) -> None:
        """Delete a watch and the deliveries that were not sent."""
        with self._database.transaction():
            self._database.fetch_all("drop_deliveries", {"uid": watch.uid})
            self._database.fetch_one("drop_watch", {"tenant": watch.tenant, "name": watch.name})

    def list_all(self) -> Sequence[Watch]:
        """Return the watches of all tenants."""
        return [_watch_from_row(row) for row in self._database.fetch_all("watches")]

    def list(self, tenant: str) -> Sequence[Watch]:
        return [watch for watch in self.list_all() if watch.tenant == tenant]

    def find(self, tenant: str, name: str) -> Watch | None:
        """Return the watch of this name, in any case."""
        return next((one for one in self.list(tenant) if one.name.lower() == name.lower()), None)

    def record_look(
        self,
        watch: Watch,
        result: LookResult,
        now: datetime,
        *,
        counts: ChangeCounts | None = None,
    ) -> Watch | None:
        """Record a look; ``counts`` are of the change to deliver, if there is one.

        None: the watch was removed or replaced meanwhile.
        """
        sequence = watch.sequence + (counts is not None)
        moved = {"uid": watch.uid, "sequence": sequence, **msgspec.structs.asdict(result)}
        with self._database.transaction():
            row = self._database.fetch_one("move_watch", {**moved, "now": to_micros(now)})
            if row is None:
                return None
            if counts is not None:
                values = msgspec.structs.asdict(counts) | moved
                values |= {"tenant": watch.tenant, "name": watch.name, "now": to_micros(now)}
                self._database.fetch_all("put_delivery", values | {"target": watch.definition.target.shown})
        return _watch_from_row(row)

    def pending(self, watch: Watch) -> Sequence[Delivery]:
        """Return what has to be sent, oldest first."""
        rows = self._database.fetch_all("pending_deliveries", {"uid": watch.uid})
        return [_delivery_from_row(row) for row in rows]

    def end_delivery(
        self,
        watch: Watch,
        delivery: Delivery,
        state: DeliveryState,
        now: datetime,
        *,
        next_at: datetime | None = None,
        error: str = "",
    ) -> None:
        """Record an attempt of a delivery, and delete the oldest ones of the watch."""
        values = {"uid": delivery.uid, "sequence": delivery.sequence, "state": state.value, "error": error}
        times = {"now": to_micros(now), "next_at": to_micros_or_none(next_at)}
        kept: dict[str, object] = {
            "tenant": watch.tenant,
            "name": watch.name,
            "before": to_micros(now - DELIVERY_RETENTION),
            "keep": MAX_DELIVERIES_PER_WATCH,
        }
        with self._database.transaction():
            self._database.fetch_all("end_delivery", {**values, **times})
            self._database.fetch_all("forget_deliveries", kept)

    def deliveries(self, tenant: str) -> Sequence[Delivery]:
        """Return all stored deliveries, oldest first."""
        rows = self._database.fetch_all("deliveries", {"tenant": tenant})
        return [_delivery_from_row(row) for row in rows]

    def mark_seen(self, watches: Sequence[Watch], snapshot: int) -> None:
        """Record that changes up to a snapshot of the lake have triggered these watches."""
        with self._database.transaction():
            for watch in watches:
                self._database.fetch_all("seen_watch", {"uid": watch.uid, "snapshot": snapshot})


def _watch_from_row(row: sqlite3.Row) -> Watch:
    return Watch(
        tenant=row["tenant"],
        name=row["name"],
        uid=row["uid"],
        definition=msgspec.json.decode(row["definition"], type=WatchDefinition),
        version=row["version"],
        sequence=row["sequence"],
        snapshot=row["snapshot"],
        rows=row["rows"],
        result_of=row["result_of"],
        looked_at=from_micros_or_none(row["looked_at"]),
        changed_at=from_micros_or_none(row["changed_at"]),
    )


def _delivery_from_row(row: sqlite3.Row) -> Delivery:
    return Delivery(
        row["uid"],
        row["sequence"],
        row["name"],
        row["target"],
        DeliveryState(row["state"]),
        row["version"],
        ChangeCounts(row["inserted"], row["updated"], row["deleted"], row["note"]),
        row["attempts"],
        from_micros(row["created_at"]),
        from_micros_or_none(row["next_at"]),
        from_micros_or_none(row["delivered_at"]),
        row["error"],
    )
