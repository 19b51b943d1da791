"""Copies of SQLite files as of one commit, while other processes write to them.

Everything is read from a copy: closing a connection to a file drops the locks that DuckDB holds on it in this
process (lake/lake.py).
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

BUSY_TIMEOUT_S = 10.0
MAX_INTEGRITY_ERRORS = 3


def copy_database(source: Path, target: Path) -> None:
    """Copy ``source`` as of its last commit to the new file ``target``, with mode 0600.

    Raises:
        sqlite3.DatabaseError: it is not a database, or damaged so that it cannot be copied.
        OSError: it cannot be read.
    """
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    if not os.access(source.parent, os.W_OK):  # SQLite reads a WAL only where it can write
        for suffix in ("", "-wal"):
            if (part := source.with_name(source.name + suffix)).exists():
                shutil.copyfile(part, target.with_name(target.name + suffix))
        source = target
    with closing(_open_read_only(source)) as connection:
        if source == target:
            return
        with closing(sqlite3.connect(target)) as copy:
            connection.backup(copy)


def open_copy(path: Path) -> sqlite3.Connection:
    """Open a copy for reading."""
    connection = _open_read_only(path)
    connection.row_factory = sqlite3.Row
    return connection


def integrity_error(path: Path) -> str:
    """Return what SQLite finds wrong with a copy; "" if it is intact."""
    try:
        with closing(_open_read_only(path)) as connection:
            rows = connection.execute(f"PRAGMA integrity_check({MAX_INTEGRITY_ERRORS})").fetchall()
    except sqlite3.DatabaseError as error:
        return str(error)
    errors = [str(row[0]).replace("\n", " ") for row in rows if row[0] != "ok"]
    return "; ".join(errors[:MAX_INTEGRITY_ERRORS])


def _open_read_only(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(os.fspath(path))}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_S)
