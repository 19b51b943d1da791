"""Durable and private files: fsync, atomic writes, owner-only modes.

DuckDB writes Parquet files without fsync, while SQLite syncs the catalog that names them (seen with
strace, DuckDB 1.5.5). After a power failure the catalog could name an empty file.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

from unify.fs.failpoints import failpoint

FILE_TIME_RESOLUTION_NS = 1_100_000_000  # file systems with a resolution of whole seconds are in use


def new_files_since_ns() -> int:
    """Return the time from which files count as new."""
    return time.time_ns() - FILE_TIME_RESOLUTION_NS


def fsync_path(path: Path) -> None:
    """Flush the content of a file, or the entries of a folder, to disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_tree(folder: Path) -> None:
    """Remove a folder with all it has; other threads and processes may be removing it, too."""
    while folder.exists():
        with suppress(FileNotFoundError):  # another one removed an entry first
            import shutil  # 2 ms at the start of each process

            shutil.rmtree(folder)


def fsync_new_files(folder: Path, since_ns: int) -> list[Path]:
    """Flush the files below ``folder`` written or linked since ``since_ns``, and their folders.

    Return the files.
    """
    files = []
    for changed in _changed_folders(folder, since_ns):
        for entry in os.scandir(changed):
            if entry.is_file(follow_symlinks=False) and entry.stat().st_ctime_ns >= since_ns:
                files.append(Path(entry.path))
                fsync_path(files[-1])
        fsync_path(changed)
    return files


def _changed_folders(folder: Path, since_ns: int) -> Iterator[Path]:
    """Yield the folders whose entries changed since ``since_ns``."""
    for place, _, _ in os.walk(folder):
        if os.stat(place).st_mtime_ns >= since_ns:
            yield Path(place)


def atomic_write(path: Path, data: bytes) -> None:
    """Write a small file atomically and durably, with mode 0600."""
    temporary = path.with_name(path.name + ".new")
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    failpoint("durable.before_rename")
    temporary.replace(path)
    fsync_path(path.parent)


def read_regular_file(path: Path) -> bytes:
    """Return the content of a file. Raises OSError for a pipe or device, which could block for ever."""
    with open_regular_file(path) as file:
        return file.read()


@contextmanager
def open_regular_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading. Raises OSError as ``read_regular_file`` does."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", str(path))
        yield file


class FileAttributes(Struct, frozen=True):
    """Mode and owner of a file. ``owner``: uid and gid; None: those of this process."""

    mode: int
    owner: tuple[int, int] | None = None

    @classmethod
    def of(cls, path: Path) -> FileAttributes:
        """Return the attributes of ``path``, or those that a new file would get."""
        try:
            status = path.stat()
        except FileNotFoundError:
            umask = os.umask(0o077)
            os.umask(umask)
            return cls(0o666 & ~umask)
        return cls(stat.S_IMODE(status.st_mode), (status.st_uid, status.st_gid))

    def apply(self, path: Path) -> None:
        """Give them to ``path``, as far as this user may: others' files stay one's own."""
        if self.owner is not None:
            for uid, gid in (self.owner, (-1, self.owner[1])):
                with suppress(PermissionError):
                    os.chown(path, uid, gid)
                    break
        path.chmod(self.mode)


@contextmanager
def private_umask() -> Iterator[None]:
    """Create files with mode 0600 and folders with 0700 within the block, in all threads."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def create_private_file(path: Path) -> None:
    """Create an empty file of mode 0600 if it does not exist.

    An existing file is not opened: closing it would drop the locks SQLite holds on it in this process, and
    another process could then delete the WAL in use.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return
