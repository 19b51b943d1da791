"""The start-up time, against an interpreter that does nothing. All ways are run in turns."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import Figure, best_in_turns, best_s, command_runner

_UNIFY = (sys.executable, "-m", "unify")


def measure(home: Path) -> Iterator[Figure]:
    """Start the command line in several ways."""
    promised = {
        "unify --version": 5,
        "unify -c select 1": 12,  # constants need no lake; see unify.shell.startup
        "unify -c select 1 + 1": 25,  # needs the lake
        "unify, until its prompt is on screen": 15,
    }
    found = best_in_turns(
        {
            "python -c pass": command_runner([sys.executable, "-c", "pass"], home),
            "unify --version": command_runner([*_UNIFY, "--version"], home),
            "unify -c select 1": command_runner([*_UNIFY, "-c", "select 1"], home),
            "unify -c select 1 + 1": command_runner([*_UNIFY, "-c", "select 1 + 1"], home),
            "unify, until its prompt is on screen": lambda: _start_until_prompt(home),
        }
    )
    python = found["python -c pass"]
    for name, measured in found.items():
        cpu_ratio = (measured.cpu_s or 0.0) / (python.cpu_s or 1.0)
        yield Figure(
            name,
            measured.seconds,
            python.seconds,
            promised.get(name),
            None if "prompt" in name else cpu_ratio,  # that of the prompt includes the end of the shell
        )
    yield from _measure_many_connections(home)


def _measure_many_connections(home: Path) -> Iterator[Figure]:
    """Compare a listing of fifty connections of a hundred tables with one of a single connection."""
    from tests.support.many_connections import create_home_with_connections

    homes = [
        create_home_with_connections(home / f"{connections}_of_{adapters}", connections, adapters)
        for connections, adapters in ((1, 1), (50, 1), (50, 50))
    ]
    for what in ("select 1 + 1", "show tables"):
        one, alike, different = (
            best_s(command_runner([*_UNIFY, "--specs", str(settings.specs[0]), "-c", what], settings.home))
            for settings in homes
        )
        yield Figure(f"{what}: 50 connections of 100 tables", alike, one, 1.5)
        yield Figure(f"{what}: the same, of 50 adapters", different, one, 1.5)


def _start_until_prompt(home: Path) -> None:
    """Start the shell on a terminal and wait for its prompt."""
    from tests.support.command import clean_environment
    from tests.support.terminal import run_on_terminal

    environment = {**clean_environment(home), "TERM": "xterm-256color"}
    with run_on_terminal(_UNIFY, environment, home) as terminal:
        terminal.expect_text("unify>")
