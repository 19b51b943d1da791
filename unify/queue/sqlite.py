"""The queue's SQLite file: opened, migrated, locked for writing, replaced when it is damaged.

WAL with synchronous=FULL: an acknowledged commit is on the disk. Writers take an ``flock`` first and
always BEGIN IMMEDIATE. With SQLite's own busy handler the slowest of 20 writers waited 3.6 s, with the
flock 0.26 s; it also avoids the WAL-reset fault of SQLite before 3.51.3 (docs/design.md).

Where this user may not write to the file, a copy of it is read, and writing raises StoreError. A database
opened ``read_only`` changes nothing: it neither creates nor replaces the file.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from unify.errors import NewerVersion, StoreError
from unify.fs import durable
from unify.fs.locks import FileLock
from unify.fs.sqlite import (
    error_text,
    is_corruption,
    migrate,
    read_sql_sections,
    roll_back,
    schema_version,
)
from unify.queue.backup import BACKUP_FILE, ScheduleBackup

if TYPE_CHECKING:
    import tempfile

SCHEMA_FILE = Path(__file__).with_name("queue_schema.sql")
STATEMENTS_FILE = Path(__file__).with_name("queue.sql")
BUSY_TIMEOUT_MS = 10_000  # a reader during a checkpoint; writers wait for the flock instead
WRITE_LOCK_TIMEOUT_S = 30.0  # a write takes milliseconds; only a suspended process holds the lock longer
_BACKED_UP_STATEMENTS = frozenset(
    f"{verb}_{kind}"
    for kind in ("schedule", "script", "done_script", "pause", "sync", "watch")
    for verb in ("put", "drop")
)

SqlParameters = Mapping[str, object]


class QueueDatabase:
    """A connection to the queue that one thread of this process uses at a time; opened by the first use.

    ``notice``  is called with a sentence when a damaged or lost file was replaced.
    ``lock_timeout_s``  how long a write waits for other processes before it raises LockTimeout.
    """

    def __init__(
        self, path: Path, notice: Callable[[str], None] | None = None, *, read_only: bool = False
    ) -> None:
        self.path = path
        self._read_only = read_only
        self.lock_timeout_s = WRITE_LOCK_TIMEOUT_S
        self._notice = notice or (lambda _: None)
        self._thread_lock = threading.RLock()
        self._write_lock = FileLock(path.with_name("queue.lock"), "queue")
        self._file_id: tuple[int, ...] | None = None
        self._connection: sqlite3.Connection | None = None
        self._copy_folder: tempfile.TemporaryDirectory[str] | None = None
        self._statements = read_sql_sections(STATEMENTS_FILE)
        self._backup = ScheduleBackup(path.with_name(BACKUP_FILE), self._statements)
        self._is_backup_due = False

    def close(self) -> None:
        with self._thread_lock:
            self._disconnect()

    @contextmanager
    def transaction(self) -> Iterator[QueueDatabase]:
        """Commit durably when the block ends, roll back when it raises. Nested blocks are one transaction."""
        with self._thread_lock, self._translate_errors():
            connection = self._current_connection()
            if self._read_only or self._copy_folder is not None:
                raise StoreError(
                    f"{self.path}: read-only for this user; loads and schedules cannot be changed"
                )
            with self._write_lock.hold(self.lock_timeout_s):
                connection = self._current_connection()
                if connection.in_transaction:
                    yield self
                    return
                connection.execute("BEGIN IMMEDIATE")
                try:
                    yield self
                    connection.execute("COMMIT")
                except BaseException:
                    roll_back(connection)
                    raise
                self._save_backup(connection)

    def fetch_all(self, statement: str, parameters: SqlParameters | None = None) -> list[sqlite3.Row]:
        """Return all rows of a named statement of queue.sql."""
        with self._thread_lock, self._translate_errors():
            connection = self._current_connection()
            self._is_backup_due |= statement in _BACKED_UP_STATEMENTS
            return connection.execute(self._statements[statement], parameters or {}).fetchall()

    def fetch_one(self, statement: str, parameters: SqlParameters | None = None) -> sqlite3.Row | None:
        """Return the first row of a named statement, or None."""
        rows = self.fetch_all(statement, parameters)
        return rows[0] if rows else None

    def _current_connection(self) -> sqlite3.Connection:
        """Return the connection, reopened if another process replaced or removed the file."""
        if self._connection is None or (
            not self._connection.in_transaction and self._read_file_id() != self._file_id
        ):
            self._open_or_replace()
        assert self._connection is not None
        return self._connection

    def _read_file_id(self) -> tuple[int, ...] | None:
        """Identify the file; of a file that is only copied, its content too."""
        try:
            status = self.path.stat()
            content = _modified_ns(self.path) if self._copy_folder is not None else ()
        except FileNotFoundError:
            return None
        return (status.st_dev, status.st_ino, *content)

    def _open_or_replace(self) -> None:
        """Connect and check the file. A damaged one is renamed under the lock and a new one created."""
        try:
            self._connect()
        except sqlite3.DatabaseError as error:
            if self._read_only or not is_corruption(error) or not self._is_writable():
                raise
            with self._write_lock.hold(self.lock_timeout_s):
                self._replace_damaged(error)

    def _replace_damaged(self, error: sqlite3.DatabaseError) -> None:
        try:
            self._connect()  # another process may have replaced it meanwhile
        except sqlite3.DatabaseError as still:
            if not is_corruption(still):
                raise
            self._disconnect()
            name = self._quarantine().name
            self._connect(
                f"the queue was damaged ({error}) and was renamed to {name}; a new one was created. "
                "Loads that were queued are lost: request them again"
            )

    def _connect(self, replaced: str = "") -> None:
        """Open the file; ``replaced`` says why it is a new one."""
        self._disconnect()
        if not self._is_writable():
            address = self._copy_files().as_uri()
        elif self._read_only:
            address = f"{self.path.absolute().as_uri()}?mode=ro"
        else:
            self._create_file()
            address = self.path.absolute().as_uri()
        connection = sqlite3.connect(
            address, timeout=BUSY_TIMEOUT_MS / 1000, isolation_level=None, check_same_thread=False, uri=True
        )
        try:
            self._configure(connection, replaced)
        except BaseException:
            connection.close()
            raise
        self._file_id = self._read_file_id()
        self._connection = connection
        self._is_backup_due = not self._read_only and not self._backup.path.exists()

    def _create_file(self) -> None:
        if self.path.exists() and not self.path.is_file():
            raise StoreError(f"{self.path}: it is not a regular file; move it away")
        try:
            durable.create_private_file(self.path)
        except OSError as error:
            raise StoreError(f"{self.path}: cannot be opened ({error.strerror})") from error

    def _is_writable(self) -> bool:
        """Whether this user may write to the file and its folder; a missing folder is an error of its own."""
        existing = [path for path in (self.path.parent, self.path) if path.exists()]
        return all(os.access(path, os.W_OK) for path in existing)

    def _copy_files(self) -> Path:
        """Copy the file and its WAL to where SQLite may write: it reads a WAL only there."""
        import shutil
        import tempfile

        self._copy_folder = tempfile.TemporaryDirectory(prefix="unify-queue-")
        copy = Path(self._copy_folder.name) / self.path.name
        for suffix in ("", "-wal"):
            source = self.path.with_name(self.path.name + suffix)
            if source.exists():
                shutil.copyfile(source, copy.with_name(copy.name + suffix))
        return copy

    def _configure(self, connection: sqlite3.Connection, replaced: str) -> None:
        connection.row_factory = sqlite3.Row
        version = schema_version(connection)
        newest = int(list(read_sql_sections(SCHEMA_FILE))[-1])
        if version > newest:
            raise NewerVersion(
                f"{self.path}: created by a newer version of Unify (schema {version}, this version knows "
                f"{newest}); update Unify"
            )
        if version < newest and self._copy_folder is not None:
            migrate(connection, SCHEMA_FILE)
        elif version < newest and self._read_only:
            raise StoreError(
                f"{self.path}: created by an older version of Unify; start the daemon to update it"
            )
        elif version < newest:
            with self._write_lock.hold(self.lock_timeout_s):
                if migrate(connection, SCHEMA_FILE) == 0:
                    self._restore_backup(connection, replaced)
        connection.execute("PRAGMA synchronous = FULL")
        if connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("database disk image is malformed")

    def _restore_backup(self, connection: sqlite3.Connection, replaced: str) -> None:
        """Restore the schedules into a queue that was just created."""
        existed = self._backup.path.exists()
        result = self._backup.restore(connection, datetime.now(UTC)) if existed else None
        if existed and not replaced:
            replaced = (
                "the queue was missing or empty; a new one was created. Loads that were queued are lost"
            )
        if replaced:
            kept = f"{self._backup.path.name}: {result}" if result else "schedules are lost: set them again"
            self._notice(f"{self.path}: {replaced}. {kept}")

    def _save_backup(self, connection: sqlite3.Connection) -> None:
        if self._is_backup_due:
            try:
                self._backup.save(connection)
            except OSError:
                return  # the transaction is committed; the next one tries again
            self._is_backup_due = False

    def _quarantine(self) -> Path:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        aside = self.path.with_name(f"{self.path.name}.damaged-{stamp}")
        for suffix in ("-wal", "-shm", ""):
            part = self.path.with_name(self.path.name + suffix)
            if part.exists():
                part.rename(aside.with_name(aside.name + suffix))
        return aside

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._copy_folder is not None:
            self._copy_folder.cleanup()
            self._copy_folder = None

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except OverflowError as error:
            raise StoreError(f"{self.path}: a number is out of range ({error})") from error
        except sqlite3.DatabaseError as error:
            if is_corruption(error):
                self._disconnect()  # the next use checks the file and replaces it
            raise StoreError(f"{self.path}: {error_text(error)}") from error


def _modified_ns(path: Path) -> tuple[int, ...]:
    files = (path, path.with_name(path.name + "-wal"))
    return tuple(file.stat().st_mtime_ns for file in files if file.exists())
