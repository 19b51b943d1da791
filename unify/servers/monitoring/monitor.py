"""The state of a home at one moment, from the daemon, the queue, the lake and the file system. Read-only."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime

from msgspec import Struct

from unify.config.settings import Settings
from unify.errors import StoreError
from unify.interpreter.freshness import is_overdue
from unify.model import TableName
from unify.queue.pauses import Pause
from unify.queue.summary import QueueMonitor, QueueSummary
from unify.servers.monitoring.daemon_monitor import DaemonSummary, EventCounter, read_daemon
from unify.servers.monitoring.lake_monitor import LakeMonitor, LakeSummary
from unify.servers.monitoring.ledger_totals import StoredVersion


class DiskSpace(Struct, frozen=True):
    """Of the file system with the home folder: free for this user, and in all."""

    free_bytes: int
    total_bytes: int


class MonitoredTable(Struct, frozen=True):
    """A table that was loaded, is scheduled or failed. ``age_s`` is None if no rows are stored."""

    name: TableName
    stored: StoredVersion | None
    age_s: float | None
    every_s: float | None
    failed: bool
    held: bool
    paused: bool

    @property
    def is_overdue(self) -> bool:
        """Whether its refreshes are late; a paused table is not."""
        if self.age_s is None or self.every_s is None or self.paused:
            return False
        return is_overdue(self.age_s, self.every_s)


class HomeSummary(Struct, frozen=True):
    """A home at one moment. ``lake`` and ``queue`` are None if they cannot be read; a problem says why."""

    at: datetime
    daemon: DaemonSummary
    queue: QueueSummary | None
    queue_problem: str
    lake: LakeSummary | None
    lake_problem: str
    disk: DiskSpace | None
    requests: Mapping[tuple[str, str], int]
    notifications: Mapping[str, int]

    @property
    def problems(self) -> Collection[str]:
        """Why statements or loads cannot work now."""
        found = (self.daemon.problem, self.queue_problem, self.lake_problem)
        return [problem for problem in found if problem]

    def tables(self) -> Iterator[MonitoredTable]:
        """Yield the tables by name: what could be read of them."""
        totals = self.lake.tables if self.lake else {}
        intervals = self.queue.intervals if self.queue else {}
        pauses = _Pauses(self.queue.pauses if self.queue else ())
        failed, held = self._failed_tables(), self.queue.held if self.queue else ()
        now_s = self.at.timestamp()
        for name in sorted({*totals, *intervals, *failed, *held}):
            stored = totals[name].stored if name in totals else None
            yield MonitoredTable(
                name=name,
                stored=stored,
                age_s=None if stored is None else max(0.0, now_s - stored.loaded_at_s),
                every_s=intervals.get(name),
                failed=name in failed,
                held=name in held,
                paused=pauses.covers(name),
            )

    def _failed_tables(self) -> Collection[TableName]:
        """Return the tables whose last job failed after their rows were stored."""
        if self.queue is None:
            return frozenset()
        loads = self.lake.tables if self.lake else {}
        return frozenset(
            name
            for name in self.queue.failed
            if (stored := loads[name].stored if name in loads else None) is None
            or self.queue.ended[name].finished_at.timestamp() > stored.loaded_at_s
        )


class _Pauses:
    def __init__(self, pauses: Collection[Pause]) -> None:
        self._connections = {pause.connection for pause in pauses if not pause.table}
        self._tables = {TableName(pause.connection, pause.table) for pause in pauses}

    def covers(self, name: TableName) -> bool:
        return name.schema in self._connections or name in self._tables


class HomeMonitor:
    """Reads summaries of a home. Changes nothing in it, and starts neither a daemon nor a load.

    Use it from one thread at a time. Its memory grows with the number of tables only.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._queue = QueueMonitor(settings.queue, settings.tenant)
        self._lake = LakeMonitor(settings)
        self._events = EventCounter(settings)

    def close(self) -> None:
        self._queue.close()
        self._lake.close()

    def read(self, now: datetime | None = None) -> HomeSummary:
        """Return the current summary. What cannot be read is a problem in it."""
        at = now or datetime.now(UTC)
        self._events.update()
        queue, queue_problem = self._read_queue(at)
        lake, lake_problem = self._read_lake()
        return HomeSummary(
            at=at,
            daemon=self._read_daemon(at),
            queue=queue,
            queue_problem=queue_problem,
            lake=lake,
            lake_problem=lake_problem,
            disk=_read_disk_space(self._settings),
            requests=self._events.requests,
            notifications=self._events.notifications,
        )

    def _read_daemon(self, at: datetime) -> DaemonSummary:
        try:
            return read_daemon(self._settings, at)
        except StoreError as error:  # its lock cannot be read
            return DaemonSummary(error.message)

    def _read_queue(self, at: datetime) -> tuple[QueueSummary | None, str]:
        try:
            if not self._settings.queue.exists() and self._settings.home.is_dir():
                return QueueSummary.empty(), ""
            return self._queue.read(at), ""
        except StoreError as error:
            return None, error.message
        except OSError as error:
            return None, f"{self._settings.queue}: cannot be read ({error.strerror})"

    def _read_lake(self) -> tuple[LakeSummary | None, str]:
        try:
            return self._lake.read(), ""
        except StoreError as error:
            return None, error.message


def _read_disk_space(settings: Settings) -> DiskSpace | None:
    try:
        status = os.statvfs(settings.home)
    except OSError:
        return None
    return DiskSpace(status.f_bavail * status.f_frsize, status.f_blocks * status.f_frsize)
