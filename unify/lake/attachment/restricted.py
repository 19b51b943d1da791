"""A DuckDB connection that can reach the files of the lake and nothing else, for SQL from outside a shell.

It does not have the extension of SQLite: ``sqlite_scan`` and ``ATTACH … (TYPE sqlite)`` open any file,
whatever ``enable_external_access`` says. The catalog is therefore a copy that DuckDB itself reads. Extensions
cannot be loaded, databases and files outside the folders of the lake cannot be opened, and the configuration
is locked.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from unify.engine.connection import quote_literal
from unify.lake.protocols import CATALOG

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

RESTRICTED_EXTENSIONS = ("ducklake",)
MAX_SPILL = "4GB"  # of all statements of one connection


def attach_copy(connection: DuckDBPyConnection, catalog: Path, data_path: Path) -> None:
    """Attach the copy of a catalog that ``catalog_copy.copy_to_duckdb`` made, and use it."""
    connection.execute(
        f"ATTACH {quote_literal(f'ducklake:{catalog}')} AS {CATALOG} "
        f"(READ_ONLY, DATA_PATH {quote_literal(os.fspath(data_path))}, OVERRIDE_DATA_PATH true)"
    )
    connection.execute(f"USE {CATALOG}")


def restrict_connection(
    connection: DuckDBPyConnection, folders: Sequence[Path], memory_bytes: int | None = None
) -> None:
    """Restrict a connection, and its cursors, to the files in ``folders``, irrevocably."""
    if memory_bytes is not None:
        connection.execute(f"SET memory_limit = '{memory_bytes:d}B'")
        connection.execute(f"SET max_temp_directory_size = '{MAX_SPILL}'")
    own = ", ".join(quote_literal(os.fspath(folder)) for folder in folders)
    connection.execute(f"SET allowed_directories = [{own}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
