"""Modules that the start of the command does not import, and what a first load does not wait for."""

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
            "duckdb zmq lark sqlglot prompt_toolkit argparse dataclasses typing pathlib re",
        ),
        (
            "from unify.cli.main import main; main(['-c', 'select 1'])",
            "duckdb importlib.metadata dataclasses subprocess hashlib zmq lark sqlglot prompt_toolkit yaml "
            "shutil unify.interpreter.interpreter unify.render.formats.projection "
            "unify.language.commands unify.model hashlib",
        ),
        (
            "from unify.cli.main import main; main(['-c', 'select 1 + 1'])",
            "duckdb importlib.metadata dataclasses subprocess hashlib email.message zmq lark sqlglot "
            "prompt_toolkit yaml requests urllib3 unify.adapters.registry unify.config.connections "
            "unify.render.formats.projection unify.status.client",
        ),
        (
            "from unify.imports import skip_unneeded_packages; skip_unneeded_packages(); "
            "import unify.adapters.registry, unify.interpreter.interpreter",
            "typing_extensions inspect dataclasses zoneinfo tempfile zmq lark sqlglot requests "
            "unify.adapters.spec.model unify.adapters.spec.formats unify.status.client",
        ),
        (
            "from unify.imports import skip_unneeded_packages; skip_unneeded_packages(); "
            "import unify.daemon.main",
            "typing_extensions inspect dataclasses zoneinfo duckdb _duckdb lark sqlglot requests urllib3 ssl",
        ),
        (
            "import unify.shell.repl, unify.shell.activity",
            "duckdb zmq lark sqlglot yaml unify.interpreter.interpreter unify.language.commands unify.model "
            "unify.language.statements unify.shell.completer unify.render.formats.values",
        ),
    ],
    ids=["version", "constant", "lake", "stored table", "daemon", "first paint"],
)
def test_startup_imports_no_unneeded_module(unify_process: UnifyCommand, code: str, left_out: str) -> None:
    command = [sys.executable, "-c", f"import sys; {code}; print(sorted(sys.modules))"]

    loaded = subprocess.run(
        command, capture_output=True, text=True, check=True, env=unify_process.environment
    ).stdout

    assert [name for name in left_out.split() if f"'{name}'" in loaded] == []
