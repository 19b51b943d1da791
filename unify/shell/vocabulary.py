"""What completion knows besides names: SQL's functions, and the files of this machine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

MOST_FILES = 200


@cache
def functions() -> Sequence[str]:
    """The functions DuckDB comes with, those with plain names; 30 ms at the first call."""
    import duckdb

    from unify.store.duck import CONFIG

    with duckdb.connect(config=dict(CONFIG)) as connection:
        rows = connection.execute(
            "SELECT DISTINCT function_name FROM duckdb_functions() "
            "WHERE regexp_full_match(function_name, '[a-z][a-z0-9_]*') ORDER BY ALL"
        ).fetchall()
    return tuple(str(name) for (name,) in rows)


def files(begun: str) -> Sequence[str]:
    """Paths that begin as ``begun`` does, as they stand within single quotes; folders end in a slash.

    Hidden files only where their dot is typed. A folder that cannot be read has none.
    """
    folder, name = os.path.split(begun.replace("''", "'"))
    try:
        there = sorted(os.scandir(Path(folder or ".").expanduser()), key=lambda entry: entry.name)
    except OSError:
        return ()
    fitting = [
        entry
        for entry in there
        if entry.name.lower().startswith(name.lower())
        and (name.startswith(".") or not entry.name.startswith("."))
        and entry.name.isprintable()
    ]
    return [_written(folder, entry) for entry in fitting[:MOST_FILES]]


def _written(folder: str, entry: os.DirEntry[str]) -> str:
    slash = "/" if entry.is_dir() else ""
    return (os.path.join(folder, entry.name) + slash).replace("'", "''")
