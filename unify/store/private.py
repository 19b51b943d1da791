"""What DuckDB writes into the lake is its owner's alone; what it writes elsewhere heeds the umask."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def private_files() -> Iterator[None]:
    """Files and folders made within the block have mode 0600 and 0700: those of every thread, for so long."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def make_file(path: Path) -> None:
    """Make an empty file of mode 0600, unless there is one.

    One that is there is not opened: closing it would drop the locks that SQLite holds on it in this
    process. Then whoever else closes the database takes its WAL away under us, and what we write is lost.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return
