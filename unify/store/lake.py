"""The warehouse: a DuckLake, attached to an in-memory DuckDB as the catalog ``lake``.

Any number of processes read while one writes. Who writes holds the ``flock`` on ``lake.lock`` from
before BEGIN until after COMMIT: SQLite's own locking loses commits under contention (design.md).
Nobody opens the catalog file with Python's sqlite3: closing it would drop DuckDB's locks on it.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from unify.errors import StoreError
from unify.settings import Settings
from unify.store import duck, duckerrors, durable, snapshots
from unify.store.attachment import CATALOG, Attachment
from unify.store.locks import FileLock
from unify.store.private import private_files
from unify.store.statements import Outcome, Statements

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Known = TypeVar("Known")
Version = tuple[tuple[int, int], ...]

__all__ = ["CATALOG", "Lake", "Outcome"]

PATIENCE_S = 1.0  # waited for the lock without a word; nearly every load is published within it
CLOCK_TICK_S = 1.1  # the coarsest file times still in use are whole seconds


class Lake:
    """One process's hold on the warehouse.

    ``read_only`` is also True, with the reason in ``why_read_only``, where the folder cannot be written.
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
        self.place = settings.lake
        self._lock = FileLock(settings.lake_lock, purpose)
        self._attachment = Attachment(settings, self._lock, read_only=read_only)
        self._own: DuckDBPyConnection | None = None  # for Unify's own questions, beside the user's statements
        self._asking = threading.RLock()
        self._remembered: dict[str, tuple[Version, Any]] = {}
        self._notice = notice
        self.connection = self._opened()
        self._statements = Statements(self)

    @property
    def read_only(self) -> bool:
        return bool(self.why_read_only)

    @property
    def why_read_only(self) -> str:
        return self._attachment.why_read_only

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
        for connection in (self.connection, self._own, *failed):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))
        self._begin_anew()

    def read_on(self, error: BaseException) -> bool:
        """After a read that failed with ``error``: whether it may be tried again.

        On a disk without any room SQLite cannot even read, because its index needs some: from then on we
        read a copy of the catalog made elsewhere, until somebody writes.
        """
        if self.read_only or self.in_transaction or not duckerrors.is_full_disk(error):
            return False
        self.connection.close()
        self._begin_anew()
        return self.read_only

    def _begin_anew(self) -> None:
        self._statements.forget_transaction()
        self._own = None
        self._remembered.clear()
        self._attachment.close()
        self.connection = self._opened()

    def close(self) -> None:
        """Let go of the warehouse; an open transaction is rolled back and its lock freed."""
        self._own = None
        self.connection.close()
        while self._lock.held:
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
        self.take_lock(timeout_s)
        try:
            yield
        finally:
            self.free_lock()

    def take_lock(self, timeout_s: float | None = None) -> None:
        """Hold the writers' lock until ``free_lock``: for a transaction that outlives a call.

        Where it is long in coming, whoever waits is told whom for.
        """
        self._require_writable()
        if self._notice is not None and (timeout_s is None or timeout_s > PATIENCE_S):
            try:
                self._lock.acquire(PATIENCE_S)
            except StoreError:
                self._tell_who_blocks(self._notice)
            else:
                return
        self._lock.acquire(timeout_s)

    def free_lock(self) -> None:
        self._lock.release()

    @contextmanager
    def writing(self, timeout_s: float | None = None) -> Iterator[DuckDBPyConnection]:
        """One transaction under the lock: the block's end commits, an exception rolls back."""
        with self.lock(timeout_s), self._translated(), private_files():
            cursor = self.cursor()
            began_ns = durable.now_ns()
            try:
                cursor.execute("BEGIN")
                yield cursor
                self.sync_files(began_ns)
                cursor.execute("COMMIT")
            except BaseException as error:
                if duckerrors.is_inner_fault(error):
                    self.reopen(cursor)
                    raise
                _roll_back(cursor)
                cursor.close()
                self.remove_torn_files(error)
                raise
            cursor.close()

    def read(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query of Unify's own: what is committed, whatever the user has open."""
        try:
            return self._read(sql, parameters)
        except StoreError as error:
            if not self.read_on(error):
                raise
        return self._read(sql, parameters)

    def _read(self, sql: str, parameters: Sequence[object]) -> list[tuple[Any, ...]]:
        with self.reading() as connection:
            return connection.execute(sql, list(parameters)).fetchall()

    @contextmanager
    def reading(self) -> Iterator[DuckDBPyConnection]:
        """The connection of Unify's own questions, for one thread at a time."""
        with self._asking, self._translated():
            if self._own is None:
                self._own = self.cursor()
            yield self._own

    @contextmanager
    def at_one_version(self) -> Iterator[None]:
        """Unify's own questions in the block see one version of the lake; its catalog is read once."""
        with self.reading() as connection:
            connection.execute("BEGIN")
            try:
                yield
            finally:
                _roll_back(connection)

    def remembered(self, name: str, read: Callable[[], Known]) -> Known:
        """What ``read()`` gives, asked again only when the lake has changed since."""
        version = self._version()
        known = self._remembered.get(name)
        if known is not None and version is not None and known[0] == version:
            return cast(Known, known[1])
        value = read()
        if version is not None:
            self._remembered[name] = (version, value)
        return value

    def sync_files(self, since_ns: int) -> None:
        """Have the rows written since then on the disk: call before the COMMIT that makes them count."""
        with self._translated():
            durable.sync_new(self.settings.data_path, since_ns)

    def remove_torn_files(self, error: BaseException) -> None:
        """After a write that found the disk full, and under its lock: what it left would keep it full.

        Nobody else writes now, so a file the catalog does not know belongs to nobody.
        """
        if duckerrors.is_full_disk(error) and self._lock.held:
            with suppress(StoreError):  # the error that brought us here says all there is to say
                self.read(
                    "CALL ducklake_delete_orphaned_files('lake', older_than => TIMESTAMPTZ '9999-12-31')"
                )

    def execute(self, sql: str, parameters: object = None) -> Outcome:
        """Run one statement of a user; see ``statements.Statements.run``."""
        return self._statements.run(sql, parameters)

    def statement_writes(self, sql: str) -> bool:
        """Whether a user's statement needs the writers' lock. Raises QueryError if it cannot be parsed."""
        return self._statements.parsed(sql).writes

    @property
    def in_transaction(self) -> bool:
        """Whether a user's BEGIN is open, holding the writers' lock."""
        return self._statements.in_transaction

    def snapshot_table(
        self, name: str, columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[object]]
    ) -> None:
        """Make ``unify.NAME`` anew from ``rows``; ``columns`` as (name, DuckDB type)."""
        with self._translated():
            snapshots.fill(self.connection, name, columns, rows)

    def _tell_who_blocks(self, notice: Callable[[str], None]) -> None:
        if holder := self._lock.holder():
            notice(f"waiting for {holder}, which is writing (Ctrl-C gives up)")

    def _require_writable(self) -> None:
        if self._attachment.for_lack_of_room:
            self.connection.close()
            self._begin_anew()  # perhaps there is some by now
        if self.read_only:
            raise StoreError(f"{self.place}: nothing can be written, because {self.why_read_only}")

    def _opened(self) -> DuckDBPyConnection:
        connection = duck.connect(temp_folder=self.settings.cache / "duckdb", notice=self._notice)
        try:
            with self._translated():
                self._attachment.attach(connection)
                snapshots.prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _version(self) -> Version | None:
        """Changes with every commit; None while that cannot be told from the files' times alone.

        A look at two files costs 0.02 ms, asking the catalog 3 ms. A commit within the same tick of the
        file system's clock would go unseen, so times of the last second are not trusted.
        """
        catalog = self._attachment.catalog_file
        if catalog is None or self._attachment.copied:
            return None
        times = [_changed_at(catalog), _changed_at(catalog.with_name(catalog.name + "-wal"))]
        settled = max(times)[0] < time.time_ns() - CLOCK_TICK_S * 1e9
        return tuple(times) if settled else None

    @contextmanager
    def _translated(self) -> Iterator[None]:
        import duckdb

        try:
            yield
        except duckdb.Error as error:
            raise duckerrors.trouble(error, self.place) from error
        except OSError as error:
            raise StoreError(f"{error.filename or self.place}: {error.strerror}") from error


def _roll_back(connection: DuckDBPyConnection) -> None:
    """Undo what is open. A COMMIT that failed has undone it already, and says so."""
    import duckdb

    with suppress(duckdb.Error):
        connection.execute("ROLLBACK")


def _changed_at(path: Path) -> tuple[int, int]:
    """When a file was last written, in nanoseconds, and its size; zeros where there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return 0, 0
    return status.st_mtime_ns, status.st_size
