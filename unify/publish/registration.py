"""Registers staged Parquet files as files of a table: hard links in the lake's folder, no row is copied.

The staged names stay, so a crash before the commit loses nothing; maintenance removes the links that it
leaves.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from unify.engine.connection import quote_literal
from unify.fs.failpoints import failpoint
from unify.model import TableName
from unify.publish.schema_evolution import TargetColumn

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MAX_REGISTERED_FILES = 8
SMALL_FILE_BYTES = 1_000_000  # many files below this size make queries slow: copying puts them together

_PLAIN_FOLDER_NAME = re.compile(r"[A-Za-z0-9_-]+")  # names that DuckLake uses as folder names


def register_staged_files(
    connection: DuckDBPyConnection,
    table: TableName,
    target_columns: Sequence[TargetColumn],
    paths: Sequence[Path],
    data_path: Path,
) -> bool:
    """Add the staged files unchanged to an empty ``table``; False, with nothing done, if they do not fit."""
    if not _can_register(connection, table, target_columns, paths):
        return False
    folder = data_path / table.schema / table.table
    linked = _hard_link_files(paths, folder)
    if not linked:
        return False
    failpoint("publish.linked")
    for path in linked:
        connection.execute(
            f"CALL ducklake_add_data_files('lake', {quote_literal(table.table)}, "
            f"{quote_literal(os.fspath(path))}, "
            f"schema => {quote_literal(table.schema)})"
        )
    return True


def _can_register(
    connection: DuckDBPyConnection,
    table: TableName,
    target_columns: Sequence[TargetColumn],
    paths: Sequence[Path],
) -> bool:
    """Return whether the files have exactly the target columns, and are not too many or too small."""
    if not paths or not all(_PLAIN_FOLDER_NAME.fullmatch(name) for name in (table.schema, table.table)):
        return False
    if len(paths) > MAX_REGISTERED_FILES and sum(
        path.stat().st_size for path in paths
    ) < SMALL_FILE_BYTES * len(paths):
        return False
    wanted = {column.name: column.type for column in target_columns}
    return all(_file_columns(connection, path) == wanted for path in paths)


def _file_columns(connection: DuckDBPyConnection, path: Path) -> dict[str, str]:
    rows = connection.execute(f"DESCRIBE FROM read_parquet({quote_literal(os.fspath(path))})").fetchall()
    return {row[0]: row[1] for row in rows}


def _hard_link_files(paths: Sequence[Path], folder: Path) -> list[Path]:
    """Hard-link the files into the lake's folder; return no links if the file systems do not allow it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    linked: list[Path] = []
    try:
        for path in paths:
            link = folder / f"unify-{uuid.uuid4()}.parquet"
            link.hardlink_to(path)
            linked.append(link)
    except OSError:  # another file system, or one without links
        for link in linked:
            link.unlink()
        return []
    return linked
