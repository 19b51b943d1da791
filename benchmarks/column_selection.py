"""The time saved by ``only``: a table with three of its columns against the whole table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.bench_home import benchmark_home
from benchmarks.measure import Figure
from benchmarks.tables import BenchmarkTable

ROUNDS = 3
SELECTED_COLUMNS = {"small": "id, title, user_login", "large": "id, name, group_0_field_0_0"}


def measure(folder: Path, share: float = 1.0) -> Iterator[Figure]:
    """Load 100,000 small and 10,000 large objects, with all and with three columns."""
    tables = [
        BenchmarkTable("small", "small", int(100_000 * share), 100),
        BenchmarkTable("large", "large", int(10_000 * share), 100),
    ]
    more = {
        f"{name}_trimmed": (name, f"    only: [{columns}]\n") for name, columns in SELECTED_COLUMNS.items()
    }
    with benchmark_home(folder, tables, more) as unify:
        for table in tables:
            whole, trimmed = [], []
            for _ in range(ROUNDS):
                whole.append(unify.time_statement(f"reload table bench.{table.name}"))
                trimmed.append(unify.time_statement(f"reload table bench.{table.name}_trimmed"))
            yield Figure(f"{table.name} objects, every column", min(whole), min(whole))
            yield Figure(f"{table.name} objects, 3 columns", min(trimmed), min(whole))
