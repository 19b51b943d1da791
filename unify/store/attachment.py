"""How a process gets hold of the lake: for writing, for reading, or as the one that makes it."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from unify.errors import StoreError
from unify.settings import Settings
from unify.store import discards, duckerrors, durable, ledger, private, widenings
from unify.store.duck import literal
from unify.store.locks import FileLock

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

CATALOG = "lake"
VERSION = 3  # of what Unify keeps in the lake beside people's tables
FULL = "the disk is full"
CATALOG_WAIT_MS = 10_000  # how long a reader waits for the instant in which a commit is written

# Row groups of this many rows make `limit 100` and point queries 3-6 times faster than the default
# of 122,880 at the same size (design.md). Small inserts must not be kept in the catalog instead of
# Parquet: DuckLake 1.0 keeps them as text there and loses quotes inside a STRUCT ('x''y' came back
# as xy; tests/test_lake.py). The ledger's plain columns are safe and would be a file a load.
OPTIONS = {"parquet_row_group_size": 20_000, "target_file_size": "128MB", "data_inlining_row_limit": 0}


class Attachment:
    """The lake of one home as DuckDB's catalog ``lake``.

    ``why_read_only`` says why it cannot be written to; "" where it can.
    """

    def __init__(self, settings: Settings, lock: FileLock, *, read_only: bool) -> None:
        self.settings = settings
        self.why_read_only = "it was opened for reading" if read_only else ""
        self._lock = lock
        self._copy: tempfile.TemporaryDirectory[str] | None = None

    @property
    def catalog_file(self) -> Path | None:
        """The catalog where it is a SQLite file; None where it is a database server's."""
        kind, _, path = self.settings.catalog_url.removeprefix("ducklake:").partition(":")
        return Path(path) if kind == "sqlite" else None

    @property
    def copied(self) -> bool:
        """Whether this is the lake as it was when it was opened."""
        return self._copy is not None

    @property
    def for_lack_of_room(self) -> bool:
        """Whether it cannot be written to only as long as the disk is full."""
        return self.why_read_only == FULL

    def attach(self, connection: DuckDBPyConnection) -> None:
        """Attach the lake, making it first where there is none. DuckDB's errors pass."""
        if self.for_lack_of_room:
            self.why_read_only = ""
        if not self._is_ready():
            self._create(connection)
        elif self.why_read_only:
            self._attach_reading(connection, copy=not self._writable())
        elif self._writable():
            self._attach_for_both(connection)
        else:
            self.why_read_only = "the folder cannot be written to by this user"
            self._attach_reading(connection, copy=True)
        connection.execute(f"USE {CATALOG}")

    def close(self) -> None:
        if self._copy is not None:
            self._copy.cleanup()
            self._copy = None

    def _attach_for_both(self, connection: DuckDBPyConnection) -> None:
        """For writing; on a disk so full that SQLite cannot even make its index, for reading."""
        import duckdb

        try:
            self._attach_writing(connection)
        except duckdb.Error as error:
            if not duckerrors.is_full_disk(error):
                raise
            self.why_read_only = FULL
            self._attach_reading(connection, copy=True)

    def _attach_writing(self, connection: DuckDBPyConnection) -> None:
        connection.execute(f"ATTACH {literal(self.settings.catalog_url)} AS {CATALOG} ({self._options()})")

    def _attach_reading(self, connection: DuckDBPyConnection, *, copy: bool) -> None:
        """``copy``: from a copy of the catalog, because SQLite reads WAL only where it can write."""
        url = self._copied_catalog() if copy else self.settings.catalog_url
        connection.execute(f"ATTACH {literal(url)} AS {CATALOG} (READ_ONLY, {self._options()})")

    def _options(self) -> str:
        return (
            f"DATA_PATH {literal(os.fspath(self.settings.data_path))}, OVERRIDE_DATA_PATH true, "
            f"META_JOURNAL_MODE 'WAL', META_BUSY_TIMEOUT {CATALOG_WAIT_MS}"
        )

    def _create(self, connection: DuckDBPyConnection) -> None:
        """Make what is missing, one process at a time: twenty shells may start at once."""
        self.settings.prepare()
        with self._lock.holding():
            if self.catalog_file is not None:
                private.make_file(self.catalog_file)
            self._attach_writing(connection)
            for name, value in OPTIONS.items():
                connection.execute(f"CALL {CATALOG}.set_option(?, ?)", [name, value])
            ledger.create(connection)
            discards.create(connection)
            widenings.create(connection)
            durable.write_durably(self._marker, f"{VERSION}\n".encode())
        if self.why_read_only:
            connection.execute(f"DETACH {CATALOG}")
            self._attach_reading(connection, copy=False)

    @property
    def _marker(self) -> Path:
        """Written when everything stands: whoever sees it attaches without waiting for a lock."""
        return self.settings.lake / "ready"

    def _is_ready(self) -> bool:
        if self.catalog_file is not None and not self.catalog_file.exists():
            return False
        try:
            found = int(self._marker.read_text("utf-8"))
        except (FileNotFoundError, ValueError):
            return False
        if found > VERSION:
            raise StoreError(f"{self.settings.lake}: made by a newer version of Unify; update this one")
        return found == VERSION

    def _writable(self) -> bool:
        places = [self.settings.lake, self.settings.data_path, self.catalog_file]
        return all(os.access(place, os.W_OK) for place in places if place is not None)

    def _copied_catalog(self) -> str:
        """The catalog as it is now, where SQLite may write beside it."""
        catalog = self.catalog_file
        if catalog is None:
            return self.settings.catalog_url
        self.close()
        self._copy = tempfile.TemporaryDirectory(prefix="unify-catalog-")
        with self._lock.holding() if self._writable() else nullcontext():
            for suffix in ("", "-wal"):
                source = catalog.with_name(catalog.name + suffix)
                if source.exists():
                    target = Path(self._copy.name) / source.name
                    shutil.copyfile(source, target)
                    target.chmod(0o600)
        return f"ducklake:sqlite:{Path(self._copy.name) / catalog.name}"
