"""How long it takes to start, against an interpreter that does nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import Figure, best, command


def measure(home: Path) -> Iterator[Figure]:
    """Start the command line in several ways."""
    python = best(command([sys.executable, "-c", "pass"], home))
    yield Figure("python -c pass", python, python)
    ways: list[tuple[tuple[str, ...], float | None]] = [
        (("--version",), 5),
        (("-c", "select 1"), 25),  # constants need no lake; shell/opening.py
        (("-c", "select 1 + 1"), None),  # the lake, too
    ]
    for what, promised in ways:
        seconds = best(command([sys.executable, "-m", "unify", *what], home))
        yield Figure(f"unify {' '.join(what)}", seconds, python, promised)
    yield Figure("unify, until its prompt is on screen", best(lambda: _until_prompt(home)), python, 18)


def _until_prompt(home: Path) -> None:
    """Start the shell on a terminal; done when its prompt can be seen."""
    from tests.support import clean_environment
    from tests.terminal import on_terminal

    environment = {**clean_environment(home), "TERM": "xterm-256color"}
    with on_terminal([sys.executable, "-m", "unify"], environment, home) as terminal:
        terminal.wait_for("unify>")
