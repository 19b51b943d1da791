"""Lets watches look when a table that they read has changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from unify.config.settings import Settings
from unify.daemon.publisher import FindChangedTables, Publisher, PublisherResult
from unify.lake.attachment.attach import CatalogVersion, catalog_version
from unify.lake.history.changed_tables import ChangedTables
from unify.queue.queue import Queue
from unify.queue.watches import Watch


class WatchTrigger:
    """Compares the lake with the snapshot up to which each watch has been served.

    The publisher finds out which tables have changed.
    """

    def __init__(self, queue: Queue, settings: Settings, publisher: Publisher) -> None:
        self._queue = queue
        self._settings = settings
        self._publisher = publisher
        self._version: CatalogVersion = ()
        self._is_asking = False

    def trigger_all(self, now: datetime) -> None:
        """Let every watch be due: the daemon may have ended while one of them looked."""
        for watch in self._queue.watches.list_all():
            self._queue.scripts.trigger(watch.tenant, watch.script_name, now)

    def check(self) -> None:
        """Ask what has changed, if a watch waits for changes and the lake has another version."""
        if self._is_asking or not (watches := self._waiting()):
            return
        version = catalog_version(self._settings)
        if version != self._version:
            self._version, self._is_asking = version, True
            self._publisher.submit(FindChangedTables(min(watch.snapshot for watch in watches)))

    def handle(self, result: PublisherResult, now: datetime) -> bool:
        """Let the watches of changed tables be due; return whether there are any."""
        if not isinstance(result.command, FindChangedTables):
            return False
        self._is_asking = False
        changed = result.changed
        if changed is None:  # it failed
            self._version = ()
            return False
        watches = [watch for watch in self._waiting() if watch.snapshot < changed.snapshot]
        due = [watch for watch in watches if _has_changed(watch, changed)]
        for watch in due:
            self._queue.scripts.trigger(watch.tenant, watch.script_name, now)
        self._queue.watches.mark_seen(watches, changed.snapshot)
        return bool(due)

    def _waiting(self) -> Sequence[Watch]:
        return [one for one in self._queue.watches.list_all() if one.definition.every_s is None]


def _has_changed(watch: Watch, changed: ChangedTables) -> bool:
    tables = changed.tables if watch.definition.tables is None else watch.definition.tables
    snapshots = (changed.tables[table][-1] for table in tables if table in changed.tables)
    return not changed.is_whole or any(last > watch.snapshot for last in snapshots)
