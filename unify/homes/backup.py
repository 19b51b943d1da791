"""``unify backup``: one archive of a home as of one commit of its lake, while loads go on.

Maintenance keeps a file for 24 hours after the last version that needs it has expired, so that the files that
the copied catalog names stay until they are in the archive.
"""

from __future__ import annotations

import errno
import io
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import msgspec
from msgspec import Struct

from unify.config.settings import Settings
from unify.errors import FileError, StoreError
from unify.fs import durable
from unify.fs.failpoints import failpoint
from unify.fs.locks import acquire_flock
from unify.fs.sqlite import read_sql_sections
from unify.homes.archive import (
    CATALOG_MEMBER,
    CONFIGURATION_MEMBERS,
    FORMAT,
    SCHEDULES_MEMBER,
    WRITES_MEMBER,
    ArchiveWriter,
    BackupManifest,
    verify_archive,
)
from unify.homes.catalog_check import view_lake
from unify.homes.catalog_copy import CatalogCopy, DataFile
from unify.homes.data_files import CHANGED, file_fault, table_remedy
from unify.homes.databases import copy_database, open_copy
from unify.homes.ledger_check import loaded_tables
from unify.homes.literal_secrets import find_literal_secrets
from unify.homes.report import Progress, show_no_progress
from unify.lake.attachment.attach import LAKE_SCHEMA_VERSION, ready_marker
from unify.lake.integrity.checksums import CHECKSUM_FILE, format_checksum, read_checksums
from unify.lake.integrity.identity import IDENTITY_FILE
from unify.lake.protocols import SCHEMA
from unify.queue.backup import BACKUP_FILE, encode_schedules
from unify.queue.sqlite import STATEMENTS_FILE
from unify.version import VERSION
from unify.writes.copies import end_open_writes

PARTIAL_SUFFIX = ".partial"


class BackupOptions(Struct, frozen=True):
    """``tokens``: include tokens of sign-ins. ``connections``: include connections.yaml and notify.yaml."""

    force: bool = False
    tokens: bool = False
    connections: bool = True


class BackupResult(Struct, frozen=True):
    """``notices``: what the archive lacks, and why."""

    path: Path
    manifest: BackupManifest
    notices: tuple[str, ...] = ()


def write_backup(
    settings: Settings, path: Path, options: BackupOptions, progress: Progress = show_no_progress
) -> BackupResult:
    """Write the archive under a temporary name, verify it, and rename it to ``path``.

    Raises:
        FileError: ``path`` exists, or cannot be written.
        StoreError: the home cannot be backed up completely; the message names file and remedy.
    """
    _require_absent(path, options)
    with _partial_file(path) as (partial, file):
        with closing(ArchiveWriter(file)) as writer:
            manifest, notices = _write_members(settings, writer, options, progress)
        file.flush()
        os.fsync(file.fileno())
        verify_archive(partial, progress)
        _require_absent(path, options)
        failpoint("backup.before_rename")
        partial.replace(path)
        durable.fsync_path(path.parent)
    return BackupResult(path, manifest, notices)


def _write_members(
    settings: Settings, writer: ArchiveWriter, options: BackupOptions, progress: Progress
) -> tuple[BackupManifest, tuple[str, ...]]:
    """Write the home as of now; return the manifest and what the archive lacks."""
    notices: list[str] = []
    created_at = datetime.now(UTC)
    with tempfile.TemporaryDirectory(prefix="unify-backup-") as temporary:
        view = view_lake(settings, Path(temporary))
        for finding in view.findings:
            if view.copy is None:
                raise StoreError(str(finding))
            notices.append(str(finding))
        if view.copy is not None:
            notices += _add_lake(settings, writer, view.copy, progress)
        notices += _add_schedules(settings, writer, Path(temporary))
        notices += _add_writes(settings, writer, Path(temporary))
        _add_configuration(settings, writer, options)
        notices += _describe_secrets(settings, options)
    tables = () if view.copy is None else view.copy.tables
    manifest = writer.finish(
        {
            "format": FORMAT,
            "version": VERSION,
            "created_at": created_at,
            "home": str(settings.home),
            "lake_schema": LAKE_SCHEMA_VERSION,
            "snapshot": 0 if view.copy is None else view.copy.identity.snapshot,
            "tables": sum(table.schema != SCHEMA for table in tables),
        }
    )
    return manifest, tuple(notices)


def _require_absent(path: Path, options: BackupOptions) -> None:
    if os.path.lexists(path) and not options.force:
        raise FileError(f"{path}: it exists; name another file, or replace it with --force")
    if path.is_dir():
        raise FileError(f"{path}: it is a folder; name a file")


@contextmanager
def _partial_file(path: Path) -> Iterator[tuple[Path, IO[bytes]]]:
    """Open the file beside ``path`` that is renamed at the end; one that a killed process left is reused."""
    partial = path.with_name(path.name + PARTIAL_SUFFIX)
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        descriptor = os.open(partial, flags, 0o600)
    except OSError as error:
        raise FileError(f"{partial}: cannot be written ({error.strerror})") from error
    if not acquire_flock(descriptor, timeout_s=0):  # which has closed it
        raise FileError(f"{path}: another process is writing this backup")
    with open(descriptor, "w+b") as file:
        if not _is_at(partial, file):
            raise FileError(f"{path}: another process has just written this backup")
        try:
            file.truncate(0)
            os.fchmod(descriptor, 0o600)
            yield partial, file
        except OSError as error:
            reason = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else error.strerror
            raise FileError(f"{error.filename or path}: the backup failed ({reason})") from error
        finally:
            with suppress(FileNotFoundError):
                if _is_at(partial, file):
                    partial.unlink()


def _is_at(path: Path, file: IO[bytes]) -> bool:
    """Whether the open file is the one at ``path``."""
    return path.exists() and os.path.samestat(path.stat(), os.fstat(file.fileno()))


def _add_lake(
    settings: Settings, writer: ArchiveWriter, copy: CatalogCopy, progress: Progress
) -> Iterator[str]:
    with copy.path.open("rb") as catalog:
        writer.add(CATALOG_MEMBER, catalog)
    writer.add(f"lake/{IDENTITY_FILE}", io.BytesIO(msgspec.json.encode(copy.identity)))
    if (marker := ready_marker(settings)).exists():
        with marker.open("rb") as file:
            writer.add("lake/ready", file)
    recorded = read_checksums(settings.lake, settings.data_path)
    total = sum(file.size for file in copy.files)
    done, lines = 0, []
    for data in copy.files:
        progress("backing up", done, total)
        fault = _file_fault(settings, data)
        if not fault:
            name = data.path.relative_to(settings.data_path)
            with data.path.open("rb") as file:
                checksum = writer.add(f"lake/files/{name.as_posix()}", file, compress=False)
            lines.append(format_checksum(name, checksum))
            fault = CHANGED if recorded.get(data.path, checksum) != checksum else ""
        if fault and data.is_current:
            remedy = table_remedy(data, loaded_tables(settings, copy))
            raise StoreError(f"{data.table}: {data.path}: {fault}; {remedy}. Then back up again")
        if fault:
            yield f"{data.table}: {data.path}: {fault}; only older versions of the table need it"
        done += data.size
    writer.add(f"lake/{CHECKSUM_FILE}", io.BytesIO("".join(lines).encode("utf-8", "surrogateescape")))


def _file_fault(settings: Settings, data: DataFile) -> str:
    if not data.path.is_relative_to(settings.data_path):
        return "it is outside of the home"
    return file_fault(data)


def _add_schedules(settings: Settings, writer: ArchiveWriter, folder: Path) -> Iterator[str]:
    """Add the schedules and pauses of the queue; of a damaged queue, those of its second copy."""
    saved = settings.queue.with_name(BACKUP_FILE)
    if settings.queue.exists():
        copy = folder / settings.queue.name
        try:
            copy_database(settings.queue, copy)
            with closing(open_copy(copy)) as connection:
                data = encode_schedules(connection, read_sql_sections(STATEMENTS_FILE))
        except sqlite3.DatabaseError as error:
            yield f"{settings.queue}: it is damaged ({error}); the schedules are those of {saved.name}"
        else:
            writer.add(SCHEDULES_MEMBER, io.BytesIO(data))
            return
    if saved.exists():
        with durable.open_regular_file(saved) as file:
            writer.add(SCHEDULES_MEMBER, file)


def _add_writes(settings: Settings, writer: ArchiveWriter, folder: Path) -> Iterator[str]:
    """Add the planned and sent writes. Those under way end in the copy: a restored home sends nothing."""
    if not settings.writes.exists():
        return
    copy = folder / settings.writes.name
    try:
        copy_database(settings.writes, copy)
        end_open_writes(copy)
    except (sqlite3.DatabaseError, StoreError) as error:
        yield f"{settings.writes}: it is damaged ({error}) and is not in the backup"
        return
    with copy.open("rb") as file:
        writer.add(WRITES_MEMBER, file)


def _add_configuration(settings: Settings, writer: ArchiveWriter, options: BackupOptions) -> None:
    names = ["preferences"]
    names += CONFIGURATION_MEMBERS if options.connections else []
    paths = [settings.home / name for name in names]
    paths += sorted((settings.home / "variables").glob("*.parquet"))
    if options.tokens:
        paths += sorted(path for path in settings.token_folder.rglob("*") if path.suffix != ".lock")
    for path in paths:
        if path.is_file():
            with path.open("rb") as file:
                name = path.relative_to(settings.home).as_posix()
                writer.add(name, file, compress=path.suffix != ".parquet")


def _describe_secrets(settings: Settings, options: BackupOptions) -> Iterator[str]:
    """Yield which secrets the archive holds in plain text, and that it lacks tokens."""
    if options.connections:
        for path, keys in find_literal_secrets(settings).items():
            yield (
                f"{path}: the backup holds the secrets that are written in this file ({', '.join(keys)}). "
                f"Keep it private; references such as ${{NAME}} are kept as written, and "
                "--without-connections leaves the file out"
            )
    if not options.tokens and settings.token_folder.is_dir() and any(settings.token_folder.iterdir()):
        yield "tokens of sign-ins are not in the backup (--with-tokens includes them): sign in again"
