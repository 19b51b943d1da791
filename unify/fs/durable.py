"""Files on the disk before anybody is told that they are: fsync where the system would take its time.

DuckDB writes Parquet files without fsync while SQLite syncs the catalog that names them (seen with
strace, DuckDB 1.5.5): after a power cut the catalog could name a file that is empty.

What DuckDB writes into the lake is its owner's alone; what it writes elsewhere heeds the umask.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from unify.fs.failpoints import failpoint

FILE_TIME_RESOLUTION_NS = 1_100_000_000  # the coarsest file times still in use are whole seconds


def new_files_since_ns() -> int:
    """The moment from which on files count as new."""
    return time.time_ns() - FILE_TIME_RESOLUTION_NS


def fsync_path(path: Path) -> None:
    """Have a file's content, or a folder's entries, on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_new_files(folder: Path, since_ns: int) -> None:
    """Sync every file below ``folder`` written since then, and the folders that got one."""
    for changed in _changed_folders(folder, since_ns):
        for entry in os.scandir(changed):
            if entry.is_file(follow_symlinks=False) and entry.stat().st_mtime_ns >= since_ns:
                fsync_path(Path(entry.path))
        fsync_path(changed)


def _changed_folders(folder: Path, since_ns: int) -> Iterator[Path]:
    """``folder`` and those below it in which something appeared or vanished since then."""
    for place, _, _ in os.walk(folder):
        if os.stat(place).st_mtime_ns >= since_ns:
            yield Path(place)


def atomic_write(path: Path, data: bytes) -> None:
    """Write a small file so that it is there whole or not at all, readable by nobody else."""
    temporary = path.with_name(path.name + ".new")
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    failpoint("durable.before_rename")
    temporary.replace(path)
    fsync_path(path.parent)


@contextmanager
def private_umask() -> Iterator[None]:
    """Files and folders made within the block have mode 0600 and 0700: those of every thread, for so long."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def create_private_file(path: Path) -> None:
    """Make an empty file of mode 0600, unless there is one.

    One that is there is not opened: closing it would drop the locks that SQLite holds on it in this
    process. Then whoever else closes the database takes its WAL away under us, and what we write is lost.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return
