"""The prompt on a plain DuckDB (``fake_session``), on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.command import clean_environment
from tests.support.fake_session import FAKE_SESSION_COMMAND
from tests.support.paths import CHECKOUT
from tests.support.terminal import Terminal, run_on_terminal


@contextmanager
def run_prompt(
    folder: Path,
    *arguments: str,
    home: Path | None = None,
    columns: int = 100,
    lines: int = 30,
    stdout: int | None = None,
    **environment: str,
) -> Iterator[Terminal]:
    """Run ``unify ARGUMENTS`` in ``folder``, by default its home; yield when the prompt is shown."""
    known = {
        **clean_environment(home or folder),
        "PYTHONPATH": str(CHECKOUT),
        "TERM": "xterm-256color",
        **environment,
    }
    command = [*FAKE_SESSION_COMMAND, *arguments]
    with run_on_terminal(command, known, folder, columns=columns, lines=lines, stdout=stdout) as terminal:
        terminal.expect_text("unify>")
        yield terminal
