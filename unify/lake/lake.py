"""The warehouse: a DuckLake, attached to an in-memory DuckDB as the catalog ``lake``.

Any number of processes read while one writes. Who writes holds the ``flock`` on ``lake.lock`` from
before BEGIN until after COMMIT: SQLite's own locking loses commits under contention (design.md).
Nobody opens the catalog file with Python's sqlite3: closing it would drop DuckDB's locks on it.

Statements of Unify's own on the connection of the user's statements, where their temporary tables are.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from unify.config.settings import Settings
from unify.engine import connection as engine_connection
from unify.engine import errors
from unify.errors import StoreError
from unify.fs import durable
from unify.fs.durable import private_umask
from unify.fs.locks import FileLock
from unify.lake import system_schema
from unify.lake.attach import CATALOG, LakeAttachment
from unify.lake.statements import LakeStatementResult, StatementRunner

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


CachedT = TypeVar("CachedT")
CatalogVersion = tuple[tuple[int, int], ...]


LOCK_NOTICE_AFTER_S = 1.0  # waited for the lock without a word; nearly every load is published within it
FILE_TIME_RESOLUTION_S = 1.1  # the coarsest file times still in use are whole seconds


class Lake:
    """One process's hold on the warehouse.

    ``read_only`` is also True, with the reason in ``read_only_reason``, where the folder cannot be written.
    Threads take a ``cursor()`` each; the lock may be used from any of them.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        read_only: bool = False,
        purpose: str = "",
        notice: Callable[[str], None] | None = None,
    ) -> None:
        self.settings = settings
        self.path = settings.lake
        self._lock = FileLock(settings.lake_lock, purpose)
        self._attachment = LakeAttachment(settings, self._lock, read_only=read_only)
        self._internal_connection: DuckDBPyConnection | None = (
            None  # for Unify's own questions, beside the user's statements
        )
        self._internal_lock = threading.RLock()
        self._cache: dict[str, tuple[CatalogVersion, Any]] = {}
        self._notice = notice
        self.connection = self._open_connection()
        self._statements = StatementRunner(self)

    @property
    def read_only(self) -> bool:
        return bool(self.read_only_reason)

    @property
    def read_only_reason(self) -> str:
        return self._attachment.read_only_reason

    def __enter__(self) -> Lake:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def reopen(self, *failed: DuckDBPyConnection) -> None:
        """Begin anew after DuckDB has failed inside itself: it refuses everything from then on.

        What was only in this process is gone: temporary tables, settings, an open transaction. The old
        connections are left where they are: closing one that has failed within a transaction ends the
        process (seen with DuckDB 1.5.5, at its exit too).
        """
        for connection in (self.connection, self._internal_connection, *failed):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))
        self._reset_connection()

    def switch_to_catalog_copy(self, error: BaseException) -> bool:
        """After a read that failed with ``error``: whether it may be tried again.

        On a disk without any room SQLite cannot even read, because its index needs some: from then on we
        read a copy of the catalog made elsewhere, until somebody writes.
        """
        if self.read_only or self.in_transaction or not errors.is_disk_full(error):
            return False
        self.connection.close()
        self._reset_connection()
        return self.read_only

    def _reset_connection(self) -> None:
        self._statements.end_transaction()
        self._internal_connection = None
        self._cache.clear()
        self._attachment.close()
        self.connection = self._open_connection()

    def close(self) -> None:
        """Let go of the warehouse; an open transaction is rolled back and its lock freed."""
        self._internal_connection = None
        self.connection.close()
        while self._lock.is_held:
            self._lock.release()
        self._attachment.close()

    def cursor(self) -> DuckDBPyConnection:
        """A connection of its own to the same lake, for another thread or beside a running result."""
        cursor = self.connection.cursor()
        cursor.execute(f"USE {CATALOG}")
        return cursor

    @contextmanager
    def lock(self, timeout_s: float | None = None) -> Iterator[None]:
        """Hold the writers' lock for the block. Raises StoreError naming the holder after ``timeout_s``."""
        self.acquire_lock(timeout_s)
        try:
            yield
        finally:
            self.release_lock()

    def acquire_lock(self, timeout_s: float | None = None) -> None:
        """Hold the writers' lock until ``release_lock``: for a transaction that outlives a call.

        Where it is long in coming, whoever waits is told whom for.
        """
        self._require_writable()
        if self._notice is not None and (timeout_s is None or timeout_s > LOCK_NOTICE_AFTER_S):
            try:
                self._lock.acquire(LOCK_NOTICE_AFTER_S)
            except StoreError:
                self._notify_lock_holder(self._notice)
            else:
                return
        self._lock.acquire(timeout_s)

    def release_lock(self) -> None:
        self._lock.release()

    @contextmanager
    def write_transaction(self, timeout_s: float | None = None) -> Iterator[DuckDBPyConnection]:
        """One transaction under the lock: the block's end commits, an exception rolls back."""
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
                self.remove_orphaned_files(error)
                raise
            cursor.close()

    def read(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query of Unify's own: what is committed, whatever the user has open."""
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
        """The connection of Unify's own questions, for one thread at a time."""
        with self._internal_lock, self._translate_errors():
            if self._internal_connection is None:
                self._internal_connection = self.cursor()
            yield self._internal_connection

    @contextmanager
    def read_transaction(self) -> Iterator[None]:
        """Unify's own questions in the block see one version of the lake; its catalog is read once."""
        with self.read_connection() as connection:
            connection.execute("BEGIN")
            try:
                yield
            finally:
                _roll_back(connection)

    def read_cached(self, name: str, read: Callable[[], CachedT]) -> CachedT:
        """What ``read()`` gives, asked again only when the lake has changed since."""
        version = self._catalog_version()
        known = self._cache.get(name)
        if known is not None and version is not None and known[0] == version:
            return cast("CachedT", known[1])
        value = read()
        if version is not None:
            self._cache[name] = (version, value)
        return value

    def sync_files(self, since_ns: int) -> None:
        """Have the rows written since then on the disk: call before the COMMIT that makes them count."""
        with self._translate_errors():
            durable.fsync_new_files(self.settings.data_path, since_ns)

    def remove_orphaned_files(self, error: BaseException) -> None:
        """After a write that found the disk full, and under its lock: what it left would keep it full.

        Nobody else writes now, so a file the catalog does not know belongs to nobody.
        """
        if errors.is_disk_full(error) and self._lock.is_held:
            with suppress(StoreError):  # the error that brought us here says all there is to say
                self.read(
                    "CALL ducklake_delete_orphaned_files('lake', older_than => TIMESTAMPTZ '9999-12-31')"
                )

    def execute(
        self, sql: str, parameters: object = None, definitions: Sequence[str] = ()
    ) -> LakeStatementResult:
        """Run one statement of a user; see ``statements.StatementRunner.run``."""
        return self._statements.run(sql, parameters, definitions)

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
        """A connection that sees what the user's statements see: theirs, while they have a transaction open.

        For DESCRIBE and duckdb_*() only: DuckLake's own tables do not have what is not committed.
        """
        if self._statements.transaction_thread != threading.get_ident():
            with self.read_connection() as connection:
                yield connection
            return
        with self._translate_errors():
            yield self.connection

    def is_write_statement(self, sql: str) -> bool:
        """Whether a user's statement needs the writers' lock. Raises QueryError if it cannot be parsed."""
        return self._statements.parse(sql).is_write

    @property
    def in_transaction(self) -> bool:
        """Whether a user's BEGIN is open, holding the writers' lock."""
        return self._statements.in_transaction

    def replace_system_table(
        self, name: str, columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[object]]
    ) -> None:
        """Make ``unify.PARENT_PIPE_VARIABLE`` anew from ``rows``; ``columns`` as (name, DuckDB type)."""
        with self._translate_errors():
            system_schema.replace_table(self.connection, name, columns, rows)

    def _notify_lock_holder(self, notice: Callable[[str], None]) -> None:
        if holder := self._lock.holder():
            notice(f"waiting for {holder}, which is writing (Ctrl-C gives up)")

    def _require_writable(self) -> None:
        if self._attachment.is_disk_full:
            self.connection.close()
            self._reset_connection()  # perhaps there is some by now
        if self.read_only:
            raise StoreError(f"{self.path}: nothing can be written, because {self.read_only_reason}")

    def _open_connection(self) -> DuckDBPyConnection:
        connection = engine_connection.connect(
            temp_folder=self.settings.cache / "duckdb", notice=self._notice
        )
        try:
            with self._translate_errors():
                self._attachment.attach(connection)
                system_schema.attach_system_schema(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _catalog_version(self) -> CatalogVersion | None:
        """Changes with every commit; None while that cannot be told from the files' times alone.

        A look at two files costs 0.02 ms, asking the catalog 3 ms. A commit within the same tick of the
        file system's clock would go unseen, so times of the last second are not trusted.
        """
        catalog = self._attachment.catalog_file
        if catalog is None or self._attachment.is_copy:
            return None
        times = [_file_state(catalog), _file_state(catalog.with_name(catalog.name + "-wal"))]
        settled = max(times)[0] < time.time_ns() - FILE_TIME_RESOLUTION_S * 1e9
        return tuple(times) if settled else None

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        import duckdb

        try:
            yield
        except duckdb.Error as error:
            raise errors.translate_lake_error(error, self.path) from error
        except OSError as error:
            raise StoreError(f"{error.filename or self.path}: {error.strerror}") from error


def _roll_back(connection: DuckDBPyConnection) -> None:
    """Undo what is open. A COMMIT that failed has undone it already, and says so."""
    import duckdb

    with suppress(duckdb.Error):
        connection.execute("ROLLBACK")


def _file_state(path: Path) -> tuple[int, int]:
    """When a file was last written, in nanoseconds, and its size; zeros where there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return 0, 0
    return status.st_mtime_ns, status.st_size


def fetch_session_rows(lake: Lake, sql: str, parameters: object = None) -> list[tuple[object, ...]]:
    """All rows of a statement. Temporary tables take no lock of the lake, so this waits for nobody.

    Raises  QueryError with DuckDB's explanation; StoreError when the lake itself is in trouble.
    """
    import duckdb

    try:
        return lake.connection.execute(sql, parameters).fetchall()
    except duckdb.Error as error:
        raise errors.translate_statement_error(error, lake.path) from error
