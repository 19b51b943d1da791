"""Attaching the lake to a DuckDB connection: for writing, for reading, or creating it."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from unify.config.settings import Settings
from unify.engine import connection as engine_connection
from unify.engine import errors
from unify.engine.connection import quote_literal
from unify.errors import StoreError
from unify.fs import durable
from unify.fs.durable import private_umask
from unify.fs.locks import FileLock
from unify.lake.attachment import catalog_copy, new_lake, restricted
from unify.lake.history import first_load
from unify.lake.integrity import identity
from unify.lake.protocols import CATALOG

if TYPE_CHECKING:
    import tempfile

    from duckdb import DuckDBPyConnection

LAKE_SCHEMA_VERSION = 5  # of Unify's own tables in the lake
OLDEST_READABLE_VERSION = 4  # its tables are the same; the first load may be hidden from AT
DISK_FULL_REASON = "the disk is full"
CATALOG_BUSY_TIMEOUT_MS = 10_000  # how long a reader waits while a commit is written
CATALOG_PAGE_BYTES = (
    4096  # SQLite reads a file that ends within a page, without the rows of the missing bytes
)

CatalogVersion = tuple[tuple[int, int], ...]


def ready_marker(settings: Settings) -> Path:
    """The file that marks a complete lake: a process that finds it attaches without the lock."""
    return settings.lake / "ready"


class LakeAttachment:
    """The lake of one home as DuckDB catalog ``lake``.

    ``read_only_reason``: why it cannot be written to, or "".
    ``create``: create the lake if it does not exist, and update one of an older version.
    ``notice``: told if the catalog is an older copy.
    """

    def __init__(
        self,
        settings: Settings,
        lock: FileLock,
        *,
        read_only: bool,
        create: bool,
        notice: Callable[[str], None] | None,
    ) -> None:
        self.settings = settings
        self._create = create
        self.read_only_reason = "it is open read-only" if read_only else ""
        self._lock = lock
        self._notice = notice
        self._attached_file: tuple[int, int] | None = None  # device and inode of the attached catalog
        self._catalog_copy: tempfile.TemporaryDirectory[str] | None = None
        self.copied_version: CatalogVersion = ()  # of the catalog when it was copied

    @property
    def catalog_file(self) -> Path | None:
        """See ``find_catalog_file``."""
        return find_catalog_file(self.settings)

    @property
    def is_copy(self) -> bool:
        """Whether a copy of the catalog is attached, which does not change any more."""
        return self._catalog_copy is not None

    @property
    def is_disk_full(self) -> bool:
        """Whether it is read-only only because the disk is full."""
        return self.read_only_reason == DISK_FULL_REASON

    @property
    def is_older_version(self) -> bool:
        """Whether an older version of Unify made the lake, and no later one could update it."""
        try:
            return int(durable.read_regular_file(ready_marker(self.settings))) < LAKE_SCHEMA_VERSION
        except (OSError, ValueError):
            return False

    @property
    def is_replaced(self) -> bool:
        """Whether the attached catalog is no longer the file at its path."""
        return not self.is_copy and _file_id(self.catalog_file) != self._attached_file

    @property
    def is_outdated(self) -> bool:
        """Whether commits are not visible any more: the catalog was replaced, or its copy is older."""
        return self.is_replaced or (self.is_copy and self.catalog_version() != self.copied_version)

    def catalog_version(self) -> CatalogVersion:
        """See ``catalog_version``."""
        return catalog_version(self.settings)

    def attach(self, connection: DuckDBPyConnection) -> None:
        """Attach the lake; create it if it does not exist. DuckDB's errors pass.

        Raises:
            StoreError: the catalog is missing, damaged or that of another lake.
        """
        from unify.engine import duckdb

        recorded = identity.read_identity(self.settings.lake)
        try:
            self._attach_or_create(connection)
            self._check_identity(connection, recorded)
        except duckdb.Error as error:
            damage = errors.catalog_damage(error)
            if not damage:
                raise
            raise self._catalog_error(damage) from error
        self._attached_file = _file_id(self.catalog_file)
        connection.execute(f"USE {CATALOG}")

    def attach_restricted(self, connection: DuckDBPyConnection) -> None:
        """Attach a copy of the catalog, which needs no extension but DuckLake's. Errors as of ``attach``."""
        with closing(engine_connection.connect(threads=1, notice=self._notice)) as source:
            self.attach(source)
            readable, self._catalog_copy = self._catalog_copy, None
            catalog = self._new_copy_folder() / "catalog.duckdb"
            with private_umask():
                catalog_copy.copy_to_duckdb(source, catalog, self.settings.data_path)
        if readable is not None:
            readable.cleanup()
        restricted.attach_copy(connection, catalog, self.settings.data_path)

    def _attach_or_create(self, connection: DuckDBPyConnection) -> None:
        if self.is_disk_full:
            self.read_only_reason = ""
        if not self._is_ready():
            if not self._create:
                self._require_catalog_file()
                raise StoreError(
                    f"{self.settings.lake}: there is no lake, or one of an older version; any statement in "
                    "unify creates or updates it"
                )
            if self._create_lake(connection):
                return
        if self.read_only_reason:
            self._attach_read_only(connection, copy=not self._is_writable())
        elif self._is_writable():
            self._attach_writable_or_read_only(connection)
        else:
            self.read_only_reason = "this user has no permission to write to the folder"
            self._attach_read_only(connection, copy=True)

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

    def _attach_writable(self, connection: DuckDBPyConnection, *, create: bool = False) -> None:
        connection.execute(
            f"ATTACH {quote_literal(self.settings.catalog_url)} AS {CATALOG} "
            f"(CREATE_IF_NOT_EXISTS {create}, {self._attach_options()})"
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

    def _create_lake(self, connection: DuckDBPyConnection) -> bool:
        """Create what is missing, and attach; False if another process has created it meanwhile."""
        self.settings.create_folders()
        with self._lock.hold(), private_umask():
            if self._is_ready():
                return False
            is_older = ready_marker(self.settings).exists()
            self._require_catalog_file()
            if self.catalog_file is not None:
                durable.create_private_file(self.catalog_file)
            self._attach_writable(connection, create=True)
            repaired = is_older and first_load.repair_history(connection)
            new_lake.create_tables(connection)
            new_lake.set_options(connection)
            if repaired:
                connection.execute(f"DETACH {CATALOG}")
                self._attach_writable(connection)
            durable.atomic_write(ready_marker(self.settings), f"{LAKE_SCHEMA_VERSION}\n".encode())
        if self.read_only_reason:
            connection.execute(f"DETACH {CATALOG}")
            self._attach_read_only(connection, copy=False)
        return True

    def _is_ready(self) -> bool:
        if self.catalog_file is not None and not self._has_catalog(self.catalog_file):
            return False
        try:
            found = int(durable.read_regular_file(ready_marker(self.settings)))
        except (FileNotFoundError, ValueError):
            return False
        if found > LAKE_SCHEMA_VERSION:
            raise StoreError(f"{self.settings.lake}: made by a newer version of Unify; update this one")
        is_readable = found >= OLDEST_READABLE_VERSION and not self._is_writable()
        return found == LAKE_SCHEMA_VERSION or is_readable

    def _has_catalog(self, catalog: Path) -> bool:
        """Whether the catalog file exists and is not empty. Raises StoreError if it is cut."""
        try:
            size = catalog.stat().st_size
        except FileNotFoundError:
            return False
        if not catalog.is_file():
            raise self._catalog_error("is not a regular file")
        if size % CATALOG_PAGE_BYTES:
            raise self._catalog_error(f"is truncated ({size:,} bytes)")
        return size > 0

    def _require_catalog_file(self) -> None:
        """Raise StoreError if the catalog of an existing lake is missing: a new one would hide its data."""
        catalog = self.catalog_file
        if catalog is None or self._has_catalog(catalog):
            return
        if (
            ready_marker(self.settings).exists()
            or next(self.settings.data_path.rglob("*.parquet"), None) is not None
        ):
            raise self._catalog_error("is empty" if catalog.exists() else "is missing")

    def _catalog_error(self, fault: str) -> StoreError:
        return StoreError(
            f"{self.catalog_file}: the catalog of the lake {fault}; without it the data files in "
            f"{self.settings.data_path} cannot be read. Restore the catalog from a backup; or move "
            f"{self.settings.lake} away, to start with an empty lake"
        )

    def _check_identity(self, connection: DuckDBPyConnection, recorded: identity.LakeIdentity | None) -> None:
        """Compare the attached catalog with the one that was last written to.

        ``recorded``  as read before the catalog, which others write to.
        """
        found = identity.read_catalog_identity(connection)
        now = datetime.now(UTC)
        current = identity.compare_identities(recorded, found, now)
        if current is None:
            raise self._catalog_error("is that of another lake")
        is_older = recorded is not None and current.replaced_at != recorded.replaced_at
        if self.read_only_reason or (recorded is not None and not is_older):
            return
        identity.write_identity(self.settings.lake, current)
        if is_older and self._notice is not None:
            self._notice(
                f"{self.catalog_file}: the catalog was replaced by an older copy, which has nothing that was "
                f"stored later. Data files are kept for {identity.RETENTION.days} days"
            )

    def _is_writable(self) -> bool:
        places = [self.settings.lake, self.settings.data_path, self.catalog_file]
        return all(os.access(place, os.W_OK) for place in places if place is not None)

    def _copy_catalog(self) -> str:
        """Copy the current catalog to a folder where SQLite may write."""
        catalog = self.catalog_file
        if catalog is None:
            return self.settings.catalog_url
        folder = self._new_copy_folder()
        with self._lock.hold() if self._is_writable() else nullcontext():
            return f"ducklake:sqlite:{catalog_copy.copy_files(catalog, folder)}"

    def _new_copy_folder(self) -> Path:
        import tempfile

        self.close()
        self._catalog_copy = tempfile.TemporaryDirectory(prefix="unify-catalog-")
        self.copied_version = self.catalog_version()
        return Path(self._catalog_copy.name)


def find_catalog_file(settings: Settings) -> Path | None:
    """Return the catalog file if it is SQLite; None if the catalog is on a database server."""
    kind, _, path = settings.catalog_url.removeprefix("ducklake:").partition(":")
    return Path(path) if kind == "sqlite" else None


def catalog_version(settings: Settings) -> CatalogVersion:
    """Return modification time in nanoseconds and size of the catalog file and its WAL."""
    catalog = find_catalog_file(settings)
    if catalog is None:
        return ()
    return (_file_state(catalog), _file_state(catalog.with_name(catalog.name + "-wal")))


def _file_state(path: Path) -> tuple[int, int]:
    """Return modification time in nanoseconds and size; zeros if the file does not exist."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return 0, 0
    return status.st_mtime_ns, status.st_size


def _file_id(path: Path | None) -> tuple[int, int] | None:
    """Return device and inode of a file; None if there is none."""
    try:
        status = None if path is None else path.stat()
    except OSError:
        return None
    return None if status is None else (status.st_dev, status.st_ino)
