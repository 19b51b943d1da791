"""The part of DuckDB's Python API that Unify imports."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator

import duckdb as package
import pytest

from tests.support.paths import CHECKOUT
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


def test_only_values_of_parameters_import_the_package() -> None:
    found = {
        path.relative_to(CHECKOUT).as_posix()
        for path in (CHECKOUT / "unify").rglob("*.py")
        if any(_imports_package(node) for node in _run_time_nodes(ast.parse(path.read_text("utf-8"))))
    }

    assert found == {
        "unify/interpreter/parameters.py",
        "unify/interpreter/variables.py",
        "unify/servers/postgres/parameters.py",
    }


def _run_time_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield all nodes except those that only a type checker sees."""
    yield tree
    for child in ast.iter_child_nodes(tree):
        if not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield from _run_time_nodes(child)


def _imports_package(node: ast.AST) -> bool:
    if isinstance(node, ast.Import):
        return any(alias.name.partition(".")[0] == "duckdb" for alias in node.names)
    return isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "duckdb"
