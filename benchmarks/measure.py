"""Time commands and steps, and print the results."""

from __future__ import annotations

import resource
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the report: a time and its ratio to a reference time.

    ``cpu_ratio``  the ratio of the processor times, which other processes disturb less.
    """

    label: str
    seconds: float
    baseline_s: float
    promised: float | None = None  # the promised maximum ratio (docs/performance.md)
    cpu_ratio: float | None = None

    def __str__(self) -> str:
        ratio = self.seconds / self.baseline_s
        cpu = f"CPU: {self.cpu_ratio:.1f} times" if self.cpu_ratio is not None else ""
        promise = f"(promised: {self.promised:g})" if self.promised is not None else ""
        line = f"{self.label:<44} {self.seconds * 1000:>9,.0f} ms  {ratio:>6.1f} times"
        return "  ".join(filter(None, (line, cpu, promise)))


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


def best_in_turns(runs: Mapping[str, Callable[[], object]], rounds: int = 7) -> dict[str, Measured]:
    """Return the shortest times of each run; all runs take turns, so that a disturbance affects them alike.

    ``cpu_s`` is that of the processes that a run has started and waited for.
    """
    found: dict[str, Measured] = {}
    for _ in range(rounds):
        for name, run in runs.items():
            cpu_began, began = _children_cpu_s(), time.perf_counter()
            run()
            seconds, cpu_s = time.perf_counter() - began, _children_cpu_s() - cpu_began
            known = found.get(name, Measured(seconds, cpu_s))
            found[name] = Measured(min(seconds, known.seconds), min(cpu_s, known.cpu_s or cpu_s))
    return found


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def command_runner(arguments: Sequence[str], home: Path) -> Callable[[], object]:
    """Return a function that runs a command in ``home`` and raises on an error status."""
    from tests.support.command import clean_environment

    environment = clean_environment(home)
    return lambda: subprocess.run(arguments, check=True, capture_output=True, cwd=home, env=environment)
