"""SQLite files: named SQL statements, schema versions, moments, and messages for their errors.

SQL is kept in files of sections that begin with ``-- name: NAME``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

_SECTION_PREFIX = "-- name: "


@cache
def read_sql_sections(file: Path) -> Mapping[str, str]:
    """Return the sections of ``file``, in order. Text before the first one is a comment."""
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in file.read_text("utf-8").splitlines():
        if line.startswith(_SECTION_PREFIX):
            current = found.setdefault(line.removeprefix(_SECTION_PREFIX).strip(), [])
        else:
            current.append(line)
    return {name: "\n".join(lines).strip() for name, lines in found.items()}


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_micros(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def to_micros_or_none(moment: datetime | None) -> int | None:
    return None if moment is None else to_micros(moment)


def from_micros_or_none(micros: int | None) -> datetime | None:
    return None if micros is None else from_micros(micros)


def from_micros(micros: int) -> datetime:
    """Return the moment; one outside the range of ``datetime`` becomes its nearest end."""
    try:
        return _EPOCH + timedelta(microseconds=micros)
    except OverflowError:
        return (datetime.max if micros > 0 else datetime.min).replace(tzinfo=UTC)


def schema_version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def migrate(connection: sqlite3.Connection, schema: Path) -> int:
    """Migrate to the newest version of ``schema``, one transaction a version; return the version before.

    The sections of ``schema`` are called by their version: 1, 2 …
    """
    connection.execute("PRAGMA journal_mode = WAL")
    before = schema_version(connection)
    for number, script in read_sql_sections(schema).items():
        connection.execute("BEGIN IMMEDIATE")
        try:
            if schema_version(connection) < int(number):
                for statement in script.split(";\n"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {int(number)}")
            connection.execute("COMMIT")
        except BaseException:
            roll_back(connection)
            raise
    return before


def roll_back(connection: sqlite3.Connection) -> None:
    """Roll back an open transaction; a full disk may have rolled it back already."""
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def is_corruption(error: sqlite3.DatabaseError) -> bool:
    """Whether the file is damaged, or not a SQLite database."""
    code: int | None = getattr(error, "sqlite_errorcode", None)  # None: raised by a caller of this module
    return code in (None, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def error_text(error: sqlite3.DatabaseError) -> str:
    """Return the error for a message about its file."""
    text = str(error)
    if "full" in text or "I/O" in text:
        return f"the disk is full or failing; free space and try again ({text})"
    if "readonly" in text:
        return f"read-only for this user ({text})"
    if "unable to open" in text:
        return f"cannot be opened by this user ({text})"
    return text
