"""The prompt on a plain DuckDB, on a terminal: what keys do and screens show."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.fake_session import CHECKOUT, COMMAND
from tests.support import clean_environment
from tests.terminal import Terminal, on_terminal


@contextmanager
def at_prompt(
    folder: Path,
    *arguments: str,
    home: Path | None = None,
    columns: int = 100,
    lines: int = 30,
    stdout: int | None = None,
    **environment: str,
) -> Iterator[Terminal]:
    """``unify ARGUMENTS`` in ``folder``, which is its home unless another is named; its prompt is up."""
    known = {
        **clean_environment(home or folder),
        "PYTHONPATH": str(CHECKOUT),
        "TERM": "xterm-256color",
        **environment,
    }
    command = [*COMMAND, *arguments]
    with on_terminal(command, known, folder, columns=columns, lines=lines, stdout=stdout) as terminal:
        terminal.wait_for("unify>")
        yield terminal
