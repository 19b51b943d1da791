"""The warehouse: a DuckLake, attached to an in-memory DuckDB as the catalog ``lake``.

Any number of processes read while one writes. Who writes holds the ``flock`` on ``lake.lock`` from
before BEGIN until after COMMIT: SQLite's own locking loses commits under contention (design.md).
Nobody opens the catalog file with Python's sqlite3: closing it would drop DuckDB's locks on it.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from unify.errors import StoreError
from unify.settings import Settings
from unify.store import discards, duck, duckerrors, durable, ledger, snapshots
from unify.store.locks import FileLock
from unify.store.statements import Outcome, Statements

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Known = TypeVar("Known")
Version = tuple[tuple[int, int], ...]

__all__ = ["CATALOG", "Lake", "Outcome"]

CATALOG = "lake"
VERSION = 2  # of what Unify keeps in the lake beside people's tables
CLOCK_TICK_S = 1.1  # the coarsest file times still in use are whole seconds
CATALOG_WAIT_MS = 10_000  # how long a reader waits for the instant in which a commit is written

# Row groups of this many rows make `limit 100` and point queries 3-6 times faster than the default
# of 122,880 at the same size (design.md). Small inserts must not be kept in the catalog instead of
# Parquet: DuckLake 1.0 keeps them as text there and loses quotes inside a STRUCT ('x''y' came back
# as xy; tests/test_lake.py). The ledger's plain columns are safe and would be a file a load.
OPTIONS = {"parquet_row_group_size": 20_000, "target_file_size": "128MB", "data_inlining_row_limit": 0}


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
        self.why_read_only = "it was opened for reading" if read_only else ""
        self._lock = FileLock(settings.lake_lock, purpose)
        self._copy: tempfile.TemporaryDirectory[str] | None = None
        self._own: DuckDBPyConnection | None = None  # for Unify's own questions, beside the user's statements
        self._asking = threading.Lock()
        self._remembered: dict[str, tuple[Version, Any]] = {}
        self._notice = notice
        self.connection = self._opened()
        self._statements = Statements(self)

    @property
    def read_only(self) -> bool:
        return bool(self.why_read_only)

    def __enter__(self) -> Lake:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def reopen(self) -> None:
        """Begin anew after DuckDB has failed inside itself: it refuses everything from then on.

        What was only in this process is gone: temporary tables, settings, an open transaction. The old
        connection is left where it is: closing one that has failed within a transaction ends the process
        (seen with DuckDB 1.5.5, at its exit too).
        """
        for failed in (self.connection, self._own):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(failed))
        self._statements.forget_transaction()
        self._own = None
        self._remembered.clear()
        self._remove_copy()
        self.connection = self._opened()

    def close(self) -> None:
        """Let go of the warehouse; an open transaction is rolled back and its lock freed."""
        self._own = None
        self.connection.close()
        while self._lock.held:
            self._lock.release()
        self._remove_copy()

    def _remove_copy(self) -> None:
        if self._copy is not None:
            self._copy.cleanup()
            self._copy = None

    def cursor(self) -> DuckDBPyConnection:
        """A connection of its own to the same lake, for another thread or beside a running result."""
        cursor = self.connection.cursor()
        cursor.execute(f"USE {CATALOG}")
        return cursor

    @contextmanager
    def lock(self, timeout_s: float | None = None) -> Iterator[None]:
        """Hold the writers' lock for the block. Raises StoreError naming the holder after ``timeout_s``."""
        self._require_writable()
        with self._lock.holding(timeout_s):
            yield

    def take_lock(self, timeout_s: float | None = None) -> None:
        """Hold the writers' lock until ``free_lock``: for a transaction that outlives a call."""
        self._require_writable()
        self._lock.acquire(timeout_s)

    def free_lock(self) -> None:
        self._lock.release()

    @contextmanager
    def writing(self, timeout_s: float | None = None) -> Iterator[DuckDBPyConnection]:
        """One transaction under the lock: the block's end commits, an exception rolls back."""
        with self.lock(timeout_s), self._translated():
            cursor = self.cursor()
            began_ns = durable.now_ns()
            try:
                cursor.execute("BEGIN")
                yield cursor
                self.sync_files(began_ns)
                cursor.execute("COMMIT")
            except BaseException:
                _roll_back(cursor)
                raise
            finally:
                cursor.close()

    def read(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query of Unify's own: what is committed, whatever the user has open."""
        with self.reading() as connection:
            return connection.execute(sql, list(parameters)).fetchall()

    @contextmanager
    def reading(self) -> Iterator[DuckDBPyConnection]:
        """The connection of Unify's own questions, for one thread at a time."""
        with self._asking, self._translated():
            if self._own is None:
                self._own = self.cursor()
            yield self._own

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

    def _require_writable(self) -> None:
        if self.read_only:
            raise StoreError(f"{self.place}: nothing can be written, because {self.why_read_only}")

    def _opened(self) -> DuckDBPyConnection:
        connection = duck.connect(temp_folder=self.settings.cache / "duckdb", notice=self._notice)
        try:
            with self._translated():
                self._attach(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _attach(self, connection: DuckDBPyConnection) -> None:
        if self.read_only and self._is_ready():
            self._attach_reading(connection)
        elif self._is_ready():
            self._attach_as_allowed(connection)
        else:
            self._create(connection)
        connection.execute(f"USE {CATALOG}")
        snapshots.prepare(connection)

    def _attach_as_allowed(self, connection: DuckDBPyConnection) -> None:
        if self._writable():
            self._attach_writing(connection)
        else:
            self.why_read_only = "the folder cannot be written to by this user"
            self._attach_reading(connection)

    def _attach_writing(self, connection: DuckDBPyConnection) -> None:
        data = duck.literal(os.fspath(self.settings.data_path))
        connection.execute(
            f"ATTACH {duck.literal(self.settings.catalog_url)} AS {CATALOG} "
            f"(DATA_PATH {data}, OVERRIDE_DATA_PATH true, META_JOURNAL_MODE 'WAL', "
            f"META_BUSY_TIMEOUT {CATALOG_WAIT_MS})"
        )

    def _attach_reading(self, connection: DuckDBPyConnection) -> None:
        """Attach for reading; from a copy of the catalog where SQLite could not make its WAL index."""
        url = self.settings.catalog_url if self._writable() else self._copied_catalog()
        data = duck.literal(os.fspath(self.settings.data_path))
        connection.execute(
            f"ATTACH {duck.literal(url)} AS {CATALOG} (READ_ONLY, DATA_PATH {data}, "
            f"OVERRIDE_DATA_PATH true, META_JOURNAL_MODE 'WAL', META_BUSY_TIMEOUT {CATALOG_WAIT_MS})"
        )

    def _create(self, connection: DuckDBPyConnection) -> None:
        """Make what is missing, one process at a time: twenty shells may start at once."""
        self.settings.prepare()
        with self._lock.holding():
            catalog = self._catalog_file()
            if catalog is not None:
                _touch_private(catalog)
            self._attach_writing(connection)
            for name, value in OPTIONS.items():
                connection.execute(f"CALL {CATALOG}.set_option(?, ?)", [name, value])
            ledger.create(connection)
            discards.create(connection)
            durable.write_durably(self._marker, f"{VERSION}\n".encode())
        if self.read_only:
            connection.execute(f"DETACH {CATALOG}")
            self._attach_reading(connection)

    @property
    def _marker(self) -> Path:
        """Written when everything stands: whoever sees it attaches without waiting for a lock."""
        return self.place / "ready"

    def _is_ready(self) -> bool:
        catalog = self._catalog_file()
        if catalog is not None and not catalog.exists():
            return False
        try:
            found = int(self._marker.read_text("utf-8"))
        except (FileNotFoundError, ValueError):
            return False
        if found > VERSION:
            raise StoreError(f"{self.place}: made by a newer version of Unify; update this one")
        return found == VERSION

    def _catalog_file(self) -> Path | None:
        """The catalog where it is a SQLite file; None where it is a database server's."""
        kind, _, path = self.settings.catalog_url.removeprefix("ducklake:").partition(":")
        return Path(path) if kind == "sqlite" else None

    def _version(self) -> Version | None:
        """Changes with every commit; None while that cannot be told from the files' times alone.

        A look at two files costs 0.02 ms, asking the catalog 3 ms. A commit within the same tick of the
        file system's clock would go unseen, so times of the last second are not trusted.
        """
        catalog = self._catalog_file()
        if catalog is None or self._copy is not None:
            return None
        times = [_changed_at(catalog), _changed_at(catalog.with_name(catalog.name + "-wal"))]
        settled = max(times)[0] < time.time_ns() - CLOCK_TICK_S * 1e9
        return tuple(times) if settled else None

    def _writable(self) -> bool:
        places = [self.place, self.settings.data_path, self._catalog_file()]
        return all(os.access(place, os.W_OK) for place in places if place is not None)

    def _copied_catalog(self) -> str:
        catalog = self._catalog_file()
        if catalog is None:
            return self.settings.catalog_url
        self._copy = tempfile.TemporaryDirectory(prefix="unify-catalog-")
        for suffix in ("", "-wal"):
            source = catalog.with_name(catalog.name + suffix)
            if source.exists():
                target = Path(self._copy.name) / source.name
                shutil.copyfile(source, target)
                target.chmod(0o600)
        return f"ducklake:sqlite:{Path(self._copy.name) / catalog.name}"

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


def _touch_private(path: Path) -> None:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
