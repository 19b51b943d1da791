"""DuckDB's Python API without the package ``duckdb``, which takes 40 ms of CPU more in each process.

That package imports importlib.metadata for its version, and opens a database for its default connection. All
that Unify uses is defined in its extension module, except ``duckdb.Value``. DuckDB is pinned to one version,
and tests/engine/test_duckdb.py compares both modules.
"""

from __future__ import annotations

from _duckdb import (
    CatalogException,
    DuckDBPyConnection,
    Error,
    FatalException,
    InternalException,
    InterruptException,
    IOException,
    OutOfMemoryException,
    __version__,
    connect,
    sqltype,
    tokenize,
)

__all__ = [
    "CatalogException",
    "DuckDBPyConnection",
    "Error",
    "FatalException",
    "IOException",
    "InternalException",
    "InterruptException",
    "OutOfMemoryException",
    "__version__",
    "connect",
    "sqltype",
    "tokenize",
]
