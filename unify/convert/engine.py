"""The DuckDB database of a conversion: in memory, with a memory limit and the macros of casts."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from unify.convert.casts import MACROS
from unify.engine.connection import DUCKDB_CONFIG, open_database
from unify.errors import StoreError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MAX_MEMORY_MB = 4096


class ConversionEngine:
    """Opens cursors on one database, in any number of threads."""

    def __init__(self, folder: Path, memory_mb: int) -> None:
        self.folder = folder
        self.memory_mb = memory_mb
        self._lock = threading.Lock()
        self._database = _open_database(folder, memory_mb)

    def close(self) -> None:
        self._database.close()

    @contextmanager
    def cursor(self) -> Iterator[DuckDBPyConnection]:
        """Open a cursor that reads timestamps without a zone as UTC."""
        with self._lock:
            connection = self._database.cursor()
        try:
            connection.execute("SET TimeZone = 'UTC'")
            yield connection
        finally:
            connection.close()

    def execute(self, statement: str) -> None:
        """Execute a statement without a result."""
        with self.cursor() as connection:
            connection.execute(statement)

    def double_memory(self, error: Exception) -> None:
        """Double the memory limit, for rows of thousands of columns. Raises StoreError at the maximum."""
        with self._lock:
            if self.memory_mb >= MAX_MEMORY_MB:
                raise StoreError(f"{self.folder}: {error}") from error
            self.memory_mb *= 2
            self._database.execute(f"SET memory_limit = '{self.memory_mb}MB'")


def _open_database(folder: Path, memory_mb: int) -> DuckDBPyConnection:
    """Open the database with one thread per query: chunks are converted in parallel."""
    config: dict[str, str | int | bool] = {
        **DUCKDB_CONFIG,
        "memory_limit": f"{memory_mb}MB",
        "threads": 1,
        "temp_directory": os.fspath(folder / "spill"),
    }
    connection = open_database(config)
    for macro in MACROS:
        connection.execute(macro)
    return connection
