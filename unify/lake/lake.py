"""The warehouse: a DuckLake attached to an in-memory DuckDB as catalog ``lake``.

Any number of processes read while one writes. A writer holds ``lake.lock`` (flock) from before BEGIN until
after COMMIT, because SQLite's locking loses commits under contention (docs/architecture.md). The catalog
file must not be opened with Python's sqlite3: closing it drops DuckDB's locks.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from unify.config.settings import Settings
from unify.engine import connection as engine_connection
from unify.engine import errors
from unify.errors import Interrupted, StoreError
from unify.fs import durable
from unify.fs.durable import private_umask
from unify.fs.interrupts import InterruptWatch
from unify.fs.locks import FileLock
from unify.lake import system_schema
from unify.lake.attachment.attach import CatalogVersion, LakeAttachment
from unify.lake.attachment.restricted import RESTRICTED_EXTENSIONS, restrict_connection
from unify.lake.integrity import checksums, damage, identity
from unify.lake.protocols import CATALOG, RowProjection
from unify.lake.selects import LakeStatementResult
from unify.lake.statements import StatementRunner

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


CachedT = TypeVar("CachedT")


LOCK_NOTICE_AFTER_S = 1.0  # wait before a notice; nearly every publish is shorter
FILE_TIME_RESOLUTION_S = 1.1  # file systems with a resolution of whole seconds are in use


class Lake:
    """The warehouse, opened by one process.

    ``read_only`` is also True if the folder cannot be written; ``read_only_reason`` says why.
    ``create``: without it, a lake that does not exist is an error.
    ``restricted``: for SQL from outside a shell: read-only, and it can reach nothing but the lake's files.
    Each thread uses its own ``cursor()``; the lock can be used from any thread.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        read_only: bool = False,
        create: bool = True,
        restricted: bool = False,
        purpose: str = "",
        notice: Callable[[str], None] | None = None,
    ) -> None:
        self.settings = settings
        self.path = settings.lake
        self._lock = FileLock(settings.lake_lock, purpose)
        self._attachment = LakeAttachment(
            settings, self._lock, read_only=read_only or restricted, create=create, notice=notice
        )
        self.is_restricted = restricted
        self.openings = 0  # how often it was opened: each time, temporary relations are lost
        self._internal_connection: DuckDBPyConnection | None = (
            None  # for Unify's own questions, beside the user's statements
        )
        self._internal_lock = threading.RLock()
        self._cache: dict[str, tuple[CatalogVersion, Any]] = {}
        self._notice = notice
        self._has_all_threads = False
        self._is_usable = False
        self.interrupt_hooks: list[Callable[[], None]] = []  # end what a statement runs at other systems
        self._interrupt_watch = InterruptWatch(self.interrupt)
        self._connection = self._open_connection()
        self._recorded_files: frozenset[Path] = frozenset()  # of the last commit; a next one may see them
        self._is_usable = True
        self._statements = StatementRunner(self)

    @property
    def connection(self) -> DuckDBPyConnection:
        """The connection of the user's statements, for which DuckDB gets all its threads."""
        self.use_all_threads()
        return self._connection

    def use_all_threads(self) -> None:
        """Give DuckDB a thread for each core, before statements that read or write many rows.

        Until then it has one. DuckLake reads the catalog in a dozen small queries, for which several threads
        take two to three times the CPU, because they wait for each other by polling.
        """
        if not self._has_all_threads:
            self._has_all_threads = True
            self._connection.execute("RESET threads")

    @property
    def read_only(self) -> bool:
        return bool(self.read_only_reason)

    @property
    def hides_first_load(self) -> bool:
        """Whether AT may not find the tables of the first load; see ``history.first_load``."""
        return self.read_only and self._attachment.is_older_version

    @property
    def read_only_reason(self) -> str:
        return self._attachment.read_only_reason

    @property
    def is_outdated(self) -> bool:
        """Whether later commits are not visible: the catalog was replaced, or a copy of it is read."""
        return self._attachment.is_outdated

    def __enter__(self) -> Lake:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def reopen(self, *failed: DuckDBPyConnection) -> None:
        """Open a new connection after an internal error of DuckDB, which refuses everything afterwards.

        Temporary tables, settings and an open transaction are lost. The failed connections are never closed:
        closing one inside a transaction aborts the process (seen with DuckDB 1.5.5, also at exit).
        """
        import ctypes

        for connection in (self._connection, self._internal_connection, *failed):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))
        self._reset_connection()

    def switch_to_catalog_copy(self, error: BaseException) -> bool:
        """After a failed read: return whether to retry it, on a copy of the catalog.

        On a full disk SQLite cannot read, because it has to write its index. The copy is used until the next
        write.
        """
        if self.read_only or self.in_transaction or not errors.is_disk_full(error):
            return False
        self._connection.close()
        self._reset_connection()
        return self.read_only

    def _reset_connection(self) -> None:
        """Open the lake again; the old connection cannot be used any more."""
        self._is_usable = False
        self._statements.end_transaction()
        self._internal_connection = None
        self._cache.clear()
        self._attachment.close()
        self._has_all_threads = False
        self.openings += 1
        self._connection = self._open_connection()
        self._is_usable = True

    def refresh(self) -> None:
        """See later commits in a restricted lake, which reads a copy of the catalog; others see them."""
        if self.is_restricted and self.is_outdated:
            self._connection.close()
            self._reset_connection()

    def interrupt(self) -> None:
        """End the user's statement: DuckDB's part of it, and what it runs at other systems."""
        self._connection.interrupt()
        for hook in self.interrupt_hooks:
            hook()

    @contextmanager
    def watch_interrupts(self) -> Iterator[None]:
        """Within the block, Ctrl-C ends the user's statement at once, also one that waits for a server."""
        with self._interrupt_watch.active() if self.interrupt_hooks else nullcontext():
            yield

    def end_interrupted(self) -> Interrupted:
        """End the user's statement after a KeyboardInterrupt; return the error to raise."""
        self.interrupt()
        return Interrupted("the statement was interrupted")

    def close(self) -> None:
        """Close the lake. An open transaction is rolled back and its lock released."""
        self._is_usable = False
        self._internal_connection = None
        self._connection.close()
        self._statements.end_transaction()
        while self._lock.is_held:
            self._lock.release()
        self._attachment.close()
        self._interrupt_watch.close()

    def cursor(self, *, uses_lake: bool = True) -> DuckDBPyConnection:
        """Return a second connection to the lake, for another thread or beside a running result.

        ``uses_lake``  names without a catalog are looked up in the lake, which costs 2 ms a statement.
        """
        cursor = self._connection.cursor()
        if uses_lake:
            cursor.execute(f"USE {CATALOG}")
        return cursor

    @contextmanager
    def lock(self, timeout_s: float | None = None) -> Iterator[None]:
        """Hold the writers' lock. Raises StoreError naming the holder after ``timeout_s``."""
        self.acquire_lock(timeout_s)
        try:
            yield
        finally:
            self.release_lock()

    def acquire_lock(self, timeout_s: float | None = None) -> None:
        """Hold the writers' lock until ``release_lock``, for a transaction that outlives a call.

        After LOCK_NOTICE_AFTER_S a notice names the holder.
        """
        self._require_writable()
        self._wait_for_lock(timeout_s)
        try:
            self._require_same_catalog()
        except BaseException:
            self._lock.release()
            raise

    def release_lock(self) -> None:
        self._record_commit()
        self._lock.release()

    def _wait_for_lock(self, timeout_s: float | None) -> None:
        if self._notice is not None and (timeout_s is None or timeout_s > LOCK_NOTICE_AFTER_S):
            try:
                self._lock.acquire(LOCK_NOTICE_AFTER_S)
            except StoreError:
                self._notify_lock_holder(self._notice)
            else:
                return
        self._lock.acquire(timeout_s)

    def _require_same_catalog(self) -> None:
        """Raise StoreError if the catalog was replaced: commits to the old file would be lost."""
        if self._lock.depth == 1 and self._attachment.is_replaced:
            self.connection.close()
            self._reset_connection()
            raise StoreError(
                f"{self._attachment.catalog_file}: it was replaced while it was open; the lake was reopened, "
                "temporary tables and settings are lost. Try again"
            )

    def _record_commit(self) -> None:
        """Record the snapshot that the process has committed, before others can commit."""
        if self._lock.depth == 1 and self._is_usable:
            with self._translate_errors():
                identity.record_commit(self.path, self._connection.cursor())

    @contextmanager
    def write_transaction(self, timeout_s: float | None = None) -> Iterator[DuckDBPyConnection]:
        """Run the block in one transaction under the lock; an exception rolls back."""
        with self.lock(timeout_s), self._translate_errors(), private_umask():
            cursor = self.cursor()
            began_ns = durable.new_files_since_ns()
            try:
                cursor.execute("BEGIN")
                yield cursor
                self.sync_files(began_ns)
                cursor.execute("COMMIT")
            except BaseException as error:
                if errors.is_internal_error(error):
                    self.reopen(cursor)
                    raise
                _roll_back(cursor)
                cursor.close()
                self.remove_orphaned_files(error, began_ns)
                raise
            cursor.close()

    def read(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Return all rows of an internal query on committed data, whatever transaction the user has open.

        ``sql`` names the lake, as in ``lake.s.t``.
        """
        try:
            return self._fetch_rows(sql, parameters)
        except StoreError as error:
            if not self.switch_to_catalog_copy(error):
                raise
        return self._fetch_rows(sql, parameters)

    def _fetch_rows(self, sql: str, parameters: Sequence[object]) -> list[tuple[Any, ...]]:
        with self.read_connection() as connection:
            return connection.execute(sql, list(parameters)).fetchall()

    @contextmanager
    def read_connection(self) -> Iterator[DuckDBPyConnection]:
        """Yield the connection for internal queries, which name the lake; one thread at a time."""
        with self._internal_lock, self._translate_errors():
            if self._internal_connection is None:
                self._internal_connection = self.cursor(uses_lake=False)
            yield self._internal_connection

    @contextmanager
    def read_transaction(self) -> Iterator[None]:
        """Run all internal queries of the block on one snapshot, whose catalog is read once."""
        with self.read_connection() as connection:
            connection.execute("BEGIN")
            try:
                yield
            finally:
                _roll_back(connection)

    def read_cached(self, name: str, read: Callable[[], CachedT]) -> CachedT:
        """Return ``read()``, cached until the lake changes."""
        version = self._catalog_version()
        known = self._cache.get(name)
        if known is not None and version is not None and known[0] == version:
            return cast("CachedT", known[1])
        value = read()
        if version is not None:
            self._cache[name] = (version, value)
        return value

    def sync_files(self, since_ns: int) -> None:
        """Fsync files written since ``since_ns``, and record their checksums.

        Call before the COMMIT that references them, under the lock.
        """
        with self._translate_errors():
            files = frozenset(durable.fsync_new_files(self.settings.data_path, since_ns))
        with suppress(OSError):  # only checks need them, and a full disk must not fail the commit here
            checksums.record_checksums(self.path, self.settings.data_path, files - self._recorded_files)
            self._recorded_files = files

    def explain_damaged_file(self, error: BaseException) -> StoreError | None:
        """Return what to do about a data file that cannot be read; None for other errors of DuckDB."""
        if errors.is_internal_error(error) or not self._is_usable:
            return None
        return damage.explain_damaged_file(self._connection.cursor(), error, self.settings.data_path)

    def remove_orphaned_files(self, error: BaseException, since_ns: int) -> None:
        """After a write that failed on a full disk, under the lock: delete the files it left.

        No other process writes, so files written since then that the catalog does not know are unused.
        """
        if errors.is_disk_full(error) and self._lock.is_held:
            with suppress(StoreError, OSError):  # the caller reports the first error
                for path in self.orphaned_files(datetime.max.replace(tzinfo=UTC)):
                    if path.stat().st_mtime_ns >= since_ns:
                        path.unlink()

    def orphaned_files(self, before: datetime) -> Sequence[Path]:
        """Return the data files written before ``before`` that the catalog does not know."""
        rows = self.read(
            "CALL ducklake_delete_orphaned_files('lake', dry_run => true, "
            "older_than => CAST(? AS TIMESTAMPTZ))",
            [before],
        )
        return [Path(path) for (path,) in rows]

    def execute(
        self,
        sql: str,
        parameters: object = None,
        definitions: Sequence[str] = (),
        projection: RowProjection | None = None,
    ) -> LakeStatementResult:
        """Run one statement of the user; see ``statements.StatementRunner.run``."""
        return self._statements.run(sql, parameters, definitions, projection)

    def repeatable(
        self, sql: str, parameters: object = None, definitions: Sequence[str] = (), *, spool: bool = False
    ) -> AbstractContextManager[tuple[str, object]]:
        """See ``statements.StatementRunner.repeatable``."""
        return self._statements.repeatable(sql, parameters, definitions, spool=spool)

    @property
    def statements(self) -> StatementRunner:
        """The state of the user's session: its transaction, definitions and search path."""
        return self._statements

    @contextmanager
    def visible_connection(self) -> Iterator[DuckDBPyConnection]:
        """Yield a connection that sees the user's open transaction, if there is one.

        For DESCRIBE and duckdb_*() only: DuckLake's metadata tables lack uncommitted changes.
        """
        if self._statements.transaction_thread != threading.get_ident():
            with self.read_connection() as connection:
                yield connection
            return
        with self._translate_errors():
            yield self.connection

    def is_write_statement(self, sql: str) -> bool:
        """Return whether a statement needs the writers' lock. Raises QueryError on a syntax error."""
        return self._statements.parse(sql).is_write

    @property
    def in_transaction(self) -> bool:
        """Whether the user's transaction is open and holds the writers' lock."""
        return self._statements.in_transaction

    def create_system_table(self, name: str, columns: Sequence[tuple[str, str]]) -> None:
        """Create ``unify.NAME`` if it does not exist; ``columns`` as (name, DuckDB type)."""
        with self._translate_errors():
            system_schema.create_table(self._connection, name, columns)

    def create_system_view(self, name: str) -> None:
        """Create ``unify.NAME``, a view of a table of the lake, if it does not exist."""
        with self._translate_errors():
            system_schema.create_lake_view(self._connection, name)

    def replace_system_table(
        self, name: str, columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[object]]
    ) -> None:
        """Replace ``unify.NAME`` with ``rows``."""
        self.create_system_table(name, columns)
        with self._translate_errors():
            system_schema.replace_rows(self._connection, name, rows)

    def _notify_lock_holder(self, notice: Callable[[str], None]) -> None:
        if holder := self._lock.holder():
            notice(f"waiting for {holder} to finish writing (Ctrl-C stops waiting)")

    def _require_writable(self) -> None:
        if self._attachment.is_disk_full:
            self._connection.close()
            self._reset_connection()  # the disk may have space now
        if self.read_only:
            raise StoreError(f"{self.path}: cannot be written: {self.read_only_reason}")

    def _open_connection(self) -> DuckDBPyConnection:
        connection = engine_connection.connect(
            temp_folder=self.settings.cache / "duckdb",
            threads=None if self.is_restricted else 1,
            notice=self._notice,
            extensions=RESTRICTED_EXTENSIONS if self.is_restricted else engine_connection.EXTENSIONS,
        )
        attachment = self._attachment
        try:
            with self._translate_errors():
                (attachment.attach_restricted if self.is_restricted else attachment.attach)(connection)
                system_schema.attach_system_schema(connection)
                if self.is_restricted:
                    self._has_all_threads = True  # the configuration cannot be changed afterwards
                    folders = (self.settings.data_path, self.settings.cache)
                    restrict_connection(connection, folders, self.settings.worker_memory_bytes)
        except BaseException:
            connection.close()
            raise
        return connection

    def _catalog_version(self) -> CatalogVersion | None:
        """A value that changes with every commit; None if file times cannot tell.

        Checking two files takes 0.02 ms, a catalog query 3 ms. A commit within the resolution of file times
        would be missed, so times of the last second are not used.
        """
        if self._attachment.is_copy:
            return self._attachment.copied_version or None
        version = self._attachment.catalog_version()
        if not version:
            return None
        settled = max(version)[0] < time.time_ns() - FILE_TIME_RESOLUTION_S * 1e9
        return version if settled else None

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        from unify.engine import duckdb

        try:
            yield
        except duckdb.Error as error:
            damaged = self.explain_damaged_file(error)
            raise damaged or errors.translate_lake_error(error, self.path) from error
        except OSError as error:
            raise StoreError(f"{error.filename or self.path}: {error.strerror}") from error


def _roll_back(connection: DuckDBPyConnection) -> None:
    """Roll back. A failed COMMIT has done so already and DuckDB reports that as an error."""
    from unify.engine import duckdb

    with suppress(duckdb.Error):
        connection.execute("ROLLBACK")
