"""The one place where DuckDB is opened and configured, and where names and values become SQL text.

The rows of a SELECT as Python's plain values: what a table is asked for each of.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from unify.engine.types import quote_identifier as quoted
from unify.errors import StoreError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


EXTENSIONS = ("sqlite_scanner", "ducklake")  # in the order they are loaded

# Nothing is fetched from the network behind a statement's back, and no Python variable of ours
# becomes a table because a query happens to use its name.
DUCKDB_CONFIG: Mapping[str, str] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
}


def quote_literal(text: str) -> str:
    """``text`` as a string constant, for statements that take no parameters (ATTACH, COMMENT, SET)."""
    if "\0" in text:
        raise StoreError("a text with a NUL character cannot be part of a statement")
    return "'" + text.replace("'", "''") + "'"


def open_database(config: Mapping[str, str | int | bool] = DUCKDB_CONFIG) -> DuckDBPyConnection:
    """An in-memory DuckDB that draws no progress of its own.

    It takes whatever ``python -c`` runs, which is how workers start, for a person at a terminal.
    """
    import duckdb  # 50 ms: not before the first statement needs it

    connection = duckdb.connect(config={**config})
    connection.execute("SET enable_progress_bar = false")  # cursors inherit it; it is no global option
    return connection


def connect(
    *, temp_folder: Path | None = None, notice: Callable[[str], None] | None = None
) -> DuckDBPyConnection:
    """An in-memory DuckDB with the extensions the lake needs, which takes no unsigned one from then on.

    ``temp_folder``  where it spills what does not fit into memory; its own choice is the working folder.
    ``notice``       is told when an extension has to be downloaded, because no wheel carries it here.

    The files of the wheels are loaded without DuckDB's look at their signature, which costs every process
    0.14 s of CPU a file (0.6 ms without). They lie in the environment beside DuckDB's own library, which
    nobody looks at: whoever can replace them can replace that. What is downloaded, or named by a user's
    LOAD, is looked at as ever.
    """
    import duckdb

    wheels = {name: extension_path(name, duckdb.__version__) for name in EXTENSIONS}
    trusted = all(wheels.values())
    config: dict[str, str | int | bool] = {**DUCKDB_CONFIG, "allow_unsigned_extensions": trusted}
    if temp_folder is not None:
        config["temp_directory"] = str(temp_folder)
    connection = open_database(config)
    try:
        for name, path in wheels.items():
            load_extension(connection, name, path, notice)
        if trusted:
            connection.execute("SET allow_unsigned_extensions = false")  # DuckDB refuses to set it back
    except BaseException:
        connection.close()
        raise
    return connection


def load_extension(
    connection: DuckDBPyConnection,
    name: str,
    path: Path | None,
    notice: Callable[[str], None] | None = None,
) -> None:
    """Load an extension from its wheel's file; where there is none, through DuckDB's INSTALL."""
    import duckdb

    try:
        if path is not None:
            connection.execute(f"LOAD {quote_literal(os.fspath(path))}")
            return
        if notice is not None:
            notice(f"no package carries DuckDB's extension {name} for this platform: using DuckDB's download")
        connection.execute(f"INSTALL {name}")
        connection.execute(f"LOAD {name}")
    except duckdb.Error as error:
        raise StoreError(
            f"DuckDB's extension {name} cannot be loaded: {error}; "
            f"install the package duckdb-extension-{name.replace('_', '-')}=={duckdb.__version__}"
        ) from error


def extension_path(name: str, version: str) -> Path | None:
    """The extension file that came with the wheel ``duckdb_extension_NAME``, or None."""
    spec = importlib.util.find_spec(f"duckdb_extension_{name}")
    if spec is None:
        return None
    for folder in spec.submodule_search_locations or ():
        path = Path(folder) / "extensions" / f"v{version}" / f"{name}.duckdb_extension"
        if path.is_file():
            return path
    return None


NATIVE_TYPES = ("BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "FLOAT", "DOUBLE", "VARCHAR")


def fetch_distinct_rows(
    connection: DuckDBPyConnection, query: str
) -> Sequence[Mapping[str, str | int | float | bool | None]]:
    """The distinct rows of ``query`` in a fixed order: plain values, and DuckDB's text of others."""
    described = connection.execute(f"DESCRIBE SELECT * FROM (\n{query}\n) AS parents").fetchall()
    names = [str(row[0]) for row in described]
    chosen = ", ".join(_select_item(str(row[0]), str(row[1])) for row in described)
    found = connection.execute(f"SELECT DISTINCT {chosen} FROM (\n{query}\n) AS parents ORDER BY ALL")
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _select_item(name: str, kind: str) -> str:
    column = f"parents.{quoted(name)}"
    return column if kind in NATIVE_TYPES else f"CAST({column} AS VARCHAR) AS {quoted(name)}"
