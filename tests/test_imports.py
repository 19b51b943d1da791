"""Packages that DuckDB would import, and Unify does not need, stay out of its processes."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

_BIND_PARAMETERS = """
import sys
import unify.engine.connection
from unify.imports import skip_unneeded_packages
skip_unneeded_packages()
exec(compile("result = connect().execute('SELECT ?, $1', [1]).fetchall()", "x", "exec"),
     scope := {"connect": unify.engine.connection.connect, "__name__": "unify.test"})
print(scope["result"], "pandas" in sys.modules)
import pandas
print("pandas" in sys.modules)
"""


@pytest.mark.process
@pytest.mark.skipif(importlib.util.find_spec("pandas") is None, reason="pandas is not installed here")
def test_a_bound_parameter_imports_no_pandas_and_other_code_does() -> None:
    outcome = subprocess.run(
        [sys.executable, "-c", _BIND_PARAMETERS], capture_output=True, text=True, check=True
    )

    assert outcome.stdout.splitlines() == ["[(1, 1)] False", "True"]


@pytest.mark.process
def test_no_process_of_unify_imports_typing_extensions_for_msgspec() -> None:
    code = "from unify.imports import skip_unneeded_packages as skip; skip(); import msgspec.inspect"
    checks = (
        "import sys; print({'typing_extensions', 'inspect'} & sys.modules.keys()); import typing_extensions"
    )
    outcome = subprocess.run(
        [sys.executable, "-c", f"{code}; {checks}"], capture_output=True, text=True, check=True
    )

    assert outcome.stdout == "set()\n"


@pytest.mark.process
def test_a_load_of_a_database_does_without_the_parser_of_statements() -> None:
    code = "import sys, unify.load.relational_loader, unify.adapters.database.postgres.adapter"
    outcome = subprocess.run(
        [sys.executable, "-c", f"{code}; print('sqlglot' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert outcome.stdout == "False\n"
