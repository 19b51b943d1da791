"""Syncs: SELECTs whose rows are written to a system again and again, and the results of their runs."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

import msgspec
from msgspec import Struct

from unify.fs.locks import FileLock
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
    """How a run ended.

    ``callback``    what became of the callback; "" if there is none.
    ``is_unknown``  nothing tells whether its rows were added, so that another run might add them again.
    """

    status: SyncStatus
    reason: str = ""
    counts: SyncCounts = SyncCounts()
    write: int | None = None
    cursor: str = ""
    callback: str = ""
    is_unknown: bool = False


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
        self._locks: dict[int, FileLock] = {}  # of the runs of this process, by id

    def put(self, sync: Sync) -> None:
        """Insert a sync, or replace that of the same name, which runs again after a run that is unknown."""
        definition = msgspec.json.encode(sync.definition).decode()
        values = {**_key(sync.tenant, sync.name), "definition": definition, "cursor": sync.cursor}
        with self._database.transaction():
            self._database.fetch_one("put_sync", values)
            self._database.fetch_all("resolve_syncs", _key(sync.tenant, sync.name))

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

    def begin_run(self, sync: Sync, now: datetime, *, adds_rows: bool = False) -> tuple[Sync, SyncRun] | None:
        """Record the start of a run by this process; return the sync as it is now.

        None: another run is under way, or the sync was dropped. A lock says so, which ends with its process.

        ``adds_rows``  an earlier run whose process has ended is unknown: its rows may have been added.
        """
        key = _key(sync.tenant, sync.name)
        lock = FileLock(self._lock_path(sync), f"sync {sync.name}")
        if not lock.try_acquire():
            return None
        try:
            with self._database.transaction():
                current = self.find(sync.tenant, sync.name)
                reason = "the process ended during the run"
                ended = SyncResult(SyncStatus.FATAL, reason, is_unknown=adds_rows)
                for row in self._database.fetch_all("running_syncs", key):
                    self._end(row["id"], ended, now)
                values = {**key, "pid": os.getpid(), "now": to_micros(now)}
                begun = None if current is None else self._database.fetch_one("begin_sync", values)
        except BaseException:
            lock.release()
            raise
        if current is None or begun is None:
            lock.release()
            return None
        run = _run_from_row(begun)
        self._locks[run.id] = lock
        return current, run

    def _lock_path(self, sync: Sync) -> Path:
        """A file beside the queue's; the name is a digest, because a sync may have any name."""
        name = f"{sync.tenant}/{sync.name.lower()}".encode()
        import hashlib  # 2 ms in each process

        return self._database.path.with_name(f"queue.sync-{hashlib.sha256(name).hexdigest()[:16]}.lock")

    def last_run(self, sync: Sync) -> SyncRun | None:
        """Return the last run that has ended."""
        row = self._database.fetch_one("last_sync_run", _key(sync.tenant, sync.name))
        return None if row is None else _run_from_row(row)

    def end_run(self, sync: Sync, run: SyncRun, result: SyncResult, now: datetime) -> None:
        """Record the result of a run, keep its cursor, and delete the oldest runs.

        A sync that was replaced meanwhile keeps its own cursor.
        """
        key = _key(sync.tenant, sync.name)
        lock = self._locks.pop(run.id, None)
        try:
            self._record_end(sync, run, result, now, key)
        finally:
            if lock is not None:
                lock.release()

    def _record_end(
        self, sync: Sync, run: SyncRun, result: SyncResult, now: datetime, key: dict[str, object]
    ) -> None:
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
            "is_unknown": result.is_unknown,
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
        SyncStatus(row["status"]),
        row["reason"],
        counts,
        row["write"],
        row["cursor"],
        row["callback"],
        bool(row["is_unknown"]),
    )
    return SyncRun(
        row["id"], row["name"], result, from_micros(row["started_at"]), from_micros_or_none(row["ended_at"])
    )
