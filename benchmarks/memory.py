"""The most memory a worker takes, whatever the size of the table: as the system counts it (VmHWM)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.house import house
from benchmarks.measure import Memory
from benchmarks.tables import Served


def measure(folder: Path, share: float = 1.0) -> Iterator[Memory]:
    """Load tables of two sizes each."""
    tables = [
        Served("small", "small", int(100_000 * share), 100),
        Served("small_more", "small", int(500_000 * share), 1000),
        Served("large", "large", int(10_000 * share), 100),
        Served("large_more", "large", int(20_000 * share), 100),
    ]
    with house(folder, tables) as unify:
        if unify.peak_mb() is None:
            print("  (memory is not measured: this system has no /proc)", file=sys.stderr)
            return
        for table in tables:
            unify.forget_peaks()
            unify.run(f"reload table bench.{table.name}")
            limit = 300 if table.kind == "small" else 400
            yield Memory(
                f"a worker loading {table.rows:,} {table.kind} objects", unify.peak_mb() or 0.0, limit
            )
