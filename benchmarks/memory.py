"""The peak memory of a worker (VmHWM), for tables of different sizes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.bench_home import benchmark_home
from benchmarks.measure import Memory
from benchmarks.tables import BenchmarkTable


def measure(folder: Path, share: float = 1.0) -> Iterator[Memory]:
    """Load tables of each kind in two sizes."""
    tables = [
        BenchmarkTable("small", "small", int(100_000 * share), 100),
        BenchmarkTable("small_more", "small", int(500_000 * share), 1000),
        BenchmarkTable("large", "large", int(10_000 * share), 100),
        BenchmarkTable("large_more", "large", int(20_000 * share), 100),
    ]
    with benchmark_home(folder, tables) as unify:
        if unify.worker_peak_mb() is None:
            print("  (memory is not measured: this system has no /proc)", file=sys.stderr)
            return
        for table in tables:
            unify.reset_peak_memory()
            unify.run_statement(f"reload table bench.{table.name}")
            limit = 300 if table.kind == "small" else 400
            yield Memory(
                f"a worker loading {table.rows:,} {table.kind} objects", unify.worker_peak_mb() or 0.0, limit
            )
