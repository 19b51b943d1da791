"""The state of the queue in figures, for monitoring: read-only, in time that does not grow with the history.

Ended jobs are read once; later summaries read those that have ended since. What is kept grows with the number
of tables only.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from unify.fs.sqlite import from_micros, from_micros_or_none, to_micros
from unify.model import JobState, TableName
from unify.queue.pauses import Pause, Pauses
from unify.queue.scripts import RunStatus
from unify.queue.sqlite import QueueDatabase, SqlParameters

OVERLAP_US = 600_000_000  # of the times read again: a clock may go back, a commit may follow its time
_ACTIVE_STATES = tuple(state for state in JobState if state.active)


class EndedJob(Struct, frozen=True):
    """The last job of a table that ended."""

    id: int
    state: JobState
    finished_at: datetime


class ScriptResult(Struct, frozen=True):
    """A scheduled script and its last ended run. ``status`` is None if none has ended yet."""

    name: str
    every_s: float | None
    next_at: datetime | None
    status: RunStatus | None
    started_at: datetime | None
    ended_at: datetime | None
    is_running: bool = False


class QueueSummary(Struct, frozen=True):
    """The queue at one moment.

    ``jobs``             the number of jobs in each active state.
    ``oldest_ready_at``  since when the oldest queued job could start; None: no job waits.
    ``ended``            the last ended job of each table.
    ``failed``, ``held`` the tables whose last job failed, and those with a version that was held back.
    ``intervals``        the seconds between the refreshes of each scheduled table.
    """

    jobs: Mapping[JobState, int]
    oldest_ready_at: datetime | None
    ended: Mapping[TableName, EndedJob]
    failed: Collection[TableName]
    held: Collection[TableName]
    intervals: Mapping[TableName, float]
    pauses: Sequence[Pause]
    scripts: Sequence[ScriptResult]

    @classmethod
    def empty(cls) -> QueueSummary:
        """The summary of a home in which nothing was loaded yet."""
        return cls(dict.fromkeys(_ACTIVE_STATES, 0), None, {}, (), (), {}, (), ())


class QueueMonitor:
    """Reads summaries of the queue of one tenant. Use it from one thread at a time."""

    def __init__(self, path: Path, tenant: str) -> None:
        self._tenant = tenant
        self._database = QueueDatabase(path, read_only=True)
        self._pauses = Pauses(self._database)
        self._file_id: tuple[int, int] | None = None
        self._forget()

    def close(self) -> None:
        self._database.close()

    def read(self, now: datetime) -> QueueSummary:
        """Return the current summary.

        Raises StoreError: the file is missing, damaged or of another version.
        """
        self._forget_if_replaced()
        self._read_ended_jobs(now)
        counts = {row["state"]: row["jobs"] for row in self._fetch("count_jobs")}
        oldest = self._fetch("oldest_ready", {"now": to_micros(now)})
        return QueueSummary(
            jobs={state: counts.get(state.value, 0) for state in _ACTIVE_STATES},
            oldest_ready_at=from_micros_or_none(oldest[0][0]),
            ended=dict(self._ended),
            failed=self._failed_tables(),
            held=frozenset(self._held.values()),
            intervals={_table_name(row): row["every_s"] for row in self._fetch("intervals")},
            pauses=self._pauses.list(self._tenant),
            scripts=self._script_results(),
        )

    def _forget(self) -> None:
        self._ended: dict[TableName, EndedJob] = {}
        self._held: dict[int, TableName] = {}
        self._since_us = 0

    def _forget_if_replaced(self) -> None:
        """Begin anew if the file is another one: its job numbers are others."""
        try:
            status = self._database.path.stat()
        except OSError:
            file_id = None  # reading reports it
        else:
            file_id = (status.st_dev, status.st_ino)
        if file_id != self._file_id:
            self._forget()
            self._file_id = file_id

    def _read_ended_jobs(self, now: datetime) -> None:
        since_us = min(self._since_us, to_micros(now)) - OVERLAP_US
        values = {"tenant": self._tenant, "since": since_us}
        for row in self._fetch("held_since", values):
            self._held[row["id"]] = _table_name(row)
        for row in self._fetch("last_ended", values):
            job = EndedJob(row["id"], JobState(row["state"]), from_micros(row["finished_at"]))
            self._ended[_table_name(row)] = job
            self._since_us = max(self._since_us, row["finished_at"])
        still_held = self._existing_ids("still_held", self._held)
        self._held = {id: table for id, table in self._held.items() if id in still_held}

    def _failed_tables(self) -> Collection[TableName]:
        failed = {
            job.id: table
            for table, job in self._ended.items()
            if job.state in (JobState.FAILED, JobState.DEAD)
        }
        still_failed = self._existing_ids("still_failed", failed)
        return frozenset(table for id, table in failed.items() if id in still_failed)

    def _existing_ids(self, statement: str, ids: Collection[int]) -> Collection[int]:
        if not ids:
            return frozenset()
        encoded = msgspec.json.encode(list(ids)).decode()
        return frozenset(row["id"] for row in self._fetch(statement, {"ids": encoded}))

    def _script_results(self) -> Sequence[ScriptResult]:
        return [
            ScriptResult(
                name=row["name"],
                every_s=row["every_s"],
                next_at=from_micros_or_none(row["next_at"]),
                status=None if row["status"] is None else RunStatus(row["status"]),
                started_at=from_micros_or_none(row["started_at"]),
                ended_at=from_micros_or_none(row["ended_at"]),
                is_running=bool(row["is_running"]),
            )
            for row in self._fetch("script_results")
        ]

    def _fetch(self, statement: str, values: SqlParameters | None = None) -> Sequence[sqlite3.Row]:
        return self._database.fetch_all(statement, values or {"tenant": self._tenant})


def _table_name(row: sqlite3.Row) -> TableName:
    return TableName(row["connection"], row["table_name"])
