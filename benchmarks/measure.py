"""Time commands and steps, and show them side by side."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the report: how long something took, and how often that is its yardstick."""

    label: str
    seconds: float
    baseline_s: float
    promised: float | None = None  # at most this many times the yardstick (docs: "Speed")

    def __str__(self) -> str:
        ratio = self.seconds / self.baseline_s
        promise = f"(promised: {self.promised:g})" if self.promised is not None else ""
        return f"{self.label:<44} {self.seconds * 1000:>9,.0f} ms  {ratio:>6.1f} times  {promise}".rstrip()


@dataclass(frozen=True, slots=True)
class Measured:
    """How long something took, and how much of the processors' time; None where the system does not tell."""

    seconds: float
    cpu_s: float | None = None


@dataclass(frozen=True, slots=True)
class Speed:
    """One line of a comparison: rows a second, and how many times as many Unify has in the same run.

    ``promised``  at least so many times.
    """

    label: str
    rows: int
    seconds: float
    cpu_s: float | None = None
    unify_s: float | None = None
    promised: float | None = None

    def __str__(self) -> str:
        line = f"{self.label:<44} {self.rows / self.seconds:>9,.0f} rows/s"
        line += f" {self.cpu_s:>6.1f} s of CPU" if self.cpu_s is not None else ""
        if self.unify_s is not None:
            line += f"  Unify: {self.seconds / self.unify_s:>5.1f} times"
        return line + (f"  (promised: {self.promised:g})" if self.promised is not None else "")


@dataclass(frozen=True, slots=True)
class Memory:
    """The most memory a process had."""

    label: str
    megabytes: float
    promised: float

    def __str__(self) -> str:
        return f"{self.label:<48} {self.megabytes:>9,.0f} MB      (promised: below {self.promised:g})"


def best_s(run: Callable[[], object], rounds: int = 5) -> float:
    """The shortest of some rounds: what the machine can do when nothing else disturbs."""
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def command_runner(arguments: Sequence[str], home: Path) -> Callable[[], object]:
    """Something to time: run ``words`` to their end in ``place``; an error status is an error."""
    from tests.support.command import clean_environment

    environment = clean_environment(home)
    return lambda: subprocess.run(arguments, check=True, capture_output=True, cwd=home, env=environment)
