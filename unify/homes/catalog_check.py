"""Checks the catalog of the lake: missing, damaged, of another lake, an older copy, of a newer version."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from unify.config.settings import Settings
from unify.errors import StoreError
from unify.fs import durable
from unify.fs.locks import FileLock
from unify.homes.catalog_copy import CatalogCopy, read_catalog_copy
from unify.homes.databases import copy_database, integrity_error
from unify.homes.report import Finding
from unify.lake.attachment.attach import CATALOG_PAGE_BYTES, LAKE_SCHEMA_VERSION, ready_marker
from unify.lake.integrity.identity import LakeIdentity, read_identity

# How long to wait for a writer. A publish takes less; a shell's open transaction must not prevent a check or
# a backup, which read what is committed, as every reader does without the lock.
LOCK_TIMEOUT_S = 10.0


class LakeView(Struct, frozen=True):
    """The lake at one moment.

    ``copy``    None: there is no lake, or its catalog cannot be read.
    ``listed``  the files in the folder of data files with their sizes; None if a process was writing, whose
                new files the catalog does not name yet.
    ``writer``  that process.
    """

    copy: CatalogCopy | None = None
    findings: tuple[Finding, ...] = ()
    listed: Mapping[Path, int] | None = None
    writer: str = ""


def view_lake(settings: Settings, folder: Path) -> LakeView:
    """Copy the catalog to ``folder`` and list the files, under the writers' lock if it is free in time."""
    catalog = settings.lake / "catalog.sqlite"
    if (missing := _find_missing(settings, catalog)) is not None:
        return LakeView(findings=missing)
    lock = FileLock(settings.lake_lock, "check or backup")
    copy = folder / "catalog.sqlite"
    recorded = read_identity(settings.lake)  # before the catalog, which others write to
    is_locked = os.access(settings.lake_lock, os.W_OK) and _acquire(lock, LOCK_TIMEOUT_S)
    try:
        writer = "" if is_locked else lock.holder()
        listed = None if writer else list_files(settings.data_path)
        copy_database(catalog, copy)
    except (sqlite3.DatabaseError, OSError) as error:
        return LakeView(findings=(_catalog_finding(catalog, f"cannot be read ({error})"),))
    finally:
        if is_locked:
            lock.release()
    return _check_copy(settings, catalog, copy, recorded, LakeView(listed=listed, writer=writer))


def list_files(folder: Path) -> Mapping[Path, int]:
    """Return the files below ``folder`` with their sizes; symbolic links are not followed."""
    return {
        path: path.lstat().st_size
        for place, folders, names in os.walk(folder)
        for path in (Path(place) / name for name in (*names, *folders))
        if not path.is_dir() or path.is_symlink()
    }


def _acquire(lock: FileLock, timeout_s: float) -> bool:
    try:
        lock.acquire(timeout_s)
    except StoreError:
        return False
    return True


def _find_missing(settings: Settings, catalog: Path) -> tuple[Finding, ...] | None:
    """Return None if there is a catalog; no finding if there is no lake either."""
    fault = ""
    if not catalog.exists():
        fault = "is missing"
    elif catalog.stat().st_size == 0:
        fault = "is empty"
    elif catalog.stat().st_size % CATALOG_PAGE_BYTES:
        fault = "is truncated"
    if not fault:
        return None
    if fault != "is truncated" and not _has_lake(settings):
        return ()
    return (_catalog_finding(catalog, fault),)


def _has_lake(settings: Settings) -> bool:
    return ready_marker(settings).exists() or next(settings.data_path.rglob("*.parquet"), None) is not None


def _check_copy(
    settings: Settings, catalog: Path, copy: Path, recorded: LakeIdentity | None, view: LakeView
) -> LakeView:
    if error := integrity_error(copy):
        return LakeView(findings=(_catalog_finding(catalog, f"is damaged ({error})"),))
    try:
        found = read_catalog_copy(copy, settings.data_path)
    except sqlite3.DatabaseError as error:
        return LakeView(findings=(_catalog_finding(catalog, f"has no tables of a lake ({error})"),))
    if recorded is not None and recorded.lake != found.identity.lake:
        return LakeView(findings=(_catalog_finding(catalog, "is that of another lake"),))
    findings = _check_age(catalog, recorded, found.identity) + _check_marker(settings)
    return LakeView(found, findings, view.listed, view.writer)


def _check_age(catalog: Path, recorded: LakeIdentity | None, found: LakeIdentity) -> tuple[Finding, ...]:
    if recorded is None or found.snapshot >= recorded.snapshot:
        return ()
    fault = f"is an older copy: the lake had {recorded.snapshot} commits, and this has {found.snapshot}"
    remedy = "what was stored later is not in it; put back the later catalog if there is one"
    return (Finding("catalog", catalog, fault, remedy),)


def _check_marker(settings: Settings) -> tuple[Finding, ...]:
    marker = ready_marker(settings)
    try:
        version = int(durable.read_regular_file(marker))
    except FileNotFoundError:
        return (Finding("lake", marker, "is missing", "any statement creates it again"),)
    except (OSError, ValueError):
        return (Finding("lake", marker, "cannot be read", "remove it; any statement creates it again"),)
    if version > LAKE_SCHEMA_VERSION:
        return (Finding("lake", marker, "was made by a newer version of Unify", "update Unify"),)
    return ()


def _catalog_finding(catalog: Path, fault: str) -> Finding:
    remedy = f"restore it from a backup: unify restore FILE --force --home {catalog.parents[1]}"
    return Finding("catalog", catalog, fault, remedy)
