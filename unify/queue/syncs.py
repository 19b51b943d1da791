"""Syncs: SELECTs whose rows are written to a system again and again, and the results of their runs."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec
from msgspec import Struct

from unify.fs.machine import is_process_alive
from unify.fs.sqlite import from_micros, from_micros_or_none, to_micros
from unify.model import ConfigPaths, TableName
from unify.queue.sqlite import QueueDatabase

MAX_RUNS_PER_SYNC = 1_000
RUN_RETENTION = timedelta(days=30)


class SyncStatus(StrEnum):
    """The status of a run."""

    RUNNING = "running"
    SUCCESS = "success"
    SUCCESS_WITH_FAILURES = "success_with_failures"  # some rows were refused, or nobody knows
    FATAL = "fatal"  # nothing was written, or the run ended before every row was sent


class SyncDefinition(Struct, frozen=True, kw_only=True):
    """What a sync does.

    ``source``       the SELECT.
    ``mode``, ``key``, ``gone``, ``delta``, ``adopt``  as of an export.
    ``cursor``       the column of the source whose values say which rows are new; "" for none.
    ``every_s``, ``after``  when it runs by itself.
    ``script``       absolute path of the script that runs after each run; "" for none.
    ``address``      receives the result of each run, signed with ``secret``, a reference; "" for none.
    ``max_writes``, ``max_deletes``  as allowed when it was created.
    """

    source: str
    table: TableName
    mode: str | None = None
    key: tuple[str, ...] = ()
    gone: str | None = None
    delta: bool = True
    adopt: bool = False
    cursor: str = ""
    every_s: float | None = None
    after: TableName | None = None
    script: str = ""
    address: str = ""
    secret: str = ""
    max_writes: int | None = None
    max_deletes: int | None = None
    created_by: str = ""
    origin: ConfigPaths
    folder: str


class Sync(Struct, frozen=True):
    """A sync. ``cursor`` is the greatest value of the cursor column so far, as text; "" at first."""

    tenant: str
    name: str
    definition: SyncDefinition
    cursor: str = ""


class SyncCounts(Struct, frozen=True):
    """Rows of a run: read from the source, left out as unchanged, planned, written, not written."""

    read: int = 0
    filtered: int = 0
    formatted: int = 0
    written: int = 0
    failed: int = 0


class SyncResult(Struct, frozen=True):
    """How a run ended. ``callback`` says what became of the callback; "" if there is none."""

    status: SyncStatus
    reason: str = ""
    counts: SyncCounts = SyncCounts()
    write: int | None = None
    cursor: str = ""
    callback: str = ""


class SyncRun(Struct, frozen=True):
    """One run."""

    id: int
    name: str
    result: SyncResult
    started_at: datetime
    ended_at: datetime | None


class SyncStore:
    """The syncs of one queue; ``Queue.syncs``."""

    def __init__(self, database: QueueDatabase) -> None:
        self._database = database

    def put(self, sync: Sync) -> None:
        """Insert a sync, or replace that of the same name."""
        definition = msgspec.json.encode(sync.definition).decode()
        values = {**_key(sync.tenant, sync.name), "definition": definition, "cursor": sync.cursor}
        with self._database.transaction():
            self._database.fetch_one("put_sync", values)

    def drop(self, tenant: str, name: str) -> bool:
        """Delete a sync. False: there is none."""
        with self._database.transaction():
            return self._database.fetch_one("drop_sync", _key(tenant, name)) is not None

    def list(self, tenant: str) -> Sequence[Sync]:
        rows = self._database.fetch_all("syncs")
        return [_sync_from_row(row) for row in rows if row["tenant"] == tenant]

    def find(self, tenant: str, name: str) -> Sync | None:
        """Return the sync of this name, in any case."""
        return next((sync for sync in self.list(tenant) if sync.name.lower() == name.lower()), None)

    def begin_run(self, sync: Sync, now: datetime) -> tuple[Sync, SyncRun] | None:
        """Record the start of a run by this process; return the sync as it is now.

        None: another run is under way, or the sync was dropped.
        """
        key = _key(sync.tenant, sync.name)
        with self._database.transaction():
            current = self.find(sync.tenant, sync.name)
            if current is None:
                return None
            for row in self._database.fetch_all("running_syncs", key):
                if is_process_alive(row["pid"]):
                    return None
                ended = SyncResult(SyncStatus.FATAL, "the process ended during the run")
                self._end(row["id"], ended, now)
            begun = self._database.fetch_one("begin_sync", {**key, "pid": os.getpid(), "now": to_micros(now)})
        assert begun is not None
        return current, _run_from_row(begun)

    def end_run(self, sync: Sync, run: SyncRun, result: SyncResult, now: datetime) -> None:
        """Record the result of a run, keep its cursor, and delete the oldest runs.

        A sync that was replaced meanwhile keeps its own cursor.
        """
        key = _key(sync.tenant, sync.name)
        with self._database.transaction():
            self._end(run.id, result, now)
            if result.cursor:
                definition = msgspec.json.encode(sync.definition).decode()
                moved = {**key, "cursor": result.cursor, "definition": definition}
                self._database.fetch_all("move_sync", moved)
            kept: dict[str, object] = {"before": to_micros(now - RUN_RETENTION), "keep": MAX_RUNS_PER_SYNC}
            self._database.fetch_all("forget_syncs", key | kept)

    def note_callback(self, run: SyncRun, callback: str) -> None:
        """Record what became of the callback of a run that has ended."""
        with self._database.transaction():
            self._database.fetch_all("note_callback", {"id": run.id, "callback": callback})

    def runs(self, tenant: str) -> Sequence[SyncRun]:
        """Return all stored runs, oldest first."""
        return [_run_from_row(row) for row in self._database.fetch_all("sync_runs", {"tenant": tenant})]

    def _end(self, id: int, result: SyncResult, now: datetime) -> None:
        values = {
            **msgspec.structs.asdict(result.counts),
            "id": id,
            "status": result.status.value,
            "reason": result.reason,
            "write": result.write,
            "cursor": result.cursor,
            "callback": result.callback,
            "now": to_micros(now),
        }
        self._database.fetch_one("end_sync", values)


def _key(tenant: str, name: str) -> dict[str, object]:
    return {"tenant": tenant, "name": name}


def _sync_from_row(row: sqlite3.Row) -> Sync:
    definition = msgspec.json.decode(row["definition"], type=SyncDefinition)
    return Sync(row["tenant"], row["name"], definition, row["cursor"])


def _run_from_row(row: sqlite3.Row) -> SyncRun:
    counts = SyncCounts(row["read"], row["filtered"], row["formatted"], row["written"], row["failed"])
    result = SyncResult(
        SyncStatus(row["status"]), row["reason"], counts, row["write"], row["cursor"], row["callback"]
    )
    return SyncRun(
        row["id"], row["name"], result, from_micros(row["started_at"]), from_micros_or_none(row["ended_at"])
    )
