"""Drivers of ODBC from the packages of the operating system (Debian: odbc-postgresql, libsqliteodbc)."""

from __future__ import annotations

from functools import cache

import pytest

POSTGRES_DRIVER = "PostgreSQL Unicode"


def require_odbc_driver(name: str) -> None:
    """Skip the test if the driver is not installed."""
    if not has_odbc_driver(name):
        pytest.skip(f"the ODBC driver {name} is not installed: nothing was tested")


def has_odbc_driver(name: str) -> bool:
    """Whether the driver is installed."""
    return name in _installed()


@cache
def _installed() -> frozenset[str]:
    try:
        import pyodbc
    except ImportError:  # without unixODBC
        return frozenset()
    return frozenset(pyodbc.drivers())
