"""The part of DuckDB's Python API that Unify imports."""

from __future__ import annotations

import subprocess
import sys

import duckdb as package
import pytest

from unify.engine import duckdb


@pytest.mark.parametrize("name", duckdb.__all__)
def test_a_name_is_the_one_of_the_package(name: str) -> None:
    assert getattr(duckdb, name) == getattr(package, name)


@pytest.mark.process
def test_values_are_bound_and_fetched_without_importing_the_package() -> None:
    code = (
        "import sys; from unify.engine import duckdb; from datetime import datetime, timezone\n"
        "values = ['a', 1, 1.5, None, True, b'x', [1, 2], {'a': 1}, datetime(2024, 1, 1)]\n"
        "found = duckdb.connect().execute('select ' + ', '.join('?' * len(values)), values).fetchone()\n"
        "print(list(found) == values, 'duckdb' in sys.modules)"
    )

    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert printed.split() == ["True", "False"]
