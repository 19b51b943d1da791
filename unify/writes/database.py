"""The SQLite file of writes: opened, migrated, locked for writing.

WAL with synchronous=FULL: what is committed is on the disk before a request leaves. Where this user may not
write to the file, a copy of it is read, and writing raises StoreError.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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

if TYPE_CHECKING:
    import tempfile

SCHEMA_FILE = Path(__file__).with_name("writes_schema.sql")
STATEMENTS_FILE = Path(__file__).with_name("writes.sql")
BUSY_TIMEOUT_S = 10.0
LOCK_TIMEOUT_S = 30.0

Parameters = Mapping[str, object]


class WriteDatabase:
    """A connection that threads may share; opened, and the file made, by its first use."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._thread_lock = threading.RLock()
        self._write_lock = FileLock(path.with_name("writes.lock"), "writes")
        self._connection: sqlite3.Connection | None = None
        self._copy_folder: tempfile.TemporaryDirectory[str] | None = None
        self._statements = read_sql_sections(STATEMENTS_FILE)

    def close(self) -> None:
        with self._thread_lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            if self._copy_folder is not None:
                self._copy_folder.cleanup()
                self._copy_folder = None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit durably when the block ends, roll back when it raises. Nested blocks are one transaction."""
        with self._thread_lock, self._translate_errors():
            connection = self._open()
            if self._copy_folder is not None:
                raise StoreError(f"{self.path}: read-only for this user; nothing can be written to a system")
            if connection.in_transaction:
                yield
                return
            with self._write_lock.hold(LOCK_TIMEOUT_S):
                connection.execute("BEGIN IMMEDIATE")
                try:
                    yield
                    connection.execute("COMMIT")
                except BaseException:
                    roll_back(connection)
                    raise

    def fetch_all(self, statement: str, parameters: Parameters) -> list[sqlite3.Row]:
        """Return all rows of a named statement of writes.sql."""
        with self._thread_lock, self._translate_errors():
            return self._open().execute(self._statements[statement], parameters).fetchall()

    def fetch_one(self, statement: str, parameters: Parameters) -> sqlite3.Row:
        """Return the only row of a named statement."""
        [row] = self.fetch_all(statement, parameters)
        return row

    def execute(self, statement: str, parameters: Parameters) -> None:
        """Run a named statement within ``transaction``."""
        self._open().execute(self._statements[statement], parameters)

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = sqlite3.connect(
                self._readable_path(), timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
            try:
                self._configure(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _readable_path(self) -> Path:
        """Return the file, which is made if it is missing; a copy where this user may not write to it."""
        existing = [path for path in (self.path.parent, self.path) if path.exists()]
        if not self.path.exists() or all(os.access(path, os.W_OK) for path in existing):
            durable.create_private_file(self.path)
            return self.path
        import shutil
        import tempfile

        self._copy_folder = tempfile.TemporaryDirectory(prefix="unify-writes-")
        copy = Path(self._copy_folder.name) / self.path.name
        for suffix in ("", "-wal"):  # SQLite reads a WAL only where it can write
            source = self.path.with_name(self.path.name + suffix)
            if source.exists():
                shutil.copyfile(source, copy.with_name(copy.name + suffix))
        return copy

    def _configure(self, connection: sqlite3.Connection) -> None:
        connection.row_factory = sqlite3.Row
        newest = int(list(read_sql_sections(SCHEMA_FILE))[-1])
        if (version := schema_version(connection)) > newest:
            raise NewerVersion(f"{self.path}: made by a newer version of Unify (schema {version}); update it")
        if version < newest and self._copy_folder is not None:
            migrate(connection, SCHEMA_FILE)
        elif version < newest:
            with self._write_lock.hold(LOCK_TIMEOUT_S):
                migrate(connection, SCHEMA_FILE)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")  # bodies of mails are gone once they are deleted

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            hint = "; move it away to plan writes again" if is_corruption(error) else ""
            raise StoreError(f"{self.path}: {error_text(error)}{hint}") from error
