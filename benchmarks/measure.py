"""Time commands and steps, and print the results."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the report: a time and its ratio to a reference time."""

    label: str
    seconds: float
    baseline_s: float
    promised: float | None = None  # the promised maximum ratio (docs/performance.md)

    def __str__(self) -> str:
        ratio = self.seconds / self.baseline_s
        promise = f"(promised: {self.promised:g})" if self.promised is not None else ""
        return f"{self.label:<44} {self.seconds * 1000:>9,.0f} ms  {ratio:>6.1f} times  {promise}".rstrip()


@dataclass(frozen=True, slots=True)
class Measured:
    """Elapsed time and processor time; None if the system does not report it."""

    seconds: float
    cpu_s: float | None = None


@dataclass(frozen=True, slots=True)
class Speed:
    """One line of a comparison: rows per second, and the ratio of Unify's rows per second in the same run.

    ``promised``  the minimum ratio.
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
    """The peak memory of a process."""

    label: str
    megabytes: float
    promised: float

    def __str__(self) -> str:
        return f"{self.label:<48} {self.megabytes:>9,.0f} MB      (promised: below {self.promised:g})"


def best_s(run: Callable[[], object], rounds: int = 5) -> float:
    """Return the shortest time of several rounds, the one with the least disturbance."""
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def command_runner(arguments: Sequence[str], home: Path) -> Callable[[], object]:
    """Return a function that runs a command in ``home`` and raises on an error status."""
    from tests.support.command import clean_environment

    environment = clean_environment(home)
    return lambda: subprocess.run(arguments, check=True, capture_output=True, cwd=home, env=environment)
