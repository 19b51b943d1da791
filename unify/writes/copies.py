"""The copy of writes.db in a backup: it must not send what the original sends."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from unify.fs.sqlite import read_sql_sections
from unify.writes.database import STATEMENTS_FILE

_STATEMENTS = ("put_unknown_rows", "cancel_open", "cancel_planned", "end_open_rows", "forget_open_rows")


def end_open_writes(path: Path) -> None:
    """End the writes of a copy that are to be sent, or wait for approval."""
    sections = read_sql_sections(STATEMENTS_FILE)
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in _STATEMENTS:
            connection.execute(sections[statement])
