"""The staging folder: the files of a load, complete on disk before it is published.

``staging/UID/ATTEMPT/`` belongs to one attempt of one job. Its manifest is written last, by rename: a folder
with a manifest holds a complete load. One without has at most a checkpoint, see ``checkpoint``;
``staging/kept/`` has those of jobs that failed.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Protocol

import msgspec
from msgspec import Struct, field

from unify.errors import StoreError
from unify.fs import durable
from unify.fs.failpoints import failpoint
from unify.lake.table_layouts import TableLayout
from unify.load.checkpoint import PREVIOUS, PROGRESS, find_checkpoint, remove_other_files
from unify.model import Column

MANIFEST = "manifest.json"
KEPT = "kept"  # the folder of checkpoints of jobs that ended
STRATEGIES = ("reload", "append", "merge", "merge_delete")


class JobAttempt(Protocol):
    """One attempt of a job: a LoaderJob or a LoadTask."""

    @property
    def uid(self) -> str: ...
    @property
    def attempt(self) -> int: ...


class Job(JobAttempt, Protocol):
    """A job: a LoaderJob."""

    @property
    def id(self) -> int: ...
    @property
    def created_at(self) -> datetime: ...


class Manifest(Struct, frozen=True):
    """The contents of a staged load.

    ``files``     names of Parquet files in the attempt's folder, in the order of arrival; missing
                  columns are NULL.
    ``columns``   all columns in the table's order, with the types they are to have.
    ``declared``  names of those whose type the spec declares: on a reload it wins over the stored one.
    ``key``       names of the columns that identify a row; empty: none.
    ``strategy``  one of STRATEGIES.
    ``complete``  every row the source has was read: only then may merge_delete drop unseen keys.
    ``cursors``   the new incremental state, by scope; ``cursor_column`` decides which of two rows
                  with one key is the younger.
    ``discarded_file`` Parquet with the rows that could not be stored: scope, column, value, reason, row.
    ``notes``     how the source was read, for ``unify.loads.reason``.
    ``may_shrink`` it is published even if it has lost most rows or columns.
    ``full``      a refresh that read everything because of ``refresh.reload``.
    ``tombstones`` rows with these values, by column, delete the stored rows of their key.
    ``removed``   stored rows with these texts, by column, are deleted, and staged ones are not stored.
    ``replaced``  stored rows with these texts, by column, are deleted before the staged ones are stored.
    ``nulled``    values in ``discarded_file`` whose rows are stored, with NULL instead.
    ``key_file``  Parquet with the keys of all rows of the source, for merge_delete; "": ``files`` have them.
    ``key_rows``  the number of its rows.
    ``is_whole_schema`` the source has these columns only: a reload drops other ones.
    ``is_whole_state``  ``cursors`` replaces the state of earlier loads.
    ``based_on``  uid of the published load whose cursor this one started from; "": read from the beginning.
    """

    files: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: int
    strategy: str = "reload"
    discarded: int = 0
    cursors: Mapping[str, str] = field(default_factory=dict)
    requests: int = 0
    bytes: int = 0
    seconds: float = 0.0
    key: tuple[str, ...] = ()
    description: str = ""
    declared: tuple[str, ...] = ()
    complete: bool = True
    cursor_column: str = ""
    based_on: str = ""
    discarded_file: str = ""
    notes: tuple[str, ...] = ()
    full: bool = False
    may_shrink: bool = False
    tombstones: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    removed: tuple[Mapping[str, str], ...] = ()
    layout: TableLayout = field(default_factory=TableLayout)
    replaced: tuple[Mapping[str, str], ...] = ()
    nulled: int = 0
    key_file: str = ""
    key_rows: int = 0
    is_whole_schema: bool = False
    is_whole_state: bool = False


class StagedLoad(Struct, frozen=True):
    """A committed attempt."""

    folder: Path
    manifest: Manifest

    @property
    def discarded_path(self) -> Path | None:
        """The file of discarded rows."""
        name = self.manifest.discarded_file
        return self.folder / name if name else None

    @property
    def key_path(self) -> Path | None:
        """The file of the keys of all rows."""
        name = self.manifest.key_file
        return self.folder / name if name else None

    @property
    def file_paths(self) -> tuple[Path, ...]:
        return tuple(self.folder / name for name in self.manifest.files)


class StagingArea:
    """The staging folder of one home."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def attempt_folder(self, job: JobAttempt) -> Path:
        """Return the folder of this attempt of ``job``."""
        return self.folder / job.uid / str(job.attempt)

    def create_attempt_folder(self, job: Job) -> Path:
        """Create the folder of this attempt; earlier contents are removed.

        What the attempt before has read is moved into it, to ``checkpoint.PREVIOUS``: an earlier attempt that
        is still alive has no folder any more. Before the first attempt after ``system retry``, that is what
        ``keep_checkpoint`` has kept.
        """
        folder = self.attempt_folder(job)
        with _translate_os_errors(folder):
            durable.remove_tree(folder)
            folder.mkdir(mode=0o700, parents=True)
            before = _last_checkpoint(folder.parent) or self._kept_folder(job)
            if before.exists():
                _take_checkpoint(before, folder / PREVIOUS)
        return folder

    def has_progress(self, job: JobAttempt) -> bool:
        """Return whether this attempt has read pages that the next one need not read."""
        return (self.attempt_folder(job) / PROGRESS).exists()

    def keep_checkpoint(self, job: Job) -> None:
        """Keep what the attempts of a job that ended have read, for ``system retry``."""
        attempt = _last_checkpoint(self.folder / job.uid)
        kept = self._kept_folder(job)
        with _translate_os_errors(kept):
            if attempt is not None:
                kept.parent.mkdir(mode=0o700, exist_ok=True)
                shutil.rmtree(kept, ignore_errors=True)
                _take_checkpoint(attempt, kept)

    def remove_kept_checkpoints(self, older_than: datetime) -> None:
        """Remove what ``keep_checkpoint`` has kept since before ``older_than``."""
        for kept in (self.folder / KEPT).glob("*"):
            with _translate_os_errors(kept):
                if kept.stat().st_mtime < older_than.timestamp():
                    durable.remove_tree(kept)

    def _kept_folder(self, job: Job) -> Path:
        """Return the folder for the job, whatever its ``uid``; another queue may have the same ``id``."""
        return self.folder / KEPT / f"{job.id}-{job.created_at.timestamp():.6f}"

    def find_staged_load(self, job: JobAttempt) -> StagedLoad | None:
        """Return the load of this attempt, or None if it is not committed."""
        folder = self.attempt_folder(job)
        return StagedLoad(folder, read_manifest(folder)) if (folder / MANIFEST).is_file() else None

    def remove_attempts(self, job: JobAttempt) -> None:
        """Remove the folders of every attempt of ``job``."""
        folder = self.folder / job.uid
        with _translate_os_errors(folder):
            durable.remove_tree(folder)

    def remove_other_jobs(self, uids: Collection[str]) -> list[Path]:
        """Remove the folders of every job that is not in ``uids``; return them."""
        if not self.folder.exists():
            return []
        with _translate_os_errors(self.folder):
            removed = [each for each in sorted(self.folder.iterdir()) if each.name not in (KEPT, *uids)]
            for folder in removed:
                durable.remove_tree(folder)
        return removed

    def remove_orphaned_attempts(self, owned: Collection[tuple[str, int]]) -> list[Path]:
        """Remove the attempts that are not in ``owned``, by (uid, attempt); return their folders."""
        removed: list[Path] = []
        if not self.folder.exists():
            return removed
        with _translate_os_errors(self.folder):
            for folder in sorted(self.folder.glob("*/*")):
                if (
                    folder.parent.name != KEPT
                    and (folder.parent.name, _attempt_number(folder.name)) not in owned
                ):
                    durable.remove_tree(folder)
                    removed.append(folder)
            for parent in self.folder.iterdir():
                if parent.is_dir() and not any(parent.iterdir()):
                    parent.rmdir()
        return removed


def commit_staged_load(folder: Path, manifest: Manifest) -> StagedLoad:
    """Commit a staged load: sync every file, then write the manifest by rename, then sync the folder."""
    _check_manifest(folder, manifest)
    with _translate_os_errors(folder):
        for name in _file_names(manifest):
            durable.fsync_path(folder / name)
        failpoint("staging.before_manifest")
        durable.atomic_write(folder / MANIFEST, msgspec.json.encode(manifest))
        durable.fsync_path(folder.parent)
        failpoint("staging.sealed")
    return StagedLoad(folder, manifest)


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest in ``folder``. Raises StoreError if it is invalid."""
    path = folder / MANIFEST
    with _translate_os_errors(path):
        data = durable.read_regular_file(path)
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StoreError(f"{path}: not a manifest ({error}); the load has to be fetched again") from error
    _check_manifest(folder, manifest)
    return manifest


def _check_manifest(folder: Path, manifest: Manifest) -> None:
    if manifest.strategy not in STRATEGIES:
        raise StoreError(f"{folder}: unknown strategy {manifest.strategy!r}")
    for name in _file_names(manifest):
        if Path(name).name != name or name in ("", ".", ".."):
            raise StoreError(f"{folder}: {name!r} is not the name of a file in this folder")
        if not (folder / name).is_file():
            raise StoreError(f"{folder / name}: is missing; the load has to be fetched again")


def _file_names(manifest: Manifest) -> tuple[str, ...]:
    return (*manifest.files, *filter(None, (manifest.discarded_file, manifest.key_file)))


def _last_checkpoint(job: Path) -> Path | None:
    """Return the folder of the last attempt that has a checkpoint, or None."""
    attempts = sorted(job.glob("*"), key=lambda each: _attempt_number(each.name), reverse=True)
    return next((each for each in attempts if find_checkpoint(each) is not None), None)


def _take_checkpoint(attempt: Path, target: Path) -> None:
    """Move the checkpoint of ``attempt`` to ``target``, and remove the rest."""
    found = find_checkpoint(attempt)
    if found is not None:
        found.rename(target)
        shutil.rmtree(attempt, ignore_errors=found == attempt)
        remove_other_files(target)


def _attempt_number(name: str) -> int:
    return int(name) if name.isdecimal() else -1


@contextmanager
def _translate_os_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"{error.filename or path}: cannot be written ({error.strerror})") from error
