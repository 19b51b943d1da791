"""Modules that the start of the command does not import."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.command import UnifyCommand


@pytest.mark.parametrize(
    ("code", "left_out"),
    [
        (
            "from unify.cli.main import main; main(['--version'])",
            "duckdb zmq lark sqlglot prompt_toolkit argparse dataclasses",
        ),
        (
            "from unify.cli.main import main; main(['-c', 'select 1'])",
            "duckdb importlib.metadata zmq lark sqlglot prompt_toolkit yaml unify.interpreter.interpreter "
            "unify.language.commands unify.model hashlib",
        ),
        (
            "import unify.shell.repl, unify.shell.activity",
            "duckdb zmq lark sqlglot yaml unify.interpreter.interpreter unify.language.commands unify.model "
            "unify.language.statements unify.shell.completer decimal",
        ),
    ],
    ids=["version", "constant", "first paint"],
)
def test_startup_imports_no_unneeded_module(unify_process: UnifyCommand, code: str, left_out: str) -> None:
    command = [sys.executable, "-c", f"import sys; {code}; print(sorted(sys.modules))"]

    loaded = subprocess.run(
        command, capture_output=True, text=True, check=True, env=unify_process.environment
    ).stdout

    assert [name for name in left_out.split() if f"'{name}'" in loaded] == []
