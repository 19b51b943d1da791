"""Opening and configuring DuckDB, loading its extensions, and quoting SQL literals."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from unify.engine.types import quote_identifier as quoted
from unify.errors import ConfigError, StoreError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


EXTENSIONS = ("sqlite_scanner", "ducklake")  # in load order

# No implicit downloads, and no Python variables as tables.
DUCKDB_CONFIG: Mapping[str, str] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
}


def quote_literal(text: str) -> str:
    """Quote ``text`` as a string literal, for statements without parameters (ATTACH, COMMENT, SET)."""
    if "\0" in text:
        raise StoreError("a text with a NUL character cannot be part of a statement")
    return "'" + text.replace("'", "''") + "'"


def open_database(config: Mapping[str, str | int | bool] = DUCKDB_CONFIG) -> DuckDBPyConnection:
    """Open an in-memory DuckDB without its progress bar.

    DuckDB takes a process started with ``python -c``, such as a worker, for an interactive session.
    """
    from unify.engine import duckdb  # 50 ms: imported by the first statement

    connection = duckdb.connect(config={**config})
    # In Jupyter without ipywidgets, DuckDB shows no progress bar and refuses to change the setting.
    if connection.execute("SELECT current_setting('enable_progress_bar')").fetchone() != (False,):
        connection.execute("SET enable_progress_bar = false")  # a session option that cursors inherit
    return connection


def connect(
    *,
    temp_folder: Path | None = None,
    threads: int | None = None,
    notice: Callable[[str], None] | None = None,
    extensions: Sequence[str] = EXTENSIONS,
) -> DuckDBPyConnection:
    """Open an in-memory DuckDB with the extensions of the lake; unsigned ones are refused afterwards.

    ``temp_folder``  where DuckDB spills; its default is the working folder.
    ``threads``      how many DuckDB uses until ``RESET threads``; its default is one for each core.
    ``notice``       called if an extension has to be downloaded because no wheel has it.

    Extension files of the wheels are loaded without checking their signature, which would cost each process
    0.14 s of CPU per file (0.6 ms without). They are installed beside DuckDB's own library, which is not
    checked either. Downloaded extensions and those of a user's LOAD are checked.
    """
    from unify.engine import duckdb

    wheels = {name: extension_path(name, duckdb.__version__) for name in extensions}
    trusted = all(wheels.values())
    config: dict[str, str | int | bool] = {**DUCKDB_CONFIG, "allow_unsigned_extensions": trusted}
    if temp_folder is not None:
        config["temp_directory"] = str(temp_folder)
    if threads is not None:
        config["threads"] = threads
    connection = open_database(config)
    try:
        for name, path in wheels.items():
            load_extension(connection, name, path, notice)
        if trusted:
            connection.execute("SET allow_unsigned_extensions = false")  # cannot be set back
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
    """Load an extension from its wheel, or with DuckDB's INSTALL if there is none."""
    from unify.engine import duckdb

    try:
        if path is not None:
            connection.execute(f"LOAD {quote_literal(os.fspath(path))}")
            return
        if notice is not None:
            notice(f"no package has DuckDB's extension {name} for this platform; DuckDB downloads it")
        connection.execute(f"INSTALL {name}")
        connection.execute(f"LOAD {name}")
    except duckdb.Error as error:
        raise StoreError(
            f"DuckDB's extension {name} cannot be loaded: {error}; "
            f"install the package duckdb-extension-{name.replace('_', '-')}=={duckdb.__version__}"
        ) from error


def load_optional_extension(connection: DuckDBPyConnection, name: str, extra: str, purpose: str) -> None:
    """Load the extension of an optional wheel, whose signature DuckDB checks. It is never downloaded.

    ``purpose``  what needs it, the start of the message: ``Avro files``.
    Raises ConfigError that names the extra of this package.
    """
    from unify.engine import duckdb

    path = extension_path(name, duckdb.__version__)
    if path is None:
        raise ConfigError(f"{purpose} need DuckDB's extension {name}; run pip install 'unify-sql[{extra}]'")
    load_extension(connection, name, path)


def extension_path(name: str, version: str) -> Path | None:
    """Return the extension file of the wheel ``duckdb_extension_NAME``, or None."""
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
    """Return the distinct rows of ``query`` in a fixed order; other types than NATIVE_TYPES as text."""
    described = connection.execute(f"DESCRIBE SELECT * FROM (\n{query}\n) AS parents").fetchall()
    names = [str(row[0]) for row in described]
    chosen = ", ".join(_select_item(str(row[0]), str(row[1])) for row in described)
    found = connection.execute(f"SELECT DISTINCT {chosen} FROM (\n{query}\n) AS parents ORDER BY ALL")
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _select_item(name: str, kind: str) -> str:
    column = f"parents.{quoted(name)}"
    return column if kind in NATIVE_TYPES else f"CAST({column} AS VARCHAR) AS {quoted(name)}"
