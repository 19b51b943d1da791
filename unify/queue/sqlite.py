"""The queue's SQLite file: opened, migrated, locked for writing, set aside when it is damaged.

WAL with synchronous=FULL: a commit that was acknowledged is on the disk. Writers take an ``flock``
first, always BEGIN IMMEDIATE: SQLite's own waiting made the slowest of 20 writers wait 3.6 s, the
flock 0.26 s, and it closes the WAL-reset fault of SQLite before 3.51.3 (design.md).

SQL kept in files of its own: sections that begin with ``-- name: NAME``.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from pathlib import Path

from unify.errors import StoreError
from unify.fs import durable
from unify.fs.locks import FileLock

SCHEMA_FILE = "queue_schema.sql"
BUSY_TIMEOUT_MS = 10_000  # a reader during a checkpoint; writers wait for the flock instead
WRITE_LOCK_TIMEOUT_S = 30.0  # a write takes milliseconds; only a stopped process holds the lock longer

SqlParameters = Mapping[str, object]


class QueueDatabase:
    """A connection to the queue, guarded: one thread of this process at a time."""

    def __init__(self, path: Path, notice: Callable[[str], None] | None = None) -> None:
        self.path = path
        self._notice = notice
        self._thread_lock = threading.RLock()
        self._write_lock = FileLock(path.with_name("queue.lock"), "queue")
        self._file_id: tuple[int, int] | None = None
        self._connection: sqlite3.Connection | None = None
        self._statements = read_sql_sections("queue.sql")
        with self._thread_lock, self._translate_errors():
            self._open_or_replace()

    def close(self) -> None:
        with self._thread_lock:
            self._disconnect()

    @contextmanager
    def transaction(self) -> Iterator[QueueDatabase]:
        """All or nothing, on the disk when the block has ended. Nested blocks are one transaction."""
        with self._thread_lock, self._translate_errors(), self._write_lock.hold(WRITE_LOCK_TIMEOUT_S):
            connection = self._current_connection()
            if connection.in_transaction:
                yield self
                return
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield self
                connection.execute("COMMIT")
            except BaseException:
                _roll_back(connection)
                raise

    def fetch_all(self, statement: str, parameters: SqlParameters | None = None) -> list[sqlite3.Row]:
        """All rows of a named statement of queue.sql."""
        with self._thread_lock, self._translate_errors():
            return (
                self._current_connection().execute(self._statements[statement], parameters or {}).fetchall()
            )

    def fetch_one(self, statement: str, parameters: SqlParameters | None = None) -> sqlite3.Row | None:
        """The first row of a named statement, or None."""
        rows = self.fetch_all(statement, parameters)
        return rows[0] if rows else None

    def _current_connection(self) -> sqlite3.Connection:
        """The connection, opened anew if the file was set aside or removed by somebody else."""
        if self._connection is None or (not self._connection.in_transaction and self._is_replaced()):
            self._open_or_replace()
        assert self._connection is not None
        return self._connection

    def _is_replaced(self) -> bool:
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return True
        return (status.st_dev, status.st_ino) != self._file_id

    def _open_or_replace(self) -> None:
        """Connect and check. A file that is no queue is set aside under the lock, and a new one made."""
        try:
            self._connect()
        except sqlite3.DatabaseError as error:
            if not is_corruption(error):
                raise
            with self._write_lock.hold(WRITE_LOCK_TIMEOUT_S):
                self._replace_damaged(error)

    def _replace_damaged(self, error: sqlite3.DatabaseError) -> None:
        try:
            self._connect()  # perhaps somebody else has replaced it while we waited
        except sqlite3.DatabaseError as still:
            if not is_corruption(still):
                raise
            self._disconnect()
            aside = self._quarantine()
            self._connect()
            if self._notice is not None:
                self._notice(
                    f"{self.path}: the queue was damaged ({error}) and is kept as {aside.name}; "
                    "a new one was made, loads that were waiting have to be asked for again"
                )

    def _connect(self) -> None:
        self._disconnect()
        try:
            durable.create_private_file(self.path)
        except OSError as error:
            raise StoreError(f"{self.path}: cannot be opened ({error.strerror})") from error
        connection = sqlite3.connect(
            self.path, timeout=BUSY_TIMEOUT_MS / 1000, isolation_level=None, check_same_thread=False
        )
        try:
            self._configure(connection)
        except BaseException:
            connection.close()
            raise
        status = self.path.stat()
        self._file_id = (status.st_dev, status.st_ino)
        self._connection = connection

    def _configure(self, connection: sqlite3.Connection) -> None:
        connection.row_factory = sqlite3.Row
        version = _schema_version(connection)
        newest = int(list(read_sql_sections(SCHEMA_FILE))[-1])
        if version > newest:
            raise StoreError(
                f"{self.path}: made by a newer version of Unify (schema {version}, this one knows {newest}); "
                "update this one"
            )
        if version < newest:
            with self._write_lock.hold(WRITE_LOCK_TIMEOUT_S):
                _migrate(connection)
        connection.execute("PRAGMA synchronous = FULL")
        if connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("database disk image is malformed")

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

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            if is_corruption(error):
                self._disconnect()  # the next use checks the file and sets it aside
            raise StoreError(f"{self.path}: {_error_text(error)}") from error


def is_corruption(error: sqlite3.DatabaseError) -> bool:
    """Whether the file is no SQLite database any more, or not ours."""
    code: int | None = getattr(error, "sqlite_errorcode", None)  # None: raised by ourselves
    return code in (None, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _schema_version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _migrate(connection: sqlite3.Connection) -> None:
    """Bring the schema to the newest version, each version in a transaction of its own."""
    connection.execute("PRAGMA journal_mode = WAL")
    for number, script in read_sql_sections(SCHEMA_FILE).items():
        connection.execute("BEGIN IMMEDIATE")
        try:
            if _schema_version(connection) < int(number):
                for statement in script.split(";\n"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {int(number)}")
            connection.execute("COMMIT")
        except BaseException:
            _roll_back(connection)
            raise


def _roll_back(connection: sqlite3.Connection) -> None:
    """Undo what is open; a full disk may have undone it already."""
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def _error_text(error: sqlite3.DatabaseError) -> str:
    text = str(error)
    if "full" in text or "I/O" in text:
        return f"the disk is full or failing; make room and try again ({text})"
    if "readonly" in text:
        return f"it is read-only for this user ({text})"
    if "unable to open" in text:
        return f"it cannot be opened by this user ({text})"
    return text


_SECTION_PREFIX = "-- name: "


@cache
def read_sql_sections(filename: str) -> Mapping[str, str]:
    """The sections of ``unify/store/FILE``, in its order. Text before the first one is a comment."""
    text = resources.files("unify.queue").joinpath(filename).read_text("utf-8")
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in text.splitlines():
        if line.startswith(_SECTION_PREFIX):
            current = found.setdefault(line.removeprefix(_SECTION_PREFIX).strip(), [])
        else:
            current.append(line)
    return {name: "\n".join(lines).strip() for name, lines in found.items()}
