"""Attaching the lake to a DuckDB connection: for writing, for reading, or creating it."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from unify.config.settings import Settings
from unify.engine import errors
from unify.engine.connection import quote_literal
from unify.errors import StoreError
from unify.fs import durable
from unify.fs.durable import private_umask
from unify.fs.locks import FileLock
from unify.lake import discards, ledger, table_layouts, type_changes
from unify.lake.names import CATALOG, SCHEMA

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

LAKE_SCHEMA_VERSION = 4  # of Unify's own tables in the lake
DISK_FULL_REASON = "the disk is full"
CATALOG_BUSY_TIMEOUT_MS = 10_000  # how long a reader waits while a commit is written

# Row groups of this many rows make `limit 100` and point queries 3-6 times faster than the default
# of 122,880 at the same size (design.md). Small inserts must not be kept in the catalog instead of
# Parquet: DuckLake 1.0 keeps them as text there and loses quotes inside a STRUCT ('x''y' came back
# as xy; tests/test_lake.py). The plain columns of INLINED_TABLES are safe and would be a file a load.
DUCKLAKE_OPTIONS = {
    "parquet_row_group_size": 20_000,
    "target_file_size": "128MB",
    "data_inlining_row_limit": 0,
}
INLINED_TABLES = ("loads", "table_layouts")  # of the schema _unify
INLINED_ROWS = 1000


class LakeAttachment:
    """The lake of one home as DuckDB catalog ``lake``.

    ``read_only_reason``: why it cannot be written to, or "".
    """

    def __init__(self, settings: Settings, lock: FileLock, *, read_only: bool) -> None:
        self.settings = settings
        self.read_only_reason = "it is open read-only" if read_only else ""
        self._lock = lock
        self._catalog_copy: tempfile.TemporaryDirectory[str] | None = None

    @property
    def catalog_file(self) -> Path | None:
        """The catalog file if it is SQLite; None if the catalog is on a database server."""
        kind, _, path = self.settings.catalog_url.removeprefix("ducklake:").partition(":")
        return Path(path) if kind == "sqlite" else None

    @property
    def is_copy(self) -> bool:
        """Whether a copy of the catalog is attached, which does not change any more."""
        return self._catalog_copy is not None

    @property
    def is_disk_full(self) -> bool:
        """Whether it is read-only only because the disk is full."""
        return self.read_only_reason == DISK_FULL_REASON

    def attach(self, connection: DuckDBPyConnection) -> None:
        """Attach the lake; create it if it does not exist. DuckDB's errors pass."""
        if self.is_disk_full:
            self.read_only_reason = ""
        if not self._is_ready():
            self._create_lake(connection)
        elif self.read_only_reason:
            self._attach_read_only(connection, copy=not self._is_writable())
        elif self._is_writable():
            self._attach_writable_or_read_only(connection)
        else:
            self.read_only_reason = "this user has no permission to write to the folder"
            self._attach_read_only(connection, copy=True)
        connection.execute(f"USE {CATALOG}")

    def close(self) -> None:
        if self._catalog_copy is not None:
            self._catalog_copy.cleanup()
            self._catalog_copy = None

    def _attach_writable_or_read_only(self, connection: DuckDBPyConnection) -> None:
        """Attach for writing, or for reading if the disk is too full for SQLite's index."""
        from unify.engine import duckdb

        try:
            self._attach_writable(connection)
        except duckdb.Error as error:
            if not errors.is_disk_full(error):
                raise
            self.read_only_reason = DISK_FULL_REASON
            self._attach_read_only(connection, copy=True)

    def _attach_writable(self, connection: DuckDBPyConnection) -> None:
        connection.execute(
            f"ATTACH {quote_literal(self.settings.catalog_url)} AS {CATALOG} ({self._attach_options()})"
        )

    def _attach_read_only(self, connection: DuckDBPyConnection, *, copy: bool) -> None:
        """Attach read-only. ``copy``: a copy of the catalog; SQLite reads a WAL only where it can write."""
        url = self._copy_catalog() if copy else self.settings.catalog_url
        connection.execute(f"ATTACH {quote_literal(url)} AS {CATALOG} (READ_ONLY, {self._attach_options()})")

    def _attach_options(self) -> str:
        return (
            f"DATA_PATH {quote_literal(os.fspath(self.settings.data_path))}, OVERRIDE_DATA_PATH true, "
            f"META_JOURNAL_MODE 'WAL', META_BUSY_TIMEOUT {CATALOG_BUSY_TIMEOUT_MS}"
        )

    def _create_lake(self, connection: DuckDBPyConnection) -> None:
        """Create what is missing under the lock: many shells may start at once."""
        self.settings.create_folders()
        with self._lock.hold(), private_umask():
            if self.catalog_file is not None:
                durable.create_private_file(self.catalog_file)
            self._attach_writable(connection)
            _create_tables(connection)
            _set_options(connection)
            durable.atomic_write(self._ready_marker, f"{LAKE_SCHEMA_VERSION}\n".encode())
        if self.read_only_reason:
            connection.execute(f"DETACH {CATALOG}")
            self._attach_read_only(connection, copy=False)

    @property
    def _ready_marker(self) -> Path:
        """Marks a complete lake: a process that finds it attaches without the lock."""
        return self.settings.lake / "ready"

    def _is_ready(self) -> bool:
        if self.catalog_file is not None and not self.catalog_file.exists():
            return False
        try:
            found = int(self._ready_marker.read_text("utf-8"))
        except (FileNotFoundError, ValueError):
            return False
        if found > LAKE_SCHEMA_VERSION:
            raise StoreError(f"{self.settings.lake}: made by a newer version of Unify; update this one")
        return found == LAKE_SCHEMA_VERSION

    def _is_writable(self) -> bool:
        places = [self.settings.lake, self.settings.data_path, self.catalog_file]
        return all(os.access(place, os.W_OK) for place in places if place is not None)

    def _copy_catalog(self) -> str:
        """Copy the current catalog to a folder where SQLite may write."""
        catalog = self.catalog_file
        if catalog is None:
            return self.settings.catalog_url
        self.close()
        self._catalog_copy = tempfile.TemporaryDirectory(prefix="unify-catalog-")
        with self._lock.hold() if self._is_writable() else nullcontext():
            for suffix in ("", "-wal"):
                source = catalog.with_name(catalog.name + suffix)
                if source.exists():
                    target = Path(self._catalog_copy.name) / source.name
                    shutil.copyfile(source, target)
                    target.chmod(0o600)
        return f"ducklake:sqlite:{Path(self._catalog_copy.name) / catalog.name}"


def _create_tables(connection: DuckDBPyConnection) -> None:
    """Create Unify's own tables in one commit, while DuckLake also creates their tables of inlined rows.

    DuckLake 1.5.5 would otherwise create those with the first row, in that commit. In the commit of a load
    this would hide the load's own table from AT: readers cache the older catalog for its version.
    """
    connection.execute("BEGIN")
    connection.execute(f"CALL {CATALOG}.set_option('data_inlining_row_limit', {INLINED_ROWS})")
    ledger.create_table(connection)
    discards.create_table(connection)
    type_changes.create_table(connection)
    table_layouts.create_table(connection)
    connection.execute("COMMIT")


def _set_options(connection: DuckDBPyConnection) -> None:
    """Set the lake's options, in one commit; those of a table only once it is committed."""
    connection.execute("BEGIN")
    for table in INLINED_TABLES:
        connection.execute(
            f"CALL {CATALOG}.set_option('data_inlining_row_limit', {INLINED_ROWS}, "
            "schema => ?, table_name => ?)",
            [SCHEMA, table],
        )
    for name, value in DUCKLAKE_OPTIONS.items():
        connection.execute(f"CALL {CATALOG}.set_option(?, ?)", [name, value])
    connection.execute("COMMIT")
