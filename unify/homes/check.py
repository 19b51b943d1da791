"""Checks a home: its lake, queue, saved variables, staging folder and permissions."""

from __future__ import annotations

import math
import os
import sqlite3
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from unify.config.settings import Settings
from unify.engine import connection as engine_connection
from unify.engine import errors
from unify.errors import NewerVersion, StoreError
from unify.fs import durable
from unify.homes import data_files, ledger_check
from unify.homes.catalog_check import LakeView, view_lake
from unify.homes.catalog_copy import open_reader
from unify.homes.databases import copy_database, integrity_error
from unify.homes.report import Finding, HomeReport, Progress, Repair, show_no_progress
from unify.lake import ledger
from unify.lake.integrity.checksums import read_checksums
from unify.lake.protocols import SCHEMA
from unify.load import staging
from unify.queue.backup import BACKUP_FILE
from unify.queue.queue import Queue
from unify.status.launch import is_daemon_running

STAGING_GRACE_S = 60.0  # a running daemon removes staged rows after it has recorded the end of their job
VARIABLES_FOLDER = "variables"
# What Unify writes in a home, and its configuration. Other files in it are the user's own.
OWN_FOLDERS = ("cache", "lake", "logs", "run", "staging", "tokens", VARIABLES_FOLDER)
OWN_FILES = (
    *("connections.yaml", "daemon.", "history", "notify.yaml", "preferences", "queue.", "requests.jsonl"),
    *("schedules.json", "trusted", "users.", "writes.", "activity."),
)


def check_home(
    settings: Settings, *, deep: bool = False, progress: Progress = show_no_progress
) -> HomeReport:
    """Check the home, while other processes may use it. ``deep``: read the data files whole."""
    with tempfile.TemporaryDirectory(prefix="unify-check-") as temporary:
        folder = Path(temporary)
        view = view_lake(settings, folder)
        findings = [*view.findings, *_check_lake(settings, view, deep, progress)]
        findings += [*_check_queue(settings, folder), *_check_writes(settings, folder)]
    findings += [*_check_variables(settings.home / VARIABLES_FOLDER), *_check_permissions(settings.home)]
    files = () if view.copy is None else view.copy.files
    notices = (
        (f"files that the catalog does not name were not looked for: {view.writer} is writing",)
        if view.writer
        else ()
    )
    return HomeReport(
        settings.home,
        tuple(findings),
        tables=0 if view.copy is None else sum(table.schema != SCHEMA for table in view.copy.tables),
        files=len(files),
        bytes=sum(file.size for file in files),
        notices=notices,
    )


def _check_lake(settings: Settings, view: LakeView, deep: bool, progress: Progress) -> Iterator[Finding]:
    from unify.engine import duckdb

    if view.copy is None:
        return
    loads = {}
    ledger_findings = []
    try:
        with open_reader(settings, view.copy.path) as reader:
            loads = dict(ledger.recorded_loads(reader))
            catalog = settings.lake / view.copy.path.name
            ledger_findings = [*ledger_check.check_ledger(catalog, view.copy, reader, loads)]
    except duckdb.Error as error:
        fault = f"the ledger cannot be read ({errors.clean_message(error)})"
        ledger_findings = [Finding("ledger", settings.lake, fault, "restore the home from a backup")]
    recorded = read_checksums(settings.lake, settings.data_path) if deep else None
    yield from data_files.check_data_files(view.copy, loads, recorded, progress)
    yield from data_files.find_unknown_files(view, view.copy)
    yield from ledger_findings


def _check_writes(settings: Settings, folder: Path) -> Iterator[Finding]:
    if not settings.writes.exists():
        return
    copy = folder / settings.writes.name
    try:
        copy_database(settings.writes, copy)
        fault = integrity_error(copy)
    except (sqlite3.DatabaseError, OSError) as error:
        fault = str(error)
    if fault:
        remedy = "move it away: what was planned is lost, and what was sent is known to the systems alone"
        yield Finding("writes", settings.writes, f"is damaged ({fault})", remedy)


def _check_queue(settings: Settings, folder: Path) -> Iterator[Finding]:
    """Check queue.db and its second copy of schedules, and the staged rows of its jobs."""
    restored = f"the next statement makes a new one, with the schedules of {BACKUP_FILE}"
    backup = settings.queue.with_name(BACKUP_FILE)
    if not settings.queue.exists():
        if backup.exists():
            yield Finding("queue", settings.queue, "is missing", restored, Repair.QUEUE)
        return
    copy = folder / settings.queue.name
    try:
        copy_database(settings.queue, copy)
        fault = integrity_error(copy)
    except (sqlite3.DatabaseError, OSError) as error:
        fault = str(error)
    if not fault and backup.exists():
        try:
            msgspec.json.decode(durable.read_regular_file(backup))
        except (OSError, ValueError) as error:
            remedy = "the next change of a schedule writes it again"
            yield Finding("queue", backup, f"cannot be read ({error})", remedy)
    if fault:
        yield Finding("queue", settings.queue, f"is damaged ({fault})", restored, Repair.QUEUE)
        return
    try:
        with Queue(copy) as queue:
            kept = {job.uid for job in (*queue.active_jobs(), *queue.held_jobs(), *queue.accepted_jobs())}
            kept.add(staging.KEPT)
    except NewerVersion:
        yield Finding("queue", settings.queue, "was made by a newer version of Unify", "update Unify")
    except StoreError as error:
        yield Finding("queue", settings.queue, error.message, restored, Repair.QUEUE)
    else:
        yield from _check_staging(settings, kept)


def _check_staging(settings: Settings, kept: set[str]) -> Iterator[Finding]:
    before = time.time() - STAGING_GRACE_S if is_daemon_running(settings) else math.inf
    for folder in sorted(settings.staging.iterdir()) if settings.staging.is_dir() else ():
        size = None if folder.name in kept else _leftover_bytes(folder, before)
        if size is not None:
            fault = f"no load needs these staged rows of {size:,} bytes"
            remedy = "the daemon removes them when it starts, or unify lake check --repair"
            yield Finding("staging", folder, fault, remedy, Repair.STAGING)


def _leftover_bytes(folder: Path, before: float) -> int | None:
    """Return the size of ``folder``; None if it was changed since ``before``, or has been removed."""
    try:
        found = [path.lstat() for path in (folder, *folder.rglob("*"))]
    except OSError:
        return None
    if max(status.st_mtime for status in found) > before:
        return None
    return sum(status.st_size for status in found if stat.S_ISREG(status.st_mode))


def _check_variables(folder: Path) -> Iterator[Finding]:
    from unify.engine import duckdb

    paths = sorted(folder.glob("*.parquet")) if folder.is_dir() else []
    for path in paths:
        try:
            with engine_connection.open_database() as connection:
                connection.execute("SELECT count(COLUMNS(*)) FROM read_parquet(?)", [str(path)]).fetchall()
        except duckdb.Error as error:
            fault = f"cannot be read ({' '.join(errors.clean_message(error).split())})"
            yield Finding(f"${path.stem}", path, fault, f"unset ${path.stem}, or set it again")


def _check_permissions(home: Path) -> Iterator[Finding]:
    """Find what other users can access, and what belongs to them: a line for each folder."""
    owner = home.stat().st_uid
    for folder, entries in _folders(home):
        open_to_others, foreign = [], []
        for path in entries:
            try:
                status = path.lstat()
            except OSError:
                continue  # removed meanwhile
            if status.st_mode & 0o077 and (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
                open_to_others.append(path)
            if status.st_uid != owner:
                foreign.append(path)
        if open_to_others:
            fault = f"other users can access {_names(folder, open_to_others)}"
            remedy = "unify lake check --repair restores the modes 0700 and 0600"
            yield Finding("permissions", folder, fault, remedy, Repair.MODE, paths=tuple(open_to_others))
        if foreign:
            fault = f"another user owns {_names(folder, foreign)}"
            yield Finding("permissions", folder, fault, "give them to the owner of the home with chown")


def _folders(home: Path) -> Iterator[tuple[Path, list[Path]]]:
    """Yield each folder of Unify with its entries; the home itself is one of its own."""
    for place, folders, names in os.walk(home):
        folder = Path(place)
        entries = [folder / name for name in sorted((*folders, *names))]
        if folder == home:
            folders[:] = [name for name in folders if name in OWN_FOLDERS]
            own = (*folders, *(name for name in names if name.startswith(OWN_FILES)))
            entries = [home, *(folder / name for name in sorted(own))]
        yield folder, entries


def _names(folder: Path, paths: list[Path]) -> str:
    rest = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return ", ".join("this folder" if path == folder else path.name for path in paths[:3]) + rest
