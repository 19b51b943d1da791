"""A reload without writing the rows a second time: the staged files themselves become the table's.

They are linked into the lake's folder and registered there, in the same transaction as the rest. The
staged names stay, so that a crash before the commit loses nothing; what it leaves in the lake's folder
is an orphan that the upkeep removes. Where anything does not fit, the rows are copied instead.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from unify.loading.evolution import Target
from unify.model import TableName
from unify.store.duck import literal
from unify.store.failpoints import failpoint

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

FEW_FILES = 8
SMALL_BYTES = 1_000_000  # many files below this size make queries slow: copying puts them together

_SIMPLE_NAME = re.compile(r"[A-Za-z0-9_-]+")  # what DuckLake uses as a folder's name as it is


def adopt(
    connection: DuckDBPyConnection,
    table: TableName,
    plan: Sequence[Target],
    paths: Sequence[Path],
    data_path: Path,
) -> bool:
    """Give an empty ``table`` the staged files as they are; False, with nothing done, if they do not fit."""
    if not _fits(connection, table, plan, paths):
        return False
    folder = data_path / table.schema / table.table
    linked = _linked(paths, folder)
    if not linked:
        return False
    failpoint("publish.linked")
    for path in linked:
        connection.execute(
            f"CALL ducklake_add_data_files('lake', {literal(table.table)}, {literal(os.fspath(path))}, "
            f"schema => {literal(table.schema)})"
        )
    return True


def _fits(
    connection: DuckDBPyConnection, table: TableName, plan: Sequence[Target], paths: Sequence[Path]
) -> bool:
    """Whether the files hold exactly the columns of the plan, and are worth keeping as they are."""
    if not paths or not all(_SIMPLE_NAME.fullmatch(name) for name in (table.schema, table.table)):
        return False
    if len(paths) > FEW_FILES and sum(path.stat().st_size for path in paths) < SMALL_BYTES * len(paths):
        return False
    wanted = {column.name: column.type for column in plan}
    return all(_columns(connection, path) == wanted for path in paths)


def _columns(connection: DuckDBPyConnection, path: Path) -> dict[str, str]:
    rows = connection.execute(f"DESCRIBE FROM read_parquet({literal(os.fspath(path))})").fetchall()
    return {row[0]: row[1] for row in rows}


def _linked(paths: Sequence[Path], folder: Path) -> list[Path]:
    """Second names for the files in the lake's folder; none where the file systems do not allow it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    linked: list[Path] = []
    try:
        for path in paths:
            link = folder / f"unify-{uuid.uuid4()}.parquet"
            link.hardlink_to(path)
            linked.append(link)
    except OSError:  # another file system, or one without links: the rows are copied instead
        for link in linked:
            link.unlink()
        return []
    return linked
