"""One look at the result of a watch: what has changed since the last one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from unify.engine.types import quote_identifier as quoted
from unify.errors import LockTimeout, QueryError, UnknownName
from unify.fs import durable
from unify.fs.failpoints import failpoint
from unify.fs.locks import FileLock
from unify.interpreter.freshness import MaxAge
from unify.interpreter.query.query import QueryRunner
from unify.interpreter.watching.result_files import ResultFiles
from unify.lake import catalog
from unify.lake.history.changed_tables import ChangedTables, find_changed_tables, newest_snapshot
from unify.lake.lake import Lake
from unify.language.sql.analysis import StatementKind, analyse
from unify.language.sql.refs import TableRef
from unify.language.sql.rewrite import find_mentions
from unify.model import TableName
from unify.queue.queue import Queue
from unify.queue.watches import ChangeCounts, LookResult, Watch

LOCK_TIMEOUT_S = 1.0
MAX_VERSIONS = 1_000  # of tables between two looks that are compared one by one
STORED_ROWS = MaxAge.parse("none")


class Look(Struct, frozen=True):
    """The outcome of a look: the watch after it, and the changes to be sent, oldest first."""

    watch: Watch
    changes: Sequence[ChangeCounts]


class _TableVersion(Struct, frozen=True):
    """The SELECT over the tables as they were at a snapshot."""

    source: str
    max_age: MaxAge
    snapshot: int


class WatchRunner:
    """Looks at results in this session. ``folder`` has a folder for each watch."""

    def __init__(
        self,
        query: QueryRunner,
        lake: Lake,
        queue: Queue,
        folder: Path,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._query = query
        self._lake = lake
        self._queue = queue
        self._folder = folder
        self._now = now

    def files(self, watch: Watch) -> ResultFiles:
        return ResultFiles(self._lake, self._folder / watch.uid)

    def qualify_ref(self, ref: TableRef) -> TableRef:
        """Return a table of a statement with its schema."""
        return self._query.resolver.qualify_ref(ref)

    def lock(self, watch: Watch) -> FileLock:
        """The lock of the process that looks, or sends what a look has found."""
        return FileLock(self._folder / f"{watch.uid}.lock", f"watch {watch.name}")

    def first_look(self, watch: Watch, max_age: MaxAge) -> Watch:
        """Store the first result, with which the next ones are compared. Raises QueryError."""
        if analyse(watch.definition.source).kind is not StatementKind.SELECT:
            raise QueryError("watch needs a SELECT")
        files = self.files(watch)
        now = self._current(watch, max_age)
        bound, _ = self._query.prepare(now.source, now.max_age)
        rows = files.write(bound, 1)
        try:
            files.check(1, watch.definition.key)
            files.keep(1)
        except BaseException:
            self.remove(watch)
            raise
        return msgspec.structs.replace(
            watch, version=1, rows=rows, result_of=now.snapshot, looked_at=self._now()
        )

    def look(self, watch: Watch, max_age: MaxAge) -> Look:
        """Compare the result with the last one, and keep what has to be sent.

        The versions of the tables since the last look are compared one after the other, so that a row that
        came and went is not missed.
        Hold ``lock``. Raises QueryError, LoadFailed; UnknownName if the watch was removed meanwhile.
        """
        found: list[ChangeCounts] = []
        now = self._current(watch, max_age)
        changed = find_changed_tables(self._lake, watch.result_of)
        for snapshot in self._earlier_snapshots(watch, changed, now.snapshot):
            if (earlier := self._source_at(watch, snapshot)) is not None:
                with suppress(QueryError):  # its tables were others then
                    watch = self._step(watch, _TableVersion(earlier, STORED_ROWS, snapshot), found)
        note = "" if changed.is_whole else "earlier versions are not kept any more; this is the difference"
        watch = self._step(watch, now, found, note)
        files = self.files(watch)
        files.remove_others({watch.version}, {each.version for each in self._queue.watches.pending(watch)})
        return Look(watch, found)

    def _current(self, watch: Watch, max_age: MaxAge) -> _TableVersion:
        """The SELECT over the tables as they are, loaded if need be, and the snapshot that has them.

        Stored tables are read as of that snapshot: if the result had what is published meanwhile, the next
        look would compare it with versions that are older.
        """
        definition, max_age = watch.definition, self._max_age(watch, max_age)
        if definition.tables is None:
            newest = newest_snapshot(self._lake)
            return _TableVersion(definition.source, max_age, newest)
        self._query.prepare(definition.source, max_age)  # loads
        newest = newest_snapshot(self._lake)
        pinned = self._source_at(watch, newest) if self._has_tables(definition.tables) else None
        return _TableVersion(pinned or definition.source, STORED_ROWS, newest)

    def _has_tables(self, tables: Sequence[TableName]) -> bool:
        """Whether all tables exist; if one does not, the SELECT as it was written has the better error."""
        stored = {(name.schema.lower(), name.table.lower()) for name in catalog.all_columns(self._lake)}
        return all((table.schema, table.table) in stored for table in tables)

    def _step(self, watch: Watch, version: _TableVersion, found: list[ChangeCounts], note: str = "") -> Watch:
        """Compare one result with the one before; return the watch after it."""
        definition, files, new = watch.definition, self.files(watch), watch.version + 1
        bound, _ = self._query.prepare(version.source, version.max_age)
        rows = files.write(bound, new)
        files.check(new, definition.key)
        counts = files.compare(watch.version, new, definition.key)
        failpoint("watch.compared")
        if counts.total or counts.note:
            files.keep(new)
            is_sent = definition.condition is None or definition.condition.holds(rows)
            sent = msgspec.structs.replace(counts, note=counts.note or note) if is_sent else None
            result = LookResult(new, rows, version.snapshot)
        else:
            sent, result = None, LookResult(watch.version, rows, version.snapshot)
        moved = self._queue.watches.record_look(watch, result, self._now(), counts=sent)
        failpoint("watch.recorded")
        if moved is None:
            raise UnknownName(f"watch {watch.name} was removed or replaced")
        if sent is not None:
            found.append(sent)
        return moved

    def _earlier_snapshots(self, watch: Watch, changed: ChangedTables, newest: int) -> Sequence[int]:
        """The snapshots up to ``newest`` that changed a table of the watch, but for the last one."""
        tables = watch.definition.tables or ()
        snapshots = {one for table in tables for one in changed.tables.get(table, ()) if one <= newest}
        return sorted(snapshots)[:-1][-MAX_VERSIONS:]

    def _source_at(self, watch: Watch, snapshot: int) -> str | None:
        """The SELECT over the tables as they were; None if it cannot be written so."""
        mentions = find_mentions(watch.definition.source, lambda _: frozenset())
        if mentions is None:
            return None
        relations = {}
        for number, mention in enumerate(mentions.mentions):
            ref = self.qualify_ref(mention.ref)
            table = f"lake.{quoted(ref.schema or 'main')}.{quoted(ref.table)}"
            relations[number] = f"(SELECT * FROM {table} AT (VERSION => {snapshot:d}))"
        return mentions.replace_mentions(relations)

    def acquire(self, watch: Watch) -> FileLock:
        """Return the lock of a watch, held. Raises QueryError if another process looks."""
        lock = self.lock(watch)
        try:
            lock.acquire(LOCK_TIMEOUT_S)
        except LockTimeout as error:
            raise QueryError(f"watch {watch.name} is being looked at: {error.message}") from error
        return lock

    def remove(self, watch: Watch) -> None:
        """Remove the files of a watch."""
        folder = self._folder / watch.uid
        if folder.is_dir():
            durable.remove_tree(folder)
        self.lock(watch).path.unlink(missing_ok=True)

    def _max_age(self, watch: Watch, max_age: MaxAge) -> MaxAge:
        """Without an interval, stored rows are compared as they are: looking must not cause a load."""
        return max_age if watch.definition.every_s is not None else STORED_ROWS
